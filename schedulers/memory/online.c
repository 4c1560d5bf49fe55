/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "online": tasks in their order, and when bytes are short the value whose return
 * costs least per byte and time leaves the device. The decisions are those of Dynamic Tensor
 * Rematerialization (online/online_costs.c), on a graph whose future is known
 * (online/online_walk.c).
 *
 * A walk takes about a microsecond a decision, so several are made, which weigh candidates
 * differently; the best of them are fitted to the exact layout, and the fastest plan in virtual
 * time is the answer. An event while a plan runs is answered by one walk.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/simulate.h"
#include "runtime/plan/walk.h"
#include "runtime/plan/writer.h"
#include "schedulers/memory/online/online_walk.h"
#include "schedulers/schedulers.h"

#include <math.h>
#include <stdlib.h>

/* DTR as it is has a distance of 1 and nothing near. With a weight of 0.5 neither the far and dear
 * nor the near and cheap leave first. The later ones differ in what only matters with a link. */
static const struct plb__online_weights all_weights[] = {
    {.distance = 0.5, .near = 0.01, .link = 0.02, .lead = 0.03},
    {.distance = 1.0, .near = 1e-9, .link = 0.3, .lead = 0.03},
    {.distance = 0.5, .near = 1e-9, .link = 0.1, .lead = 0.03},
    {.distance = 0.1, .near = 0.01, .link = 0.1, .lead = 0.03},
    {.distance = 0.5, .near = 0.01, .link = 0.3, .lead = 0.03},
    {.distance = 0.5, .near = 1e-9, .link = 0.02, .lead = 0.01},
    {.distance = 1.0, .near = 0.01, .link = 0.02, .lead = 0.1},
};

enum {
    N_WEIGHTS = sizeof all_weights / sizeof all_weights[0],
    N_WEIGHTS_ALONE = 4, /* without a link */
    AIMS = 8,            /* walks at most to come close to a number of bytes, */
    AIM_PARTS = 400,     /* to one part of it in so many */
};

/* Parts of the room that copies may take. A layout needs a little more than the copies that exist
 * at once; and where several workers run, memory that may rest a while before it is used again
 * keeps them from waiting for each other. */
static const double parts[] = {1.0, 0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6};
enum { REST_NONE = 0, REST_SOME = 3, REST_MUCH = 6 }; /* where to begin among them */

/* Plans that are tried, and the fastest so far. */
struct search {
    const struct plb_problem *problem;
    struct plb__online *walks;
};

/* Bytes of the device that are free for what the step makes. SIZE_MAX: no limit. */
static size_t room_of(const struct plb_problem *problem)
{
    size_t limit = problem->limits.bytes[PLB_DEVICE];
    size_t taken = problem->needs.initial + problem->limits.reserved;

    if (problem->limits.hold_gradients)
        taken += problem->needs.gradients;
    if (limit == SIZE_MAX)
        return SIZE_MAX;
    return limit > taken ? limit - taken : 0;
}

static enum plb_status propose(const struct search *s, size_t target,
                               const struct plb__online_weights *weights, struct plb_plan *plan_out)
{
    struct plb__online_result result = {.evictions = 0};
    enum plb_status status;

    PLB_TRY(plb__online_walk(s->walks, target, weights, &result));
    status = plb_plan_finish(s->problem->graph, &result.draft, plan_out);
    plb_plan_clear(&result.draft);
    plan_out->fingerprint = plb_graph_fingerprint(s->problem->graph);
    return status;
}

static enum plb_status simulated_seconds(const struct plb_problem *problem,
                                         const struct plb_plan *plan, double *seconds_out)
{
    struct plb_layout layout;
    struct plb_simulation simulation;
    enum plb_status status;

    PLB_TRY(plb_layout_assign(plan, problem->graph, &problem->limits, &layout));
    status = plb_simulate(plan, &layout, problem, &simulation);
    plb_layout_clear(&layout);
    if (status != PLB_OK)
        return status;
    *seconds_out = simulation.seconds;
    plb_simulation_clear(&simulation);
    return PLB_OK;
}

/* Keeps the plan if it is faster than the best so far. */
static enum plb_status keep_faster(const struct plb_problem *problem, struct plb_plan *plan,
                                   struct plb_plan *best, double *best_seconds)
{
    double seconds;
    enum plb_status status = simulated_seconds(problem, plan, &seconds);

    if (status == PLB_OK && seconds < *best_seconds) {
        plb_plan_clear(best);
        *best = *plan;
        *best_seconds = seconds;
        return PLB_OK;
    }
    plb_plan_clear(plan);
    return status;
}

static bool fits(const struct plb_problem *problem, const struct plb_plan *plan)
{
    struct plb_layout layout;

    if (plb_layout_assign(plan, problem->graph, &problem->limits, &layout) != PLB_OK)
        return false;
    plb_layout_clear(&layout);
    return true;
}

/* Most bytes of copies at once, beside what is there all the time. */
static enum plb_status measure(const struct plb_problem *problem, const struct plb_plan *plan,
                               size_t *bytes_out)
{
    struct plb__walk walk;
    size_t always = problem->needs.initial;

    if (problem->limits.hold_gradients)
        always += problem->needs.gradients;
    PLB_TRY(plb__walk(plan, problem->graph, &problem->limits, &walk));
    *bytes_out = walk.peak[PLB_DEVICE] > always ? walk.peak[PLB_DEVICE] - always : 0;
    plb__walk_clear(&walk);
    return PLB_OK;
}

enum verdict {
    FITS,
    TOO_LARGE, /* the target: its plan takes more than is wanted */
    TOO_SMALL, /* the walk gets stuck */
};

/* One walk: how its plan compares with `goal` bytes, and by how much it is off them. A plan that
 * fits is kept. */
static enum plb_status try_target(const struct search *s, size_t goal, size_t target,
                                  const struct plb__online_weights *weights,
                                  struct plb_plan *plan_out, enum verdict *verdict_out,
                                  size_t *off_out)
{
    struct plb_plan plan = {.n = 0};
    size_t bytes = 0;
    enum plb_status status = propose(s, target, weights, &plan);

    *verdict_out = TOO_SMALL;
    *off_out = goal / 8;
    if (status == PLB_OK)
        status = measure(s->problem, &plan, &bytes);
    if (status == PLB_OK) {
        *verdict_out = bytes <= goal ? FITS : TOO_LARGE;
        *off_out = bytes <= goal ? goal - bytes : bytes - goal;
    }
    if (*verdict_out == FITS) {
        plb_plan_clear(plan_out);
        *plan_out = plan;
        return PLB_OK;
    }
    plb_plan_clear(&plan);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

/* The plan whose copies come close to `goal` bytes from below. A walk counts values until they are
 * evicted, the plan until their last use before, so that it often takes less than it was given. */
static enum plb_status aim(const struct search *s, size_t goal,
                           const struct plb__online_weights *weights, struct plb_plan *plan_out)
{
    size_t target = goal, low = 0, high = SIZE_MAX, off = goal;
    bool found = false;

    for (int k = 0; k < AIMS && (!found || off > goal / AIM_PARTS); k++) {
        enum verdict verdict;

        PLB_TRY(try_target(s, goal, target, weights, plan_out, &verdict, &off));
        found |= verdict == FITS;
        if (verdict == TOO_LARGE)
            high = target;
        else
            low = target;
        if (high == SIZE_MAX)
            target += off;
        else if (low == 0)
            target -= off < target ? off : target / 2;
        else
            target = low + (high - low) / 2;
    }
    return found ? PLB_OK
                 : plb_fail(PLB_ERROR_MEMORY,
                            "no evictions come down to %s beside what is there all the time",
                            plb_bytes_text((double)goal).text);
}

/* The plan of the largest part of the room, from parts[first] on, that can be laid out. */
static enum plb_status fit(const struct search *s, int first,
                           const struct plb__online_weights *weights, struct plb_plan *plan_out)
{
    size_t room = room_of(s->problem);

    for (size_t k = (size_t)first; k < sizeof parts / sizeof parts[0]; k++) {
        PLB_TRY(aim(s, (size_t)(parts[k] * (double)room), weights, plan_out));
        if (fits(s->problem, plan_out))
            return PLB_OK;
        plb_plan_clear(plan_out);
    }
    return plb_fail_within(PLB_ERROR_MEMORY, "the gaps between copies take too much");
}

/* Fits a plan with these weights and keeps it if it is faster than the best so far. */
static enum plb_status try_weights(const struct search *s, int first,
                                   const struct plb__online_weights *weights, struct plb_plan *best,
                                   double *best_seconds)
{
    struct plb_plan plan = {.n = 0};

    PLB_TRY(fit(s, first, weights, &plan));
    return keep_faster(s->problem, &plan, best, best_seconds);
}

/* Tries n weights from parts[first] on; `best_out` gets the number of the best of them. */
static enum plb_status try_all(const struct search *s, int n, int first, struct plb_plan *plan,
                               double *seconds, int *best_out)
{
    enum plb_status last = PLB_OK;

    for (int k = 0; k < n; k++) {
        double before = *seconds;

        last = try_weights(s, first, &all_weights[k], plan, seconds);
        if (last != PLB_OK && last != PLB_ERROR_MEMORY)
            return last;
        if (*seconds < before)
            *best_out = k;
    }
    return isinf(*seconds) ? last : PLB_OK;
}

/* Several workers: first with some memory that may rest, then with other amounts of it. */
static enum plb_status plan_for_workers(const struct search *s, int n, struct plb_plan *plan,
                                        double *seconds)
{
    int best = 0;
    enum plb_status status = try_all(s, n, REST_SOME, plan, seconds, &best);

    if (status == PLB_ERROR_MEMORY)
        return try_all(s, n, REST_NONE, plan, seconds, &best);
    for (int first = REST_SOME + 1; status == PLB_OK && first <= REST_MUCH; first++) {
        status = try_weights(s, first, &all_weights[best], plan, seconds);
        if (status == PLB_ERROR_MEMORY)
            status = PLB_OK;
    }
    return status;
}

static enum plb_status search_plan(const struct search *s, struct plb_plan *plan_out)
{
    const size_t *bytes = s->problem->limits.bytes;
    int n = bytes[PLB_HOST] > 0 || bytes[PLB_DISK] > 0 ? N_WEIGHTS : N_WEIGHTS_ALONE;
    double seconds = INFINITY;
    enum plb_status status;
    int best;

    if (bytes[PLB_DEVICE] == SIZE_MAX)
        return propose(s, SIZE_MAX, &all_weights[0], plan_out);
    if (s->problem->platform->workers > 1)
        status = plan_for_workers(s, n, plan_out, &seconds);
    else
        status = try_all(s, n, REST_NONE, plan_out, &seconds, &best);
    if (status == PLB_ERROR_MEMORY)
        plb_fail_within(status, "no plan of this policy does with %s",
                        plb_bytes_text((double)bytes[PLB_DEVICE]).text);
    return status;
}

static enum plb_status plan_online(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    struct search s = {.problem = problem};
    enum plb_status status;

    PLB_TRY(plb__online_create(problem, &s.walks));
    status = search_plan(&s, plan_out);
    plb__online_destroy(s.walks);
    return status;
}

/* One walk with the bytes of the limit, which nearly always fits, or with a few less. */
static enum plb_status search_soon(const struct search *s, struct plb_plan *plan_out)
{
    size_t room = room_of(s->problem);

    for (size_t k = 0; k < sizeof parts / sizeof parts[0] && room != SIZE_MAX;
         k += k ? 1 : REST_SOME) {
        size_t target = (size_t)(parts[k] * (double)room);

        if (propose(s, target, &all_weights[0], plan_out) != PLB_OK)
            break;
        if (fits(s->problem, plan_out))
            return PLB_OK;
        plb_plan_clear(plan_out);
    }
    return search_plan(s, plan_out);
}

static enum plb_status replan_online(const struct plb_problem *problem, enum plb_event event,
                                     const struct plb_plan *current, struct plb_plan *plan_out)
{
    struct search s = {.problem = problem};
    enum plb_status status;

    (void)event;
    (void)current;
    PLB_TRY(plb__online_create(problem, &s.walks));
    status = search_soon(&s, plan_out);
    plb__online_destroy(s.walks);
    return status;
}

const struct plb_memory_policy plb_memory_online = {
    .name = "online",
    .help = "evict what returns for least; decided task by task, next uses known from the graph",
    .plan = plan_online,
    .replan = replan_online,
};
