/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Register tiles. The loops over a tile have constant bounds, so that the compiler unrolls the
 * rows, vectorises the columns and keeps the sums in registers: 16 of the 32 that AVX-512 has for a
 * tile of 8 x 32; half of that for AVX2, which has 16 registers of half the length and spills a
 * few.
 */
#include "config.h"

#include "codelets/attention/tiles.h"
#include "codelets/common/cpu.h"
#include "codelets/common/simd.h"

enum { ROWS = PLB__TILE_ROWS, COLUMNS = PLB__TILE_COLUMNS, ROWS_AVX2 = 4 };

/* One tile: c[i * c_row + j] gets (or is added) the sum over p < depth. */
PLB_INLINE void tile(int rows, float *restrict c, int64_t c_row, const float *restrict a,
                     int64_t a_row, int64_t a_depth, const float *restrict b, int64_t b_depth,
                     int64_t depth, bool add)
{
    float sum[ROWS][COLUMNS];

    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = 0.0f;
    }
    for (int64_t p = 0; p < depth; p++) {
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < COLUMNS; j++)
                sum[i][j] += a[i * a_row + p * a_depth] * b[p * b_depth + j];
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < COLUMNS; j++)
            c[i * c_row + j] = add ? c[i * c_row + j] + sum[i][j] : sum[i][j];
    }
}

/* All tiles, of `rows` rows each; strides of A as constants where they are 1. */
PLB_INLINE void multiply(const struct plb__tiles *t, int rows, int64_t a_row, int64_t a_depth)
{
    for (int64_t j = 0; j < t->n; j += COLUMNS) {
        const float *b = t->b.data + j / COLUMNS * t->b.panel;

        for (int64_t i = 0; i < t->m; i += rows) {
            int64_t low = 0, high = t->depth;

            if (t->causal == PLB__CAUSAL_RESULT && j > i + rows - 1 + t->diagonal)
                continue;
            if (t->causal == PLB__CAUSAL_QUERIES && high > i + rows + t->diagonal)
                high = i + rows + t->diagonal;
            if (t->causal == PLB__CAUSAL_KEYS && low < i - t->diagonal)
                low = i - t->diagonal;
            tile(rows, t->c.data + i * t->c.row + j, t->c.row,
                 t->a.data + i * a_row + low * a_depth, a_row, a_depth, b + low * t->b.depth,
                 t->b.depth, high - low, t->add);
        }
    }
}

PLB_KERNEL_CLONES static void multiply_8_rows(const struct plb__tiles *t)
{
    multiply(t, ROWS, t->a.row, 1);
}

PLB_KERNEL_CLONES static void multiply_8_transposed(const struct plb__tiles *t)
{
    multiply(t, ROWS, 1, t->a.depth);
}

PLB_KERNEL_CLONES static void multiply_4_rows(const struct plb__tiles *t)
{
    multiply(t, ROWS_AVX2, t->a.row, 1);
}

PLB_KERNEL_CLONES static void multiply_4_transposed(const struct plb__tiles *t)
{
    multiply(t, ROWS_AVX2, 1, t->a.depth);
}

void plb__tiles_multiply(const struct plb__tiles *product)
{
    bool wide = plb_cpu_features()->avx512;

    if (product->a.depth == 1)
        (wide ? multiply_8_rows : multiply_4_rows)(product);
    else
        (wide ? multiply_8_transposed : multiply_4_transposed)(product);
}
