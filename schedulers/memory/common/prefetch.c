/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves in good time: see prefetch.h.
 *
 * A plan without its DROPs is a draft, in which OFFLOADs and FETCHes can be moved and which is then
 * finished again. When a FETCH should begin is found from last to first (each ends before the next
 * begins); how far it can move from first to last, so that what is needed first gets the memory
 * first. The DROPs of what is offloaded are delayed last, in the finished plan.
 */
#include "config.h"

#include "schedulers/memory/common/prefetch.h"

#include "runtime/plan/walk.h"
#include "runtime/plan/writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A transfer is begun this much earlier than it would take on an idle link. */
#define SLACK 1.25

struct mover {
    const struct plb_problem *problem;
    struct plb_plan plan; /* what has become of it so far */
    size_t room;
    uint32_t *touched; /* per value: the last instruction so far that made, used or moved it */
    bool *held;        /* per value: counts for the whole step */
    bool *counted;     /* per value: on the device in storage that is counted */
    double *gone;      /* per value: when its copy in another tier is complete */
    size_t *level;     /* per instruction: bytes on the device while it is executed */
    double *start;     /* per instruction: when it starts if nothing waits */
    double *begin;     /* per FETCH: when the link should begin with it */
    uint32_t *queue;   /* room for instructions */
    uint32_t *target; /* per instruction: the one that it moves to the front of, itself: it stays */
};

static size_t bytes_of(const struct mover *m, plb_value v)
{
    return plb_type_bytes(&plb_graph_value(m->problem->graph, v)->type);
}

/* ---- programs ---- */

/* Takes the DROPs out and finds them anew. */
static enum plb_status finish(struct mover *m)
{
    struct plb_plan finished = {.n = 0};
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->plan.n; i++) {
        if (m->plan.instruction[i].code == PLB_DROP)
            continue;
        m->plan.instruction[n] = m->plan.instruction[i];
        m->plan.instruction[n++].takes = 0;
    }
    m->plan.n = n;
    PLB_TRY(plb_plan_finish(m->problem->graph, &m->plan, &finished));
    plb_plan_clear(&m->plan);
    m->plan = finished;
    return PLB_OK;
}

/* Puts every instruction right before its target, those with one target in their order. */
static enum plb_status rearrange(struct mover *m)
{
    uint32_t n = m->plan.n, k = 0;
    struct plb_instruction *moved = malloc(((size_t)n + 1) * sizeof *moved);
    uint32_t *first = malloc(((size_t)n + 1) * sizeof *first);
    uint32_t *next = malloc(((size_t)n + 1) * sizeof *next);
    enum plb_status status = PLB_OK;

    if (!moved || !first || !next) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to move %u instructions", n);
        goto free_lists;
    }
    memset(first, 0xff, ((size_t)n + 1) * sizeof *first);
    for (uint32_t i = n; i-- > 0;) {
        next[i] = m->target[i] == i ? PLB_NONE : first[m->target[i]];
        if (m->target[i] != i)
            first[m->target[i]] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = first[i]; j != PLB_NONE; j = next[j])
            moved[k++] = m->plan.instruction[j];
        if (m->target[i] == i)
            moved[k++] = m->plan.instruction[i];
    }
    memcpy(m->plan.instruction, moved, n * sizeof *moved);
free_lists:
    free(moved);
    free(first);
    free(next);
    return status;
}

/* ---- what instructions touch ---- */

static void touch(struct mover *m, uint32_t i)
{
    const struct plb_instruction *instruction = &m->plan.instruction[i];
    const struct plb_task *task;

    if (instruction->code != PLB_RUN) {
        m->touched[instruction->subject] = i;
        return;
    }
    task = plb_graph_task(m->problem->graph, instruction->subject);
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        m->touched[task->in[j]] = i;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        m->touched[task->out[j]] = i;
}

/* Values do not change, so an OFFLOAD may begin as soon as its value is made. */
static void place_offloads(struct mover *m)
{
    memset(m->touched, 0xff, plb_graph_values(m->problem->graph) * sizeof *m->touched);
    for (uint32_t i = 0; i < m->plan.n; i++) {
        const struct plb_instruction *instruction = &m->plan.instruction[i];
        const struct plb_task *task;

        m->target[i] = i;
        if (instruction->code == PLB_OFFLOAD) {
            m->target[i] = m->touched[instruction->subject] + 1;
            continue;
        }
        if (instruction->code != PLB_RUN)
            continue;
        task = plb_graph_task(m->problem->graph, instruction->subject);
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            m->touched[task->out[j]] = i;
    }
}

/* ---- room and time ---- */

static void count(struct mover *m, plb_value v, bool there, size_t *live)
{
    if (m->counted[v] == there)
        return;
    m->counted[v] = there;
    if (there)
        *live += bytes_of(m, v);
    else
        *live -= bytes_of(m, v);
}

/* An output that lies where an initial value lay is not counted, as that one was not. */
static void count_taken(struct mover *m, plb_value in, plb_value out, size_t *live)
{
    bool own = m->counted[in] || m->held[in];

    count(m, in, false, live);
    count(m, out, own && !m->held[out], live);
}

static void count_run(struct mover *m, const struct plb_instruction *instruction, size_t *live)
{
    const struct plb_task *task = plb_graph_task(m->problem->graph, instruction->subject);

    for (int k = 0; k < task->n_out; k++) {
        bool takes = instruction->takes & 1u << k;

        for (uint32_t j = 0; j < task->out_start[k + 1] - task->out_start[k]; j++) {
            plb_value out = task->out[task->out_start[k] + j];

            if (takes)
                count_taken(m, task->in[task->in_start[task->op->out[k].shares - 1] + j], out,
                            live);
            else
                count(m, out, !m->held[out], live);
        }
    }
}

/* Bytes while each instruction is executed, and when it would start. */
static void measure(struct mover *m)
{
    const struct plb_needs *needs = &m->problem->needs;
    bool hold = m->problem->limits.hold_gradients;
    size_t live = needs->initial + (hold ? needs->gradients : 0);
    double now = 0;

    memset(m->counted, 0, plb_graph_values(m->problem->graph) * sizeof *m->counted);
    for (uint32_t i = 0; i < m->plan.n; i++) {
        const struct plb_instruction *instruction = &m->plan.instruction[i];
        plb_value v = instruction->subject;

        m->start[i] = now;
        m->target[i] = i;
        if (instruction->code == PLB_DROP && instruction->tier == PLB_DEVICE)
            count(m, v, false, &live);
        if (instruction->code == PLB_FETCH)
            count(m, v, !m->held[v], &live);
        if (instruction->code == PLB_RUN) {
            count_run(m, instruction, &live);
            now += m->problem->seconds[v] / m->problem->platform->workers;
        }
        m->level[i] = live;
    }
}

/* ---- FETCHes ---- */

static double transfer_seconds(const struct mover *m, const struct plb_instruction *move)
{
    return plb_transfer_seconds(m->problem->platform, move->tier, move->code == PLB_OFFLOAD,
                                bytes_of(m, move->subject));
}

static bool has_room(const struct mover *m, uint32_t i, size_t bytes)
{
    return m->level[i] <= m->room && bytes <= m->room - m->level[i];
}

static void find_begins(struct mover *m)
{
    double begin[PLB_TIERS] = {INFINITY, INFINITY, INFINITY};

    for (uint32_t i = m->plan.n; i-- > 0;) {
        const struct plb_instruction *fetch = &m->plan.instruction[i];

        if (fetch->code != PLB_FETCH)
            continue;
        begin[fetch->tier] =
            fmin(m->start[i], begin[fetch->tier]) - SLACK * transfer_seconds(m, fetch);
        m->begin[i] = begin[fetch->tier];
    }
}

/* A FETCH passes no instruction that touches its value, and no FETCH before it. */
static uint32_t place_fetch(struct mover *m, uint32_t i, uint32_t latest)
{
    plb_value v = m->plan.instruction[i].subject;
    size_t bytes = bytes_of(m, v);
    uint32_t first = m->touched[v] + 1, to = i;

    first = first > latest ? first : latest;
    while (to > first && m->start[to] > m->begin[i] && has_room(m, to - 1, bytes))
        m->level[--to] += bytes;
    return to;
}

static void place_fetches(struct mover *m)
{
    uint32_t latest = 0;

    find_begins(m);
    memset(m->touched, 0xff, plb_graph_values(m->problem->graph) * sizeof *m->touched);
    for (uint32_t i = 0; i < m->plan.n; i++) {
        if (m->plan.instruction[i].code == PLB_FETCH)
            m->target[i] = latest = place_fetch(m, i, latest);
        touch(m, i);
    }
}

/* ---- DROPs ---- */

/* What is on its way out, oldest first: the DROPs that are being delayed. */
struct leaving {
    uint32_t *drop;
    uint32_t first, n;
    size_t bytes;
    uint32_t *of; /* per value: its DROP, or PLB_NONE */
};

/* The DROP of a value that is on its way out comes right before instruction i. */
static void end_at(struct mover *m, struct leaving *leaving, plb_value v, uint32_t i)
{
    if (leaving->of[v] == PLB_NONE)
        return;
    m->target[leaving->of[v]] = i;
    leaving->bytes -= bytes_of(m, v);
    leaving->of[v] = PLB_NONE;
}

/* What is made again must have ended; what has arrived may end; and when there is no room the
 * oldest ends, for it will be gone first. */
static void end_some(struct mover *m, struct leaving *leaving, uint32_t i)
{
    const struct plb_instruction *instruction = &m->plan.instruction[i];
    const struct plb_task *task;

    if (instruction->code == PLB_FETCH)
        end_at(m, leaving, instruction->subject, i);
    if (instruction->code == PLB_RUN) {
        task = plb_graph_task(m->problem->graph, instruction->subject);
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            end_at(m, leaving, task->out[j], i);
    }
    while (leaving->first < leaving->n) {
        plb_value v = m->plan.instruction[leaving->drop[leaving->first]].subject;

        if (leaving->of[v] != PLB_NONE && m->gone[v] > m->start[i] &&
            has_room(m, i, leaving->bytes))
            return;
        if (leaving->of[v] == leaving->drop[leaving->first])
            end_at(m, leaving, v, i);
        leaving->first++;
    }
}

/* What is on its way out holds its memory until it has arrived, where there is room: else a task
 * would be laid out there, and wait for the link. */
static void place_drops(struct mover *m)
{
    struct leaving leaving = {.drop = m->queue, .of = m->touched};
    double idle[PLB_TIERS] = {0};
    uint32_t n = m->plan.n;

    memset(m->gone, 0, plb_graph_values(m->problem->graph) * sizeof *m->gone);
    memset(m->touched, 0xff, plb_graph_values(m->problem->graph) * sizeof *m->touched);
    for (uint32_t i = 0; i < n; i++) {
        const struct plb_instruction *instruction = &m->plan.instruction[i];
        plb_value v = instruction->subject;

        end_some(m, &leaving, i);
        if (instruction->code == PLB_OFFLOAD) {
            idle[instruction->tier] =
                fmax(idle[instruction->tier], m->start[i]) + transfer_seconds(m, instruction);
            m->gone[v] = idle[instruction->tier];
        } else if (instruction->code == PLB_DROP && instruction->tier == PLB_DEVICE &&
                   m->gone[v] > m->start[i]) {
            leaving.drop[leaving.n++] = i;
            leaving.of[v] = i;
            leaving.bytes += bytes_of(m, v);
        }
    }
}

/* ---- all of it ---- */

/* No pass makes a program longer. */
static enum plb_status prepare(struct mover *m, const struct plb_plan *plan)
{
    size_t values = (size_t)plb_graph_values(m->problem->graph) + 1, n = (size_t)plan->n + 1;

    m->touched = malloc(values * sizeof *m->touched);
    m->held = calloc(values, sizeof *m->held);
    m->counted = calloc(values, sizeof *m->counted);
    m->gone = malloc(values * sizeof *m->gone);
    m->level = malloc(n * sizeof *m->level);
    m->start = malloc(n * sizeof *m->start);
    m->begin = malloc(n * sizeof *m->begin);
    m->queue = malloc(n * sizeof *m->queue);
    m->target = malloc(n * sizeof *m->target);
    if (!m->touched || !m->held || !m->counted || !m->gone || !m->level || !m->start || !m->begin ||
        !m->queue || !m->target)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to move %u instructions", plan->n);
    if (m->problem->limits.hold_gradients)
        plb__held_values(m->problem->graph, m->held);
    for (uint32_t i = 0; i < plan->n; i++)
        PLB_TRY(plb_plan_append(&m->plan, plan->instruction[i]));
    return PLB_OK;
}

static enum plb_status move_all(struct mover *m)
{
    place_offloads(m);
    PLB_TRY(rearrange(m));
    PLB_TRY(finish(m));
    measure(m);
    place_fetches(m);
    PLB_TRY(rearrange(m));
    PLB_TRY(finish(m));
    measure(m);
    place_drops(m);
    return rearrange(m);
}

enum plb_status plb__prefetch(const struct plb_problem *problem, const struct plb_plan *plan,
                              size_t room, struct plb_plan *plan_out)
{
    struct mover m = {.problem = problem, .room = room};
    enum plb_status status = prepare(&m, plan);

    if (status == PLB_OK)
        status = move_all(&m);
    if (status == PLB_OK)
        *plan_out = m.plan;
    else
        plb_plan_clear(&m.plan);
    free(m.touched);
    free(m.held);
    free(m.counted);
    free(m.gone);
    free(m.level);
    free(m.start);
    free(m.begin);
    free(m.queue);
    free(m.target);
    return status;
}
