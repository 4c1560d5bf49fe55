/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of layer norm. With h = (x - mean) rstd, g = dy gamma, and means over the row:
 *
 *   dx = rstd (g - mean(g) - h mean(g h))
 *   dgamma = sum over rows of dy h,  dbeta = sum over rows of dy
 */
#include "config.h"

#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/norm/norm.h"

static enum plb_status layer_norm_dx_shape(struct plb_task_types *types)
{
    enum { DY, X, GAMMA, MEAN, RSTD };
    const struct plb_operator *op = &plb_op_layer_norm_dx;
    struct plb_shape rows = plb_shape1(types->in[DY].shape.dim[0]);
    struct plb_shape columns = plb_shape1(types->in[DY].shape.dim[1]);

    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_real(op, types, DY));
    PLB_TRY(plb__check_same(op, types, X, DY));
    PLB_TRY(plb__check_type(op, types, GAMMA, types->in[DY].dtype, columns));
    PLB_TRY(plb__check_type(op, types, MEAN, PLB_F32, rows));
    PLB_TRY(plb__check_type(op, types, RSTD, PLB_F32, rows));
    PLB_TRY(plb__check_epsilon(op, types));
    types->out[0] = types->in[DY];
    return PLB_OK;
}

static void layer_norm_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 11.0 * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

/* The sums over a row of g and g h. */
PLB_KERNEL_CLONES static void row_sums(const float *dy, const float *x, const float *gamma,
                                       float mean, float rstd, int64_t n, float sums_out[2])
{
    float g_lane[PLB_LANES] = {0.0f}, gh_lane[PLB_LANES] = {0.0f};
    int64_t i;

    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++) {
            float g = dy[i + j] * gamma[i + j];

            g_lane[j] += g;
            gh_lane[j] += g * ((x[i + j] - mean) * rstd);
        }
    }
    for (int j = 0; i + j < n; j++) {
        float g = dy[i + j] * gamma[i + j];

        g_lane[j] += g;
        gh_lane[j] += g * ((x[i + j] - mean) * rstd);
    }
    sums_out[0] = plb__lanes_sum(g_lane);
    sums_out[1] = plb__lanes_sum(gh_lane);
}

/* dx may be dy. */
PLB_KERNEL_CLONES static void row_dx(float *dx, const float *dy, const float *x, const float *gamma,
                                     float mean, float rstd, const float means[2], int64_t n)
{
    float g_mean = means[0], gh_mean = means[1];

    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        dx[i] = rstd * (dy[i] * gamma[i] - g_mean - (x[i] - mean) * rstd * gh_mean);
}

static enum plb_status layer_norm_dx_cpu(const struct plb_call *call)
{
    enum { DY, X, GAMMA, MEAN, RSTD };
    const struct plb_tensor *dy = &call->in[DY].part[0], *x = &call->in[X].part[0];
    const struct plb_tensor *dx = &call->out[0].part[0];
    const float *mean = call->in[MEAN].part[0].data, *rstd = call->in[RSTD].part[0].data;
    int64_t columns = dy->shape.dim[1];
    float *scratch = call->scratch, *gamma = scratch + 3 * columns;

    plb__load(gamma, &call->in[GAMMA].part[0], 0, columns);
    for (int64_t r = 0; r < dy->shape.dim[0]; r++) {
        int64_t at = r * columns;
        const float *dy_row = plb__read(dy, at, columns, scratch);
        const float *x_row = plb__read(x, at, columns, scratch + columns);
        float *dx_row = plb__write(dx, at, scratch + 2 * columns), sums[2];

        row_sums(dy_row, x_row, gamma, mean[r], rstd[r], columns, sums);
        sums[0] /= (float)columns;
        sums[1] /= (float)columns;
        row_dx(dx_row, dy_row, x_row, gamma, mean[r], rstd[r], sums, columns);
        plb__written(dx, at, columns, dx_row);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_layer_norm_dx = {
    .name = "layer_norm_dx",
    .attribute_f = {"eps"},
    .n_in = 5,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A},
           {.name = "x", .rows = PLB_AXIS_A},
           {.name = "gamma"},
           {.name = "mean", .rows = PLB_AXIS_A},
           {.name = "rstd", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = layer_norm_dx_shape,
    .cost = layer_norm_dx_cost,
    .scratch = plb__norm_scratch,
    .cpu = layer_norm_dx_cpu,
};

static enum plb_status layer_norm_dw_shape(struct plb_task_types *types)
{
    enum { DY, X, MEAN, RSTD };
    const struct plb_operator *op = &plb_op_layer_norm_dw;
    struct plb_shape rows = plb_shape1(types->in[DY].shape.dim[0]);

    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_real(op, types, DY));
    PLB_TRY(plb__check_same(op, types, X, DY));
    PLB_TRY(plb__check_type(op, types, MEAN, PLB_F32, rows));
    PLB_TRY(plb__check_type(op, types, RSTD, PLB_F32, rows));
    PLB_TRY(plb__check_epsilon(op, types));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(types->in[DY].shape.dim[1])};
    types->out[1] = types->out[0];
    return PLB_OK;
}

static void layer_norm_dw_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 5.0 * (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

PLB_KERNEL_CLONES static void add_row(float *restrict dgamma, float *restrict dbeta,
                                      const float *restrict dy, const float *restrict x, float mean,
                                      float rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        dgamma[i] += dy[i] * ((x[i] - mean) * rstd);
        dbeta[i] += dy[i];
    }
}

struct sums {
    float *dgamma, *dbeta;
};

static void visit_row(const struct plb__norm_row *row, void *context)
{
    struct sums *sums = context;

    add_row(sums->dgamma, sums->dbeta, row->dy, row->x, row->statistic[0], row->statistic[1],
            row->columns);
}

/* Scratch: two rows for the walk, and the sums. */
static enum plb_status layer_norm_dw_cpu(const struct plb_call *call)
{
    int64_t columns = call->in[0].whole.dim[1];
    float *scratch = call->scratch;
    struct sums sums = {scratch + 2 * columns, scratch + 3 * columns};

    memset(sums.dgamma, 0, 2 * (size_t)columns * sizeof(float));
    plb__norm_walk(call, scratch, visit_row, &sums);
    if (call->out[0].n_parts > 0)
        memcpy(call->out[0].part[0].data, sums.dgamma, (size_t)columns * sizeof(float));
    if (call->out[1].n_parts > 0)
        memcpy(call->out[1].part[0].data, sums.dbeta, (size_t)columns * sizeof(float));
    return PLB_OK;
}

const struct plb_operator plb_op_layer_norm_dw = {
    .name = "layer_norm_dw",
    .attribute_f = {"eps"},
    .n_in = 4,
    .n_out = 2,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "mean", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "rstd", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "dgamma", .flags = PLB_OPTIONAL}, {.name = "dbeta", .flags = PLB_OPTIONAL}},
    .shape = layer_norm_dw_shape,
    .cost = layer_norm_dw_cost,
    .scratch = plb__norm_scratch,
    .cpu = layer_norm_dw_cpu,
};
