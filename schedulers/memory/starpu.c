/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "starpu", for comparison: the order of "none", and values are left to StarPU,
 * which evicts the least recently used ones when the device is full and fetches them when a task
 * needs them (see runtime/run/starpu_managed.h). STARPU_SCHED=dmdas is what its manual advises for
 * that.
 */
#include "config.h"

#include "schedulers/schedulers.h"

static enum plb_status plan_starpu(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return plb_memory_none.plan(problem, plan_out);
}

const struct plb_memory_policy plb_memory_starpu = {
    .name = "starpu",
    .help = "keep every value until its last use, StarPU evicts by itself (for comparison)",
    .plan = plan_starpu,
    .left_to_starpu = true,
};
