/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operators for tests of graphs, and their interpreter.
 */
#include "config.h"

#include "tests/runtime/graph/fake.h"

#include "runtime/base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the records ------------------------------------------------------------------------------ */

static void no_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes =
        (double)plb_type_bytes(&types->in[0]) + (double)plb_type_bytes(&types->out[0]);
}

static enum plb_status no_kernel(const struct plb_call *call)
{
    (void)call;
    return plb_fail(PLB_ERROR_INTERNAL, "a fake operator has no kernel");
}

static enum plb_status shape_like_first(struct plb_task_types *types)
{
    for (int k = 0; k < types->n_out; k++)
        types->out[k] = types->in[0];
    return PLB_OK;
}

static enum plb_status shape_one(struct plb_task_types *types)
{
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(1)};
    return PLB_OK;
}

/* The type of the second input. */
static enum plb_status shape_like_second(struct plb_task_types *types)
{
    types->out[0] = types->in[1];
    return PLB_OK;
}

static enum plb_status mul_gradient(struct plb_gradient *g)
{
    for (int k = 0; k < 2; k++) {
        if (g->needs[k])
            g->d_in[k] = fake_binary(g->graph, &fake_mul, g->d_out[0], g->in[1 - k]);
    }
    return PLB_OK;
}

const struct plb_operator fake_mul = {
    .name = "fake_mul",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "a", .rows = PLB_AXIS_A}, {.name = "b", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape_like_first,
    .cost = no_cost,
    .gradient = mul_gradient,
    .cpu = no_kernel,
};

static enum plb_status linear_shape(struct plb_task_types *types)
{
    const struct plb_shape *x = &types->in[0].shape, *w = &types->in[1].shape;

    if (x->rank != 2 || w->rank != 2 || x->dim[1] != w->dim[1])
        return plb_fail(PLB_ERROR_INVALID, "fake_linear: columns of x and w differ");
    types->out[0] = (struct plb_type){PLB_F32, plb_shape2(x->dim[0], w->dim[0])};
    return PLB_OK;
}

/* dx[N,K] = dy[N,O] w[O,K]. */
static enum plb_status linear_dx_shape(struct plb_task_types *types)
{
    types->out[0] = types->in[0];
    types->out[0].shape.dim[1] = types->in[1].shape.dim[1];
    return PLB_OK;
}

static const struct plb_operator fake_linear_dx = {
    .name = "fake_linear_dx",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B},
           {.name = "w", .rows = PLB_AXIS_B}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = linear_dx_shape,
    .cost = no_cost,
    .cpu = no_kernel,
};

/* dw[O,K] = dy[N,O]^T x[N,K]. */
static enum plb_status linear_dw_shape(struct plb_task_types *types)
{
    types->out[0] = types->in[0];
    types->out[0].shape.dim[0] = types->in[1].shape.dim[1];
    return PLB_OK;
}

static const struct plb_operator fake_linear_dw = {
    .name = "fake_linear_dw",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A},
           {.name = "dy", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B}},
    .out = {{.name = "dw", .rows = PLB_AXIS_B}},
    .shape = linear_dw_shape,
    .cost = no_cost,
    .cpu = no_kernel,
};

static enum plb_status linear_gradient(struct plb_gradient *g)
{
    if (g->needs[0])
        g->d_in[0] = fake_binary(g->graph, &fake_linear_dx, g->d_out[0], g->in[1]);
    if (g->needs[1])
        g->d_in[1] = fake_binary(g->graph, &fake_linear_dw, g->in[0], g->d_out[0]);
    return PLB_OK;
}

const struct plb_operator fake_linear = {
    .name = "fake_linear",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}, {.name = "w", .rows = PLB_AXIS_B}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B}},
    .shape = linear_shape,
    .cost = no_cost,
    .gradient = linear_gradient,
    .cpu = no_kernel,
};

/* dx = power x^(power - 1) dy, the power in i[0]. */
static const struct plb_operator fake_power_dx = {
    .name = "fake_power_dx",
    .attribute_i = {"power"},
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = shape_like_first,
    .cost = no_cost,
    .cpu = no_kernel,
};

static enum plb_status powers_gradient(struct plb_gradient *g)
{
    plb_value part[2];
    int n = 0;

    for (int k = 0; k < 2; k++) {
        struct plb_attributes attributes = {.i = {2 + k}};
        plb_value in[2] = {g->d_out[k], g->in[0]};

        if (g->d_out[k] != PLB_NONE)
            PLB_TRY(
                plb_graph_add_task(g->graph, &fake_power_dx, &attributes, in, 2, NULL, &part[n++]));
    }
    g->d_in[0] = n == 2 ? fake_many(g->graph, &fake_gather, part, 2) : part[0];
    return PLB_OK;
}

const struct plb_operator fake_powers = {
    .name = "fake_powers",
    .n_in = 1,
    .n_out = 2,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A},
            {.name = "z", .rows = PLB_AXIS_A, .flags = PLB_OPTIONAL}},
    .shape = shape_like_first,
    .cost = no_cost,
    .gradient = powers_gradient,
    .cpu = no_kernel,
};

/* dx[...] = dy[0], of the type of `like`. */
static const struct plb_operator fake_spread = {
    .name = "fake_spread",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy"}, {.name = "like", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = shape_like_second,
    .cost = no_cost,
    .cpu = no_kernel,
};

static enum plb_status total_gradient(struct plb_gradient *g)
{
    g->d_in[0] = fake_binary(g->graph, &fake_spread, g->d_out[0], g->in[0]);
    return PLB_OK;
}

const struct plb_operator fake_total = {
    .name = "fake_total",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "y"}},
    .shape = shape_one,
    .cost = no_cost,
    .gradient = total_gradient,
    .cpu = no_kernel,
};

static enum plb_status gather_gradient(struct plb_gradient *g)
{
    const uint32_t *start = g->task->in_start;

    for (uint32_t e = 0; e < start[1] - start[0]; e++)
        g->d_in[e] = g->d_out[0];
    return PLB_OK;
}

const struct plb_operator fake_gather = {
    .name = "fake_gather",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_VARIADIC}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape_like_first,
    .cost = no_cost,
    .gradient = gather_gradient,
    .cpu = no_kernel,
};

const struct plb_operator fake_one = {
    .name = "fake_one",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape_like_first,
    .cost = no_cost,
    .cpu = no_kernel,
};

/* --- builders --------------------------------------------------------------------------------- */

plb_value fake_many(plb_graph_t *graph, const struct plb_operator *op, const plb_value *x, int n)
{
    const bool want[PLB_OPERANDS_MAX] = {true};
    plb_value out[PLB_OPERANDS_MAX];

    plb_graph_add_task(graph, op, NULL, x, n, want, out);
    return out[0];
}

plb_value fake_unary(plb_graph_t *graph, const struct plb_operator *op, plb_value x)
{
    return fake_many(graph, op, &x, 1);
}

plb_value fake_binary(plb_graph_t *graph, const struct plb_operator *op, plb_value x, plb_value y)
{
    plb_value in[2] = {x, y};

    return fake_many(graph, op, in, 2);
}

plb_value fake_input(plb_graph_t *graph, const char *name, int64_t rows, int64_t cols)
{
    return plb_graph_add_value(graph, name, PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(rows, cols));
}

/* --- the interpreter -------------------------------------------------------------------------- */

/* What one task sees: elements and types of inputs and outputs. */
struct view {
    const plb_graph_t *graph;
    const struct plb_task *task;
    double *const *data;
};

static const double *in(const struct view *v, int k)
{
    return v->data[v->task->in[k]];
}

static const struct plb_shape *shape(const struct view *v, plb_value value)
{
    return &plb_graph_value(v->graph, value)->type.shape;
}

/* y[i,j] = sum over k of a(i,k) b(j,k), with strides. */
static void product(double *y, int64_t rows, int64_t cols, int64_t sum, const double *a,
                    int64_t a_row, int64_t a_sum, const double *b, int64_t b_row, int64_t b_sum)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            y[i * cols + j] = 0;
            for (int64_t k = 0; k < sum; k++)
                y[i * cols + j] += a[i * a_row + k * a_sum] * b[j * b_row + k * b_sum];
        }
    }
}

static bool evaluate_linear(const struct view *v, double *y)
{
    const struct plb_shape *a = shape(v, v->task->in[0]), *b = shape(v, v->task->in[1]);

    if (v->task->op == &fake_linear)
        product(y, a->dim[0], b->dim[0], a->dim[1], in(v, 0), a->dim[1], 1, in(v, 1), b->dim[1], 1);
    else if (v->task->op == &fake_linear_dx)
        product(y, a->dim[0], b->dim[1], a->dim[1], in(v, 0), a->dim[1], 1, in(v, 1), 1, b->dim[1]);
    else if (v->task->op == &fake_linear_dw)
        product(y, b->dim[1], a->dim[1], a->dim[0], in(v, 1), 1, b->dim[1], in(v, 0), 1, a->dim[1]);
    else
        return false;
    return true;
}

/* One element of an elementwise operator. */
static double element(const struct view *v, int64_t i)
{
    const struct plb_task *task = v->task;
    double sum = 0;

    if (task->op == &fake_mul)
        return in(v, 0)[i] * in(v, 1)[i];
    if (task->op == &fake_power_dx)
        return in(v, 0)[i] * (double)task->attributes.i[0] *
               pow(in(v, 1)[i], (double)task->attributes.i[0] - 1);
    if (task->op == &fake_powers)
        return in(v, 0)[i] * in(v, 0)[i];
    if (task->op == &fake_spread)
        return in(v, 0)[0];
    if (task->op == &fake_one)
        return 1;
    if (strcmp(task->op->name, "fill") == 0)
        return task->attributes.f[0];
    if (task->op == &fake_gather || strcmp(task->op->name, "add") == 0) {
        for (uint32_t k = 0; k < task->in_start[task->n_in]; k++)
            sum += in(v, (int)k)[i];
        return sum;
    }
    return NAN;
}

static void evaluate_task(const struct view *v)
{
    double *y = v->data[v->task->out[0]];
    int64_t n = plb_shape_elements(shape(v, v->task->out[0]));

    if (evaluate_linear(v, y))
        return;
    if (v->task->op == &fake_total) {
        n = plb_shape_elements(shape(v, v->task->in[0]));
        y[0] = 0;
        for (int64_t i = 0; i < n; i++)
            y[0] += in(v, 0)[i];
        return;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = element(v, i);
    if (v->task->op == &fake_powers && v->task->out_start[2] == 2) {
        for (int64_t i = 0; i < n; i++)
            v->data[v->task->out[1]][i] = pow(in(v, 0)[i], 3);
    }
}

void fake_evaluate(const plb_graph_t *graph, double *const *data)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        struct view view = {graph, plb_graph_task(graph, t), data};

        evaluate_task(&view);
    }
}

double **fake_allocate(const plb_graph_t *graph)
{
    uint32_t n = plb_graph_values(graph);
    double **data = calloc((size_t)n + 1, sizeof *data);

    for (plb_value v = 0; data != NULL && v < n; v++)
        data[v] = calloc((size_t)plb_shape_elements(&plb_graph_value(graph, v)->type.shape),
                         sizeof **data);
    return data;
}

void fake_free(const plb_graph_t *graph, double **data)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++)
        free(data[v]);
    free(data);
}

uint64_t fake_seed(void)
{
    const char *text = getenv("PLB_TEST_SEED");

    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

uint32_t fake_draw(uint64_t *state, uint32_t below)
{
    uint32_t words[4];

    plb_random_words(fake_seed(), 0, (*state)++, words);
    return words[0] % below;
}
