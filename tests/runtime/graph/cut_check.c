/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold for every cut: see cut_check.h. */
#include "config.h"

#include "tests/runtime/graph/cut_check.h"

#include "tests/support/plb_test.h"

#include <math.h>
#include <string.h>

/* --- cells ---------------------------------------------------------------------------------- */

static int64_t width_of(const struct plb_shape *shape)
{
    return plb_shape_row_elements(shape);
}

/* A cell begins where the one above and the one on its left end. */
static void check_cell(const plb_graph_t *whole, const plb_graph_t *cut, plb_value value,
                       const struct plb_cells *cells, int i, int j)
{
    const struct plb_value_info *info = plb_graph_value(whole, value);
    const struct plb_value_info *cell = plb_graph_value(cut, cells->cells[i * cells->cols + j]);
    int64_t row = 0, col = 0;

    PLB_CHECK_EQ(cell->source, value);
    PLB_CHECK_EQ(cell->type.dtype, info->type.dtype);
    PLB_CHECK_EQ(cell->role, info->role);
    PLB_CHECK_EQ(cell->output, info->output);
    PLB_CHECK(plb_shape_equal(&cell->whole, &info->type.shape));
    PLB_CHECK_EQ(cell->producer == PLB_NONE, info->producer == PLB_NONE);
    if (i > 0) {
        const struct plb_value_info *above =
            plb_graph_value(cut, cells->cells[(i - 1) * cells->cols + j]);

        row = above->row0 + above->type.shape.dim[0];
    }
    if (j > 0) {
        const struct plb_value_info *left =
            plb_graph_value(cut, cells->cells[i * cells->cols + j - 1]);

        col = left->col0 + width_of(&left->type.shape);
    }
    PLB_CHECK_EQ(cell->row0, row);
    PLB_CHECK_EQ(cell->col0, col);
    if (i == cells->rows - 1)
        PLB_CHECK_EQ(cell->row0 + cell->type.shape.dim[0], info->type.shape.dim[0]);
    if (j == cells->cols - 1)
        PLB_CHECK_EQ(cell->col0 + width_of(&cell->type.shape), width_of(&info->type.shape));
}

static void check_versions(const plb_graph_t *whole, const plb_graph_t *cut, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(whole, value);
    struct plb_cells first = plb_graph_cells(cut, value);
    struct plb_cells last = plb_graph_cells(cut, info->next);

    if (info->next == PLB_NONE) {
        for (int i = 0; i < first.rows * first.cols; i++)
            PLB_CHECK_EQ(plb_graph_value(cut, first.cells[i])->next, PLB_NONE);
        return;
    }
    PLB_CHECK_EQ(first.rows, last.rows);
    PLB_CHECK_EQ(first.cols, last.cols);
    for (int i = 0; i < first.rows * first.cols; i++)
        PLB_CHECK_EQ(plb_graph_value(cut, first.cells[i])->next, last.cells[i]);
}

/* --- tasks ---------------------------------------------------------------------------------- */

struct rectangle {
    int64_t row_low, row_high, col_low, col_high;
};

static double area(struct rectangle r)
{
    return r.row_low < r.row_high && r.col_low < r.col_high
               ? (double)(r.row_high - r.row_low) * (double)(r.col_high - r.col_low)
               : 0;
}

static struct rectangle meet(struct rectangle a, struct rectangle b)
{
    struct rectangle r = {a.row_low > b.row_low ? a.row_low : b.row_low,
                          a.row_high < b.row_high ? a.row_high : b.row_high,
                          a.col_low > b.col_low ? a.col_low : b.col_low,
                          a.col_high < b.col_high ? a.col_high : b.col_high};

    return r;
}

static struct rectangle place_of(const struct plb_value_info *cell)
{
    struct rectangle r = {cell->row0, cell->row0 + cell->type.shape.dim[0], cell->col0,
                          cell->col0 + width_of(&cell->type.shape)};

    return r;
}

/* What a task sees of an operand, from the words of operator.h. */
static struct rectangle range_of(const struct plb_task *task, const struct plb_operand_spec *spec,
                                 const struct plb_shape *whole)
{
    struct rectangle r = {0, whole->dim[0], 0, width_of(whole)};
    int64_t granule = task->op->granule > 0 ? task->attributes.i[task->op->granule - 1] : 1;

    if (spec->rows != PLB_AXIS_NONE) {
        r.row_low = task->low[spec->rows - 1];
        r.row_high = task->high[spec->rows - 1];
    }
    if (spec->cols != PLB_AXIS_NONE && !(spec->flags & PLB_UNSPLIT)) {
        r.col_low = task->low[spec->cols - 1];
        r.col_high = task->high[spec->cols - 1];
    }
    if (spec->flags & (PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE))
        r.row_low = r.row_low / granule * granule;
    if (spec->flags & PLB_WINDOW_SEQUENCE)
        r.row_high = (r.row_high + granule - 1) / granule * granule;
    return r;
}

/* The cells must cover the range, none in vain; outputs and the values of a variadic input must
 * be the range. */
static void check_operand(const plb_graph_t *cut, const struct plb_task *task,
                          const struct plb_operand_spec *spec, const plb_value *cells, uint32_t n,
                          bool exact)
{
    double covered = 0, wanted, values = 1;

    if (n == 0)
        return;
    struct rectangle range = range_of(task, spec, &plb_graph_value(cut, cells[0])->whole);

    wanted = area(range);
    PLB_CHECK(wanted > 0);
    for (uint32_t i = 0; i < n; i++) {
        struct rectangle place = place_of(plb_graph_value(cut, cells[i]));

        PLB_CHECK(area(meet(place, range)) > 0);
        if (exact)
            PLB_CHECK(area(meet(place, range)) >= area(place));
        covered += area(meet(place, range));
    }
    if (spec->flags & PLB_VARIADIC)
        values = n; /* each is one cell */
    PLB_CHECK_NEAR(covered, wanted * values, 0);
}

static void check_task(const plb_graph_t *whole, const plb_graph_t *cut, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(cut, id);

    for (int k = 0; k < task->n_in; k++)
        check_operand(cut, task, &task->op->in[k], task->in + task->in_start[k],
                      task->in_start[k + 1] - task->in_start[k],
                      (task->op->in[k].flags & PLB_VARIADIC) != 0);
    for (int k = 0; k < task->n_out; k++)
        check_operand(cut, task, &task->op->out[k], task->out + task->out_start[k],
                      task->out_start[k + 1] - task->out_start[k], true);
    if (task->source == PLB_NONE) {
        PLB_CHECK_STRING(task->op->name, "sum");
        return;
    }
    const struct plb_task *source = plb_graph_task(whole, task->source);

    PLB_CHECK(task->op == source->op);
    PLB_CHECK_EQ(task->phase, source->phase);
    PLB_CHECK_EQ(task->block, source->block);
    PLB_CHECK(memcmp(&task->attributes, &source->attributes, sizeof task->attributes) == 0);
}

static bool has_window(const struct plb_operator *op)
{
    for (int k = 0; k < op->n_in; k++) {
        if (op->in[k].flags & (PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE))
            return true;
    }
    return false;
}

/* Flops of the tasks that a whole task became; `part` goes on through the tasks of the cut. */
static void check_flops(const plb_graph_t *whole, const plb_graph_t *cut, plb_task_id id,
                        plb_task_id *part)
{
    const struct plb_task *task = plb_graph_task(whole, id);
    struct plb_cost cost, one;
    double flops = 0;

    plb_task_get_cost(whole, task, &cost);
    for (; *part < plb_graph_tasks(cut); (*part)++) {
        const struct plb_task *piece = plb_graph_task(cut, *part);

        if (piece->source != id && piece->source != PLB_NONE)
            break;
        plb_task_get_cost(cut, piece, &one);
        flops += piece->source == id ? one.flops : 0;
    }
    PLB_CHECK(flops >= cost.flops * (has_window(task->op) ? 0.5 : 1 - 1e-9));
    if (!has_window(task->op))
        PLB_CHECK(flops <= cost.flops * (1 + 1e-9));
}

void cut_check(const plb_graph_t *whole, const plb_graph_t *cut)
{
    plb_task_id part = 0;

    for (plb_value value = 0; value < plb_graph_values(whole); value++) {
        struct plb_cells cells = plb_graph_cells(cut, value);

        PLB_CHECK(cells.rows >= 1 && cells.cols >= 1 && cells.rows * cells.cols <= 4096);
        for (int i = 0; i < cells.rows * cells.cols; i++)
            check_cell(whole, cut, value, &cells, i / cells.cols, i % cells.cols);
        check_versions(whole, cut, value);
    }
    for (plb_task_id task = 0; task < plb_graph_tasks(cut); task++)
        check_task(whole, cut, task);
    for (plb_task_id task = 0; task < plb_graph_tasks(whole); task++)
        check_flops(whole, cut, task, &part);
    PLB_CHECK_EQ(part, plb_graph_tasks(cut));
}

/* --- figures -------------------------------------------------------------------------------- */

static int bin_of(double seconds)
{
    static const double limits[] = {1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5,
                                    1e-4, 5e-4, 1e-3, 2e-3, 5e-3};
    int bin = 0;

    while (bin < 11 && seconds > limits[bin])
        bin++;
    return bin;
}

struct cut_figures cut_figures(const plb_graph_t *cut, double flops_per_second,
                               double bytes_per_second)
{
    struct cut_figures f = {.tasks = plb_graph_tasks(cut), .values = plb_graph_values(cut)};
    double good = 0, sums = 0, squares = 0;

    for (plb_task_id id = 0; id < f.tasks; id++) {
        const struct plb_task *task = plb_graph_task(cut, id);
        uint32_t operands = task->in_start[task->n_in] + task->out_start[task->n_out];
        struct plb_cost cost;
        double seconds;

        plb_task_get_cost(cut, task, &cost);
        seconds = fmax(cost.flops / flops_per_second, cost.bytes / bytes_per_second);
        f.total += seconds;
        squares += seconds * seconds;
        f.longest = fmax(f.longest, seconds);
        f.operands_most = operands > f.operands_most ? operands : f.operands_most;
        f.histogram[bin_of(seconds)]++;
        good += seconds >= 1e-4 && seconds <= 8e-3 ? seconds : 0;
        sums += task->source == PLB_NONE ? seconds : 0;
    }
    for (plb_value whole = 0; plb_graph_cells(cut, whole).rows > 0; whole++) {
        struct plb_cells cells = plb_graph_cells(cut, whole);

        f.cells_most =
            cells.rows * cells.cols > f.cells_most ? cells.rows * cells.cols : f.cells_most;
    }
    f.mean = squares / f.total;
    f.share_good = good / f.total;
    f.share_sums = sums / f.total;
    return f;
}
