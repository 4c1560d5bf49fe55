/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories made by transformers: logits, loss, decoding with a cache, saving and loading. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/nn/generate.h"
#include "frontends/nn/logits.h"
#include "frontends/nn/weights.h"
#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

/* bf16 keeps 8 bits: logits of magnitude 10, summed over 32 products and 2 blocks. */
#define TOLERANCE_F32  1e-4
#define TOLERANCE_BF16 0.3

static const char *const golden[] = {"gpt2", "gpt2_sharded", "llama_tied", "llama_untied",
                                     "llama_bf16"};
enum { GOLDEN = 5 };

/* What transformers computed. */
struct expected {
    char directory[4096];
    int64_t batch, sequence, vocab;
    int32_t *tokens;
    float *logits, loss;
};

static void *read_tensor(const plb_safetensors_t *set, const char *name, enum plb_stored_dtype to)
{
    const struct plb_stored_tensor *tensor;

    PLB_REQUIRE(plb_safetensors_require(set, name, &tensor) == PLB_OK);
    void *data = malloc(tensor->elements * plb_stored_dtype_bytes(to));
    PLB_REQUIRE(data != NULL);
    PLB_REQUIRE(plb_safetensors_read(set, tensor, 0, tensor->elements, to, data) == PLB_OK);
    return data;
}

static struct expected expect(const char *name)
{
    struct expected e;
    char path[4200];
    plb_safetensors_t *set;

    snprintf(e.directory, sizeof e.directory, "%s/%s", plb_test_source("tests/golden"), name);
    snprintf(path, sizeof path, "%s/expected.safetensors", e.directory);
    PLB_REQUIRE(plb_safetensors_open(path, &set) == PLB_OK);
    const struct plb_stored_tensor *logits = plb_safetensors_find(set, "logits");
    PLB_REQUIRE(logits != NULL && logits->rank == 3);
    e.batch = (int64_t)logits->dim[0];
    e.sequence = (int64_t)logits->dim[1];
    e.vocab = (int64_t)logits->dim[2];
    e.tokens = read_tensor(set, "tokens", PLB_STORED_I32);
    e.logits = read_tensor(set, "logits", PLB_STORED_F32);
    float *loss = read_tensor(set, "loss", PLB_STORED_F32);
    e.loss = *loss;
    free(loss);
    plb_safetensors_close(set);
    return e;
}

static void release(struct expected *e)
{
    free(e->tokens);
    free(e->logits);
}

static void check_logits(enum plb_dtype dtype, double tolerance)
{
    for (int i = 0; i < GOLDEN; i++) {
        struct expected e = expect(golden[i]);
        for (int64_t b = 0; b < e.batch; b++) {
            float *logits = NULL;
            int64_t vocab = 0;
            enum plb_status status = plb_logits(e.directory, dtype, NULL, e.tokens + b * e.sequence,
                                                e.sequence, &logits, &vocab);
            if (status != PLB_OK)
                fprintf(stderr, "%s: %s\n", golden[i], plb_error_message());
            PLB_REQUIRE(status == PLB_OK);
            PLB_CHECK_EQ(vocab, e.vocab);
            PLB_CHECK_ARRAY_F32(logits, e.logits + b * e.sequence * e.vocab,
                                (size_t)(e.sequence * e.vocab), tolerance, 0.0);
            free(logits);
        }
        release(&e);
    }
}

static void logits_match_in_f32(void)
{
    check_logits(PLB_F32, TOLERANCE_F32);
}

static void logits_are_near_in_bf16(void)
{
    check_logits(PLB_BF16, TOLERANCE_BF16);
}

/* The loss of a directory over both sequences, the last position of each ignored. */
static float loss_of(const struct expected *e)
{
    struct plb_model_config config;
    struct plb_language_options options = {.mode = PLB_LANGUAGE_EVALUATE,
                                           .dtype = PLB_F32,
                                           .batch = e->batch,
                                           .sequence = e->sequence};
    size_t rows = (size_t)(e->batch * e->sequence), bytes = rows * sizeof(int32_t);
    int32_t *targets = malloc(bytes), *positions = malloc(bytes);
    struct plb_language language;
    plb_safetensors_t *set;
    plb_store_t *store;
    plb_session_t *session;
    float loss = NAN;

    PLB_REQUIRE(targets && positions);
    for (size_t row = 0; row < rows; row++)
        targets[row] = (row + 1) % (size_t)e->sequence ? e->tokens[row + 1] : -1;
    plb_language_positions(e->batch, e->sequence, positions);
    PLB_REQUIRE(plb_model_config_load(e->directory, &config) == PLB_OK);
    PLB_REQUIRE(plb_language_create(&config, &options, &language) == PLB_OK);
    PLB_REQUIRE(plb_store_create(&store) == PLB_OK);
    PLB_REQUIRE(plb_session_create(plb_model_graph(language.model), NULL, store, &session) ==
                PLB_OK);
    PLB_REQUIRE(plb_safetensors_open(e->directory, &set) == PLB_OK);
    PLB_REQUIRE(plb_weights_load(language.model, store, set) == PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, language.tokens, e->tokens, bytes), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, language.positions, positions, bytes), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, language.targets, targets, bytes), PLB_OK);
    PLB_CHECK_EQ(plb_session_step(session, 0), PLB_OK);
    PLB_CHECK_EQ(plb_session_read(session, language.loss, &loss, sizeof loss), PLB_OK);
    plb_safetensors_close(set);
    plb_session_destroy(session);
    plb_store_destroy(store);
    plb_model_destroy(language.model);
    free(positions);
    free(targets);
    return loss;
}

static void losses_match(void)
{
    for (int i = 0; i < GOLDEN; i++) {
        struct expected e = expect(golden[i]);
        PLB_CHECK_NEAR((double)loss_of(&e), (double)e.loss, TOLERANCE_F32);
        release(&e);
    }
}

/* Feeds a sequence in pieces of `piece` tokens and compares the logits after each. */
static void check_cache(const struct expected *e, enum plb_dtype dtype, int64_t piece,
                        int64_t chunk)
{
    struct plb_generator_options options = {.dtype = dtype, .chunk = chunk, .capacity = 20};
    double tolerance = dtype == PLB_F32 ? TOLERANCE_F32 : TOLERANCE_BF16;
    plb_generator_t *generator = NULL;
    float *logits = malloc((size_t)e->vocab * sizeof *logits);

    PLB_REQUIRE(logits != NULL);
    PLB_REQUIRE(plb_generator_create(e->directory, &options, &generator) == PLB_OK);
    for (int64_t b = 0; b < e->batch; b++) {
        plb_generator_reset(generator);
        for (int64_t at = 0; at < e->sequence; at += piece) {
            int64_t n = e->sequence - at < piece ? e->sequence - at : piece;
            const int32_t *tokens = e->tokens + b * e->sequence + at;
            PLB_REQUIRE(plb_generator_feed(generator, tokens, n, logits) == PLB_OK);
            PLB_CHECK_EQ(plb_generator_position(generator), at + n);
            PLB_CHECK_ARRAY_F32(logits, e->logits + (b * e->sequence + at + n - 1) * e->vocab,
                                (size_t)e->vocab, tolerance, 0.0);
        }
    }
    plb_generator_destroy(generator);
    free(logits);
}

static void the_cache_does_not_change_logits(void)
{
    for (int i = 0; i < GOLDEN; i++) {
        struct expected e = expect(golden[i]);
        check_cache(&e, PLB_F32, 1, 4);  /* token by token */
        check_cache(&e, PLB_F32, 3, 8);  /* chunks that are not full */
        check_cache(&e, PLB_F32, 11, 4); /* several chunks, and one token left */
        check_cache(&e, PLB_F32, 12, 16);
        check_cache(&e, PLB_BF16, 5, 4);
        release(&e);
    }
}

/* Both sequences of a directory at once, token by token; the second is two positions behind, so
 * that each sequence is seen to have positions of its own. */
static void check_batched_cache(const struct expected *e)
{
    enum { B = 2, LATE = 2 };
    struct plb_model_config config;
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_CACHED, .dtype = PLB_F32, .batch = B, .sequence = 1, .capacity = 16};
    int32_t tokens[B], positions[B], index[B] = {0, 1};
    float *logits = malloc(B * (size_t)e->vocab * sizeof *logits);
    struct plb_language language;
    plb_safetensors_t *set;
    plb_store_t *store;
    plb_session_t *session;

    PLB_REQUIRE(logits != NULL && e->batch == B);
    PLB_REQUIRE(plb_model_config_load(e->directory, &config) == PLB_OK);
    PLB_REQUIRE(plb_language_create(&config, &options, &language) == PLB_OK);
    PLB_REQUIRE(plb_store_create(&store) == PLB_OK);
    PLB_REQUIRE(plb_session_create(plb_model_graph(language.model), NULL, store, &session) ==
                PLB_OK);
    PLB_REQUIRE(plb_safetensors_open(e->directory, &set) == PLB_OK);
    PLB_REQUIRE(plb_weights_load(language.model, store, set) == PLB_OK);
    PLB_REQUIRE(plb_session_write(session, language.index, index, sizeof index) == PLB_OK);
    for (int64_t t = 0; t < e->sequence; t++) {
        positions[0] = (int32_t)t;
        positions[1] = (int32_t)(t < LATE ? 0 : t - LATE);
        tokens[0] = e->tokens[positions[0]];
        tokens[1] = e->tokens[e->sequence + positions[1]];
        PLB_CHECK_EQ(plb_session_write(session, language.tokens, tokens, sizeof tokens), PLB_OK);
        PLB_CHECK_EQ(plb_session_write(session, language.positions, positions, sizeof positions),
                     PLB_OK);
        PLB_CHECK_EQ(plb_session_step(session, (uint64_t)t), PLB_OK);
        PLB_CHECK_EQ(plb_session_read(session, language.logits, logits,
                                      B * (size_t)e->vocab * sizeof *logits),
                     PLB_OK);
        for (int b = 0; b < B; b++)
            PLB_CHECK_ARRAY_F32(logits + b * e->vocab,
                                e->logits + (b * e->sequence + positions[b]) * e->vocab,
                                (size_t)e->vocab, TOLERANCE_F32, 0.0);
    }
    plb_safetensors_close(set);
    plb_session_destroy(session);
    plb_store_destroy(store);
    plb_model_destroy(language.model);
    free(logits);
}

static void sequences_of_a_batch_have_their_own_cache(void)
{
    for (int i = 0; i < GOLDEN; i++) {
        struct expected e = expect(golden[i]);
        check_batched_cache(&e);
        release(&e);
    }
}

/* Tensors of `a` stand in `b` with the same bits. */
static void check_equal_tensors(const char *a, const char *b)
{
    plb_safetensors_t *from, *to;

    PLB_REQUIRE(plb_safetensors_open(a, &from) == PLB_OK);
    PLB_REQUIRE(plb_safetensors_open(b, &to) == PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_count(from), plb_safetensors_count(to));
    for (size_t i = 0; i < plb_safetensors_count(from); i++) {
        const struct plb_stored_tensor *tensor = plb_safetensors_at(from, i), *other;
        const void *x, *y;
        PLB_REQUIRE(plb_safetensors_require(to, tensor->name, &other) == PLB_OK);
        PLB_CHECK_EQ(tensor->dtype, other->dtype);
        PLB_CHECK_EQ(tensor->rank, other->rank);
        PLB_REQUIRE(tensor->bytes == other->bytes);
        PLB_CHECK_MEMORY(tensor->dim, other->dim, (size_t)tensor->rank * sizeof tensor->dim[0]);
        PLB_REQUIRE(plb_safetensors_map(from, tensor, &x) == PLB_OK);
        PLB_REQUIRE(plb_safetensors_map(to, other, &y) == PLB_OK);
        PLB_CHECK_MEMORY(x, y, tensor->bytes);
    }
    plb_safetensors_close(to);
    plb_safetensors_close(from);
}

/* Loads a directory for training, saves it: the same tensors, and a configuration that loads. */
static void what_is_loaded_is_saved(void)
{
    plb_corpus_t *corpus = fixture_corpus(1000);

    for (int i = 0; i < GOLDEN; i++) {
        struct plb_model_config config, saved;
        enum plb_dtype dtype = strcmp(golden[i], "llama_bf16") == 0 ? PLB_BF16 : PLB_F32;
        struct plb_pretrain_options options = fixture_options(dtype);
        struct expected e = expect(golden[i]);
        const char *out = plb_test_tmp(golden[i]);
        plb_tokenizer_t *tokenizer;
        plb_pretrain_t *pretrain;
        PLB_REQUIRE(plb_model_config_load(e.directory, &config) == PLB_OK);
        PLB_REQUIRE(plb_tokenizer_load(e.directory, &tokenizer) == PLB_OK);
        PLB_REQUIRE(plb_pretrain_create(&config, corpus, tokenizer, &options, &pretrain) == PLB_OK);
        PLB_REQUIRE(plb_trainer_load(plb_pretrain_trainer(pretrain), e.directory) == PLB_OK);
        PLB_REQUIRE(plb_pretrain_save(pretrain, out) == PLB_OK);
        plb_pretrain_destroy(pretrain);
        plb_tokenizer_free(tokenizer);
        check_equal_tensors(e.directory, out);
        PLB_REQUIRE(plb_model_config_load(out, &saved) == PLB_OK);
        PLB_CHECK_EQ(saved.layers, config.layers);
        PLB_CHECK_EQ(saved.kv_heads, config.kv_heads);
        PLB_CHECK_EQ(saved.tied_embeddings, config.tied_embeddings);
        PLB_REQUIRE(plb_tokenizer_load(out, &tokenizer) == PLB_OK);
        plb_tokenizer_free(tokenizer);
        release(&e);
    }
    plb_corpus_close(corpus);
}

static void directories_that_do_not_fit_are_refused(void)
{
    struct expected gpt2 = expect("gpt2");
    struct plb_model_config config;
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain;
    float *logits;
    int64_t vocab;
    int32_t token = 384;

    PLB_REQUIRE(plb_model_config_load(gpt2.directory, &config) == PLB_OK);
    config.ffn += 8;
    PLB_REQUIRE(plb_pretrain_create(&config, corpus, NULL, &options, &pretrain) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_load(plb_pretrain_trainer(pretrain), gpt2.directory),
                 PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "c_fc");
    plb_pretrain_destroy(pretrain);
    config.ffn -= 8;
    config.layers = 3;
    PLB_REQUIRE(plb_pretrain_create(&config, corpus, NULL, &options, &pretrain) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_load(plb_pretrain_trainer(pretrain), gpt2.directory),
                 PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "h.2.");
    plb_pretrain_destroy(pretrain);
    PLB_CHECK_EQ(plb_logits(gpt2.directory, PLB_F32, NULL, &token, 1, &logits, &vocab),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "token 384");
    PLB_CHECK_EQ(plb_logits(gpt2.directory, PLB_F32, NULL, &token, 0, &logits, &vocab),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_logits(plb_test_tmp("none"), PLB_F32, NULL, &token, 1, &logits, &vocab),
                 PLB_ERROR_IO);
    plb_corpus_close(corpus);
    release(&gpt2);
}

PLB_TEST_MAIN("frontends/nn/golden", fixture_start, fixture_stop, PLB_TEST(logits_match_in_f32),
              PLB_TEST(logits_are_near_in_bf16), PLB_TEST(losses_match),
              PLB_TEST(the_cache_does_not_change_logits),
              PLB_TEST(sequences_of_a_batch_have_their_own_cache),
              PLB_TEST(what_is_loaded_is_saved), PLB_TEST(directories_that_do_not_fit_are_refused))
