/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the cut, for cut*.c only. Not installed.
 *
 * A *dimension* is the rows or the columns of a value of the whole graph. Dimensions that must be
 * cut alike are united in a *class*; what is known of a class stands at its root. The passes, in
 * order:
 *   cut_classes.c  unites dimensions and settles what a shape alone decides
 *   cut_sizes.c    chooses the pieces of the other classes from modelled costs, cut_columns.c
 *                  those of columns
 *   cut_cells.c    makes the cells of all values
 *   cut_tasks.c    makes the tasks, cut_sums.c those of long sums
 * cut_cost.c tells what a part of a task takes.
 */
#ifndef PLB_GRAPH_CUT_INTERNAL_H
#define PLB_GRAPH_CUT_INTERNAL_H

#include "runtime/graph/cut.h"

#define PLB__CELLS_MAX 4096 /* of one value */

/* How a dimension is cut: piece i is at[i] to at[i + 1] - 1; n pieces. */
struct plb__bounds {
    int n;
    const int64_t *at;
};

struct plb__dimension {
    uint32_t parent; /* union-find; a root is its own parent */

    /* The rest holds for roots. */
    int64_t extent;       /* 0: there is no such dimension */
    int64_t step;         /* decided: length of all pieces but the last; 0: still free */
    int64_t row_elements; /* of its values' rows; -1 when they differ */
    int64_t granule;      /* rows of a sequence, a common multiple of all; 0: none */
    unsigned roles;       /* bit 1 << role of each of its values */
    bool images;          /* a value has rank above 2 */
    bool listed;          /* some task takes it cell by cell (PLB_UNSPLIT) */

    int n;       /* pieces, once chosen; 0 before: uncut */
    int64_t *at; /* owned; NULL: uncut */
    int64_t whole[2];
};

struct plb__cut {
    const plb_graph_t *whole;
    struct plb_cut_options options;
    uint32_t n_values, n_tasks;
    struct plb__dimension *dimension; /* of each value its rows, then its columns */

    plb_graph_t *graph; /* the result */
    plb_value *first;   /* per value: its first cell */
};

static inline uint32_t plb__rows_of(plb_value value)
{
    return 2 * value;
}

static inline uint32_t plb__cols_of(plb_value value)
{
    return 2 * value + 1;
}

/* The root of a dimension's class. */
static inline struct plb__dimension *plb__root(const struct plb__cut *cut, uint32_t dimension)
{
    struct plb__dimension *all = cut->dimension;

    while (all[dimension].parent != dimension) {
        all[dimension].parent = all[all[dimension].parent].parent;
        dimension = all[dimension].parent;
    }
    return &all[dimension];
}

static inline struct plb__bounds plb__bounds_of(const struct plb__cut *cut, uint32_t dimension)
{
    const struct plb__dimension *root = plb__root(cut, dimension);
    struct plb__bounds bounds = {root->at != NULL ? root->n : 1,
                                 root->at != NULL ? root->at : root->whole};

    return bounds;
}

/* The dimension of `value` that `axis` indexes by this specification; PLB_NONE when none. */
static inline uint32_t plb__indexed(const struct plb_operand_spec *spec, plb_value value,
                                    enum plb_axis axis)
{
    if (spec->rows == axis)
        return plb__rows_of(value);
    return spec->cols == axis ? plb__cols_of(value) : PLB_NONE;
}

/* Whether every output of the task is made in ranges of `axis`: the task can be cut along it.
 * `dimension_out` gets such a dimension of its first output. */
bool plb__cut_along(const struct plb_task *task, enum plb_axis axis, uint32_t *dimension_out);

/* Rows that a task reads of an operand whose rows it takes in the range low..high-1; differs from
 * the range for windows. */
void plb__cut_window(const struct plb_task *task, const struct plb_operand_spec *spec,
                     int64_t extent, int64_t *low, int64_t *high);

/* Modelled time of a part of a task of the whole graph. */
double plb__cut_seconds(const struct plb__cut *cut, const struct plb_task *task,
                        const int64_t low[PLB_AXES], const int64_t high[PLB_AXES]);

/* A task that is cut along a dimension of some class, and its axis there. */
struct plb__member {
    plb_task_id task;
    enum plb_axis axis;
};

/* Cuts a free class of columns that these tasks make. */
enum plb_status plb__cut_columns(struct plb__cut *cut, struct plb__dimension *root,
                                 const struct plb__member *member, uint32_t n_members);

/* One task of the cut graph on its way: `task` of the whole graph in a range. */
struct plb__piece {
    struct plb__cut *cut;
    plb_task_id id;
    const struct plb_task *task;
    int64_t low[PLB_AXES], high[PLB_AXES];
    int at[PLB_AXES]; /* number of the range on each axis, for its name */
    bool several;     /* there are others of its task */
    bool partial;     /* it makes these instead of cells of its outputs */
    plb_value target[PLB_OPERANDS_MAX];

    plb_value *list; /* inputs, then outputs */
    uint32_t n, capacity;
    uint32_t in_start[PLB_OPERANDS_MAX + 1], out_start[PLB_OPERANDS_MAX + 1];
};

/* Lists the cells that the piece reads and makes; adds it to the graph, its name ending in
 * `suffix`; adds what makes the outputs in its range, itself or groups of its sum and their
 * additions. */
enum plb_status plb__piece_list(struct plb__piece *piece);
enum plb_status plb__piece_add(struct plb__piece *piece, const char *suffix);
enum plb_status plb__piece_range(struct plb__piece *piece);

/* The passes. */
enum plb_status plb__cut_classes(struct plb__cut *cut);
enum plb_status plb__cut_sizes(struct plb__cut *cut);
enum plb_status plb__cut_cells(struct plb__cut *cut);
enum plb_status plb__cut_tasks(struct plb__cut *cut);

#endif
