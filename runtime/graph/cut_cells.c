/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The third pass of the cut: the cells of all values, in the order of the values, each value's in
 * row-major order of its grid. Their numbers are therefore known before any task is.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"
#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Numbers the cells of all values. */
static enum plb_status cells_count(struct plb__cut *cut)
{
    int64_t n = 0;

    cut->first = malloc(((size_t)cut->n_values + 1) * sizeof *cut->first);
    if (cut->first == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to cut %" PRIu32 " values", cut->n_values);
    for (plb_value value = 0; value < cut->n_values; value++) {
        int64_t rows = plb__bounds_of(cut, plb__rows_of(value)).n;
        int64_t cols = plb__bounds_of(cut, plb__cols_of(value)).n;

        if (rows * cols > PLB__CELLS_MAX)
            return plb_fail(PLB_ERROR_INTERNAL, "%s would be cut into %" PRId64 " cells",
                            plb_graph_value(cut->whole, value)->name, rows * cols);
        cut->first[value] = (plb_value)n;
        n += rows * cols;
        if (n > (int64_t)PLB__ENTRIES_MAX)
            return plb_fail(PLB_ERROR_INVALID,
                            "the graph would be cut into more than %" PRIu32 " values",
                            PLB__ENTRIES_MAX);
    }
    cut->first[cut->n_values] = (plb_value)n;
    return PLB_OK;
}

static enum plb_status cell_add(struct plb__cut *cut, plb_value value, int i, int j)
{
    struct plb_value_info info = *plb_graph_value(cut->whole, value);
    struct plb__bounds rows = plb__bounds_of(cut, plb__rows_of(value));
    struct plb__bounds cols = plb__bounds_of(cut, plb__cols_of(value));
    char name[PLB__NAME_MAX + 1];

    if (rows.n * cols.n > 1) {
        snprintf(name, sizeof name, "%s[%d,%d]", info.name, i, j);
        info.name = name;
    }
    info.type.shape.dim[0] = rows.at[i + 1] - rows.at[i];
    info.row0 = rows.at[i];
    if (info.type.shape.rank == 2) {
        info.type.shape.dim[1] = cols.at[j + 1] - cols.at[j];
        info.col0 = cols.at[j];
    }
    info.producer = PLB_NONE;
    info.source = value;
    if (plb_graph_add_cell(cut->graph, &info) !=
        cut->first[value] + (plb_value)i * (plb_value)cols.n + (plb_value)j)
        return plb_graph_fail(
            cut->graph,
            plb_fail(PLB_ERROR_INTERNAL, "cell %s has another number than foreseen", info.name));
    return PLB_OK;
}

/* What plb_graph_cells() reads; it lives as long as the graph. */
static enum plb_status table_make(struct plb__cut *cut)
{
    plb_graph_t *graph = cut->graph;
    uint32_t n = cut->first[cut->n_values];
    plb_value *all = plb__graph_allocate(graph, ((size_t)n + 1) * sizeof *all);
    struct plb_cells *cells =
        plb__graph_allocate(graph, ((size_t)cut->n_values + 1) * sizeof *cells);

    if (all == NULL || cells == NULL)
        return plb_graph_status(graph);
    for (uint32_t i = 0; i < n; i++)
        all[i] = i;
    for (plb_value value = 0; value < cut->n_values; value++)
        cells[value] =
            (struct plb_cells){plb__bounds_of(cut, plb__rows_of(value)).n,
                               plb__bounds_of(cut, plb__cols_of(value)).n, all + cut->first[value]};
    graph->cells = cells;
    graph->n_cells = cut->n_values;
    return PLB_OK;
}

enum plb_status plb__cut_cells(struct plb__cut *cut)
{
    PLB_TRY(cells_count(cut));
    for (plb_value value = 0; value < cut->n_values; value++) {
        int rows = plb__bounds_of(cut, plb__rows_of(value)).n;
        int cols = plb__bounds_of(cut, plb__cols_of(value)).n;

        for (int cell = 0; cell < rows * cols; cell++)
            PLB_TRY(cell_add(cut, value, cell / cols, cell % cols));
    }
    return table_make(cut);
}
