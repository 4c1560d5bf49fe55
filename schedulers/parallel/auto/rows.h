/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fleet divided into replicas.
 *
 * Each replica is a slice of the row, all of one length unless places are gone; slices that are
 * the same are of one *class* and share their line. Micro-batches are dealt out in proportion to
 * what the places of a slice can do.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_ROWS_H
#define PLB_PARALLEL_AUTO_ROWS_H

#include "schedulers/parallel/auto/judge.h"

struct plb__rows {
    const struct plb__fleet *fleet;
    uint32_t replicas;        /* slices */
    uint32_t *first, *n;      /* per replica: its first entry, its entries */
    uint32_t n_classes;
    uint32_t *class_of;       /* per replica */
    uint32_t *of_class;       /* per class: its first replica */
    struct plb__ring beside;  /* the slowest way between one replica and the next, when all
                                 places send at once */
};

/* `n`: entries of each slice; NULL: as many each as there are. PLB_ERROR_MEMORY. */
enum plb_status plb__rows_create(const struct plb__fleet *fleet, uint32_t replicas,
                                 const uint32_t *n, struct plb__rows *rows_out);
void plb__rows_clear(struct plb__rows *rows);

/* Micro-batches per replica, `m` in all, at least one each; `shift` of them, as far as they go,
 * from the last replica to the first, or back when it is negative. */
void plb__rows_deal(const struct plb__rows *rows, const struct plb__tables *tables, uint32_t m,
                    int shift, uint32_t *share_out);

/* ---- balanced lines, without a search: what the fixed policies do ---- */

/* `chunks` chunks on `stages` stages of 2^d places, laid as the rule says, the slowest as fast as
 * can be. False: there is none. line_out->stage has room for all chunks. */
bool plb__balance(const struct plb__slice *slice, const struct plb__pipe_rule *rule,
                  uint32_t stages, uint32_t chunks, uint32_t d, struct plb__line *line_out);

#endif
