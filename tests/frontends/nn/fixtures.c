/* SPDX-License-Identifier: BSD-3-Clause */
/* See fixtures.h. */
#include "config.h"

#include "tests/frontends/nn/fixtures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "tests/support/plb_test.h"

int fixture_start(void)
{
    struct plb_runtime_options options = {.workers = 2};

    if (plb_runtime_start(&options) == PLB_OK)
        return 0;
    fprintf(stderr, "%s\n", plb_error_message());
    return 1;
}

int fixture_stop(void)
{
    plb_runtime_stop();
    return 0;
}

struct plb_model_config fixture_config(enum plb_model_family family)
{
    struct plb_model_config config;

    plb_model_config_default(family, &config);
    config.vocab = 50;
    config.hidden = 32;
    config.layers = 2;
    config.heads = 4;
    config.kv_heads = family == PLB_FAMILY_LLAMA ? 2 : 4;
    config.head_dim = 8;
    config.ffn = 48;
    config.max_positions = 48;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    config.embedding_dropout = config.residual_dropout = config.attention_dropout = 0.0;
    return config;
}

struct plb_pretrain_options fixture_options(enum plb_dtype dtype)
{
    struct plb_pretrain_options options = {
        .dtype = dtype,
        .batch = 2,
        .sequence = 16,
        .seed = 5,
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 3e-3},
    };
    return options;
}

plb_corpus_t *fixture_corpus(int64_t count)
{
    struct plb_corpus_options options = {.validation = 0.2, .separator = -1};
    int32_t *tokens = malloc((size_t)count * sizeof *tokens);
    plb_corpus_t *corpus = NULL;
    uint32_t state = 1;

    PLB_REQUIRE(tokens != NULL);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((state >> 16) % 50);
    }
    PLB_REQUIRE(plb_corpus_from_tokens(tokens, count, &options, &corpus) == PLB_OK);
    free(tokens);
    return corpus;
}

plb_pretrain_t *fixture_pretrain(const struct plb_model_config *config, const plb_corpus_t *corpus,
                                 const struct plb_pretrain_options *options)
{
    plb_pretrain_t *pretrain = NULL;

    if (plb_pretrain_create(config, corpus, NULL, options, &pretrain) != PLB_OK)
        fprintf(stderr, "%s\n", plb_error_message());
    PLB_REQUIRE(pretrain != NULL);
    PLB_REQUIRE(plb_trainer_initialize(plb_pretrain_trainer(pretrain)) == PLB_OK);
    return pretrain;
}

void fixture_train(plb_pretrain_t *pretrain, int steps, float *losses)
{
    for (int i = 0; i < steps; i++) {
        PLB_REQUIRE(plb_pretrain_step(pretrain) == PLB_OK);
        PLB_REQUIRE(plb_trainer_read(plb_pretrain_trainer(pretrain), &losses[i], NULL) == PLB_OK);
    }
}

uint64_t fixture_bits(plb_pretrain_t *pretrain)
{
    plb_store_t *store = plb_trainer_store(plb_pretrain_trainer(pretrain));
    uint64_t hash = 0;

    for (uint32_t i = 0; i < plb_store_tensors(store); i++) {
        const char *name = plb_store_name(store, i);
        struct plb_type type;
        PLB_REQUIRE(plb_store_type(store, name, &type) == PLB_OK);
        size_t bytes = plb_type_bytes(&type);
        void *data = malloc(bytes);
        PLB_REQUIRE(data != NULL);
        PLB_REQUIRE(plb_store_read(store, name, data, bytes) == PLB_OK);
        hash = plb_hash_mix(hash, name, strlen(name));
        hash = plb_hash_mix(hash, data, bytes);
        free(data);
    }
    return hash;
}
