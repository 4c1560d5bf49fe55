/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pairs of tasks that are one launch on the emulated card: in a step of a language model every sum
 * with a residual and the norm that follows it, forward and back, and the bits are those of tasks
 * one by one, also where a budget makes values anew and lets others have their bytes.
 */
#include "config.h"

#include "frontends/nn/language.h"
#include "frontends/nn/trainer.h"
#include "runtime/run/card.h"
#include "tests/support/cuda/emulated_card.h"
#include "tests/support/plb_test.h"

#include <string.h>

enum { STEPS = 6, BATCH = 2, SEQUENCE = 12, TOKENS = BATCH * SEQUENCE, LAYERS = 2 };

static int setup(void)
{
    const struct plb_runtime_options options = {.device = "cuda:0,memory=64MiB"};

    emulated_card_offer("1");
    return plb_runtime_start(&options) != PLB_OK;
}

static int teardown(void)
{
    plb_runtime_stop();
    return 0;
}

struct outcome {
    float loss[STEPS], norm[STEPS];
    uint32_t pairs, apart, kept; /* members that begin one; ... with a task between; see there */
};

static void count_pairs(const struct plb_session *session, struct outcome *outcome)
{
    const struct plb__batches *b = &session->program->batches;

    for (uint32_t k = 0; b->pair && k < session->program->n_launches; k++) {
        outcome->pairs += b->pair[k].fusion != NULL;
        outcome->apart += b->pair[k].distance == 2;
        outcome->kept += b->pair[k].keep;
    }
}

static plb_trainer_t *make(enum plb_model_family family, const struct plb_session_options *session,
                           struct plb_language *language_out)
{
    const struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {PLB_SCHEDULE_CONSTANT, 0.01, 0.0, 0, STEPS},
        .session = *session,
        .batch = BATCH,
        .sequence = SEQUENCE,
    };
    const struct plb_language_options language = {.mode = PLB_LANGUAGE_TRAIN,
                                                  .dtype = PLB_BF16,
                                                  .batch = BATCH,
                                                  .sequence = SEQUENCE,
                                                  .seed = 7};
    struct plb_model_config config;
    plb_trainer_t *trainer = NULL;
    int32_t positions[TOKENS];

    plb_model_config_default(family, &config);
    config.vocab = 50;
    config.hidden = 32;
    config.layers = LAYERS;
    config.heads = config.kv_heads = 2;
    config.head_dim = 16;
    config.ffn = 48;
    config.max_positions = SEQUENCE;
    config.embedding_dropout = config.residual_dropout = config.attention_dropout = 0;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    PLB_REQUIRE(plb_language_create(&config, &language, language_out) == PLB_OK);
    PLB_REQUIRE(plb_trainer_create(language_out->model, language_out->loss, &options, &trainer) ==
                PLB_OK);
    PLB_REQUIRE(plb_trainer_initialize(trainer) == PLB_OK);
    plb_language_positions(BATCH, SEQUENCE, positions);
    PLB_CHECK_EQ(plb_trainer_write(trainer, language_out->positions, positions, sizeof positions),
                 PLB_OK);
    return trainer;
}

/* Waits after each step, so that its times are known in the next one. */
static struct outcome run(enum plb_model_family family, double grain, const char *policy,
                          double share, const char *state)
{
    const struct plb_session_options options = {.memory_policy = policy,
                                                .state = state,
                                                .budget.share = share,
                                                .grain_seconds = grain,
                                                .drift = -1.0};
    struct plb_language language;
    plb_trainer_t *trainer = make(family, &options, &language);
    struct outcome outcome = {.pairs = 0};
    int32_t tokens[TOKENS];

    for (int step = 0; step < STEPS; step++) {
        for (int k = 0; k < TOKENS; k++)
            tokens[k] = (7 * k + step) % 50;
        PLB_CHECK_EQ(plb_trainer_write(trainer, language.tokens, tokens, sizeof tokens), PLB_OK);
        PLB_CHECK_EQ(plb_trainer_write(trainer, language.targets, tokens, sizeof tokens), PLB_OK);
        PLB_CHECK_EQ(plb_trainer_step(trainer), PLB_OK);
        PLB_CHECK_EQ(plb_trainer_read(trainer, &outcome.loss[step], &outcome.norm[step]), PLB_OK);
        PLB_CHECK_EQ(plb_trainer_wait(trainer), PLB_OK);
    }
    count_pairs(plb_trainer_session(trainer), &outcome);
    plb_trainer_destroy(trainer);
    return outcome;
}

static void check_bits(const struct outcome *one, const struct outcome *other)
{
    PLB_CHECK(memcmp(one->loss, other->loss, sizeof one->loss) == 0);
    PLB_CHECK(memcmp(one->norm, other->norm, sizeof one->norm) == 0);
}

/* Two sums in a layer, forward and back; GPT-2 has one of two embeddings before all. Backward the
 * gradient of the norm's weights stands between, and nobody reads what only the sum takes in. */
static void residuals_and_norms_are_one_launch(void)
{
    struct outcome single = run(PLB_FAMILY_GPT2, -1.0, "none", 0, NULL);
    struct outcome pairs = run(PLB_FAMILY_GPT2, 10.0, "none", 0, NULL);

    PLB_CHECK(single.loss[STEPS - 1] < single.loss[0]);
    PLB_CHECK_EQ(single.pairs, 0);
    PLB_CHECK_EQ(pairs.pairs, 1 + 2 * LAYERS + 2 * LAYERS);
    PLB_CHECK_EQ(pairs.apart, 2 * LAYERS);
    PLB_CHECK_EQ(pairs.kept, 1 + 2 * LAYERS);
    check_bits(&single, &pairs);
}

static void values_that_are_made_again_are_paired(void)
{
    struct outcome single = run(PLB_FAMILY_LLAMA, -1.0, "none", 0, NULL);
    struct outcome pairs = run(PLB_FAMILY_LLAMA, 10.0, "chain-dp", 0.6, NULL);

    PLB_CHECK_EQ(single.pairs, 0);
    PLB_CHECK(pairs.pairs >= 2 * LAYERS);
    check_bits(&single, &pairs);
}

/* The processor's kernel makes them. */
static void updates_in_main_memory_have_the_bits_of_the_card(void)
{
    struct outcome card = run(PLB_FAMILY_LLAMA, -1.0, "none", 0, NULL);
    struct outcome host = run(PLB_FAMILY_LLAMA, 0, "none", 0, "optimizer,update=host");

    PLB_CHECK(card.loss[STEPS - 1] < card.loss[0]);
    check_bits(&card, &host);
}

PLB_TEST_MAIN("runtime/run/cuda_pairs", setup, teardown,
              PLB_TEST(residuals_and_norms_are_one_launch),
              PLB_TEST(values_that_are_made_again_are_paired),
              PLB_TEST(updates_in_main_memory_have_the_bits_of_the_card))
