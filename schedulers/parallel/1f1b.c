/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 1F1B (Narayanan et al. 2019, "PipeDream"; flushed at the end of a step as in Fan et al. 2021,
 * "DAPPLE"): once the first backward pass has come back, one forward and one backward pass in
 * turns. The bubble is that of GPipe, (p - 1)/(m + p - 1); stage s holds at most p - s
 * micro-batches.
 *
 * "1f1b-split" has the same order, but the gradient of the weights is a job of its own: what goes
 * to the stage before leaves earlier.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    return plb__order_in_turns(pipeline, pipeline->fused ? "1f1b" : "1f1b-split", 0, schedule_out);
}

const struct plb__pipe_rule plb__rule_1f1b = {
    .name = "1f1b",
    .fused = true,
    .chunks = 1,
    .order = order,
};

const struct plb__pipe_rule plb__rule_1f1b_split = {
    .name = "1f1b-split",
    .chunks = 1,
    .order = order,
};

static enum plb_status plan_1f1b(const struct plb_parallel_problem *problem,
                                 struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_1f1b, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_1f1b = {
    .name = "1f1b",
    .help = "one forward and one backward pass in turns",
    .plan = plan_1f1b,
};

static enum plb_status plan_1f1b_split(const struct plb_parallel_problem *problem,
                                       struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_1f1b_split, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_1f1b_split = {
    .name = "1f1b-split",
    .help = "1f1b with the gradient of weights apart",
    .plan = plan_1f1b_split,
};
