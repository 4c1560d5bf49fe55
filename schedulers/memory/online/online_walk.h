/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walk of the policy "online": one pass over a step under a number of bytes. Not installed.
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
};

/* What a walk came to. */
struct plb__online_result {
    struct plb_plan draft;     /* RUN, OFFLOAD, FETCH; owned by the caller */
    double again_seconds;      /* of tasks that ran again */
    uint32_t evictions, looks; /* values evicted, and looked at for that */
};

/* Walks once. `bytes`: what may lie on the device at any point beside what the limits hold there
 * all the time (initial values, held gradients, reserved bytes). PLB_ERROR_MEMORY when the walk
 * gets stuck: nothing can be evicted any more, or hardly anything but tasks run again is done. */
enum plb_status plb__online_walk(const struct plb_problem *problem, size_t bytes,
                                 const struct plb__online_weights *weights,
                                 struct plb__online_result *result_out);

#endif
