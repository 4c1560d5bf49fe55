/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast matrix products are at the shapes of training GPT-2 124M in slices of 64 and 128 rows,
 * by the library that PALOMBE_BLAS and PALOMBE_BF16 choose; the figures of doc/results/blas.md.
 *
 *   bench_products [THREADS]      (default 1: threads that do the same at once, the slowest counts)
 *
 * GFLOP/s per thread of
 *   sgemm   the library's own fp32 product on the matrices as they lie
 *   fp32    plb_product() in fp32
 *   bf16    plb_product() in bf16 (C in bf16 forward, in fp32 backward)
 * and GB/s of weights for few rows. Time is the processor's time of the thread. Operands rotate
 * over COPIES sets.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "codelets/common/cpu.h"
#include "codelets/common/elements.h"
#include "codelets/common/product.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COPIES = 8, ROUNDS = 10, THREADS_MAX = 16 };

enum direction { FORWARD, DX, DW }; /* x w^T, dy w, dy^T x */

/* clang-format off */
static const struct shape {
    const char *what;
    enum direction direction;
    int64_t m, n, k;
} shapes[] = {
    {"decode 1 row", FORWARD, 1, 2304, 768},   {"decode 4 rows", FORWARD, 4, 2304, 768},
    {"decode 8 rows", FORWARD, 8, 2304, 768},  {"decode, head", FORWARD, 1, 786, 768},
    {"16 rows", FORWARD, 16, 2304, 768},       {"32 rows", FORWARD, 32, 2304, 768},
    {"qkv", FORWARD, 64, 576, 768},            {"fc", FORWARD, 64, 614, 768},
    {"proj", FORWARD, 64, 154, 3072},          {"head", FORWARD, 64, 786, 768},
    {"qkv", FORWARD, 128, 576, 768},           {"fc", FORWARD, 128, 614, 768},
    {"proj", FORWARD, 128, 154, 3072},         {"head", FORWARD, 128, 786, 768},
    {"fc dx", DX, 64, 768, 614},               {"proj dx", DX, 64, 3072, 154},
    {"head dx", DX, 64, 768, 786},             {"fc dx", DX, 128, 768, 614},
    {"proj dx", DX, 128, 3072, 154},           {"head dx", DX, 128, 768, 786},
    {"fc dw", DW, 614, 768, 64},               {"fc dw", DW, 614, 768, 128},
    {"fc dw", DW, 614, 768, 256},              {"proj dw", DW, 154, 3072, 256},
    {"head dw", DW, 786, 768, 256},
};
/* clang-format on */

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

enum way { SGEMM, FP32, BF16, WAYS };

struct worker {
    const struct shape *shape;
    enum way way;
    double seconds; /* of one product */
    enum plb_status status;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *matrix_make(enum plb_dtype dtype, int64_t elements)
{
    const struct plb_tensor cell = {
        .data = aligned_alloc(64, (size_t)(elements * 4 + 63) / 64 * 64), .dtype = dtype};

    for (int64_t i = 0; cell.data != NULL && i < elements; i++) {
        float x = (float)(i * 7919 % 1009) / 1009.0f - 0.5f;

        plb__store(&cell, i, &x, 1);
    }
    return cell.data;
}

static struct plb_product product_make(const struct shape *s, enum way way)
{
    enum plb_dtype dtype = way == BF16 ? PLB_BF16 : PLB_F32;
    struct plb_product p = {
        .m = s->m,
        .n = s->n,
        .k = s->k,
        .a = {.dtype = dtype, .transposed = s->direction == DW},
        .b = {.dtype = dtype, .transposed = s->direction == FORWARD},
        .c_dtype = s->direction == FORWARD ? dtype : PLB_F32,
        .c_stride = s->n,
        .accumulate = s->direction != FORWARD,
    };

    p.a.stride = p.a.transposed ? s->m : s->k;
    p.b.stride = p.b.transposed ? s->k : s->n;
    p.a.data = matrix_make(dtype, s->m * s->k * COPIES);
    p.b.data = matrix_make(dtype, s->n * s->k * COPIES);
    p.c = matrix_make(p.c_dtype, s->m * s->n * COPIES);
    return p;
}

/* The product on copy `c` of the operands. */
static enum plb_status product_run(const struct plb_product *all, enum way way, int64_t c,
                                   void *scratch)
{
    struct plb_product p = *all;
    int64_t size = way == BF16 ? 2 : 4, c_size = p.c_dtype == PLB_BF16 ? 2 : 4;

    p.a.data = (const char *)p.a.data + c * p.m * p.k * size;
    p.b.data = (const char *)p.b.data + c * p.n * p.k * size;
    p.c = (char *)p.c + c * p.m * p.n * c_size;
    if (way == SGEMM) {
        const struct plb__sgemm call = {
            .ta = p.a.transposed,
            .tb = p.b.transposed,
            .accumulate = p.accumulate,
            .m = p.m,
            .n = p.n,
            .k = p.k,
            .a = p.a.data,
            .lda = p.a.stride,
            .b = p.b.data,
            .ldb = p.b.stride,
            .c = p.c,
            .ldc = p.c_stride,
        };

        return plb__sgemm(&call);
    }
    return plb_product(&p, scratch);
}

static void *work(void *argument)
{
    struct worker *w = argument;
    struct plb_product p = product_make(w->shape, w->way);
    void *scratch = aligned_alloc(64, (plb_product_scratch(&p) + 127) / 64 * 64);

    w->seconds = HUGE_VAL;
    for (int round = 0; round < ROUNDS && w->status == PLB_OK; round++) {
        double start = now();

        for (int64_t c = 0; c < COPIES && w->status == PLB_OK; c++)
            w->status = product_run(&p, w->way, c, scratch);
        w->seconds = fmin(w->seconds, (now() - start) / COPIES);
    }
    free((void *)(uintptr_t)p.a.data);
    free((void *)(uintptr_t)p.b.data);
    free(p.c);
    free(scratch);
    return NULL;
}

/* Seconds of the slowest thread; 0 when a product failed. */
static double measure(const struct shape *shape, enum way way, int threads)
{
    pthread_t thread[THREADS_MAX];
    struct worker worker[THREADS_MAX];
    double slowest = 0.0;
    int started = 0;

    for (; started < threads; started++) {
        worker[started] = (struct worker){.shape = shape, .way = way, .status = PLB_OK};
        if (pthread_create(&thread[started], NULL, work, &worker[started]) != 0)
            break;
    }
    for (int t = 0; t < started; t++) {
        pthread_join(thread[t], NULL);
        slowest = worker[t].status == PLB_OK ? fmax(slowest, worker[t].seconds) : HUGE_VAL;
    }
    return slowest;
}

static void shape_report(const struct shape *s, int threads)
{
    double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k * 1e-9;
    double seconds[WAYS];

    for (int way = 0; way < WAYS; way++)
        seconds[way] = measure(s, (enum way)way, threads);
    printf("%-14s %4d x %4d x %4d  %6.1f %6.1f %6.1f", s->what, (int)s->m, (int)s->n, (int)s->k,
           flops / seconds[SGEMM], flops / seconds[FP32], flops / seconds[BF16]);
    if (s->m <= 8)
        printf("   weights at %.1f and %.1f GB/s", (double)(s->n * s->k) * 4e-9 / seconds[FP32],
               (double)(s->n * s->k) * 2e-9 / seconds[BF16]);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    struct plb_blas_info info;

    if (threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "bench_products: 1 to %d threads, not %s\n", THREADS_MAX, argv[1]);
        return 1;
    }
    if (plb_blas_start() != PLB_OK) {
        fprintf(stderr, "bench_products: %s\n", plb_error_message());
        return 1;
    }
    plb_blas_inspect(&info);
    printf("%s; %s (oneDNN %s, %s; %s, core %s), bf16 as %s; %d thread%s\n",
           plb_cpu_features()->model, info.library, info.onednn_version, info.onednn_isa,
           info.openblas_version, info.openblas_core, info.bf16, threads, threads == 1 ? "" : "s");
    printf("%-14s %4s   %4s   %4s   %6s %6s %6s  GFLOP/s per thread\n", "", "m", "n", "k", "sgemm",
           "fp32", "bf16");
    for (int k = 0; k < SHAPES; k++)
        shape_report(&shapes[k], threads);
    return 0;
}
