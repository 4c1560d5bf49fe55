/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of a training step, planned but not run: within a tenth of what no plan can do without
 * that runs each task once, and the layout within a thirtieth of the copies that exist at once, for
 * the sizes that people train.
 */
#include "config.h"

#include "frontends/nn/language.h"
#include "frontends/nn/optimizer.h"
#include "runtime/graph/cut.h"
#include "runtime/plan/layout.h"
#include "schedulers/schedulers.h"
#include "tests/support/plb_test.h"

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

static void check_size(const struct size *size)
{
    struct plb_language language = {.model = NULL};
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    struct plb_needs needs;
    plb_graph_t *cut = NULL;
    size_t needed, arena, live;

    PLB_REQUIRE(build(size, &language) == PLB_OK);
    PLB_REQUIRE(plb_graph_cut(plb_model_graph(language.model), NULL, &cut) == PLB_OK);
    PLB_REQUIRE(plb_memory_none.plan(&(struct plb_problem){.graph = cut, .limits = plb_limits_none()},
                                     &plan) == PLB_OK);
    plan.fingerprint = plb_graph_fingerprint(cut);
    PLB_CHECK_EQ(plb_plan_check(&plan, cut, NULL), PLB_OK);
    PLB_REQUIRE(plb_layout_assign(&plan, cut, NULL, &layout) == PLB_OK);
    PLB_REQUIRE(plb_needs_find(cut, &needs) == PLB_OK);
    needed = needs.initial + needs.saved + needs.gradients;
    arena = layout.arena[PLB_DEVICE];
    live = layout.peak[PLB_DEVICE] - layout.initial_bytes;
    printf("    %-26s %9.1f MiB, %.3f times what is needed, arena %.3f times its peak\n", size->name,
           (double)plb_layout_device_bytes(&layout) / 0x1p20,
           (double)plb_layout_device_bytes(&layout) / (double)needed, (double)arena / (double)live);
    PLB_CHECK(needs.saved > 0 && live <= arena);
    PLB_CHECK((double)plb_layout_device_bytes(&layout) <= 1.1 * (double)needed);
    PLB_CHECK((double)arena <= (1.0 + 1.0 / 30) * (double)live);
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

PLB_TEST_MAIN("schedulers/memory", NULL, NULL, PLB_TEST(layouts_are_close_to_what_is_needed))
