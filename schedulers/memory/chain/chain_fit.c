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

size_t plb__device_room(const struct plb_problem *problem)
{
    const struct plb_limits *limits = &problem->limits;
    size_t used = problem->needs.initial + limits->reserved +
                  (limits->hold_gradients ? problem->needs.gradients : 0);

    return limits->bytes[PLB_DEVICE] > used ? limits->bytes[PLB_DEVICE] - used : 0;
}

struct counter {
    const plb_graph_t *graph;
    const bool *free;
    bool *counted; /* per value: it is on the device and counts */
    size_t alive, peak;
};

static void set_counted(struct counter *c, plb_value v, bool counted)
{
    size_t bytes = plb_type_bytes(&plb_graph_value(c->graph, v)->type);

    if (c->counted[v])
        c->alive -= bytes;
    if (counted)
        c->alive += bytes;
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
            bool counted = takes ? c->counted[task->in[in]] : !c->free[task->out[j]];

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
        set_counted(c, instruction->subject, !c->free[instruction->subject]);
    else if (instruction->code == PLB_DROP && instruction->tier == PLB_DEVICE)
        set_counted(c, instruction->subject, false);
    if (c->alive > c->peak)
        c->peak = c->alive;
}

enum plb_status plb__plan_peak(const plb_graph_t *graph, const struct plb_plan *plan,
                               const bool *free_values, size_t *peak_out)
{
    struct counter c = {.graph = graph, .free = free_values};

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
                               const bool *free_values, size_t target, size_t *peak_out)
{
    struct plb_plan plan = {.n = 0};
    enum plb_status status = fit->propose(problem, target, fit->context, &plan);

    *peak_out = SIZE_MAX;
    if (status == PLB_OK)
        status = plb__plan_peak(problem->graph, &plan, free_values, peak_out);
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

enum plb_status plb__chain_fit(const struct plb_problem *problem, const struct plb__fit *fit,
                               const bool *free_values, struct plb_plan *plan_out)
{
    struct plb__fit within = *fit;
    size_t room = plb__device_room(problem), grain = fit->most / PARTS;
    size_t low = 0, high = fit->most, target = room, peak;

    PLB_TRY(peak_of(problem, fit, free_values, fit->most, &peak));
    if (peak <= room)
        return plb__fit_plan(problem, fit, plan_out);
    if (target >= high)
        target = high / 2;
    for (int step = 0; step < STEPS && high - low > grain + 1; step++) {
        PLB_TRY(peak_of(problem, fit, free_values, target, &peak));
        if (peak <= room)
            low = target;
        else
            high = target;
        if (peak <= room && room - peak < fit->most / ENOUGH_PARTS)
            break;
        target = next_target(low, high, target, peak, room);
    }
    within.most = low;
    return plb__fit_plan(problem, &within, plan_out);
}
