/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One block of queries with one block of keys, in the gradient of attention: what a task carries
 * from pair to pair of blocks, and the products that they need. The walk over blocks is in
 * attention_gradient.c, where the formulas stand.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ATTENTION_PAIRS_H
#define PLB_CODELETS_ATTENTION_PAIRS_H

#include "codelets/attention/attention.h"

enum { PLB__PAIRS_QUERIES = 64, PLB__PAIRS_KEYS = 128 }; /* a block at most */

/* Scratch memory of a task; x padded D where it does not say otherwise. */
struct plb__pairs_memory {
    float *key_panels, *value_panels; /* of one head, transposed in panels */
    float *keys;
    float *dkeys, *dvalues;  /* sums for the positions from `base` on */
    float *queries, *dy;     /* of a block; queries are scaled */
    float *dqueries;         /* of a block */
    float *scores, *dscores; /* of a block, queries x PLB__PAIRS_KEYS */
    float *lse, *delta;      /* of a block's rows */
    float *buffer;           /* for packing, and for y */
};

/* What stays the same while a task goes over one head of one sequence. */
struct plb__pass {
    const struct plb_call *call;
    const struct plb__heads *h;
    const struct plb__mask *mask; /* NULL without dropout */
    struct plb__pairs_memory m;
    int64_t origin;      /* first row of the sequence */
    int64_t first, last; /* positions of the range in it */
    int64_t base;        /* `first` rounded down to a whole panel */
    int64_t head;
};

/* Rows of queries, and the keys k0 to k0 + keys, whole panels, that they are to meet. */
struct plb__pair {
    int64_t at, rows, padded;
    int64_t k0, keys;
};

/* Takes the memory of a task; with an arena that only measures, its addresses are NULL. */
void plb__pairs_lay_out(struct plb__pairs_memory *memory, struct plb__arena *arena,
                        const struct plb__heads *h);

/* Adds the share of one pair of blocks: to `dqueries` if want_queries, to `dkeys` and `dvalues` if
 * want_keys. The block's rows of queries, dy, lse and delta, and the head's keys, are loaded. */
void plb__pairs_add(const struct plb__pass *pass, const struct plb__pair *pair, bool want_queries,
                    bool want_keys);

#endif
