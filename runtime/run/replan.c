/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one plan to the next, while steps run.
 *
 * A plan is made anew between two steps: when measured costs have left those that it was made with,
 * when the budget has changed, when the machine is short of memory, when the disk has failed.
 * Nothing is drained: the new program lies in the same arena, and its tasks wait for those of the
 * former ones only where both use the same bytes (plb__program_bridge()). A former program is freed
 * when its last task has ended. Results do not depend on any of this, since what a plan computes
 * does not.
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
    return s->device->take(arena_bytes(s, layout), "one step (activations and gradients)",
                           &s->arena);
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

        if (p->steps > 0) {
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
static enum plb_status switch_without_disk(struct plb_session *s, enum plb_event event,
                                           const struct plb_plan *current)
{
    struct plb__draft draft;

    plb__session_note(s, "%s; going on without a disk", plb_error_message());
    s->planning.problem.limits.bytes[PLB_DISK] = 0;
    PLB_TRY(plb__draft_make(s, event, current, &draft));
    return switch_to(s, &draft);
}

enum plb_status plb__plan_first(struct plb_session *s)
{
    struct plb__draft draft;
    enum plb_status status;

    PLB_TRY(plb__draft_make(s, PLB_EVENT_DRIFT, NULL, &draft));
    status = switch_to(s, &draft);
    if (status == PLB_ERROR_IO)
        status = switch_without_disk(s, PLB_EVENT_DRIFT, NULL);
    return status;
}

/* ---- reasons ---- */

static bool same_program(const struct plb_plan *a, const struct plb_plan *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct plb_instruction *x = &a->instruction[i], *y = &b->instruction[i];

        if (x->code != y->code || x->subject != y->subject || x->takes != y->takes ||
            x->tier != y->tier)
            return false;
    }
    return true;
}

/* The plan that the next step switches to. */
static void put_off(struct plb_session *s, struct plb__draft *draft)
{
    plb__draft_clear(&s->planning.draft);
    s->planning.draft = *draft;
    s->planning.pending = true;
}

static enum plb_status make_pending(struct plb_session *s, enum plb_event event)
{
    struct plb__draft draft;
    double start = plb__now();

    PLB_TRY(plb__draft_make(s, event, &s->program->plan, &draft));
    put_off(s, &draft);
    s->info.replan_seconds = plb__now() - start;
    return PLB_OK;
}

enum plb_status plb_session_set_budget(plb_session_t *s, size_t bytes)
{
    struct plb__planning *p = &s->planning;
    size_t before = p->asked;
    enum plb_status status;

    if (s->managed)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "policy '%s' leaves memory to StarPU, whose limit "
                        "stands",
                        s->info.memory_policy);
    p->asked = bytes;
    status = make_pending(s, bytes < plb__planning_budget(s) || bytes < before ? PLB_EVENT_PRESSURE
                                                                               : PLB_EVENT_RELIEF);
    if (status != PLB_OK)
        p->asked = before;
    return status;
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
    status = make_pending(s, PLB_EVENT_PRESSURE);
    return status == PLB_OK ? PLB_OK : plb_fail_within(status, "no plan without a disk");
}

/* Costs decide nothing where there is no limit. */
static bool may_drift(const struct plb_session *s)
{
    const struct plb__planning *p = &s->planning;

    if (s->managed)
        return false;
    return p->drift >= 0.0 && plb__planning_budget(s) != SIZE_MAX && p->steps >= p->look;
}

static enum plb_status look_for_drift(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;
    struct plb__draft draft;
    double predicted, start = plb__now();

    if (!may_drift(s))
        return PLB_OK;
    p->look = p->steps + (p->steps < LOOK_MOST ? p->steps : LOOK_MOST);
    PLB_TRY(plb_costs_of_graph(p->costs, s->cut, p->seconds, NULL));
    PLB_TRY(plb__predict(s, &s->program->plan, &s->program->layout, p->seconds, &predicted));
    if (predicted <= p->predicted * (1.0 + p->drift) &&
        predicted >= p->predicted * (1.0 - p->drift))
        return PLB_OK;
    p->predicted = s->info.predicted_seconds = predicted;
    if (plb__draft_make(s, PLB_EVENT_DRIFT, &s->program->plan, &draft) != PLB_OK)
        return PLB_OK; /* the present plan is right, if not the best */
    s->info.replan_seconds = plb__now() - start;
    if (same_program(&draft.plan, &s->program->plan))
        plb__draft_clear(&draft);
    else
        put_off(s, &draft);
    return PLB_OK;
}

/* ---- the machine's memory ---- */

/* Lowers the budget by what the machine lacks, or as much of that as the policy can do. To find
 * that out takes a few plans, not the many that the least budget takes. */
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
            make_pending(s, PLB_EVENT_PRESSURE) == PLB_OK) {
            plb__session_note(s, "the machine is short of memory: the budget is %s from here on",
                              plb_bytes_text((double)p->lowered).text);
            return;
        }
    }
    p->lowered = before;
    p->lowest = true;
}

static void raise_budget(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;
    size_t before = p->lowered;

    p->lowered = SIZE_MAX;
    if (make_pending(s, PLB_EVENT_RELIEF) != PLB_OK)
        p->lowered = before;
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
    if (available < least)
        lower_budget(s, (size_t)(least - available));
    else if (p->lowered != SIZE_MAX && available > RELIEF * least)
        raise_budget(s);
}

enum plb_status plb__plan_again(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;
    enum plb_status status;

    plb__steps_collect(s);
    plb__session_reap(s);
    if (s->managed)
        return PLB_OK;
    PLB_TRY(leave_disk(s));
    if (!p->pending)
        PLB_TRY(look_for_drift(s));
    if (!p->pending)
        look_at_machine(s);
    if (!p->pending)
        return PLB_OK;
    p->pending = false;
    status = switch_to(s, &p->draft);
    if (status == PLB_ERROR_IO)
        status = switch_without_disk(s, PLB_EVENT_PRESSURE, &s->program->plan);
    return status;
}
