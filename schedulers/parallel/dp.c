/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dp: data parallel. Each replica has the whole model and some of the micro-batches; gradients are
 * summed over replicas in the graph's fixed tree, and every replica updates its parameters, or,
 * with divided state, one does and sends them (ZeRO-1: Rajbhandari et al. 2020, "ZeRO", section
 * 5.1). A graph in shards takes as many places for each replica. Within a replica micro-batches
 * come one after the other, as in a pipeline of one stage.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    struct plb_parallel_problem mine = *problem;
    uint32_t shards = plb__shards_of(problem->graph), n = plb_places_count(problem->places);

    if (problem->degrees.stages > 1)
        return plb_fail(PLB_ERROR_INVALID, "there is one stage, not %u: take a pipeline, such as "
                        "'1f1b', with replicas", problem->degrees.stages);
    mine.degrees.stages = 1;
    if (mine.degrees.replicas == 0)
        mine.degrees.replicas = n > shards ? n / shards : 1;
    return plb__pipe_plan(&mine, &plb__rule_1f1b, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_dp = {
    .name = "dp",
    .help = "data parallel: the whole model at each place",
    .plan = plan,
};
