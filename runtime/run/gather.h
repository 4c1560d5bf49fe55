/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gathering: copying a range out of the cells of a value into one dense buffer.
 *
 * Unless an operand has PLB_LIST, a kernel wants exactly its range as one part (see operator.h).
 * Where the cells are not that already, whoever calls the kernel gathers first. Nothing here knows
 * of StarPU or of graphs: cells in, bytes out.
 *
 * A range is rows row_low..row_high-1 and columns col_low..col_high-1 of the whole value. Only
 * values of rank 2 have columns; for other ranks rows are taken whole and the columns are not
 * looked at. An absent operand (no parts) is exact, takes no bytes and must not be gathered.
 *
 * Thread-safety: all functions are pure but for `buffer`.
 */
#ifndef PLB_RUN_GATHER_H
#define PLB_RUN_GATHER_H

#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the operand is one part that holds exactly the range (or is absent): nothing to do. */
bool plb__operand_is_exact(const struct plb_operand *operand, int64_t row_low, int64_t row_high,
                           int64_t col_low, int64_t col_high);

/* Bytes of the range, 0 for an absent operand. */
size_t plb__gather_bytes(const struct plb_operand *operand, int64_t row_low, int64_t row_high,
                         int64_t col_low, int64_t col_high);

/* Copies `rows` of `width` bytes each, where the operand lies. */
struct plb__copier {
    enum plb_status (*copy)(void *argument, void *to, size_t to_pitch, const void *from,
                            size_t from_pitch, size_t width, size_t rows);
    void *argument;
};

/* In main memory, at once. */
extern const struct plb__copier plb__copier_cpu;

/* Copies the range from the operand's cells, which may reach beyond it, into `buffer`
 * (plb__gather_bytes() bytes, aligned for the dtype) and describes the copy in `part_out`. The
 * cells must have one dtype and not overlap; PLB_ERROR_INTERNAL when they do not cover the range.
 */
enum plb_status plb__gather(const struct plb_operand *operand, int64_t row_low, int64_t row_high,
                            int64_t col_low, int64_t col_high, const struct plb__copier *copier,
                            void *buffer, struct plb_tensor *part_out);

#ifdef __cplusplus
}
#endif

#endif
