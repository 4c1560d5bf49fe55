/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The course of planning: what is tried, what was found.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_PLANNING_H
#define PLB_PARALLEL_AUTO_PLANNING_H

#include "schedulers/parallel/auto/draft.h"

/* Places up to which every number of replicas is tried; and classes of replicas that differ. */
#define PLB__SMALL_FLEET 16u

/* All that plans of a problem are made from. */
struct plb__auto_planning {
    const struct plb_auto_problem *problem;
    uint32_t n_fleets;
    struct plb__fleet *fleet;
    uint32_t n_rows;
    struct plb__rows *rows;
    uint32_t n_sizes;           /* of micro-batches */
    uint32_t *micro_batches;    /* per size: of a step */
    struct plb__tables *tables; /* per size */
    struct plb__auto_pool pool;
    struct plb__auto_draft best;     /* as played */
    double limit;               /* seconds of the best draft by the formula */
    double least_bytes;
    uint64_t visited;
    uint32_t played;
};

/* Checks the problem, makes tables and, unless the caller has its own, rows of the places that are
 * not gone (NULL: all). `x` is to be cleared also on failure. */
enum plb_status plb__auto_planning_begin(const struct plb_auto_problem *problem, bool rows,
                                    const bool *gone, struct plb__auto_planning *x);
void plb__auto_planning_clear(struct plb__auto_planning *x);

/* Plays a copy of the draft under a rule, and keeps it when it is the best so far. */
enum plb_status plb__auto_planning_try(struct plb__auto_planning *x,
                                       const struct plb__auto_draft *draft,
                                  const struct plb__pipe_rule *rule, bool refine);
/* Writes the best down, or says why there is none. */
enum plb_status plb__auto_planning_end(struct plb__auto_planning *x,
                                       struct plb_auto_plan *plan_out);

/* plb_auto_plan_make() for the places that are left. */
enum plb_status plb__auto_plan_without(const struct plb_auto_problem *problem, const bool *gone,
                                  struct plb_auto_plan *plan_out);

#endif
