/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SwiGLU (Shazeer 2020, eq. 5) of rows that hold a gate and then an up half, F columns each:
 * y = silu(gate) up, and its gradient dgate = dy up silu'(gate), dup = dy silu(gate).
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

#include <inttypes.h>

/* For costs: operations of one element of y, the exponential included. */
enum { FLOPS_FORWARD = 19, FLOPS_GRADIENT = 26 };

static enum plb_status swiglu_shape(struct plb_task_types *types)
{
    const struct plb_shape *x = &types->in[0].shape;

    PLB_TRY(plb__check_rank(&plb_op_swiglu, types, 0, 2));
    PLB_TRY(plb__check_real(&plb_op_swiglu, types, 0));
    if (x->dim[1] % 2 != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "swiglu: rows of x must be two halves, but have %" PRId64 " columns",
                        x->dim[1]);
    types->out[0] = (struct plb_type){types->in[0].dtype, plb_shape2(x->dim[0], x->dim[1] / 2)};
    return PLB_OK;
}

static void swiglu_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = FLOPS_FORWARD * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status swiglu_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->d_out[0], gradient->in[0]};

    if (!gradient->needs[0])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_swiglu_dx, &gradient->task->attributes, in,
                              2, NULL, &gradient->d_in[0]);
}

PLB_KERNEL_CLONES static void swiglu(float *restrict y, const float *restrict gate,
                                     const float *restrict up, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = gate[i] / (1.0f + plb__expf(-gate[i])) * up[i];
}

/* dgate may be gate, dup may be up. */
PLB_KERNEL_CLONES static void swiglu_dx(float *dgate, float *dup, const float *dy,
                                        const float *gate, const float *up, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        float x = gate[i], s = 1.0f / (1.0f + plb__expf(-x)), d = dy[i];

        dgate[i] = d * up[i] * s * (1.0f + x * (1.0f - s));
        dup[i] = d * x * s;
    }
}

/* Calls for pieces of rows: n elements at `y_at` of y, and at `x_at` and x_at + F of x. */
typedef void visit_piece(const struct plb_call *call, int64_t y_at, int64_t x_at, int64_t half,
                         int64_t n);

static void walk(const struct plb_call *call, const struct plb_shape *x, visit_piece *visit)
{
    int64_t half = x->dim[1] / 2;

    for (int64_t r = 0; r < x->dim[0]; r++) {
        for (int64_t at = 0; at < half; at += PLB_CHUNK) {
            int64_t n = half - at < PLB_CHUNK ? half - at : PLB_CHUNK;

            visit(call, r * half + at, 2 * r * half + at, half, n);
        }
    }
}

static void swiglu_piece(const struct plb_call *call, int64_t y_at, int64_t x_at, int64_t half,
                         int64_t n)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    float buffer[3][PLB_CHUNK];

    swiglu(plb__write(y, y_at, buffer[0]), plb__read(x, x_at, n, buffer[1]),
           plb__read(x, x_at + half, n, buffer[2]), n);
    plb__written(y, y_at, n, buffer[0]);
}

static enum plb_status swiglu_cpu(const struct plb_call *call)
{
    walk(call, &call->in[0].part[0].shape, swiglu_piece);
    return PLB_OK;
}

static enum plb_status swiglu_dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_swiglu_dx;
    const struct plb_shape *dy = &types->in[0].shape;

    PLB_TRY(plb__check_rank(op, types, 0, 2));
    PLB_TRY(plb__check_real(op, types, 0));
    PLB_TRY(
        plb__check_type(op, types, 1, types->in[0].dtype, plb_shape2(dy->dim[0], 2 * dy->dim[1])));
    types->out[0] = types->in[1];
    return PLB_OK;
}

static void swiglu_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = FLOPS_GRADIENT * (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

static void swiglu_dx_piece(const struct plb_call *call, int64_t dy_at, int64_t x_at, int64_t half,
                            int64_t n)
{
    const struct plb_tensor *dy = &call->in[0].part[0], *x = &call->in[1].part[0];
    const struct plb_tensor *dx = &call->out[0].part[0];
    float buffer[5][PLB_CHUNK];

    swiglu_dx(plb__write(dx, x_at, buffer[0]), plb__write(dx, x_at + half, buffer[1]),
              plb__read(dy, dy_at, n, buffer[2]), plb__read(x, x_at, n, buffer[3]),
              plb__read(x, x_at + half, n, buffer[4]), n);
    plb__written(dx, x_at, n, buffer[0]);
    plb__written(dx, x_at + half, n, buffer[1]);
}

static enum plb_status swiglu_dx_cpu(const struct plb_call *call)
{
    walk(call, &call->in[1].part[0].shape, swiglu_dx_piece);
    return PLB_OK;
}

plb_value plb_swiglu(plb_graph_t *g, plb_value x)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_swiglu, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_swiglu = {
    .name = "swiglu",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = swiglu_shape,
    .cost = swiglu_cost,
    .gradient = swiglu_gradient,
    .cpu = swiglu_cpu,
};

/* dx is as large as x, not as dy: it may take the place of x. */
const struct plb_operator plb_op_swiglu_dx = {
    .name = "swiglu_dx",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A, .shares = 2}},
    .shape = swiglu_dx_shape,
    .cost = swiglu_dx_cost,
    .cpu = swiglu_dx_cpu,
};
