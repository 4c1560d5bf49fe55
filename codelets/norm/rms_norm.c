/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RMS norm (Zhang, Sennrich 2019, eq. 4) over the C elements of each row, and its gradients.
 * 1 / sqrt(mean(x^2) + eps) is kept for them. With h = x rstd, g = dy gamma, means over the row:
 *
 *   y = h gamma,  dx = rstd (g - h mean(g h)),  dgamma = sum over rows of dy h
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/norm/norm.h"

static enum plb_status rms_norm_shape(struct plb_task_types *types)
{
    enum { X, GAMMA };
    const struct plb_operator *op = &plb_op_rms_norm;
    struct plb_shape rows = plb_shape1(types->in[X].shape.dim[0]);
    struct plb_shape columns = plb_shape1(types->in[X].shape.dim[1]);

    PLB_TRY(plb__check_rank(op, types, X, 2));
    PLB_TRY(plb__check_real(op, types, X));
    PLB_TRY(plb__check_type(op, types, GAMMA, types->in[X].dtype, columns));
    PLB_TRY(plb__check_epsilon(op, types));
    types->out[0] = types->in[X];
    types->out[1] = (struct plb_type){PLB_F32, rows};
    return PLB_OK;
}

static void rms_norm_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 4.0 * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status rms_norm_gradient(struct plb_gradient *gradient)
{
    enum { X, GAMMA };
    plb_value dy = gradient->d_out[0], x = gradient->in[X], rstd = gradient->out[1];

    if (gradient->needs[X]) {
        plb_value in[] = {dy, x, gradient->in[GAMMA], rstd};

        PLB_TRY(plb_graph_add_task(gradient->graph, &plb_op_rms_norm_dx,
                                   &gradient->task->attributes, in, 4, NULL, &gradient->d_in[X]));
    }
    if (gradient->needs[GAMMA]) {
        plb_value in[] = {dy, x, rstd};

        PLB_TRY(plb_graph_add_task(gradient->graph, &plb_op_rms_norm_dw,
                                   &gradient->task->attributes, in, 3, NULL,
                                   &gradient->d_in[GAMMA]));
    }
    return PLB_OK;
}

PLB_KERNEL_CLONES static float sum_of_squares(const float *x, int64_t n)
{
    float lane[PLB_LANES] = {0.0f};
    int64_t i;

    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++)
            lane[j] += x[i + j] * x[i + j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += x[i + j] * x[i + j];
    return plb__lanes_sum(lane);
}

PLB_KERNEL_CLONES static void normalize(float *restrict y, const float *restrict x,
                                        const float *restrict gamma, float rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * rstd * gamma[i];
}

/* Scratch: gamma as floats, a row of x and one of y. */
static enum plb_status rms_norm_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    int64_t columns = x->shape.dim[1];
    float *gamma = call->scratch, *x_row = gamma + columns, *y_row = x_row + columns;
    float *rstd = call->out[1].part[0].data;

    plb__load(gamma, &call->in[1].part[0], 0, columns);
    for (int64_t r = 0; r < x->shape.dim[0]; r++) {
        const float *row = plb__read(x, r * columns, columns, x_row);

        rstd[r] = 1.0f / sqrtf(sum_of_squares(row, columns) / (float)columns +
                               (float)call->attributes->f[0]);
        normalize(plb__write(y, r * columns, y_row), row, gamma, rstd[r], columns);
        plb__written(y, r * columns, columns, y_row);
    }
    return PLB_OK;
}

plb_value plb_rms_norm(plb_graph_t *g, plb_value x, plb_value gamma, double eps)
{
    struct plb_attributes attributes = {{0}, {eps}};
    plb_value in[] = {x, gamma}, out[] = {PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_rms_norm, &attributes, in, 2, NULL, out);
    return out[0];
}

const struct plb_operator plb_op_rms_norm = {
    .name = "rms_norm",
    .attribute_f = {"eps"},
    .n_in = 2,
    .n_out = 2,
    .in = {{.name = "x", .rows = PLB_AXIS_A}, {.name = "gamma"}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}, {.name = "rstd", .rows = PLB_AXIS_A}},
    .shape = rms_norm_shape,
    .cost = rms_norm_cost,
    .gradient = rms_norm_gradient,
    .scratch = plb__norm_scratch,
    .cpu = rms_norm_cpu,
};

static enum plb_status rms_norm_dx_shape(struct plb_task_types *types)
{
    enum { DY, X, GAMMA, RSTD };
    const struct plb_operator *op = &plb_op_rms_norm_dx;
    struct plb_shape rows = plb_shape1(types->in[DY].shape.dim[0]);
    struct plb_shape columns = plb_shape1(types->in[DY].shape.dim[1]);

    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_real(op, types, DY));
    PLB_TRY(plb__check_same(op, types, X, DY));
    PLB_TRY(plb__check_type(op, types, GAMMA, types->in[DY].dtype, columns));
    PLB_TRY(plb__check_type(op, types, RSTD, PLB_F32, rows));
    PLB_TRY(plb__check_epsilon(op, types));
    types->out[0] = types->in[DY];
    return PLB_OK;
}

static void rms_norm_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 9.0 * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

/* The sum over a row of g x. */
PLB_KERNEL_CLONES static float weighted_dot(const float *dy, const float *x, const float *gamma,
                                            int64_t n)
{
    float lane[PLB_LANES] = {0.0f};
    int64_t i;

    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++)
            lane[j] += dy[i + j] * gamma[i + j] * x[i + j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += dy[i + j] * gamma[i + j] * x[i + j];
    return plb__lanes_sum(lane);
}

/* `pull` is rstd^2 mean(g x). dx may be dy. */
PLB_KERNEL_CLONES static void row_dx(float *dx, const float *dy, const float *x, const float *gamma,
                                     float rstd, float pull, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        dx[i] = rstd * (dy[i] * gamma[i] - x[i] * pull);
}

/* Scratch: gamma as floats, and a row each of dy, x and dx. */
static enum plb_status rms_norm_dx_cpu(const struct plb_call *call)
{
    const struct plb_tensor *dy = &call->in[0].part[0], *x = &call->in[1].part[0];
    const struct plb_tensor *dx = &call->out[0].part[0];
    const float *rstd = call->in[3].part[0].data;
    int64_t columns = dy->shape.dim[1];
    float *gamma = call->scratch, *rows = gamma + columns;

    plb__load(gamma, &call->in[2].part[0], 0, columns);
    for (int64_t r = 0; r < dy->shape.dim[0]; r++) {
        int64_t at = r * columns;
        const float *dy_row = plb__read(dy, at, columns, rows);
        const float *x_row = plb__read(x, at, columns, rows + columns);
        float *dx_row = plb__write(dx, at, rows + 2 * columns);
        float mean = weighted_dot(dy_row, x_row, gamma, columns) / (float)columns;

        row_dx(dx_row, dy_row, x_row, gamma, rstd[r], rstd[r] * rstd[r] * mean, columns);
        plb__written(dx, at, columns, dx_row);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_rms_norm_dx = {
    .name = "rms_norm_dx",
    .attribute_f = {"eps"},
    .n_in = 4,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A},
           {.name = "x", .rows = PLB_AXIS_A},
           {.name = "gamma"},
           {.name = "rstd", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = rms_norm_dx_shape,
    .cost = rms_norm_dx_cost,
    .scratch = plb__norm_scratch,
    .cpu = rms_norm_dx_cpu,
};

static enum plb_status rms_norm_dw_shape(struct plb_task_types *types)
{
    enum { DY, X, RSTD };
    const struct plb_operator *op = &plb_op_rms_norm_dw;

    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_real(op, types, DY));
    PLB_TRY(plb__check_same(op, types, X, DY));
    PLB_TRY(plb__check_type(op, types, RSTD, PLB_F32, plb_shape1(types->in[DY].shape.dim[0])));
    PLB_TRY(plb__check_epsilon(op, types));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(types->in[DY].shape.dim[1])};
    return PLB_OK;
}

static void rms_norm_dw_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 3.0 * (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

PLB_KERNEL_CLONES static void add_row(float *restrict dgamma, const float *restrict dy,
                                      const float *restrict x, float rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dgamma[i] += dy[i] * (x[i] * rstd);
}

static void visit_row(const struct plb__norm_row *row, void *context)
{
    add_row(context, row->dy, row->x, row->statistic[0], row->columns);
}

static enum plb_status rms_norm_dw_cpu(const struct plb_call *call)
{
    float *dgamma = call->out[0].part[0].data;

    memset(dgamma, 0, (size_t)call->in[0].whole.dim[1] * sizeof *dgamma);
    plb__norm_walk(call, call->scratch, visit_row, dgamma);
    return PLB_OK;
}

const struct plb_operator plb_op_rms_norm_dw = {
    .name = "rms_norm_dw",
    .attribute_f = {"eps"},
    .n_in = 3,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "rstd", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "dgamma"}},
    .shape = rms_norm_dw_shape,
    .cost = rms_norm_dw_cost,
    .scratch = plb__norm_scratch,
    .cpu = rms_norm_dw_cpu,
};
