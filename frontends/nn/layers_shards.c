/* SPDX-License-Identifier: BSD-3-Clause */
/* Layers in shards: parameters and tasks of each part. With one part they are the layers of
 * layers.c.
 */
#include "config.h"

#include "frontends/nn/layers.h"

#include <math.h>
#include <stdio.h>

#include "frontends/nn/layers_internal.h"

static struct plb_shards whole(plb_value value)
{
    struct plb_shards shards = {.n = 1, .part = {value}};

    return shards;
}

/* n parts to be made; none of them, and n = 1, after a failure. */
static struct plb_shards begin(plb_model_t *model, int n)
{
    struct plb_shards shards = whole(PLB_NONE);
    plb_graph_t *g = plb_model_graph(model);

    if (plb_graph_status(g) != PLB_OK)
        return shards;
    if (n < 1 || n > PLB_SHARDS_MAX)
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "a value cannot be split %d ways (1 to %d)",
                                   n, PLB_SHARDS_MAX));
    else
        shards.n = n;
    return shards;
}

/* Where part j of n begins, of `features` in pieces of `unit`. */
static int64_t cut(int64_t features, int64_t unit, int j, int n)
{
    return features / unit * j / n * unit;
}

/* The rows of a weight that make part j of the columns. */
static struct plb_share rows_of(const struct plb_columns *columns, int j, int n, int64_t inputs)
{
    struct plb_share share = {.shard = j, .shards = n, .cols = inputs, .n = columns->groups};
    int64_t row = 0, group = 0;

    for (int g = 0; g < columns->groups; g++) {
        int64_t low = cut(columns->features[g], columns->unit, j, n);
        int64_t high = cut(columns->features[g], columns->unit, j + 1, n);

        share.slice[g] = (struct plb_slice){row, high - low, group + low};
        row += high - low;
        group += columns->features[g];
    }
    return share;
}

static plb_value shard_of(plb_model_t *model, const char *layer, const char *kind,
                          struct plb_shape tensor, const struct plb_share *share,
                          enum plb_initial initial, double deviation)
{
    char name[PLB__LAYER_NAME_BYTES];

    if (!plb__layer_name(model, layer, kind, name))
        return PLB_NONE;
    return plb_model_shard(model, name, tensor, share, initial, deviation);
}

/* The sum of values first to last - 1, in a balanced binary tree. Sums of some of them are made
 * where their first term was, so that they go on at once, or like that of all by rows. */
static plb_value tree(plb_model_t *model, const struct plb_shards *x, int first, int last)
{
    int middle = first + (last - first + 1) / 2;
    bool all = last - first == x->n || plb_model_divided(model);

    if (last - first == 1)
        return x->part[first];
    plb_value left = tree(model, x, first, middle), right = tree(model, x, middle, last);
    plb_model_set_shard(model, x->n, all ? -1 : first);
    return plb_add(plb_model_graph(model), left, right);
}

static bool check_columns(plb_model_t *model, const struct plb_columns *columns, int n,
                          const char *name)
{
    bool ok = columns->groups >= 1 && columns->groups <= PLB_SLICES_MAX && columns->unit >= 1;

    for (int g = 0; ok && g < columns->groups; g++)
        ok = columns->features[g] % columns->unit == 0 && columns->features[g] / columns->unit >= n;
    if (!ok)
        plb_graph_fail(plb_model_graph(model),
                       plb_fail(PLB_ERROR_INVALID,
                                "layer \"%s\": its features, in pieces of %lld, cannot be split %d "
                                "ways",
                                name, (long long)columns->unit, n));
    return ok;
}

struct plb_shards plb_nn_linear_columns(plb_model_t *model, plb_value x, int n,
                                        const struct plb_columns *columns, bool bias,
                                        const char *name)
{
    struct plb_shards y = begin(model, n);
    plb_graph_t *g = plb_model_graph(model);
    struct plb_shape shape;
    int64_t features = 0;

    if (!plb__layer_shape(model, x, 2, name, &shape) || !check_columns(model, columns, n, name))
        return whole(PLB_NONE);
    for (int k = 0; k < columns->groups; k++)
        features += columns->features[k];
    if (y.n == 1)
        return whole(plb_nn_linear(model, x, features, bias, name));
    int64_t inputs = shape.dim[1];
    double deviation = plb__layer_deviation(model, inputs);
    for (int j = 0; j < n; j++) {
        struct plb_share share = rows_of(columns, j, n, inputs);
        plb_value w = shard_of(model, name, "weight", plb_shape2(features, inputs), &share,
                               PLB_INITIAL_NORMAL, deviation);
        share.cols = 1;
        plb_value b =
            bias ? shard_of(model, name, "bias", plb_shape1(features), &share, PLB_INITIAL_ZEROS, 0)
                 : PLB_NONE;
        plb_model_set_shard(model, n, j);
        y.part[j] = plb_linear(g, x, w, b);
    }
    plb_model_set_shard(model, n, -1);
    return y;
}

/* The columns of all parts of x; 0 after a failure. */
static int64_t columns_of(plb_model_t *model, const struct plb_shards *x, const char *name,
                          int64_t width[PLB_SHARDS_MAX])
{
    int64_t sum = 0;

    for (int j = 0; j < x->n; j++) {
        struct plb_shape shape;

        if (!plb__layer_shape(model, x->part[j], 2, name, &shape))
            return 0;
        width[j] = shape.dim[1];
        sum += width[j];
    }
    return sum;
}

plb_value plb_nn_linear_rows(plb_model_t *model, const struct plb_shards *x, int64_t features,
                             bool bias, const char *name)
{
    struct plb_shards y = begin(model, x->n);
    int64_t width[PLB_SHARDS_MAX], inputs;

    if (y.n == 1)
        return plb_nn_linear(model, x->part[0], features, bias, name);
    inputs = columns_of(model, x, name, width);
    if (inputs == 0)
        return PLB_NONE;
    double deviation = plb__layer_deviation(model, inputs);
    for (int64_t j = 0, col = 0; j < y.n; col += width[j], j++) {
        struct plb_share share = {.shard = (int)j,
                                  .shards = y.n,
                                  .col0 = col,
                                  .cols = width[j],
                                  .n = 1,
                                  .slice = {{0, features, 0}}};
        plb_value w = shard_of(model, name, "weight", plb_shape2(features, inputs), &share,
                               PLB_INITIAL_NORMAL, deviation);
        plb_value b = bias && j == 0 ? plb__layer_bias(model, name, features) : PLB_NONE;
        plb_model_set_shard(model, y.n, (int)j);
        y.part[j] = plb_linear(plb_model_graph(model), x->part[j], w, b);
    }
    return tree(model, &y, 0, y.n);
}

struct plb_shards plb_nn_attention_shards(plb_model_t *model, const struct plb_shards *qkv,
                                          int64_t heads, int64_t kv_heads, int64_t sequence,
                                          double dropout)
{
    struct plb_shards y = begin(model, qkv->n);
    uint64_t stream = 0;

    if (qkv->n > 1 && (heads % qkv->n != 0 || kv_heads % qkv->n != 0)) {
        plb_graph_fail(plb_model_graph(model),
                       plb_fail(PLB_ERROR_INVALID,
                                "attention: %lld heads and %lld of keys cannot be split %d ways",
                                (long long)heads, (long long)kv_heads, qkv->n));
        return whole(PLB_NONE);
    }
    if (plb_model_options(model)->training && dropout > 0)
        stream = plb_model_stream(model);
    for (int j = 0; j < y.n; j++) {
        const struct plb_attention some = {.heads = heads / y.n,
                                           .kv_heads = kv_heads / y.n,
                                           .sequence = sequence,
                                           .dropout = dropout,
                                           .stream = stream,
                                           .first_head = y.n > 1 ? heads / y.n * j : 0,
                                           .all_heads = y.n > 1 ? heads : 0};

        plb_model_set_shard(model, y.n, j);
        y.part[j] = plb__layer_attention(model, qkv->part[j], &some);
    }
    plb_model_set_shard(model, y.n, -1);
    return y;
}

struct plb_shards plb_nn_each(plb_model_t *model, struct plb_shards x, plb_nn_function f,
                              const void *context)
{
    for (int j = 0; j < x.n; j++) {
        plb_model_set_shard(model, x.n, j);
        x.part[j] = f(model, x.part[j], context);
    }
    plb_model_set_shard(model, x.n, -1);
    return x;
}

/* Shard j of the rows of a table. */
static plb_value table_of(plb_model_t *model, const char *name, int64_t rows, int64_t features,
                          int j, int n, double deviation, int64_t *first_out)
{
    const struct plb_columns all = {{rows}, 1, 1};
    struct plb_share share = rows_of(&all, j, n, features);

    *first_out = share.slice[0].tensor_row0;
    return shard_of(model, name, "weight", plb_shape2(rows, features), &share, PLB_INITIAL_NORMAL,
                    deviation);
}

plb_value plb_nn_embedding_shards(plb_model_t *model, plb_value index, int64_t rows,
                                  int64_t features, int n, const char *name)
{
    struct plb_shards y = begin(model, n);
    double deviation = plb__table_deviation(model);

    if (y.n == 1)
        return plb_nn_embedding(model, index, rows, features, name);
    for (int j = 0; j < y.n; j++) {
        int64_t first;
        plb_value table = table_of(model, name, rows, features, j, n, deviation, &first);

        plb_model_set_shard(model, n, j);
        y.part[j] = plb_embedding_part(plb_model_graph(model), index, table, first, rows);
    }
    return tree(model, &y, 0, n);
}

struct plb_shards plb_nn_linear_tied_columns(plb_model_t *model, plb_value x, int64_t features,
                                             int n, const char *name)
{
    struct plb_shards y = begin(model, n);
    struct plb_shape shape;

    if (y.n == 1)
        return whole(plb_nn_linear_tied(model, x, features, name));
    if (!plb__layer_shape(model, x, 2, name, &shape))
        return whole(PLB_NONE);
    for (int j = 0; j < n; j++) {
        int64_t first;
        plb_value table = table_of(model, name, features, shape.dim[1], j, n,
                                   plb__table_deviation(model), &first);

        plb_model_set_shard(model, n, j);
        y.part[j] = plb_linear(plb_model_graph(model), x, table, PLB_NONE);
    }
    plb_model_set_shard(model, n, -1);
    return y;
}

plb_value plb_nn_loss_shards(plb_model_t *model, const struct plb_shards *logits, plb_value classes)
{
    plb_value parts[PLB_SHARDS_MAX];
    plb_graph_t *g = plb_model_graph(model);
    int64_t width[PLB_SHARDS_MAX], all;

    if (logits->n == 1)
        return plb_nn_loss(model, logits->part[0], classes);
    all = columns_of(model, logits, "loss", width);
    if (all == 0)
        return PLB_NONE;
    for (int64_t j = 0, first = 0; j < logits->n; first += width[j], j++) {
        plb_model_set_shard(model, logits->n, (int)j);
        parts[j] = plb_cross_entropy_part(g, logits->part[j], classes, first, all);
    }
    plb_model_set_shard(model, logits->n, -1);
    return plb_mean_loss(g, plb_cross_entropy_merge(g, classes, parts, logits->n), classes);
}
