/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ZB-H1 (Qi et al. 2023, "Zero Bubble Pipeline Parallelism", section 2.2): 1F1B in which the
 * gradient of the weights waits, the longer the later the stage, and fills what would be a bubble
 * at the end. A stage then holds what the first one holds in 1F1B, p micro-batches. The bubble is
 * (p - 1)(F + B - W), which is (p - 1)/(3m + p - 1) of the time when F = B = W.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    return plb__order_in_turns(pipeline, plb__rule_zb_h1.name, 1, schedule_out);
}

const struct plb__pipe_rule plb__rule_zb_h1 = {
    .name = "zb-h1",
    .chunks = 1,
    .order = order,
};

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_zb_h1, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_zb_h1 = {
    .name = "zb-h1",
    .help = "1f1b with gradients of weights in its bubbles",
    .plan = plan,
};
