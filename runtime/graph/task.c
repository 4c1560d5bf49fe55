/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks: adding them, their types in their own range, their cost.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_variadic(const struct plb_operator *op)
{
    return op->n_in > 0 && (op->in[op->n_in - 1].flags & PLB_VARIADIC) != 0;
}

/* --- checks of what a builder passes ---------------------------------------------------------- */

static enum plb_status inputs_check(const plb_graph_t *graph, const struct plb_operator *op,
                                    const plb_value *in, int n_in)
{
    bool variadic = is_variadic(op);

    if (variadic ? n_in < op->n_in : n_in != op->n_in)
        return plb_fail(PLB_ERROR_INVALID, "%s takes %s%d inputs, not %d", op->name,
                        variadic ? "at least " : "", op->n_in, n_in);
    if ((uint32_t)n_in > PLB__VALUES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: %d inputs are too many", op->name, n_in);
    for (int k = 0; k < n_in; k++) {
        const struct plb_operand_spec *spec = &op->in[k < op->n_in ? k : op->n_in - 1];

        if (in[k] == PLB_NONE && !(spec->flags & PLB_OPTIONAL))
            return plb_fail(PLB_ERROR_INVALID, "%s: input %s is missing", op->name, spec->name);
        if (in[k] != PLB_NONE && in[k] >= graph->values.n)
            return plb_fail(PLB_ERROR_INVALID,
                            "%s: input %s is value %" PRIu32 ", the graph has %" PRIu32, op->name,
                            spec->name, in[k], graph->values.n);
    }
    return PLB_OK;
}

/* The values of a variadic input are of one type. */
static enum plb_status variadic_check(const plb_graph_t *graph, const struct plb_operator *op,
                                      const plb_value *in, int n_in)
{
    int last = op->n_in - 1;
    const struct plb_type *first, *other;
    char a[PLB__TYPE_TEXT], b[PLB__TYPE_TEXT];

    if (!is_variadic(op))
        return PLB_OK;
    first = &plb_graph_value(graph, in[last])->type;
    for (int k = last + 1; k < n_in; k++) {
        other = &plb_graph_value(graph, in[k])->type;
        if (other->dtype != first->dtype || !plb_shape_equal(&other->shape, &first->shape))
            return plb_fail(PLB_ERROR_INVALID, "%s: %s 0 is %s, %s %d is %s", op->name,
                            op->in[last].name, plb_type_print(first, a, sizeof a),
                            op->in[last].name, k - last, plb_type_print(other, b, sizeof b));
    }
    return PLB_OK;
}

/* The types of single-value inputs, and of the outputs by the operator's rule. */
static enum plb_status types_infer(const plb_graph_t *graph, const struct plb_operator *op,
                                   const struct plb_attributes *attributes, const plb_value *in,
                                   int n_in, struct plb_task_types *types)
{
    char what[128];

    memset(types, 0, sizeof *types);
    types->attributes = attributes;
    types->n_in = n_in < PLB_OPERANDS_MAX ? n_in : PLB_OPERANDS_MAX;
    types->n_out = op->n_out;
    types->variadic = is_variadic(op) ? n_in - op->n_in + 1 : 0;
    for (int k = 0; k < types->n_in; k++)
        types->in[k] = plb_graph_value(graph, in[k])->type;
    PLB_TRY(op->shape(types));
    for (int k = 0; k < op->n_out; k++) {
        if (types->out[k].shape.rank == 0 && (op->out[k].flags & PLB_OPTIONAL))
            continue;
        snprintf(what, sizeof what, "%s: output %s", op->name, op->out[k].name);
        PLB_TRY(plb__type_check(&types->out[k], what));
    }
    return PLB_OK;
}

/* --- ranges on the cut axes ------------------------------------------------------------------- */

struct extent {
    int64_t extent[PLB_AXES];
    const char *operand[PLB_AXES]; /* the first operand that the axis indexes */
};

static enum plb_status extent_meet(const struct plb_operator *op, struct extent *extent,
                                   enum plb_axis axis, const char *operand, int64_t size)
{
    int a = (int)axis - 1;

    if (axis == PLB_AXIS_NONE)
        return PLB_OK;
    if (extent->operand[a] == NULL) {
        extent->operand[a] = operand;
        extent->extent[a] = size;
        return PLB_OK;
    }
    if (extent->extent[a] == size)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s has %" PRId64 " %s, %s has %" PRId64, op->name,
                    extent->operand[a], extent->extent[a], a == 0 ? "rows" : "columns", operand,
                    size);
}

static enum plb_status extent_operand(const struct plb_operator *op, struct extent *extent,
                                      const struct plb_operand_spec *spec,
                                      const struct plb_type *type)
{
    int rank = type->shape.rank;

    if (rank == 0)
        return PLB_OK;
    if (spec->cols != PLB_AXIS_NONE && rank != 2)
        return plb_fail(PLB_ERROR_INVALID, "%s: %s has rank %d, not 2", op->name, spec->name, rank);
    PLB_TRY(extent_meet(op, extent, spec->rows, spec->name, type->shape.dim[0]));
    return extent_meet(op, extent, spec->cols, spec->name, type->shape.dim[1]);
}

/* The extent of each axis, on which all operands that it indexes must agree. */
static enum plb_status extents_find(const struct plb_operator *op,
                                    const struct plb_task_types *types, struct extent *extent)
{
    memset(extent, 0, sizeof *extent);
    for (int k = 0; k < op->n_in; k++)
        PLB_TRY(extent_operand(op, extent, &op->in[k], &types->in[k]));
    for (int k = 0; k < op->n_out; k++)
        PLB_TRY(extent_operand(op, extent, &op->out[k], &types->out[k]));
    return PLB_OK;
}

/* --- adding ----------------------------------------------------------------------------------- */

/* The lists of a task while they are being filled. */
struct lists {
    uint32_t *in_start, *out_start;
    plb_value *in, *out;
};

/* Gives the task lists in the arena, and the graph room for the task and its outputs. */
static enum plb_status task_allocate(plb_graph_t *graph, struct plb_task *task, uint32_t values_in,
                                     uint32_t values_out, struct lists *lists_out)
{
    size_t starts = (size_t)(task->n_in + task->n_out) + 2;
    uint32_t *start = plb__graph_allocate(graph, starts * sizeof *start);
    plb_value *list =
        plb__graph_allocate(graph, ((size_t)values_in + values_out + 1) * sizeof *list);

    if (start == NULL || list == NULL)
        return graph->status;
    *lists_out = (struct lists){start, start + task->n_in + 1, list, list + values_in};
    task->in_start = lists_out->in_start;
    task->out_start = lists_out->out_start;
    task->in = lists_out->in;
    task->out = lists_out->out;
    PLB_TRY(plb__chunks_reserve(&graph->values, values_out, "values"));
    return plb__chunks_reserve(&graph->tasks, 1, "tasks");
}

/* Fills the lists of a task on single values; each input is an operand, a variadic one the rest. */
static void inputs_list(const struct plb_operator *op, const plb_value *in, int n_in,
                        struct lists *lists)
{
    uint32_t n = 0;

    for (int k = 0; k < n_in; k++) {
        if (k < op->n_in)
            lists->in_start[k] = n;
        if (in[k] != PLB_NONE)
            lists->in[n++] = in[k];
    }
    lists->in_start[op->n_in] = n;
}

static enum plb_role output_role(enum plb_phase phase)
{
    switch (phase) {
    case PLB_PHASE_BACKWARD:
        return PLB_ROLE_GRADIENT;
    case PLB_PHASE_UPDATE:
        return PLB_ROLE_STATE;
    default:
        return PLB_ROLE_ACTIVATION;
    }
}

/* The first output is named as its task, the others "task.output". */
static const char *output_name(plb_graph_t *graph, const struct plb_task *task, int k)
{
    char name[2 * PLB__NAME_MAX];

    if (k == 0)
        return task->name;
    snprintf(name, sizeof name, "%s.%s", task->name, task->op->out[k].name);
    return plb__graph_copy_name(graph, name, false);
}

/* Makes the outputs' values and lists; room for them was reserved. */
static enum plb_status outputs_make(plb_graph_t *graph, const struct plb_task *task,
                                    const struct plb_task_types *types, const bool *want,
                                    struct lists *lists, plb_value *out)
{
    uint32_t n = 0;
    const char *names[PLB_OPERANDS_MAX];

    for (int k = 0; k < task->n_out; k++) {
        names[k] = output_name(graph, task, k);
        if (names[k] == NULL)
            return graph->status;
    }
    for (int k = 0; k < task->n_out; k++) {
        bool optional = (task->op->out[k].flags & PLB_OPTIONAL) != 0;
        struct plb__value *slot;

        lists->out_start[k] = n;
        out[k] = PLB_NONE;
        if (types->out[k].shape.rank == 0 || (optional && want != NULL && !want[k]))
            continue;
        out[k] = graph->values.n;
        slot = plb__chunks_push(&graph->values);
        slot->info = (struct plb_value_info){
            .name = names[k],
            .type = types->out[k],
            .role = output_role(task->phase),
            .producer = graph->tasks.n,
            .next = PLB_NONE,
            .source = out[k],
            .whole = types->out[k].shape,
        };
        lists->out[n++] = out[k];
    }
    lists->out_start[task->n_out] = n;
    return PLB_OK;
}

/* Remembers which values have been read. */
static void inputs_mark(plb_graph_t *graph, const struct plb_task *task)
{
    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++)
        plb__graph_value(graph, task->in[i])->read = true;
}

static void task_push(plb_graph_t *graph, const struct plb_task *task)
{
    *(struct plb_task *)plb__chunks_push(&graph->tasks) = *task;
}

static enum plb_status task_add(plb_graph_t *graph, const struct plb_operator *op,
                                const struct plb_attributes *attributes, const plb_value *in,
                                int n_in, const bool *want_out, plb_value *out)
{
    struct plb_task task = {.op = op,
                            .phase = graph->phase,
                            .block = graph->block,
                            .micro_batch = graph->micro_batch,
                            .shard = graph->shard,
                            .n_in = op->n_in,
                            .n_out = op->n_out,
                            .source = graph->tasks.n,
                            .forward = graph->phase == PLB_PHASE_FORWARD ? graph->tasks.n
                                                                         : graph->forward};
    struct plb_task_types types;
    struct extent extent;
    struct lists lists;

    if (attributes != NULL)
        task.attributes = *attributes;
    PLB_TRY(inputs_check(graph, op, in, n_in));
    PLB_TRY(variadic_check(graph, op, in, n_in));
    PLB_TRY(types_infer(graph, op, &task.attributes, in, n_in, &types));
    PLB_TRY(extents_find(op, &types, &extent));
    memcpy(task.high, extent.extent, sizeof task.high);
    task.name = plb__graph_copy_name(graph, op->name, true);
    if (task.name == NULL)
        return graph->status;
    PLB_TRY(task_allocate(graph, &task, (uint32_t)n_in, (uint32_t)op->n_out, &lists));
    inputs_list(op, in, n_in, &lists);
    PLB_TRY(outputs_make(graph, &task, &types, want_out, &lists, out));
    inputs_mark(graph, &task);
    task_push(graph, &task);
    return PLB_OK;
}

enum plb_status plb_graph_add_task(plb_graph_t *graph, const struct plb_operator *op,
                                   const struct plb_attributes *attributes, const plb_value *in,
                                   int n_in, const bool *want_out, plb_value *out)
{
    enum plb_status status = plb__graph_enter(graph, PLB__KIND_WHOLE);

    if (status == PLB_OK)
        status = task_add(graph, op, attributes, in, n_in, want_out, out);
    if (status == PLB_OK)
        return PLB_OK;
    for (int k = 0; k < op->n_out; k++)
        out[k] = PLB_NONE;
    return plb_graph_fail(graph, status);
}

/* --- tasks on cells --------------------------------------------------------------------------- */

/* Offsets must rise from 0, and every value be one of the graph. */
static enum plb_status list_check(const plb_graph_t *graph, const struct plb_task_cells *task,
                                  int n, const uint32_t *start, const plb_value *list)
{
    if (start[0] != 0)
        return plb_fail(PLB_ERROR_INTERNAL, "task %s: its first operand starts at %" PRIu32,
                        task->op->name, start[0]);
    for (int k = 0; k < n; k++) {
        if (start[k] > start[k + 1] || start[k + 1] > PLB__VALUES_MAX)
            return plb_fail(PLB_ERROR_INTERNAL,
                            "task %s: operand %d goes from %" PRIu32 " to %" PRIu32, task->op->name,
                            k, start[k], start[k + 1]);
    }
    for (uint32_t i = 0; i < start[n]; i++) {
        if (list[i] >= graph->values.n)
            return plb_fail(PLB_ERROR_INTERNAL, "task %s: the graph has no value %" PRIu32,
                            task->op->name, list[i]);
    }
    return PLB_OK;
}

static enum plb_status cells_check(const plb_graph_t *graph, const struct plb_task_cells *task)
{
    if (task->n_in != task->op->n_in || task->n_out != task->op->n_out)
        return plb_fail(PLB_ERROR_INTERNAL, "task %s: %d inputs and %d outputs, not %d and %d",
                        task->op->name, task->n_in, task->n_out, task->op->n_in, task->op->n_out);
    PLB_TRY(list_check(graph, task, task->n_in, task->in_start, task->in));
    return list_check(graph, task, task->n_out, task->out_start, task->out);
}

/* Makes the task about to be pushed the producer of its outputs: nothing, this task included, may
 * read them before, and no one else make them. Its inputs have been marked as read. */
static enum plb_status outputs_claim(plb_graph_t *graph, const struct plb_task *task)
{
    for (uint32_t i = 0; i < task->out_start[task->n_out]; i++) {
        struct plb__value *value = plb__graph_value(graph, task->out[i]);

        if (value->info.producer != PLB_NONE || value->read)
            return plb_fail(PLB_ERROR_INTERNAL, "task %s: %s %s", task->op->name, value->info.name,
                            value->read ? "is read before it is made" : "already has a producer");
        value->info.producer = graph->tasks.n;
    }
    return PLB_OK;
}

static enum plb_status cells_add(plb_graph_t *graph, const struct plb_task_cells *cells)
{
    struct plb_task task = {.op = cells->op,
                            .phase = cells->phase,
                            .block = cells->block,
                            .micro_batch = cells->micro_batch,
                            .shard = cells->shard,
                            .n_in = cells->n_in,
                            .n_out = cells->n_out,
                            .source = cells->source,
                            .forward = cells->forward};
    struct lists lists;
    uint32_t n_in, n_out;

    PLB_TRY(cells_check(graph, cells));
    n_in = cells->in_start[cells->n_in];
    n_out = cells->out_start[cells->n_out];
    if (cells->attributes != NULL)
        task.attributes = *cells->attributes;
    memcpy(task.low, cells->low, sizeof task.low);
    memcpy(task.high, cells->high, sizeof task.high);
    task.name = plb__graph_copy_name(graph, cells->name, false);
    if (task.name == NULL)
        return graph->status;
    PLB_TRY(task_allocate(graph, &task, n_in, n_out, &lists));
    memcpy(lists.in_start, cells->in_start, (size_t)(cells->n_in + 1) * sizeof *lists.in_start);
    memcpy(lists.out_start, cells->out_start, (size_t)(cells->n_out + 1) * sizeof *lists.in_start);
    for (uint32_t i = 0; i < n_in; i++)
        lists.in[i] = cells->in[i];
    for (uint32_t i = 0; i < n_out; i++)
        lists.out[i] = cells->out[i];
    inputs_mark(graph, &task);
    PLB_TRY(outputs_claim(graph, &task));
    task_push(graph, &task);
    return PLB_OK;
}

enum plb_status plb_graph_add_task_cells(plb_graph_t *graph, const struct plb_task_cells *task)
{
    PLB_TRY(plb__graph_enter(graph, PLB__KIND_CELLS));
    return plb_graph_fail(graph, cells_add(graph, task));
}

/* --- types and cost --------------------------------------------------------------------------- */

/* The box that the listed cells fill. */
static struct plb_shape cells_box(const plb_graph_t *graph, const plb_value *cells, uint32_t n)
{
    struct plb_shape box = plb_graph_value(graph, cells[0])->type.shape;
    int64_t row0 = INT64_MAX, row1 = 0, col0 = INT64_MAX, col1 = 0;
    int last = box.rank - 1;

    for (uint32_t i = 0; i < n; i++) {
        const struct plb_value_info *cell = plb_graph_value(graph, cells[i]);
        int64_t row = cell->row0 + cell->type.shape.dim[0];
        int64_t col = cell->col0 + cell->type.shape.dim[last];

        row0 = cell->row0 < row0 ? cell->row0 : row0;
        row1 = row > row1 ? row : row1;
        col0 = cell->col0 < col0 ? cell->col0 : col0;
        col1 = col > col1 ? col : col1;
    }
    if (last > 0)
        box.dim[last] = col1 - col0;
    box.dim[0] = row1 - row0;
    return box;
}

/* The type of an operand in the task's range. */
static struct plb_type operand_type(const plb_graph_t *graph, const struct plb_task *task,
                                    const struct plb_operand_spec *spec, const plb_value *cells,
                                    uint32_t n)
{
    struct plb_type type = {0};
    const struct plb_value_info *first;

    if (n == 0)
        return type;
    first = plb_graph_value(graph, cells[0]);
    type.dtype = first->type.dtype;
    if (spec->flags & (PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE)) {
        type.shape = cells_box(graph, cells, n);
        return type;
    }
    type.shape = first->whole;
    if (spec->rows != PLB_AXIS_NONE)
        type.shape.dim[0] = task->high[spec->rows - 1] - task->low[spec->rows - 1];
    if (spec->cols != PLB_AXIS_NONE && !(spec->flags & PLB_UNSPLIT))
        type.shape.dim[1] = task->high[spec->cols - 1] - task->low[spec->cols - 1];
    return type;
}

void plb_task_get_types(const plb_graph_t *graph, const struct plb_task *task,
                        struct plb_task_types *types_out)
{
    const struct plb_operator *op = task->op;

    memset(types_out, 0, sizeof *types_out);
    types_out->attributes = &task->attributes;
    types_out->n_in = task->n_in;
    types_out->n_out = task->n_out;
    for (int k = 0; k < task->n_in; k++)
        types_out->in[k] = operand_type(graph, task, &op->in[k], task->in + task->in_start[k],
                                        task->in_start[k + 1] - task->in_start[k]);
    for (int k = 0; k < task->n_out; k++)
        types_out->out[k] = operand_type(graph, task, &op->out[k], task->out + task->out_start[k],
                                         task->out_start[k + 1] - task->out_start[k]);
    if (is_variadic(op)) {
        int last = op->n_in - 1;

        types_out->variadic = (int)(task->in_start[last + 1] - task->in_start[last]);
        for (int k = 1; k < types_out->variadic && types_out->n_in < PLB_OPERANDS_MAX; k++)
            types_out->in[types_out->n_in++] = types_out->in[last];
    }
}

void plb_task_get_cost(const plb_graph_t *graph, const struct plb_task *task,
                       struct plb_cost *cost_out)
{
    struct plb_task_types types;

    plb_task_get_types(graph, task, &types);
    cost_out->flops = 0;
    cost_out->bytes = 0;
    task->op->cost(&types, cost_out);
}
