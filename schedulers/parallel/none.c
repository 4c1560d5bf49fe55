/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * none: everything at the first place, in the graph's order.
 */
#include "config.h"

#include "schedulers/schedulers.h"

#include <stdlib.h>

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    uint32_t places = plb_places_count(problem->places), n = plb_graph_tasks(problem->graph);

    hybrid_out->n_places = places;
    hybrid_out->in_place = calloc((size_t)places + 1, sizeof *hybrid_out->in_place);
    hybrid_out->run = malloc(((size_t)n + 1) * sizeof *hybrid_out->run);
    if (!hybrid_out->in_place || !hybrid_out->run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %u runs", n);
    for (uint32_t p = 1; p <= places; p++)
        hybrid_out->in_place[p] = n;
    for (plb_task_id t = 0; t < n; t++)
        hybrid_out->run[t] = t;
    return PLB_OK;
}

const struct plb_parallel_policy plb_parallel_none = {
    .name = "none",
    .help = "everything at the first place",
    .plan = plan,
};
