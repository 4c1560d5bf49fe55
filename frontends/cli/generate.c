/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe generate and palombe logits: using a model directory.
 */
#define _GNU_SOURCE
#include "config.h"

#include "frontends/cli/cli.h"

#include "frontends/formats/safetensors.h"
#include "frontends/nn/generate.h"
#include "frontends/nn/logits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Room in the cache for what a tokenizer puts around a text; what the cache's length is rounded to.
 */
#define TEMPLATE_TOKENS 64
#define CAPACITY_STEP 256

/* The longest prompt read from standard input, and list of tokens. */
#define PROMPT_BYTES ((size_t)16 << 20)
#define TOKENS_MAX (1 << 20)

/* ---- generate ---- */

static enum plb_status read_input(char **text_out, size_t *bytes_out)
{
    char *text = malloc(PROMPT_BYTES + 1);
    size_t bytes;

    if (!text)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the prompt");
    bytes = fread(text, 1, PROMPT_BYTES + 1, stdin);
    if (ferror(stdin) || bytes > PROMPT_BYTES) {
        free(text);
        return ferror(stdin) ? plb_fail(PLB_ERROR_IO, "standard input cannot be read")
                             : plb_fail(PLB_ERROR_INVALID, "the prompt is longer than %zu MiB",
                                        PROMPT_BYTES >> 20);
    }
    *text_out = text;
    *bytes_out = bytes;
    return PLB_OK;
}

/* The text to go on from. */
struct prompt {
    char *input; /* what was read; NULL when the text is an argument */
    const char *text;
    size_t bytes;
};

static enum plb_status read_prompt(const struct plb_settings *s, struct prompt *prompt)
{
    const char *given = plb_settings_text(s, OPTION_PROMPT);

    *prompt = (struct prompt){NULL, given ? given : "", given ? strlen(given) : 0};
    if (!given || strcmp(given, "-") != 0)
        return PLB_OK;
    PLB_TRY(read_input(&prompt->input, &prompt->bytes));
    prompt->text = prompt->input;
    return PLB_OK;
}

/* As many positions as can be needed, at most the model's: a cache of all of them may be larger than
 * the model. A token is at least a byte of the text, or a space put before it. */
static enum plb_status choose_capacity(const struct plb_settings *s, const struct prompt *prompt,
                                       int64_t *capacity_out)
{
    int64_t wanted = 2 * (int64_t)prompt->bytes + TEMPLATE_TOKENS +
                     plb_settings_integer(s, OPTION_MAX_TOKENS);
    struct plb_model_config config;

    PLB_TRY(plb_model_config_load(s->argument[0], &config));
    wanted = (wanted + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
    *capacity_out = wanted < config.max_positions ? wanted : config.max_positions;
    return PLB_OK;
}

/* The tokens of the prompt; without one, the token that begins or ends a text. */
static enum plb_status encode_prompt(const struct plb_settings *s, const struct prompt *prompt,
                                     const plb_generator_t *generator, int32_t **tokens_out,
                                     size_t *count_out)
{
    const struct plb_model_config *config = plb_generator_config(generator);
    const plb_tokenizer_t *tokenizer = plb_generator_tokenizer(generator);

    if (!tokenizer)
        return plb_fail(PLB_ERROR_INVALID, "%s has no tokenizer.json", s->argument[0]);
    PLB_TRY(plb_tokenizer_encode(tokenizer, prompt->text, prompt->bytes, PLB_ENCODE_TEMPLATE,
                                 tokens_out, count_out));
    if (*count_out > 0)
        return PLB_OK;
    free(*tokens_out);
    *tokens_out = malloc(sizeof **tokens_out);
    if (!*tokens_out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the prompt");
    if (config->bos_token < 0 && config->eos_count == 0)
        return plb_fail(PLB_ERROR_INVALID, "this model has no token that begins a text: give a "
                                           "--prompt");
    **tokens_out = (int32_t)(config->bos_token >= 0 ? config->bos_token : config->eos_token[0]);
    *count_out = 1;
    return PLB_OK;
}

struct output {
    bool stream; /* show text as it comes */
    FILE *text;  /* all of it, for --json */
};

static bool show(void *context, int32_t token, const char *text)
{
    const struct output *output = context;

    (void)token;
    fputs(text, output->text);
    if (output->stream) {
        fputs(text, stdout);
        if (fflush(stdout) != 0)
            return false; /* nobody reads any more */
    }
    return !cli_interrupted();
}

static const char *stop_name(enum plb_stop stop)
{
    switch (stop) {
    case PLB_STOP_LENGTH: return "length";
    case PLB_STOP_END: return "end";
    case PLB_STOP_CAPACITY: return "capacity";
    case PLB_STOP_CALLER: return "interrupted";
    }
    return "";
}

static enum plb_status report(const struct plb_settings *s, const struct plb_generation *g,
                              const char *text)
{
    double rate = g->decode_seconds > 0.0 ? (double)g->tokens / g->decode_seconds : 0.0;
    char device[64];

    if (plb_settings_switch(s, OPTION_JSON))
        return cli_print_json(json_pack("{s:s, s:I, s:I, s:s, s:f, s:f, s:f}", "text", text,
                                        "prompt_tokens", (json_int_t)g->prompt_tokens, "tokens",
                                        (json_int_t)g->tokens, "stop", stop_name(g->stop),
                                        "prefill_seconds", g->prefill_seconds, "decode_seconds",
                                        g->decode_seconds, "tokens_per_second", rate));
    putchar('\n');
    cli_say(s,
            "\n%" PRId64 " tokens of prompt in %.2f s, %" PRId64 " generated in %.2f s "
            "(%.1f tokens/s), stopped by %s; on %s\n",
            g->prompt_tokens, g->prefill_seconds, g->tokens, g->decode_seconds, rate,
            stop_name(g->stop), cli_print_device(device, sizeof device));
    return PLB_OK;
}

static enum plb_status generate(const struct plb_settings *s, const struct prompt *prompt,
                                plb_generator_t *generator)
{
    const struct plb_sampling sampling = {
        .temperature = plb_settings_number(s, OPTION_TEMPERATURE),
        .top_k = plb_settings_integer(s, OPTION_TOP_K),
        .top_p = plb_settings_number(s, OPTION_TOP_P),
        .seed = (uint64_t)plb_settings_integer(s, OPTION_SEED)};
    struct output output = {.stream = !plb_settings_switch(s, OPTION_JSON)};
    struct plb_generation generation;
    int32_t *tokens = NULL;
    char *text = NULL;
    size_t count = 0, bytes = 0;
    bool failed;
    enum plb_status status = encode_prompt(s, prompt, generator, &tokens, &count);

    if (status != PLB_OK)
        goto free_tokens;
    output.text = open_memstream(&text, &bytes);
    if (!output.text) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the text");
        goto free_tokens;
    }
    if (output.stream && !prompt->input)
        fputs(prompt->text, stdout);
    status = plb_generator_run(generator, tokens, (int64_t)count, &sampling,
                               plb_settings_integer(s, OPTION_MAX_TOKENS),
                               plb_settings_switch(s, OPTION_IGNORE_END), show, &output,
                               &generation);
    failed = ferror(output.text) != 0;
    if ((fclose(output.text) != 0 || failed || !text) && status == PLB_OK)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the text");
    if (status == PLB_OK)
        status = report(s, &generation, text);
    if (status == PLB_OK && generation.stop == PLB_STOP_CALLER && cli_interrupted())
        status = plb_fail(PLB_ERROR_INTERRUPTED, "interrupted after %" PRId64 " tokens",
                          generation.tokens);
    free(text);
free_tokens:
    free(tokens);
    return status;
}

enum plb_status cli_generate(const struct plb_settings *settings)
{
    struct plb_generator_options options = {.dtype = cli_dtype(settings)};
    struct prompt prompt = {0};
    plb_generator_t *generator = NULL;
    enum plb_status status = read_prompt(settings, &prompt);

    if (status == PLB_OK)
        status = choose_capacity(settings, &prompt, &options.capacity);
    if (status == PLB_OK)
        status = cli_start_runtime(settings);
    if (status == PLB_OK)
        status = plb_generator_create(settings->argument[0], &options, &generator);
    if (status == PLB_OK) {
        cli_interrupt_catch();
        status = generate(settings, &prompt, generator);
    }
    plb_generator_destroy(generator);
    plb_runtime_stop();
    free(prompt.input);
    return status;
}

/* ---- logits ---- */

static enum plb_status parse_tokens(const char *list, int32_t *tokens, int64_t *count_out)
{
    int64_t count = 0;

    if (!list)
        return plb_fail(PLB_ERROR_INVALID, "--tokens is missing");
    for (const char *at = list;;) {
        char *end;
        long value;

        errno = 0;
        value = strtol(at, &end, 10);
        if (end == at || errno || value < 0 || value > INT32_MAX || (*end && *end != ','))
            return plb_fail(PLB_ERROR_INVALID,
                            "--tokens wants numbers separated by commas, not '%.20s'", at);
        if (count == TOKENS_MAX)
            return plb_fail(PLB_ERROR_INVALID, "--tokens takes at most %d tokens", TOKENS_MAX);
        tokens[count++] = (int32_t)value;
        if (!*end)
            break;
        at = end + 1;
    }
    *count_out = count;
    return PLB_OK;
}

static enum plb_status append_logits(plb_safetensors_writer_t *writer, const char *path,
                                     const int32_t *tokens, const float *logits, int64_t count,
                                     int64_t vocab)
{
    const int64_t dim[2] = {count, vocab};

    PLB_TRY(plb_safetensors_writer_declare(writer, "tokens", PLB_STORED_I32, 1, dim));
    PLB_TRY(plb_safetensors_writer_declare(writer, "logits", PLB_STORED_F32, 2, dim));
    PLB_TRY(plb_safetensors_writer_open_file(writer, path));
    PLB_TRY(plb_safetensors_writer_append(writer, 0, PLB_STORED_I32, tokens, (uint64_t)count));
    return plb_safetensors_writer_append(writer, 1, PLB_STORED_F32, logits,
                                         (uint64_t)(count * vocab));
}

static enum plb_status write_logits(const char *path, const int32_t *tokens, const float *logits,
                                    int64_t count, int64_t vocab)
{
    plb_safetensors_writer_t *writer;
    enum plb_status status;

    PLB_TRY(plb_safetensors_writer_create(&writer));
    status = append_logits(writer, path, tokens, logits, count, vocab);
    if (status != PLB_OK) {
        plb_safetensors_writer_abort(writer);
        return status;
    }
    return plb_safetensors_writer_commit(writer);
}

static enum plb_status logits(const struct plb_settings *s, int32_t *tokens, float **logits_out)
{
    const char *out = plb_settings_text(s, OPTION_OUT);
    int64_t count = 0, vocab = 0;

    if (!plb_settings_given(s, OPTION_OUT))
        return plb_fail(PLB_ERROR_INVALID, "--out FILE is missing");
    PLB_TRY(parse_tokens(plb_settings_text(s, OPTION_TOKENS), tokens, &count));
    PLB_TRY(cli_start_runtime(s));
    PLB_TRY(plb_logits(s->argument[0], cli_dtype(s), NULL, tokens, count, logits_out, &vocab));
    PLB_TRY(write_logits(out, tokens, *logits_out, count, vocab));
    if (plb_settings_switch(s, OPTION_JSON))
        return cli_print_json(json_pack("{s:s, s:I, s:I}", "out", out, "tokens",
                                        (json_int_t)count, "vocabulary", (json_int_t)vocab));
    printf("%s: logits f32[%" PRId64 ",%" PRId64 "]\n", out, count, vocab);
    return PLB_OK;
}

enum plb_status cli_logits(const struct plb_settings *settings)
{
    int32_t *tokens = malloc(TOKENS_MAX * sizeof *tokens);
    float *values = NULL;
    enum plb_status status;

    if (!tokens)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the tokens");
    status = logits(settings, tokens, &values);
    plb_runtime_stop();
    free(values);
    free(tokens);
    return status;
}
