/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Images made larger by repeating each element factor x factor times, y[B,C,fH,fW] of x[B,C,H,W],
 * and the gradient, the sum over each such square.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/pool/pool.h"

enum { FACTOR };
#define FACTOR_MAX 64

static enum plb_status check_factor(const struct plb_operator *op,
                                    const struct plb_task_types *types)
{
    PLB_TRY(plb__check_rank(op, types, 0, 4));
    PLB_TRY(plb__check_real(op, types, 0));
    PLB_TRY(plb__check_attribute(op, types, FACTOR, 1));
    if (types->attributes->i[FACTOR] > FACTOR_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: factor is %lld, not 1 to %d", op->name,
                        (long long)types->attributes->i[FACTOR], FACTOR_MAX);
    return PLB_OK;
}

static enum plb_status upsample_shape(struct plb_task_types *types)
{
    const struct plb_shape *x = &types->in[0].shape;
    int64_t factor = types->attributes->i[FACTOR];

    PLB_TRY(check_factor(&plb_op_upsample2d, types));
    types->out[0] =
        (struct plb_type){types->in[0].dtype,
                          plb_shape4(x->dim[0], x->dim[1], factor * x->dim[2], factor * x->dim[3])};
    return PLB_OK;
}

static void upsample_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 0.0;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status upsample_gradient(struct plb_gradient *g)
{
    if (!g->needs[0])
        return PLB_OK;
    return plb_graph_add_task(g->graph, &plb_op_upsample2d_dx, &g->task->attributes, g->d_out, 1,
                              NULL, &g->d_in[0]);
}

/* One row of y of a row of x: `n` elements, each `factor` times. */
static void repeat(const float *x, int64_t n, int64_t factor, float *y)
{
    for (int64_t j = 0; j < n; j++) {
        for (int64_t s = 0; s < factor; s++)
            *y++ = x[j];
    }
}

static enum plb_status upsample_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    int64_t factor = call->attributes->i[FACTOR], w = x->shape.dim[3];
    int64_t rows = x->shape.dim[0] * x->shape.dim[1] * x->shape.dim[2];
    float *buffer = call->scratch, *wide = buffer + w;

    for (int64_t r = 0; r < rows * factor; r++) {
        int64_t at = r * factor * w;

        repeat(plb__read(x, r / factor * w, w, buffer), w, factor, plb__write(y, at, wide));
        plb__written(y, at, factor * w, wide);
    }
    return PLB_OK;
}

plb_value plb_upsample2d(plb_graph_t *g, plb_value x, int64_t factor)
{
    const struct plb_attributes attributes = {{factor}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_upsample2d, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_upsample2d = {
    .name = "upsample2d",
    .attribute_i = {"factor"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = upsample_shape,
    .cost = upsample_cost,
    .gradient = upsample_gradient,
    .scratch = plb__pool_scratch,
    .cpu = upsample_cpu,
};

/* --- gradient --------------------------------------------------------------------------------- */

static enum plb_status upsample_dx_shape(struct plb_task_types *types)
{
    const struct plb_shape *dy = &types->in[0].shape;
    int64_t factor = types->attributes->i[FACTOR];

    PLB_TRY(check_factor(&plb_op_upsample2d_dx, types));
    if (dy->dim[2] % factor != 0 || dy->dim[3] % factor != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "upsample2d_dx: sides %lld and %lld of dy are no multiples of factor %lld",
                        (long long)dy->dim[2], (long long)dy->dim[3], (long long)factor);
    types->out[0] =
        (struct plb_type){types->in[0].dtype, plb_shape4(dy->dim[0], dy->dim[1],
                                                         dy->dim[2] / factor, dy->dim[3] / factor)};
    return PLB_OK;
}

static void upsample_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

/* Adds one row of dy to a row of dx of `n` elements. */
static void add_row(const float *dy, int64_t n, int64_t factor, float *dx)
{
    for (int64_t j = 0; j < n; j++) {
        for (int64_t s = 0; s < factor; s++)
            dx[j] += *dy++;
    }
}

static enum plb_status upsample_dx_cpu(const struct plb_call *call)
{
    const struct plb_tensor *dy = &call->in[0].part[0], *dx = &call->out[0].part[0];
    int64_t factor = call->attributes->i[FACTOR], w = dx->shape.dim[3];
    int64_t rows = dx->shape.dim[0] * dx->shape.dim[1] * dx->shape.dim[2];
    float *sums = call->scratch, *wide = sums + w;

    for (int64_t r = 0; r < rows; r++) {
        float *to = plb__write(dx, r * w, sums);

        memset(to, 0, (size_t)w * sizeof *to);
        for (int64_t s = 0; s < factor; s++)
            add_row(plb__read(dy, (r * factor + s) * factor * w, factor * w, wide), w, factor, to);
        plb__written(dx, r * w, w, to);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_upsample2d_dx = {
    .name = "upsample2d_dx",
    .attribute_i = {"factor"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = upsample_dx_shape,
    .cost = upsample_dx_cost,
    .scratch = plb__pool_scratch,
    .cpu = upsample_dx_cpu,
};
