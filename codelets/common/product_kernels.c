/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leaf loops of matrix products, written with the compiler's vectors of 16 floats: one AVX-512
 * register, two of AVX2, four of the baseline. Each function is compiled for all three (simd.h).
 */
#include "config.h"

#include "codelets/common/product_kernels.h"
#include "codelets/common/elements.h"

#include <string.h>

enum { LANES = 16 };

typedef float f16 __attribute__((vector_size(64)));
typedef float f16_unaligned __attribute__((vector_size(64), aligned(2), may_alias));
typedef uint32_t u16x __attribute__((vector_size(64)));

/* bf16 is the upper half of an fp32. Of 32 bf16 seen as 16 words (little-endian), the lower halves
 * are the elements with even numbers, the upper ones those with odd numbers; to widen each takes
 * one instruction. */
#define WIDEN_EVEN(words) ((f16)((words) << 16))
#define WIDEN_ODD(words)  ((f16)((words)&0xffff0000u))

/* --- conversion ------------------------------------------------------------------------------- */

void plb__pack(const void *from, enum plb_dtype dtype, int64_t stride, int64_t rows, int64_t cols,
               float *to, int64_t to_stride)
{
    const struct plb_tensor cell = {.data = (void *)(uintptr_t)from, .dtype = dtype};

    for (int64_t i = 0; i < rows; i++)
        plb__load(to + i * to_stride, &cell, i * stride, cols);
}

/* --- the end of a product --------------------------------------------------------------------- */

PLB_KERNEL_CLONES static void add(float *y, const float *a, const float *b, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t j = 0; j < n; j++)
        y[j] = a[j] + b[j];
}

PLB_KERNEL_CLONES static void add_narrow(uint16_t *y, const float *a, const float *b, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = plb__to_bf16(a[j] + b[j]);
}

void plb__finish(void *y, enum plb_dtype dtype, const float *sums, const float *bias,
                 bool accumulate, int64_t n)
{
    if (accumulate)
        add(y, y, sums, n);
    else if (dtype == PLB_BF16 && bias != NULL)
        add_narrow(y, sums, bias, n);
    else if (dtype == PLB_BF16)
        plb__narrow(y, sums, n);
    else if (bias != NULL)
        add(y, sums, bias, n);
    else if (y != (const void *)sums)
        memcpy(y, sums, (size_t)n * sizeof *sums);
}

/* --- transposition: four rounds of exchanging halves of ever larger squares ------------------- */

#define SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)

/* One round on the rows r[i] and r[i + step]; `low` and `high` name the two shuffles. */
#define EXCHANGE(r, i, step, low, high)                                                            \
    do {                                                                                           \
        f16 x = (r)[i], y = (r)[(i) + (step)];                                                     \
        (r)[i] = low(x, y);                                                                        \
        (r)[(i) + (step)] = high(x, y);                                                            \
    } while (0)

#define LOW1(x, y)  SHUFFLE(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define HIGH1(x, y) SHUFFLE(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define LOW2(x, y)  SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define LOW4(x, y)  SHUFFLE(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define HIGH4(x, y) SHUFFLE(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define LOW8(x, y)  SHUFFLE(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH8(x, y) SHUFFLE(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)

PLB_INLINE void transpose(f16 r[LANES])
{
    for (int i = 0; i < LANES; i += 2)
        EXCHANGE(r, i, 1, LOW1, HIGH1);
    for (int i = 0; i < LANES; i += 4) {
        for (int j = i; j < i + 2; j++)
            EXCHANGE(r, j, 2, LOW2, HIGH2);
    }
    for (int i = 0; i < LANES; i += 8) {
        for (int j = i; j < i + 4; j++)
            EXCHANGE(r, j, 4, LOW4, HIGH4);
    }
    for (int j = 0; j < 8; j++)
        EXCHANGE(r, j, 8, LOW8, HIGH8);
}

/* Sixteen words from each of 16 rows, fetching the 16 rows behind them. Rows beyond `rows` count as
 * the last one; where there are only `bytes` bytes left in a row zeros follow. */
PLB_INLINE void square_load(const char *from, int64_t row_bytes, int64_t rows, int64_t bytes,
                            f16 r[LANES])
{
    for (int64_t i = 0; i < LANES; i++) {
        const char *row = from + (i < rows ? i : rows - 1) * row_bytes;

        __builtin_prefetch(row + LANES * row_bytes, 0, 2);
        if (bytes >= (int64_t)sizeof(f16)) {
            r[i] = (f16) * (const f16_unaligned *)row;
        } else {
            r[i] = (f16){0};
            memcpy(&r[i], row, (size_t)bytes);
        }
    }
}

PLB_INLINE void square_store(const f16 r[LANES], int bf16, int64_t cols, float *to,
                             int64_t to_stride)
{
    for (int64_t j = 0; j < cols; j++) {
        const f16 *word = &r[bf16 ? j / 2 : j];
        f16 *out = (f16 *)(to + j * to_stride);

        if (!bf16)
            *out = *word;
        else
            *out = j % 2 == 0 ? WIDEN_EVEN((u16x)*word) : WIDEN_ODD((u16x)*word);
    }
}

PLB_INLINE void all_transpose(const char *from, int bf16, int64_t stride, int64_t rows,
                              int64_t cols, float *to, int64_t to_stride)
{
    const int64_t size = bf16 ? 2 : 4, width = (int64_t)sizeof(f16) / size;
    f16 r[LANES];

    for (int64_t i = 0; i < rows; i += LANES) {
        for (int64_t j = 0; j < cols; j += width) {
            float *out = to + j * to_stride + i;

            square_load(from + (i * stride + j) * size, stride * size, rows - i, (cols - j) * size,
                        r);
            transpose(r);
            if (cols - j >= width)
                square_store(r, bf16, width, out, to_stride);
            else
                square_store(r, bf16, cols - j, out, to_stride);
        }
    }
}

PLB_KERNEL_CLONES static void transpose_f32(const char *from, int64_t stride, int64_t rows,
                                            int64_t cols, float *to, int64_t to_stride)
{
    all_transpose(from, 0, stride, rows, cols, to, to_stride);
}

PLB_KERNEL_CLONES static void transpose_bf16(const char *from, int64_t stride, int64_t rows,
                                             int64_t cols, float *to, int64_t to_stride)
{
    all_transpose(from, 1, stride, rows, cols, to, to_stride);
}

void plb__pack_transposed(const void *from, enum plb_dtype dtype, int64_t stride, int64_t rows,
                          int64_t cols, float *to, int64_t to_stride)
{
    if (dtype == PLB_BF16)
        transpose_bf16(from, stride, rows, cols, to, to_stride);
    else
        transpose_f32(from, stride, rows, cols, to, to_stride);
}

/* --- dot products for few rows ---------------------------------------------------------------- */

/* Elements of x and w taken at a time; for w in bf16, x is put beforehand into the order that
 * widening it gives. */
enum { STRIDE = 2 * LANES };

/* The most rows of w in a tile; a tile has at most LANES sums. */
enum { DOTS_MAX = 8 };

/* How far ahead weights are fetched, in whole tiles of at least this together. Rows of a tile lie
 * close to each other, which the processor's own prefetcher takes for no pattern. */
enum { AHEAD_BYTES = 8192 };

/* Turns sixteen sums of 16 lanes into sixteen numbers: transposed, the lanes are added in a tree.
 */
PLB_INLINE void lanes_sum(f16 sum[LANES], float total[LANES])
{
    transpose(sum);
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            sum[j] += sum[j + width];
    }
    memcpy(total, &sum[0], sizeof sum[0]);
}

PLB_INLINE void weights_load(const void *w, int bf16, f16 *first, f16 *second)
{
    if (bf16) {
        u16x words = (u16x) * (const f16_unaligned *)w;

        *first = WIDEN_EVEN(words);
        *second = WIDEN_ODD(words);
    } else {
        *first = (f16)((const f16_unaligned *)w)[0];
        *second = (f16)((const f16_unaligned *)w)[1];
    }
}

/* One step on m rows of x and r of w, given as pointers. */
PLB_INLINE void dots_step(int m, int r, int bf16, const float *x, int64_t x_stride,
                          const char *const w[], int64_t ahead, f16 *sum)
{
    f16 first[DOTS_MAX], second[DOTS_MAX];

    for (int j = 0; j < r; j++) {
        __builtin_prefetch(w[j] + ahead);
        if (!bf16)
            __builtin_prefetch(w[j] + ahead + sizeof(f16));
        weights_load(w[j], bf16, &first[j], &second[j]);
    }
    for (int i = 0; i < m; i++) {
        const f16 *a = (const f16 *)(x + i * x_stride);

        for (int j = 0; j < r; j++)
            sum[i * r + j] += a[0] * first[j];
        for (int j = 0; j < r; j++)
            sum[i * r + j] += a[1] * second[j];
    }
}

/* An m x r tile of y, of which `rows` rows are wanted. m, r and bf16 are constants where this is
 * used, so that the sums stay in registers. */
PLB_INLINE void dots_tile(int m, int r, int bf16, int64_t rows, int64_t k, const float *x,
                          int64_t x_stride, const char *w, int64_t w_bytes, float *y,
                          int64_t y_stride)
{
    const int64_t size = bf16 ? 2 : 4;
    const int64_t ahead = (1 + AHEAD_BYTES / (r * w_bytes)) * r * w_bytes;
    char tail[DOTS_MAX][STRIDE * sizeof(float)];
    const char *part[DOTS_MAX];
    float total[LANES];
    f16 sum[LANES];
    int64_t at;

    for (int i = 0; i < LANES; i++)
        sum[i] = (f16){0};
    for (at = 0; at + STRIDE <= k; at += STRIDE) {
        for (int j = 0; j < r; j++)
            part[j] = w + j * w_bytes + at * size;
        dots_step(m, r, bf16, x + at, x_stride, part, ahead, sum);
    }
    if (at < k) {
        memset(tail, 0, sizeof tail);
        for (int j = 0; j < r; j++) {
            memcpy(tail[j], w + j * w_bytes + at * size, (size_t)((k - at) * size));
            part[j] = tail[j];
        }
        dots_step(m, r, bf16, x + at, x_stride, part, ahead, sum);
    }
    lanes_sum(sum, total);
    for (int i = 0; i < m && i < rows; i++) {
        for (int j = 0; j < r; j++)
            y[i * y_stride + j] = total[i * r + j];
    }
}

PLB_INLINE void dots_rows(int m, int r, int bf16, int64_t rows, int64_t n, int64_t k,
                          const float *x, int64_t x_stride, const char *w, int64_t w_bytes,
                          float *y, int64_t y_stride)
{
    int64_t j;

    for (j = 0; j + r <= n; j += r)
        dots_tile(m, r, bf16, rows, k, x, x_stride, w + j * w_bytes, w_bytes, y + j, y_stride);
    for (; j < n; j++)
        dots_tile(m, 1, bf16, rows, k, x, x_stride, w + j * w_bytes, w_bytes, y + j, y_stride);
}

typedef void dots_function(int64_t rows, int64_t n, int64_t k, const float *x, int64_t x_stride,
                           const char *w, int64_t w_bytes, float *y, int64_t y_stride);

/* dots_<dtype>_<m>: up to m rows of x, and r of w at a time such that the sums fit the registers.
 */
#define DOTS(dtype, bf16, m, r)                                                                    \
    PLB_KERNEL_CLONES static void dots_##dtype##_##m(                                              \
        int64_t rows, int64_t n, int64_t k, const float *x, int64_t x_stride, const char *w,       \
        int64_t w_bytes, float *y, int64_t y_stride)                                               \
    {                                                                                              \
        dots_rows(m, r, bf16, rows, n, k, x, x_stride, w, w_bytes, y, y_stride);                   \
    }

DOTS(f32, 0, 1, 8)
DOTS(f32, 0, 2, 4)
DOTS(f32, 0, 4, 4)
DOTS(f32, 0, 8, 2)
DOTS(bf16, 1, 1, 8)
DOTS(bf16, 1, 2, 4)
DOTS(bf16, 1, 4, 4)
DOTS(bf16, 1, 8, 2)

/* Element at of a row of x goes to this place in dots' order. */
static int64_t dots_place(int64_t at, enum plb_dtype w_dtype)
{
    int64_t in = at % STRIDE;

    if (w_dtype != PLB_BF16)
        return at;
    return at - in + in % 2 * LANES + in / 2;
}

int64_t plb__dots_floats(int64_t m, int64_t k)
{
    int64_t rows = m <= 2 ? m : m <= 4 ? 4 : PLB__DOTS_ROWS; /* of a tile */

    return rows * ((k + STRIDE - 1) / STRIDE * STRIDE);
}

void plb__dots_pack(int64_t m, int64_t k, const void *x, enum plb_dtype dtype, int64_t stride,
                    enum plb_dtype w_dtype, float *packed)
{
    int64_t width = (k + STRIDE - 1) / STRIDE * STRIDE;

    memset(packed, 0, (size_t)plb__dots_floats(m, k) * sizeof(float));
    for (int64_t i = 0; i < m; i++) {
        const void *row = (const char *)x + i * stride * (dtype == PLB_BF16 ? 2 : 4);

        for (int64_t at = 0; at < k; at++)
            packed[i * width + dots_place(at, w_dtype)] =
                dtype == PLB_BF16 ? plb__from_bf16(((const uint16_t *)row)[at])
                                  : ((const float *)row)[at];
    }
}

void plb__dots(int64_t m, int64_t n, int64_t k, const float *packed, const void *w,
               enum plb_dtype w_dtype, int64_t w_stride, float *y, int64_t y_stride)
{
    static dots_function *const functions[2][4] = {
        {dots_f32_1, dots_f32_2, dots_f32_4, dots_f32_8},
        {dots_bf16_1, dots_bf16_2, dots_bf16_4, dots_bf16_8},
    };
    bool bf16 = w_dtype == PLB_BF16;
    int which = m <= 1 ? 0 : m <= 2 ? 1 : m <= 4 ? 2 : 3;

    functions[bf16][which](m, n, k, packed, (k + STRIDE - 1) / STRIDE * STRIDE, w,
                           w_stride * (bf16 ? 2 : 4), y, y_stride);
}
