/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bisection by bytes, then by layouts: see chain_fit.h.
 */
#include "config.h"

#include "schedulers/memory/chain/chain_fit.h"

#include <stdlib.h>

/* The target is found to one part in PARTS of the largest, or as soon as less than one part in
 * ENOUGH_PARTS is left over. */
enum { PARTS = 1024, ENOUGH_PARTS = 4096, STEPS = 12, BRACKET_PART = 16 };
/* While steps wait there are so many tries, and to be as near as one part in AGAIN_PARTS is enough.
 * One part in SPARE_PARTS of the room is left: with that, places are found fast. */
enum { AGAIN_STEPS = 4, AGAIN_PARTS = 100, SPARE_PARTS = 24 };

size_t plb__device_room(const struct plb_problem *problem)
{
    const struct plb_limits *limits = &problem->limits;
    size_t used = problem->needs.initial + limits->reserved +
                  (limits->hold_gradients ? problem->needs.gradients : 0);

    return limits->bytes[PLB_DEVICE] > used ? limits->bytes[PLB_DEVICE] - used : 0;
}

struct counter {
    const plb_graph_t *graph;
    const struct plb__sizes *sizes;
    bool *counted; /* per value: it is on the device and counts */
    size_t alive, peak;
};

static void set_counted(struct counter *c, plb_value v, bool counted)
{
    if (c->counted[v])
        c->alive -= c->sizes->bytes[v];
    if (counted)
        c->alive += c->sizes->bytes[v];
    c->counted[v] = counted;
}

/* An output that takes over storage counts if that did. */
static void count_run(struct counter *c, const struct plb_instruction *instruction)
{
    const struct plb_task *task = plb_graph_task(c->graph, instruction->subject);

    for (int k = 0; k < task->n_out; k++) {
        bool takes = instruction->takes & (1u << k);
        uint32_t in = takes ? task->in_start[task->op->out[k].shares - 1] : 0;

        for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++) {
            bool counted = takes ? c->counted[task->in[in]] : !c->sizes->free[task->out[j]];

            if (takes)
                set_counted(c, task->in[in++], false);
            set_counted(c, task->out[j], counted);
        }
    }
}

static void count(struct counter *c, const struct plb_instruction *instruction)
{
    if (instruction->code == PLB_RUN)
        count_run(c, instruction);
    else if (instruction->code == PLB_FETCH)
        set_counted(c, instruction->subject, !c->sizes->free[instruction->subject]);
    else if (instruction->code == PLB_DROP && instruction->tier == PLB_DEVICE)
        set_counted(c, instruction->subject, false);
    if (c->alive > c->peak)
        c->peak = c->alive;
}

enum plb_status plb__plan_peak(const plb_graph_t *graph, const struct plb_plan *plan,
                               const struct plb__sizes *sizes, size_t *peak_out)
{
    struct counter c = {.graph = graph, .sizes = sizes};

    c.counted = calloc((size_t)plb_graph_values(graph) + 1, sizeof *c.counted);
    if (!c.counted)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to count the bytes of a plan");
    for (uint32_t i = 0; i < plan->n; i++)
        count(&c, &plan->instruction[i]);
    free(c.counted);
    *peak_out = c.peak;
    return PLB_OK;
}

/* Bytes of the plan of a target; SIZE_MAX: there is none. */
static enum plb_status peak_of(const struct plb_problem *problem, const struct plb__fit *fit,
                               const struct plb__sizes *sizes, size_t target, size_t *peak_out)
{
    struct plb_plan plan = {.n = 0};
    enum plb_status status = fit->propose(problem, target, fit->context, &plan);

    *peak_out = SIZE_MAX;
    if (status == PLB_OK)
        status = plb__plan_peak(problem->graph, &plan, sizes, peak_out);
    plb_plan_clear(&plan);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

/* A plan's bytes go up by about as much as its target does, so the next target is as far from the
 * last one as the bytes are from the limit; a part of the bracket further, so that it shrinks; or
 * half-way where that leads out of it. */
static size_t next_target(size_t low, size_t high, size_t target, size_t peak, size_t room)
{
    size_t part = (high - low) / BRACKET_PART;
    size_t next = peak <= room ? target + (room - peak) + part : target - (peak - room) - part;

    if (peak == SIZE_MAX || next <= low || next >= high)
        return low + (high - low) / 2;
    return next;
}

/* The largest target up to `most` whose copies take no more than `room`, with STEPS plans or less;
 * 0 when none was found. */
static enum plb_status search(const struct plb_problem *problem, const struct plb__fit *fit,
                              const struct plb__sizes *sizes, size_t room, size_t most,
                              size_t *target_out)
{
    size_t low = 0, high = most, target = room < most ? room : most / 2, peak;

    for (int step = 0; step < STEPS && high - low > fit->most / PARTS + 1; step++) {
        PLB_TRY(peak_of(problem, fit, sizes, target, &peak));
        if (peak <= room)
            low = target;
        else
            high = target;
        if (peak <= room && room - peak < fit->most / ENOUGH_PARTS)
            break;
        target = next_target(low, high, target, peak, room);
    }
    *target_out = low;
    return PLB_OK;
}

/* The plan of a target, if it can be laid out. */
static enum plb_status try_layout(const struct plb_problem *problem, const struct plb__fit *fit,
                                  size_t target, struct plb_plan *plan_out, bool *fits_out)
{
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;
    enum plb_status status = fit->propose(problem, target, fit->context, &plan);

    if (status == PLB_OK)
        status = plb_layout_assign(&plan, problem->graph, &problem->limits, &layout);
    *fits_out = status == PLB_OK;
    if (status == PLB_OK) {
        plb_layout_clear(&layout);
        *plan_out = plan;
        return PLB_OK;
    }
    plb_plan_clear(&plan);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

/* Where gaps between copies take too much, plans of a little less are tried. */
static enum plb_status fit_layout(const struct plb_problem *problem, const struct plb__fit *fit,
                                  const struct plb__sizes *sizes, size_t *target_out,
                                  struct plb_plan *plan_out, bool *fits_out)
{
    static const size_t parts_left[] = {SIZE_MAX, 256, 128, 64, 40, 25};
    size_t room = plb__device_room(problem), most = fit->most;

    *fits_out = false;
    for (size_t k = 0; k < sizeof parts_left / sizeof parts_left[0] && !*fits_out; k++) {
        PLB_TRY(search(problem, fit, sizes, room - room / parts_left[k], most, target_out));
        most = *target_out;
        if (most == 0)
            return PLB_OK;
        PLB_TRY(try_layout(problem, fit, *target_out, plan_out, fits_out));
    }
    return PLB_OK;
}

enum plb_status plb__chain_fit(const struct plb_problem *problem, const struct plb__fit *fit,
                               const struct plb__sizes *sizes, struct plb_plan *plan_out)
{
    struct plb__fit within = *fit;
    bool fits;
    size_t peak;

    PLB_TRY(peak_of(problem, fit, sizes, fit->most, &peak));
    if (peak <= plb__device_room(problem))
        return plb__fit_plan(problem, fit, plan_out);
    PLB_TRY(fit_layout(problem, fit, sizes, &within.most, plan_out, &fits));
    if (fits && problem->platform->workers == 1)
        return PLB_OK;
    plb_plan_clear(plan_out);
    return plb__fit_plan(problem, &within, plan_out);
}

/* ---- again ---- */

enum plb_status plb__chain_note(const struct plb_problem *problem, const struct plb_plan *plan,
                                const struct plb__sizes *sizes, struct plb__chain_goal *goal)
{
    goal->room = plb__device_room(problem);
    return plb__plan_peak(problem->graph, plan, sizes, &goal->used);
}

/* The plan of a target takes the place of `plan` if its copies take at most `aim`. */
static enum plb_status keep_below(const struct plb_problem *problem, const struct plb__fit *fit,
                                  const struct plb__sizes *sizes, size_t target, size_t aim,
                                  struct plb_plan *plan, size_t *peak_out)
{
    struct plb_plan tried = {.n = 0};
    enum plb_status status = fit->propose(problem, target, fit->context, &tried);

    if (status == PLB_OK)
        status = plb__plan_peak(problem->graph, &tried, sizes, peak_out);
    if (status == PLB_OK && *peak_out <= aim) {
        struct plb_plan other = *plan;

        *plan = tried;
        tried = other;
    }
    plb_plan_clear(&tried);
    return status;
}

enum plb_status plb__chain_refit(const struct plb_problem *problem, const struct plb__fit *fit,
                                 const struct plb__sizes *sizes, const struct plb__chain_goal *goal,
                                 struct plb_plan *plan_out)
{
    size_t room = plb__device_room(problem), low = 0, high = fit->most, target, peak;
    size_t aim = (size_t)((double)goal->used * ((double)room / (double)goal->room));

    if (aim > room - room / SPARE_PARTS)
        aim = room - room / SPARE_PARTS;
    target = aim < high ? aim : high;
    for (int step = 0; step < AGAIN_STEPS && low < high; step++) {
        PLB_TRY(keep_below(problem, fit, sizes, target, aim, plan_out, &peak));
        if (peak <= aim)
            low = target;
        else
            high = target;
        if (peak <= aim && (aim - peak < aim / AGAIN_PARTS || target == fit->most))
            break;
        target = next_target(low, high, target, peak, aim);
    }
    return plan_out->n > 0 ? PLB_OK : plb_fail(PLB_ERROR_MEMORY, "no plan was found in a few tries");
}
