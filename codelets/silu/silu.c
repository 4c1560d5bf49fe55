/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SiLU, y = x s(x) with s(x) = 1 / (1 + exp(-x)) (Elfwing, Uchibe, Doya 2018, eq. 5), and its
 * gradient dy/dx = s (1 + x (1 - s)). Element-wise, any rank.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

/* For costs: operations of one element, the exponential included. */
enum { FLOPS_FORWARD = 18, FLOPS_GRADIENT = 23 };

static enum plb_status silu_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_silu, types, 0));
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void silu_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = FLOPS_FORWARD * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status silu_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->d_out[0], gradient->in[0]};

    if (!gradient->needs[0])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_silu_dx, &gradient->task->attributes, in, 2,
                              NULL, &gradient->d_in[0]);
}

PLB_KERNEL_CLONES static void silu(float *y, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] / (1.0f + plb__expf(-x[i]));
}

PLB_KERNEL_CLONES static void silu_dx(float *dx, const float *dy, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + plb__expf(-x[i]));

        dx[i] = dy[i] * s * (1.0f + x[i] * (1.0f - s));
    }
}

static void silu_leaf(float *y, const float *const x[2], int64_t n, const struct plb_attributes *a)
{
    (void)a;
    silu(y, x[0], n);
}

static enum plb_status silu_cpu(const struct plb_call *call)
{
    return plb__map(call, 1, silu_leaf);
}

static enum plb_status silu_dx_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_silu_dx, types, 0));
    PLB_TRY(plb__check_same(&plb_op_silu_dx, types, 1, 0));
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void silu_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = FLOPS_GRADIENT * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static void silu_dx_leaf(float *dx, const float *const x[2], int64_t n,
                         const struct plb_attributes *a)
{
    (void)a;
    silu_dx(dx, x[0], x[1], n);
}

static enum plb_status silu_dx_cpu(const struct plb_call *call)
{
    return plb__map(call, 2, silu_dx_leaf);
}

plb_value plb_silu(plb_graph_t *g, plb_value x)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_silu, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_silu = {
    .name = "silu",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = silu_shape,
    .cost = silu_cost,
    .gradient = silu_gradient,
    .cpu = silu_cpu,
};

const struct plb_operator plb_op_silu_dx = {
    .name = "silu_dx",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = silu_dx_shape,
    .cost = silu_dx_cost,
    .cpu = silu_dx_cpu,
};
