/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GPipe (Huang et al. 2019, "GPipe: Efficient Training of Giant Neural Networks using Pipeline
 * Parallelism"): all forward passes, then all backward passes. The bubble is (p - 1)/(m + p - 1) of
 * the time with p stages and m micro-batches; a stage holds all m of them.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    struct plb__orders orders;

    PLB_TRY(plb__rule_wants_one_chunk(pipeline, plb__rule_gpipe.name));
    PLB_TRY(plb__orders_begin(pipeline, &orders));
    for (uint32_t s = 0; s < pipeline->stages; s++) {
        for (uint32_t j = 0; j < pipeline->micro_batches; j++)
            plb__orders_add(&orders, s, PLB__JOB_F, s, j);
        for (uint32_t j = 0; j < pipeline->micro_batches; j++)
            plb__orders_add(&orders, s, PLB__JOB_B, s, j);
    }
    plb__orders_end(&orders, schedule_out);
    return PLB_OK;
}

const struct plb__pipe_rule plb__rule_gpipe = {
    .name = "gpipe",
    .fused = true,
    .chunks = 1,
    .order = order,
};

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_gpipe, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_gpipe = {
    .name = "gpipe",
    .help = "all forward passes, then all backward passes",
    .plan = plan,
};
