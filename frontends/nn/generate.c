/* SPDX-License-Identifier: BSD-3-Clause */
/* Prefill, decoding and the loop around them. */
#include "config.h"

#include "frontends/nn/generate.h"

#include <stdlib.h>
#include <time.h>

#include "runtime/base/file.h"
#include "frontends/nn/language.h"
#include "frontends/nn/weights.h"

#define CHUNK 64

/* A captured graph that feeds `width` tokens. */
struct feeder {
    int64_t width;
    struct plb_language language;
    plb_session_t *session;
};

struct plb_generator {
    struct plb_model_config config;
    enum plb_dtype dtype;
    int64_t capacity, position;
    plb_tokenizer_t *tokenizer;
    plb_store_t *store;
    struct feeder chunk, single;
    int32_t *tokens, *positions; /* chunk.width of each */
    void *logits;                /* a row, in the model's dtype */
};

static enum plb_status make_feeder(plb_generator_t *generator,
                                   const struct plb_session_options *session, int64_t width,
                                   struct feeder *feeder)
{
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_CACHED,
        .dtype = generator->dtype,
        .batch = 1,
        .sequence = width,
        .capacity = generator->capacity,
    };

    struct plb_session_options cut = plb_language_session(&options, session);

    feeder->width = width;
    PLB_TRY(plb_language_create(&generator->config, &options, &feeder->language));
    return plb_session_create(plb_model_graph(feeder->language.model), &cut, generator->store,
                              &feeder->session);
}

static void destroy_feeder(struct feeder *feeder)
{
    plb_session_destroy(feeder->session);
    plb_model_destroy(feeder->language.model);
}

static enum plb_status load_weights(plb_generator_t *generator, const char *directory)
{
    plb_safetensors_t *set;

    PLB_TRY(plb_safetensors_open(directory, &set));
    enum plb_status status =
        plb_weights_load(generator->single.language.model, generator->store, set);
    plb_safetensors_close(set);
    return status;
}

static enum plb_status allocate(plb_generator_t *generator)
{
    size_t width = (size_t)generator->chunk.width;

    generator->tokens = malloc(width * sizeof *generator->tokens);
    generator->positions = malloc(width * sizeof *generator->positions);
    generator->logits = malloc((size_t)generator->config.vocab * plb_dtype_bytes(generator->dtype));
    if (!generator->tokens || !generator->positions || !generator->logits)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the logits of %lld tokens",
                        (long long)generator->config.vocab);
    return PLB_OK;
}

static enum plb_status load(plb_generator_t *generator, const char *directory,
                            const struct plb_generator_options *options)
{
    int64_t chunk = options->chunk ? options->chunk : CHUNK;

    PLB_TRY(plb_model_config_load(directory, &generator->config));
    generator->dtype = options->dtype;
    generator->capacity = options->capacity ? options->capacity : generator->config.max_positions;
    if (chunk < 1)
        return plb_fail(PLB_ERROR_INVALID, "a chunk of %lld tokens", (long long)chunk);
    if (plb_file_exists_in(directory, "tokenizer.json"))
        PLB_TRY(plb_tokenizer_load(directory, &generator->tokenizer));
    PLB_TRY(plb_store_create(&generator->store));
    PLB_TRY(make_feeder(generator, &options->session, chunk, &generator->chunk));
    PLB_TRY(make_feeder(generator, &options->session, 1, &generator->single));
    PLB_TRY(allocate(generator));
    return load_weights(generator, directory);
}

enum plb_status plb_generator_create(const char *directory,
                                     const struct plb_generator_options *options,
                                     plb_generator_t **generator_out)
{
    struct plb_generator_options defaults = {.dtype = PLB_F32};
    plb_generator_t *generator = calloc(1, sizeof *generator);

    if (!generator)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a generator");
    enum plb_status status = load(generator, directory, options ? options : &defaults);
    if (status != PLB_OK) {
        plb_generator_destroy(generator);
        return status;
    }
    *generator_out = generator;
    return PLB_OK;
}

void plb_generator_destroy(plb_generator_t *generator)
{
    if (!generator)
        return;
    destroy_feeder(&generator->chunk);
    destroy_feeder(&generator->single);
    plb_store_destroy(generator->store);
    plb_tokenizer_free(generator->tokenizer);
    free(generator->tokens);
    free(generator->positions);
    free(generator->logits);
    free(generator);
}

const struct plb_model_config *plb_generator_config(const plb_generator_t *generator)
{
    return &generator->config;
}

const plb_tokenizer_t *plb_generator_tokenizer(const plb_generator_t *generator)
{
    return generator->tokenizer;
}

plb_session_t *plb_generator_session(plb_generator_t *generator)
{
    return generator->single.session;
}

int64_t plb_generator_capacity(const plb_generator_t *generator)
{
    return generator->capacity;
}

int64_t plb_generator_position(const plb_generator_t *generator)
{
    return generator->position;
}

void plb_generator_reset(plb_generator_t *generator)
{
    /* A row attends to positions up to its own, all of which are written anew: old ones may stay.
     */
    generator->position = 0;
}

/* Submits one pass over `count` tokens, at most the feeder's width. The rows beyond repeat the last
 * token at its position: what they write to the cache is what stands there already. */
static enum plb_status submit(plb_generator_t *generator, struct feeder *feeder,
                              const int32_t *tokens, int64_t count)
{
    size_t bytes = (size_t)feeder->width * sizeof(int32_t);
    int32_t last = (int32_t)(count - 1);

    for (int64_t row = 0; row < feeder->width; row++) {
        int64_t source = row < count ? row : count - 1;
        generator->tokens[row] = tokens[source];
        generator->positions[row] = (int32_t)(generator->position + source);
    }
    PLB_TRY(plb_session_write(feeder->session, feeder->language.tokens, generator->tokens, bytes));
    PLB_TRY(plb_session_write(feeder->session, feeder->language.positions, generator->positions,
                              bytes));
    PLB_TRY(plb_session_write(feeder->session, feeder->language.index, &last, sizeof last));
    PLB_TRY(plb_session_step(feeder->session, (uint64_t)generator->position));
    generator->position += count;
    return PLB_OK;
}

static enum plb_status read_logits(plb_generator_t *generator, struct feeder *feeder,
                                   float *logits_out)
{
    size_t vocab = (size_t)generator->config.vocab;
    size_t bytes = vocab * plb_dtype_bytes(generator->dtype);

    PLB_TRY(plb_session_read(feeder->session, feeder->language.logits, generator->logits, bytes));
    return plb_stored_convert(plb_stored_dtype_of(generator->dtype), generator->logits,
                              PLB_STORED_F32, logits_out, vocab);
}

static enum plb_status check_tokens(const plb_generator_t *generator, const int32_t *tokens,
                                    int64_t count)
{
    if (count < 1)
        return plb_fail(PLB_ERROR_INVALID, "there are no tokens to begin with");
    if (count > generator->capacity - generator->position)
        return plb_fail(PLB_ERROR_INVALID,
                        "%lld tokens do not fit: the cache holds %lld positions, %lld are used",
                        (long long)count, (long long)generator->capacity,
                        (long long)generator->position);
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= generator->config.vocab)
            return plb_fail(PLB_ERROR_INVALID,
                            "token %d is not in the model's vocabulary of %lld tokens", tokens[i],
                            (long long)generator->config.vocab);
    return PLB_OK;
}

enum plb_status plb_generator_feed(plb_generator_t *generator, const int32_t *tokens, int64_t count,
                                   float *logits_out)
{
    struct feeder *feeder = &generator->single;

    PLB_TRY(check_tokens(generator, tokens, count));
    for (int64_t done = 0; done < count;) {
        int64_t n = count - done < generator->chunk.width ? count - done : generator->chunk.width;
        feeder = n == 1 ? &generator->single : &generator->chunk;
        PLB_TRY(submit(generator, feeder, tokens + done, n));
        done += n;
    }
    return read_logits(generator, feeder, logits_out);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bool ends_text(const struct plb_model_config *config, int32_t token)
{
    for (int i = 0; i < config->eos_count; i++)
        if (config->eos_token[i] == token)
            return true;
    return false;
}

/* What one call of plb_generator_run() works with. */
struct run {
    plb_generator_t *generator;
    plb_sampler_t *sampler;
    plb_token_stream_t *stream; /* NULL without a tokenizer */
    float *logits;
    int64_t limit;
    bool ignore_end;
    plb_generated generated;
    void *context;
};

/* Hands a token on; `go_on_out` tells whether the caller wants more. */
static enum plb_status hand_on(struct run *run, int32_t token, bool *go_on_out)
{
    const char *text = "";

    if (run->stream)
        PLB_TRY(plb_token_stream_push(run->stream, token, &text));
    *go_on_out = !run->generated || run->generated(run->context, token, text);
    return PLB_OK;
}

static enum plb_status decode(struct run *run, struct plb_generation *generation)
{
    plb_generator_t *generator = run->generator;
    bool go_on = true;

    generation->stop = PLB_STOP_LENGTH;
    while (generation->tokens < run->limit) {
        int32_t token;
        PLB_TRY(
            plb_sampler_choose(run->sampler, run->logits, (uint64_t)generator->position, &token));
        if (!run->ignore_end && ends_text(&generator->config, token)) {
            generation->stop = PLB_STOP_END;
            return PLB_OK;
        }
        PLB_TRY(hand_on(run, token, &go_on));
        generation->tokens++;
        if (!go_on) {
            generation->stop = PLB_STOP_CALLER;
            return PLB_OK;
        }
        if (generation->tokens == run->limit)
            return PLB_OK;
        if (generator->position == generator->capacity) {
            generation->stop = PLB_STOP_CAPACITY;
            return PLB_OK;
        }
        PLB_TRY(plb_generator_feed(generator, &token, 1, run->logits));
    }
    return PLB_OK;
}

static enum plb_status run_all(struct run *run, const int32_t *prompt, int64_t count,
                               struct plb_generation *generation)
{
    double start = now();

    PLB_TRY(plb_generator_feed(run->generator, prompt, count, run->logits));
    generation->prompt_tokens = count;
    generation->prefill_seconds = now() - start;
    start = now();
    PLB_TRY(decode(run, generation));
    generation->decode_seconds = now() - start;
    return PLB_OK;
}

static enum plb_status prepare_run(struct run *run, const struct plb_sampling *sampling)
{
    const plb_generator_t *generator = run->generator;

    run->logits = malloc((size_t)generator->config.vocab * sizeof *run->logits);
    if (!run->logits)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for logits");
    PLB_TRY(plb_sampler_create(sampling, generator->config.vocab, &run->sampler));
    return generator->tokenizer ? plb_token_stream_create(generator->tokenizer, true, &run->stream)
                                : PLB_OK;
}

/* Gives out what the stream still holds: the replacement for a character that was cut short. */
static enum plb_status flush(struct run *run)
{
    const char *text;

    if (!run->stream)
        return PLB_OK;
    PLB_TRY(plb_token_stream_finish(run->stream, &text));
    if (run->generated && text[0])
        run->generated(run->context, -1, text);
    return PLB_OK;
}

enum plb_status plb_generator_run(plb_generator_t *generator, const int32_t *prompt, int64_t count,
                                  const struct plb_sampling *sampling, int64_t limit,
                                  bool ignore_end, plb_generated generated, void *context,
                                  struct plb_generation *generation_out)
{
    struct run run = {.generator = generator,
                      .limit = limit,
                      .ignore_end = ignore_end,
                      .generated = generated,
                      .context = context};
    struct plb_generation generation = {.stop = PLB_STOP_LENGTH};
    enum plb_status status = prepare_run(&run, sampling);

    if (status == PLB_OK)
        status = run_all(&run, prompt, count, &generation);
    if (status == PLB_OK)
        status = flush(&run);
    plb_token_stream_free(run.stream);
    plb_sampler_destroy(run.sampler);
    free(run.logits);
    if (status == PLB_OK)
        *generation_out = generation;
    return status;
}
