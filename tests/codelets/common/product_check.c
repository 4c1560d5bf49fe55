/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products against double precision.
 */
#include "config.h"

#include "tests/codelets/common/product_check.h"

#include "codelets/common/elements.h"
#include "codelets/common/product.h"
#include "runtime/base/random.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Elements behind each row of C, and bytes behind scratch, that must stay as they were. */
enum { MARGIN = 3, GUARD = 64, GUARD_BYTE = 0x5a };

/* A product with its operands, and the sums it should give. */
struct subject {
    struct plb_product p;
    bool exact;
    float *a, *b, *c, *bias; /* as floats, before rounding to the dtype; c as it was before */
    char *scratch;
    size_t scratch_bytes;
};

/* A number in [-1, 1], or a multiple of 1/8 in [-4, 4]: sums of thousands of products of those are
 * exact in fp32. */
static float draw(uint64_t stream, int64_t at, bool exact)
{
    uint32_t words[4];

    plb_random_words(7, stream, (uint64_t)at, words);
    if (exact)
        return (float)(words[1] % 65) / 8.0f - 4.0f;
    return 2.0f * plb_random_unit(words[0]) - 1.0f;
}

static int64_t draw_size(uint64_t stream, int64_t at, int64_t most)
{
    uint32_t words[4];

    plb_random_words(8, stream, (uint64_t)at, words);
    return 1 + (int64_t)(words[1] % (uint32_t)most);
}

/* n values of a dtype, which are also kept as the floats that they are after rounding. */
static void *values_make(enum plb_dtype dtype, int64_t n, uint64_t stream, bool exact,
                         float **floats_out)
{
    const struct plb_tensor cell = {.data = malloc((size_t)n * 4), .dtype = dtype};
    float *floats = malloc((size_t)n * sizeof *floats);

    for (int64_t i = 0; i < n; i++)
        floats[i] = draw(stream, i, exact);
    plb__store(&cell, 0, floats, n);
    plb__load(floats, &cell, 0, n);
    *floats_out = floats;
    return cell.data;
}

static void matrix_make(struct plb_matrix *x, int64_t rows, int64_t cols, uint64_t stream,
                        bool exact, float **floats_out)
{
    x->stride = (x->transposed ? rows : cols) + MARGIN;
    x->data =
        values_make(x->dtype, (x->transposed ? cols : rows) * x->stride, stream, exact, floats_out);
}

/* Makes operands for the sizes, dtypes and flags that stand in s->p. */
static void subject_make(struct subject *s, bool with_bias)
{
    struct plb_product *p = &s->p;

    matrix_make(&p->a, p->m, p->k, 1, s->exact, &s->a);
    matrix_make(&p->b, p->k, p->n, 2, s->exact, &s->b);
    p->c_stride = p->n + MARGIN;
    p->c = values_make(p->c_dtype, p->m * p->c_stride, 3, s->exact, &s->c);
    s->bias = NULL;
    p->bias = with_bias ? values_make(p->bias_dtype, p->n, 4, s->exact, &s->bias) : NULL;
    s->scratch_bytes = plb_product_scratch(p);
    s->scratch = aligned_alloc(64, (s->scratch_bytes + GUARD + 63) / 64 * 64);
    memset(s->scratch, GUARD_BYTE, s->scratch_bytes + GUARD);
}

static void subject_free(struct subject *s)
{
    free((void *)(uintptr_t)s->p.a.data);
    free((void *)(uintptr_t)s->p.b.data);
    free((void *)(uintptr_t)s->p.bias);
    free(s->p.c);
    free(s->a);
    free(s->b);
    free(s->c);
    free(s->bias);
    free(s->scratch);
}

static double sum_of(const struct subject *s, int64_t i, int64_t j)
{
    const struct plb_product *p = &s->p;
    double sum = p->accumulate ? (double)s->c[i * p->c_stride + j] : 0.0;

    for (int64_t l = 0; l < p->k; l++) {
        int64_t a = p->a.transposed ? l * p->a.stride + i : i * p->a.stride + l;
        int64_t b = p->b.transposed ? j * p->b.stride + l : l * p->b.stride + j;

        sum += (double)s->a[a] * (double)s->b[b];
    }
    return sum + (s->bias != NULL ? (double)s->bias[j] : 0.0);
}

/* What is allowed: k roundings of sums of the order of 1, and one of C's dtype. */
static double tolerance(const struct subject *s, double expected)
{
    double sum = s->exact ? 0.0 : 0x1p-23 * (double)(s->p.k + 8);

    return sum + (s->p.c_dtype == PLB_BF16 ? 0x1p-8 * fabs(expected) : 0.0);
}

static bool result_check(const struct subject *s)
{
    const struct plb_product *p = &s->p;
    const struct plb_tensor cell = {.data = p->c, .dtype = p->c_dtype};
    bool ok = true;

    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->c_stride; j++) {
            double expected = j < p->n ? sum_of(s, i, j) : (double)s->c[i * p->c_stride + j];
            double allowed = j < p->n ? tolerance(s, expected) : 0.0;
            float c;

            plb__load(&c, &cell, i * p->c_stride + j, 1);
            ok = ok && fabs((double)c - expected) <= allowed;
        }
    }
    for (size_t i = 0; i < GUARD; i++)
        ok = ok && s->scratch[s->scratch_bytes + i] == GUARD_BYTE;
    return ok;
}

static void product_check(struct subject *s, bool with_bias)
{
    const struct plb_product *p = &s->p;
    bool ok;

    subject_make(s, with_bias);
    PLB_CHECK_EQ(plb_product(p, s->scratch), PLB_OK);
    ok = result_check(s);
    if (!ok)
        fprintf(stderr, "m %d n %d k %d a %s%s b %s%s c %s%s%s\n", (int)p->m, (int)p->n, (int)p->k,
                plb_dtype_name(p->a.dtype), p->a.transposed ? "^T" : "", plb_dtype_name(p->b.dtype),
                p->b.transposed ? "^T" : "", plb_dtype_name(p->c_dtype),
                p->accumulate ? " added" : "", with_bias ? " bias" : "");
    PLB_CHECK(ok);
    subject_free(s);
}

/* Combination number `bits` of everything that is not a size; false where it is not allowed. */
static bool combination(unsigned bits, struct plb_product *p, bool *with_bias)
{
    *with_bias = (bits & 1) != 0;
    p->accumulate = (bits & 2) != 0;
    p->a.transposed = (bits & 4) != 0;
    p->b.transposed = (bits & 8) != 0;
    p->a.dtype = bits & 16 ? PLB_BF16 : PLB_F32;
    p->b.dtype = bits & 32 ? PLB_BF16 : PLB_F32;
    p->c_dtype = bits & 64 ? PLB_BF16 : PLB_F32;
    p->bias_dtype = bits & 128 ? PLB_BF16 : PLB_F32;
    return !(p->accumulate && (*with_bias || p->c_dtype == PLB_BF16));
}

enum { COMBINATIONS = 256 };

void products_match_references(void)
{
    for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
        for (int64_t seed = 0; seed < 3; seed++) {
            struct subject s = {.bias = NULL};
            bool with_bias;

            if (!combination(bits, &s.p, &with_bias))
                continue;
            s.p.m = draw_size(bits, 3 * seed, seed == 0 ? 16 : 150);
            s.p.n = draw_size(bits, 3 * seed + 1, 220);
            s.p.k = draw_size(bits, 3 * seed + 2, 120);
            product_check(&s, with_bias);
        }
    }
}

void products_at_edges(void)
{
    static const int64_t sizes[][3] = {
        {1, 1, 1},     {8, 8, 32},    {9, 96, 31},   {16, 97, 33},
        {17, 95, 16},  {1, 193, 700}, {3, 17, 1024}, {129, 96, 1025},
        {128, 1, 256}, {513, 16, 15}, {1, 16, 4099}, {130, 97, 2050},
    };
    static const unsigned combinations[] = {8, 8 + 16 + 32 + 64, 8 + 16 + 32 + 1, 4 + 2,
                                            0, 4 + 16 + 32 + 2,  16 + 32 + 64};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t c = 0; c < sizeof(combinations) / sizeof(combinations[0]); c++) {
            struct subject s = {.p = {.m = sizes[i][0], .n = sizes[i][1], .k = sizes[i][2]},
                                .exact = true};
            bool with_bias;

            PLB_REQUIRE(combination(combinations[c], &s.p, &with_bias));
            product_check(&s, with_bias);
        }
    }
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 4 };

struct runner {
    struct plb_product p;
    enum plb_status status;
};

static void *run(void *argument)
{
    struct runner *runner = argument;
    void *scratch = aligned_alloc(64, (plb_product_scratch(&runner->p) + 127) / 64 * 64);

    runner->status = plb_product(&runner->p, scratch);
    free(scratch);
    return NULL;
}

static void threads_check(enum plb_dtype dtype, bool a_transposed, bool b_transposed)
{
    struct subject s = {.p = {.m = 96,
                              .n = 200,
                              .k = 300,
                              .a = {.dtype = dtype, .transposed = a_transposed},
                              .b = {.dtype = dtype, .transposed = b_transposed}}};
    size_t bytes;
    struct runner runner[THREADS];
    pthread_t thread[THREADS];

    subject_make(&s, false);
    bytes = (size_t)(s.p.m * s.p.c_stride) * sizeof(float);
    for (int t = 0; t < THREADS; t++) {
        runner[t].p = s.p;
        runner[t].p.c = calloc(1, bytes);
        PLB_REQUIRE(pthread_create(&thread[t], NULL, run, &runner[t]) == 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    memset(s.p.c, 0, bytes);
    PLB_CHECK_EQ(plb_product(&s.p, s.scratch), PLB_OK);
    for (int t = 0; t < THREADS; t++) {
        PLB_CHECK_EQ(runner[t].status, PLB_OK);
        PLB_CHECK_MEMORY(runner[t].p.c, s.p.c, bytes);
        free(runner[t].p.c);
    }
    subject_free(&s);
}

void products_have_the_same_bits_on_any_thread(void)
{
    threads_check(PLB_F32, false, true);
    threads_check(PLB_F32, false, false);
    threads_check(PLB_F32, true, false);
    threads_check(PLB_BF16, false, true);
    threads_check(PLB_BF16, true, false);
}

/* --- places ----------------------------------------------------------------------------------- */

/* A copy of n elements that begins `shift` elements behind an aligned address; `free_out` frees it.
 */
static void *moved(const void *data, int64_t n, size_t size, int64_t shift, void **free_out)
{
    char *copy = aligned_alloc(64, ((size_t)(n + shift) * size + 63) / 64 * 64);

    *free_out = copy;
    memcpy(copy + (size_t)shift * size, data, (size_t)n * size);
    return copy + (size_t)shift * size;
}

static void places_check(enum plb_dtype dtype, int64_t m, bool a_transposed, bool b_transposed)
{
    struct subject s = {.p = {.m = m,
                              .n = 70,
                              .k = 130,
                              .a = {.dtype = dtype, .transposed = a_transposed},
                              .b = {.dtype = dtype, .transposed = b_transposed}}};
    int64_t elements, a_rows = a_transposed ? s.p.k : m, b_rows = b_transposed ? s.p.n : s.p.k;
    size_t size = plb_dtype_bytes(dtype);

    subject_make(&s, false);
    elements = m * s.p.c_stride;
    PLB_CHECK_EQ(plb_product(&s.p, s.scratch), PLB_OK);
    for (int64_t shift = 1; shift < 16; shift += 2) {
        struct plb_product p = s.p;
        void *a, *b, *c;

        p.a.data = moved(s.p.a.data, a_rows * p.a.stride, size, shift, &a);
        p.b.data = moved(s.p.b.data, b_rows * p.b.stride, size, 16 - shift, &b);
        p.c = moved(s.p.c, elements, sizeof(float), 3 * shift % 16, &c);
        PLB_CHECK_EQ(plb_product(&p, s.scratch), PLB_OK);
        PLB_CHECK_MEMORY(p.c, s.p.c, (size_t)elements * sizeof(float));
        free(a);
        free(b);
        free(c);
    }
    subject_free(&s);
}

void products_have_the_same_bits_in_any_place(void)
{
    for (int64_t m = 5; m <= 100; m += 95) {
        for (int dtype = PLB_F32; dtype <= PLB_BF16; dtype++) {
            places_check((enum plb_dtype)dtype, m, false, true);
            places_check((enum plb_dtype)dtype, m, false, false);
            places_check((enum plb_dtype)dtype, m, true, false);
        }
    }
}

/* --- what is not a number --------------------------------------------------------------------- */

static void nan_check(int64_t m, float bad)
{
    struct subject s = {.p = {.m = m, .n = 33, .k = 50, .b = {.transposed = true}}};
    float *a;

    subject_make(&s, false);
    a = (float *)(uintptr_t)s.p.a.data;
    a[(m - 1) * s.p.a.stride + 49] = bad;
    PLB_CHECK_EQ(plb_product(&s.p, s.scratch), PLB_OK);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < s.p.n; j++)
            PLB_CHECK(isfinite(((float *)s.p.c)[i * s.p.c_stride + j]) == (i < m - 1));
    }
    subject_free(&s);
}

void products_keep_nan_in_its_row(void)
{
    nan_check(2, NAN);
    nan_check(3, INFINITY);
    nan_check(40, NAN);
    nan_check(40, INFINITY);
}

/* --- scratch ---------------------------------------------------------------------------------- */

void scratch_grows_with_sizes(void)
{
    for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
        struct plb_product large = {.bias = NULL}, small;
        bool with_bias;

        if (!combination(bits, &large, &with_bias))
            continue;
        for (int64_t seed = 0; seed < 20; seed++) {
            large.m = draw_size(bits, 100 + seed, 600);
            large.n = draw_size(bits, 200 + seed, 300);
            large.k = draw_size(bits, 300 + seed, 4000);
            small = large;
            small.m = draw_size(bits, 400 + seed, large.m);
            small.n = draw_size(bits, 500 + seed, large.n);
            small.k = draw_size(bits, 600 + seed, large.k);
            PLB_CHECK(plb_product_scratch(&small) <= plb_product_scratch(&large));
        }
    }
}
