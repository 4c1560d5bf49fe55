/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operators of Palombe: their table, and one builder for each.
 *
 * A builder adds one task to a graph and returns its (first) output, or PLB_NONE after a failure
 * (sticky, see graph.h). Where a parameter says "or PLB_NONE" the operand is optional. Unless it is
 * said otherwise, real-valued operands are all f32 or all bf16, and outputs have that dtype;
 * arithmetic and sums are in fp32. Gradients of parameters are f32 in both cases.
 *
 * Shape letters: N rows (sequences times positions), C K O features, V vocabulary, H heads,
 * G key-value heads, D features of a head, T positions of a sequence, B sequences or images.
 *
 * Operators whose names end in _dx (gradient of the input), _dw (of the weights) and _db (of the
 * bias) are emitted by gradient rules and have no builder here.
 */
#ifndef PLB_CODELETS_H
#define PLB_CODELETS_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The table: all operators, in a fixed order; `n_out` gets their number. plb_operator_find(), in
 * operator.h, finds a record by its name. */
const struct plb_operator *const *plb_operators(int *n_out);

/* y[N,C] = table[tokens[N], :].  tokens i32, 0 <= token < V, else the step fails. table[V,C]. */
plb_value plb_embedding(plb_graph_t *g, plb_value tokens, plb_value table);
/* The same with rows `first` on of a table of `vocabulary` rows: other tokens give zeros. */
plb_value plb_embedding_part(plb_graph_t *g, plb_value tokens, plb_value table, int64_t first,
                             int64_t vocabulary);

/* y[N,O] = x[N,K] w[O,K]^T + b[O].  b or PLB_NONE. */
plb_value plb_linear(plb_graph_t *g, plb_value x, plb_value w, plb_value b);

/* y = (x - mean) / sqrt(var + eps) * gamma + beta over each row (Ba, Kiros, Hinton 2016, eq. 4).
 * beta or PLB_NONE. */
plb_value plb_layer_norm(plb_graph_t *g, plb_value x, plb_value gamma, plb_value beta, double eps);

/* y = x / sqrt(mean(x^2) + eps) * gamma over each row (Zhang, Sennrich 2019, eq. 4). */
plb_value plb_rms_norm(plb_graph_t *g, plb_value x, plb_value gamma, double eps);

enum plb_gelu { PLB_GELU_ERF, PLB_GELU_TANH }; /* Hendrycks, Gimpel 2016, section 2 */
plb_value plb_gelu(plb_graph_t *g, plb_value x, enum plb_gelu kind);
plb_value plb_relu(plb_graph_t *g, plb_value x); /* any rank */
plb_value plb_silu(plb_graph_t *g, plb_value x);
/* y[N,F] = silu(x[:, :F]) * x[:, F:] for x[N,2F] (Shazeer 2020, eq. 5: gate first, then up). */
plb_value plb_swiglu(plb_graph_t *g, plb_value x);

/* Rotary position embedding (Su et al. 2021, eq. 34) in the half-split layout of Hugging Face's
 * Llama: the first `heads` heads of D columns of each row are rotated, columns beyond are copied
 * (so that packed queries, keys and values go in as they are: heads = H + G). */
struct plb_rope {
    int64_t heads, head_dim;
    double theta;
    /* Frequency scaling as in Llama 3.1; factor 1 for none. */
    double factor, low_frequency, high_frequency;
    int64_t original_positions;
    int linear; /* scale all frequencies by 1/factor instead */
};
plb_value plb_rope(plb_graph_t *g, plb_value x, plb_value positions, const struct plb_rope *rope);

/* Causal self-attention with grouped query heads over packed rows [queries H*D | keys G*D |
 * values G*D]; row n is position n % T of sequence n / T. Never stores T x T; two passes with
 * running maximum and sum (Dao et al. 2022, algorithm 1; gradient: Dao 2023, algorithm 2).
 * Scale is 1/sqrt(D). `dropout` on the probabilities, counter-based, 0 for none. */
struct plb_attention {
    int64_t heads, kv_heads, head_dim, sequence;
    double dropout;
    uint64_t seed, stream; /* stream: distinct for every dropout of a model */
    /* Where these are some of a layer's heads: the first one's number and how many the layer has,
     * for the mask of dropout; 0 and 0: all of them. */
    int64_t first_head, all_heads;
};
plb_value plb_attention(plb_graph_t *g, plb_value qkv, const struct plb_attention *attention);

/* Key-value cache for inference: cache[B*capacity, 2*G*D] holds keys and values of each position.
 * cache_write makes the next version with the keys and values of packed rows qkv[B*T, (H+2G)*D] put
 * at positions[B*T] (i32, below capacity else the step fails); attention_cached lets each row attend
 * to positions 0..positions[row] of its sequence. No gradients. `sequence` is T. */
plb_value plb_cache_write(plb_graph_t *g, plb_value cache, plb_value qkv, plb_value positions,
                          const struct plb_attention *attention, int64_t capacity);
plb_value plb_attention_cached(plb_graph_t *g, plb_value qkv, plb_value cache, plb_value positions,
                               const struct plb_attention *attention, int64_t capacity);

/* Rows of x[N,C] by index[M] i32: y[M,C]. No gradient. */
plb_value plb_take_rows(plb_graph_t *g, plb_value x, plb_value index);

/* Softmax cross-entropy per row: loss[N] f32 of logits[N,V] and targets[N] i32; rows with a negative
 * target are ignored (loss 0, no gradient). */
plb_value plb_cross_entropy(plb_graph_t *g, plb_value logits, plb_value targets);
/* The same of logits that lie in ranges of their columns: a part f32[N,2] of each range, columns
 * `first` on of `classes`; and loss[N] of all `n` parts. */
plb_value plb_cross_entropy_part(plb_graph_t *g, plb_value logits, plb_value targets, int64_t first,
                                 int64_t classes);
plb_value plb_cross_entropy_merge(plb_graph_t *g, plb_value targets, const plb_value *parts, int n);
/* Mean of loss[N] over rows whose target is not negative, f32[1]; 0 when there are none. */
plb_value plb_mean_loss(plb_graph_t *g, plb_value loss, plb_value targets);

/* y = a + b, equal types. */
plb_value plb_add(plb_graph_t *g, plb_value a, plb_value b);
/* Sum of n values of one type in order; the output has `dtype`. */
plb_value plb_sum(plb_graph_t *g, const plb_value *x, int n, enum plb_dtype dtype);
/* Zeroes each element with probability p, scales the others by 1/(1-p). The mask is a function of
 * (seed, stream, step, element of the uncut value), so the task can be run again. */
plb_value plb_dropout(plb_graph_t *g, plb_value x, double p, uint64_t seed, uint64_t stream);
plb_value plb_cast(plb_graph_t *g, plb_value x, enum plb_dtype dtype);
/* The same elements in another shape; dimension 0 stays. */
plb_value plb_reshape(plb_graph_t *g, plb_value x, struct plb_shape shape);
/* A value of f32[1]. */
plb_value plb_fill(plb_graph_t *g, double value);

/* y[B,O,H',W'] of x[B,C,H,W], w[O,C,R,S], b[O] or PLB_NONE; cross-correlation, as usual. */
plb_value plb_conv2d(plb_graph_t *g, plb_value x, plb_value w, plb_value b, int64_t stride,
                     int64_t padding);
plb_value plb_max_pool2d(plb_graph_t *g, plb_value x, int64_t window, int64_t stride);
plb_value plb_avg_pool2d(plb_graph_t *g, plb_value x, int64_t window, int64_t stride);
/* y[B,C,fH,fW] of x[B,C,H,W]: each element factor x factor times. */
plb_value plb_upsample2d(plb_graph_t *g, plb_value x, int64_t factor);

/* AdamW (Loshchilov, Hutter 2019, algorithm 2) on fp32 values: next versions of parameter, m, v.
 * hyper is f32[4]: learning rate, 1/(1 - beta1^t), 1/(1 - beta2^t), unused; scale f32[1] multiplies
 * the gradient (clipping), or PLB_NONE. `working` is the bf16 copy that layers read, or PLB_NONE;
 * its next version is made too. */
struct plb_adamw {
    double beta1, beta2, epsilon, weight_decay;
};
struct plb_update {
    plb_value parameter, moment1, moment2, working; /* next versions; PLB_NONE where there is none */
};
struct plb_update plb_adamw(plb_graph_t *g, plb_value parameter, plb_value gradient, plb_value m,
                            plb_value v, plb_value hyper, plb_value scale, plb_value working,
                            const struct plb_adamw *options);

/* SGD: v' = momentum v + (g + decay p); p' = p - lr (nesterov ? g + decay p + momentum v' : v').
 * Next versions in parameter, moment1, working. */
struct plb_sgd {
    double momentum, weight_decay;
    int nesterov;
};
struct plb_update plb_sgd(plb_graph_t *g, plb_value parameter, plb_value gradient, plb_value v,
                          plb_value hyper, plb_value scale, plb_value working,
                          const struct plb_sgd *options);

/* Sum of squares of all elements, f64[1]. */
plb_value plb_sum_squares(plb_graph_t *g, plb_value x);
/* From n sums of squares f64[1]: the factor min(1, limit / norm) f32[1] (Pascanu et al. 2013,
 * algorithm 1) and, in norm_out if not NULL, the norm f32[1]. limit <= 0: factor 1. */
plb_value plb_clip_scale(plb_graph_t *g, const plb_value *sums, int n, double limit,
                         plb_value *norm_out);

#ifdef __cplusplus
}
#endif

#endif
