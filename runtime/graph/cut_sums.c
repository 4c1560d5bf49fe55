/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums that are too long for one task.
 *
 * Along the axis of a sum a task goes over everything, in order. Where that would take too long, it
 * is made in groups into partial results, which "sum" tasks add two by two in a balanced tree. A
 * partial result is placed like the cell that it contributes to and has no source; the tree is gone
 * through depth first, so that few of them exist at a time.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"
#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LONG_SUM       4.0 /* times the target: a sum is grouped from here */
#define GROUP_SECONDS  2.0 /* least time of a group, in targets */
#define GROUP_ADDITION 8.0 /* least time of a group, by that of adding its result */

/* A sum of the piece's task that is made in groups: group i is at[i] to at[i + 1] - 1. */
struct groups {
    struct plb__piece *piece;
    const struct plb_operator *sum;
    enum plb_axis axis;
    struct plb__bounds cells; /* along the axis */
    int n;
    plb_value cell[PLB_OPERANDS_MAX]; /* the results, PLB_NONE where absent */
    int partials;                     /* made so far, for their names */
};

static enum plb_dtype partial_dtype(enum plb_dtype dtype)
{
    return dtype == PLB_F64 ? PLB_F64 : PLB_F32;
}

static enum plb_status partial_make(struct groups *groups, int k, plb_value *partial_out)
{
    plb_graph_t *graph = groups->piece->cut->graph;
    struct plb_value_info info = *plb_graph_value(graph, groups->cell[k]);
    char name[PLB__NAME_MAX + 1];

    snprintf(name, sizeof name, "%s+%d", info.name, groups->partials);
    info.name = name;
    info.type.dtype = partial_dtype(info.type.dtype);
    info.producer = PLB_NONE;
    info.source = PLB_NONE;
    info.output = false;
    *partial_out = plb_graph_add_cell(graph, &info);
    return plb_graph_status(graph);
}

/* Partial results of all outputs, or the results themselves at the root of the tree. */
static enum plb_status results_make(struct groups *groups, bool root, plb_value *result)
{
    for (int k = 0; k < groups->piece->task->n_out; k++) {
        result[k] = groups->cell[k];
        if (!root && result[k] != PLB_NONE)
            PLB_TRY(partial_make(groups, k, &result[k]));
    }
    groups->partials++;
    return PLB_OK;
}

static enum plb_status addition_add(struct groups *groups, plb_value left, plb_value right,
                                    plb_value result)
{
    plb_graph_t *graph = groups->piece->cut->graph;
    const struct plb_task *task = groups->piece->task;
    const struct plb_value_info *info = plb_graph_value(graph, result);
    const struct plb_attributes attributes = {.i = {(int64_t)info->type.dtype}};
    const plb_value in[2] = {left, right};
    const uint32_t in_start[2] = {0, 2}, out_start[2] = {0, 1};
    char name[PLB__NAME_MAX + 1];
    const struct plb_task_cells cells = {
        .op = groups->sum,
        .name = name,
        .attributes = &attributes,
        .phase = task->phase,
        .block = task->block,
        .micro_batch = task->micro_batch,
        .shard = task->shard < -1 ? 0 : task->shard,
        .source = PLB_NONE,
        .forward = task->forward,
        .low = {info->row0, 0},
        .high = {info->row0 + info->type.shape.dim[0], 0},
        .n_in = 1,
        .n_out = 1,
        .in_start = in_start,
        .out_start = out_start,
        .in = in,
        .out = &result,
    };

    snprintf(name, sizeof name, "%s+", info->name);
    return plb_graph_add_task_cells(graph, &cells);
}

/* Makes groups from..to-1 of the sum into result[]. */
static enum plb_status groups_add(struct groups *groups, int from, int to, plb_value *result)
{
    bool root = from == 0 && to == groups->n;
    plb_value left[PLB_OPERANDS_MAX], right[PLB_OPERANDS_MAX];
    struct plb__piece *piece = groups->piece;
    int middle = from + (to - from + 1) / 2, a = (int)groups->axis - 1;
    char suffix[32];

    if (to - from == 1) {
        PLB_TRY(results_make(groups, root, result));
        memcpy(piece->target, result, sizeof piece->target);
        piece->low[a] = groups->cells.at[(int64_t)from * groups->cells.n / groups->n];
        piece->high[a] = groups->cells.at[(int64_t)to * groups->cells.n / groups->n];
        snprintf(suffix, sizeof suffix, "+%d", from);
        return plb__piece_add(piece, suffix);
    }
    PLB_TRY(groups_add(groups, from, middle, left));
    PLB_TRY(groups_add(groups, middle, to, right));
    PLB_TRY(results_make(groups, root, result));
    for (int k = 0; k < piece->task->n_out; k++) {
        if (result[k] != PLB_NONE)
            PLB_TRY(addition_add(groups, left[k], right[k], result[k]));
    }
    return PLB_OK;
}

/* The axis of a sum in the task, with the finest cells of an input along it. */
static enum plb_axis sum_axis(const struct plb__cut *cut, const struct plb_task *task,
                              struct plb__bounds *cells_out)
{
    enum plb_axis best = PLB_AXIS_NONE;

    cells_out->n = 1;
    for (enum plb_axis axis = PLB_AXIS_A; axis <= PLB_AXIS_B; axis++) {
        bool used = false;

        for (int k = 0; k < task->n_out; k++)
            used = used || task->op->out[k].rows == axis || task->op->out[k].cols == axis;
        for (int k = 0; k < task->n_in && !used; k++) {
            const struct plb_operand_spec *spec = &task->op->in[k];
            struct plb__bounds bounds;

            if ((spec->rows != axis && spec->cols != axis) || spec->flags & PLB_UNSPLIT ||
                task->in_start[k] == task->in_start[k + 1])
                continue;
            bounds = plb__bounds_of(cut, plb__indexed(spec, task->in[task->in_start[k]], axis));
            if (bounds.n > cells_out->n) {
                *cells_out = bounds;
                best = axis;
            }
        }
    }
    return best;
}

/* Whether partial results of all outputs can be added. */
static bool can_add(const struct plb_task *task, const struct plb_graph *whole)
{
    for (uint32_t i = 0; i < task->out_start[task->n_out]; i++) {
        if (plb_graph_value(whole, task->out[i])->type.dtype == PLB_I32)
            return false;
    }
    return true;
}

static enum plb_status groups_find(struct groups *groups)
{
    struct plb__piece *piece = groups->piece;
    const struct plb__cut *cut = piece->cut;
    double seconds, addition = 0, target = cut->options.target_seconds;

    groups->n = 1;
    groups->partials = 0;
    groups->axis = sum_axis(cut, piece->task, &groups->cells);
    if (groups->axis == PLB_AXIS_NONE || !can_add(piece->task, cut->whole))
        return PLB_OK;
    seconds = plb__cut_seconds(cut, piece->task, piece->low, piece->high);
    if (seconds <= LONG_SUM * target)
        return PLB_OK;
    groups->sum = plb_operator_find("sum");
    if (groups->sum == NULL)
        return plb_fail(PLB_ERROR_INTERNAL, "there is no operator \"sum\"");
    PLB_TRY(plb__piece_list(piece));
    for (int k = 0; k < piece->task->n_out; k++) {
        uint32_t i = piece->in_start[piece->task->n_in] + piece->out_start[k];
        const struct plb_type *type;

        groups->cell[k] = PLB_NONE;
        if (piece->out_start[k] == piece->out_start[k + 1])
            continue;
        if (piece->out_start[k + 1] - piece->out_start[k] > 1)
            return PLB_OK;
        groups->cell[k] = piece->list[i];
        type = &plb_graph_value(cut->graph, groups->cell[k])->type;
        addition += 3.0 * (double)plb_shape_elements(&type->shape) *
                    (double)plb_dtype_bytes(partial_dtype(type->dtype)) /
                    cut->options.bytes_per_second;
    }
    groups->n = (int)fmin(seconds / fmax(GROUP_SECONDS * target, GROUP_ADDITION * addition) + 0.5,
                          groups->cells.n);
    return PLB_OK;
}

enum plb_status plb__piece_range(struct plb__piece *piece)
{
    struct groups groups = {.piece = piece};
    plb_value result[PLB_OPERANDS_MAX];
    enum plb_status status;

    PLB_TRY(groups_find(&groups));
    if (groups.n < 2)
        return plb__piece_add(piece, "");
    int a = (int)groups.axis - 1;
    int64_t low = piece->low[a], high = piece->high[a];
    bool several = piece->several;

    piece->partial = piece->several = true;
    status = groups_add(&groups, 0, groups.n, result);
    piece->partial = false;
    piece->several = several;
    piece->low[a] = low;
    piece->high[a] = high;
    return status;
}
