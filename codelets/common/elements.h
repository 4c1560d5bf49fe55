/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Elements of operands: bf16 to fp32 and back, and access to rows and pieces of cells.
 *
 * A kernel computes in fp32 on pieces of at most PLB_CHUNK elements. Where an operand is f32 the
 * piece is its own memory, so nothing is copied; where it is bf16 the piece is a buffer of the
 * kernel, widened before and rounded after, which stays in the first-level cache.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_ELEMENTS_H
#define PLB_CODELETS_COMMON_ELEMENTS_H

#include "codelets/common/simd.h"
#include "runtime/graph/operator.h"

enum { PLB_CHUNK = 1024 };

PLB_INLINE float plb__from_bf16(uint16_t x)
{
    return plb__float_of((uint32_t)x << 16);
}

/* Rounds to nearest, ties to even; a NaN stays one (quiet, its payload cut). */
PLB_INLINE uint16_t plb__to_bf16(float x)
{
    uint32_t bits = plb__bits_of(x);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;

    return (uint16_t)(x != x ? (bits >> 16 | 0x40u) : rounded);
}

void plb__widen(float *y, const uint16_t *x, int64_t n);
void plb__narrow(uint16_t *y, const float *x, int64_t n);

/* n elements of a cell (f32 or bf16) from element `at` on, as floats to read: the cell's own memory
 * or `buffer`, which has room for n. */
static inline const float *plb__read(const struct plb_tensor *cell, int64_t at, int64_t n,
                                     float *buffer)
{
    if (cell->dtype == PLB_F32)
        return (const float *)cell->data + at;
    plb__widen(buffer, (const uint16_t *)cell->data + at, n);
    return buffer;
}

/* Where a kernel writes elements of a cell from `at` on, before plb__written(). */
static inline float *plb__write(const struct plb_tensor *cell, int64_t at, float *buffer)
{
    return cell->dtype == PLB_F32 ? (float *)cell->data + at : buffer;
}

/* The n elements that plb__write() gave a place for are there: rounds them if that is needed. */
static inline void plb__written(const struct plb_tensor *cell, int64_t at, int64_t n,
                                const float *buffer)
{
    if (cell->dtype == PLB_BF16)
        plb__narrow((uint16_t *)cell->data + at, buffer, n);
}

/* Copies n elements of a cell to floats, whatever its dtype. */
void plb__load(float *y, const struct plb_tensor *cell, int64_t at, int64_t n);
/* Copies n floats to a cell. */
void plb__store(const struct plb_tensor *cell, int64_t at, const float *x, int64_t n);

/* The number of the cell that holds row `row` of an operand with PLB_LIST that is not cut by
 * columns, searched from cell `hint` on (cells come in order of rows, so a walk passes the last
 * answer). The row must be there. */
static inline int plb__cell_of_row(const struct plb_operand *operand, int64_t row, int hint)
{
    int k = hint < operand->n_parts && operand->part[hint].row0 <= row ? hint : 0;

    while (operand->part[k].row0 + operand->part[k].shape.dim[0] <= row)
        k++;
    return k;
}

/* Applies `leaf` to all elements of the one part of each of n_in inputs (one or two; x[1] is NULL
 * for one) and of the first output, in pieces. y may be x[0] or x[1]. */
typedef void plb__leaf(float *y, const float *const x[2], int64_t n,
                       const struct plb_attributes *a);
enum plb_status plb__map(const struct plb_call *call, int n_in, plb__leaf *leaf);

#endif
