/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mean of loss[N] over the rows whose target is not negative, f32[1], 0 when there are none;
 * and its gradient, dmean / (number of such rows) in each of these rows, 0 in the others.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { LOSS, TARGETS };

static enum plb_status mean_loss_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_mean_loss;

    PLB_TRY(plb__check_rank(op, types, LOSS, 1));
    PLB_TRY(plb__check_dtype(op, types, LOSS, PLB_F32));
    PLB_TRY(plb__check_type(op, types, TARGETS, PLB_I32, types->in[LOSS].shape));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(1)};
    return PLB_OK;
}

static void mean_loss_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 2.0 * (double)plb_shape_elements(&types->in[LOSS].shape);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status mean_loss_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->d_out[0], gradient->in[TARGETS]};

    if (!gradient->needs[LOSS])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_mean_loss_dx, &gradient->task->attributes,
                              in, 2, NULL, &gradient->d_in[LOSS]);
}

/* Whether row `row` counts; `cell` remembers where the last one was found. */
static bool counts(const struct plb_operand *targets, int64_t row, int *cell)
{
    const struct plb_tensor *part;

    *cell = plb__cell_of_row(targets, row, *cell);
    part = &targets->part[*cell];
    return ((const int32_t *)part->data)[row - part->row0] >= 0;
}

static int64_t count_targets(const struct plb_operand *targets)
{
    int64_t count = 0;
    int cell = 0;

    for (int64_t r = 0; r < targets->whole.dim[0]; r++)
        count += counts(targets, r, &cell);
    return count;
}

/* The cells of loss and targets may be cut differently. */
static enum plb_status mean_loss_cpu(const struct plb_call *call)
{
    const struct plb_operand *loss = &call->in[LOSS], *targets = &call->in[TARGETS];
    int64_t count = count_targets(targets);
    double sum = 0.0;
    int cell = 0;

    for (int k = 0; k < loss->n_parts; k++) {
        const struct plb_tensor *part = &loss->part[k];

        for (int64_t i = 0; i < part->shape.dim[0]; i++) {
            if (counts(targets, part->row0 + i, &cell))
                sum += (double)((const float *)part->data)[i];
        }
    }
    *(float *)call->out[0].part[0].data = count > 0 ? (float)(sum / (double)count) : 0.0f;
    return PLB_OK;
}

plb_value plb_mean_loss(plb_graph_t *g, plb_value loss, plb_value targets)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value in[] = {loss, targets}, mean = PLB_NONE;

    plb_graph_add_task(g, &plb_op_mean_loss, &attributes, in, 2, NULL, &mean);
    return mean;
}

const struct plb_operator plb_op_mean_loss = {
    .name = "mean_loss",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "loss", .flags = PLB_LIST}, {.name = "targets", .flags = PLB_LIST}},
    .out = {{.name = "mean"}},
    .shape = mean_loss_shape,
    .cost = mean_loss_cost,
    .gradient = mean_loss_gradient,
    .cpu = mean_loss_cpu,
};

static enum plb_status mean_loss_dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_mean_loss_dx;

    PLB_TRY(plb__check_type(op, types, 0, PLB_F32, plb_shape1(1)));
    PLB_TRY(plb__check_rank(op, types, TARGETS, 1));
    PLB_TRY(plb__check_dtype(op, types, TARGETS, PLB_I32));
    types->out[0] = (struct plb_type){PLB_F32, types->in[TARGETS].shape};
    return PLB_OK;
}

static void mean_loss_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status mean_loss_dx_cpu(const struct plb_call *call)
{
    const struct plb_operand *targets = &call->in[TARGETS];
    int64_t count = count_targets(targets);
    float each = count > 0 ? *(const float *)call->in[0].part[0].data / (float)count : 0.0f;
    float *dloss = call->out[0].part[0].data;
    int cell = 0;

    for (int64_t r = call->low[0]; r < call->high[0]; r++)
        dloss[r - call->low[0]] = counts(targets, r, &cell) ? each : 0.0f;
    return PLB_OK;
}

const struct plb_operator plb_op_mean_loss_dx = {
    .name = "mean_loss_dx",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dmean"}, {.name = "targets", .flags = PLB_LIST}},
    .out = {{.name = "dloss", .rows = PLB_AXIS_A}},
    .shape = mean_loss_dx_shape,
    .cost = mean_loss_dx_cost,
    .cpu = mean_loss_dx_cpu,
};
