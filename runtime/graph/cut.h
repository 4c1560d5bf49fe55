/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting a graph into tasks of a good size.
 *
 * A graph as captured has one task per operator and one value per tensor. Cutting makes from it a
 * graph of the same kind in which large values are grids of cells and large tasks are several, so
 * that all workers are busy. A cell is a value like any other, with its own storage: plans,
 * lineage, the simulator and recovery need no new concept.
 *
 * The cut follows from shapes, options and a modelled cost, never from measured times or the number
 * of workers: the order of every sum, and so every bit of the result, is the same everywhere.
 *   - Parameters and optimizer state (role PARAMETER, STATE) are cut by rows into blocks of about
 *     `block_elements`, whatever the graph, so that several graphs share them.
 *   - Rows of activations that belong together (through PLB_AXIS_A of the operators) get one common
 *     cut, at whole sequences where there are enough of them, else inside sequences. Where tasks
 *     would be near the target uncut there are still a few slices, for several workers.
 *   - Columns are cut where one row range alone would make a task much longer than the target (the
 *     logits of a large vocabulary, single-row decoding), at boundaries of the weight's blocks, and
 *     where everyone who reads them can take that.
 *   - A sum axis is gone through in order within a task, or in groups added by a balanced binary
 *     tree of "sum" tasks where that would be too long.
 */
#ifndef PLB_GRAPH_CUT_H
#define PLB_GRAPH_CUT_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Nominal rates of one worker: what modelled times stand on unless options say otherwise. */
#define PLB_NOMINAL_FLOPS_PER_SECOND 1e11
#define PLB_NOMINAL_BYTES_PER_SECOND 8e9

/* Zero fields take the defaults in brackets. */
struct plb_cut_options {
    double target_seconds;   /* modelled time of a task to aim at [2e-3] */
    double flops_per_second; /* [PLB_NOMINAL_FLOPS_PER_SECOND] */
    double bytes_per_second; /* [PLB_NOMINAL_BYTES_PER_SECOND] */
    int64_t block_elements;  /* elements of a block of a parameter [524288] */
    int64_t rows_min;        /* fewest rows of a slice of activations inside a sequence [32] */
};

/* The cells of one value, in row-major order of its grid: cell (i, j) is cells[i * cols + j]. */
struct plb_cells {
    int rows, cols;
    const plb_value *cells;
};

/* Makes the cut graph of `whole`, which is kept unchanged and must outlive the result. */
enum plb_status plb_graph_cut(const plb_graph_t *whole, const struct plb_cut_options *options,
                              plb_graph_t **cut_out);

/* The cells in `cut` of a value of the whole graph. Valid as long as `cut`. In a graph that holds
 * only some of another's cells (plb_graph_take_cells) the grid is that of the other graph, with
 * PLB_NONE where a cell is not in this one; no cells at all (rows 0) when none is. */
struct plb_cells plb_graph_cells(const plb_graph_t *cut, plb_value whole_value);

/* For code that makes graphs out of cut graphs (runtime/plan/spread*.c): value k of `part`, one of
 * `n`, is the cell value[k] of `cut`. After it plb_graph_cells() knows the cells of `part`. */
enum plb_status plb_graph_take_cells(plb_graph_t *part, const plb_graph_t *cut,
                                     const plb_value *value, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
