/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zb-greedy: each stage, whenever it is free, takes what is ready, the gradient of inputs before a
 * forward pass before the gradient of weights, as long as memory allows. Times and travel may be as
 * uneven as they like. With the memory of 2p micro-batches it comes to the bubble of ZB-H1; with
 * that of p it lies between ZB-H1 and 1F1B with split gradients, than which it is never slower,
 * because that order is taken where it would be faster.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

/* Is there memory for it? */
static bool keeps(const struct plb__pipeline *pipeline, const struct plb__pipeline_times *times)
{
    for (uint32_t s = 0; pipeline->capacity && s < pipeline->stages; s++)
        if (times->peak[s] > pipeline->capacity[s])
            return false;
    return true;
}

/* Is `other` faster than `mine`, within the capacity? */
static enum plb_status is_better(const struct plb__pipeline *pipeline,
                                 const struct plb__schedule *other,
                                 const struct plb__schedule *mine, bool *better_out)
{
    struct plb__pipeline_times a = {0}, b = {0};
    enum plb_status status = plb__pipeline_play(pipeline, other, &a);

    if (status == PLB_OK)
        status = plb__pipeline_play(pipeline, mine, &b);
    *better_out = status == PLB_OK && keeps(pipeline, &a) && a.seconds < b.seconds;
    plb__pipeline_times_clear(&a);
    plb__pipeline_times_clear(&b);
    return status;
}

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    struct plb__schedule mine = {0}, turns = {0};
    bool better = false;
    enum plb_status status;

    PLB_TRY(plb__order_greedily(pipeline, &mine));
    if (pipeline->chunks != pipeline->stages) {
        *schedule_out = mine;
        return PLB_OK;
    }
    status = plb__rule_1f1b_split.order(pipeline, &turns);
    if (status == PLB_OK)
        status = is_better(pipeline, &turns, &mine, &better);
    if (status == PLB_OK)
        *schedule_out = better ? turns : mine;
    plb__schedule_clear(status == PLB_OK && better ? &mine : &turns);
    if (status != PLB_OK)
        plb__schedule_clear(&mine);
    return status;
}

const struct plb__pipe_rule plb__rule_zb_greedy = {
    .name = "zb-greedy",
    .chunks = 1,
    .in_flight = 2,
    .order = order,
};

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_zb_greedy, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_zb_greedy = {
    .name = "zb-greedy",
    .help = "gradient of inputs, forward, gradient of weights, as memory allows",
    .plan = plan,
};
