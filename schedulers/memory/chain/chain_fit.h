/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The largest target whose plan fits, found fast.
 *
 * As fit.h, but the search goes by the bytes of a plan's copies, which one walk along the plan
 * counts; only what comes out of the search is laid out. The layout seldom takes more than the
 * copies, and where it does the search of fit.h goes on below.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_FIT_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_FIT_H

#include "schedulers/memory/common/fit.h"

/* The values of a graph. */
struct plb__sizes {
    size_t *bytes; /* per value */
    bool *free;    /* per value: not counted: it is there in any case */
};

/* Bytes that the device has beside initial values, work space and gradients that limits hold. */
size_t plb__device_room(const struct plb_problem *problem);

/* Most bytes of copies on the device at any instruction of a finished plan, those of free values and
 * what takes over their storage not counted. PLB_ERROR_MEMORY. */
enum plb_status plb__plan_peak(const plb_graph_t *graph, const struct plb_plan *plan,
                               const struct plb__sizes *sizes, size_t *peak_out);

/* As plb__fit_plan(). */
enum plb_status plb__chain_fit(const struct plb_problem *problem, const struct plb__fit *fit,
                               const struct plb__sizes *sizes, struct plb_plan *plan_out);

/* What a plan makes of the room that there is, for the next one. */
struct plb__chain_goal {
    size_t room, used; /* bytes of the device, and of the plan's copies; 0: there was no plan yet */
};

enum plb_status plb__chain_note(const struct plb_problem *problem, const struct plb_plan *plan,
                                const struct plb__sizes *sizes, struct plb__chain_goal *goal);

/* As plb__chain_fit(), fast: a few plans, whose copies come close to the part of the room that the
 * goal has. None of them is laid out. PLB_ERROR_MEMORY also when none of them is near. */
enum plb_status plb__chain_refit(const struct plb_problem *problem, const struct plb__fit *fit,
                                 const struct plb__sizes *sizes, const struct plb__chain_goal *goal,
                                 struct plb_plan *plan_out);

#endif
