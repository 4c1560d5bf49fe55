/* SPDX-License-Identifier: BSD-3-Clause */
/* A training step of a GPT: see gpt.h. */
#include "config.h"

#include "tests/support/gpt.h"

#include "frontends/nn/language.h"
#include "frontends/nn/optimizer.h"
#include "runtime/graph/cut.h"

struct gpt_options gpt_large(void)
{
    return (struct gpt_options){.layers = 32,
                                .hidden = 4096,
                                .heads = 32,
                                .sequence = 4096,
                                .batch = 1,
                                .vocabulary = 50257,
                                .dtype = PLB_BF16};
}

static struct plb_model_config configure(const struct gpt_options *options)
{
    struct plb_model_config config;

    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    config.vocab = options->vocabulary;
    config.hidden = options->hidden;
    config.layers = options->layers;
    config.heads = config.kv_heads = options->heads;
    config.head_dim = options->hidden / options->heads;
    config.ffn = 4 * options->hidden;
    config.max_positions = options->sequence;
    config.embedding_dropout = config.residual_dropout = config.attention_dropout = 0.0;
    if (config.eos_token[0] >= config.vocab) {
        config.bos_token = PLB_NO_TOKEN;
        config.eos_count = 0;
    }
    return config;
}

/* A target that no task reaches leaves every value in one cell. */
static enum plb_status cut(const struct gpt_options *options, struct gpt *gpt)
{
    const struct plb_cut_options one = {
        .target_seconds = 1e9, .block_elements = INT64_C(1) << 40, .rows_min = INT64_C(1) << 30};

    return plb_graph_cut(plb_model_graph(gpt->model), options->cut ? NULL : &one, &gpt->graph);
}

enum plb_status gpt_make(const struct gpt_options *options, struct gpt *gpt_out)
{
    const struct plb_model_config config = configure(options);
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    struct plb_language_options shape = {.mode = PLB_LANGUAGE_TRAIN,
                                         .dtype = options->dtype,
                                         .batch = options->batch,
                                         .sequence = options->sequence,
                                         .micro_batches = options->micro_batches};
    struct plb_language language;
    struct plb_training training;
    struct gpt gpt = {0};
    enum plb_status status;

    if (options->tensor)
        PLB_TRY(plb_split_parse(options->tensor, options->layers, &shape.split));
    PLB_TRY(plb_language_create(&config, &shape, &language));
    gpt.model = language.model;
    status = language.micro_batches > 1
                 ? plb_nn_update(gpt.model, &optimizer, &training)
                 : plb_nn_train(gpt.model, language.loss, &optimizer, &training);
    if (status == PLB_OK)
        status = cut(options, &gpt);
    if (status == PLB_OK)
        *gpt_out = gpt;
    else
        gpt_clear(&gpt);
    return status;
}

void gpt_clear(struct gpt *gpt)
{
    plb_graph_destroy(gpt->graph);
    plb_model_destroy(gpt->model);
    *gpt = (struct gpt){0};
}
