/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of matrices, cut into blocks that stay in the caches while they are converted.
 */
#include "config.h"

#include "codelets/common/product.h"
#include "codelets/common/blas.h"
#include "codelets/common/elements.h"
#include "codelets/common/product_kernels.h"

#include <string.h>

/* Sizes of blocks, measured (doc/results/blas.md): a block of B, about 96 K floats, and one of A,
 * about as much, share a second-level cache of 1 to 2 MB. A transposed B is put straight in blocks
 * that are long where its rows are, another one is widened in blocks that are wide. */
enum {
    BLOCK_N = 96,
    BLOCK_K = 1024,
    BLOCK_N_WIDE = 384,
    BLOCK_K_WIDE = 256,
    BLOCK_A = 1 << 17, /* floats */
    BLOCK_M_MIN = 128,
    BLOCK_M_MAX = 512,
    /* Up to this many rows of A own dot products are faster than putting B straight. */
    FEW_ROWS = 16,
    FEW_BLOCK = 1 << 16, /* elements of B */
};

struct blocks {
    bool convert_a, pack_b, convert_c;
    int64_t m, n, k;                  /* of a block */
    size_t a_bytes, b_bytes, c_bytes; /* of scratch, each a multiple of 64 */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t round_up(int64_t x, int64_t to)
{
    return (x + to - 1) / to * to;
}

static size_t floats_bytes(int64_t floats)
{
    return (size_t)round_up(floats * (int64_t)sizeof(float), 64);
}

static size_t dtype_size(enum plb_dtype dtype)
{
    return dtype == PLB_BF16 ? 2 : 4;
}

/* Element (row, col) of a matrix. */
static const void *matrix_at(const struct plb_matrix *x, int64_t row, int64_t col)
{
    int64_t at = x->transposed ? col * x->stride + row : row * x->stride + col;

    return (const char *)x->data + (size_t)at * dtype_size(x->dtype);
}

static void *c_at(const struct plb_product *p, int64_t row, int64_t col)
{
    return (char *)p->c + (size_t)(row * p->c_stride + col) * dtype_size(p->c_dtype);
}

/* --- the end of a product: from fp32 sums to C ------------------------------------------------ */

/* cols <= PLB_CHUNK columns of what follows. */
static void piece_finish(const struct plb_product *p, int64_t row, int64_t col, int64_t rows,
                         int64_t cols, const float *sums, int64_t stride)
{
    float buffer[PLB_CHUNK];
    const float *bias = NULL;

    if (p->bias != NULL) {
        const struct plb_tensor cell = {.data = (void *)(uintptr_t)p->bias, .dtype = p->bias_dtype};

        bias = plb__read(&cell, col, cols, buffer);
    }
    for (int64_t i = 0; i < rows; i++)
        plb__finish(c_at(p, row + i, col), p->c_dtype, sums + i * stride, bias, p->accumulate,
                    cols);
}

/* C[row.., col..] = sums + bias, or += sums. The sums may lie in C itself. */
static void block_finish(const struct plb_product *p, int64_t row, int64_t col, int64_t rows,
                         int64_t cols, const float *sums, int64_t stride)
{
    for (int64_t j = 0; j < cols; j += PLB_CHUNK)
        piece_finish(p, row, col + j, rows, least(cols - j, PLB_CHUNK), sums + j, stride);
}

/* --- few rows --------------------------------------------------------------------------------- */

static bool is_few(const struct plb_product *p)
{
    return p->m <= FEW_ROWS && p->b.transposed && !p->a.transposed;
}

/* Floats of A's rows, packed in groups of PLB__DOTS_ROWS. */
static int64_t few_floats(int64_t m, int64_t k)
{
    return m / PLB__DOTS_ROWS * plb__dots_floats(PLB__DOTS_ROWS, k) +
           plb__dots_floats(m % PLB__DOTS_ROWS, k);
}

static void few_pack(const struct plb_product *p, float *packed)
{
    for (int64_t i = 0; i < p->m; i += PLB__DOTS_ROWS)
        plb__dots_pack(least(p->m - i, PLB__DOTS_ROWS), p->k, matrix_at(&p->a, i, 0), p->a.dtype,
                       p->a.stride, p->b.dtype, packed + few_floats(i, p->k));
}

/* Columns in blocks that stay in the cache for all groups of rows. */
static enum plb_status product_few(const struct plb_product *p, float *packed)
{
    float sums[FEW_ROWS * BLOCK_N];
    int64_t block = most(PLB__DOTS_ROWS, least(BLOCK_N, FEW_BLOCK / p->k));

    few_pack(p, packed);
    for (int64_t j = 0; j < p->n; j += block) {
        int64_t cols = least(p->n - j, block);

        for (int64_t i = 0; i < p->m; i += PLB__DOTS_ROWS)
            plb__dots(least(p->m - i, PLB__DOTS_ROWS), cols, p->k, packed + few_floats(i, p->k),
                      matrix_at(&p->b, 0, j), p->b.dtype, p->b.stride, sums + i * BLOCK_N, BLOCK_N);
        block_finish(p, 0, j, p->m, cols, sums, BLOCK_N);
    }
    return PLB_OK;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* The size of blocks that cut `size` evenly, at most `most_of`, a multiple of PLB__PACK_ALIGN. */
static int64_t even_blocks(int64_t size, int64_t most_of)
{
    int64_t blocks = (size + most_of - 1) / most_of;

    return least(size, round_up((size + blocks - 1) / blocks, PLB__PACK_ALIGN));
}

static void blocks_choose(const struct plb_product *p, struct blocks *b)
{
    int64_t n = p->b.transposed ? BLOCK_N : BLOCK_N_WIDE;
    int64_t k = p->b.transposed ? BLOCK_K : BLOCK_K_WIDE;
    int64_t rows = BLOCK_A / p->k / PLB__PACK_ALIGN * PLB__PACK_ALIGN;

    memset(b, 0, sizeof *b);
    b->convert_a = p->a.dtype == PLB_BF16;
    b->pack_b = p->b.dtype == PLB_BF16 || (p->b.transposed && plb__blas_wants_straight());
    b->convert_c = p->c_dtype == PLB_BF16;
    rows = rows < BLOCK_M_MIN ? BLOCK_M_MIN : least(rows, BLOCK_M_MAX);
    b->m = b->convert_a || b->convert_c ? least(p->m, rows) : p->m;
    b->n = b->pack_b || b->convert_c ? even_blocks(p->n, n) : p->n;
    b->k = b->pack_b ? even_blocks(p->k, k) : p->k;
    /* Bounds that grow with every size, which the blocks themselves do not. */
    if (b->convert_a)
        b->a_bytes = floats_bytes(least(p->m * p->k, most(BLOCK_A, BLOCK_M_MIN * p->k)));
    if (b->pack_b)
        b->b_bytes = floats_bytes(least(p->k, k) * round_up(least(p->n, n), PLB__PACK_ALIGN));
    if (b->convert_c)
        b->c_bytes = floats_bytes(least(p->m, BLOCK_M_MAX) * least(p->n, n));
}

size_t plb_product_scratch(const struct plb_product *p)
{
    struct blocks b;
    size_t few = 0, bytes;

    blocks_choose(p, &b);
    bytes = b.a_bytes + b.b_bytes + b.c_bytes;
    if (p->b.transposed && !p->a.transposed)
        few = floats_bytes(few_floats(least(p->m, FEW_ROWS), p->k));
    return few > bytes ? few : bytes;
}

/* Where the operands of the library lie: in the caller's matrices or in scratch. */
struct operands {
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    bool ta, tb;
};

/* The block of A from row i on, all of k. */
static void a_ready(const struct plb_product *p, const struct blocks *b, int64_t i, int64_t rows,
                    float *scratch, struct operands *o)
{
    const void *from = matrix_at(&p->a, i, 0);

    o->ta = p->a.transposed;
    o->a = from;
    o->lda = p->a.stride;
    if (!b->convert_a)
        return;
    o->a = scratch;
    o->lda = o->ta ? rows : p->k;
    if (o->ta)
        plb__pack(from, p->a.dtype, p->a.stride, p->k, rows, scratch, o->lda);
    else
        plb__pack(from, p->a.dtype, p->a.stride, rows, p->k, scratch, o->lda);
}

/* The block of B from (l, j) on. */
static void b_ready(const struct plb_product *p, const struct blocks *b, int64_t l, int64_t depth,
                    int64_t j, int64_t cols, float *scratch, struct operands *o)
{
    const void *from = matrix_at(&p->b, l, j);

    o->tb = p->b.transposed && !b->pack_b;
    o->b = from;
    o->ldb = p->b.stride;
    if (!b->pack_b)
        return;
    o->b = scratch;
    o->ldb = round_up(cols, PLB__PACK_ALIGN);
    if (p->b.transposed)
        plb__pack_transposed(from, p->b.dtype, p->b.stride, cols, depth, scratch, o->ldb);
    else
        plb__pack(from, p->b.dtype, p->b.stride, depth, cols, scratch, o->ldb);
}

/* One block of C: goes over k in blocks, then finishes. */
static enum plb_status c_block(const struct plb_product *p, const struct blocks *b, int64_t i,
                               int64_t rows, int64_t j, int64_t cols, float *b_scratch,
                               struct operands *o)
{
    for (int64_t l = 0; l < p->k; l += b->k) {
        int64_t depth = least(p->k - l, b->k);
        struct plb__sgemm call;

        b_ready(p, b, l, depth, j, cols, b_scratch, o);
        call = (struct plb__sgemm){
            .ta = o->ta,
            .tb = o->tb,
            .accumulate = l > 0 || (p->accumulate && !b->convert_c),
            .m = rows,
            .n = cols,
            .k = depth,
            .a = o->a + (o->ta ? l * o->lda : l),
            .lda = o->lda,
            .b = o->b,
            .ldb = o->ldb,
            .c = o->c,
            .ldc = o->ldc,
        };
        PLB_TRY(plb__sgemm(&call));
    }
    if (b->convert_c || p->bias != NULL)
        block_finish(p, i, j, rows, cols, o->c, o->ldc);
    return PLB_OK;
}

static enum plb_status product_blocks(const struct plb_product *p, char *scratch)
{
    struct blocks b;
    struct operands o;
    float *a_scratch, *b_scratch, *c_scratch;

    blocks_choose(p, &b);
    a_scratch = (float *)(void *)scratch;
    b_scratch = (float *)(void *)(scratch + b.a_bytes);
    c_scratch = (float *)(void *)(scratch + b.a_bytes + b.b_bytes);
    for (int64_t i = 0; i < p->m; i += b.m) {
        int64_t rows = least(p->m - i, b.m);

        a_ready(p, &b, i, rows, a_scratch, &o);
        for (int64_t j = 0; j < p->n; j += b.n) {
            int64_t cols = least(p->n - j, b.n);

            o.c = b.convert_c ? c_scratch : c_at(p, i, j);
            o.ldc = b.convert_c ? cols : p->c_stride;
            PLB_TRY(c_block(p, &b, i, rows, j, cols, b_scratch, &o));
        }
    }
    return PLB_OK;
}

/* --- bf16 as the library has it --------------------------------------------------------------- */

/* oneDNN 3.7 (Debian 13) takes a product with one row or one column for a matrix times a vector,
 * and then reads and writes as if the matrices had no stride: those are not given to it. */
static bool is_native(const struct plb_product *p)
{
    return p->a.dtype == PLB_BF16 && p->b.dtype == PLB_BF16 && p->m > 1 && p->n > 1 &&
           plb__blas_native_bf16();
}

static enum plb_status product_native(const struct plb_product *p)
{
    struct plb__bgemm call = {
        .ta = p->a.transposed,
        .tb = p->b.transposed,
        .accumulate = p->accumulate,
        .c_bf16 = p->c_dtype == PLB_BF16,
        .bias_bf16 = p->bias_dtype == PLB_BF16,
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .a = p->a.data,
        .lda = p->a.stride,
        .b = p->b.data,
        .ldb = p->b.stride,
        .c = p->c,
        .ldc = p->c_stride,
        .bias = p->bias,
    };

    return plb__bgemm(&call);
}

enum plb_status plb_product(const struct plb_product *p, void *scratch)
{
    if (is_few(p))
        return product_few(p, scratch);
    return is_native(p) ? product_native(p) : product_blocks(p, scratch);
}
