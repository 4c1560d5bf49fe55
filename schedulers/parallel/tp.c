/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tp: tensor parallel. The shards of a graph (its layers were divided when it was made) lie side by
 * side, shard s at place s; with more places than shards there are replicas.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    return plb__order_in_turns(pipeline, "tp", 0, schedule_out);
}

static const struct plb__pipe_rule rule = {
    .name = "tp",
    .fused = true,
    .chunks = 1,
    .order = order,
};

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    struct plb_parallel_problem mine = *problem;
    uint32_t shards = plb__shards_of(problem->graph), n = plb_places_count(problem->places);

    if (problem->degrees.stages > 1)
        return plb_fail(PLB_ERROR_INVALID, "there is one stage, not %u: take a pipeline, such as "
                        "'1f1b', whose stages have several places", problem->degrees.stages);
    if (shards == 1 && n > 1)
        return plb_fail(PLB_ERROR_INVALID, "the graph is not divided into shards, %u places "
                        "would have nothing to do: make the model with a tensor degree", n - 1);
    mine.degrees.stages = 1;
    if (mine.degrees.replicas == 0)
        mine.degrees.replicas = n > shards ? n / shards : 1;
    return plb__pipe_plan(&mine, &rule, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_tp = {
    .name = "tp",
    .help = "tensor parallel: the shards of the model's layers at as many places",
    .plan = plan,
};
