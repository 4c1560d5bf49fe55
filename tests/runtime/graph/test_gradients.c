/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Differentiation of small networks of real operators: for each parameter the slope of the loss
 * along the gradient, and along a random direction, against central differences. Each operator's
 * gradient alone is tested more closely in tests/codelets.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/blas.h"
#include "runtime/base/random.h"
#include "runtime/graph/differentiate.h"
#include "tests/support/interpreter.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARAMETERS_MAX 32
#define STEP           7 /* number of the step, for dropout */

enum { B = 2, T = 5, N = B * T, C = 16, H = 4, G = 2, D = 4, V = 11, F = 24 };

/* A network, its parameters and their gradients, and what runs it. */
struct network {
    plb_graph_t *graph;
    plb_value loss;
    int n;
    plb_value parameter[PARAMETERS_MAX], gradient[PARAMETERS_MAX];
    plb_task_id forward; /* tasks before differentiation */
    plb_interpreter_t *interpreter;
};

static plb_value parameter(struct network *net, const char *name, struct plb_shape shape)
{
    plb_value value = plb_graph_add_value(net->graph, name, PLB_ROLE_PARAMETER, PLB_F32, shape);

    PLB_REQUIRE(net->n < PARAMETERS_MAX);
    net->parameter[net->n++] = value;
    return value;
}

static plb_value input(struct network *net, const char *name, enum plb_dtype dtype,
                       struct plb_shape shape)
{
    return plb_graph_add_value(net->graph, name, PLB_ROLE_INPUT, dtype, shape);
}

/* --- the networks ----------------------------------------------------------------------------- */

/* Cross-entropy of x against the table that also embeds the tokens. */
static void end_tied(struct network *net, plb_value x, plb_value table)
{
    plb_graph_t *g = net->graph;
    plb_value targets = input(net, "targets", PLB_I32, plb_shape1(N));
    plb_value logits = plb_linear(g, x, table, PLB_NONE);

    net->loss = plb_mean_loss(g, plb_cross_entropy(g, logits, targets), targets);
}

/* A block of GPT-2: layer norm, attention, GELU, biases everywhere, embedding and head tied. */
static void build_gpt2(struct network *net)
{
    const struct plb_attention attention = {H, H, D, T, 0, 0, 0, 0, 0};
    plb_graph_t *g = net->graph;
    plb_value tokens = input(net, "tokens", PLB_I32, plb_shape1(N));
    plb_value table = parameter(net, "table", plb_shape2(V, C)), x, y;

    x = plb_embedding(g, tokens, table);
    y = plb_layer_norm(g, x, parameter(net, "n1", plb_shape1(C)),
                       parameter(net, "o1", plb_shape1(C)), 1e-5);
    y = plb_linear(g, y, parameter(net, "qkv", plb_shape2(3 * C, C)),
                   parameter(net, "qkv_b", plb_shape1(3 * C)));
    y = plb_attention(g, y, &attention);
    y = plb_linear(g, y, parameter(net, "proj", plb_shape2(C, C)),
                   parameter(net, "proj_b", plb_shape1(C)));
    x = plb_add(g, x, y);
    y = plb_layer_norm(g, x, parameter(net, "n2", plb_shape1(C)),
                       parameter(net, "o2", plb_shape1(C)), 1e-5);
    y = plb_linear(g, y, parameter(net, "up", plb_shape2(F, C)),
                   parameter(net, "up_b", plb_shape1(F)));
    y = plb_gelu(g, y, PLB_GELU_TANH);
    y = plb_linear(g, y, parameter(net, "down", plb_shape2(C, F)), PLB_NONE);
    end_tied(net, plb_add(g, x, y), table);
}

/* A block of LLaMA: RMS norm, rotary positions, grouped heads, SwiGLU; with dropout. */
static void build_llama(struct network *net)
{
    const struct plb_attention attention = {H, G, D, T, 0.2, 3, 1, 0, 0};
    const struct plb_rope rope = {.heads = H + G, .head_dim = D, .theta = 1e4, .factor = 1};
    plb_graph_t *g = net->graph;
    plb_value tokens = input(net, "tokens", PLB_I32, plb_shape1(N));
    plb_value positions = input(net, "positions", PLB_I32, plb_shape1(N));
    plb_value table = parameter(net, "table", plb_shape2(V, C)), x, y;

    x = plb_dropout(g, plb_embedding(g, tokens, table), 0.3, 3, 2);
    y = plb_rms_norm(g, x, parameter(net, "n1", plb_shape1(C)), 1e-5);
    y = plb_linear(g, y, parameter(net, "qkv", plb_shape2((H + 2 * G) * D, C)), PLB_NONE);
    y = plb_attention(g, plb_rope(g, y, positions, &rope), &attention);
    x = plb_add(g, x, plb_linear(g, y, parameter(net, "o", plb_shape2(C, H * D)), PLB_NONE));
    y = plb_rms_norm(g, x, parameter(net, "n2", plb_shape1(C)), 1e-5);
    y = plb_swiglu(g, plb_linear(g, y, parameter(net, "gate_up", plb_shape2(2 * F, C)), PLB_NONE));
    y = plb_silu(g, plb_linear(g, y, parameter(net, "down", plb_shape2(C, F)), PLB_NONE));
    end_tied(net, plb_add(g, x, y), table);
}

/* A classifier of images: convolutions, both poolings, a linear layer. */
static void build_images(struct network *net)
{
    plb_graph_t *g = net->graph;
    plb_value x = input(net, "images", PLB_F32, plb_shape4(N, 2, 8, 8));
    plb_value targets = input(net, "targets", PLB_I32, plb_shape1(N));

    x = plb_conv2d(g, x, parameter(net, "c1", plb_shape4(4, 2, 3, 3)),
                   parameter(net, "c1_b", plb_shape1(4)), 1, 1);
    x = plb_max_pool2d(g, plb_relu(g, x), 2, 2);
    x = plb_conv2d(g, x, parameter(net, "c2", plb_shape4(6, 4, 3, 3)), PLB_NONE, 1, 1);
    x = plb_avg_pool2d(g, plb_gelu(g, x, PLB_GELU_ERF), 2, 2);
    x = plb_reshape(g, x, plb_shape2(N, 6 * 2 * 2));
    x = plb_linear(g, x, parameter(net, "w", plb_shape2(V, 24)),
                   parameter(net, "b", plb_shape1(V)));
    net->loss = plb_mean_loss(g, plb_cross_entropy(g, x, targets), targets);
}

/* --- running it ------------------------------------------------------------------------------- */

static int64_t elements(const struct network *net, plb_value value)
{
    return plb_shape_elements(&plb_graph_value(net->graph, value)->type.shape);
}

static void put(struct network *net, plb_value value, const void *data)
{
    size_t bytes = plb_type_bytes(&plb_graph_value(net->graph, value)->type);

    PLB_CHECK_EQ(plb_interpreter_write(net->interpreter, value, data, bytes), PLB_OK);
}

static void get(struct network *net, plb_value value, void *data)
{
    size_t bytes = plb_type_bytes(&plb_graph_value(net->graph, value)->type);

    PLB_CHECK_EQ(plb_interpreter_read(net->interpreter, value, data, bytes), PLB_OK);
}

static double loss_of(struct network *net)
{
    float loss = 0;

    PLB_REQUIRE(plb_interpreter_step(net->interpreter, STEP) == PLB_OK);
    get(net, net->loss, &loss);
    return loss;
}

/* Parameters are normal with deviation 0.3 (norms around 1), inputs normal, integers below V but
 * positions, which rise. */
static void fill(struct network *net, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(net->graph, value);
    bool norm = info->name[0] == 'n' && info->role == PLB_ROLE_PARAMETER;
    double scale = info->role == PLB_ROLE_PARAMETER ? 0.3 : 1.0;
    int64_t n = elements(net, value);
    union {
        float f;
        int32_t i;
    } *data = calloc((size_t)n, sizeof *data);

    for (int64_t i = 0; i < n; i++) {
        if (info->type.dtype == PLB_F32)
            data[i].f = (float)(scale * plb_random_normal(11, value, (uint64_t)i)) + (float)norm;
        else if (strcmp(info->name, "positions") == 0)
            data[i].i = (int32_t)(i % T);
        else
            data[i].i = (int32_t)((value + 5 * i + i * i) % V);
    }
    put(net, value, data);
    free(data);
}

static void create(struct network *net, void (*build)(struct network *))
{
    memset(net, 0, sizeof *net);
    net->graph = plb_graph_create();
    build(net);
    if (plb_graph_status(net->graph) != PLB_OK)
        fprintf(stderr, "%s\n", plb_error_message());
    net->forward = plb_graph_tasks(net->graph);
    PLB_REQUIRE(plb_graph_differentiate(net->graph, net->loss, net->parameter, net->n,
                                        net->gradient) == PLB_OK);
    PLB_REQUIRE(plb_interpreter_create(net->graph, NULL, &net->interpreter) == PLB_OK);
    for (plb_value v = 0; v < plb_graph_values(net->graph); v++) {
        if (plb_graph_value(net->graph, v)->producer == PLB_NONE)
            fill(net, v);
    }
}

static void destroy(struct network *net)
{
    plb_interpreter_destroy(net->interpreter);
    plb_graph_destroy(net->graph);
}

/* --- the checks ------------------------------------------------------------------------------- */

/* The slope of the loss along a direction of unit length, by central differences. */
static double slope(struct network *net, plb_value value, const float *direction)
{
    const double step = 2e-3;
    int64_t n = elements(net, value);
    float *kept = malloc((size_t)n * sizeof *kept), *moved = malloc((size_t)n * sizeof *moved);
    double at[2];

    get(net, value, kept);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            moved[i] = (float)(kept[i] + (side ? step : -step) * direction[i]);
        put(net, value, moved);
        at[side] = loss_of(net);
    }
    put(net, value, kept);
    free(kept);
    free(moved);
    return (at[1] - at[0]) / (2 * step);
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static void check_direction(struct network *net, int k, const float *gradient, float *direction)
{
    int64_t n = elements(net, net->parameter[k]);
    double length = sqrt(dot(direction, direction, n)), steepest = sqrt(dot(gradient, gradient, n));

    for (int64_t i = 0; i < n; i++)
        direction[i] = (float)(direction[i] / length);
    PLB_CHECK_NEAR(slope(net, net->parameter[k], direction), dot(direction, gradient, n),
                   2e-4 + 2e-3 * steepest);
}

static void check_parameter(struct network *net, int k)
{
    int64_t n = elements(net, net->parameter[k]);
    float *gradient = malloc((size_t)n * sizeof *gradient);
    float *direction = malloc((size_t)n * sizeof *direction);

    loss_of(net);
    get(net, net->gradient[k], gradient);
    PLB_CHECK(dot(gradient, gradient, n) > 1e-6);
    memcpy(direction, gradient, (size_t)n * sizeof *direction);
    check_direction(net, k, gradient, direction);
    for (int64_t i = 0; i < n; i++)
        direction[i] = plb_random_normal(13, (uint64_t)k, (uint64_t)i);
    check_direction(net, k, gradient, direction);
    free(gradient);
    free(direction);
}

static void check_network(void (*build)(struct network *))
{
    struct network net;

    create(&net, build);
    for (int k = 0; k < net.n; k++) {
        unsigned failures = CU_get_number_of_failures();

        PLB_CHECK(net.gradient[k] != PLB_NONE);
        if (net.gradient[k] != PLB_NONE)
            check_parameter(&net, k);
        if (CU_get_number_of_failures() != failures)
            fprintf(stderr, "in %s\n", plb_graph_value(net.graph, net.parameter[k])->name);
    }
    destroy(&net);
}

static void gpt2(void)
{
    check_network(build_gpt2);
}

static void llama(void)
{
    check_network(build_llama);
}

static void images(void)
{
    check_network(build_images);
}

static uint32_t count(const plb_graph_t *graph, const char *op)
{
    uint32_t n = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        n += strcmp(plb_graph_task(graph, t)->op->name, op) == 0;
    return n;
}

/* Gradients of input and weights are separate tasks; the tied table's two come together in an
 * addition. */
static void weights_and_inputs_have_separate_tasks(void)
{
    struct network net;

    create(&net, build_gpt2);
    PLB_CHECK_EQ(count(net.graph, "linear"), 5);
    PLB_CHECK_EQ(count(net.graph, "linear_dx"), 5);
    PLB_CHECK_EQ(count(net.graph, "linear_dw"), 5);
    PLB_CHECK_EQ(count(net.graph, "linear_db"), 3);
    PLB_CHECK_EQ(count(net.graph, "embedding_dw"), 1);
    PLB_CHECK_EQ(count(net.graph, "attention_dx"), 1);
    PLB_CHECK_STRING(plb_graph_value(net.graph, net.gradient[0])->name, "d(table)");
    PLB_CHECK_STRING(
        plb_graph_task(net.graph, plb_graph_value(net.graph, net.gradient[0])->producer)->op->name,
        "add");
    for (plb_task_id t = 0; t < plb_graph_tasks(net.graph); t++)
        PLB_CHECK_EQ(plb_graph_task(net.graph, t)->phase,
                     t < net.forward ? PLB_PHASE_FORWARD : PLB_PHASE_BACKWARD);
    destroy(&net);
}

/* Without the table among the wanted, nothing is computed below the first layer norm. */
static void frozen_parameters_cost_nothing(void)
{
    struct network net;
    plb_value gradient;

    memset(&net, 0, sizeof net);
    net.graph = plb_graph_create();
    build_gpt2(&net);
    PLB_CHECK_EQ(
        plb_graph_differentiate(net.graph, net.loss, &net.parameter[net.n - 1], 1, &gradient),
        PLB_OK);
    PLB_CHECK_EQ(count(net.graph, "linear_dw"), 1);
    PLB_CHECK_EQ(count(net.graph, "linear_dx"), 1); /* of the logits */
    PLB_CHECK_EQ(count(net.graph, "gelu_dx"), 0);
    PLB_CHECK_EQ(count(net.graph, "embedding_dw"), 0);
    plb_graph_destroy(net.graph);
}

static int start(void)
{
    return plb_blas_start() == PLB_OK ? 0 : 1;
}

PLB_TEST_MAIN("runtime/graph/gradients", start, NULL, PLB_TEST(gpt2), PLB_TEST(llama),
              PLB_TEST(images), PLB_TEST(weights_and_inputs_have_separate_tasks),
              PLB_TEST(frozen_parameters_cost_nothing))
