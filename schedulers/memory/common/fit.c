/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bisection of a target by exact layouts: see fit.h.
 */
#include "config.h"

#include "schedulers/memory/common/fit.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/simulate.h"
#include "runtime/plan/walk.h"
#include "schedulers/memory/common/prefetch.h"

#include <float.h>
#include <math.h>

/* The target is found to one part in 2^STEPS of the largest. */
#define STEPS 8
/* Plans that are tried for a quick answer. */
#define TRIES_NEARLY 4
/* What the gaps between copies may take, as a part of the room. */
#define GAPS_PART 50
/* FETCHes are moved ahead within this much of the limit, or less where gaps between slots would
 * then take more than there is: tries, in hundredths. */
static const unsigned rooms[] = {100, 98, 95, 90, 80};
enum { ALL_ROOM = 0, ROOM_SOON = 1 }; /* where to begin among them */
/* Parts of the largest target that fits which are simulated, in hundredths: where memory is used
 * again at once tasks wait for each other, so that a smaller target can be faster. */
static const unsigned parts[] = {100, 92, 84, 74, 62};

/* Parts of a target that are tried where an answer is wanted soon, in hundredths. */
static const unsigned soon_parts[] = {96, 90, 80};

enum verdict {
    FITS,
    TOO_LARGE, /* the target: its plan cannot be laid out under the limits */
    TOO_SMALL, /* the policy has no plan for it */
};

static enum plb_status check(const struct plb_problem *problem, struct plb_plan *plan)
{
    struct plb_layout layout;
    enum plb_status status;

    plan->fingerprint = plb_graph_fingerprint(problem->graph);
    status = plb_layout_assign(plan, problem->graph, &problem->limits, &layout);

    if (status == PLB_OK)
        plb_layout_clear(&layout);
    return status;
}

/* `plan_out` is left as it is unless the target's plan fits; why it does not is the thread's
 * message. */
static enum plb_status try_target(const struct plb_problem *problem, const struct plb__fit *fit,
                                  size_t target, struct plb_plan *plan_out,
                                  enum verdict *verdict_out)
{
    struct plb_plan plan = {.n = 0};
    enum plb_status status = fit->propose(problem, target, fit->context, &plan);

    *verdict_out = TOO_SMALL;
    if (status == PLB_OK) {
        *verdict_out = TOO_LARGE;
        status = check(problem, &plan);
    }
    if (status == PLB_OK) {
        *verdict_out = FITS;
        plb_plan_clear(plan_out);
        *plan_out = plan;
        return PLB_OK;
    }
    plb_plan_clear(&plan);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

/* By how much the plan's copies are more than there is room for, gaps counted in. */
static enum plb_status measure_over(const struct plb_problem *problem, const struct plb_plan *plan,
                                    size_t *bytes_out)
{
    size_t room = problem->limits.bytes[PLB_DEVICE] - problem->limits.reserved;
    struct plb__walk walk;
    size_t peak;

    PLB_TRY(plb__walk(plan, problem->graph, &problem->limits, &walk));
    peak = walk.peak[PLB_DEVICE];
    plb__walk_clear(&walk);
    *bytes_out = (peak > room ? peak - room : 0) + plb__fit_room(problem) / GAPS_PART;
    return PLB_OK;
}

/* Rewrites a plan that fits; what comes of it must fit too, else it stays as it is. */
static enum plb_status fetch_ahead(const struct plb_problem *problem, size_t first,
                                   struct plb_plan *plan)
{
    size_t most = problem->limits.bytes[PLB_DEVICE] - problem->limits.reserved;

    for (size_t k = first; k < sizeof rooms / sizeof rooms[0]; k++) {
        struct plb_plan ahead = {.n = 0};
        enum plb_status status;

        PLB_TRY(plb__prefetch(problem, plan, most / 100 * rooms[k], &ahead));
        status = check(problem, &ahead);
        if (status == PLB_OK) {
            plb_plan_clear(plan);
            *plan = ahead;
            return PLB_OK;
        }
        plb_plan_clear(&ahead);
        if (status != PLB_ERROR_MEMORY)
            return status;
    }
    return PLB_OK;
}

/* The largest target that fits, and its plan. */
static enum plb_status bisect(const struct plb_problem *problem, const struct plb__fit *fit,
                              struct plb_plan *plan_out, size_t *target_out, bool *found_out)
{
    size_t low = 0, high = fit->most;
    enum verdict verdict;

    *target_out = high;
    PLB_TRY(try_target(problem, fit, high, plan_out, &verdict));
    *found_out = verdict == FITS;
    if (*found_out || high == 0)
        return PLB_OK;
    *target_out = low;
    PLB_TRY(try_target(problem, fit, low, plan_out, &verdict));
    if (verdict == TOO_LARGE)
        return PLB_OK;
    *found_out = verdict == FITS;
    for (int step = 0; step < STEPS && high > low + 1; step++) {
        size_t middle = low + (high - low) / 2;

        PLB_TRY(try_target(problem, fit, middle, plan_out, &verdict));
        *found_out |= verdict == FITS;
        if (verdict == FITS)
            *target_out = middle;
        if (verdict == TOO_LARGE)
            high = middle;
        else
            low = middle;
    }
    return PLB_OK;
}

/* A plan that cannot be timed (the platform does not know its links) counts as a slow one. */
static enum plb_status simulate(const struct plb_problem *problem, const struct plb_plan *plan,
                                double *seconds_out)
{
    struct plb_simulation simulation;
    struct plb_layout layout;
    enum plb_status status;

    PLB_TRY(plb_layout_assign(plan, problem->graph, &problem->limits, &layout));
    status = plb_simulate(plan, &layout, problem, &simulation);
    plb_layout_clear(&layout);
    *seconds_out = status == PLB_OK ? simulation.seconds : DBL_MAX;
    if (status == PLB_OK)
        plb_simulation_clear(&simulation);
    return status == PLB_ERROR_INVALID ? PLB_OK : status;
}

/* The fastest of the plans of `target` and of parts of it; `plan` is that of the target itself. */
static enum plb_status choose_part(const struct plb_problem *problem, const struct plb__fit *fit,
                                   size_t target, struct plb_plan *plan)
{
    double best = INFINITY;

    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        struct plb_plan tried = {.n = 0};
        enum verdict verdict;
        enum plb_status status;
        double seconds;

        PLB_TRY(try_target(problem, fit, target / 100 * parts[k], &tried, &verdict));
        if (verdict != FITS)
            continue;
        status = fit->fetches_ahead ? fetch_ahead(problem, ALL_ROOM, &tried) : PLB_OK;
        if (status == PLB_OK)
            status = simulate(problem, &tried, &seconds);
        if (status == PLB_OK && seconds < best) {
            struct plb_plan slower = *plan;

            best = seconds;
            *plan = tried;
            tried = slower;
        }
        plb_plan_clear(&tried);
        if (status != PLB_OK)
            return status;
    }
    return PLB_OK;
}

/* One worker runs tasks one after the other, whatever waits for what: the largest target is best.
 */
static bool needs_timing(const struct plb_problem *problem, const struct plb__fit *fit)
{
    return problem->limits.bytes[PLB_DEVICE] != SIZE_MAX &&
           (problem->platform->workers > 1 || fit->offloads || fit->fetches_ahead);
}

enum plb_status plb__fit_plan(const struct plb_problem *problem, const struct plb__fit *fit,
                              struct plb_plan *plan_out)
{
    const size_t *bytes = problem->limits.bytes;
    size_t target;
    bool found;

    PLB_TRY(bisect(problem, fit, plan_out, &target, &found));
    if (found && target > 0 && needs_timing(problem, fit))
        return choose_part(problem, fit, target, plan_out);
    if (found)
        return PLB_OK;
    if (fit->offloads && bytes[PLB_HOST] == 0 && bytes[PLB_DISK] == 0)
        return plb_fail_within(PLB_ERROR_MEMORY,
                               "there is neither host memory nor a directory to offload to");
    return plb_fail_within(PLB_ERROR_MEMORY, "no plan of this policy does with %s",
                           plb_bytes_text((double)bytes[PLB_DEVICE]).text);
}

enum plb_status plb__fit_soon(const struct plb_problem *problem, const struct plb__fit *fit,
                              size_t target, struct plb_plan *plan_out)
{
    for (size_t k = 0; k < sizeof soon_parts / sizeof soon_parts[0] && target != SIZE_MAX; k++) {
        enum verdict verdict;

        PLB_TRY(try_target(problem, fit, target / 100 * soon_parts[k], plan_out, &verdict));
        if (verdict == FITS)
            return fit->fetches_ahead ? fetch_ahead(problem, ROOM_SOON, plan_out) : PLB_OK;
        if (verdict == TOO_SMALL)
            break;
    }
    if (target == SIZE_MAX)
        return plb__fit_plan(problem, fit, plan_out);
    return plb_fail_within(PLB_ERROR_MEMORY, "no plan is near");
}

enum plb_status plb__fit_nearly(const struct plb_problem *problem, const struct plb__fit *fit,
                                struct plb_plan *plan_out)
{
    size_t target = fit->most;

    for (int k = 0; k < TRIES_NEARLY; k++) {
        struct plb_plan plan = {.n = 0};
        size_t over;
        enum plb_status status;

        PLB_TRY(fit->propose(problem, target, fit->context, &plan));
        status = check(problem, &plan);
        if (status == PLB_OK) {
            *plan_out = plan;
            return PLB_OK;
        }
        if (status == PLB_ERROR_MEMORY)
            status = measure_over(problem, &plan, &over);
        plb_plan_clear(&plan);
        if (status != PLB_OK)
            return status;
        if (target == 0)
            break;
        target = over < target ? target - over : 0;
    }
    return plb_fail_within(PLB_ERROR_MEMORY, "no plan is near");
}

size_t plb__fit_room(const struct plb_problem *problem)
{
    size_t limit = problem->limits.bytes[PLB_DEVICE];
    size_t taken = problem->needs.initial + problem->limits.reserved;

    if (problem->limits.hold_gradients)
        taken += problem->needs.gradients;
    if (limit == SIZE_MAX)
        return SIZE_MAX;
    return limit > taken ? limit - taken : 0;
}
