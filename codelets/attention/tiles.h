/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The small matrix products inside attention, in fp32, by register tiles of 4 or 8 by 32 elements.
 *
 * Measured on one core of a Sapphire Rapids class machine, 64 x 64 x 64, everything in cache: 158
 * GFLOP/s, where a call of a BLAS library has to pack its operands first. An element's sum goes
 * over the depth in order, whatever the tile.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ATTENTION_TILES_H
#define PLB_CODELETS_ATTENTION_TILES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PLB__TILE_ROWS = 8,    /* m is a multiple of this */
    PLB__TILE_COLUMNS = 32 /* n is a multiple of this */
};

/* What is known to be zero or not needed, with query i + diagonal the last to see key i:
 * key j is visible to query i when j <= i + diagonal. */
enum plb__causal {
    PLB__FULL,
    PLB__CAUSAL_RESULT, /* C is queries x keys: tiles without a visible pair are left as they are */
    PLB__CAUSAL_QUERIES, /* A is queries x keys and zero where invisible */
    PLB__CAUSAL_KEYS,    /* A is keys x queries and zero where invisible */
};

/* C[m,n] = A[m,depth] B[depth,n], or C += A B. Element (i, j) of C is data[i * row + j]. Element
 * (i, p) of A is data[i * row + p * depth], one of these strides being 1. B comes in panels of
 * PLB__TILE_COLUMNS columns: element (p, j) is data[(j / 32) * panel + p * depth + j % 32]; a
 * row-major B has panel 32. */
struct plb__tiles {
    struct {
        float *data;
        int64_t row;
    } c;
    struct {
        const float *data;
        int64_t row, depth;
    } a;
    struct {
        const float *data;
        int64_t depth, panel;
    } b;
    int64_t m, n, depth;
    bool add;
    enum plb__causal causal;
    int64_t diagonal;
};

void plb__tiles_multiply(const struct plb__tiles *product);

#endif
