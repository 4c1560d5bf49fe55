/* SPDX-License-Identifier: BSD-3-Clause */
/* Copying ranges out of cells. */
#include "config.h"

#include "runtime/run/gather.h"

#include "tests/support/plb_test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 7
#define COLS 10

/* A value of ROWS x COLS in which element (i, j) is 100 i + j, as a grid of cells. */
struct grid {
    int32_t data[ROWS * COLS]; /* cell after cell */
    struct plb_tensor part[ROWS * COLS];
    struct plb_operand operand;
};

static void grid_make(struct grid *grid, const int *rows, int n_rows, const int *cols, int n_cols)
{
    int32_t *next = grid->data;
    int n = 0;

    for (int a = 0; a < n_rows; a++) {
        for (int b = 0; b < n_cols; b++) {
            grid->part[n++] = (struct plb_tensor){
                .data = next,
                .dtype = PLB_I32,
                .shape = plb_shape2(rows[a + 1] - rows[a], cols[b + 1] - cols[b]),
                .row0 = rows[a],
                .col0 = cols[b],
            };
            for (int i = rows[a]; i < rows[a + 1]; i++) {
                for (int j = cols[b]; j < cols[b + 1]; j++)
                    *next++ = 100 * i + j;
            }
        }
    }
    grid->operand = (struct plb_operand){n, grid->part, plb_shape2(ROWS, COLS)};
}

static const int rows[] = {0, 3, 4, 7}, cols[] = {0, 4, 10};

/* Every range of every value, from every number of cells. */
static void every_range(void)
{
    static const int whole_rows[] = {0, 7}, whole_cols[] = {0, 10};
    int32_t buffer[ROWS * COLS + 1];
    struct plb_tensor part;
    struct grid grid;

    for (int kind = 0; kind < 4; kind++) {
        grid_make(&grid, kind & 1 ? rows : whole_rows, kind & 1 ? 3 : 1,
                  kind & 2 ? cols : whole_cols, kind & 2 ? 2 : 1);
        for (int r0 = 0; r0 < ROWS; r0++) {
            for (int r1 = r0 + 1; r1 <= ROWS; r1++) {
                for (int c0 = 0; c0 < COLS; c0 += 3) {
                    for (int c1 = c0 + 1; c1 <= COLS; c1 += 2) {
                        size_t n = (size_t)(r1 - r0) * (size_t)(c1 - c0);
                        bool right = true;

                        buffer[n] = -7;
                        PLB_CHECK_EQ(plb__gather_bytes(&grid.operand, r0, r1, c0, c1), 4 * n);
                        PLB_CHECK_EQ(plb__gather(&grid.operand, r0, r1, c0, c1, &plb__copier_cpu, buffer, &part),
                                     PLB_OK);
                        for (size_t i = 0; i < n; i++)
                            right = right && buffer[i] == 100 * (r0 + (int)i / (c1 - c0)) + c0 +
                                                              (int)i % (c1 - c0);
                        PLB_CHECK(right);
                        PLB_CHECK_EQ(buffer[n], -7);
                        PLB_CHECK(part.data == buffer && part.dtype == PLB_I32);
                        PLB_CHECK(part.row0 == r0 && part.col0 == c0 && part.shape.rank == 2);
                        PLB_CHECK(part.shape.dim[0] == r1 - r0 && part.shape.dim[1] == c1 - c0);
                    }
                }
            }
        }
    }
}

static void exact_is_one_cell_with_the_range(void)
{
    struct plb_operand absent = {0, NULL, {0}}, one;
    struct grid grid;

    grid_make(&grid, rows, 3, cols, 2);
    PLB_CHECK(!plb__operand_is_exact(&grid.operand, 0, ROWS, 0, COLS));
    one = (struct plb_operand){1, &grid.part[3], plb_shape2(ROWS, COLS)};
    PLB_CHECK(plb__operand_is_exact(&one, 3, 4, 4, 10));
    PLB_CHECK(!plb__operand_is_exact(&one, 3, 5, 4, 10));
    PLB_CHECK(!plb__operand_is_exact(&one, 2, 4, 4, 10));
    PLB_CHECK(!plb__operand_is_exact(&one, 3, 4, 5, 10));
    PLB_CHECK(!plb__operand_is_exact(&one, 3, 4, 4, 9));
    PLB_CHECK(plb__operand_is_exact(&absent, 0, 5, 0, 5));
    PLB_CHECK_EQ(plb__gather_bytes(&absent, 0, 5, 0, 5), 0);
}

/* Columns of a value of another rank than 2 are not looked at. */
static void other_ranks_have_rows_only(void)
{
    uint16_t data[2][12], buffer[12];
    struct plb_tensor part[2], got;
    struct plb_operand operand = {2, part, plb_shape4(4, 3, 1, 2)};

    for (int i = 0; i < 24; i++)
        data[i / 12][i % 12] = (uint16_t)i;
    for (int k = 0; k < 2; k++)
        part[k] = (struct plb_tensor){data[k], PLB_BF16, plb_shape4(2, 3, 1, 2), 2 * k, 0};
    PLB_CHECK_EQ(plb__gather_bytes(&operand, 1, 3, 0, 1), 24);
    PLB_CHECK_EQ(plb__gather(&operand, 1, 3, 0, 1, &plb__copier_cpu, buffer, &got), PLB_OK);
    for (int i = 0; i < 12; i++)
        PLB_CHECK_EQ(buffer[i], i + 6);
    PLB_CHECK(got.shape.rank == 4 && got.shape.dim[0] == 2 && got.shape.dim[1] == 3);
    PLB_CHECK(got.row0 == 1 && got.col0 == 0);
    operand.n_parts = 1;
    PLB_CHECK(plb__operand_is_exact(&operand, 0, 2, 0, 1));
}

static void what_is_wrong_is_refused(void)
{
    struct plb_tensor untouched = {.row0 = 42}, part = untouched;
    struct plb_operand absent = {0, NULL, {0}};
    int32_t buffer[ROWS * COLS];
    struct grid grid;

    grid_make(&grid, rows, 3, cols, 2);
    grid.operand.n_parts = 5;
    PLB_CHECK_EQ(plb__gather(&grid.operand, 0, ROWS, 0, COLS, &plb__copier_cpu, buffer, &part), PLB_ERROR_INTERNAL);
    PLB_CHECK_CONTAINS(plb_error_message(), "52 of the 70 elements");
    PLB_CHECK_EQ(plb__gather(&grid.operand, 0, 4, 0, COLS, &plb__copier_cpu, buffer, &part), PLB_OK);
    part = untouched;
    grid.part[1].dtype = PLB_F32;
    PLB_CHECK_EQ(plb__gather(&grid.operand, 0, 4, 0, COLS, &plb__copier_cpu, buffer, &part), PLB_ERROR_INTERNAL);
    PLB_CHECK_CONTAINS(plb_error_message(), "cells of i32 and of f32");
    PLB_CHECK_EQ(plb__gather(&absent, 0, 4, 0, COLS, &plb__copier_cpu, buffer, &part), PLB_ERROR_INTERNAL);
    PLB_CHECK_EQ(part.row0, 42);
}

PLB_TEST_MAIN("runtime/run/gather", NULL, NULL, PLB_TEST(every_range),
              PLB_TEST(exact_is_one_cell_with_the_range), PLB_TEST(other_ranks_have_rows_only),
              PLB_TEST(what_is_wrong_is_refused))
