/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layer norm (Ba, Kiros, Hinton 2016, eq. 4) over the C elements of each row; the variance is the
 * mean of squared differences. Mean and 1 / sqrt(variance + eps) are kept for the gradient, which
 * is in layer_norm_gradient.c.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/norm/norm.h"

enum { X, GAMMA, BETA };
enum { Y, MEAN, RSTD };

static enum plb_status layer_norm_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_layer_norm;
    struct plb_shape rows = plb_shape1(types->in[X].shape.dim[0]);
    struct plb_shape columns = plb_shape1(types->in[X].shape.dim[1]);

    PLB_TRY(plb__check_rank(op, types, X, 2));
    PLB_TRY(plb__check_real(op, types, X));
    PLB_TRY(plb__check_type(op, types, GAMMA, types->in[X].dtype, columns));
    if (types->in[BETA].shape.rank != 0)
        PLB_TRY(plb__check_type(op, types, BETA, types->in[X].dtype, columns));
    PLB_TRY(plb__check_epsilon(op, types));
    types->out[Y] = types->in[X];
    types->out[MEAN] = types->out[RSTD] = (struct plb_type){PLB_F32, rows};
    return PLB_OK;
}

static void layer_norm_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 7.0 * plb__elements_out(types, Y);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status layer_norm_gradient(struct plb_gradient *gradient)
{
    plb_value dy = gradient->d_out[Y], x = gradient->in[X], gamma = gradient->in[GAMMA];
    plb_value mean = gradient->out[MEAN], rstd = gradient->out[RSTD];
    const bool want[] = {gradient->needs[GAMMA], gradient->needs[BETA]};

    if (gradient->needs[X]) {
        plb_value in[] = {dy, x, gamma, mean, rstd};

        PLB_TRY(plb_graph_add_task(gradient->graph, &plb_op_layer_norm_dx,
                                   &gradient->task->attributes, in, 5, NULL, &gradient->d_in[X]));
    }
    if (want[0] || want[1]) {
        plb_value in[] = {dy, x, mean, rstd}, out[] = {PLB_NONE, PLB_NONE};

        PLB_TRY(plb_graph_add_task(gradient->graph, &plb_op_layer_norm_dw,
                                   &gradient->task->attributes, in, 4, want, out));
        gradient->d_in[GAMMA] = out[0];
        gradient->d_in[BETA] = out[1];
    }
    return PLB_OK;
}

PLB_KERNEL_CLONES static float sum(const float *x, int64_t n)
{
    float lane[PLB_LANES] = {0.0f};
    int64_t i;

    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++)
            lane[j] += x[i + j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += x[i + j];
    return plb__lanes_sum(lane);
}

/* The sum of (x - center)^2. */
PLB_KERNEL_CLONES static float spread(const float *x, float center, int64_t n)
{
    float lane[PLB_LANES] = {0.0f};
    int64_t i;

    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++)
            lane[j] += (x[i + j] - center) * (x[i + j] - center);
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += (x[i + j] - center) * (x[i + j] - center);
    return plb__lanes_sum(lane);
}

PLB_KERNEL_CLONES static void normalize(float *restrict y, const float *restrict x,
                                        const float *restrict gamma, const float *restrict beta,
                                        float mean, float rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
}

/* Scratch: gamma and beta as floats (beta zero when absent), a row of x and one of y. */
static enum plb_status layer_norm_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[X].part[0], *y = &call->out[Y].part[0];
    int64_t rows = x->shape.dim[0], columns = x->shape.dim[1];
    float *gamma = call->scratch, *beta = gamma + columns, *x_row = beta + columns;
    float *y_row = x_row + columns;
    float *mean = call->out[MEAN].part[0].data, *rstd = call->out[RSTD].part[0].data;

    plb__load(gamma, &call->in[GAMMA].part[0], 0, columns);
    memset(beta, 0, (size_t)columns * sizeof *beta);
    if (call->in[BETA].n_parts > 0)
        plb__load(beta, &call->in[BETA].part[0], 0, columns);
    for (int64_t r = 0; r < rows; r++) {
        const float *row = plb__read(x, r * columns, columns, x_row);

        mean[r] = sum(row, columns) / (float)columns;
        rstd[r] = 1.0f / sqrtf(spread(row, mean[r], columns) / (float)columns +
                               (float)call->attributes->f[0]);
        normalize(plb__write(y, r * columns, y_row), row, gamma, beta, mean[r], rstd[r], columns);
        plb__written(y, r * columns, columns, y_row);
    }
    return PLB_OK;
}

plb_value plb_layer_norm(plb_graph_t *g, plb_value x, plb_value gamma, plb_value beta, double eps)
{
    struct plb_attributes attributes = {{0}, {eps}};
    plb_value in[] = {x, gamma, beta}, out[] = {PLB_NONE, PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_layer_norm, &attributes, in, 3, NULL, out);
    return out[Y];
}

const struct plb_operator plb_op_layer_norm = {
    .name = "layer_norm",
    .attribute_f = {"eps"},
    .n_in = 3,
    .n_out = 3,
    .in = {{.name = "x", .rows = PLB_AXIS_A},
           {.name = "gamma"},
           {.name = "beta", .flags = PLB_OPTIONAL}},
    .out = {{.name = "y", .rows = PLB_AXIS_A},
            {.name = "mean", .rows = PLB_AXIS_A},
            {.name = "rstd", .rows = PLB_AXIS_A}},
    .shape = layer_norm_shape,
    .cost = layer_norm_cost,
    .gradient = layer_norm_gradient,
    .scratch = plb__norm_scratch,
    .cpu = layer_norm_cpu,
};
