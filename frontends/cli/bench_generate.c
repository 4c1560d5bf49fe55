/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe bench generate: tokens per second against the floor that memory bandwidth sets.
 *
 * A token reads every weight once (of the embedding one row, unless it is also the output matrix)
 * and the cache up to its position; the floor is those bytes at the rate of reading, measured in
 * the same run. The weights are random: only times count here.
 */
#include "config.h"

#include "frontends/cli/bench.h"

#include "frontends/nn/language.h"
#include "frontends/nn/weights.h"

#include <inttypes.h>
#include <stdlib.h>

/* Width of a chunk of the prompt, as `palombe generate` has it. */
#define CHUNK 64

struct pass {
    struct plb_language language;
    plb_session_t *session;
    int64_t width;
};

struct bench {
    const struct plb_settings *settings;
    struct cli_rates rates;
    struct plb_model_config config;
    enum plb_dtype dtype;
    plb_store_t *store;
    struct pass chunk, token;
    void *logits;
    int64_t prompt, tokens;
    double prefill, decode; /* seconds: of the prompt, of a token (medians) */
    double floor;           /* seconds of a token */
};

static enum plb_status make_pass(struct bench *b, int64_t width, struct pass *pass)
{
    int64_t positions = b->prompt + b->tokens;
    const struct plb_language_options options = {
        .mode = PLB_LANGUAGE_CACHED,
        .dtype = b->dtype,
        .batch = 1,
        .sequence = width,
        .capacity = positions > CHUNK ? positions : CHUNK,
        .seed = (uint64_t)plb_settings_integer(b->settings, OPTION_SEED)};
    const struct plb_session_options session = plb_language_session(&options, NULL);

    pass->width = width;
    PLB_TRY(plb_language_create(&b->config, &options, &pass->language));
    return plb_session_create(plb_model_graph(pass->language.model), &session, b->store,
                              &pass->session);
}

/* Runs one chunk or token at `position`. Any token will do. */
static enum plb_status run_pass(struct bench *b, const struct pass *pass, int64_t position)
{
    int32_t tokens[CHUNK] = {0}, positions[CHUNK], index = (int32_t)pass->width - 1;
    size_t bytes = (size_t)pass->width * sizeof tokens[0];

    for (int32_t k = 0; k < pass->width; k++)
        positions[k] = (int32_t)position + k;
    tokens[0] = (int32_t)(position % b->config.vocab);
    PLB_TRY(plb_session_write(pass->session, pass->language.tokens, tokens, bytes));
    PLB_TRY(plb_session_write(pass->session, pass->language.positions, positions, bytes));
    if (pass->language.index != PLB_NONE)
        PLB_TRY(plb_session_write(pass->session, pass->language.index, &index, sizeof index));
    PLB_TRY(plb_session_step(pass->session, (uint64_t)position));
    return plb_session_read(pass->session, pass->language.logits, b->logits,
                            (size_t)b->config.vocab * plb_dtype_bytes(b->dtype));
}

static enum plb_status run_once(struct bench *b, double *prefill_out, double *decode_out)
{
    double start = cli_seconds(), middle;
    int64_t position = 0;

    for (; position + CHUNK <= b->prompt; position += CHUNK)
        PLB_TRY(run_pass(b, &b->chunk, position));
    for (; position < b->prompt; position++)
        PLB_TRY(run_pass(b, &b->token, position));
    middle = cli_seconds();
    for (int64_t k = 0; k < b->tokens; k++)
        PLB_TRY(run_pass(b, &b->token, position + k));
    *prefill_out = middle - start;
    *decode_out = (cli_seconds() - middle) / (double)b->tokens;
    return PLB_OK;
}

static enum plb_status measure(struct bench *b)
{
    int repeat = (int)plb_settings_integer(b->settings, OPTION_REPEAT);
    double *seconds = malloc(2 * (size_t)repeat * sizeof *seconds);
    enum plb_status status;

    if (!seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %d measurements", repeat);
    status = run_once(b, &seconds[0], &seconds[repeat]); /* warms up */
    for (int k = 0; k < repeat && status == PLB_OK; k++)
        status = run_once(b, &seconds[k], &seconds[repeat + k]);
    if (status == PLB_OK) {
        b->prefill = cli_median(seconds, repeat);
        b->decode = cli_median(seconds + repeat, repeat);
    }
    free(seconds);
    return status;
}

static void find_floor(struct bench *b)
{
    const struct plb_model_config *c = &b->config;
    double elements = (double)plb_model_elements(b->token.language.model);
    double cache = 2.0 * (double)(c->layers * c->kv_heads * c->head_dim) *
                   ((double)b->prompt + 0.5 * (double)b->tokens);

    if (!c->tied_embeddings)
        elements -= (double)(c->vocab * c->hidden);
    if (c->family == PLB_FAMILY_GPT2)
        elements -= (double)(c->max_positions * c->hidden);
    b->floor = (elements + cache) * (double)plb_dtype_bytes(b->dtype) / b->rates.bytes_per_second;
}

static enum plb_status report(const struct bench *b)
{
    if (plb_settings_switch(b->settings, OPTION_JSON))
        return cli_print_json(json_pack(
            "{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:i, s:s, s:s}", "token_seconds", b->decode,
            "tokens_per_second", 1.0 / b->decode, "prefill_seconds", b->prefill, "floor_seconds",
            b->floor, "ratio_to_floor", b->decode / b->floor, "prompt_tokens",
            (json_int_t)b->prompt, "tokens", (json_int_t)b->tokens, "workers",
            plb_runtime_workers(), "scheduler", plb_runtime_scheduler(), "dtype",
            plb_dtype_name(b->dtype)));
    printf("token      %.2f ms, %.1f tokens/s\n", 1e3 * b->decode, 1.0 / b->decode);
    printf("floor      %.2f ms at %.1f GB/s; a token takes %.2f times that\n", 1e3 * b->floor,
           1e-9 * b->rates.bytes_per_second, b->decode / b->floor);
    printf("prompt     %" PRId64 " tokens in %.0f ms, %.0f tokens/s\n", b->prompt, 1e3 * b->prefill,
           (double)b->prompt / b->prefill);
    return PLB_OK;
}

static enum plb_status bench_generate(struct bench *b)
{
    const struct plb_settings *s = b->settings;
    int threads;

    PLB_TRY(cli_model_config(s, &b->config));
    b->dtype = cli_dtype(s);
    b->prompt = plb_settings_integer(s, OPTION_PROMPT_TOKENS);
    b->tokens = plb_settings_integer(s, OPTION_MAX_TOKENS);
    if (b->prompt + b->tokens > b->config.max_positions)
        return plb_fail(PLB_ERROR_INVALID,
                        "%" PRId64 " tokens of prompt and %" PRId64
                        " generated are more than the model's %" PRId64 " positions",
                        b->prompt, b->tokens, b->config.max_positions);
    b->logits = malloc((size_t)b->config.vocab * plb_dtype_bytes(b->dtype));
    if (!b->logits)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the logits");
    PLB_TRY(cli_worker_threads(s, &threads));
    PLB_TRY(cli_rates_measure(threads, &b->rates));
    PLB_TRY(cli_start_runtime(s));
    PLB_TRY(plb_store_create(&b->store));
    PLB_TRY(make_pass(b, CHUNK, &b->chunk));
    PLB_TRY(make_pass(b, 1, &b->token));
    PLB_TRY(plb_weights_initialize(b->token.language.model, b->store));
    PLB_TRY(measure(b));
    find_floor(b);
    return report(b);
}

static void clear_pass(struct pass *pass)
{
    plb_session_destroy(pass->session);
    plb_model_destroy(pass->language.model);
}

enum plb_status cli_bench_generate(const struct plb_settings *settings)
{
    struct bench bench = {.settings = settings};
    enum plb_status status = bench_generate(&bench);

    clear_pass(&bench.chunk);
    clear_pass(&bench.token);
    plb_store_destroy(bench.store);
    plb_runtime_stop();
    free(bench.logits);
    return status;
}
