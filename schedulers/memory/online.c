/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "online": tasks in their order, and when bytes are short the value whose return
 * costs least per byte and time leaves the device. The decisions are those of Dynamic Tensor
 * Rematerialization (online/online_costs.c), on a graph whose future is known
 * (online/online_walk.c).
 *
 * A walk takes less than a microsecond a decision, so several are made, which weigh candidates
 * differently; they are fitted to the exact layout, and the fastest plan in virtual time is the
 * answer. Where none of them has a plan, what can be moved is moved (last_weights), if need be as
 * "swap" and "lru" would. An event while a plan runs is answered by one walk.
 *
 * The weights are not derived. They were chosen by trying some dozens of settings on the large GPT
 * of tests/schedulers/test_online.c, GPT-2, a deep narrow GPT and a U-Net, which are also the
 * workloads that figures are reported for; doc/policies.md has those of graphs that were not used.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/simulate.h"
#include "runtime/plan/walk.h"
#include "runtime/plan/writer.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/memory/common/pager.h"
#include "schedulers/memory/online/online_walk.h"
#include "schedulers/schedulers.h"

#include <math.h>
#include <stdlib.h>

/* DTR as it is has a distance of 1 and nothing near. With a weight of 0.5 neither the far and dear
 * nor the near and cheap leave first. The later ones differ in what only matters with a link. */
static const struct plb__online_weights all_weights[] = {
    {.distance = 0.5, .near = 0.01, .link = 0.02, .lead = 0.03, .again = 1.0},
    {.distance = 1.0, .near = 1e-9, .link = 0.3, .lead = 0.03, .again = 1.0},
    {.distance = 0.5, .near = 1e-9, .link = 0.1, .lead = 0.03, .again = 1.0},
    {.distance = 0.1, .near = 0.01, .link = 0.1, .lead = 0.03, .again = 1.0},
    {.distance = 0.5, .near = 0.01, .link = 0.3, .lead = 0.03, .again = 1.0},
    {.distance = 0.5, .near = 1e-9, .link = 0.02, .lead = 0.01, .again = 1.0},
    {.distance = 1.0, .near = 0.01, .link = 0.02, .lead = 0.1, .again = 1.0},
};

/* What is left when none of these has a plan: moving counts for less and less against making again,
 * which holds memory on its way; values come when they must, not before. */
static const struct plb__online_weights last_weights[] = {
    {.distance = 1.0, .near = 0.01, .link = 1.0, .lead = 0.0, .again = 4.0},
    {.distance = 1.0, .near = 0.01, .link = 1.0, .lead = 0.0, .again = 100.0},
    {.distance = 4.0, .near = 0.01, .link = 1.0, .lead = 0.0, .again = 1e6},
    {.distance = 1.0, .near = 0.01, .link = 1.0, .lead = 0.0, .again = 1e6},
};

enum {
    N_WEIGHTS = sizeof all_weights / sizeof all_weights[0],
    N_WEIGHTS_ALONE = 4, /* without a link */
    N_HOPE = 3,          /* when so many have no plan, the others will have none */
    N_LAST = sizeof last_weights / sizeof last_weights[0],
    AIMS = 8,        /* walks at most to come close to a number of bytes, */
    AIM_PARTS = 400, /* to one part of it in so many; */
    AIMS_STUCK = 3,  /* and so many of them that get stuck before one does not */
};

/* Parts of the room that copies may take: a layout needs a little more than the copies that exist
 * at once. */
static const double parts[] = {1.0,   0.99, 0.98,  0.95, 0.925, 0.9,
                               0.875, 0.85, 0.825, 0.8,  0.7,   0.6};
/* Where several workers run, memory that may rest a while before it is used again keeps them from
 * waiting for each other: shares of the room that are tried. */
static const double rests[] = {0.95, 0.9, 0.85, 0.8};
enum {
    N_PARTS = sizeof parts / sizeof parts[0],
    PART_SOON = 4, /* where to go on, or to begin, when there is little time */
    N_RESTS = sizeof rests / sizeof rests[0],
};

/* Plans that are tried. */
struct search {
    const struct plb_problem *problem;
    struct plb__online *walks;
    uint64_t fingerprint; /* of the graph */
    size_t room;          /* bytes of the device that are free for what the step makes */
};

/* A plan that can be laid out, and the seconds that it takes. */
struct found {
    struct plb_plan plan;
    struct plb_layout layout;
    double seconds;
};

static void found_clear(struct found *found)
{
    plb_plan_clear(&found->plan);
    plb_layout_clear(&found->layout);
}

static enum plb_status propose(const struct search *s, size_t target,
                               const struct plb__online_weights *weights, struct plb_plan *plan_out)
{
    struct plb__online_result result = {.evictions = 0};
    enum plb_status status;

    PLB_TRY(plb__online_walk(s->walks, target, weights, &result));
    status = plb_plan_finish(s->problem->graph, &result.draft, plan_out);
    plb_plan_clear(&result.draft);
    plan_out->fingerprint = s->fingerprint;
    return status;
}

static enum plb_status lay_out(const struct search *s, struct found *found)
{
    return plb_layout_assign(&found->plan, s->problem->graph, &s->problem->limits, &found->layout);
}

/* Keeps what was found if it is faster than the best so far. */
static enum plb_status keep_faster(const struct search *s, struct found *found, struct found *best)
{
    struct plb_simulation simulation;
    enum plb_status status = plb_simulate(&found->plan, &found->layout, s->problem, &simulation);

    if (status == PLB_OK) {
        found->seconds = simulation.seconds;
        plb_simulation_clear(&simulation);
    }
    if (status == PLB_OK && found->seconds < best->seconds) {
        found_clear(best);
        *best = *found;
        return PLB_OK;
    }
    found_clear(found);
    return status;
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

        if (k == AIMS_STUCK && !found && high == SIZE_MAX)
            break;
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

/* The plan of the largest part of `room`, from parts[*part] on, that can be laid out; `part` gets
 * the number of that part. */
static enum plb_status fit(const struct search *s, double room, size_t *part,
                           const struct plb__online_weights *weights, struct found *found)
{
    enum plb_status status;

    for (; *part < N_PARTS; ++*part) {
        PLB_TRY(aim(s, (size_t)(parts[*part] * room), weights, &found->plan));
        status = lay_out(s, found);
        if (status == PLB_OK)
            return PLB_OK;
        plb_plan_clear(&found->plan);
        if (status != PLB_ERROR_MEMORY)
            return status;
    }
    return plb_fail_within(PLB_ERROR_MEMORY, "the gaps between copies take too much");
}

/* Fits a plan with these weights and keeps it if it is faster than the best so far. */
static enum plb_status try_weights(const struct search *s, double room, size_t *part,
                                   const struct plb__online_weights *weights, struct found *best)
{
    struct found found = {.seconds = INFINITY};
    enum plb_status status = fit(s, room, part, weights, &found);

    if (status == PLB_OK)
        return keep_faster(s, &found, best);
    found_clear(&found);
    return status;
}

/* Tries n weights; `best_out` gets the number of the best of them. What one of them loses in gaps,
 * the next will too, nearly. */
static enum plb_status try_all(const struct search *s, int n, double room, struct found *best,
                               int *best_out)
{
    enum plb_status last = PLB_OK;
    size_t first = 0;

    for (int k = 0; k < n; k++) {
        double before = best->seconds;
        size_t part = first;

        last = try_weights(s, room, &part, &all_weights[k], best);
        if (last != PLB_OK && last != PLB_ERROR_MEMORY)
            return last;
        if (best->seconds < before)
            *best_out = k;
        if (last == PLB_OK && part > first + 2)
            first = part - 2;
        if (k + 1 == N_HOPE && isinf(best->seconds))
            break;
    }
    return isinf(best->seconds) ? last : PLB_OK;
}

/* Several workers: first with some memory that may rest, then with other amounts of it. */
static enum plb_status try_rests(const struct search *s, int n, struct found *best)
{
    double room = (double)s->room;
    int k = 0;
    enum plb_status status = try_all(s, n, rests[0] * room, best, &k);

    if (status == PLB_ERROR_MEMORY)
        return try_all(s, n, room, best, &k);
    for (size_t r = 1; status == PLB_OK && r < N_RESTS; r++) {
        size_t part = 0;

        status = try_weights(s, rests[r] * room, &part, &all_weights[k], best);
        if (status == PLB_ERROR_MEMORY)
            status = PLB_OK;
    }
    return status;
}

/* Where values can be moved, any plan: at last those of "swap" and "lru", which fill the last gaps
 * of a layout in other ways. */
static enum plb_status try_last(const struct search *s, struct found *best)
{
    enum plb_status status = PLB_ERROR_MEMORY;

    for (int k = 0; k < N_LAST && status == PLB_ERROR_MEMORY; k++) {
        size_t part = 0;

        status = try_weights(s, (double)s->room, &part, &last_weights[k], best);
    }
    if (status == PLB_ERROR_MEMORY)
        status = plb__pager_plan(s->problem, plb__leaves_farthest, true, &best->plan);
    if (status == PLB_ERROR_MEMORY)
        status = plb__pager_plan(s->problem, plb__leaves_oldest, true, &best->plan);
    return status;
}

static bool moves(const struct plb_problem *problem)
{
    return problem->limits.bytes[PLB_HOST] > 0 || problem->limits.bytes[PLB_DISK] > 0;
}

static enum plb_status search_plan(const struct search *s, struct plb_plan *plan_out)
{
    const size_t *bytes = s->problem->limits.bytes;
    int n = moves(s->problem) ? N_WEIGHTS : N_WEIGHTS_ALONE, k;
    struct found best = {.seconds = INFINITY};
    enum plb_status status;

    if (bytes[PLB_DEVICE] == SIZE_MAX)
        return propose(s, SIZE_MAX, &all_weights[0], plan_out);
    if (s->problem->platform->workers > 1)
        status = try_rests(s, n, &best);
    else
        status = try_all(s, n, (double)s->room, &best, &k);
    if (status == PLB_ERROR_MEMORY && moves(s->problem))
        status = try_last(s, &best);
    *plan_out = best.plan;
    plb_layout_clear(&best.layout);
    if (status == PLB_ERROR_MEMORY && !moves(s->problem)) /* else try_last() has said so */
        plb_fail_within(status, "no plan of this policy does with %s",
                        plb_bytes_text((double)bytes[PLB_DEVICE]).text);
    return status;
}

/* One walk with the bytes of the limit, which nearly always fits, or with a few less. Copies that
 * come and go leave gaps: with a link there are a few less at once. What only moves is left when
 * walks get stuck. */
static enum plb_status search_soon(const struct search *s, struct plb_plan *plan_out)
{
    size_t first = moves(s->problem) ? PART_SOON : 0;

    for (size_t k = first; k < N_PARTS && s->room != SIZE_MAX; k += k ? 1 : PART_SOON) {
        size_t target = (size_t)(parts[k] * (double)s->room);
        struct found found = {.seconds = INFINITY};
        enum plb_status status = propose(s, target, &all_weights[0], &found.plan);

        if (status != PLB_OK)
            break;
        status = lay_out(s, &found);
        if (status == PLB_OK) {
            *plan_out = found.plan;
            plb_layout_clear(&found.layout);
            return PLB_OK;
        }
        plb_plan_clear(&found.plan);
        if (status != PLB_ERROR_MEMORY)
            return status;
    }
    if (s->room == SIZE_MAX)
        return search_plan(s, plan_out);
    if (moves(s->problem))
        return plb__pager_replan(s->problem, plb__leaves_farthest, true, plan_out);
    return plb_fail_within(PLB_ERROR_MEMORY, "no walk with these weights fits");
}

/* Makes what walks have in common, and searches with it. */
static enum plb_status search_with(const struct plb_problem *problem,
                                   enum plb_status (*how)(const struct search *s,
                                                          struct plb_plan *plan_out),
                                   struct plb_plan *plan_out)
{
    struct search s = {.problem = problem,
                       .fingerprint = plb_graph_fingerprint(problem->graph),
                       .room = plb__fit_room(problem)};
    enum plb_status status;

    PLB_TRY(plb__online_create(problem, &s.walks));
    status = how(&s, plan_out);
    plb__online_destroy(s.walks);
    return status;
}

static enum plb_status plan_online(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return search_with(problem, search_plan, plan_out);
}

static enum plb_status replan_online(const struct plb_problem *problem, enum plb_event event,
                                     const struct plb_plan *current, struct plb_plan *plan_out)
{
    (void)event;
    (void)current;
    return search_with(problem, search_soon, plan_out);
}

const struct plb_memory_policy plb_memory_online = {
    .name = "online",
    .help = "evict what returns for least; decided task by task, next uses known from the graph",
    .plan = plan_online,
    .replan = replan_online,
};
