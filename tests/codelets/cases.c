/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of cases. A builder says which dimension is which. Dimensions are odd, one, and just
 * beyond lengths of vectors and blocks; any positive ones make a subject, so that they can be drawn
 * at random too.
 */
#include "config.h"

#include "tests/codelets/cases.h"

#include "codelets/codelets.h"

#include <stdlib.h>
#include <string.h>

static plb_value gamma_of(struct subject *s, const char *name, int64_t c)
{
    return subject_real(s, name, plb_shape1(c));
}

/* rows, columns, vocabulary */
static void build_embedding(struct subject *s)
{
    plb_value tokens =
        subject_input(s, "tokens", PLB_I32, plb_shape1(s->d[0]), FILL_INDEX, (double)s->d[2]);

    plb_embedding(s->graph, tokens, subject_real(s, "table", plb_shape2(s->d[2], s->d[1])));
}

/* and: rows of the whole table before these, + 1; there are two more after them */
static void build_embedding_part(struct subject *s)
{
    int64_t first = s->d[3] - 1, all = first + s->d[2] + 2;
    plb_value tokens =
        subject_input(s, "tokens", PLB_I32, plb_shape1(s->d[0]), FILL_INDEX, (double)all);
    plb_value table = subject_real(s, "table", plb_shape2(s->d[2], s->d[1]));

    plb_embedding_part(s->graph, tokens, table, first, all);
}

/* rows, inputs, outputs, bias 1 or 2: none */
static void build_linear(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[1]));
    plb_value w = subject_real(s, "w", plb_shape2(s->d[2], s->d[1]));

    plb_linear(s->graph, x, w, s->d[3] == 1 ? gamma_of(s, "b", s->d[2]) : PLB_NONE);
}

/* rows, columns, beta 1 or 2: none */
static void build_layer_norm(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[1]));
    plb_value gamma = gamma_of(s, "gamma", s->d[1]);

    plb_layer_norm(s->graph, x, gamma, s->d[2] == 1 ? gamma_of(s, "beta", s->d[1]) : PLB_NONE,
                   1e-5);
}

/* rows, columns */
static void build_rms_norm(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[1]));

    plb_rms_norm(s->graph, x, gamma_of(s, "gamma", s->d[1]), 1e-6);
}

/* rows, columns, scale of the values (large ones saturate), what: 1 erf 2 tanh */
static void build_gelu(struct subject *s)
{
    plb_value x =
        subject_input(s, "x", s->real, plb_shape2(s->d[0], s->d[1]), FILL_NORMAL, (double)s->d[2]);

    plb_gelu(s->graph, x, s->d[3] == 1 ? PLB_GELU_ERF : PLB_GELU_TANH);
}

static void build_silu(struct subject *s)
{
    plb_silu(s->graph, subject_input(s, "x", s->real, plb_shape2(s->d[0], s->d[1]), FILL_NORMAL,
                                     (double)s->d[2]));
}

static void build_swiglu(struct subject *s)
{
    plb_swiglu(s->graph, subject_input(s, "x", s->real, plb_shape2(s->d[0], 2 * s->d[1]),
                                       FILL_NORMAL, (double)s->d[2]));
}

/* images, channels, height, width */
static void build_relu(struct subject *s)
{
    struct plb_shape shape = plb_shape4(s->d[0], s->d[1], s->d[2], s->d[3]);

    plb_relu(s->graph, subject_input(s, "x", s->real, shape, FILL_APART, 1));
}

/* rows, heads, half of head_dim, further columns + 1, scaling: 1 none 2 Llama 3 3 linear,
 * inverse + 1 */
static void build_rope(struct subject *s)
{
    int64_t width = s->d[1] * 2 * s->d[2] + s->d[3] - 1;
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], width));
    plb_value positions =
        subject_input(s, "positions", PLB_I32, plb_shape1(s->d[0]), FILL_PLACES, 37);
    struct plb_rope rope = {
        .heads = s->d[1],
        .head_dim = 2 * s->d[2],
        .theta = 10000,
        .factor = s->d[4] == 1 ? 1 : 8,
        .low_frequency = 1,
        .high_frequency = 4,
        .original_positions = 64,
        .linear = s->d[4] == 3,
    };

    plb_rope(s->graph, x, positions, &rope);
}

/* sequences, positions, kv heads, query heads of each, head_dim, dropout: 1 none 2 some; scale of
 * the values - 1 (large ones make scores of hundreds) */
static struct plb_attention attention_of(const struct subject *s)
{
    struct plb_attention a = {
        .heads = s->d[2] * s->d[3],
        .kv_heads = s->d[2],
        .head_dim = s->d[4],
        .sequence = s->d[1],
        .dropout = s->d[5] == 2 ? 0.25 : 0,
        .seed = 11,
        .stream = 5,
    };
    return a;
}

static plb_value qkv_of(struct subject *s)
{
    struct plb_shape shape = plb_shape2(s->d[0] * s->d[1], s->d[2] * (s->d[3] + 2) * s->d[4]);

    return subject_input(s, "qkv", s->real, shape, FILL_NORMAL, (double)(1 + s->d[6]));
}

static void build_attention(struct subject *s)
{
    struct plb_attention a = attention_of(s);

    plb_attention(s->graph, qkv_of(s), &a);
}

/* of a layer with two more heads before these and one after */
static void build_attention_part(struct subject *s)
{
    struct plb_attention a = attention_of(s);

    a.first_head = 2;
    a.all_heads = a.heads + 3;
    plb_attention(s->graph, qkv_of(s), &a);
}

/* dimension 5: places of the cache beyond the sequence */
static plb_value positions_of(struct subject *s)
{
    return subject_input(s, "positions", PLB_I32, plb_shape1(s->d[0] * s->d[1]), FILL_PLACES,
                         (double)s->d[1]);
}

static plb_value cache_of(struct subject *s, int64_t capacity)
{
    return subject_real(s, "cache", plb_shape2(s->d[0] * capacity, 2 * s->d[2] * s->d[4]));
}

static void build_cache_write(struct subject *s)
{
    int64_t capacity = s->d[1] + 2 + s->d[5];
    struct plb_attention a = attention_of(s);
    plb_value cache = cache_of(s, capacity), qkv = qkv_of(s);

    a.dropout = 0;
    plb_cache_write(s->graph, cache, qkv, positions_of(s), &a, capacity);
}

static void build_attention_cached(struct subject *s)
{
    int64_t capacity = s->d[1] + 2 + s->d[5];
    struct plb_attention a = attention_of(s);
    plb_value cache = cache_of(s, capacity), qkv = qkv_of(s);

    a.dropout = 0;
    plb_attention_cached(s->graph, qkv, cache,
                         subject_input(s, "positions", PLB_I32, plb_shape1(s->d[0] * s->d[1]),
                                       FILL_INDEX, (double)capacity),
                         &a, capacity);
}

/* rows, columns, rows taken */
static void build_take_rows(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[1]));

    plb_take_rows(
        s->graph, x,
        subject_input(s, "index", PLB_I32, plb_shape1(s->d[2]), FILL_INDEX, (double)s->d[0]));
}

/* rows, classes, scale of the logits, targets: 1 some ignored 2 all ignored 3 none ignored */
static plb_value targets_of(struct subject *s)
{
    static const enum fill fills[] = {FILL_TARGET, FILL_TARGET, FILL_IGNORED, FILL_INDEX};

    return subject_input(s, "targets", PLB_I32, plb_shape1(s->d[0]), fills[s->d[3]],
                         (double)s->d[1]);
}

static void build_cross_entropy(struct subject *s)
{
    plb_value logits = subject_input(s, "logits", s->real, plb_shape2(s->d[0], s->d[1]),
                                     FILL_NORMAL, (double)s->d[2]);

    plb_cross_entropy(s->graph, logits, targets_of(s));
}

/* and: classes before these columns, + 1; there are three more after them */
static void build_cross_entropy_part(struct subject *s)
{
    static const enum fill fills[] = {FILL_TARGET, FILL_TARGET, FILL_IGNORED, FILL_INDEX};
    int64_t first = s->d[4] - 1, classes = first + s->d[1] + 3;
    plb_value logits = subject_input(s, "logits", s->real, plb_shape2(s->d[0], s->d[1]),
                                     FILL_NORMAL, (double)s->d[2]);
    plb_value targets = subject_input(s, "targets", PLB_I32, plb_shape1(s->d[0]), fills[s->d[3]],
                                      (double)classes);

    plb_cross_entropy_part(s->graph, logits, targets, first, classes);
}

/* rows, parts, scale of the values, targets as above */
static void build_cross_entropy_merge(struct subject *s)
{
    static const char *const names[] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"};
    plb_value part[8], targets = targets_of(s);

    for (int64_t k = 0; k < s->d[1]; k++)
        part[k] = subject_input(s, names[k], PLB_F32, plb_shape2(s->d[0], 2), FILL_NORMAL,
                                (double)s->d[2]);
    plb_cross_entropy_merge(s->graph, targets, part, (int)s->d[1]);
}

static void build_mean_loss(struct subject *s)
{
    plb_value loss = subject_input(s, "loss", PLB_F32, plb_shape1(s->d[0]), FILL_POSITIVE, 3);

    plb_mean_loss(s->graph, loss, targets_of(s));
}

/* rows, columns */
static void build_add(struct subject *s)
{
    plb_value a = subject_real(s, "a", plb_shape2(s->d[0], s->d[1]));

    plb_add(s->graph, a, subject_real(s, "b", plb_shape2(s->d[0], s->d[1])));
}

/* rows, columns, how many, dtype of the sum: 1 f32 2 bf16 3 f64 */
static void build_sum(struct subject *s)
{
    static const char *const names[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7",
                                        "x8", "x9", "xa", "xb", "xc", "xd", "xe", "xf"};
    static const enum plb_dtype dtypes[] = {PLB_F32, PLB_F32, PLB_BF16, PLB_F64};
    enum plb_dtype dtype = s->d[3] == 3 ? PLB_F64 : s->real;
    plb_value x[16];

    for (int64_t k = 0; k < s->d[2]; k++)
        x[k] = subject_input(s, names[k], dtype, plb_shape2(s->d[0], s->d[1]), FILL_NORMAL, 1);
    plb_sum(s->graph, x, (int)s->d[2], dtypes[s->d[3]]);
}

/* rows, columns, p in eighths */
static void build_dropout(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[1]));

    plb_dropout(s->graph, x, (double)s->d[2] / 8, 42, 7);
}

/* rows, columns, to: 1 f32 2 bf16 */
static void build_cast(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[1]));

    plb_cast(s->graph, x, s->d[2] == 1 ? PLB_F32 : PLB_BF16);
}

/* images, channels, height, width: to rows of all of an image */
static void build_reshape(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape4(s->d[0], s->d[1], s->d[2], s->d[3]));

    plb_reshape(s->graph, x, plb_shape2(s->d[0], s->d[1] * s->d[2] * s->d[3]));
}

static void build_fill(struct subject *s)
{
    plb_fill(s->graph, (double)s->d[0] / 3);
}

/* images, channels, height, width, output channels, filter, stride, padding + 1; the filter is
 * one wider than high; odd output channels have a bias */
static void build_conv2d(struct subject *s)
{
    int64_t high = s->d[5], wide = s->d[5] + 1, padding = s->d[7] - 1;
    int64_t h = s->d[2] + high, w = s->d[3] + wide; /* so that the filter fits */
    plb_value x = subject_real(s, "x", plb_shape4(s->d[0], s->d[1], h, w));
    plb_value f = subject_real(s, "w", plb_shape4(s->d[4], s->d[1], high, wide));
    plb_value b = s->d[4] % 2 == 1 ? gamma_of(s, "b", s->d[4]) : PLB_NONE;

    plb_conv2d(s->graph, x, f, b, s->d[6], padding < high ? padding : 0);
}

/* images, channels, height and width beyond the window, window, stride */
static plb_value picture_of(struct subject *s, enum fill fill)
{
    int64_t height = s->d[2] - 1 + s->d[4], width = s->d[3] - 1 + s->d[4];

    return subject_input(s, "x", s->real, plb_shape4(s->d[0], s->d[1], height, width), fill, 3);
}

static void build_max_pool2d(struct subject *s)
{
    plb_max_pool2d(s->graph, picture_of(s, FILL_DISTINCT), s->d[4], s->d[5]);
}

static void build_max_pool2d_equals(struct subject *s)
{
    plb_max_pool2d(s->graph, picture_of(s, FILL_FEW), s->d[4], s->d[5]);
}

static void build_avg_pool2d(struct subject *s)
{
    plb_avg_pool2d(s->graph, picture_of(s, FILL_DISTINCT), s->d[4], s->d[5]);
}

/* images, channels, height, width, factor */
static void build_upsample2d(struct subject *s)
{
    plb_upsample2d(s->graph, subject_real(s, "x", plb_shape4(s->d[0], s->d[1], s->d[2], s->d[3])),
                   s->d[4]);
}

/* What updates take: rows, columns, scale: 1 given 2 not, working: 1 given 2 not. */
static plb_value state_of(struct subject *s, const char *name, enum fill fill)
{
    return subject_input(s, name, PLB_F32, plb_shape2(s->d[0], s->d[1]), fill, 1);
}

static plb_value hyper_of(struct subject *s)
{
    return subject_input(s, "hyper", PLB_F32, plb_shape1(4), FILL_HYPER, 1);
}

static plb_value scale_of(struct subject *s)
{
    return s->d[2] == 1 ? subject_input(s, "scale", PLB_F32, plb_shape1(1), FILL_POSITIVE, 1)
                        : PLB_NONE;
}

static plb_value working_of(struct subject *s)
{
    return s->d[3] == 1
               ? subject_input(s, "working", PLB_BF16, plb_shape2(s->d[0], s->d[1]), FILL_NORMAL, 1)
               : PLB_NONE;
}

static void build_adamw(struct subject *s)
{
    struct plb_adamw options = {0.9, 0.95, 1e-8, 0.1};
    plb_value p = state_of(s, "p", FILL_NORMAL), g = state_of(s, "g", FILL_NORMAL);
    plb_value m = state_of(s, "m", FILL_NORMAL), v = state_of(s, "v", FILL_POSITIVE);
    plb_value hyper = hyper_of(s), scale = scale_of(s);

    plb_adamw(s->graph, p, g, m, v, hyper, scale, working_of(s), &options);
}

/* and momentum: 1 with 2 without 3 Nesterov's */
static void build_sgd(struct subject *s)
{
    struct plb_sgd options = {s->d[4] == 2 ? 0 : 0.9, 0.1, s->d[4] == 3};
    plb_value p = state_of(s, "p", FILL_NORMAL), g = state_of(s, "g", FILL_NORMAL);
    plb_value v = state_of(s, "v", FILL_NORMAL), hyper = hyper_of(s), scale = scale_of(s);

    plb_sgd(s->graph, p, g, v, hyper, scale, working_of(s), &options);
}

/* rows, columns */
static void build_sum_squares(struct subject *s)
{
    plb_sum_squares(s->graph, state_of(s, "x", FILL_WIDE));
}

/* how many, limit in halves + 1, norm: 1 wanted 2 not */
static void build_clip_scale(struct subject *s)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};
    plb_value sums[8], norm;

    for (int64_t k = 0; k < s->d[0]; k++)
        sums[k] = subject_input(s, names[k], PLB_F64, plb_shape1(1), FILL_POSITIVE, 2);
    plb_clip_scale(s->graph, sums, (int)s->d[0], (double)(s->d[1] - 1) / 2,
                   s->d[2] == 1 ? &norm : NULL);
}

#define PIXELS                                                                                     \
    {1, 1, 1, 1}, {3, 2, 5, 7}, {2, 3, 11, 13},                                                    \
    {                                                                                              \
        5, 1, 1, 33                                                                                \
    }

/* One case a paragraph. */
/* clang-format off */
static const struct subject_case table[] = {
    {"embedding", build_embedding, false, {1, 1, 1}, {40, 70, 50},
     {{1, 1, 1}, {7, 5, 11}, {19, 33, 4}, {64, 16, 100}, {3, 129, 2}, {5, 1100, 7},
      {600, 5, 11}, {300, 3, 2500}}},
    {"embedding of a range", build_embedding_part, false, {1, 1, 1, 1}, {40, 70, 50, 9},
     {{1, 1, 1, 1}, {7, 5, 11, 4}, {64, 16, 40, 60}, {300, 3, 900, 700}}},
    {"linear", build_linear, false, {1, 1, 1, 1}, {70, 90, 70, 2},
     {{1, 1, 1, 1}, {1, 33, 5, 2}, {5, 1, 3, 1}, {7, 13, 17, 1}, {33, 65, 31, 2},
      {64, 48, 32, 1}, {2, 300, 3, 1}, {19, 8, 127, 2}, {300, 70, 210, 1},
      {530, 40, 97, 2}, {40, 1100, 20, 2}, {3, 1100, 100, 1}, {2, 3, 4500, 1}}},
    {"layer_norm", build_layer_norm, false, {1, 1, 1}, {20, 100, 2},
     {{1, 2, 1}, {7, 5, 2}, {5, 33, 1}, {13, 64, 2}, {3, 130, 1}, {3, 1500, 1}, {300, 9, 1}}},
    {"rms_norm", build_rms_norm, false, {1, 1}, {20, 100},
     {{1, 1}, {7, 5}, {5, 33}, {13, 64}, {3, 130}, {3, 1500}, {300, 9}, {1, 8200}}},
    {"gelu", build_gelu, false, {1, 1, 1, 1}, {20, 70, 20, 2},
     {{1, 1, 1, 1}, {7, 5, 1, 2}, {5, 33, 3, 1}, {5, 33, 3, 2}, {9, 64, 30, 1}, {9, 64, 30, 2},
      {3, 1100, 2, 2}}},
    {"silu", build_silu, false, {1, 1, 1}, {20, 70, 20},
     {{1, 1, 1}, {7, 5, 1}, {5, 33, 3}, {9, 64, 60}, {3, 1100, 2}}},
    {"swiglu", build_swiglu, false, {1, 1, 1}, {20, 70, 20},
     {{1, 1, 1}, {7, 5, 1}, {5, 33, 3}, {9, 64, 60}, {3, 1100, 2}}},
    {"relu", build_relu, false, {1, 1, 1, 1}, {6, 5, 12, 12}, {PIXELS}},
    {"rope", build_rope, false, {1, 1, 1, 1, 1}, {20, 5, 20, 40, 3},
     {{1, 1, 1, 1, 1}, {7, 3, 2, 9, 1}, {40, 2, 8, 17, 2}, {13, 1, 33, 1, 3}, {9, 4, 16, 65, 2}}},
    {"attention", build_attention, false, {1, 1, 1, 1, 1, 1}, {4, 24, 3, 3, 20, 2, 5},
     {{1, 1, 1, 1, 1, 1}, {2, 5, 1, 1, 4, 1}, {3, 17, 2, 1, 8, 1}, {2, 9, 2, 3, 16, 1},
      {1, 40, 1, 4, 5, 1}, {2, 13, 3, 2, 7, 2}, {1, 33, 1, 2, 64, 2}, {2, 70, 1, 1, 17, 1},
      {1, 300, 1, 2, 16, 1}, {2, 150, 1, 1, 33, 2}, {2, 30, 1, 2, 32, 1, 4},
      {1, 40, 1, 2, 72, 2}, {1, 20, 1, 1, 136, 1}}},
    {"attention of some heads", build_attention_part, false, {1, 1, 1, 1, 1, 1},
     {4, 24, 3, 3, 20, 2, 5}, {{2, 13, 3, 2, 7, 2}, {1, 40, 1, 2, 72, 2}}},
    {"cache_write", build_cache_write, false, {1, 1, 1, 1, 1, 1}, {4, 7, 3, 3, 10, 4},
     {{1, 1, 1, 1, 1, 1}, {3, 2, 2, 2, 5, 4}, {2, 7, 1, 3, 8, 1}}},
    {"attention_cached", build_attention_cached, false, {1, 1, 1, 1, 1, 1}, {4, 7, 3, 3, 10, 4},
     {{1, 1, 1, 1, 1, 1}, {3, 1, 2, 2, 5, 4}, {2, 7, 1, 3, 8, 1}, {1, 35, 2, 1, 33, 9},
      {2, 2, 1, 4, 64, 600}, {2, 9, 1, 2, 32, 4, 4}, {1, 3, 2, 2, 72, 2},
      {1, 70, 1, 1, 136, 2}}},
    {"take_rows", build_take_rows, false, {1, 1, 1}, {20, 40, 20},
     {{1, 1, 1}, {7, 5, 3}, {4, 33, 9}, {30, 8, 2}}},
    {"cross_entropy", build_cross_entropy, false, {1, 1, 1, 1}, {20, 90, 10, 3},
     {{1, 1, 1, 3}, {7, 5, 1, 1}, {5, 33, 3, 2}, {9, 130, 30, 1}, {12, 64, 2, 3}, {4, 2100, 3, 1},
      {2, 17001, 1, 3}}},
    {"cross_entropy_part", build_cross_entropy_part, false, {1, 1, 1, 1, 1}, {20, 90, 10, 3, 50},
     {{1, 1, 1, 3, 1}, {7, 5, 1, 1, 3}, {5, 33, 3, 2, 1}, {9, 130, 30, 1, 100}, {4, 2100, 3, 1, 2000}}},
    {"cross_entropy_merge", build_cross_entropy_merge, false, {1, 1, 1, 1}, {90, 8, 20, 3},
     {{1, 1, 1, 3}, {7, 2, 1, 1}, {300, 3, 3, 2}, {9, 8, 30, 1}}},
    {"mean_loss", build_mean_loss, false, {1, 1, 1, 1}, {90, 9, 9, 3},
     {{1, 5, 1, 3}, {7, 5, 1, 1}, {5, 3, 3, 2}, {100, 7, 1, 1}}},
    {"add", build_add, false, {1, 1}, {20, 70}, {{1, 1}, {7, 5}, {5, 33}, {9, 64}, {3, 1100}}},
    {"sum", build_sum, false, {1, 1, 1, 1}, {20, 70, 12, 2},
     {{1, 1, 1, 1}, {7, 5, 2, 2}, {5, 33, 3, 1}, {9, 300, 12, 2}, {1, 1, 5, 3}, {3, 9, 4, 3}}},
    {"dropout", build_dropout, false, {1, 1, 1}, {20, 70, 7},
     {{1, 1, 1}, {7, 5, 1}, {5, 33, 4}, {9, 300, 7}}},
    {"cast", build_cast, false, {1, 1, 1}, {20, 70, 2},
     {{1, 1, 1}, {7, 5, 2}, {5, 33, 1}, {9, 64, 2}}},
    {"reshape", build_reshape, false, {1, 1, 1, 1}, {6, 5, 12, 12}, {PIXELS}},
    {"fill", build_fill, false, {1}, {100}, {{1}, {3}, {100}}},
    {"conv2d", build_conv2d, false, {1, 1, 1, 1, 1, 1, 1, 1}, {4, 4, 8, 8, 6, 4, 3, 3},
     {{1, 1, 1, 1, 1, 1, 1, 1}, {2, 3, 5, 7, 4, 3, 1, 2}, {3, 2, 9, 8, 5, 2, 2, 1},
      {5, 1, 4, 3, 33, 1, 1, 1}, {2, 4, 10, 11, 3, 4, 3, 3}, {2, 40, 30, 30, 3, 3, 1, 2}}},
    {"max_pool2d", build_max_pool2d, false, {1, 1, 1, 1, 1, 1}, {5, 4, 9, 9, 4, 4},
     {{1, 1, 1, 1, 1, 1}, {2, 3, 5, 7, 2, 2}, {3, 2, 9, 8, 3, 1}, {4, 1, 4, 3, 2, 3},
      {1, 2, 9, 33, 3, 2}}},
    {"max_pool2d of equals", build_max_pool2d_equals, true, {1, 1, 1, 1, 1, 1}, {5, 4, 9, 9, 4, 4},
     {{2, 3, 5, 7, 2, 2}, {3, 2, 9, 8, 3, 1}}},
    {"avg_pool2d", build_avg_pool2d, false, {1, 1, 1, 1, 1, 1}, {5, 4, 9, 9, 4, 4},
     {{1, 1, 1, 1, 1, 1}, {2, 3, 5, 7, 2, 2}, {3, 2, 9, 8, 3, 1}, {4, 1, 4, 3, 2, 3},
      {1, 2, 9, 33, 3, 2}}},
    {"upsample2d", build_upsample2d, false, {1, 1, 1, 1, 1}, {5, 4, 9, 9, 4},
     {{1, 1, 1, 1, 1}, {2, 3, 5, 7, 2}, {3, 2, 4, 3, 3}, {1, 2, 9, 33, 1}}},
    {"adamw", build_adamw, false, {1, 1, 1, 1}, {20, 200, 2, 2},
     {{1, 1, 1, 1}, {7, 5, 2, 2}, {5, 33, 1, 2}, {3, 700, 2, 1}}},
    {"sgd", build_sgd, false, {1, 1, 1, 1, 1}, {20, 200, 2, 2, 3},
     {{1, 1, 1, 1, 1}, {7, 5, 2, 2, 2}, {5, 33, 1, 2, 3}, {3, 700, 2, 1, 1}}},
    {"sum_squares", build_sum_squares, false, {1, 1}, {20, 200},
     {{1, 1}, {7, 5}, {5, 33}, {5, 75}, {3, 700}, {70, 701}}},
    {"clip_scale", build_clip_scale, false, {1, 1, 1}, {8, 9, 2},
     {{1, 1, 1}, {3, 2, 2}, {8, 9, 1}, {8, 3, 1}, {1, 90, 2}}},
};
/* clang-format on */

const struct subject_case *cases_table(int *n_out)
{
    *n_out = (int)(sizeof(table) / sizeof(table[0]));
    return table;
}

void cases_each(void (*check)(struct subject *s))
{
    static const enum plb_dtype dtypes[] = {PLB_F32, PLB_BF16};
    const char *only = getenv("PLB_TEST_CASE");
    int n;
    const struct subject_case *cases = cases_table(&n);
    struct subject s;

    for (int k = 0; k < n; k++) {
        if (only != NULL && strstr(cases[k].name, only) == NULL)
            continue;
        for (int i = 0; i < 2 * SUBJECT_ROWS && cases[k].dims[i / 2][0] > 0; i++) {
            if (!subject_create(&s, &cases[k], cases[k].dims[i / 2], dtypes[i % 2], 1))
                continue;
            check(&s);
            subject_destroy(&s);
        }
    }
}
