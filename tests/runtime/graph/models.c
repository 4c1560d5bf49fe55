/* SPDX-License-Identifier: BSD-3-Clause */
/* Graphs of models for tests: see models.h. */
#include "config.h"

#include "tests/runtime/graph/models.h"

#include "codelets/codelets.h"
#include "runtime/graph/differentiate.h"

#include <stdio.h>

#define TENSORS_MAX 1024

/* A model being built and its parameters so far, as the layers read them. */
struct builder {
    const struct model_shape *shape;
    plb_graph_t *graph;
    plb_value parameter[TENSORS_MAX];
    int n;
    uint64_t dropouts;
};

static plb_value parameter(struct builder *b, const char *name, struct plb_shape shape)
{
    enum plb_dtype dtype = b->shape->working ? PLB_BF16 : PLB_F32;
    plb_value value = plb_graph_add_value(b->graph, name, PLB_ROLE_PARAMETER, dtype, shape);

    if (b->n < TENSORS_MAX)
        b->parameter[b->n++] = value;
    return value;
}

static plb_value linear(struct builder *b, const char *name, plb_value x, int64_t in, int64_t out)
{
    char text[64];
    plb_value w, bias;

    snprintf(text, sizeof text, "%s.w", name);
    w = parameter(b, text, plb_shape2(out, in));
    snprintf(text, sizeof text, "%s.b", name);
    bias = parameter(b, text, plb_shape1(out));
    return plb_linear(b->graph, x, w, bias);
}

static plb_value norm(struct builder *b, const char *name, plb_value x)
{
    char text[64];
    plb_value gamma, beta;

    snprintf(text, sizeof text, "%s.g", name);
    gamma = parameter(b, text, plb_shape1(b->shape->width));
    snprintf(text, sizeof text, "%s.b", name);
    beta = parameter(b, text, plb_shape1(b->shape->width));
    return plb_layer_norm(b->graph, x, gamma, beta, 1e-5);
}

static plb_value dropout(struct builder *b, plb_value x)
{
    if (b->shape->dropout <= 0)
        return x;
    return plb_dropout(b->graph, x, b->shape->dropout, 7, ++b->dropouts);
}

static struct plb_attention attention(struct builder *b, int64_t sequence)
{
    struct plb_attention a = {.heads = b->shape->heads,
                              .kv_heads = b->shape->heads,
                              .head_dim = b->shape->width / b->shape->heads,
                              .sequence = sequence,
                              .dropout = sequence > 1 ? b->shape->dropout : 0,
                              .seed = 7,
                              .stream = sequence > 1 ? ++b->dropouts : 0};

    return a;
}

/* Causal attention over the sequence, or with a cache when `positions` is given. */
static plb_value attend(struct builder *b, plb_value qkv, plb_value positions, int layer)
{
    struct plb_attention a = attention(b, positions == PLB_NONE ? b->shape->sequence : 1);
    char text[64];
    plb_value cache, next;

    if (positions == PLB_NONE)
        return plb_attention(b->graph, qkv, &a);
    snprintf(text, sizeof text, "cache.%d", layer);
    cache =
        plb_graph_add_value(b->graph, text, PLB_ROLE_STATE, b->shape->working ? PLB_BF16 : PLB_F32,
                            plb_shape2(b->shape->batch * b->shape->sequence, 2 * b->shape->width));
    next = plb_cache_write(b->graph, cache, qkv, positions, &a, b->shape->sequence);
    plb_graph_carry(b->graph, cache, next);
    return plb_attention_cached(b->graph, qkv, next, positions, &a, b->shape->sequence);
}

static plb_value layer(struct builder *b, int index, plb_value x, plb_value positions)
{
    int64_t width = b->shape->width;
    char name[4][48];
    plb_value y;

    for (int i = 0; i < 4; i++)
        snprintf(name[i], sizeof name[i], "h.%d.%d", index, i);
    plb_graph_set_block(b->graph, index);
    y = norm(b, name[0], x);
    snprintf(name[0], sizeof name[0], "h.%d.qkv", index);
    y = linear(b, name[0], y, width, 3 * width);
    y = attend(b, y, positions, index);
    y = linear(b, name[1], y, width, width);
    x = plb_add(b->graph, x, dropout(b, y));
    snprintf(name[1], sizeof name[1], "h.%d.norm", index);
    y = norm(b, name[1], x);
    y = linear(b, name[2], y, width, 4 * width);
    y = plb_gelu(b->graph, y, PLB_GELU_TANH);
    y = linear(b, name[3], y, 4 * width, width);
    return plb_add(b->graph, x, dropout(b, y));
}

/* From tokens[N] and positions[N] to logits[N, vocabulary], the head tied to the embedding. */
static plb_value gpt_forward(struct builder *b, plb_value tokens, plb_value places,
                             plb_value positions)
{
    const struct model_shape *s = b->shape;
    plb_value wte = parameter(b, "wte", plb_shape2(s->vocabulary, s->width));
    plb_value wpe = parameter(b, "wpe", plb_shape2(s->sequence, s->width));
    plb_value x = plb_add(b->graph, plb_embedding(b->graph, tokens, wte),
                          plb_embedding(b->graph, places, wpe));

    for (int i = 0; i < s->layers; i++)
        x = layer(b, i, x, positions);
    plb_graph_set_block(b->graph, -1);
    x = norm(b, "norm", x);
    return plb_linear(b->graph, x, wte, PLB_NONE);
}

static plb_value state(struct builder *b, int k, const char *what)
{
    const struct plb_value_info *info = plb_graph_value(b->graph, b->parameter[k]);
    char name[96];

    snprintf(name, sizeof name, "%s.%s", info->name, what);
    return plb_graph_add_value(b->graph, name, PLB_ROLE_STATE, PLB_F32, info->type.shape);
}

static void update(struct builder *b, int k, plb_value gradient, plb_value hyper, plb_value scale)
{
    /* The large epsilon keeps rounding of gradients that are zero out of the parameters. */
    static const struct plb_adamw options = {0.9, 0.95, 1e-3, 0.1};
    bool working = b->shape->working;
    plb_value parameter_f32 = working ? state(b, k, "master") : b->parameter[k];
    plb_value m = state(b, k, "m"), v = state(b, k, "v");
    struct plb_update next = plb_adamw(b->graph, parameter_f32, gradient, m, v, hyper, scale,
                                       working ? b->parameter[k] : PLB_NONE, &options);

    plb_graph_carry(b->graph, parameter_f32, next.parameter);
    plb_graph_carry(b->graph, m, next.moment1);
    plb_graph_carry(b->graph, v, next.moment2);
    if (working)
        plb_graph_carry(b->graph, b->parameter[k], next.working);
}

/* Gradients of all parameters and their updates. */
static void train(struct builder *b, struct model *model)
{
    plb_value gradient[TENSORS_MAX], square[TENSORS_MAX], scale = PLB_NONE, hyper;

    plb_graph_set_phase(b->graph, PLB_PHASE_BACKWARD);
    if (plb_graph_differentiate(b->graph, model->loss, b->parameter, b->n, gradient) != PLB_OK)
        return;
    plb_graph_set_phase(b->graph, PLB_PHASE_UPDATE);
    hyper = plb_graph_add_value(b->graph, "hyper", PLB_ROLE_INPUT, PLB_F32, plb_shape1(4));
    if (b->shape->clip) {
        for (int k = 0; k < b->n; k++)
            square[k] = plb_sum_squares(b->graph, gradient[k]);
        scale = plb_clip_scale(b->graph, square, b->n, 1.0, &model->norm);
        plb_graph_output(b->graph, model->norm);
    }
    for (int k = 0; k < b->n; k++)
        update(b, k, gradient[k], hyper, scale);
}

static plb_value input(struct builder *b, const char *name, int64_t n)
{
    return plb_graph_add_value(b->graph, name, PLB_ROLE_INPUT, PLB_I32, plb_shape1(n));
}

static struct model model_begin(struct builder *b, const struct model_shape *shape)
{
    struct model model = {plb_graph_create(), PLB_NONE, PLB_NONE, PLB_NONE, PLB_NONE, PLB_NONE};

    b->shape = shape;
    b->graph = model.graph;
    b->n = 0;
    b->dropouts = 0;
    return model;
}

static void finish_loss(struct builder *b, struct model *model)
{
    plb_value rows = plb_cross_entropy(b->graph, model->logits, model->targets);

    model->loss = plb_mean_loss(b->graph, rows, model->targets);
    plb_graph_output(b->graph, model->loss);
    train(b, model);
}

struct model model_gpt(const struct model_shape *shape)
{
    struct builder b;
    struct model model = model_begin(&b, shape);
    int64_t n = shape->batch * shape->sequence;

    model.tokens = input(&b, "tokens", n);
    model.targets = input(&b, "targets", n);
    model.logits = gpt_forward(&b, model.tokens, input(&b, "places", n), PLB_NONE);
    finish_loss(&b, &model);
    return model;
}

struct model model_decode(const struct model_shape *shape)
{
    struct builder b;
    struct model model = model_begin(&b, shape);
    plb_value places = input(&b, "places", shape->batch);

    model.tokens = input(&b, "tokens", shape->batch);
    model.logits = gpt_forward(&b, model.tokens, places, places);
    plb_graph_output(b.graph, model.logits);
    return model;
}

static plb_value convolve(struct builder *b, const char *name, plb_value x, int64_t in, int64_t out)
{
    char text[64];
    plb_value w, bias;

    snprintf(text, sizeof text, "%s.w", name);
    w = parameter(b, text, plb_shape4(out, in, 3, 3));
    snprintf(text, sizeof text, "%s.b", name);
    bias = parameter(b, text, plb_shape1(out));
    x = plb_conv2d(b->graph, x, w, bias, 1, 1);
    return plb_max_pool2d(b->graph, plb_relu(b->graph, x), 2, 2);
}

struct model model_images(const struct model_shape *shape)
{
    struct builder b;
    struct model model = model_begin(&b, shape);
    int64_t n = shape->batch, side = shape->width, features = 64 * (side / 4) * (side / 4);
    plb_value x = plb_graph_add_value(b.graph, "images", PLB_ROLE_INPUT, PLB_F32,
                                      plb_shape4(n, 3, side, side));

    model.tokens = x;
    model.targets = input(&b, "targets", n);
    x = convolve(&b, "c.0", x, 3, 32);
    x = convolve(&b, "c.1", x, 32, 64);
    x = plb_reshape(b.graph, x, plb_shape2(n, features));
    model.logits = linear(&b, "head", x, features, shape->vocabulary);
    finish_loss(&b, &model);
    return model;
}
