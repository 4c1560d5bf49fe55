/* SPDX-License-Identifier: BSD-3-Clause */
/* Random training steps: see random_graph.h. */
#include "config.h"

#include "tests/support/random_graph.h"

#include "codelets/codelets.h"
#include "runtime/base/random.h"
#include "runtime/graph/cut.h"
#include "runtime/graph/differentiate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SEQUENCE   8
#define HEADS      2
#define VOCABULARY 24
#define POOL       24  /* values that a random operator may read */
#define PARAMETERS 512 /* more than a graph has */

enum { STREAM_SHAPE = 1, STREAM_HOMES = 2, STREAM_DATA = 1000 };

/* A value that later operators may read, and its features per row. */
struct pooled {
    plb_value value;
    int64_t width;
};

struct builder {
    plb_graph_t *graph;
    struct random_options options;
    uint64_t draws, dropouts;
    int64_t rows;
    plb_value parameter[PARAMETERS], gradient[PARAMETERS];
    int n_parameters, next; /* made, and used by this pass */
    struct pooled pool[POOL];
    int n_pool;
};

static uint32_t draw(struct builder *b, uint32_t below)
{
    uint32_t words[4];

    plb_random_words(b->options.seed, STREAM_SHAPE, b->draws++, words);
    return words[0] % below;
}

/* --- layers --------------------------------------------------------------------------------- */

/* The next parameter; all passes use the same in the same order. */
static plb_value parameter(struct builder *b, const char *kind, struct plb_shape shape)
{
    char name[32];

    if (b->next == PARAMETERS)
        return PLB_NONE;
    if (b->next == b->n_parameters) {
        snprintf(name, sizeof name, "p.%d.%s", b->next, kind);
        b->gradient[b->next] = PLB_NONE;
        b->parameter[b->n_parameters++] =
            plb_graph_add_value(b->graph, name, PLB_ROLE_PARAMETER, PLB_F32, shape);
    }
    return b->parameter[b->next++];
}

static plb_value linear(struct builder *b, plb_value x, int64_t in, int64_t out)
{
    plb_value w = parameter(b, "w", plb_shape2(out, in));
    plb_value bias = draw(b, 2) ? parameter(b, "b", plb_shape1(out)) : PLB_NONE;

    return plb_linear(b->graph, x, w, bias);
}

static plb_value norm(struct builder *b, plb_value x, int64_t width)
{
    plb_value gamma = parameter(b, "g", plb_shape1(width));

    if (draw(b, 2))
        return plb_rms_norm(b->graph, x, gamma, 1e-5);
    return plb_layer_norm(b->graph, x, gamma, parameter(b, "b", plb_shape1(width)), 1e-5);
}

static plb_value attend(struct builder *b, plb_value x, int64_t width)
{
    struct plb_attention attention = {
        .heads = HEADS, .kv_heads = HEADS, .head_dim = width / HEADS, .sequence = SEQUENCE};

    return plb_attention(b->graph, linear(b, x, width, 3 * width), &attention);
}

static plb_value pointwise(struct builder *b, plb_value x)
{
    switch (draw(b, 4)) {
    case 0:
        return plb_gelu(b->graph, x, PLB_GELU_TANH);
    case 1:
        return plb_relu(b->graph, x);
    case 2:
        return plb_silu(b->graph, x);
    default:
        return plb_dropout(b->graph, x, 0.25, b->options.seed, ++b->dropouts);
    }
}

/* x with `width` features. */
static plb_value fit(struct builder *b, plb_value x, int64_t from, int64_t width)
{
    return from == width ? x : linear(b, x, from, width);
}

/* x + f(x): a perceptron or attention behind a norm. */
static plb_value residual(struct builder *b, plb_value x, int64_t width)
{
    plb_value y = norm(b, x, width);

    if (draw(b, 2)) {
        y = attend(b, y, width);
        y = linear(b, y, width, width);
    } else if (draw(b, 2)) {
        y = plb_swiglu(b->graph, linear(b, y, width, 4 * width));
        y = linear(b, y, 2 * width, width);
    } else {
        y = pointwise(b, linear(b, y, width, 2 * width));
        y = linear(b, y, 2 * width, width);
    }
    return plb_add(b->graph, x, y);
}

/* --- forward passes ------------------------------------------------------------------------- */

static void begin_block(struct builder *b, int block)
{
    plb_graph_set_block(b->graph, b->options.unnumbered ? -1 : block);
}

static plb_value chain(struct builder *b, plb_value x)
{
    for (int k = 0; k < b->options.blocks; k++) {
        begin_block(b, k);
        x = residual(b, x, b->options.width);
    }
    return x;
}

static plb_value u_net(struct builder *b, plb_value x)
{
    int half = b->options.blocks / 2, block = 0;
    int64_t width[POOL], w = b->options.width;
    plb_value skip[POOL];

    half = half < POOL ? half : POOL;
    for (int k = 0; k < half; k++) {
        begin_block(b, block++);
        x = residual(b, x, w);
        skip[k] = x;
        width[k] = w;
        w = w > 8 ? w / 2 : w;
        x = pointwise(b, fit(b, x, width[k], w));
    }
    begin_block(b, block++);
    x = residual(b, x, w);
    for (int k = half; k-- > 0;) {
        begin_block(b, block++);
        x = plb_add(b->graph, linear(b, x, w, width[k]), skip[k]);
        w = width[k];
        x = residual(b, x, w);
    }
    return fit(b, x, w, b->options.width);
}

static void put(struct builder *b, plb_value value, int64_t width)
{
    int at = b->n_pool < POOL ? b->n_pool++ : (int)draw(b, POOL);

    b->pool[at] = (struct pooled){value, width};
}

/* One operator on values of the pool, the latest more often than others. */
static void any_operator(struct builder *b)
{
    int recent = b->n_pool < 4 ? b->n_pool : 4;
    int at = draw(b, 3) ? b->n_pool - 1 - (int)draw(b, (uint32_t)recent)
                        : (int)draw(b, (uint32_t)b->n_pool);
    struct pooled x = b->pool[at], other = b->pool[draw(b, (uint32_t)b->n_pool)];
    int64_t width = 8 * (1 + (int64_t)draw(b, (uint32_t)(b->options.width / 8)));

    switch (draw(b, 7)) {
    case 0:
        put(b, linear(b, x.value, x.width, width), width);
        break;
    case 1:
        put(b, norm(b, x.value, x.width), x.width);
        break;
    case 2:
        put(b, attend(b, x.value, x.width), x.width);
        break;
    case 3:
    case 4:
        other.value = fit(b, other.value, other.width, x.width);
        put(b, plb_add(b->graph, x.value, other.value), x.width);
        break;
    case 5:
        put(b, residual(b, x.value, x.width), x.width);
        break;
    default:
        put(b, pointwise(b, x.value), x.width);
        break;
    }
}

/* Most of what is left in the pool goes into the result. */
static plb_value dag(struct builder *b, plb_value x)
{
    put(b, x, b->options.width);
    for (int k = 0; k < b->options.blocks; k++) {
        begin_block(b, k);
        for (uint32_t n = 3 + draw(b, 4); n > 0; n--)
            any_operator(b);
    }
    for (int k = 0; k < b->n_pool; k++) {
        plb_value y = b->pool[k].value;

        if (draw(b, 4) == 0 || y == x)
            continue;
        x = plb_add(b->graph, fit(b, y, b->pool[k].width, b->options.width), x);
    }
    return x;
}

/* --- training ------------------------------------------------------------------------------- */

static plb_value state(struct builder *b, int k, const char *kind)
{
    const struct plb_value_info *info = plb_graph_value(b->graph, b->parameter[k]);
    char name[64];

    snprintf(name, sizeof name, "%s.%s", info->name, kind);
    return plb_graph_add_value(b->graph, name, PLB_ROLE_STATE, PLB_F32, info->type.shape);
}

static void update(struct builder *b, int k, plb_value gradient, plb_value hyper, plb_value scale,
                   bool adam)
{
    static const struct plb_adamw adamw = {0.9, 0.95, 1e-3, 0.1};
    static const struct plb_sgd sgd = {0.9, 0.01, 1};
    plb_value p = b->parameter[k], m = state(b, k, "m"), v;
    struct plb_update next;

    if (!adam) {
        next = plb_sgd(b->graph, p, gradient, m, hyper, scale, PLB_NONE, &sgd);
    } else {
        v = state(b, k, "v");
        next = plb_adamw(b->graph, p, gradient, m, v, hyper, scale, PLB_NONE, &adamw);
        plb_graph_carry(b->graph, v, next.moment2);
    }
    plb_graph_carry(b->graph, p, next.parameter);
    plb_graph_carry(b->graph, m, next.moment1);
}

/* The gradients of a pass, added to those of the passes before. */
static enum plb_status backward(struct builder *b, plb_value loss)
{
    plb_value gradient[PARAMETERS];

    plb_graph_set_phase(b->graph, PLB_PHASE_BACKWARD);
    PLB_TRY(plb_graph_differentiate(b->graph, loss, b->parameter, b->n_parameters, gradient));
    plb_graph_set_micro_batch(b->graph, -1);
    for (int k = 0; k < b->n_parameters; k++) {
        if (b->gradient[k] == PLB_NONE)
            b->gradient[k] = gradient[k];
        else if (gradient[k] != PLB_NONE)
            b->gradient[k] = plb_add(b->graph, b->gradient[k], gradient[k]);
    }
    return plb_graph_status(b->graph);
}

static void update_all(struct builder *b)
{
    plb_value square[PARAMETERS], scale = PLB_NONE, hyper;
    bool adam = draw(b, 2), clip = draw(b, 2);
    int n = 0;

    plb_graph_set_phase(b->graph, PLB_PHASE_UPDATE);
    plb_graph_set_block(b->graph, -1);
    hyper = plb_graph_add_value(b->graph, "hyper", PLB_ROLE_INPUT, PLB_F32, plb_shape1(4));
    for (int k = 0; clip && k < b->n_parameters; k++)
        if (b->gradient[k] != PLB_NONE)
            square[n++] = plb_sum_squares(b->graph, b->gradient[k]);
    if (clip)
        scale = plb_clip_scale(b->graph, square, n, 1.0, NULL);
    for (int k = 0; k < b->n_parameters; k++)
        if (b->gradient[k] != PLB_NONE)
            update(b, k, b->gradient[k], hyper, scale, adam);
}

static plb_value forward(struct builder *b, plb_value tokens)
{
    int64_t width = b->options.width;
    plb_value x = plb_embedding(b->graph, tokens, parameter(b, "e", plb_shape2(VOCABULARY, width)));

    switch (b->options.shape) {
    case RANDOM_DAG:
        x = dag(b, x);
        break;
    case RANDOM_CHAIN:
        x = chain(b, x);
        break;
    case RANDOM_U_NET:
        x = u_net(b, x);
        break;
    }
    plb_graph_set_block(b->graph, -1);
    return linear(b, norm(b, x, width), width, VOCABULARY);
}

static plb_value input(struct builder *b, const char *name, int pass)
{
    char text[32];

    snprintf(text, sizeof text, pass > 0 ? "%s.%d" : "%s", name, pass);
    return plb_graph_add_value(b->graph, text, PLB_ROLE_INPUT, PLB_I32, plb_shape1(b->rows));
}

/* Every pass draws the same numbers, so they are the same model. */
static enum plb_status build(struct builder *b, plb_value *loss_out)
{
    uint64_t draws = b->draws;
    plb_value sum = PLB_NONE;

    for (int pass = 0; pass == 0 || pass < b->options.passes; pass++) {
        plb_value tokens = input(b, "tokens", pass), targets = input(b, "targets", pass), rows;
        plb_value loss;

        b->draws = draws;
        b->next = b->n_pool = 0;
        plb_graph_set_micro_batch(b->graph, b->options.passes > 1 ? pass : -1);
        plb_graph_set_phase(b->graph, PLB_PHASE_FORWARD);
        plb_graph_set_block(b->graph, -1);
        rows = plb_cross_entropy(b->graph, forward(b, tokens), targets);
        loss = plb_mean_loss(b->graph, rows, targets);
        PLB_TRY(plb_graph_status(b->graph));
        PLB_TRY(backward(b, loss));
        sum = pass > 0 ? plb_add(b->graph, sum, loss) : loss;
    }
    plb_graph_output(b->graph, sum);
    update_all(b);
    *loss_out = sum;
    return plb_graph_status(b->graph);
}

static void choose_sizes(struct builder *b)
{
    if (b->options.blocks == 0)
        b->options.blocks = 3 + (int)draw(b, 4);
    if (b->options.width == 0)
        b->options.width = 8 * (2 + (int64_t)draw(b, 3));
    if (b->options.batch == 0)
        b->options.batch = 2 + (int64_t)draw(b, 3);
    b->rows = b->options.batch * SEQUENCE;
}

/* Every value of some size becomes several cells. */
static enum plb_status cut(struct random_graph *graph)
{
    static const struct plb_cut_options crumbs = {
        .target_seconds = 1e-8, .block_elements = 128, .rows_min = SEQUENCE};

    return plb_graph_cut(graph->whole, &crumbs, &graph->graph);
}

static void send_away(plb_graph_t *graph, uint64_t seed, int home)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        const struct plb_value_info *info = plb_graph_value(graph, v);
        uint32_t words[4];

        plb_random_words(seed, STREAM_HOMES, v, words);
        if (info->producer == PLB_NONE && info->role != PLB_ROLE_INPUT && words[0] % 2)
            plb_graph_set_home(graph, v, home);
    }
}

enum plb_status random_graph_make(const struct random_options *options,
                                  struct random_graph *graph_out)
{
    struct builder b = {.graph = plb_graph_create(), .options = *options};
    struct random_graph graph = {.whole = b.graph, .graph = b.graph};
    enum plb_status status;

    if (b.graph == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a random graph");
    choose_sizes(&b);
    status = build(&b, &graph.loss);
    if (status == PLB_OK && !options->uncut)
        status = cut(&graph);
    if (status == PLB_OK)
        send_away(graph.graph, options->seed, options->home);
    if (status != PLB_OK) {
        graph.graph = graph.whole;
        random_graph_clear(&graph);
        return status;
    }
    *graph_out = graph;
    return PLB_OK;
}

void random_graph_clear(struct random_graph *graph)
{
    if (graph->graph != graph->whole)
        plb_graph_destroy(graph->graph);
    plb_graph_destroy(graph->whole);
    *graph = (struct random_graph){NULL, NULL, PLB_NONE};
}

/* --- data ----------------------------------------------------------------------------------- */

static int32_t token(uint64_t stream, int64_t i, bool target)
{
    uint32_t words[4];

    plb_random_words(STREAM_DATA, stream, (uint64_t)i, words);
    return target && words[1] % 5 == 0 ? -1 : (int32_t)(words[0] % VOCABULARY);
}

/* Scales are near one, second moments are not negative. */
static float element(const char *kind, uint64_t stream, int64_t i)
{
    static const float hyper[4] = {2e-3f, 10.0f, 20.0f, 0.0f};
    float x = plb_random_normal(STREAM_DATA, stream, (uint64_t)i);

    if (strcmp(kind, "hyper") == 0)
        return hyper[i];
    if (strcmp(kind, ".g") == 0)
        return 1.0f + 0.1f * x;
    if (strcmp(kind, ".v") == 0)
        return fabsf(1e-3f * x);
    return 0.2f * x;
}

void random_graph_fill(const struct random_graph *graph, plb_value value, void *data)
{
    const struct plb_value_info *info = plb_graph_value(graph->whole, value);
    const char *dot = strrchr(info->name, '.');

    for (int64_t i = 0; i < plb_shape_elements(&info->type.shape); i++) {
        if (info->type.dtype == PLB_I32)
            ((int32_t *)data)[i] = token(value, i, strncmp(info->name, "targets", 7) == 0);
        else
            ((float *)data)[i] = element(dot != NULL ? dot : info->name, value, i);
    }
}
