/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Softmax over keys that come block by block: the running maximum and sum of Dao et al. 2022,
 * "FlashAttention", algorithm 1, for a block of queries of one head (or of heads that share keys).
 *
 * For each block of keys, the caller puts scores in place, has them made probabilities by
 * plb__flash_soften(), and adds probabilities times values to `sums`, which were corrected.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ATTENTION_FLASH_H
#define PLB_CODELETS_ATTENTION_FLASH_H

#include "codelets/attention/attention.h"

enum { PLB__FLASH_QUERIES = 64, PLB__FLASH_KEYS = 128 }; /* a block at most */

struct plb__flash {
    int64_t rows, padded; /* queries, and rounded up to whole tiles */
    int64_t columns;      /* of sums: padded D */
    int64_t *visible;     /* per row: it sees keys 0 to visible - 1; at least 1 */
    float *sums;          /* queries x columns */
    float *scores;        /* queries x PLB__FLASH_KEYS */
    float *top, *total;   /* per row: maximum so far, sum of exponentials below it */
};

/* Takes room for the largest block. */
void plb__flash_lay_out(struct plb__flash *flash, struct plb__arena *arena, int64_t padded_dim);

/* Begins a block of `rows` queries; the caller sets `visible`. */
void plb__flash_begin(struct plb__flash *flash, int64_t rows);

/* Scores of keys k0 to k0 + keys (a multiple of PLB__TILE_COLUMNS) become exponentials below the
 * running maximum, zero for keys that are not visible and in rows from `rows` to `padded`; `top`,
 * `total` and `sums` are corrected. The first block must hold key 0. */
void plb__flash_soften(const struct plb__flash *flash, int64_t k0, int64_t keys);

/* Divides row i of the sums by its total; returns log sum exp of its scores. */
float plb__flash_end(const struct plb__flash *flash, int64_t i);

#endif
