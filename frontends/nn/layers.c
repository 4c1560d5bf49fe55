/* SPDX-License-Identifier: BSD-3-Clause */
/* Layers: parameters from the model's register, tasks from the operators' builders. */
#include "config.h"

#include "frontends/nn/layers.h"

#include <math.h>
#include <stdio.h>

#include "frontends/nn/layers_internal.h"

#define TABLE_DEVIATION 0.02

static bool ready(plb_model_t *model)
{
    return plb_graph_status(plb_model_graph(model)) == PLB_OK;
}

bool plb__layer_shape(plb_model_t *model, plb_value x, int rank, const char *layer,
                      struct plb_shape *shape_out)
{
    plb_graph_t *g = plb_model_graph(model);

    if (!ready(model))
        return false;
    if (x >= plb_graph_values(g)) {
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "layer \"%s\" was given no value", layer));
        return false;
    }
    *shape_out = plb_graph_value(g, x)->type.shape;
    if (shape_out->rank != rank) {
        char text[80];
        plb_graph_fail(
            g, plb_fail(PLB_ERROR_INVALID, "layer \"%s\" needs rank %d, not %s", layer, rank,
                        plb_type_print(&plb_graph_value(g, x)->type, text, sizeof text)));
        return false;
    }
    return true;
}

bool plb__layer_name(plb_model_t *model, const char *layer, const char *kind,
                     char name_out[PLB__LAYER_NAME_BYTES])
{
    int n = snprintf(name_out, PLB__LAYER_NAME_BYTES, "%s.%s", layer, kind);

    if (n >= 0 && n < PLB__LAYER_NAME_BYTES)
        return true;
    plb_graph_fail(plb_model_graph(model),
                   plb_fail(PLB_ERROR_INVALID, "the layer's name \"%.40s...\" is too long", layer));
    return false;
}

static plb_value parameter(plb_model_t *model, const char *layer, const char *kind,
                           struct plb_shape shape, enum plb_initial initial, double deviation)
{
    char name[PLB__LAYER_NAME_BYTES];

    if (!plb__layer_name(model, layer, kind, name))
        return PLB_NONE;
    return plb_model_parameter(model, name, shape, initial, deviation);
}

double plb__layer_deviation(const plb_model_t *model, int64_t inputs)
{
    double deviation = plb_model_deviation(model);

    return deviation == 0.0 ? sqrt(2.0 / (double)inputs) : deviation;
}

double plb__table_deviation(const plb_model_t *model)
{
    double deviation = plb_model_deviation(model);

    return deviation > 0 ? deviation : TABLE_DEVIATION;
}

plb_value plb__layer_bias(plb_model_t *model, const char *layer, int64_t features)
{
    return parameter(model, layer, "bias", plb_shape1(features), PLB_INITIAL_ZEROS, 0);
}

/* A weight whose every output sums `inputs` products. */
static plb_value weight(plb_model_t *model, const char *layer, struct plb_shape shape,
                        int64_t inputs)
{
    return parameter(model, layer, "weight", shape, PLB_INITIAL_NORMAL,
                     plb__layer_deviation(model, inputs));
}

plb_value plb_nn_input(plb_model_t *model, const char *name, enum plb_dtype dtype,
                       struct plb_shape shape, plb_value *input_out)
{
    plb_graph_t *g = plb_model_graph(model);
    plb_value input = plb_graph_add_value(g, name, PLB_ROLE_INPUT, dtype, shape);

    if (input_out)
        *input_out = input;
    if (dtype == PLB_F32 && plb_model_options(model)->dtype != PLB_F32)
        return plb_cast(g, input, plb_model_options(model)->dtype);
    return input;
}

plb_value plb_nn_linear(plb_model_t *model, plb_value x, int64_t features, bool bias,
                        const char *name)
{
    struct plb_shape shape;

    if (!plb__layer_shape(model, x, 2, name, &shape))
        return PLB_NONE;
    plb_value w = weight(model, name, plb_shape2(features, shape.dim[1]), shape.dim[1]);
    plb_value b = bias ? plb__layer_bias(model, name, features) : PLB_NONE;
    return plb_linear(plb_model_graph(model), x, w, b);
}

plb_value plb_nn_linear_tied(plb_model_t *model, plb_value x, int64_t features, const char *name)
{
    struct plb_shape shape;

    if (!plb__layer_shape(model, x, 2, name, &shape))
        return PLB_NONE;
    plb_value w = parameter(model, name, "weight", plb_shape2(features, shape.dim[1]),
                            PLB_INITIAL_NORMAL, TABLE_DEVIATION);
    return plb_linear(plb_model_graph(model), x, w, PLB_NONE);
}

plb_value plb_nn_embedding(plb_model_t *model, plb_value index, int64_t rows, int64_t features,
                           const char *name)
{
    if (!ready(model))
        return PLB_NONE;
    plb_value table = parameter(model, name, "weight", plb_shape2(rows, features),
                                PLB_INITIAL_NORMAL, plb__table_deviation(model));
    return plb_embedding(plb_model_graph(model), index, table);
}

plb_value plb_nn_layer_norm(plb_model_t *model, plb_value x, double eps, bool bias,
                            const char *name)
{
    struct plb_shape shape;

    if (!plb__layer_shape(model, x, 2, name, &shape))
        return PLB_NONE;
    struct plb_shape row = plb_shape1(shape.dim[1]);
    plb_value gamma = parameter(model, name, "weight", row, PLB_INITIAL_ONES, 0);
    plb_value beta = bias ? parameter(model, name, "bias", row, PLB_INITIAL_ZEROS, 0) : PLB_NONE;
    return plb_layer_norm(plb_model_graph(model), x, gamma, beta, eps);
}

plb_value plb_nn_rms_norm(plb_model_t *model, plb_value x, double eps, const char *name)
{
    struct plb_shape shape;

    if (!plb__layer_shape(model, x, 2, name, &shape))
        return PLB_NONE;
    plb_value gamma =
        parameter(model, name, "weight", plb_shape1(shape.dim[1]), PLB_INITIAL_ONES, 0);
    return plb_rms_norm(plb_model_graph(model), x, gamma, eps);
}

plb_value plb_nn_conv2d(plb_model_t *model, plb_value x, int64_t channels, int64_t kernel,
                        int64_t stride, int64_t padding, bool bias, const char *name)
{
    struct plb_shape shape;

    if (!plb__layer_shape(model, x, 4, name, &shape))
        return PLB_NONE;
    plb_value w = weight(model, name, plb_shape4(channels, shape.dim[1], kernel, kernel),
                         shape.dim[1] * kernel * kernel);
    plb_value b = bias ? plb__layer_bias(model, name, channels) : PLB_NONE;
    return plb_conv2d(plb_model_graph(model), x, w, b, stride, padding);
}

plb_value plb_nn_flatten(plb_model_t *model, plb_value x)
{
    plb_graph_t *g = plb_model_graph(model);

    if (!ready(model))
        return PLB_NONE;
    if (x >= plb_graph_values(g)) {
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "flatten was given no value"));
        return PLB_NONE;
    }
    const struct plb_shape *shape = &plb_graph_value(g, x)->type.shape;
    return plb_reshape(g, x, plb_shape2(shape->dim[0], plb_shape_row_elements(shape)));
}

plb_value plb__layer_attention(plb_model_t *model, plb_value qkv,
                               const struct plb_attention *wanted)
{
    int64_t heads = wanted->heads, kv_heads = wanted->kv_heads;
    struct plb_attention attention = *wanted;
    struct plb_shape shape;

    if (!plb__layer_shape(model, qkv, 2, "attention", &shape))
        return PLB_NONE;
    if (heads < 1 || kv_heads < 1 || shape.dim[1] % (heads + 2 * kv_heads) != 0) {
        plb_graph_fail(
            plb_model_graph(model),
            plb_fail(PLB_ERROR_INVALID,
                     "attention: %lld columns are not those of %lld heads and twice %lld",
                     (long long)shape.dim[1], (long long)heads, (long long)kv_heads));
        return PLB_NONE;
    }
    attention.head_dim = shape.dim[1] / (heads + 2 * kv_heads);
    attention.seed = attention.stream ? plb_model_options(model)->seed : 0;
    if (!attention.stream) /* streams are counted from 1 */
        attention.dropout = 0.0;
    return plb_attention(plb_model_graph(model), qkv, &attention);
}

plb_value plb_nn_attention(plb_model_t *model, plb_value qkv, int64_t heads, int64_t kv_heads,
                           int64_t sequence, double dropout)
{
    const struct plb_shards whole = {.n = 1, .part = {qkv}};

    return plb_nn_attention_shards(model, &whole, heads, kv_heads, sequence, dropout).part[0];
}

plb_value plb_nn_dropout(plb_model_t *model, plb_value x, double p)
{
    const struct plb_model_options *options = plb_model_options(model);

    if (!options->training || p == 0.0)
        return x;
    return plb_dropout(plb_model_graph(model), x, p, options->seed, plb_model_stream(model));
}

plb_value plb_nn_add(plb_model_t *model, plb_value a, plb_value b)
{
    return plb_add(plb_model_graph(model), a, b);
}

plb_value plb_nn_loss(plb_model_t *model, plb_value logits, plb_value classes)
{
    plb_graph_t *g = plb_model_graph(model);

    return plb_mean_loss(g, plb_cross_entropy(g, logits, classes), classes);
}
