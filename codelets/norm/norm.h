/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two norms and their gradients share: checks, scratch, and the walk over rows for the
 * gradients of gamma and beta. Not installed.
 */
#ifndef PLB_CODELETS_NORM_H
#define PLB_CODELETS_NORM_H

#include "runtime/graph/operator.h"

/* Floating-point attribute 0, eps, is a positive number. */
enum plb_status plb__check_epsilon(const struct plb_operator *op,
                                   const struct plb_task_types *types);

/* Room for PLB__NORM_ROWS rows of floats as wide as input 0. */
enum { PLB__NORM_ROWS = 4 };
size_t plb__norm_scratch(const struct plb_task_types *types);

/* Calls `row` for all rows of the range on axis A, in order. Inputs 0 (dy) and 1 (x) are cut by
 * rows with C columns, the statistics (inputs 2 and, if it is there, 3) are floats, one a row. */
struct plb__norm_row {
    const float *dy, *x;
    float statistic[2];
    int64_t columns;
};
typedef void plb__norm_visit(const struct plb__norm_row *row, void *context);
/* `buffer`: room for two rows of floats. */
void plb__norm_walk(const struct plb_call *call, float *buffer, plb__norm_visit *visit,
                    void *context);

#endif
