/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of a training step, planned but not run, for the sizes that people train: within a
 * tenth of what no plan can do without that runs each task once; under a limit within three percent
 * of the copies that exist at once; and without one two workers do not wait for memory.
 */
#include "config.h"

#include "frontends/nn/language.h"
#include "frontends/nn/optimizer.h"
#include "runtime/graph/cut.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/simulate.h"
#include "schedulers/schedulers.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

struct size {
    const char *name;
    enum plb_model_family family;
    int64_t vocab, hidden, layers, heads, ffn, batch, sequence;
    enum plb_dtype dtype;
};

static const struct size sizes[] = {
    {"GPT-2 124M, 4 x 64", PLB_FAMILY_GPT2, 50257, 768, 12, 12, 3072, 4, 64, PLB_F32},
    {"GPT-2 124M, 4 x 64, bf16", PLB_FAMILY_GPT2, 50257, 768, 12, 12, 3072, 4, 64, PLB_BF16},
    {"GPT-2 124M, 8 x 512", PLB_FAMILY_GPT2, 50257, 768, 12, 12, 3072, 8, 512, PLB_F32},
    {"GPT-2 1.5B, 4 x 64", PLB_FAMILY_GPT2, 50257, 1600, 48, 25, 6400, 4, 64, PLB_F32},
    {"small, 8 x 128", PLB_FAMILY_GPT2, 2048, 256, 6, 8, 1024, 8, 128, PLB_F32},
    {"LLaMA 1B, 2 x 128", PLB_FAMILY_LLAMA, 32000, 2048, 16, 32, 5632, 2, 128, PLB_F32},
};

static enum plb_status build(const struct size *size, struct plb_language *language_out)
{
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    const struct plb_language_options options = {.mode = PLB_LANGUAGE_TRAIN,
                                                 .dtype = size->dtype,
                                                 .batch = size->batch,
                                                 .sequence = size->sequence};
    struct plb_model_config config;
    struct plb_training training;

    plb_model_config_default(size->family, &config);
    config.vocab = size->vocab;
    config.hidden = size->hidden;
    config.layers = size->layers;
    config.heads = config.kv_heads = size->heads;
    config.head_dim = size->hidden / size->heads;
    config.ffn = size->ffn;
    config.embedding_dropout = config.residual_dropout = config.attention_dropout = 0.0;
    config.bos_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    PLB_TRY(plb_language_create(&config, &options, language_out));
    return plb_nn_train(language_out->model, language_out->loss, &optimizer, &training);
}

static enum plb_status plan_kept(const plb_graph_t *cut, struct plb_plan *plan)
{
    const struct plb_problem problem = {.graph = cut, .limits = plb_limits_none()};

    PLB_TRY(plb_memory_none.plan(&problem, plan));
    plan->fingerprint = plb_graph_fingerprint(cut);
    return PLB_OK;
}

/* Three percent more than the copies that exist at once, initial values aside. */
static size_t layout_limit(const struct plb_needs *needs, size_t peak)
{
    return needs->initial + (size_t)(1.03 * (double)(peak - needs->initial));
}

static void check_size(const struct size *size)
{
    struct plb_language language = {.model = NULL};
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    struct plb_needs needs;
    plb_graph_t *cut = NULL;
    struct plb_limits limits = plb_limits_none();
    size_t needed, bytes, peak;

    PLB_REQUIRE(build(size, &language) == PLB_OK);
    PLB_REQUIRE(plb_graph_cut(plb_model_graph(language.model), NULL, &cut) == PLB_OK);
    PLB_REQUIRE(plan_kept(cut, &plan) == PLB_OK);
    PLB_CHECK_EQ(plb_plan_check(&plan, cut, NULL), PLB_OK);
    PLB_REQUIRE(plb_layout_assign(&plan, cut, NULL, &layout) == PLB_OK);
    PLB_REQUIRE(plb_needs_find(cut, &needs) == PLB_OK);
    needed = needs.initial + needs.saved + needs.gradients;
    bytes = plb_layout_device_bytes(&layout);
    peak = layout.peak[PLB_DEVICE];
    plb_layout_clear(&layout);
    limits.bytes[PLB_DEVICE] = layout_limit(&needs, peak);
    PLB_REQUIRE(plb_layout_assign(&plan, cut, &limits, &layout) == PLB_OK);
    printf("    %-26s %9.1f MiB, %.3f times what is needed; under a limit %9.1f MiB\n", size->name,
           (double)bytes / 0x1p20, (double)bytes / (double)needed,
           (double)plb_layout_device_bytes(&layout) / 0x1p20);
    PLB_CHECK(needs.saved > 0 && peak <= bytes);
    PLB_CHECK((double)bytes <= 1.1 * (double)needed);
    PLB_CHECK(plb_layout_device_bytes(&layout) <= limits.bytes[PLB_DEVICE]);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    plb_graph_destroy(cut);
    plb_model_destroy(language.model);
}

static void layouts_are_close_to_what_is_needed(void)
{
    printf("\n");
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
        check_size(&sizes[k]);
}

/* Two workers lose next to nothing by waiting for each other's memory. */
static void check_waits(const struct size *size)
{
    struct plb_platform platform = plb_platform_nominal(2);
    struct plb_language language = {.model = NULL};
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    struct plb_problem problem;
    struct plb_simulation with, without;
    plb_graph_t *cut = NULL;
    double *seconds;

    PLB_REQUIRE(build(size, &language) == PLB_OK);
    PLB_REQUIRE(plb_graph_cut(plb_model_graph(language.model), NULL, &cut) == PLB_OK);
    PLB_REQUIRE(plan_kept(cut, &plan) == PLB_OK);
    PLB_REQUIRE(plb_layout_assign(&plan, cut, NULL, &layout) == PLB_OK);
    seconds = malloc(plb_graph_tasks(cut) * sizeof *seconds);
    PLB_REQUIRE(plb_problem_prepare(cut, NULL, NULL, seconds, &problem) == PLB_OK);
    problem.platform = &platform;
    PLB_REQUIRE(plb_simulate(&plan, &layout, &problem, &with) == PLB_OK);
    memset(layout.in_wait, 0, ((size_t)plan.n + 1) * sizeof *layout.in_wait);
    PLB_REQUIRE(plb_simulate(&plan, &layout, &problem, &without) == PLB_OK);
    printf("    %-26s %.4f s, without waits %.4f s\n", size->name, with.seconds, without.seconds);
    PLB_CHECK(with.seconds <= 1.01 * without.seconds);
    plb_simulation_clear(&with);
    plb_simulation_clear(&without);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    free(seconds);
    plb_graph_destroy(cut);
    plb_model_destroy(language.model);
}

static void waits_cost_next_to_nothing(void)
{
    printf("\n");
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
        if (sizes[k].layers <= 12 && sizes[k].batch * sizes[k].sequence <= 1024)
            check_waits(&sizes[k]);
}

PLB_TEST_MAIN("schedulers/memory", NULL, NULL, PLB_TEST(layouts_are_close_to_what_is_needed),
              PLB_TEST(waits_cost_next_to_nothing))
