/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting a graph: options, the order of the passes, what lives on. See cut.h and cut_internal.h.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"
#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Zero in `given` means the default. */
static enum plb_status option_set(double given, double by_default, double least, const char *name,
                                  double *out)
{
    if (!(given >= 0) || isinf(given) || (given > 0 && given < least))
        return plb_fail(PLB_ERROR_INVALID, "cut: %s is %g, it must be at least %g", name, given,
                        least);
    *out = given > 0 ? given : by_default;
    return PLB_OK;
}

static enum plb_status count_set(int64_t given, int64_t by_default, const char *name, int64_t *out)
{
    if (given < 0)
        return plb_fail(PLB_ERROR_INVALID, "cut: %s is %" PRId64 ", it must not be negative", name,
                        given);
    *out = given > 0 ? given : by_default;
    return PLB_OK;
}

static enum plb_status options_set(const struct plb_cut_options *given, struct plb_cut_options *out)
{
    static const struct plb_cut_options none;

    if (given == NULL)
        given = &none;
    PLB_TRY(option_set(given->target_seconds, 2e-3, 1e-12, "target_seconds", &out->target_seconds));
    PLB_TRY(
        option_set(given->flops_per_second, PLB_NOMINAL_FLOPS_PER_SECOND, 1,
                   "flops_per_second", &out->flops_per_second));
    PLB_TRY(
        option_set(given->bytes_per_second, PLB_NOMINAL_BYTES_PER_SECOND, 1,
                   "bytes_per_second", &out->bytes_per_second));
    PLB_TRY(count_set(given->block_elements, 524288, "block_elements", &out->block_elements));
    return count_set(given->rows_min, 32, "rows_min", &out->rows_min);
}

/* Last versions and outputs, cell by cell. */
static enum plb_status declare(struct plb__cut *cut, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(cut->whole, value);
    plb_value first = cut->first[value], n = cut->first[value + 1] - first;

    for (plb_value i = 0; i < n; i++) {
        if (info->next != PLB_NONE)
            plb_graph_carry(cut->graph, first + i, cut->first[info->next] + i);
        if (info->output)
            plb_graph_output(cut->graph, first + i);
    }
    return plb_graph_status(cut->graph);
}

static enum plb_status cut_make(struct plb__cut *cut)
{
    PLB_TRY(plb__cut_classes(cut));
    PLB_TRY(plb__cut_sizes(cut));
    PLB_TRY(plb__cut_cells(cut));
    PLB_TRY(plb__cut_tasks(cut));
    for (plb_value value = 0; value < cut->n_values; value++)
        PLB_TRY(declare(cut, value));
    return PLB_OK;
}

static void cut_clear(struct plb__cut *cut)
{
    for (uint32_t i = 0; cut->dimension != NULL && i < 2 * cut->n_values; i++)
        free(cut->dimension[i].at);
    free(cut->dimension);
    free(cut->first);
}

enum plb_status plb_graph_cut(const plb_graph_t *whole, const struct plb_cut_options *options,
                              plb_graph_t **cut_out)
{
    struct plb__cut cut = {
        .whole = whole, .n_values = plb_graph_values(whole), .n_tasks = plb_graph_tasks(whole)};
    enum plb_status status;

    PLB_TRY(plb_graph_status(whole));
    if (whole->kind == PLB__KIND_CELLS)
        return plb_fail(PLB_ERROR_INVALID, "the graph was cut already");
    PLB_TRY(options_set(options, &cut.options));
    cut.graph = plb_graph_create();
    if (cut.graph == NULL)
        return PLB_ERROR_MEMORY;
    status = cut_make(&cut);
    cut_clear(&cut);
    if (status != PLB_OK) {
        plb_graph_destroy(cut.graph);
        return status;
    }
    *cut_out = cut.graph;
    return PLB_OK;
}

struct plb_cells plb_graph_cells(const plb_graph_t *cut, plb_value whole_value)
{
    struct plb_cells none = {0, 0, NULL};

    return whole_value < cut->n_cells ? cut->cells[whole_value] : none;
}

/* A grid of the same size in which nothing is yet. */
static plb_value *empty_grid(plb_graph_t *part, const struct plb_cells *cells)
{
    size_t n = (size_t)cells->rows * (size_t)cells->cols;
    plb_value *grid = plb__graph_allocate(part, n * sizeof *grid);

    for (size_t i = 0; grid != NULL && i < n; i++)
        grid[i] = PLB_NONE;
    return grid;
}

enum plb_status plb_graph_take_cells(plb_graph_t *part, const plb_graph_t *cut,
                                     const plb_value *value, uint32_t n)
{
    struct plb_cells *table =
        plb__graph_allocate(part, ((size_t)cut->n_cells + 1) * sizeof *table);

    for (uint32_t k = 0; table != NULL && k < n; k++) {
        plb_value whole = plb_graph_value(cut, value[k])->source;
        struct plb_cells from = plb_graph_cells(cut, whole);
        uint32_t at = from.cells != NULL ? value[k] - from.cells[0] : 0;
        plb_value *grid;

        /* Partial sums are in no grid. */
        if (at >= (uint32_t)(from.rows * from.cols))
            continue;
        grid = table[whole].cells != NULL ? (plb_value *)table[whole].cells
                                          : empty_grid(part, &from);
        if (grid == NULL)
            break;
        grid[at] = k;
        table[whole] = (struct plb_cells){from.rows, from.cols, grid};
    }
    if (part->status != PLB_OK)
        return plb_graph_status(part);
    part->cells = table;
    part->n_cells = cut->n_cells;
    return PLB_OK;
}
