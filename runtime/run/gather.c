/* SPDX-License-Identifier: BSD-3-Clause */
/* Copying a range out of cells: see gather.h. */
#include "runtime/run/gather.h"

#include <inttypes.h>
#include <string.h>

/* A rectangle of a value seen as a matrix: any rank becomes rows times elements of a row. */
struct rectangle {
    int64_t row_low, row_high, col_low, col_high;
};

static struct rectangle range_rectangle(const struct plb_shape *whole, int64_t row_low,
                                        int64_t row_high, int64_t col_low, int64_t col_high)
{
    struct rectangle range = {row_low, row_high, col_low, col_high};
    if (whole->rank != 2) {
        range.col_low = 0;
        range.col_high = plb_shape_row_elements(whole);
    }
    return range;
}

static struct rectangle part_rectangle(const struct plb_tensor *part)
{
    struct rectangle cell = {part->row0, part->row0 + part->shape.dim[0], part->col0,
                             part->col0 + plb_shape_row_elements(&part->shape)};
    return cell;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool plb__operand_is_exact(const struct plb_operand *operand, int64_t row_low, int64_t row_high,
                           int64_t col_low, int64_t col_high)
{
    if (operand->n_parts == 0)
        return true;
    if (operand->n_parts > 1)
        return false;
    struct rectangle range = range_rectangle(&operand->whole, row_low, row_high, col_low, col_high);
    struct rectangle cell = part_rectangle(&operand->part[0]);
    return cell.row_low == range.row_low && cell.row_high == range.row_high &&
           cell.col_low == range.col_low && cell.col_high == range.col_high;
}

size_t plb__gather_bytes(const struct plb_operand *operand, int64_t row_low, int64_t row_high,
                         int64_t col_low, int64_t col_high)
{
    if (operand->n_parts == 0)
        return 0;
    struct rectangle range = range_rectangle(&operand->whole, row_low, row_high, col_low, col_high);
    /* A range lies within a value, whose bytes are known to fit. */
    return (size_t)(range.row_high - range.row_low) * (size_t)(range.col_high - range.col_low) *
           plb_dtype_bytes(operand->part[0].dtype);
}

static enum plb_status copy_rows(void *argument, void *to, size_t to_pitch, const void *from,
                                 size_t from_pitch, size_t width, size_t rows)
{
    (void)argument;
    if (width == from_pitch && width == to_pitch) {
        memcpy(to, from, rows * width);
        return PLB_OK;
    }
    for (size_t row = 0; row < rows; row++)
        memcpy((char *)to + row * to_pitch, (const char *)from + row * from_pitch, width);
    return PLB_OK;
}

const struct plb__copier plb__copier_cpu = {.copy = copy_rows};

/* Copies what `part` has of the range into the buffer and counts its elements. */
static enum plb_status copy_overlap(const struct plb_tensor *part, const struct rectangle *range,
                                    size_t element, const struct plb__copier *copier, char *buffer,
                                    int64_t *copied)
{
    struct rectangle cell = part_rectangle(part);
    int64_t row_low = larger(cell.row_low, range->row_low);
    int64_t row_high = smaller(cell.row_high, range->row_high);
    int64_t col_low = larger(cell.col_low, range->col_low);
    int64_t col_high = smaller(cell.col_high, range->col_high);
    if (row_low >= row_high || col_low >= col_high)
        return PLB_OK;

    size_t from_pitch = (size_t)(cell.col_high - cell.col_low) * element;
    size_t to_pitch = (size_t)(range->col_high - range->col_low) * element;
    size_t width = (size_t)(col_high - col_low) * element;
    size_t rows = (size_t)(row_high - row_low);
    const char *from = (const char *)part->data + (size_t)(row_low - cell.row_low) * from_pitch +
                       (size_t)(col_low - cell.col_low) * element;
    char *to = buffer + (size_t)(row_low - range->row_low) * to_pitch +
               (size_t)(col_low - range->col_low) * element;
    *copied += (row_high - row_low) * (col_high - col_low);
    return copier->copy(copier->argument, to, to_pitch, from, from_pitch, width, rows);
}

enum plb_status plb__gather(const struct plb_operand *operand, int64_t row_low, int64_t row_high,
                            int64_t col_low, int64_t col_high, const struct plb__copier *copier,
                            void *buffer, struct plb_tensor *part_out)
{
    struct rectangle range = range_rectangle(&operand->whole, row_low, row_high, col_low, col_high);
    int64_t wanted = (range.row_high - range.row_low) * (range.col_high - range.col_low);
    int64_t copied = 0;

    if (operand->n_parts == 0)
        return plb_fail(PLB_ERROR_INTERNAL, "an absent operand cannot be gathered");
    enum plb_dtype dtype = operand->part[0].dtype;
    for (int i = 0; i < operand->n_parts; i++) {
        if (operand->part[i].dtype != dtype)
            return plb_fail(PLB_ERROR_INTERNAL, "cells of %s and of %s in one operand",
                            plb_dtype_name(dtype), plb_dtype_name(operand->part[i].dtype));
        PLB_TRY(copy_overlap(&operand->part[i], &range, plb_dtype_bytes(dtype), copier, buffer,
                             &copied));
    }
    if (copied != wanted)
        return plb_fail(PLB_ERROR_INTERNAL,
                        "cells hold %" PRId64 " of the %" PRId64 " elements of rows %" PRId64
                        " to %" PRId64,
                        copied, wanted, row_low, row_high);

    struct plb_tensor part = {.data = buffer,
                              .dtype = dtype,
                              .shape = operand->whole,
                              .row0 = range.row_low,
                              .col0 = range.col_low};
    part.shape.dim[0] = range.row_high - range.row_low;
    if (part.shape.rank == 2)
        part.shape.dim[1] = range.col_high - range.col_low;
    *part_out = part;
    return PLB_OK;
}
