/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop of generation: what it appends, where it stops, what it refuses. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/nn/generate.h"
#include "frontends/nn/logits.h"
#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

enum { CAPACITY = 24, PROMPT = 5 };

static const int32_t prompt[PROMPT] = {3, 140, 15, 92, 65};
static const struct plb_sampling greedy = {0.0, 0, 1.0, 0}, warm = {1.0, 20, 0.95, 11};

/* What the callback saw. */
struct seen {
    int32_t tokens[64];
    int n, stop_after;
    char text[512];
};

static bool see(void *context, int32_t token, const char *text)
{
    struct seen *seen = context;

    if (token >= 0)
        seen->tokens[seen->n++] = token;
    strncat(seen->text, text, sizeof seen->text - strlen(seen->text) - 1);
    return seen->n != seen->stop_after;
}

static plb_generator_t *open_golden(int64_t capacity)
{
    struct plb_generator_options options = {.dtype = PLB_F32, .chunk = 4, .capacity = capacity};
    plb_generator_t *generator = NULL;

    PLB_REQUIRE(plb_generator_create(plb_test_source("tests/golden/gpt2"), &options, &generator) ==
                PLB_OK);
    return generator;
}

static struct seen run(plb_generator_t *generator, const struct plb_sampling *sampling,
                       int64_t limit, bool ignore_end, int stop_after,
                       struct plb_generation *generation)
{
    struct seen seen = {.stop_after = stop_after};

    PLB_REQUIRE(plb_generator_run(generator, prompt, PROMPT, sampling, limit, ignore_end, see,
                                  &seen, generation) == PLB_OK);
    return seen;
}

/* Each greedy token is the most probable one by a pass over everything before it. */
static void greedy_text_follows_the_logits(void)
{
    plb_generator_t *generator = open_golden(CAPACITY);
    int32_t tokens[PROMPT + 8];
    struct plb_generation generation;
    struct seen seen = run(generator, &greedy, 8, true, 0, &generation);

    PLB_CHECK_EQ(generation.stop, PLB_STOP_LENGTH);
    PLB_CHECK_EQ(generation.tokens, 8);
    PLB_CHECK_EQ(generation.prompt_tokens, PROMPT);
    PLB_REQUIRE(seen.n == 8);
    memcpy(tokens, prompt, sizeof prompt);
    for (int i = 0; i < 8; i++) {
        float *logits;
        int64_t vocab, best = 0;
        PLB_REQUIRE(plb_logits(plb_test_source("tests/golden/gpt2"), PLB_F32, NULL, tokens,
                               PROMPT + i, &logits, &vocab) == PLB_OK);
        const float *last = logits + (PROMPT + i - 1) * vocab;
        for (int64_t v = 1; v < vocab; v++)
            best = last[v] > last[best] ? v : best;
        PLB_CHECK_EQ(seen.tokens[i], best);
        tokens[PROMPT + i] = seen.tokens[i];
        free(logits);
    }
    plb_generator_destroy(generator);
}

static void a_seed_gives_one_text(void)
{
    plb_generator_t *generator = open_golden(CAPACITY);
    struct plb_generation generation;
    struct plb_sampling other = warm;
    struct seen a = run(generator, &warm, 12, true, 0, &generation);

    plb_generator_reset(generator);
    struct seen b = run(generator, &warm, 12, true, 0, &generation);
    PLB_CHECK_EQ(a.n, 12);
    PLB_CHECK_MEMORY(a.tokens, b.tokens, 12 * sizeof a.tokens[0]);
    PLB_CHECK_STRING(a.text, b.text);
    other.seed++;
    plb_generator_reset(generator);
    b = run(generator, &other, 12, true, 0, &generation);
    PLB_CHECK(memcmp(a.tokens, b.tokens, 12 * sizeof a.tokens[0]) != 0);
    plb_generator_destroy(generator);
}

/* The text that was handed out is that of a stream of the same tokens, to its end. */
static void text_is_that_of_the_tokens(void)
{
    plb_generator_t *generator = open_golden(CAPACITY);
    struct plb_generation generation;
    struct seen seen = run(generator, &warm, 12, true, 0, &generation);
    plb_token_stream_t *stream;
    const char *text;
    char whole[512] = "";

    PLB_REQUIRE(plb_generator_tokenizer(generator) != NULL);
    PLB_REQUIRE(plb_token_stream_create(plb_generator_tokenizer(generator), true, &stream) ==
                PLB_OK);
    for (int i = 0; i < seen.n; i++) {
        PLB_REQUIRE(plb_token_stream_push(stream, seen.tokens[i], &text) == PLB_OK);
        strncat(whole, text, sizeof whole - strlen(whole) - 1);
    }
    PLB_REQUIRE(plb_token_stream_finish(stream, &text) == PLB_OK);
    strncat(whole, text, sizeof whole - strlen(whole) - 1);
    PLB_CHECK(strlen(whole) > 4);
    PLB_CHECK_STRING(seen.text, whole);
    plb_token_stream_free(stream);
    plb_generator_destroy(generator);
}

static void a_full_cache_stops(void)
{
    plb_generator_t *generator = open_golden(8);
    struct plb_generation generation;
    float logits[384];
    struct seen seen = run(generator, &warm, 50, true, 0, &generation);

    PLB_CHECK_EQ(generation.stop, PLB_STOP_CAPACITY);
    PLB_CHECK_EQ(seen.n, 8 - PROMPT + 1); /* the last one needs no room */
    PLB_CHECK_EQ(plb_generator_position(generator), 8);
    PLB_CHECK_EQ(plb_generator_feed(generator, prompt, 1, logits), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "the cache holds 8 positions");
    plb_generator_destroy(generator);
}

static void the_caller_stops(void)
{
    plb_generator_t *generator = open_golden(CAPACITY);
    struct plb_generation generation;
    struct seen seen = run(generator, &warm, 50, true, 3, &generation);

    PLB_CHECK_EQ(generation.stop, PLB_STOP_CALLER);
    PLB_CHECK_EQ(generation.tokens, 3);
    PLB_CHECK_EQ(seen.n, 3);
    plb_generator_destroy(generator);
}

/* A model whose end of text is the token that it likes best. */
static void the_end_of_text_stops(void)
{
    const char *directory = plb_test_tmp("ending");
    struct plb_model_config config;
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    struct plb_generator_options generator_options = {.dtype = PLB_F32};
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_generator_t *generator = open_golden(CAPACITY);
    struct plb_generation generation;
    plb_pretrain_t *pretrain;
    struct seen seen = run(generator, &greedy, 3, true, 0, &generation);

    plb_generator_destroy(generator);
    PLB_REQUIRE(plb_model_config_load(plb_test_source("tests/golden/gpt2"), &config) == PLB_OK);
    config.eos_count = 1;
    config.eos_token[0] = seen.tokens[2];
    PLB_REQUIRE(plb_pretrain_create(&config, corpus, NULL, &options, &pretrain) == PLB_OK);
    PLB_REQUIRE(plb_trainer_load(plb_pretrain_trainer(pretrain),
                                 plb_test_source("tests/golden/gpt2")) == PLB_OK);
    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
    PLB_REQUIRE(plb_generator_create(directory, &generator_options, &generator) == PLB_OK);
    PLB_CHECK(plb_generator_tokenizer(generator) == NULL);
    PLB_CHECK_EQ(plb_generator_capacity(generator), config.max_positions);
    int before = seen.tokens[0] == seen.tokens[2] ? 0 : seen.tokens[1] == seen.tokens[2] ? 1 : 2;
    struct seen ended = run(generator, &greedy, 10, false, 0, &generation);
    PLB_CHECK_EQ(generation.stop, PLB_STOP_END);
    PLB_CHECK_EQ(ended.n, before);
    plb_generator_destroy(generator);
}

static void bad_prompts_are_refused(void)
{
    plb_generator_t *generator = open_golden(CAPACITY);
    struct plb_generation generation;
    struct plb_sampling bad = {-1.0, 0, 1.0, 0};
    int32_t long_prompt[CAPACITY + 1] = {0}, outside = 384;

    PLB_CHECK_EQ(plb_generator_run(generator, prompt, 0, &greedy, 5, true, NULL, NULL, &generation),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(
        plb_generator_run(generator, &outside, 1, &greedy, 5, true, NULL, NULL, &generation),
        PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "token 384");
    PLB_CHECK_EQ(plb_generator_run(generator, long_prompt, CAPACITY + 1, &greedy, 5, true, NULL,
                                   NULL, &generation),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(
        plb_generator_run(generator, prompt, PROMPT, &bad, 5, true, NULL, NULL, &generation),
        PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_generator_position(generator), 0); /* nothing was appended */
    plb_generator_destroy(generator);
    struct plb_generator_options options = {.dtype = PLB_F32, .capacity = 100000};
    PLB_CHECK_EQ(plb_generator_create(plb_test_source("tests/golden/gpt2"), &options, &generator),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_generator_create(plb_test_tmp("nothing"), NULL, &generator), PLB_ERROR_IO);
}

PLB_TEST_MAIN("frontends/nn/generate", fixture_start, fixture_stop,
              PLB_TEST(greedy_text_follows_the_logits), PLB_TEST(a_seed_gives_one_text),
              PLB_TEST(text_is_that_of_the_tokens), PLB_TEST(a_full_cache_stops),
              PLB_TEST(the_caller_stops), PLB_TEST(the_end_of_text_stops),
              PLB_TEST(bad_prompts_are_refused))
