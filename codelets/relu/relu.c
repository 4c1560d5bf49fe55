/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y = max(x, 0), and its gradient by y: dx = dy where y > 0. A NaN stays a NaN.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

static enum plb_status relu_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_relu, types, 0));
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void relu_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status relu_gradient(struct plb_gradient *g)
{
    const struct plb_attributes none = {{0}, {0}};
    const plb_value in[] = {g->d_out[0], g->out[0]};

    if (!g->needs[0])
        return PLB_OK;
    return plb_graph_add_task(g->graph, &plb_op_relu_dx, &none, in, 2, NULL, &g->d_in[0]);
}

PLB_KERNEL_CLONES static void relu(float *y, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

static void relu_leaf(float *y, const float *const x[2], int64_t n, const struct plb_attributes *a)
{
    (void)a;
    relu(y, x[0], n);
}

static enum plb_status relu_cpu(const struct plb_call *call)
{
    return plb__map(call, 1, relu_leaf);
}

plb_value plb_relu(plb_graph_t *g, plb_value x)
{
    const struct plb_attributes none = {{0}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_relu, &none, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_relu = {
    .name = "relu",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = relu_shape,
    .cost = relu_cost,
    .gradient = relu_gradient,
    .cpu = relu_cpu,
};

/* --- gradient --------------------------------------------------------------------------------- */

static enum plb_status relu_dx_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_relu_dx, types, 0));
    PLB_TRY(plb__check_same(&plb_op_relu_dx, types, 1, 0));
    types->out[0] = types->in[0];
    return PLB_OK;
}

PLB_KERNEL_CLONES static void relu_dx(float *dx, const float *dy, const float *y, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

static void relu_dx_leaf(float *dx, const float *const x[2], int64_t n,
                         const struct plb_attributes *a)
{
    (void)a;
    relu_dx(dx, x[0], x[1], n);
}

static enum plb_status relu_dx_cpu(const struct plb_call *call)
{
    return plb__map(call, 2, relu_dx_leaf);
}

const struct plb_operator plb_op_relu_dx = {
    .name = "relu_dx",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "y", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = relu_dx_shape,
    .cost = relu_cost,
    .cpu = relu_dx_cpu,
};
