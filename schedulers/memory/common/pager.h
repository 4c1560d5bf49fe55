/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paging: the tasks in the order of the graph, and when the device is full the least wanted values
 * leave it. What two policies share that differ in which value that is.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_MEMORY_PAGER_H
#define PLB_MEMORY_PAGER_H

#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is known of a value on the device when one has to leave. */
struct plb__resident {
    plb_task_id last_use; /* the last task that made or read it */
    plb_task_id next_use; /* the next one that reads it; PLB_NONE: at the end of the step */
    size_t bytes;
};

/* Should `a` leave rather than `b`? */
typedef bool (*plb__leaves)(const struct plb__resident *a, const struct plb__resident *b);

/* What was used the longest time ago leaves (lru); what is needed last does, of several the largest
 * (swap). */
bool plb__leaves_oldest(const struct plb__resident *a, const struct plb__resident *b);
bool plb__leaves_farthest(const struct plb__resident *a, const struct plb__resident *b);

/* Writes the plan of the most room under the limits. */
enum plb_status plb__pager_plan(const struct plb_problem *problem, plb__leaves leaves,
                                bool fetches_ahead, struct plb_plan *plan_out);
/* Writes a plan of nearly the most room, in a few milliseconds: the answer to an event. */
enum plb_status plb__pager_replan(const struct plb_problem *problem, plb__leaves leaves,
                                  bool fetches_ahead, struct plb_plan *plan_out);

#ifdef __cplusplus
}
#endif

#endif
