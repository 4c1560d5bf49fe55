/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drafts: whole plans before they are written down.
 *
 * A draft divides a fleet into replicas, deals micro-batches and gives each class of replicas a
 * line. The search fills a *pool* with the drafts that the formula says are the fastest; these are
 * then played, each under every rule.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_DRAFT_H
#define PLB_PARALLEL_AUTO_DRAFT_H

#include "schedulers/parallel/auto/rows.h"

/* Of one class of replicas. */
struct plb__part {
    struct plb__line line;   /* owns its stages */
    uint32_t share;          /* the most micro-batches of any replica of the class */
    struct plb__verdict verdict;
};

struct plb__auto_draft {
    const struct plb__rows *rows;
    const struct plb__tables *tables;
    uint32_t micro_batches;
    int shift;               /* of the deal */
    double seconds;          /* by the formula, then as played */
    uint32_t list;           /* schedules that it was found for (plb__lines.best) */
    struct plb__part *part;  /* per class */
};

void plb__auto_draft_clear(struct plb__auto_draft *draft);
/* PLB_ERROR_MEMORY. The verdicts stay behind. */
enum plb_status plb__auto_draft_copy(const struct plb__auto_draft *draft,
                                     struct plb__auto_draft *copy_out);

/* Where the replicas of a class lie. `tables` is brought up to date with the replicas, too. */
struct plb__slice plb__auto_draft_slice(const struct plb__rows *rows, struct plb__tables *tables,
                                   uint32_t class, uint32_t share);

/* Plays the draft under a rule, with lines of that rule's chunks in place of its own where it has
 * several; draft->seconds is HUGE_VAL when it does not go. `played` counts. */
enum plb_status plb__auto_draft_play(struct plb__auto_draft *draft,
                                     const struct plb__pipe_rule *rule,
                                bool refine, uint32_t *played);

#define PLB__POOL 64u
struct plb__auto_pool {
    uint32_t n[PLB__LISTS];
    struct plb__auto_draft draft[PLB__LISTS][PLB__POOL]; /* by seconds */
};

/* Takes the draft over, or drops it. */
void plb__auto_pool_add(struct plb__auto_pool *pool, struct plb__auto_draft *draft);
void plb__auto_pool_clear(struct plb__auto_pool *pool);

/* Writes the draft down as played, its slowest class's bubble with it. PLB_ERROR_MEMORY. */
enum plb_status plb__auto_draft_write(const struct plb_auto_problem *problem,
                                      const struct plb__auto_draft *draft,
                                      struct plb_auto_plan *plan_out);

#endif
