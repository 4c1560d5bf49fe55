/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a problem to a plan that is proved right and laid out; and the least memory that a policy
 * can do with.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/policy.h"
#include "runtime/plan/walk.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* The least budget is found to this part of what the activations need. */
#define LEAST_PARTS 256

static struct plb_platform nominal;
static pthread_once_t nominal_once = PTHREAD_ONCE_INIT;

static void make_nominal(void)
{
    nominal = plb_platform_nominal(1);
}

enum plb_status plb_problem_prepare(const plb_graph_t *graph, const plb_costs_t *costs,
                                    const struct plb_limits *limits, double *seconds,
                                    struct plb_problem *problem_out)
{
    struct plb_problem problem = {
        .graph = graph, .seconds = seconds, .limits = limits ? *limits : plb_limits_none()};

    pthread_once(&nominal_once, make_nominal);
    problem.platform = costs ? plb_costs_platform(costs) : &nominal;
    PLB_TRY(plb_costs_of_graph(costs, graph, seconds, NULL));
    PLB_TRY(plb_needs_find(graph, &problem.needs));
    *problem_out = problem;
    return PLB_OK;
}

/* Limits bind a policy unless it leaves memory to StarPU. */
static struct plb_limits limits_of(const struct plb_memory_policy *policy,
                                   const struct plb_problem *problem)
{
    return policy->left_to_starpu ? plb_limits_none() : problem->limits;
}

/* A plan that is wrong is refused as invalid; one that is right but takes too much memory is what
 * happens to policies that do not care. */
static enum plb_status judge(const struct plb_memory_policy *policy, const struct plb_plan *plan,
                             const plb_graph_t *graph, const struct plb_limits *limits)
{
    struct plb_limits roomy = *limits;
    enum plb_status status;

    for (int tier = 0; tier < PLB_TIERS; tier++)
        roomy.bytes[tier] = SIZE_MAX;
    if (plb_plan_check(plan, graph, limits) == PLB_OK)
        return PLB_OK;
    status = plb_plan_check(plan, graph, &roomy);
    if (status != PLB_OK)
        return plb_fail_within(status, "policy '%s' wrote a wrong plan", policy->name);
    /* The message is still that of the first check. */
    return plb_fail_within(PLB_ERROR_MEMORY, "policy '%s' does not keep the budget", policy->name);
}

enum plb_status plb_plan_make_soon(const struct plb_memory_policy *policy,
                                   const struct plb_problem *problem, enum plb_event event,
                                   const struct plb_plan *current, struct plb_plan *plan_out,
                                   struct plb_layout *layout_out)
{
    struct plb_limits limits = limits_of(policy, problem);
    struct plb_plan plan = {0};
    enum plb_status status;

    PLB_TRY(plb_memory_policy_ask(policy, problem, event, current, &plan));
    status = judge(policy, &plan, problem->graph, &limits);
    if (status == PLB_OK) {
        status = plb_layout_assign(&plan, problem->graph, &limits, layout_out);
        if (status != PLB_OK)
            plb_fail_within(status, "policy '%s'", policy->name);
    }
    if (status == PLB_OK)
        *plan_out = plan;
    else
        plb_plan_clear(&plan);
    return status;
}

/* A quick plan after an event that does not fit is followed by a whole one. */
static enum plb_status attempt(const struct plb_memory_policy *policy,
                               const struct plb_problem *problem, enum plb_event event,
                               const struct plb_plan *current, struct plb_plan *plan_out,
                               struct plb_layout *layout_out)
{
    enum plb_status status =
        plb_plan_make_soon(policy, problem, event, current, plan_out, layout_out);

    if (status == PLB_ERROR_MEMORY && current && policy->replan)
        status = plb_plan_make_soon(policy, problem, event, NULL, plan_out, layout_out);
    return status;
}

/* Gradients that limits hold, and what the largest task has beside them. */
static size_t held_bytes(const struct plb_problem *problem)
{
    if (!problem->limits.hold_gradients)
        return 0;
    return problem->needs.gradients + plb__needs_beside_gradients(problem->graph);
}

size_t plb_problem_floor(const struct plb_problem *problem)
{
    const struct plb_needs *needs = &problem->needs;
    size_t bytes = needs->initial + problem->limits.reserved, held = held_bytes(problem);

    return bytes + (held > needs->largest_task ? held : needs->largest_task);
}

/* The message for a budget that no plan can keep. */
static enum plb_status refuse(const struct plb_memory_policy *policy,
                              const struct plb_problem *problem)
{
    const struct plb_needs *needs = &problem->needs;
    const struct plb_task *task = plb_graph_task(problem->graph, needs->largest);
    size_t least = plb_problem_floor(problem);
    char what[192];

    if (plb_plan_least(policy, problem, &least) != PLB_OK)
        least = plb_problem_floor(problem);
    if (held_bytes(problem) > needs->largest_task)
        snprintf(what, sizeof what, "%s of gradients and what the largest task has beside them need",
                 plb_bytes_text((double)needs->gradients).text);
    else
        snprintf(what, sizeof what, "task %s needs", task ? task->name : "?");
    return plb_fail(PLB_ERROR_MEMORY,
                    "%s %s beside %s of initial values and %s of work space: that does "
                    "not fit into a budget of %s; the least with policy '%s' is %zu bytes (%s)",
                    what,
                    plb_bytes_text((double)(plb_problem_floor(problem) - needs->initial -
                                            problem->limits.reserved))
                        .text,
                    plb_bytes_text((double)needs->initial).text,
                    plb_bytes_text((double)problem->limits.reserved).text,
                    plb_bytes_text((double)problem->limits.bytes[PLB_DEVICE]).text, policy->name,
                    least, plb_bytes_text((double)least).text);
}

enum plb_status plb_problem_check(const struct plb_memory_policy *policy,
                                  const struct plb_problem *problem)
{
    size_t budget = limits_of(policy, problem).bytes[PLB_DEVICE];
    size_t device = problem->platform ? problem->platform->bytes[PLB_DEVICE] : SIZE_MAX;

    if (budget == 0)
        return plb_fail(PLB_ERROR_INVALID, "a budget of 0 bytes");
    if (budget != SIZE_MAX && budget > device)
        return plb_fail(PLB_ERROR_INVALID, "a budget of %s is %s more than the device has",
                        plb_bytes_text((double)budget).text,
                        plb_bytes_text((double)(budget - device)).text);
    if (budget < plb_problem_floor(problem))
        return refuse(policy, problem);
    return PLB_OK;
}

enum plb_status plb_plan_make(const struct plb_memory_policy *policy,
                              const struct plb_problem *problem, enum plb_event event,
                              const struct plb_plan *current, struct plb_plan *plan_out,
                              struct plb_layout *layout_out)
{
    PLB_TRY(plb_problem_check(policy, problem));
    return attempt(policy, problem, event, current, plan_out, layout_out);
}

/* ---- the least ---- */

/* The device bytes that the policy takes under a budget. */
static enum plb_status bytes_under(const struct plb_memory_policy *policy,
                                   const struct plb_problem *problem, size_t budget,
                                   size_t *bytes_out)
{
    struct plb_problem tried = *problem;
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    enum plb_status status;

    tried.limits.bytes[PLB_DEVICE] = budget;
    status = attempt(policy, &tried, PLB_EVENT_PRESSURE, NULL, &plan, &layout);
    if (status == PLB_OK)
        *bytes_out = plb_layout_device_bytes(&layout) + problem->limits.reserved;
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return status;
}

enum plb_status plb_plan_least(const struct plb_memory_policy *policy,
                               const struct plb_problem *problem, size_t *bytes_out)
{
    size_t step = problem->needs.activations / LEAST_PARTS + PLB_SLOT_ALIGNMENT;
    size_t low = plb_problem_floor(problem), high = 0, used;

    PLB_TRY(bytes_under(policy, problem, SIZE_MAX, &high));
    while (high > low && high - low > step) {
        size_t middle = low + (high - low) / 2;
        enum plb_status status = bytes_under(policy, problem, middle, &used);

        if (status == PLB_OK)
            high = middle;
        else if (status == PLB_ERROR_MEMORY)
            low = middle;
        else
            return status;
    }
    *bytes_out = high;
    return PLB_OK;
}
