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

#ifdef __cplusplus
}
#endif

#endif
