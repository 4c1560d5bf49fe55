/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cells of operands with PLB_LIST: which part of a cell a task's range wants, and where it lies.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_CELLS_H
#define PLB_CODELETS_COMMON_CELLS_H

#include "runtime/graph/operator.h"

/* Rows or columns low..high-1; none when high <= low. */
struct plb__span {
    int64_t low, high;
};

/* What first..first+count-1 and low..high-1 have in common. */
static inline struct plb__span plb__span_of(int64_t first, int64_t count, int64_t low, int64_t high)
{
    struct plb__span span = {first > low ? first : low,
                             first + count < high ? first + count : high};

    return span;
}

/* An element of a cell, by its row and column in the whole value. A cell of another rank than 2 has
 * its row's elements as columns. */
static inline void *plb__cell_at(const struct plb_tensor *cell, int64_t row, int64_t col)
{
    int64_t at = (row - cell->row0) * plb_shape_row_elements(&cell->shape) + (col - cell->col0);

    return (char *)cell->data + (size_t)at * plb_dtype_bytes(cell->dtype);
}

#endif
