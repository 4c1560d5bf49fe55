/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Columns that a task makes, of a product with a weight: cut where a slice of rows with all of them
 * would take far too long (the logits of a large vocabulary, decoding of one row), at boundaries of
 * the weight's blocks.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define LONG_TASK      4.0 /* times the target: columns are cut from here */
#define LONG_ONLY_TASK 2.0 /* the same where rows are not cut */

/* The cut rows of an input along `axis`, of the one with the most blocks. */
static struct plb__bounds blocks_along(const struct plb__cut *cut, const struct plb_task *task,
                                       enum plb_axis axis)
{
    struct plb__bounds best = {1, NULL};

    for (uint32_t i = 0, k = 0; i < task->in_start[task->n_in]; i++) {
        struct plb__bounds bounds;

        while (task->in_start[k + 1] <= i)
            k++;
        if (task->op->in[k].rows != axis)
            continue;
        bounds = plb__bounds_of(cut, plb__rows_of(task->in[i]));
        if (bounds.n > best.n)
            best = bounds;
    }
    return best;
}

/* Modelled time of the first slice of a task, with all of its columns. */
static double slice_seconds(const struct plb__cut *cut, const struct plb_task *task,
                            enum plb_axis columns, int *slices_out)
{
    enum plb_axis other = columns == PLB_AXIS_A ? PLB_AXIS_B : PLB_AXIS_A;
    int64_t low[PLB_AXES], high[PLB_AXES];
    uint32_t dimension;

    for (int a = 0; a < PLB_AXES; a++) {
        low[a] = task->low[a];
        high[a] = task->high[a];
    }
    *slices_out = 1;
    if (plb__cut_along(task, other, &dimension)) {
        struct plb__bounds bounds = plb__bounds_of(cut, dimension);

        *slices_out = bounds.n;
        high[other - 1] = bounds.at[1];
    }
    return plb__cut_seconds(cut, task, low, high);
}

enum plb_status plb__cut_columns(struct plb__cut *cut, struct plb__dimension *root,
                                 const struct plb__member *member, uint32_t n_members)
{
    struct plb__bounds blocks = {1, NULL};
    double longest = 0;
    int slices = 1;
    int64_t n;

    for (uint32_t i = 0; i < n_members; i++) {
        const struct plb_task *task = plb_graph_task(cut->whole, member[i].task);
        int task_slices;

        longest = fmax(longest, slice_seconds(cut, task, member[i].axis, &task_slices));
        slices = task_slices > slices ? task_slices : slices;
        if (blocks.n == 1)
            blocks = blocks_along(cut, task, member[i].axis);
    }
    if (longest <= (slices > 1 ? LONG_TASK : LONG_ONLY_TASK) * cut->options.target_seconds)
        return PLB_OK;
    n = (int64_t)fmin(longest / cut->options.target_seconds + 0.5, blocks.n);
    n = n < PLB__CELLS_MAX / slices ? n : PLB__CELLS_MAX / slices;
    if (n < 2)
        return PLB_OK;
    root->at = malloc((size_t)(n + 1) * sizeof *root->at);
    if (root->at == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRId64 " pieces", n);
    for (int64_t i = 0; i <= n; i++)
        root->at[i] = blocks.at[i * blocks.n / n];
    root->n = (int)n;
    return PLB_OK;
}
