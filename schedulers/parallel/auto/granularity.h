/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How large tasks should be, and what is decided before the run.
 *
 * A step is divided twice: into micro-batches, and each job of a stage into tasks of a target
 * size. Small pieces overlap better and keep all workers of a place busy; each costs the runtime
 * `task_seconds`. plb_granularity_make() plans and plays every pair of a number of micro-batches
 * and a target, and gives one row for each; the row with the least seconds is what "auto" takes.
 *
 * An order of jobs can be fixed before the run, from expected times, or found during it, from real
 * ones. plb_granularity_noise() plays both under times that are off by a known amount.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_GRANULARITY_H
#define PLB_PARALLEL_GRANULARITY_H

#include "schedulers/parallel/auto.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Seconds of kernels; 0: a job is one task. */
#define PLB_GRANULARITY_TARGETS 6
extern const double plb_granularity_targets[PLB_GRANULARITY_TARGETS];

struct plb_granularity_row {
    uint32_t micro_batches;
    double target;      /* seconds of a task */
    uint64_t tasks;     /* of a step, all places together, updates not counted */
    double seconds;     /* of a step; HUGE_VAL: no plan fits */
    double host_share;  /* of the workers' seconds within jobs: what the runtime added to tasks, */
    double idle_share;  /* and last rounds with too few tasks for all */
    double bubble;      /* of the pipeline */
    uint32_t replicas, stages, degree; /* of the plan: of its first replica, its first stage */
};

struct plb_granularity {
    uint32_t n, best; /* rows; the one with the least seconds */
    struct plb_granularity_row *row; /* by micro-batches, then target, falling */
};

/* The profile's seconds per sample count as those of kernels alone, spread over all workers of a
 * place; what the runtime adds follows from the platform's `task_seconds` and the target.
 * Micro-batches: powers of two that divide the samples, unless the profile or the problem says how
 * many. On more than 32 places replicas, stages and degree are chosen once for each number of
 * micro-batches. Statuses as plb_auto_plan_make(), where no row has a plan. */
enum plb_status plb_granularity_make(const struct plb_auto_problem *problem,
                                     struct plb_granularity *table_out);
void plb_granularity_clear(struct plb_granularity *table);

/* One line per amount of noise: every job takes its expected seconds times a factor drawn evenly
 * from [1 - noise, 1 + noise]. Seconds are multiples of those without noise. */
struct plb_granularity_noise {
    double noise;
    double fixed;  /* mean over seeds, in the order that was found before the run with expected
                      seconds (zb-greedy) */
    double online; /* ... of jobs taken as they become ready, by the same rule asked moment by
                      moment */
    double worst_fixed, worst_online; /* of all seeds */
};
#define PLB_GRANULARITY_NOISES 4

/* For the plan's first replica, its chunks taken for stages. PLB_ERROR_INVALID: no seeds, a plan
 * for latency; PLB_ERROR_MEMORY: a capacity that holds not even one micro-batch. */
enum plb_status plb_granularity_noise(const struct plb_auto_problem *problem,
                                      const struct plb_auto_plan *plan, uint32_t seeds,
                                      struct plb_granularity_noise row_out[PLB_GRANULARITY_NOISES]);

#ifdef __cplusplus
}
#endif

#endif
