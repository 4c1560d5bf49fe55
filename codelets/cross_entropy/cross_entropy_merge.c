/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Softmax cross-entropy of its parts: of part_j[N,2] = (lse_j, logit_j), one for each range of the
 * classes (cross_entropy_part), and targets[N],
 *
 *   lse = log sum_j exp(lse_j),  loss = lse - sum_j logit_j,  0 for a negative target
 *
 * so that the logits of all classes never lie in one place (Shoeybi et al. 2019, section 3). And
 * the gradient of one part: dpart = dloss (exp(lse_j - lse), -1).
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { TARGETS, PART };
enum { LOSS, LSE };

static enum plb_status cross_entropy_merge_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_cross_entropy_merge;
    const struct plb_shape rows = types->in[TARGETS].shape;

    PLB_TRY(plb__check_rank(op, types, TARGETS, 1));
    PLB_TRY(plb__check_dtype(op, types, TARGETS, PLB_I32));
    PLB_TRY(plb__check_type(op, types, PART, PLB_F32, plb_shape2(rows.dim[0], 2)));
    types->out[LOSS] = types->out[LSE] = (struct plb_type){PLB_F32, rows};
    return PLB_OK;
}

static void cross_entropy_merge_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    double part = (double)plb_type_bytes(&types->in[PART]);

    cost_out->flops = 20.0 * types->variadic * plb__elements_out(types, LOSS);
    cost_out->bytes = plb__bytes_once(types) + (types->variadic - 1) * part;
}

/* The gradient of a part is a task of the shard that made it. */
static enum plb_status cross_entropy_merge_gradient(struct plb_gradient *g)
{
    const struct plb_task *task = g->task;
    int parts = (int)(task->in_start[task->n_in] - task->in_start[PART]);

    for (int k = PART; k < PART + parts; k++) {
        plb_value in[] = {g->in[TARGETS], g->in[k], g->out[LSE], g->d_out[LOSS]};
        const struct plb_task *maker =
            plb_graph_task(g->graph, plb_graph_value(g->graph, g->in[k])->producer);

        if (!g->needs[k])
            continue;
        plb_graph_set_shard(g->graph, maker != NULL ? maker->shard : task->shard);
        PLB_TRY(plb_graph_add_task(g->graph, &plb_op_cross_entropy_merge_dx, NULL, in, 4, NULL,
                                   &g->d_in[k]));
    }
    plb_graph_set_shard(g->graph, task->shard);
    return PLB_OK;
}

/* lse and the target's logit of the row at `at` of the range. A NaN is no maximum, but makes the
 * sum one; all of them -inf (masked logits) are to give -inf. */
static float merge_row(const struct plb_operand *parts, int64_t at, float *logit_out)
{
    float top = -INFINITY, sum = 0.0f, logit = 0.0f;

    for (int k = 0; k < parts->n_parts; k++) {
        float lse = ((const float *)parts->part[k].data)[2 * at];

        top = lse > top ? lse : top;
    }
    for (int k = 0; k < parts->n_parts; k++) {
        const float *part = (const float *)parts->part[k].data + 2 * at;

        sum += plb__expf(part[0] - (top == -INFINITY ? 0.0f : top));
        logit += part[1];
    }
    *logit_out = logit;
    return top + logf(sum);
}

static enum plb_status cross_entropy_merge_cpu(const struct plb_call *call)
{
    const int32_t *targets = call->in[TARGETS].part[0].data;
    float *loss = call->out[LOSS].part[0].data, *lse = call->out[LSE].part[0].data;

    for (int64_t at = 0; at < call->high[0] - call->low[0]; at++) {
        float logit;

        lse[at] = merge_row(&call->in[PART], at, &logit);
        loss[at] = targets[at] < 0 ? 0.0f : lse[at] - logit;
    }
    return PLB_OK;
}

plb_value plb_cross_entropy_merge(plb_graph_t *g, plb_value targets, const plb_value *parts, int n)
{
    plb_value in[1 + PLB_SHARDS_MAX] = {targets}, out[] = {PLB_NONE, PLB_NONE};

    if (n < 1 || n > PLB_SHARDS_MAX) {
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID,
                                   "cross_entropy_merge: %d parts where 1 to %d can be merged", n,
                                   PLB_SHARDS_MAX));
        return PLB_NONE;
    }
    memcpy(in + 1, parts, (size_t)n * sizeof *parts);
    plb_graph_add_task(g, &plb_op_cross_entropy_merge, NULL, in, 1 + n, NULL, out);
    return out[LOSS];
}

const struct plb_operator plb_op_cross_entropy_merge = {
    .name = "cross_entropy_merge",
    .n_in = 2,
    .n_out = 2,
    .in = {{.name = "targets", .rows = PLB_AXIS_A},
           {.name = "part", .rows = PLB_AXIS_A, .flags = PLB_VARIADIC}},
    .out = {{.name = "loss", .rows = PLB_AXIS_A}, {.name = "lse", .rows = PLB_AXIS_A}},
    .shape = cross_entropy_merge_shape,
    .cost = cross_entropy_merge_cost,
    .gradient = cross_entropy_merge_gradient,
    .cpu = cross_entropy_merge_cpu,
};

/* --- the gradient of one part ----------------------------------------------------------------- */

enum { ROW_LSE = 2, DLOSS };

static enum plb_status cross_entropy_merge_dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_cross_entropy_merge_dx;
    const struct plb_shape rows = types->in[TARGETS].shape;

    PLB_TRY(plb__check_rank(op, types, TARGETS, 1));
    PLB_TRY(plb__check_dtype(op, types, TARGETS, PLB_I32));
    PLB_TRY(plb__check_type(op, types, PART, PLB_F32, plb_shape2(rows.dim[0], 2)));
    PLB_TRY(plb__check_type(op, types, ROW_LSE, PLB_F32, rows));
    PLB_TRY(plb__check_type(op, types, DLOSS, PLB_F32, rows));
    types->out[0] = types->in[PART];
    return PLB_OK;
}

static void cross_entropy_merge_dx_cost(const struct plb_task_types *types,
                                        struct plb_cost *cost_out)
{
    cost_out->flops = 10.0 * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status cross_entropy_merge_dx_cpu(const struct plb_call *call)
{
    const int32_t *targets = call->in[TARGETS].part[0].data;
    const float *part = call->in[PART].part[0].data, *lse = call->in[ROW_LSE].part[0].data;
    const float *dloss = call->in[DLOSS].part[0].data;
    float *dpart = call->out[0].part[0].data;

    for (int64_t at = 0; at < call->high[0] - call->low[0]; at++) {
        bool counts = targets[at] >= 0;

        dpart[2 * at] = counts ? dloss[at] * plb__expf(part[2 * at] - lse[at]) : 0.0f;
        dpart[2 * at + 1] = counts ? -dloss[at] : 0.0f;
    }
    return PLB_OK;
}

const struct plb_operator plb_op_cross_entropy_merge_dx = {
    .name = "cross_entropy_merge_dx",
    .n_in = 4,
    .n_out = 1,
    .in = {{.name = "targets", .rows = PLB_AXIS_A},
           {.name = "part", .rows = PLB_AXIS_A},
           {.name = "lse", .rows = PLB_AXIS_A},
           {.name = "dloss", .rows = PLB_AXIS_A}},
    .out = {{.name = "dpart", .rows = PLB_AXIS_A}},
    .shape = cross_entropy_merge_dx_shape,
    .cost = cross_entropy_merge_dx_cost,
    .cpu = cross_entropy_merge_dx_cpu,
};
