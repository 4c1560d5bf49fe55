/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GELU (Hendrycks, Gimpel 2016, section 2), exact and with their approximation by tanh, and its
 * gradient. Element-wise, any rank.
 *
 *   exact   y = x P(x),  P(x) = (1 + erf(x / sqrt 2)) / 2
 *           dy/dx = P(x) + x exp(-x^2 / 2) / sqrt(2 pi)
 *   tanh    y = x (1 + tanh u) / 2,  u = sqrt(2 / pi) (x + 0.044715 x^3)
 *           dy/dx = (1 + tanh u) / 2 + x (1 - tanh^2 u) / 2 * du/dx
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

#include <inttypes.h>

#define SQRT_HALF     0.70710678f /* 1 / sqrt(2) */
#define DENSITY_SCALE 0.39894228f /* 1 / sqrt(2 pi) */
#define TANH_SCALE    0.79788456f /* sqrt(2 / pi) */
#define TANH_CUBE     0.044715f

enum { KIND }; /* index of the integer attribute */

/* For costs: additions, multiplications and the like of one element, the functions included. */
enum { FLOPS_FORWARD = 20, FLOPS_GRADIENT = 30 };

static enum plb_status check_kind(const struct plb_operator *op, const struct plb_task_types *types)
{
    int64_t kind = types->attributes->i[KIND];

    if (kind == PLB_GELU_ERF || kind == PLB_GELU_TANH)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: kind must be %d (erf) or %d (tanh), but is %" PRId64,
                    op->name, PLB_GELU_ERF, PLB_GELU_TANH, kind);
}

PLB_KERNEL_CLONES static void gelu_erf(float *y, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * (0.5f + 0.5f * plb__erff(x[i] * SQRT_HALF));
}

PLB_KERNEL_CLONES static void gelu_tanh(float *y, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        float u = TANH_SCALE * (x[i] + TANH_CUBE * x[i] * x[i] * x[i]);

        y[i] = x[i] * (0.5f + 0.5f * plb__tanhf(u));
    }
}

PLB_KERNEL_CLONES static void gelu_dx_erf(float *dx, const float *dy, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        float v = x[i];
        float density = DENSITY_SCALE * plb__expf(-0.5f * v * v);

        dx[i] = dy[i] * (0.5f + 0.5f * plb__erff(v * SQRT_HALF) + v * density);
    }
}

PLB_KERNEL_CLONES static void gelu_dx_tanh(float *dx, const float *dy, const float *x, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++) {
        float v = x[i];
        float t = plb__tanhf(TANH_SCALE * (v + TANH_CUBE * v * v * v));
        float du = TANH_SCALE * (1.0f + 3.0f * TANH_CUBE * v * v);

        /* Far out 1 - t^2 is zero and du may be infinite. */
        du = fabsf(v) > 16.0f ? 0.0f : du;
        dx[i] = dy[i] * (0.5f + 0.5f * t + 0.5f * v * (1.0f - t * t) * du);
    }
}

static enum plb_status gelu_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_gelu, types, 0));
    PLB_TRY(check_kind(&plb_op_gelu, types));
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void gelu_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = FLOPS_FORWARD * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status gelu_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->d_out[0], gradient->in[0]};

    if (!gradient->needs[0])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_gelu_dx, &gradient->task->attributes, in, 2,
                              NULL, &gradient->d_in[0]);
}

static void gelu_leaf(float *y, const float *const x[2], int64_t n, const struct plb_attributes *a)
{
    if (a->i[KIND] == PLB_GELU_TANH)
        gelu_tanh(y, x[0], n);
    else
        gelu_erf(y, x[0], n);
}

static enum plb_status gelu_cpu(const struct plb_call *call)
{
    return plb__map(call, 1, gelu_leaf);
}

static enum plb_status gelu_dx_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_gelu_dx, types, 0));
    PLB_TRY(plb__check_same(&plb_op_gelu_dx, types, 1, 0));
    PLB_TRY(check_kind(&plb_op_gelu_dx, types));
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void gelu_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = FLOPS_GRADIENT * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static void gelu_dx_leaf(float *dx, const float *const x[2], int64_t n,
                         const struct plb_attributes *a)
{
    if (a->i[KIND] == PLB_GELU_TANH)
        gelu_dx_tanh(dx, x[0], x[1], n);
    else
        gelu_dx_erf(dx, x[0], x[1], n);
}

static enum plb_status gelu_dx_cpu(const struct plb_call *call)
{
    return plb__map(call, 2, gelu_dx_leaf);
}

plb_value plb_gelu(plb_graph_t *g, plb_value x, enum plb_gelu kind)
{
    struct plb_attributes attributes = {{kind}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_gelu, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_gelu = {
    .name = "gelu",
    .attribute_i = {"kind"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = gelu_shape,
    .cost = gelu_cost,
    .gradient = gelu_gradient,
    .cpu = gelu_cpu,
};

const struct plb_operator plb_op_gelu_dx = {
    .name = "gelu_dx",
    .attribute_i = {"kind"},
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = gelu_dx_shape,
    .cost = gelu_dx_cost,
    .cpu = gelu_dx_cpu,
};
