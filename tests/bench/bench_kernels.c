/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast the CPU kernels of all operators are on one core, each on a task of the size that
 * training GPT-2 124M or a small model of images gives it.
 *
 *   bench_kernels [--json] [NAME...]     (only operators whose name contains one of NAMEs)
 *
 * For each: microseconds (the least of several rounds), GFLOP/s, GB/s by the operator's own cost,
 * and the ratio of the floor to the time. The floor is the larger of flops at the processor's peak
 * and bytes at the speed of reading memory, both measured here first, in plain loops. Operands
 * rotate over ROTATE_BYTES so that they do not come from the inner caches, as in a real step.
 * Nothing is asserted; this is no test.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/blas.h"
#include "codelets/common/cpu.h"
#include "codelets/common/elements.h"
#include "runtime/run/invoke.h"
#include "tests/bench/bench_cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ROTATE_BYTES = 48 << 20,
    COPIES_MAX = 64,
    ROUNDS = 7,
    SMALL_INTEGERS = 32, /* tokens, targets and indices are below this */
    POSITION = 1023,     /* in the cache */
};

static const double round_seconds = 0.02;

/* N rows of 64 or 128 are a slice of a batch of 4 x 64; 614 x 768 and 786 x 768 are blocks of
 * weights. */
/* clang-format off */
static const struct bench benches[] = {
    {"embedding", "64 rows", "i64 r8192,768", I(0)},
    {"embedding_dw", "682 words", "i256 r256,768", I(682)},
    {"linear", "1 row", "r1,768 r2304,768 r2304", I(0)},
    {"linear", "8 rows", "r8,768 r2304,768 r2304", I(0)},
    {"linear", "fc, 64 rows", "r64,768 r614,768 r614", I(0)},
    {"linear", "fc, 128 rows", "r128,768 r614,768 r614", I(0)},
    {"linear", "proj, 64 rows", "r64,3072 r154,3072 r154", I(0)},
    {"linear", "proj, 128 rows", "r128,3072 r154,3072 r154", I(0)},
    {"linear", "head, 128 rows", "r128,768 r786,768 -", I(0)},
    {"linear_dx", "fc, 64 rows", "r64,3072 r3072,768", I(0)},
    {"linear_dx", "proj, 128 rows", "r128,768 r768,3072", I(0)},
    {"linear_dx", "head, 128 rows", "r128,786 r786,768", I(0)},
    {"linear_dw", "fc block", "r256,768 r256,614", I(0)},
    {"linear_dw", "proj block", "r256,3072 r256,154", I(0)},
    {"linear_dw", "head block", "r256,768 r256,786", I(0)},
    {"linear_db", "fc", "r256,3072", I(0)},
    {"layer_norm", "64 rows", "r64,768 r768 r768", {.f = {1e-5}}},
    {"layer_norm_dx", "64 rows", "r64,768 r64,768 r768 f64 f64", {.f = {1e-5}}},
    {"layer_norm_dw", "256 rows", "r256,768 r256,768 f256 f256", {.f = {1e-5}}},
    {"rms_norm", "64 rows", "r64,768 r768", {.f = {1e-5}}},
    {"rms_norm_dx", "64 rows", "r64,768 r64,768 r768 f64", {.f = {1e-5}}},
    {"rms_norm_dw", "256 rows", "r256,768 r256,768 f256", {.f = {1e-5}}},
    {"gelu", "tanh", "r64,3072", I(PLB_GELU_TANH)},
    {"gelu", "erf", "r64,3072", I(PLB_GELU_ERF)},
    {"gelu_dx", "tanh", "r64,3072 r64,3072", I(PLB_GELU_TANH)},
    {"relu", "", "r64,3072", I(0)},
    {"relu_dx", "", "r64,3072 r64,3072", I(0)},
    {"silu", "", "r64,2048", I(0)},
    {"silu_dx", "", "r64,2048 r64,2048", I(0)},
    {"swiglu", "", "r64,4096", I(0)},
    {"swiglu_dx", "", "r64,2048 r64,4096", I(0)},
    {"rope", "", "r64,2304 i64", {.i = {24, 64, 1, 0, 0}, .f = {10000, 1, 1, 1}}},
    {"attention", "T 64", "r64,2304", I(12, 12, 64, 64)},
    {"attention", "T 1024", "r1024,2304", I(12, 12, 64, 1024)},
    {"attention_dx", "T 64", "r64,768 r64,2304 r64,768 f64,12", I(12, 12, 64, 64)},
    {"attention_dx", "T 1024", "r1024,768 r1024,2304 r1024,768 f1024,12", I(12, 12, 64, 1024)},
    {"cache_write", "1 row", "r1024,1536 r1,2304 p1", I(12, 12, 64, 1, 1024)},
    {"attention_cached", "1 row", "r1,2304 r1024,1536 p1", I(12, 12, 64, 1, 1024)},
    {"take_rows", "", "r256,768 i32", I(0)},
    {"cross_entropy", "", "r64,50257 i64", I(0)},
    {"cross_entropy_dx", "", "r64,50257 i64 f64 f64", I(0)},
    {"mean_loss", "", "f256 i256", I(0)},
    {"mean_loss_dx", "", "f1 i256", I(0)},
    {"add", "", "r64,768 r64,768", I(0)},
    {"sum", "of 4", "f614,768 f614,768 f614,768 f614,768", I(PLB_F32)},
    {"dropout", "", "r64,768", {.i = {1, 1}, .f = {0.1}}},
    {"cast", "to f32", "r614,768", I(PLB_F32)},
    {"reshape", "", "r64,768", I(64, 12, 64)},
    {"fill", "", "", {.f = {1}}},
    {"conv2d", "16 images", "r16,32,28,28 r64,32,3,3 r64", I(1, 1)},
    {"conv2d_dx", "16 images", "r16,64,28,28 r64,32,3,3", I(1, 1, 28, 28)},
    {"conv2d_dw", "16 images", "r16,32,28,28 r16,64,28,28", I(1, 1, 3, 3)},
    {"conv2d_db", "16 images", "r16,64,28,28", I(0)},
    {"max_pool2d", "16 images", "r16,32,28,28", I(2, 2)},
    {"max_pool2d_dx", "16 images", "r16,32,14,14 i16,32,14,14", I(2, 2, 28, 28)},
    {"avg_pool2d", "16 images", "r16,32,28,28", I(2, 2)},
    {"avg_pool2d_dx", "16 images", "r16,32,14,14", I(2, 2, 28, 28)},
    {"upsample2d", "16 images", "r16,32,14,14", I(2)},
    {"upsample2d_dx", "16 images", "r16,32,28,28", I(2)},
    {"adamw", "block", "f614,768 f614,768 f614,768 f614,768 f4 f1 -",
     {.f = {0.9, 0.95, 1e-8, 0.1}}},
    {"adamw", "block, bf16 copy", "f614,768 f614,768 f614,768 f614,768 f4 f1 b614,768",
     {.f = {0.9, 0.95, 1e-8, 0.1}}},
    {"sgd", "block", "f614,768 f614,768 f614,768 f4 f1 -", {.f = {0.9, 0.1}}},
    {"sum_squares", "block", "f614,768", I(0)},
    {"clip_scale", "of 4", "d1 d1 d1 d1", {.f = {1}}},
};
/* clang-format on */

enum { BENCHES = sizeof(benches) / sizeof(benches[0]) };

/* The processor's time of this thread: what other programs take of it does not count, though they
 * do share caches and memory. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- floors ----------------------------------------------------------------------------------- */

typedef float f16 __attribute__((vector_size(64)));

/* Fused multiply-adds on `sums` independent sums of 16 floats; the loop is all there is. */
#define FMA_LOOP(name, sums)                                                                       \
    PLB_KERNEL_CLONES static float name(int64_t n, float a, float b)                               \
    {                                                                                              \
        f16 sum[sums];                                                                             \
        float total = 0.0f;                                                                        \
                                                                                                   \
        for (int j = 0; j < (sums); j++)                                                           \
            sum[j] = (f16){(float)j};                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            for (int j = 0; j < (sums); j++)                                                       \
                sum[j] = sum[j] * a + b;                                                           \
        }                                                                                          \
        for (int j = 0; j < (sums); j++)                                                           \
            total += sum[j][0] + sum[j][15];                                                       \
        return total;                                                                              \
    }

enum { SUMS_NARROW = 6, SUMS_WIDE = 12, FMA_STEPS = 200000 };

FMA_LOOP(fma_narrow, 6)
FMA_LOOP(fma_wide, 12)

static volatile float sink;

static double peak_flops(void)
{
    bool wide = plb_cpu_features()->avx512;
    int sums = wide ? SUMS_WIDE : SUMS_NARROW;
    double best = 0.0;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now(), flops = 2.0 * 16.0 * sums * FMA_STEPS;

        sink = wide ? fma_wide(FMA_STEPS, 0.999f, 0.001f) : fma_narrow(FMA_STEPS, 0.999f, 0.001f);
        flops /= now() - start;
        best = flops > best ? flops : best;
    }
    return best;
}

PLB_KERNEL_CLONES static float read_all(const float *x, int64_t n)
{
    float lane[PLB_LANES * 2] = {0};

    for (int64_t i = 0; i < n; i += PLB_LANES * 2) {
        for (int j = 0; j < PLB_LANES * 2; j++)
            lane[j] += x[i + j];
    }
    return lane[0] + lane[1];
}

static double read_speed(void)
{
    int64_t n = ROTATE_BYTES / (int64_t)sizeof(float);
    float *x = aligned_alloc(64, ROTATE_BYTES);
    double best = 0.0;

    for (int64_t i = 0; x != NULL && i < n; i++)
        x[i] = 1.0f;
    for (int round = 0; x != NULL && round < ROUNDS; round++) {
        double start = now();

        sink = read_all(x, n);
        best = fmax(best, ROTATE_BYTES / (now() - start));
    }
    free(x);
    return best;
}

/* --- one kernel ------------------------------------------------------------------------------- */

static void *value_make(const struct plb_value_info *info)
{
    const struct bench_filling filling = {SMALL_INTEGERS, POSITION};
    void *data = aligned_alloc(64, (plb_type_bytes(&info->type) + 63) / 64 * 64);

    if (data != NULL)
        bench_fill(info, &filling, data, plb_shape_elements(&info->type.shape));
    return data;
}

struct result {
    double seconds, flops, bytes;
    enum plb_status status;
};

/* The least time of a call over some rounds of calls on rotating copies of the operands. */
static double time_of(const struct plb__invocation *call, void *const *data, int copies,
                      void *scratch, enum plb_status *status)
{
    double best = HUGE_VAL;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now(), seconds;
        int64_t calls = 0;

        do {
            *status =
                plb__invocation_run(call, data + (calls % copies) * call->n_cells, 1, scratch);
            calls++;
            seconds = now() - start;
        } while (*status == PLB_OK && (seconds < round_seconds || calls < copies));
        best = fmin(best, seconds / (double)calls);
    }
    return best;
}

static int copies_for(size_t bytes)
{
    size_t copies = ROTATE_BYTES / (bytes + 1) + 1;

    return copies < COPIES_MAX ? (int)copies : COPIES_MAX;
}

static enum plb_status run_task(const plb_graph_t *graph, struct result *result)
{
    const struct plb_task *task = plb_graph_task(graph, 0);
    uint32_t n_in = task->in_start[task->n_in], n;
    struct plb__invocation call;
    int copies = copies_for((size_t)result->bytes);
    void **data, *scratch;

    PLB_TRY(plb__invocation_prepare(graph, 0, false, &call));
    n = call.n_cells;
    data = calloc((size_t)copies * n, sizeof *data);
    scratch = aligned_alloc(64, (call.scratch_bytes + 127) / 64 * 64);
    for (uint32_t i = 0; i < (uint32_t)copies * n; i++) {
        plb_value v = i % n < n_in ? task->in[i % n] : task->out[i % n - n_in];

        data[i] = value_make(plb_graph_value(graph, v));
    }
    result->seconds = time_of(&call, data, copies, scratch, &result->status);
    for (uint32_t i = 0; i < (uint32_t)copies * n; i++)
        free(data[i]);
    free(data);
    free(scratch);
    plb__invocation_clear(&call);
    return result->status;
}

static enum plb_status bench_run(const struct bench *bench, enum plb_dtype real,
                                 struct result *result_out)
{
    plb_graph_t *graph = bench_graph(bench, real);
    enum plb_status status = plb_graph_status(graph);
    struct plb_cost cost;

    if (status == PLB_OK) {
        plb_task_get_cost(graph, plb_graph_task(graph, 0), &cost);
        result_out->flops = cost.flops;
        result_out->bytes = cost.bytes;
        status = run_task(graph, result_out);
    }
    plb_graph_destroy(graph);
    return status;
}

/* --- the report ------------------------------------------------------------------------------- */

struct floors {
    double flops, read;
};

static void report(const struct bench *bench, enum plb_dtype real, const struct result *r,
                   const struct floors *floors, bool json)
{
    double floor = fmax(r->flops / floors->flops, r->bytes / floors->read);

    printf(
        json
            ? "{\"operator\": \"%s\", \"case\": \"%s\", \"dtype\": \"%s\", \"microseconds\": %.2f, "
              "\"gflops\": %.1f, \"gbytes\": %.2f, \"of_floor\": %.3f}\n"
            : "%-17s %-17s %-4s %9.1f us %7.1f GFLOP/s %6.1f GB/s %5.2f of the floor\n",
        bench->op, bench->what, plb_dtype_name(real), r->seconds * 1e6,
        r->flops / r->seconds * 1e-9, r->bytes / r->seconds * 1e-9, floor / r->seconds);
}

static void report_floors(const struct floors *floors, bool json)
{
    struct plb_blas_info info;

    plb_blas_inspect(&info);
    printf(json ? "{\"cpu\": \"%s\", \"library\": \"%s\", \"bf16\": \"%s\", \"peak_gflops\": %.1f, "
                  "\"read_gbytes\": %.2f}\n"
                : "%s; %s, bf16 as %s; peak %.1f GFLOP/s, reading %.1f GB/s\n",
           plb_cpu_features()->model, info.library, info.bf16, floors->flops * 1e-9,
           floors->read * 1e-9);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    struct floors floors = {.flops = peak_flops(), .read = read_speed()};
    int failed = bench_forgotten("bench_kernels", benches, BENCHES), names = argc - 1 - json;

    report_floors(&floors, json);
    for (int k = 0; k < BENCHES; k++) {
        if (!bench_wanted(benches[k].op, names, argv + 1 + json))
            continue;
        for (int dtype = PLB_F32; dtype <= (bench_has_real(&benches[k]) ? PLB_BF16 : PLB_F32); dtype++) {
            struct result result = {.status = PLB_OK};

            if (bench_run(&benches[k], (enum plb_dtype)dtype, &result) == PLB_OK) {
                report(&benches[k], (enum plb_dtype)dtype, &result, &floors, json);
            } else {
                fprintf(stderr, "bench_kernels: %s: %s\n", benches[k].op, plb_error_message());
                failed++;
            }
        }
    }
    return failed == 0 ? 0 : 1;
}
