/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first pass of the cut: which dimensions are cut alike, and what their shapes alone decide.
 *
 * United are a value that lives on and its last version, the outputs of a task along each axis, and
 * then inputs with outputs, rows with rows and columns with columns. Rows and columns are never
 * united with each other (a weight's rows and the columns that it makes): there the cells merely
 * overlap the ranges of the tasks.
 *
 * Decided here are dimensions that stay whole, because a task makes them as a whole, and rows that
 * must be cut the same in every graph: those of parameters, of state, and of gradients that have
 * nothing but gradients in their class. Where classes decided differently meet, they stay apart and
 * the kernel's range is gathered from the cells. A state that some graph makes as a whole (a cache)
 * stays whole there; a graph that only reads it would cut it by its shape.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROWS_ALIGNED INT64_C(16) /* blocks of more rows than this are multiples of it */

/* --- classes -------------------------------------------------------------------------------- */

static int64_t common_multiple(int64_t a, int64_t b, int64_t limit)
{
    int64_t x = a, y = b;

    if (a == 0 || b == 0)
        return a + b;
    while (y != 0) {
        int64_t rest = x % y;

        x = y;
        y = rest;
    }
    return a / x > limit / b ? limit : a / x * b;
}

/* Unites two classes unless they are decided differently. The lower number becomes the root. */
static bool unite(struct plb__cut *cut, uint32_t a, uint32_t b)
{
    struct plb__dimension *root = plb__root(cut, a), *other = plb__root(cut, b);

    if (root == other)
        return true;
    if (root->extent != other->extent ||
        (root->step != 0 && other->step != 0 && root->step != other->step))
        return false;
    if (root > other) {
        struct plb__dimension *swap = root;

        root = other;
        other = swap;
    }
    other->parent = (uint32_t)(root - cut->dimension);
    root->step = root->step != 0 ? root->step : other->step;
    root->row_elements = root->row_elements == other->row_elements ? root->row_elements : -1;
    root->granule = common_multiple(root->granule, other->granule, root->extent);
    root->roles |= other->roles;
    root->images |= other->images;
    root->listed |= other->listed;
    return true;
}

static enum plb_status unite_or_fail(struct plb__cut *cut, uint32_t a, uint32_t b, const char *what,
                                     const char *name)
{
    if (unite(cut, a, b))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INTERNAL,
                    "%s %s cannot be cut alike (extents %" PRId64 " and %" PRId64
                    ", pieces of %" PRId64 " and %" PRId64 ")",
                    what, name, plb__root(cut, a)->extent, plb__root(cut, b)->extent,
                    plb__root(cut, a)->step, plb__root(cut, b)->step);
}

/* --- what shapes decide --------------------------------------------------------------------- */

/* Rows of a block of a parameter: near-equal blocks of about `block_elements`. */
static int64_t block_rows(int64_t rows, int64_t row_elements, int64_t block_elements)
{
    int64_t n = rows * row_elements / block_elements, step;

    n = n < rows ? n : rows;
    n = n < PLB__CELLS_MAX ? n : PLB__CELLS_MAX;
    if (n < 2)
        return rows;
    step = (rows + n - 1) / n;
    if (step > ROWS_ALIGNED)
        step = (step + ROWS_ALIGNED - 1) / ROWS_ALIGNED * ROWS_ALIGNED;
    return step < rows ? step : rows;
}

static bool lives_on(enum plb_role role)
{
    return role == PLB_ROLE_PARAMETER || role == PLB_ROLE_STATE;
}

static enum plb_status decide_by_shape(struct plb__cut *cut, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(cut->whole, value);
    struct plb__dimension *root = plb__root(cut, plb__rows_of(value));
    int64_t rows = info->type.shape.dim[0];
    int64_t step =
        block_rows(rows, plb_shape_row_elements(&info->type.shape), cut->options.block_elements);

    if (!lives_on(info->role) || root->step == rows || root->step == step)
        return PLB_OK;
    if (root->step != 0)
        return plb_fail(PLB_ERROR_INTERNAL, "%s must be cut by its shape, and like another's",
                        info->name);
    root->step = step;
    return PLB_OK;
}

/* Classes that hold nothing but gradients of one shape: gradients of parameters that this graph
 * does not update. */
static void decide_gradients(struct plb__cut *cut)
{
    for (plb_value value = 0; value < cut->n_values; value++) {
        struct plb__dimension *root = &cut->dimension[plb__rows_of(value)];

        if (root->parent == plb__rows_of(value) && root->step == 0 &&
            root->roles == 1u << PLB_ROLE_GRADIENT && root->row_elements > 0)
            root->step = block_rows(root->extent, root->row_elements, cut->options.block_elements);
    }
}

/* --- outputs -------------------------------------------------------------------------------- */

static bool along(const struct plb_operand_spec *spec, enum plb_axis axis)
{
    return spec->rows == axis || (spec->cols == axis && !(spec->flags & PLB_UNSPLIT));
}

bool plb__cut_along(const struct plb_task *task, enum plb_axis axis, uint32_t *dimension_out)
{
    bool found = false;

    for (int k = 0; k < task->n_out; k++) {
        if (task->out_start[k] == task->out_start[k + 1])
            continue;
        if (!along(&task->op->out[k], axis))
            return false;
        if (!found)
            *dimension_out = plb__indexed(&task->op->out[k], task->out[task->out_start[k]], axis);
        found = true;
    }
    return found;
}

/* An output's dimension stays whole when no axis indexes it, or one along which the task cannot be
 * cut because another output lacks it. */
static void decide_dimension(struct plb__cut *cut, const struct plb_task *task,
                             const struct plb_operand_spec *spec, uint32_t dimension,
                             enum plb_axis axis)
{
    struct plb__dimension *d = &cut->dimension[dimension];
    bool unsplit = spec->cols == axis && spec->rows != axis && (spec->flags & PLB_UNSPLIT);
    uint32_t unused;

    if (axis == PLB_AXIS_NONE || (!unsplit && !plb__cut_along(task, axis, &unused)))
        d->step = d->extent;
}

static enum plb_status unite_outputs(struct plb__cut *cut, const struct plb_task *task)
{
    for (enum plb_axis axis = PLB_AXIS_A; axis <= PLB_AXIS_B; axis++) {
        uint32_t first, other;

        if (!plb__cut_along(task, axis, &first))
            continue;
        for (uint32_t i = 0, k = 0; i < task->out_start[task->n_out]; i++) {
            while (task->out_start[k + 1] <= i)
                k++;
            other = plb__indexed(&task->op->out[k], task->out[i], axis);
            PLB_TRY(unite_or_fail(cut, first, other, "outputs of", task->name));
        }
    }
    return PLB_OK;
}

/* --- inputs --------------------------------------------------------------------------------- */

/* Whether the axis indexes the rows of both, or the columns of both. */
static bool same_kind(const struct plb_operand_spec *a, const struct plb_operand_spec *b,
                      enum plb_axis axis)
{
    return (a->rows == axis && b->rows == axis) || (a->cols == axis && b->cols == axis);
}

/* Unites the dimension of one input with those of outputs that the same axis indexes. Along the
 * axis of a sum there are none; then with the first input's. */
static enum plb_status unite_input(struct plb__cut *cut, const struct plb_task *task,
                                   const struct plb_operand_spec *spec, plb_value value,
                                   enum plb_axis axis)
{
    uint32_t dimension = plb__indexed(spec, value, axis);
    bool united = true, sum = true;

    for (int k = 0; k < task->n_out; k++) {
        const struct plb_operand_spec *out = &task->op->out[k];

        if (task->out_start[k] == task->out_start[k + 1])
            continue;
        sum = sum && out->rows != axis && out->cols != axis;
        if (same_kind(spec, out, axis) &&
            !unite(cut, dimension, plb__indexed(out, task->out[task->out_start[k]], axis)))
            united = false;
    }
    for (int k = 0; sum && k < task->n_in; k++) {
        if (task->in_start[k] == task->in_start[k + 1] || !same_kind(spec, &task->op->in[k], axis))
            continue;
        united = unite(cut, dimension, plb__indexed(spec, task->in[task->in_start[k]], axis));
        break;
    }
    if (!united && (spec->flags & PLB_VARIADIC))
        return plb_fail(PLB_ERROR_INTERNAL, "%s: the values of %s are cut differently", task->name,
                        spec->name);
    return PLB_OK;
}

/* What a class must know of the tasks that read it. */
static void note_input(struct plb__cut *cut, const struct plb_task *task,
                       const struct plb_operand_spec *spec, plb_value value)
{
    const unsigned lists = PLB_LIST | PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE | PLB_VARIADIC;
    struct plb__dimension *rows = plb__root(cut, plb__rows_of(value));
    struct plb__dimension *cols = plb__root(cut, plb__cols_of(value));

    if (spec->rows != PLB_AXIS_NONE && task->op->granule > 0 &&
        (spec->flags & (PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE))) {
        int64_t granule = task->attributes.i[task->op->granule - 1];

        if (granule > 0 && rows->extent % granule == 0)
            rows->granule = common_multiple(rows->granule, granule, rows->extent);
    }
    if (spec->cols != PLB_AXIS_NONE && (spec->flags & PLB_UNSPLIT))
        cols->listed = true;
    /* Nobody gathers for a list: without an axis its cells have all columns. */
    if (spec->cols == PLB_AXIS_NONE && (spec->flags & lists))
        cols->step = cols->extent;
}

static enum plb_status unite_inputs(struct plb__cut *cut, const struct plb_task *task)
{
    for (uint32_t i = 0, k = 0; i < task->in_start[task->n_in]; i++) {
        while (task->in_start[k + 1] <= i)
            k++;
        const struct plb_operand_spec *spec = &task->op->in[k];

        for (enum plb_axis axis = PLB_AXIS_A; axis <= PLB_AXIS_B; axis++) {
            if (spec->rows == axis || spec->cols == axis)
                PLB_TRY(unite_input(cut, task, spec, task->in[i], axis));
        }
        note_input(cut, task, spec, task->in[i]);
    }
    return PLB_OK;
}

/* --- the pass ------------------------------------------------------------------------------- */

static void dimensions_begin(struct plb__cut *cut, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(cut->whole, value);
    const struct plb_shape *shape = &info->type.shape;
    struct plb__dimension *rows = &cut->dimension[plb__rows_of(value)];
    struct plb__dimension *cols = &cut->dimension[plb__cols_of(value)];

    *rows = (struct plb__dimension){.parent = plb__rows_of(value),
                                    .extent = shape->dim[0],
                                    .row_elements = plb_shape_row_elements(shape),
                                    .roles = 1u << info->role,
                                    .images = shape->rank > 2,
                                    .whole = {0, shape->dim[0]}};
    *cols = (struct plb__dimension){.parent = plb__cols_of(value),
                                    .extent = shape->rank == 2 ? shape->dim[1] : 0};
    cols->whole[1] = cols->extent;
    /* Only tasks make cells beside each other. */
    if (info->producer == PLB_NONE)
        cols->step = cols->extent;
}

static void dimensions_decide(struct plb__cut *cut, const struct plb_task *task)
{
    for (int k = 0; k < task->n_out; k++) {
        const struct plb_operand_spec *spec = &task->op->out[k];

        for (uint32_t i = task->out_start[k]; i < task->out_start[k + 1]; i++) {
            decide_dimension(cut, task, spec, plb__rows_of(task->out[i]), spec->rows);
            decide_dimension(cut, task, spec, plb__cols_of(task->out[i]), spec->cols);
        }
    }
}

static enum plb_status unite_versions(struct plb__cut *cut, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(cut->whole, value);

    if (info->next == PLB_NONE)
        return PLB_OK;
    PLB_TRY(unite_or_fail(cut, plb__rows_of(value), plb__rows_of(info->next), "versions of",
                          info->name));
    return unite_or_fail(cut, plb__cols_of(value), plb__cols_of(info->next), "versions of",
                         info->name);
}

enum plb_status plb__cut_classes(struct plb__cut *cut)
{
    cut->dimension = calloc(2 * (size_t)cut->n_values + 1, sizeof *cut->dimension);
    if (cut->dimension == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to cut a graph of %" PRIu32 " values",
                        cut->n_values);
    for (plb_value value = 0; value < cut->n_values; value++)
        dimensions_begin(cut, value);
    for (plb_task_id task = 0; task < cut->n_tasks; task++)
        dimensions_decide(cut, plb_graph_task(cut->whole, task));
    for (plb_value value = 0; value < cut->n_values; value++)
        PLB_TRY(unite_versions(cut, value));
    for (plb_task_id task = 0; task < cut->n_tasks; task++)
        PLB_TRY(unite_outputs(cut, plb_graph_task(cut->whole, task)));
    for (plb_value value = 0; value < cut->n_values; value++)
        PLB_TRY(decide_by_shape(cut, value));
    for (plb_task_id task = 0; task < cut->n_tasks; task++)
        PLB_TRY(unite_inputs(cut, plb_graph_task(cut->whole, task)));
    decide_gradients(cut);
    return PLB_OK;
}
