/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "swap": nothing is made again. When the device is full, the value that is
 * needed last leaves for host memory, or the disk (Belady 1966). It is copied out as soon as it is
 * made and comes back ahead of its use, as far as memory and link allow (SwapAdvisor's rule, Huang
 * et al. 2020, section 4.3, without its search for an order of the tasks). Values of all phases may
 * leave.
 */
#include "config.h"

#include "schedulers/memory/common/pager.h"
#include "schedulers/schedulers.h"

static enum plb_status plan_swap(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return plb__pager_plan(problem, plb__leaves_farthest, true, plan_out);
}

static enum plb_status replan_swap(const struct plb_problem *problem, enum plb_event event,
                                   const struct plb_plan *current, struct plb_plan *plan_out)
{
    (void)event;
    (void)current;
    return plb__pager_replan(problem, plb__leaves_farthest, true, plan_out);
}

const struct plb_memory_policy plb_memory_swap = {
    .name = "swap",
    .help = "offload the values that are needed last, fetch them ahead",
    .plan = plan_swap,
    .replan = replan_swap,
};
