/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a policy is called. Which policies there are stands in schedulers/memory/registry.c.
 */
#include "runtime/plan/policy.h"

#include <stdio.h>
#include <string.h>

const char *plb_event_name(enum plb_event event)
{
    static const char *const names[] = {"drift", "pressure", "relief"};

    return (unsigned)event < sizeof names / sizeof names[0] ? names[event] : "?";
}

enum plb_status plb_memory_policy_ask(const struct plb_memory_policy *policy,
                                      const struct plb_problem *problem, enum plb_event event,
                                      const struct plb_plan *current, struct plb_plan *plan_out)
{
    struct plb_problem bound = *problem;
    struct plb_plan plan = {0};
    enum plb_status status;

    bound.argument = policy->argument;
    if (current && policy->replan)
        status = policy->replan(&bound, event, current, &plan);
    else
        status = policy->plan(&bound, &plan);
    if (status != PLB_OK) {
        plb_plan_clear(&plan);
        return status;
    }
    if (strncmp(plan.policy, policy->name, strlen(policy->name)) != 0)
        snprintf(plan.policy, sizeof plan.policy, "%s", policy->name);
    plan.fingerprint = plb_graph_fingerprint(problem->graph);
    *plan_out = plan;
    return PLB_OK;
}
