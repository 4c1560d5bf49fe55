/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last pass of the cut: the tasks, in the order of the whole graph's, slice after slice. A task
 * is made once for each range that the cells of its outputs give on its axes; cut_sums.c makes
 * several of it where a sum takes too long.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"
#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- lists of cells ------------------------------------------------------------------------- */

static enum plb_status list_push(struct plb__piece *piece, plb_value value)
{
    if (piece->n == piece->capacity) {
        uint32_t capacity = piece->capacity > 0 ? 2 * piece->capacity : 256;
        plb_value *grown = realloc(piece->list, capacity * sizeof *grown);

        if (grown == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the cells of %s", piece->task->name);
        piece->list = grown;
        piece->capacity = capacity;
    }
    piece->list[piece->n++] = value;
    return PLB_OK;
}

struct span {
    int from, to;
    bool exact; /* the pieces end where the range ends */
};

/* The pieces of a dimension that overlap low..high-1. */
static struct span span_of(const struct plb__bounds *bounds, int64_t low, int64_t high)
{
    struct span span;
    int from = 0, to = bounds->n;

    while (to - from > 1) {
        int middle = from + (to - from) / 2;

        if (bounds->at[middle] <= low)
            from = middle;
        else
            to = middle;
    }
    span.from = from;
    while (to < bounds->n && bounds->at[to] < high)
        to++;
    span.to = to;
    span.exact = bounds->at[span.from] == low && bounds->at[span.to] == high;
    return span;
}

static struct span span_rows(const struct plb__piece *piece, const struct plb_operand_spec *spec,
                             plb_value value)
{
    struct plb__bounds rows = plb__bounds_of(piece->cut, plb__rows_of(value));
    int64_t low = 0, high = rows.at[rows.n];

    if (spec->rows != PLB_AXIS_NONE) {
        low = piece->low[spec->rows - 1];
        high = piece->high[spec->rows - 1];
        plb__cut_window(piece->task, spec, rows.at[rows.n], &low, &high);
    }
    return span_of(&rows, low, high);
}

static struct span span_cols(const struct plb__piece *piece, const struct plb_operand_spec *spec,
                             plb_value value)
{
    struct plb__bounds cols = plb__bounds_of(piece->cut, plb__cols_of(value));
    int64_t low = 0, high = cols.at[cols.n];

    if (spec->cols != PLB_AXIS_NONE && !(spec->flags & PLB_UNSPLIT)) {
        low = piece->low[spec->cols - 1];
        high = piece->high[spec->cols - 1];
    }
    return span_of(&cols, low, high);
}

/* Lists the cells of a value that the piece needs; `exact`: they must tile its range, and be one
 * cell unless the kernel takes lists. */
static enum plb_status list_cells(struct plb__piece *piece, const struct plb_operand_spec *spec,
                                  plb_value value, bool exact)
{
    struct span rows = span_rows(piece, spec, value), cols = span_cols(piece, spec, value);
    plb_value first = piece->cut->first[value];
    int width = plb__bounds_of(piece->cut, plb__cols_of(value)).n;
    bool one = rows.to - rows.from == 1 && cols.to - cols.from == 1;

    if (exact && !(rows.exact && cols.exact && (one || spec->flags & PLB_LIST)))
        return plb_fail(PLB_ERROR_INTERNAL, "task %s: the cells of %s do not tile its ranges",
                        piece->task->name, spec->name);
    for (int i = rows.from; i < rows.to; i++) {
        for (int j = cols.from; j < cols.to; j++)
            PLB_TRY(list_push(piece, first + (plb_value)(i * width + j)));
    }
    return PLB_OK;
}

enum plb_status plb__piece_list(struct plb__piece *piece)
{
    const struct plb_task *task = piece->task;
    uint32_t n_in;

    piece->n = 0;
    for (int k = 0; k < task->n_in; k++) {
        piece->in_start[k] = piece->n;
        for (uint32_t i = task->in_start[k]; i < task->in_start[k + 1]; i++)
            PLB_TRY(list_cells(piece, &task->op->in[k], task->in[i],
                               (task->op->in[k].flags & PLB_VARIADIC) != 0));
    }
    piece->in_start[task->n_in] = n_in = piece->n;
    for (int k = 0; k < task->n_out; k++) {
        piece->out_start[k] = piece->n - n_in;
        if (task->out_start[k] == task->out_start[k + 1])
            continue;
        if (piece->partial)
            PLB_TRY(list_push(piece, piece->target[k]));
        else
            PLB_TRY(list_cells(piece, &task->op->out[k], task->out[task->out_start[k]], true));
    }
    piece->out_start[task->n_out] = piece->n - n_in;
    return PLB_OK;
}

/* --- tasks ---------------------------------------------------------------------------------- */

/* The axis along which a task goes through rows: those of what it makes, or of what it sums. */
static enum plb_axis rows_axis(const struct plb_task *task)
{
    for (int k = 0; k < task->n_out; k++) {
        if (task->op->out[k].rows != PLB_AXIS_NONE)
            return task->op->out[k].rows;
    }
    for (int k = 0; k < task->n_in; k++) {
        if (task->op->in[k].rows != PLB_AXIS_NONE)
            return task->op->in[k].rows;
    }
    return PLB_AXIS_NONE;
}

/* The shard of a part: of a task that is divided by rows, the one that its first row falls into. */
static int shard_of(const struct plb__piece *piece)
{
    const struct plb_task *task = piece->task;
    enum plb_axis axis;

    if (task->shard >= -1)
        return task->shard;
    axis = rows_axis(task);
    if (axis == PLB_AXIS_NONE)
        return 0;
    return (int)(piece->low[axis - 1] * -task->shard / task->high[axis - 1]);
}

enum plb_status plb__piece_add(struct plb__piece *piece, const char *suffix)
{
    const struct plb_task *task = piece->task;
    struct plb_task_cells cells = {.op = task->op,
                                   .name = task->name,
                                   .attributes = &task->attributes,
                                   .phase = task->phase,
                                   .block = task->block,
                                   .micro_batch = task->micro_batch,
                                   .shard = shard_of(piece),
                                   .source = piece->id,
                                   .forward = task->forward,
                                   .n_in = task->n_in,
                                   .n_out = task->n_out,
                                   .in_start = piece->in_start,
                                   .out_start = piece->out_start};
    char name[PLB__NAME_MAX + 1];

    PLB_TRY(plb__piece_list(piece));
    cells.in = piece->list;
    cells.out = piece->list + piece->in_start[task->n_in];
    memcpy(cells.low, piece->low, sizeof cells.low);
    memcpy(cells.high, piece->high, sizeof cells.high);
    if (piece->several) {
        snprintf(name, sizeof name, "%s[%d,%d]%s", task->name, piece->at[0], piece->at[1], suffix);
        cells.name = name;
    }
    return plb_graph_add_task_cells(piece->cut->graph, &cells);
}

/* --- the pass ------------------------------------------------------------------------------- */

/* The ranges of a task on an axis: those of its outputs' cells, or all. */
static struct plb__bounds ranges_of(const struct plb__cut *cut, const struct plb_task *task,
                                    enum plb_axis axis, int64_t whole[2])
{
    struct plb__bounds ranges = {1, whole};
    uint32_t dimension;

    whole[0] = task->low[axis - 1];
    whole[1] = task->high[axis - 1];
    return plb__cut_along(task, axis, &dimension) ? plb__bounds_of(cut, dimension) : ranges;
}

static enum plb_status task_cut(struct plb__piece *piece)
{
    int64_t whole[PLB_AXES][2];
    struct plb__bounds a = ranges_of(piece->cut, piece->task, PLB_AXIS_A, whole[0]);
    struct plb__bounds b = ranges_of(piece->cut, piece->task, PLB_AXIS_B, whole[1]);

    piece->several = a.n > 1 || b.n > 1;
    for (piece->at[0] = 0; piece->at[0] < a.n; piece->at[0]++) {
        piece->low[0] = a.at[piece->at[0]];
        piece->high[0] = a.at[piece->at[0] + 1];
        for (piece->at[1] = 0; piece->at[1] < b.n; piece->at[1]++) {
            piece->low[1] = b.at[piece->at[1]];
            piece->high[1] = b.at[piece->at[1] + 1];
            PLB_TRY(plb__piece_range(piece));
        }
    }
    return PLB_OK;
}

enum plb_status plb__cut_tasks(struct plb__cut *cut)
{
    struct plb__piece piece = {.cut = cut};
    enum plb_status status = PLB_OK;

    for (piece.id = 0; piece.id < cut->n_tasks && status == PLB_OK; piece.id++) {
        piece.task = plb_graph_task(cut->whole, piece.id);
        status = task_cut(&piece);
    }
    free(piece.list);
    return status;
}
