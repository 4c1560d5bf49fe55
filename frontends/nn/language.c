/* SPDX-License-Identifier: BSD-3-Clause */
/* What is common to all families: inputs, loss, cache. The layers stand in gpt2.c and llama.c. */
#include "config.h"

#include "frontends/nn/language.h"

#include <stdarg.h>
#include <stdio.h>

#include "frontends/nn/family.h"
#include "frontends/nn/optimizer.h"

void plb_language_positions(int64_t batch, int64_t sequence, int32_t *positions)
{
    for (int64_t row = 0; row < batch * sequence; row++)
        positions[row] = (int32_t)(row % sequence);
}

static enum plb_status check(const struct plb_model_config *config,
                             const struct plb_language_options *options)
{
    int64_t positions =
        options->mode == PLB_LANGUAGE_CACHED ? options->capacity : options->sequence;

    PLB_TRY(plb_model_config_check(config));
    PLB_TRY(plb_split_check(&options->split, config));
    if (options->batch < 1 || options->sequence < 1)
        return plb_fail(PLB_ERROR_INVALID, "batch %lld and sequence %lld must be at least 1",
                        (long long)options->batch, (long long)options->sequence);
    if (positions < 1 || positions > config->max_positions)
        return plb_fail(PLB_ERROR_INVALID, "%lld positions are asked for, the model has 1 to %lld",
                        (long long)positions, (long long)config->max_positions);
    if (options->micro_batches < 0 || options->micro_batches > PLB_MICRO_BATCHES_MAX ||
        (options->micro_batches && options->batch % options->micro_batches != 0))
        return plb_fail(
            PLB_ERROR_INVALID, "batch %lld cannot be divided into %lld micro-batches (at most %d)",
            (long long)options->batch, (long long)options->micro_batches, PLB_MICRO_BATCHES_MAX);
    if (options->micro_batches > 1 && options->mode != PLB_LANGUAGE_TRAIN)
        return plb_fail(PLB_ERROR_INVALID, "micro-batches are for training only");
    if (options->batch > INT32_MAX / positions)
        return plb_fail(PLB_ERROR_INVALID, "batch %lld of %lld positions is too large",
                        (long long)options->batch, (long long)positions);
    return PLB_OK;
}

/* What follows is of this block; -1: of none, of the vocabulary. */
static void set_block(struct plb__language *language, int block)
{
    const struct plb_split *split = &language->options->split;

    language->degree = plb_split_degree(split, block);
    plb_graph_set_block(language->graph, block);
    plb_model_divide_rows(language->model, split->sequence ? language->degree : 1);
}

plb_value plb__language_blocks(struct plb__language *language, plb_value x, const char *scope,
                               plb_value (*block)(struct plb__language *language, plb_value x,
                                                  int layer))
{
    for (int layer = 0; layer < (int)language->config->layers; layer++) {
        set_block(language, layer);
        plb_model_enter(language->model, "%s.%d", scope, layer);
        x = block(language, x, layer);
        plb_model_leave(language->model);
    }
    set_block(language, -1);
    return x;
}

struct plb_columns plb__language_heads(const struct plb__language *language)
{
    const struct plb_model_config *config = language->config;
    int64_t queries = config->heads * config->head_dim, keys = config->kv_heads * config->head_dim;
    struct plb_columns columns = {{queries, keys, keys}, 3, config->head_dim};

    return columns;
}

/* Attention of part j of n through a cache of its own heads. */
static plb_value cached(struct plb__language *language, plb_value qkv, int layer, int j, int n)
{
    const struct plb_language_options *options = language->options;
    const struct plb_model_config *config = language->config;
    struct plb_attention attention = {
        .heads = config->heads / n,
        .kv_heads = config->kv_heads / n,
        .head_dim = config->head_dim,
        .sequence = options->sequence,
    };
    struct plb_shape shape =
        plb_shape2(options->batch * options->capacity, 2 * attention.kv_heads * attention.head_dim);
    char name[64];

    snprintf(name, sizeof name, n > 1 ? "cache.%d#%dof%d" : "cache.%d", layer, j, n);
    plb_graph_set_scope(language->graph, NULL);
    plb_value cache =
        plb_graph_add_value(language->graph, name, PLB_ROLE_STATE, options->dtype, shape);
    plb_value next = plb_cache_write(language->graph, cache, qkv, language->positions, &attention,
                                     options->capacity);
    if (plb_graph_status(language->graph) != PLB_OK)
        return PLB_NONE;
    plb_graph_set_role(language->graph, next, PLB_ROLE_STATE);
    plb_graph_carry(language->graph, cache, next);
    return plb_attention_cached(language->graph, qkv, next, language->positions, &attention,
                                options->capacity);
}

struct plb_shards plb__language_attention(struct plb__language *language,
                                          const struct plb_shards *qkv, int layer)
{
    const struct plb_model_config *config = language->config;
    struct plb_shards y = {.n = qkv->n};

    if (language->options->mode != PLB_LANGUAGE_CACHED)
        return plb_nn_attention_shards(language->model, qkv, config->heads, config->kv_heads,
                                       language->options->sequence, config->attention_dropout);
    for (int j = 0; j < y.n; j++) {
        plb_model_set_shard(language->model, y.n, j);
        y.part[j] = cached(language, qkv->part[j], layer, j, y.n);
    }
    plb_model_set_shard(language->model, y.n, -1);
    return y;
}

plb_value plb__language_rows(struct plb__language *language, plb_value x)
{
    return language->index == PLB_NONE ? x : plb_take_rows(language->graph, x, language->index);
}

plb_value plb__language_activation(plb_model_t *model, plb_value x, const void *context)
{
    const struct plb__language *language = context;
    plb_graph_t *g = plb_model_graph(model);

    switch (language->config->activation) {
    case PLB_ACTIVATION_GELU_TANH:
        return plb_gelu(g, x, PLB_GELU_TANH);
    case PLB_ACTIVATION_GELU_ERF:
        return plb_gelu(g, x, PLB_GELU_ERF);
    case PLB_ACTIVATION_RELU:
        return plb_relu(g, x);
    case PLB_ACTIVATION_SILU:
        return plb_silu(g, x);
    default:
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "unknown activation %d",
                                   (int)language->config->activation));
        return PLB_NONE;
    }
}

struct plb_shards plb__language_head(struct plb__language *language, plb_value x,
                                     const char *embedding)
{
    const struct plb_columns vocabulary = {{language->config->vocab}, 1, 1};
    struct plb_shards logits;

    if (!language->config->tied_embeddings) {
        plb_model_leave(language->model);
        return plb_nn_linear_columns(language->model, x, language->degree, &vocabulary, false,
                                     "lm_head");
    }
    logits = plb_nn_linear_tied_columns(language->model, x, language->config->vocab,
                                        language->degree, embedding);
    plb_model_leave(language->model);
    return logits;
}

plb_value plb__language_parameter(struct plb__language *language, const char *format, ...)
{
    char name[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    const struct plb_parameter *parameter = plb_model_parameter_find(language->model, name);
    return parameter ? parameter->value : PLB_NONE;
}

static struct plb_shards logits(struct plb__language *language)
{
    set_block(language, -1);
    return language->config->family == PLB_FAMILY_LLAMA ? plb__llama_logits(language)
                                                        : plb__gpt2_logits(language);
}

static plb_value numbered_input(plb_model_t *model, const char *name, int64_t number, int64_t rows)
{
    char numbered[32];

    snprintf(numbered, sizeof numbered, number ? "%s.%lld" : "%s", name, (long long)number);
    return plb_nn_input(model, numbered, PLB_I32, plb_shape1(rows), NULL);
}

/* One forward pass over a micro-batch; the loss is in out->loss where the mode has one. */
static void forward(struct plb__language *language, int64_t rows, int64_t number,
                    struct plb_language *out)
{
    enum plb_language_mode mode = language->options->mode;
    struct plb_micro_batch *micro = &out->micro[number];
    plb_model_t *model = language->model;

    micro->tokens = language->tokens = numbered_input(model, "tokens", number, rows);
    micro->targets = PLB_NONE;
    if (number == 0)
        out->positions = language->positions = numbered_input(model, "positions", 0, rows);
    if (mode == PLB_LANGUAGE_CACHED)
        out->index = language->index = numbered_input(model, "index", 0, language->options->batch);
    out->parts = logits(language);
    out->logits = out->parts.n == 1 ? out->parts.part[0] : PLB_NONE;
    if (mode == PLB_LANGUAGE_TRAIN || mode == PLB_LANGUAGE_EVALUATE) {
        micro->targets = numbered_input(model, "targets", number, rows);
        out->loss = plb_nn_loss_shards(model, &out->parts, micro->targets);
    }
}

static void mark_outputs(struct plb__language *language, const struct plb_language *out)
{
    if (plb_model_status(out->model) != PLB_OK)
        return;
    if (out->loss != PLB_NONE)
        plb_graph_output(language->graph, out->loss);
    for (int j = 0; j < out->parts.n && out->loss == PLB_NONE; j++)
        plb_graph_output(language->graph, out->parts.part[j]);
}

static void build(struct plb__language *language, struct plb_language *out)
{
    const struct plb_language_options *options = language->options;
    int64_t micro = options->micro_batches ? options->micro_batches : 1;
    int64_t rows = options->batch / micro * options->sequence;

    out->micro_batches = micro;
    for (int64_t k = 0; k < micro && plb_model_status(out->model) == PLB_OK; k++) {
        plb_graph_set_micro_batch(language->graph, (int)k);
        forward(language, rows, k, out);
        if (micro > 1)
            plb_nn_backward(out->model, out->loss, 1.0 / (double)micro);
    }
    plb_graph_set_micro_batch(language->graph, -1);
    out->tokens = out->micro[0].tokens;
    out->targets = out->micro[0].targets;
    if (micro > 1)
        out->loss = out->logits = PLB_NONE;
    else
        mark_outputs(language, out);
}

enum plb_status plb_language_write(const struct plb_language *language, plb_session_t *session,
                                   const int32_t *tokens, const int32_t *targets)
{
    const plb_graph_t *graph = plb_model_graph(language->model);
    int64_t rows = plb_graph_value(graph, language->tokens)->type.shape.dim[0];
    size_t bytes = (size_t)rows * sizeof *tokens;

    for (int64_t k = 0; k < language->micro_batches; k++) {
        const struct plb_micro_batch *micro = &language->micro[k];
        PLB_TRY(plb_session_write(session, micro->tokens, tokens + k * rows, bytes));
        if (targets)
            PLB_TRY(plb_session_write(session, micro->targets, targets + k * rows, bytes));
    }
    return PLB_OK;
}

enum plb_status plb_language_create(const struct plb_model_config *config,
                                    const struct plb_language_options *options,
                                    struct plb_language *language_out)
{
    struct plb_model_options model_options = {options->dtype, options->seed,
                                              options->mode == PLB_LANGUAGE_TRAIN};
    struct plb_language out = {.tokens = PLB_NONE,
                               .positions = PLB_NONE,
                               .targets = PLB_NONE,
                               .index = PLB_NONE,
                               .loss = PLB_NONE,
                               .logits = PLB_NONE};

    PLB_TRY(check(config, options));
    PLB_TRY(plb_model_create(&model_options, &out.model));
    struct plb__language language = {
        out.model, plb_model_graph(out.model), config, options, PLB_NONE, PLB_NONE, PLB_NONE, 1};
    plb_model_set_deviation(out.model, config->initializer_range);
    build(&language, &out);
    enum plb_status status = plb_model_status(out.model);
    if (status != PLB_OK) {
        plb_model_destroy(out.model);
        return status;
    }
    *language_out = out;
    return PLB_OK;
}

struct plb_session_options plb_language_session(const struct plb_language_options *options,
                                                const struct plb_session_options *session)
{
    const double token_seconds = 2e-4;
    struct plb_session_options result = {0};

    if (session)
        result = *session;
    if (options->mode == PLB_LANGUAGE_CACHED && options->sequence == 1 &&
        result.cut.target_seconds == 0.0)
        result.cut.target_seconds = token_seconds;
    if (options->mode == PLB_LANGUAGE_CACHED && !result.parallel)
        result.parallel = "none"; /* tokens one by one have nothing to overlap */
    return result;
}
