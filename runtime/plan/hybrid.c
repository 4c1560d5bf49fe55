/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hybrid plans as data, and how a parallel policy is asked for one. What a hybrid plan means for
 * each place is found in spread.c.
 */
#include "config.h"

#include "runtime/plan/parallel.h"

#include <stdio.h>
#include <stdlib.h>

void plb_hybrid_clear(struct plb_hybrid *hybrid)
{
    free(hybrid->in_place);
    free(hybrid->run);
    *hybrid = (struct plb_hybrid){0};
}

static enum plb_status ask(const struct plb_parallel_policy *policy,
                           const struct plb_parallel_problem *problem, enum plb_event event,
                           const struct plb_hybrid *current, struct plb_hybrid *hybrid)
{
    struct plb_parallel_problem bound = *problem;

    bound.argument = policy->argument;
    if (current && policy->replan)
        PLB_TRY(policy->replan(&bound, event, current, hybrid));
    else
        PLB_TRY(policy->plan(&bound, hybrid));
    snprintf(hybrid->policy, sizeof hybrid->policy, "%s", policy->name);
    hybrid->fingerprint = plb_graph_fingerprint(problem->graph);
    if (!hybrid->in_place || (hybrid->in_place[hybrid->n_places] > 0 && !hybrid->run))
        return plb_fail(PLB_ERROR_INVALID, "it wrote nothing");
    return PLB_OK;
}

enum plb_status plb_hybrid_make(const struct plb_parallel_policy *policy,
                                const struct plb_parallel_problem *problem, enum plb_event event,
                                const struct plb_hybrid *current, struct plb_hybrid *hybrid_out,
                                struct plb_spread *spread_out)
{
    struct plb_hybrid hybrid = {.policy = ""};
    enum plb_status status = ask(policy, problem, event, current, &hybrid);

    if (status == PLB_OK)
        status = plb_hybrid_spread(&hybrid, problem->graph, problem->places, spread_out);
    if (status == PLB_OK) {
        *hybrid_out = hybrid;
        return PLB_OK;
    }
    plb_hybrid_clear(&hybrid);
    return plb_fail_within(status, "policy '%s'", policy->name);
}
