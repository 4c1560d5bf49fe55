/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shapes of launches for models that are larger than an emulated card or this machine: every
 * task of a training step of a GPT and of a LLaMA, uncut, is enqueued with addresses that are never
 * used, and no launch may be beyond a card's limits. Such sizes are where 32 bits do not do.
 */
#include "config.h"

#include "tests/codelets/cuda_runner.h"
#include "tests/support/cuda/emulator_control.h"
#include "tests/support/plb_test.h"

#include "frontends/nn/language.h"
#include "frontends/nn/optimizer.h"
#include "runtime/graph/cut.h"

#include <stdio.h>
#include <string.h>

#define PARTS_MAX       256
#define ADDRESS         ((uintptr_t)1 << 40)
#define SHARED_OPTIN_80 ((size_t)163 << 10) /* of a block on cards of capability 8.0 */
#define SHARED_OPTIN_90 ((size_t)227 << 10)

struct size {
    const char *name;
    enum plb_model_family family;
    int64_t hidden, heads, kv_heads, ffn, vocabulary, batch, sequence;
};

/* One layer of each: the others are alike. The last ones have more than 2^31 logits. */
static const struct size sizes[] = {
    {"GPT-2 124M", PLB_FAMILY_GPT2, 768, 12, 12, 3072, 50257, 8, 1024},
    {"GPT-2 1.5B", PLB_FAMILY_GPT2, 1600, 25, 25, 6400, 50257, 4, 1024},
    {"LLaMA 7B", PLB_FAMILY_LLAMA, 4096, 32, 32, 11008, 32000, 1, 4096},
    {"LLaMA 3 8B", PLB_FAMILY_LLAMA, 4096, 32, 8, 14336, 128256, 8, 4096},
    {"GPT-2 1.5B, 64 sequences", PLB_FAMILY_GPT2, 1600, 25, 25, 6400, 50257, 64, 1024},
};

static int launches;

static void count(const struct plb_emulator_launch *launch, void *context)
{
    (void)launch;
    (void)context;
    launches++;
}

static int setup(void)
{
    return cuda_runner_open() == NULL;
}

static int teardown(void)
{
    plb_emulator_watch(NULL, NULL, true);
    cuda_runner_close();
    return 0;
}

/* --- a call ----------------------------------------------------------------------------------- */

static void fill_operands(const plb_graph_t *graph, const uint32_t *start, const plb_value *values,
                         int n, struct plb_operand *operand, struct plb_tensor *part)
{
    int used = 0;

    for (int k = 0; k < n; k++) {
        operand[k] = (struct plb_operand){(int)(start[k + 1] - start[k]), &part[used], {0, {0}}};
        for (uint32_t j = start[k]; j < start[k + 1] && used < PARTS_MAX; j++) {
            const struct plb_value_info *info = plb_graph_value(graph, values[j]);

            operand[k].whole = info->type.shape;
            part[used++] = (struct plb_tensor){(void *)(ADDRESS + (uintptr_t)values[j] * 4096),
                                               info->type.dtype, info->type.shape, 0, 0};
        }
    }
}

static void check_task(const struct size *size, const plb_graph_t *graph,
                       const struct plb_task *task, int capability)
{
    const struct plb_cuda_operator *op = cuda_runner_operator(task->op->name);
    struct plb_operand in[PLB_OPERANDS_MAX], out[PLB_OPERANDS_MAX];
    struct plb_tensor part[2][PARTS_MAX];
    struct plb_call call = {.attributes = &task->attributes,
                            .n_in = task->n_in,
                            .n_out = task->n_out,
                            .in = in,
                            .out = out,
                            .scratch = (void *)(ADDRESS / 2)};
    struct plb_cuda_queue queue;
    enum plb_status status;

    PLB_REQUIRE(op != NULL);
    fill_operands(graph, task->in_start, task->in, task->n_in, in, part[0]);
    fill_operands(graph, task->out_start, task->out, task->n_out, out, part[1]);
    memcpy(call.low, task->low, sizeof call.low);
    memcpy(call.high, task->high, sizeof call.high);
    cuda_runner_queue(&queue);
    queue.capability = capability;
    launches = 0;
    status = op->run(&call, &queue);
    if (status != PLB_OK || launches == 0)
        fprintf(stderr, "%s: task %s of %s: %d launches, %s\n", size->name, task->name,
                task->op->name, launches, status == PLB_OK ? "none was refused" : plb_error_message());
    PLB_CHECK_EQ(status, PLB_OK);
    PLB_CHECK(launches > 0);
}

/* --- a step ----------------------------------------------------------------------------------- */

static enum plb_status make(const struct size *size, struct plb_language *language_out)
{
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    const struct plb_language_options options = {.mode = PLB_LANGUAGE_TRAIN,
                                                 .dtype = PLB_BF16,
                                                 .batch = size->batch,
                                                 .sequence = size->sequence};
    struct plb_model_config config;
    struct plb_training training;

    plb_model_config_default(size->family, &config);
    config.vocab = size->vocabulary;
    config.hidden = size->hidden;
    config.layers = 1;
    config.heads = size->heads;
    config.kv_heads = size->kv_heads;
    config.head_dim = size->hidden / size->heads;
    config.ffn = size->ffn;
    config.max_positions = size->sequence;
    config.bos_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    PLB_TRY(plb_language_create(&config, &options, language_out));
    return plb_nn_train(language_out->model, language_out->loss, &optimizer, &training);
}

/* A target that no task reaches leaves every value in one cell. */
static void check_size(const struct size *size, int capability)
{
    const struct plb_cut_options one = {
        .target_seconds = 1e9, .block_elements = INT64_C(1) << 40, .rows_min = INT64_C(1) << 30};
    struct plb_language language;
    plb_graph_t *graph;

    PLB_REQUIRE(make(size, &language) == PLB_OK);
    PLB_REQUIRE(plb_graph_cut(plb_model_graph(language.model), &one, &graph) == PLB_OK);
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        check_task(size, graph, plb_graph_task(graph, t), capability);
    plb_graph_destroy(graph);
    plb_model_destroy(language.model);
}

static void check_card(int capability, size_t shared)
{
    plb_emulator_watch(count, NULL, false);
    plb_emulator_set_shared_limit(shared);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
        check_size(&sizes[k], capability);
}

static void large_models_fit_capability_80(void)
{
    check_card(80, SHARED_OPTIN_80);
}

static void large_models_fit_capability_90(void)
{
    check_card(90, SHARED_OPTIN_90);
}

PLB_TEST_MAIN("codelets/launches_cuda", setup, teardown, PLB_TEST(large_models_fit_capability_80),
              PLB_TEST(large_models_fit_capability_90))
