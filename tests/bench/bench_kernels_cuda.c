/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast the kernels of all operators are on a CUDA card, each on a task of the size that
 * training GPT-2 or LLaMA 7B or a network of images gives it.
 *
 *   bench_kernels_cuda [--json] [--tf32] [--quick] [NAME...]
 *
 * For each operator whose name contains one of NAMEs (all without one): microseconds by the card's
 * own clock (the median of ROUNDS rounds of launches one after the other), TFLOP/s and GB/s by the
 * operator's own cost, and the ratio of the floor to the time. The floor is the larger of flops at
 * the rate of a large product by cublasLt and bytes at the speed of copying within the card, both
 * measured first, in this run, on numbers as if at random. Operands rotate over ROTATE_BYTES, so
 * that they do not come from the cache. --quick takes small operands, to see whether everything
 * runs; its figures mean nothing. Nothing is asserted; this is no test.
 */
#include "config.h"

#include "runtime/run/cuda_module.h"
#include "runtime/run/invoke.h"
#include "tests/bench/bench_cases.h"

#include <cuda_runtime_api.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROTATE_BYTES = 256 << 20, /* several times the second-level cache */
    COPIES_MAX = 16,
    ROUNDS = 7,
    CALLS_MAX = 2000, /* of a round */
    SMALL_INTEGERS = 700,
    POSITION = 1023,
    WORKSPACE = 32 << 20,
    PERIOD = 1 << 22, /* elements after which operands repeat */
    ALIGNMENT = 256,
};

static const double round_seconds = 0.01;

/* clang-format off */
static const struct bench benches[] = {
    {"embedding", "8192 rows", "i8192 r32000,4096", I(0)},
    {"embedding_dw", "8192 rows", "i8192 r8192,4096", I(32000)},
    {"linear", "square", "r8192,8192 r8192,8192 -", I(0)},
    {"linear", "7B qkv", "r8192,4096 r12288,4096 -", I(0)},
    {"linear", "7B up", "r8192,4096 r22016,4096 -", I(0)},
    {"linear", "7B down", "r8192,11008 r4096,11008 -", I(0)},
    {"linear", "124M up, bias", "r16384,768 r3072,768 r3072", I(0)},
    {"linear", "124M head", "r16384,768 r50257,768 -", I(0)},
    {"linear", "1 row", "r1,4096 r12288,4096 -", I(0)},
    {"linear_dx", "7B down", "r8192,4096 r4096,11008", I(0)},
    {"linear_dx", "124M head", "r16384,50257 r50257,768", I(0)},
    {"linear_dw", "7B down", "r8192,11008 r8192,4096", I(0)},
    {"linear_dw", "124M head", "r16384,768 r16384,50257", I(0)},
    {"linear_db", "124M up", "r16384,3072", I(0)},
    {"layer_norm", "1.5B", "r16384,1600 r1600 r1600", {.f = {1e-5}}},
    {"layer_norm_dx", "1.5B", "r16384,1600 r16384,1600 r1600 f16384 f16384", {.f = {1e-5}}},
    {"layer_norm_dw", "1.5B", "r16384,1600 r16384,1600 f16384 f16384", {.f = {1e-5}}},
    {"rms_norm", "7B", "r16384,4096 r4096", {.f = {1e-5}}},
    {"rms_norm_dx", "7B", "r16384,4096 r16384,4096 r4096 f16384", {.f = {1e-5}}},
    {"rms_norm_dw", "7B", "r16384,4096 r16384,4096 f16384", {.f = {1e-5}}},
    {"gelu", "tanh", "r16384,6400", I(1)},
    {"gelu", "erf", "r16384,6400", I(0)},
    {"gelu_dx", "tanh", "r16384,6400 r16384,6400", I(1)},
    {"relu", "", "r16384,6400", I(0)},
    {"relu_dx", "", "r16384,6400 r16384,6400", I(0)},
    {"silu", "", "r8192,11008", I(0)},
    {"silu_dx", "", "r8192,11008 r8192,11008", I(0)},
    {"swiglu", "7B", "r8192,22016", I(0)},
    {"swiglu_dx", "7B", "r8192,11008 r8192,22016", I(0)},
    {"rope", "7B", "r8192,12288 i8192", {.i = {64, 128, 1, 0, 0}, .f = {10000, 1, 1, 1}}},
    {"attention", "124M, T 1024", "r16384,2304", I(12, 12, 64, 1024)},
    {"attention", "7B, T 2048", "r8192,12288", I(32, 32, 128, 2048)},
    {"attention", "7B, T 8192", "r8192,12288", I(32, 32, 128, 8192)},
    {"attention_dx", "124M, T 1024", "r16384,768 r16384,2304 r16384,768 f16384,12", I(12, 12, 64, 1024)},
    {"attention_dx", "7B, T 2048", "r8192,4096 r8192,12288 r8192,4096 f8192,32", I(32, 32, 128, 2048)},
    {"cache_write", "16 rows", "r32768,8192 r16,12288 p16", I(32, 32, 128, 1, 2048)},
    {"attention_cached", "16 rows", "r16,12288 r32768,8192 p16", I(32, 32, 128, 1, 2048)},
    {"take_rows", "", "r8192,4096 i8192", I(0)},
    {"cross_entropy", "124M", "r8192,50257 i8192", I(0)},
    {"cross_entropy_dx", "124M", "r8192,50257 i8192 f8192 f8192", I(0)},
    {"mean_loss", "", "f16384 i16384", I(0)},
    {"mean_loss_dx", "", "f1 i16384", I(0)},
    {"add", "", "r16384,4096 r16384,4096", I(0)},
    {"sum", "of 4", "f4096,4096 f4096,4096 f4096,4096 f4096,4096", I(PLB_F32)},
    {"dropout", "", "r16384,4096", {.i = {1, 1}, .f = {0.1}}},
    {"cast", "to f32", "r16384,4096", I(PLB_F32)},
    {"reshape", "", "r8192,32,128", I(8192, 4096)},
    {"fill", "", "", {.f = {1}}},
    {"conv2d", "64 images", "r64,64,56,56 r128,64,3,3 r128", I(1, 1)},
    {"conv2d_dx", "64 images", "r64,128,56,56 r128,64,3,3", I(1, 1, 56, 56)},
    {"conv2d_dw", "64 images", "r64,64,56,56 r64,128,56,56", I(1, 1, 3, 3)},
    {"conv2d_db", "64 images", "r64,128,56,56", I(0)},
    {"max_pool2d", "64 images", "r64,128,56,56", I(2, 2)},
    {"max_pool2d_dx", "64 images", "r64,128,28,28 i64,128,28,28", I(2, 2, 56, 56)},
    {"avg_pool2d", "64 images", "r64,128,56,56", I(2, 2)},
    {"avg_pool2d_dx", "64 images", "r64,128,28,28", I(2, 2, 56, 56)},
    {"upsample2d", "64 images", "r64,128,28,28", I(2)},
    {"upsample2d_dx", "64 images", "r64,128,56,56", I(2)},
    {"adamw", "7B up", "f22016,4096 f22016,4096 f22016,4096 f22016,4096 f4 f1 -",
     {.f = {0.9, 0.95, 1e-8, 0.1}}},
    {"adamw", "7B up, bf16 copy",
     "f22016,4096 f22016,4096 f22016,4096 f22016,4096 f4 f1 b22016,4096",
     {.f = {0.9, 0.95, 1e-8, 0.1}}},
    {"sgd", "7B up", "f22016,4096 f22016,4096 f22016,4096 f4 f1 -", {.f = {0.9, 0.1}}},
    {"sum_squares", "7B up", "f22016,4096", I(0)},
    {"clip_scale", "of 4", "d1 d1 d1 d1", {.f = {1}}},
};

/* What --quick measures in their place. */
static const struct bench small[] = {
    {"linear", "", "r32,64 r48,64 r48", I(0)},
    {"add", "", "r32,64 r32,64", I(0)},
};
/* clang-format on */

enum { BENCHES = sizeof(benches) / sizeof(benches[0]), SMALLS = sizeof(small) / sizeof(small[0]) };

/* --- the card --------------------------------------------------------------------------------- */

struct card {
    const struct plb__cuda_module *module;
    struct plb__cuda_context *context;
    struct plb__cuda_card info;
    struct plb_cuda_queue queue;
    cudaEvent_t before, after;
    int driver, toolkit;
};

static enum plb_status cuda(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return PLB_OK;
    return plb_fail(PLB_ERROR_DEVICE, "%s: %s", what, cudaGetErrorString(error));
}

static enum plb_status card_open(struct card *card, bool tf32)
{
    const struct plb__cuda_cards *cards;
    void *fault;

    PLB_TRY(plb__cuda_module_load(&card->module));
    cards = card->module->cards;
    cards->versions(&card->driver, &card->toolkit);
    PLB_TRY(cards->describe(0, &card->info));
    PLB_TRY(cards->open(0, &card->context));
    card->module->work->queue(card->context, NULL, &card->queue);
    PLB_TRY(card->module->memory->take(card->context, WORKSPACE, &card->queue.workspace));
    PLB_TRY(card->module->memory->take(card->context, ALIGNMENT, &fault));
    PLB_TRY(cuda(cudaMemset(fault, 0xff, sizeof *card->queue.fault), "cudaMemset"));
    card->queue.workspace_bytes = WORKSPACE;
    card->queue.fault = fault;
    card->queue.tf32 = tf32;
    PLB_TRY(cuda(cudaEventCreate(&card->before), "cudaEventCreate"));
    return cuda(cudaEventCreate(&card->after), "cudaEventCreate");
}

static void card_close(struct card *card)
{
    if (card->context == NULL)
        return;
    card->module->memory->give(card->context, card->queue.workspace);
    card->module->memory->give(card->context, card->queue.fault);
    card->module->cards->close(card->context);
}

/* --- one task --------------------------------------------------------------------------------- */

struct task {
    struct card *card;
    const struct plb_cuda_operator *kernel;
    struct plb__invocation invocation;
    size_t scratch_bytes;
    int copies;
    void *data[COPIES_MAX * 32]; /* copies x cells */
    struct plb_call call[COPIES_MAX];
    void *frames, *scratch;
};

/* What must be done one after the other and timed. */
typedef enum plb_status (*work)(void *of, int64_t i);

static enum plb_status task_run(void *of, int64_t i)
{
    struct task *task = of;

    return task->kernel->run(&task->call[i % task->copies], &task->card->queue);
}

/* Seconds that n pieces of work take, by the card's clock. */
static enum plb_status time_once(struct card *card, work w, void *of, int64_t n,
                                 double *seconds_out)
{
    float milliseconds;

    PLB_TRY(cuda(cudaEventRecord(card->before, card->queue.stream), "cudaEventRecord"));
    for (int64_t i = 0; i < n; i++)
        PLB_TRY(w(of, i));
    PLB_TRY(cuda(cudaEventRecord(card->after, card->queue.stream), "cudaEventRecord"));
    PLB_TRY(cuda(cudaEventSynchronize(card->after), "cudaEventSynchronize"));
    PLB_TRY(cuda(cudaEventElapsedTime(&milliseconds, card->before, card->after),
                 "cudaEventElapsedTime"));
    *seconds_out = 1e-3 * (double)milliseconds;
    return PLB_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median over rounds of the time of one piece. */
static enum plb_status time_of(struct card *card, work w, void *of, double *seconds_out)
{
    double round[ROUNDS], once;
    int64_t n;

    PLB_TRY(time_once(card, w, of, COPIES_MAX, &once)); /* loads kernels, chooses algorithms */
    PLB_TRY(time_once(card, w, of, 2, &once));
    n = (int64_t)(round_seconds / fmax(once / 2.0, 1e-7)) + 1;
    n = n < CALLS_MAX ? n : CALLS_MAX;
    for (int r = 0; r < ROUNDS; r++) {
        PLB_TRY(time_once(card, w, of, n, &round[r]));
        round[r] /= (double)n;
    }
    qsort(round, ROUNDS, sizeof round[0], ascending);
    *seconds_out = round[ROUNDS / 2];
    return PLB_OK;
}

/* A value on the card. What is beyond the first PERIOD elements repeats them. */
static enum plb_status value_make(const struct task *task, const struct plb_value_info *info,
                                  void **data_out)
{
    const struct bench_filling filling = {SMALL_INTEGERS, POSITION};
    const struct plb__cuda_memory *memory = task->card->module->memory;
    size_t bytes = plb_type_bytes(&info->type), size = plb_dtype_bytes(info->type.dtype);
    size_t period = bytes < PERIOD * size ? bytes : PERIOD * size;
    enum plb_status status;
    void *host = malloc(period);

    if (host == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no %zu bytes to fill an operand from", period);
    bench_fill(info, &filling, host, (int64_t)(period / size));
    status = memory->take(task->card->context, bytes, data_out);
    for (size_t at = 0; status == PLB_OK && at < bytes; at += period)
        status = memory->copy(task->card->context, PLB__CUDA_IN, (char *)*data_out + at, host,
                              period < bytes - at ? period : bytes - at);
    free(host);
    return status;
}

static enum plb_status task_fill(struct task *task, const plb_graph_t *graph)
{
    const struct plb_task *of = plb_graph_task(graph, 0);
    uint32_t n_in = of->in_start[of->n_in], n = task->invocation.n_cells;
    size_t frame_bytes = plb__invocation_frame_bytes(&task->invocation);

    task->frames = aligned_alloc(64, (size_t)task->copies * frame_bytes);
    if (task->frames == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for calls");
    for (uint32_t i = 0; i < (uint32_t)task->copies * n; i++) {
        plb_value v = i % n < n_in ? of->in[i % n] : of->out[i % n - n_in];

        PLB_TRY(value_make(task, plb_graph_value(graph, v), &task->data[i]));
    }
    if (task->scratch_bytes > 0)
        PLB_TRY(task->card->module->memory->take(task->card->context, task->scratch_bytes,
                                                 &task->scratch));
    for (int c = 0; c < task->copies; c++) {
        const struct plb__frame frame = {.frame = (char *)task->frames + (size_t)c * frame_bytes,
                                         .alignment = ALIGNMENT};

        PLB_TRY(plb__invocation_fill(&task->invocation, task->data + (uint32_t)c * n, 1, &frame,
                                     &task->call[c]));
        task->call[c].scratch = task->scratch;
    }
    return PLB_OK;
}

static enum plb_status task_make(struct task *task, const plb_graph_t *graph, double bytes)
{
    const struct plb_task *of = plb_graph_task(graph, 0);
    double copies = ROTATE_BYTES / (bytes + 1.0) + 1.0;
    struct plb_task_types types;

    task->copies = copies < COPIES_MAX ? (int)copies : COPIES_MAX;
    task->kernel = task->card->module->work->find(of->op->name);
    if (task->kernel == NULL)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "no kernel");
    PLB_TRY(plb__invocation_prepare(graph, 0, true, &task->invocation));
    plb_task_get_types(graph, of, &types);
    task->scratch_bytes = task->kernel->scratch == NULL ? 0 : task->kernel->scratch(&types);
    return task_fill(task, graph);
}

static void task_clear(struct task *task)
{
    const struct plb__cuda_memory *memory = task->card->module->memory;

    for (size_t i = 0; i < sizeof task->data / sizeof task->data[0]; i++) {
        if (task->data[i] != NULL)
            memory->give(task->card->context, task->data[i]);
    }
    if (task->scratch != NULL)
        memory->give(task->card->context, task->scratch);
    free(task->frames);
    plb__invocation_clear(&task->invocation);
}

struct result {
    double seconds, flops, bytes;
};

static enum plb_status bench_run(struct card *card, const struct bench *bench, enum plb_dtype real,
                                 struct result *result_out)
{
    plb_graph_t *graph = bench_graph(bench, real);
    struct task task = {.card = card};
    enum plb_status status = plb_graph_status(graph);
    struct plb_cost cost;

    if (status == PLB_OK) {
        plb_task_get_cost(graph, plb_graph_task(graph, 0), &cost);
        result_out->flops = cost.flops;
        result_out->bytes = cost.bytes;
        status = task_make(&task, graph, cost.bytes);
    }
    if (status == PLB_OK)
        status = time_of(card, task_run, &task, &result_out->seconds);
    task_clear(&task);
    plb_graph_destroy(graph);
    return status;
}

/* --- floors ----------------------------------------------------------------------------------- */

struct floors {
    double flops[2]; /* of f32 and bf16: the square product */
    double bytes;    /* read and written */
};

struct copying {
    struct card *card;
    void *memory;
    size_t bytes; /* the second half follows the first */
};

static enum plb_status copy_run(void *of, int64_t i)
{
    struct copying *c = of;
    char *half[] = {c->memory, (char *)c->memory + c->bytes};

    return cuda(cudaMemcpyAsync(half[i % 2], half[(i + 1) % 2], c->bytes, cudaMemcpyDeviceToDevice,
                                c->card->queue.stream),
                "cudaMemcpyAsync");
}

static enum plb_status measure_floors(struct card *card, bool quick, struct floors *floors_out)
{
    const struct bench *square = quick ? &small[0] : &benches[2];
    struct copying copying = {.card = card, .bytes = quick ? 1 << 20 : (size_t)1 << 30};
    const struct plb__cuda_memory *memory = card->module->memory;
    enum plb_status status;
    double seconds;

    for (int real = PLB_F32; real <= PLB_BF16; real++) {
        struct result result;

        PLB_TRY(bench_run(card, square, (enum plb_dtype)real, &result));
        floors_out->flops[real] = result.flops / result.seconds;
    }
    PLB_TRY(memory->take(card->context, 2 * copying.bytes, &copying.memory));
    status = time_of(card, copy_run, &copying, &seconds);
    floors_out->bytes = 2.0 * (double)copying.bytes / seconds;
    memory->give(card->context, copying.memory);
    return status;
}

/* --- the report ------------------------------------------------------------------------------- */

static void report_floors(const struct card *card, const struct floors *floors, bool json)
{
    printf(json ? "{\"card\": \"%s\", \"capability\": %d, \"multiprocessors\": %d, "
                  "\"memory_bytes\": %zu, \"driver\": %d, \"toolkit\": %d, \"tf32\": %s, "
                  "\"copy_gbytes\": %.1f, \"f32_tflops\": %.2f, \"bf16_tflops\": %.2f}\n"
                : "%s, capability %d, %d multiprocessors, %zu bytes; driver %d, toolkit %d; "
                  "TF32 %s\ncopying %.1f GB/s, products %.2f TFLOP/s in f32, %.2f in bf16\n",
           card->info.name, card->info.capability, card->info.multiprocessors, card->info.bytes,
           card->driver, card->toolkit, card->queue.tf32 ? "true" : "false", floors->bytes * 1e-9,
           floors->flops[PLB_F32] * 1e-12, floors->flops[PLB_BF16] * 1e-12);
}

static void report(const struct bench *bench, enum plb_dtype real, const struct result *r,
                   const struct floors *floors, bool json)
{
    double floor = fmax(r->flops / floors->flops[real], r->bytes / floors->bytes);

    printf(
        json
            ? "{\"operator\": \"%s\", \"case\": \"%s\", \"dtype\": \"%s\", \"microseconds\": %.2f, "
              "\"tflops\": %.2f, \"gbytes\": %.1f, \"of_floor\": %.3f}\n"
            : "%-17s %-17s %-4s %9.1f us %7.2f TFLOP/s %7.1f GB/s %5.2f of the floor\n",
        bench->op, bench->what, plb_dtype_name(real), r->seconds * 1e6,
        r->flops / r->seconds * 1e-12, r->bytes / r->seconds * 1e-9, floor / r->seconds);
    fflush(stdout);
}

struct options {
    bool json, tf32, quick;
    int names;
    char **name;
};

/* Measures one case in its dtypes; returns how many failed. */
static int bench_all(struct card *card, const struct bench *bench, const struct floors *floors,
                     const struct options *options)
{
    int last = bench_has_real(bench) ? PLB_BF16 : PLB_F32, failed = 0;

    for (int real = PLB_F32; real <= last; real++) {
        struct result result;

        if (bench_run(card, bench, (enum plb_dtype)real, &result) == PLB_OK) {
            report(bench, (enum plb_dtype)real, &result, floors, options->json);
            continue;
        }
        fprintf(stderr, "bench_kernels_cuda: %s, %s: %s\n", bench->op, bench->what,
                plb_error_message());
        failed++;
    }
    return failed;
}

/* Says which cases no shape rule accepts; returns how many. They are looked at before a card is, so
 * that --quick finds them on the emulated one. */
static int misfits(void)
{
    int failed = 0;

    for (int k = 0; k < BENCHES; k++) {
        plb_graph_t *graph = bench_graph(&benches[k], PLB_BF16);

        if (plb_graph_status(graph) != PLB_OK) {
            fprintf(stderr, "bench_kernels_cuda: %s, %s: %s\n", benches[k].op, benches[k].what,
                    plb_error_message());
            failed++;
        }
        plb_graph_destroy(graph);
    }
    return failed;
}

static int measure(struct card *card, const struct options *options)
{
    const struct bench *table = options->quick ? small : benches;
    int n = options->quick ? SMALLS : BENCHES;
    int failed = bench_forgotten("bench_kernels_cuda", benches, BENCHES) + misfits();
    struct floors floors;

    if (card_open(card, options->tf32) != PLB_OK ||
        measure_floors(card, options->quick, &floors) != PLB_OK) {
        fprintf(stderr, "bench_kernels_cuda: %s\n", plb_error_message());
        return failed + 1;
    }
    report_floors(card, &floors, options->json);
    for (int k = 0; k < n; k++) {
        if (bench_wanted(table[k].op, options->names, options->name))
            failed += bench_all(card, &table[k], &floors, options);
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct options options = {.name = argv + 1};
    struct card card = {0};
    int failed;

    for (; *options.name != NULL && strncmp(*options.name, "--", 2) == 0; options.name++) {
        options.json |= strcmp(*options.name, "--json") == 0;
        options.tf32 |= strcmp(*options.name, "--tf32") == 0;
        options.quick |= strcmp(*options.name, "--quick") == 0;
    }
    options.names = (int)(argv + argc - options.name);
    failed = measure(&card, &options);
    card_close(&card);
    return failed == 0 ? 0 : 1;
}
