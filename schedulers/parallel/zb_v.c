/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ZB-V (Qi et al. 2023, "Zero Bubble Pipeline Parallelism", section 6; Qi et al. 2024, "Pipeline
 * Parallelism with Controllable Memory", V-ZB): two chunks of the model at each stage, laid as a V,
 * so that the last chunk lies where the first one does and its backward pass can begin at once.
 * With what 1F1B holds, p micro-batches at each stage, and F = B = W, no stage waits once it has
 * begun: the bubble is (p - 1)/(6m + p - 1) of the time in a step alone, counted in jobs of half a
 * stage.
 *
 * The papers find orders by search; here it is the greedy one under that capacity, which suits
 * whatever jobs take.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    bool is_v = pipeline->chunks == 2 * pipeline->stages;

    for (uint32_t c = 0; is_v && c < pipeline->chunks; c++)
        is_v = pipeline->stage_of[c] == plb__rule_stage(&plb__rule_zb_v, c, pipeline->stages);
    if (!is_v)
        return plb_fail(PLB_ERROR_INVALID, "'zb-v' is defined for two chunks at each stage that "
                        "lie as a V, not for %u chunks at %u stages", pipeline->chunks,
                        pipeline->stages);
    return plb__order_greedily(pipeline, schedule_out);
}

const struct plb__pipe_rule plb__rule_zb_v = {
    .name = "zb-v",
    .v_shape = true,
    .chunks = 2,
    .in_flight = 1,
    .order = order,
};

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_zb_v, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_zb_v = {
    .name = "zb-v",
    .help = "two chunks at each stage, laid as a V, without bubbles",
    .plan = plan,
};
