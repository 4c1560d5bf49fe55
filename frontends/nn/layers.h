/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers: what a user composes a model of. Each takes values and gives the value it makes, asks the
 * model for its parameters under NAME.weight and NAME.bias (the names that PyTorch's modules have),
 * and returns PLB_NONE after a failure (sticky, see model.h). What has no parameters is in
 * codelets/codelets.h and mixes freely: plb_gelu(plb_model_graph(m), x, PLB_GELU_TANH).
 *
 * Weights begin as plb_model_set_deviation() says; by default with sqrt(2 / inputs of an output)
 * (He et al. 2015, eq. 10), tables with 0.02.
 *
 * Values are of the model's dtype. Shape letters: N rows, C features, V rows of a table, B images,
 * H heads, G key-value heads, D features of a head, T positions.
 */
#ifndef PLB_NN_LAYERS_H
#define PLB_NN_LAYERS_H

#include "codelets/codelets.h"
#include "frontends/nn/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the caller writes before each step (plb_session_write()). PLB_I32 for tokens, positions and
 * classes; PLB_F32 for numbers, of which the layers get a cast where the model's dtype is another
 * (`input_out`, if not NULL, is the value to write to). */
plb_value plb_nn_input(plb_model_t *model, const char *name, enum plb_dtype dtype,
                       struct plb_shape shape, plb_value *input_out);

/* y[N, features] = x weight^T + bias; weight[features, C]. */
plb_value plb_nn_linear(plb_model_t *model, plb_value x, int64_t features, bool bias,
                        const char *name);
/* The same with the table of an embedding layer of that name as its weight, no bias. */
plb_value plb_nn_linear_tied(plb_model_t *model, plb_value x, int64_t features, const char *name);
/* y[N, features]: rows of weight[rows, features] by index[N] (i32). */
plb_value plb_nn_embedding(plb_model_t *model, plb_value index, int64_t rows, int64_t features,
                           const char *name);
plb_value plb_nn_layer_norm(plb_model_t *model, plb_value x, double eps, bool bias,
                            const char *name);
plb_value plb_nn_rms_norm(plb_model_t *model, plb_value x, double eps, const char *name);

/* y[B, channels, .., ..] of x[B, C, height, width], square kernel. */
plb_value plb_nn_conv2d(plb_model_t *model, plb_value x, int64_t channels, int64_t kernel,
                        int64_t stride, int64_t padding, bool bias, const char *name);
/* x[B, ...] as [B, rest]. */
plb_value plb_nn_flatten(plb_model_t *model, plb_value x);

/* Causal self-attention over packed rows qkv[N, (H+2G)D] of sequences of T rows; y[N, HD]. Dropout
 * on the probabilities while training. */
plb_value plb_nn_attention(plb_model_t *model, plb_value qkv, int64_t heads, int64_t kv_heads,
                           int64_t sequence, double dropout);
/* x itself unless the model is for training and p > 0. */
plb_value plb_nn_dropout(plb_model_t *model, plb_value x, double p);

plb_value plb_nn_add(plb_model_t *model, plb_value a, plb_value b);
/* Mean cross-entropy f32[1] of logits[N,V] and classes[N] i32, negative ones ignored. */
plb_value plb_nn_loss(plb_model_t *model, plb_value logits, plb_value classes);

/*
 * Tensor parallelism (Shoeybi et al. 2019, "Megatron-LM", section 3). A struct plb_shards is a
 * value in n parts, each made by tasks of one shard; a parallel policy decides where these run. A
 * block begins with a product whose weight is split by columns of its result, goes on part by part,
 * and ends with one whose weight is split by columns of its input:
 *
 *   h = plb_nn_linear_columns(m, x, n, &(struct plb_columns){{4 * C}, 1, 1}, true, "up");
 *   h = plb_nn_each(m, h, gelu, NULL);
 *   x = plb_nn_add(m, x, plb_nn_linear_rows(m, &h, C, true, "down"));
 *
 * With n = 1 these make the graph of the layers above, the same to the last bit. With more, each
 * shard's weight is a parameter of its own, "NAME.weight#0of2"; files, and initial values, are
 * those of the unsplit one. Sums over shards have another order than the product's own sum: results
 * agree within rounding (that of an embedding exactly).
 */

/* Columns of a split result: groups of `features`, each in pieces of `unit` that stay together (a
 * head). Part j of n has the pieces i with floor(pieces j / n) <= i < floor(pieces (j + 1) / n) of
 * every group, side by side. */
struct plb_columns {
    int64_t features[PLB_SLICES_MAX];
    int groups;
    int64_t unit;
};

/* plb_nn_linear() of the sum of all features, in n parts. */
struct plb_shards plb_nn_linear_columns(plb_model_t *model, plb_value x, int n,
                                        const struct plb_columns *columns, bool bias,
                                        const char *name);
/* plb_nn_linear() of x, whose columns are those of its parts: the sum of the parts' products in a
 * balanced binary tree, the bias added in the first. */
plb_value plb_nn_linear_rows(plb_model_t *model, const struct plb_shards *x, int64_t features,
                             bool bias, const char *name);
/* plb_nn_attention(), each part having its share of the heads: n must divide heads and kv_heads. */
struct plb_shards plb_nn_attention_shards(plb_model_t *model, const struct plb_shards *qkv,
                                          int64_t heads, int64_t kv_heads, int64_t sequence,
                                          double dropout);
/* f of each part. */
typedef plb_value (*plb_nn_function)(plb_model_t *model, plb_value x, const void *context);
struct plb_shards plb_nn_each(plb_model_t *model, struct plb_shards x, plb_nn_function f,
                              const void *context);

/* plb_nn_embedding() with the table's rows in n ranges. */
plb_value plb_nn_embedding_shards(plb_model_t *model, plb_value index, int64_t rows,
                                  int64_t features, int n, const char *name);
/* plb_nn_linear_tied() with such a table. */
struct plb_shards plb_nn_linear_tied_columns(plb_model_t *model, plb_value x, int64_t features,
                                             int n, const char *name);
/* plb_nn_loss() of logits in parts: no place sees all logits of a row. */
plb_value plb_nn_loss_shards(plb_model_t *model, const struct plb_shards *logits,
                             plb_value classes);

#ifdef __cplusplus
}
#endif

#endif
