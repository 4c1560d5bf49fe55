/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walk of the policy "online": one pass over a step under a number of bytes. Not installed.
 *
 * Thread-safety: a plb__online belongs to one thread.
 */
#ifndef PLB_MEMORY_ONLINE_WALK_H
#define PLB_MEMORY_ONLINE_WALK_H

#include "runtime/plan/policy.h"

/* How a walk weighs what it could evict. */
struct plb__online_weights {
    double distance; /* exponent of the time to the next use */
    double near;     /* share of the step within which values that are missing are made together */
    double link;     /* what a second of a transfer costs that is not seen */
    double lead;     /* share of the step by which a value is fetched before it must be */
    double again;    /* what a second counts of tasks that run again */
};

/* What a walk came to. */
struct plb__online_result {
    struct plb_plan draft;     /* RUN, OFFLOAD, FETCH; owned by the caller */
    double again_seconds;      /* of tasks that ran again */
    uint32_t evictions, looks; /* values evicted, and looked at for that */
};

struct plb__online;

/* What all walks over the problem's step have in common. The problem must outlive it.
 * PLB_ERROR_MEMORY. */
enum plb_status plb__online_create(const struct plb_problem *problem,
                                   struct plb__online **online_out);
void plb__online_destroy(struct plb__online *o); /* NULL is allowed */

/* Walks once. `bytes`: what may lie on the device at any point beside what the limits hold there
 * all the time (initial values, held gradients, reserved bytes). PLB_ERROR_MEMORY when the walk
 * gets stuck: nothing can be evicted any more, or hardly anything but tasks run again is done. */
enum plb_status plb__online_walk(struct plb__online *o, size_t bytes,
                                 const struct plb__online_weights *weights,
                                 struct plb__online_result *result_out);

#endif
