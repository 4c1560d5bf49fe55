/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tp: tensor parallel. The shards of a graph (its layers were divided when it was made) lie side by
 * side, shard s at place s; with more places than shards there are replicas, as dp makes them. A
 * graph without shards is refused here.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    uint32_t n = plb_places_count(problem->places);

    if (plb__shards_of(problem->graph) == 1 && n > 1)
        return plb_fail(PLB_ERROR_INVALID, "the graph is not divided into shards, %u places would "
                        "have nothing to do: make the model with a tensor degree", n - 1);
    return plb_parallel_dp.plan(problem, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_tp = {
    .name = "tp",
    .help = "tensor parallel: the shards of the model's layers at as many places",
    .plan = plan,
};
