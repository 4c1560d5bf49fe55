/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan in virtual time.
 *
 * The simulator plays a plan as the executor does: the platform's workers take the ready RUN that
 * comes first in the plan, and so does each link with copies, one after the other (in both
 * directions at once when it is duplex), and main memory with its RUNs; an instruction is ready
 * when its inputs are there and the bytes that it writes to are free, by the same list of waits that
 * the executor obeys (plb_layout.wait). The result depends on nothing but the plan, the layout and the costs.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_PLAN_SIMULATE_H
#define PLB_PLAN_SIMULATE_H

#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb_simulated { /* of one instruction, seconds from the start of the step */
    double start, end;
    int lane; /* RUN: the worker, or PLB_LANE_BESIDE; moves: PLB_LANE_OUT, PLB_LANE_IN + tier;
                 DROP: -1 */
};
#define PLB_LANE_BESIDE 900
#define PLB_LANE_OUT 1000 /* + tier */
#define PLB_LANE_IN  2000 /* + tier */

struct plb_simulation {
    double seconds;         /* makespan of one step that starts on an idle platform */
    double compute_seconds; /* sum of the times of all RUNs on the device, */
    double beside_seconds;  /* and of those in main memory, which are made one after the other */
    double again_seconds;   /* of the RUNs of tasks that have run before */
    double again_flops;
    double waited_seconds; /* workers' time without a task, all workers together */
    uint32_t again_tasks;
    size_t moved_out[PLB_TIERS], moved_in[PLB_TIERS]; /* bytes, from and to the device */
    size_t peak[PLB_TIERS];                           /* the layout's: initial values, arena */
    uint32_t n;
    struct plb_simulated *timeline; /* per instruction, of one step alone */
};

enum plb_status plb_simulate(const struct plb_plan *plan, const struct plb_layout *layout,
                             const struct plb_problem *problem, struct plb_simulation *result_out);
void plb_simulation_clear(struct plb_simulation *simulation);

#ifdef __cplusplus
}
#endif

#endif
