/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "lru": nothing is made again. When the device is full, the value that was used
 * the longest time ago leaves for host memory, or the disk, and it comes back when a task asks for
 * it: what a cache does that knows nothing of the future (StarPU's own eviction, and the first
 * iteration of Capuchin: Peng et al. 2020). Values of all phases may leave.
 */
#include "config.h"

#include "schedulers/memory/common/pager.h"
#include "schedulers/schedulers.h"

static enum plb_status plan_lru(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return plb__pager_plan(problem, plb__leaves_oldest, false, plan_out);
}

static enum plb_status replan_lru(const struct plb_problem *problem, enum plb_event event,
                                  const struct plb_plan *current, struct plb_plan *plan_out)
{
    (void)event;
    (void)current;
    return plb__pager_replan(problem, plb__leaves_oldest, false, plan_out);
}

const struct plb_memory_policy plb_memory_lru = {
    .name = "lru",
    .help = "offload the least recently used values, fetch on demand",
    .plan = plan_lru,
    .replan = replan_lru,
};
