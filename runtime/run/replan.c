/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one plan to the next, while steps run.
 *
 * There are two kinds of reasons for a new plan. When measured costs have left those that the
 * present one was made with, or when there is more memory, it is still right, and no step waits: a
 * better one is made aside (aside.c), and a step switches to it when it is there. When there is
 * less memory than it takes, steps need another plan at once: the same in other places if that
 * does, else the policy's quick answer; and a better one is made aside after that.
 *
 * Nothing is drained: the new program lies in the same arena, and its tasks wait for those of the
 * former ones only where both use the same bytes (bridge.c). A former program is freed when its
 * last task has ended. Results do not depend on any of this, since what a plan computes does not.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Drift is looked for after this many steps, then twice as many, and so on up to LOOK_MOST. */
#define LOOK_FIRST 2u
#define LOOK_MOST  16u
/* The machine is short when less than this share of its memory can be had, and no longer so at
 * RELIEF times as much. */
#define SHORT_SHARE 0.04
#define RELIEF      3.0
/* Seconds between two looks. */
#define MACHINE_EVERY 0.25
/* An arena is taken larger than a first plan needs, for plans to come, up to this share of what
 * keeping everything would need. */
#define ARENA_SHARE 1.25

/* ---- the arena ---- */

/* In the ledger the arena counts as far as programs use it. */
static void count_arena(struct plb_session *s, size_t bytes, size_t gradients)
{
    int device = s->device->ledger;
    size_t before = s->arena_counted - s->arena_gradients;

    if (gradients > bytes)
        gradients = bytes;
    plb__ledger_count(device, PLB_ROLE_ACTIVATION, before, false);
    plb__ledger_count(device, PLB_ROLE_GRADIENT, s->arena_gradients, false);
    plb__ledger_count(device, PLB_ROLE_ACTIVATION, bytes - gradients, true);
    plb__ledger_count(device, PLB_ROLE_GRADIENT, gradients, true);
    s->arena_counted = bytes;
    s->arena_gradients = gradients;
    s->info.transient_bytes = s->inputs.bytes + bytes;
}

static size_t arena_bytes(const struct plb_session *s, const struct plb_layout *layout)
{
    const struct plb__planning *p = &s->planning;
    double most = ARENA_SHARE * (double)(p->problem.needs.activations + p->problem.needs.gradients);
    size_t budget = plb__planning_budget(s), bytes = layout->arena[PLB_DEVICE];

    if (p->asked == SIZE_MAX)
        return bytes;
    budget = budget > p->taken ? budget - p->taken : 0;
    if ((double)budget < most)
        most = (double)budget;
    return (double)bytes < most ? (size_t)most : bytes;
}

/* A larger arena takes the place of the present one, which tasks and readers must have left. That
 * one is given back first: a device need not have room for both, and nothing in it lasts from step
 * to step. */
static enum plb_status grow_arena(struct plb_session *s, const struct plb_layout *layout)
{
    if (s->managed || layout->arena[PLB_DEVICE] <= s->arena.bytes)
        return PLB_OK;
    starpu_task_wait_for_all();
    plb__steps_collect(s);
    plb__session_reap(s);
    s->device->give(&s->arena);
    return s->device->take(s->device, arena_bytes(s, layout),
                           "one step (activations and gradients)", &s->arena);
}

void plb__arena_give(struct plb_session *s)
{
    count_arena(s, 0, 0);
    s->device->give(&s->arena);
}

/* Pages of main memory beyond what the present program needs go back to the system. */
static void trim_arena(struct plb_session *s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = s->program->layout.arena[PLB_DEVICE];
    size_t from = (used + page - 1) / page * page;

    if (s->arena_counted <= used)
        return;
    if (!s->device->has_host && from < s->arena.bytes)
        madvise((char *)s->arena.address + from, s->arena.bytes - from, MADV_DONTNEED);
    count_arena(s, used, s->program->layout.peak_by_role[PLB_ROLE_GRADIENT]);
}

/* That it cannot be made smaller harms nobody. */
static void trim_disk(struct plb_session *s)
{
    size_t used = s->program->layout.arena[PLB_DISK];

    if (s->disk.bytes > used && plb__disk_resize(s->planning.directory, used, &s->disk) != PLB_OK)
        plb_error_clear();
}

/* Former programs go one by one, as their tasks end, unless tasks that order a newer one after them
 * have still to end. The newest stands first. */
void plb__session_reap(struct plb_session *s)
{
    struct plb__program **place = &s->former;

    if (!s->program || !s->program->entered ||
        __atomic_load_n(&s->program->bridges, __ATOMIC_ACQUIRE) > 0)
        return;
    while (*place && __atomic_load_n(&(*place)->bridges, __ATOMIC_ACQUIRE) == 0) {
        struct plb__program *p = *place;

        if (p->steps > 0 || p == s->aside.program) {
            place = &p->next;
            continue;
        }
        *place = p->next;
        plb__program_destroy(p);
    }
    if (!s->former) {
        trim_arena(s);
        trim_disk(s);
    }
}

/* ---- switching ---- */

static void describe(struct plb_session *s, double predicted)
{
    const struct plb__program *p = s->program;
    struct plb_session_info *info = &s->info;

    info->instructions = p->plan.n;
    info->fingerprint = p->plan.fingerprint;
    info->budget = plb__planning_budget(s);
    info->planned_bytes = s->planning.taken + p->layout.arena[PLB_DEVICE];
    info->planned_peak = p->layout.peak[PLB_DEVICE];
    memcpy(info->planned_by_role, p->layout.peak_by_role, sizeof info->planned_by_role);
    memcpy(info->arena, p->layout.arena, sizeof info->arena);
    memcpy(info->moved_out, p->moved_out, sizeof info->moved_out);
    memcpy(info->moved_in, p->moved_in, sizeof info->moved_in);
    info->again_tasks = p->again_tasks;
    info->again_flops = p->again_flops;
    info->predicted_seconds = predicted;
}

/* Makes a program of the draft, which is used up, and puts it in the place of the present one. */
static enum plb_status switch_to(struct plb_session *s, struct plb__draft *draft)
{
    double predicted = draft->predicted;
    struct plb__program *program;
    size_t gradients = draft->layout.peak_by_role[PLB_ROLE_GRADIENT];
    size_t bytes = draft->layout.arena[PLB_DEVICE];
    enum plb_status status = grow_arena(s, &draft->layout);

    if (status != PLB_OK) {
        plb__draft_clear(draft);
        return status;
    }
    PLB_TRY(plb__program_create(s, &draft->plan, &draft->layout, &program));
    if (s->program) {
        s->program->next = s->former;
        s->former = s->program;
        s->info.replans++;
    }
    s->program = program;
    s->planning.predicted = predicted;
    s->planning.steps = 0;
    s->planning.look = LOOK_FIRST;
    if (!s->managed && bytes > s->arena_counted)
        count_arena(s, bytes, gradients);
    describe(s, predicted);
    return PLB_OK;
}

/* A disk that cannot be had is done without. */
static enum plb_status switch_without_disk(struct plb_session *s, const struct plb_plan *current)
{
    struct plb__draft draft;

    plb__session_note(s, "%s; going on without a disk", plb_error_message());
    s->planning.problem.limits.bytes[PLB_DISK] = 0;
    PLB_TRY(plb__draft_make(s, plb_plan_make, current, &draft));
    return switch_to(s, &draft);
}

enum plb_status plb__plan_first(struct plb_session *s)
{
    struct plb__draft draft;
    enum plb_status status;

    PLB_TRY(plb__draft_make(s, plb_plan_make, NULL, &draft));
    status = switch_to(s, &draft);
    if (status == PLB_ERROR_IO)
        status = switch_without_disk(s, NULL);
    return status;
}

/* ---- less memory ---- */

/* The plan that the next step switches to. */
static void put_off(struct plb_session *s, struct plb__draft *draft)
{
    plb__draft_clear(&s->planning.draft);
    s->planning.draft = *draft;
    s->planning.pending = true;
}

/* The plan that the next step will run, as things are. */
static const struct plb_plan *next_plan(const struct plb_session *s,
                                        const struct plb_layout **layout_out)
{
    const struct plb__planning *p = &s->planning;

    *layout_out = p->pending ? &p->draft.layout : &s->program->layout;
    return p->pending ? &p->draft.plan : &s->program->plan;
}

/* Could its copies be put into other places, so that it keeps the limits? */
static enum plb_status place_anew(struct plb_session *s, const struct plb_plan *plan,
                                  const struct plb_layout *layout, struct plb__draft *draft_out)
{
    const struct plb_limits *limits = &s->planning.problem.limits;
    struct plb__draft draft = {.predicted = s->planning.predicted};
    enum plb_status status;

    for (int tier = 0; tier < PLB_TIERS; tier++)
        if (layout->peak[tier] > limits->bytes[tier] - (tier == PLB_DEVICE ? limits->reserved : 0))
            return PLB_ERROR_MEMORY;
    PLB_TRY(plb_plan_copy(plan, &draft.plan));
    status = plb_layout_assign(&draft.plan, s->cut, limits, &draft.layout);
    if (status == PLB_OK)
        *draft_out = draft;
    else
        plb__draft_clear(&draft);
    return status;
}

/* Sees to it that the next step keeps the limits; `how`: whom else to ask. */
static enum plb_status keep_limits(struct plb_session *s, plb__ask how)
{
    const struct plb_layout *layout;
    const struct plb_plan *plan = next_plan(s, &layout);
    double start = plb__now();
    struct plb__draft draft;
    enum plb_status status = PLB_OK;

    PLB_TRY(plb__planning_check(s));
    if (!plb__planning_fits(s, layout)) {
        status = place_anew(s, plan, layout, &draft);
        if (status == PLB_ERROR_MEMORY)
            status = plb__draft_make(s, how, plan, &draft);
        if (status == PLB_OK)
            put_off(s, &draft);
    }
    s->info.replan_seconds = plb__now() - start;
    if (s->planning.pending)
        plb__aside_begin(s, PLB_EVENT_PRESSURE);
    return status;
}

static enum plb_status set_budget(struct plb_session *s, size_t bytes)
{
    struct plb__planning *p = &s->planning;
    size_t budget = plb__planning_budget(s);

    p->asked = bytes;
    if (plb__planning_budget(s) < budget)
        return keep_limits(s, plb_plan_make);
    PLB_TRY(plb__planning_check(s));
    s->info.replan_seconds = 0.0;
    plb__aside_begin(s, PLB_EVENT_RELIEF);
    return PLB_OK;
}

enum plb_status plb_session_set_budget(plb_session_t *s, size_t bytes)
{
    size_t before = s->planning.asked;
    enum plb_status status;

    if (s->parts)
        return plb__parts_set_budget(s, bytes);
    if (s->managed)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "policy '%s' leaves memory to StarPU, whose limit "
                        "stands",
                        s->info.memory_policy);
    status = set_budget(s, bytes);
    if (status != PLB_OK) {
        s->planning.asked = before;
        return status;
    }
    s->info.budget = plb__planning_budget(s);
    return PLB_OK;
}

/* The copies that could not be written are in main memory for now. */
static enum plb_status leave_disk(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;
    enum plb_status status;

    if (!__atomic_exchange_n(&p->disk_lost, false, __ATOMIC_ACQ_REL))
        return PLB_OK;
    if (p->problem.limits.bytes[PLB_DISK] == 0)
        return PLB_OK; /* a write of a step that was in flight */
    p->problem.limits.bytes[PLB_DISK] = 0;
    plb__session_note(s, "writing offloaded values to '%s' failed; going on without a disk",
                      p->directory);
    status = keep_limits(s, plb_plan_make);
    return status == PLB_OK ? PLB_OK : plb_fail_within(status, "no plan without a disk");
}

/* Lowers the budget by what the machine lacks, or as much of that as the policy can do soon. */
static void lower_budget(struct plb_session *s, size_t lacking)
{
    struct plb__planning *p = &s->planning;
    size_t before = p->lowered, have = s->info.planned_bytes, arena = s->info.arena[PLB_DEVICE];

    if (p->lowest)
        return;
    if (lacking > arena / 4 * 3)
        lacking = arena / 4 * 3;
    for (; lacking > 0 && lacking >= arena / 16; lacking /= 2) {
        p->lowered = have - lacking;
        if (p->lowered >= plb_problem_floor(&p->problem) &&
            keep_limits(s, plb_plan_make_soon) == PLB_OK) {
            plb__session_note(s, "the machine is short of memory: the budget is %s from here on",
                              plb_bytes_text((double)p->lowered).text);
            return;
        }
    }
    p->lowered = before;
    p->lowest = true;
}

static void look_at_machine(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;
    double least = SHORT_SHARE * (double)plb__memory_bytes(), available, time = plb__now();

    if (s->device->has_host || time < p->look_at_machine)
        return;
    p->look_at_machine = time + MACHINE_EVERY;
    available = (double)plb__memory_available();
    p->lowest &= available < least;
    if (available < least) {
        lower_budget(s, (size_t)(least - available));
    } else if (p->lowered != SIZE_MAX && available > RELIEF * least) {
        p->lowered = SIZE_MAX;
        plb__aside_begin(s, PLB_EVENT_RELIEF);
    }
    s->info.budget = plb__planning_budget(s);
}

/* ---- other costs ---- */

/* Costs decide nothing where there is no limit. */
static bool may_drift(const struct plb_session *s)
{
    const struct plb__planning *p = &s->planning;

    return p->drift >= 0.0 && plb__planning_budget(s) != SIZE_MAX && p->steps >= p->look;
}

static void look_for_drift(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;

    if (!may_drift(s))
        return;
    p->look = p->steps + (p->steps < LOOK_MOST ? p->steps : LOOK_MOST);
    plb__aside_begin(s, PLB_EVENT_DRIFT);
}

/* ---- between steps ---- */

/* Where a step needs a plan at once, one that was made aside may wait. */
static enum plb_status find_reason(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;

    PLB_TRY(leave_disk(s));
    if (!p->pending)
        look_at_machine(s);
    if (!p->pending && plb__aside_take(s, &p->draft)) {
        p->pending = true;
        s->info.replan_seconds = 0.0;
    }
    if (!p->pending)
        look_for_drift(s);
    return PLB_OK;
}

static enum plb_status switch_plans(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;
    double start = plb__now();
    enum plb_status status;

    p->pending = false;
    status = switch_to(s, &p->draft);
    if (status == PLB_ERROR_IO)
        status = switch_without_disk(s, &s->program->plan);
    s->info.replan_seconds += plb__now() - start;
    return status;
}

enum plb_status plb__plan_again(struct plb_session *s)
{
    plb__steps_collect(s);
    plb__session_reap(s);
    if (s->managed)
        return PLB_OK;
    PLB_TRY(find_reason(s));
    if (s->planning.pending)
        PLB_TRY(switch_plans(s));
    plb__aside_go_on(s);
    return PLB_OK;
}
