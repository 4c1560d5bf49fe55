/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events: an instruction that has lost its last predecessor is ready; of what is ready workers and
 * links take what is first in the program. What ends at the same moment ends before anything
 * starts, so the result is a function of the numbers alone. See play.h; who follows whom is found
 * in order.c, who waits for whom in vain in stuck.c.
 */
#include "config.h"

#include "runtime/plan/heap.h"
#include "runtime/plan/play.h"
#include "runtime/plan/stuck.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Makes one copy after the other; that of the device's link to itself, which there is not, RUNs in
 * main memory. */
struct engine {
    struct plb__heap ready; /* all at time 0 */
    bool busy;
};

#define ENGINES (2 * PLB_TIERS)

/* What a place has. */
struct stage {
    struct plb__heap ready; /* RUNs on the device; all at time 0 */
    struct plb__heap idle;  /* workers; all at time 0 */
    struct engine engine[ENGINES];
    bool touched; /* something may start there */
};

/* Ways out and in, and their crossings. */
struct port {
    struct plb__heap waiting; /* carriages, by the time at which they were ready */
    uint32_t users;      /* carriages that pass it */
    bool busy;
};

struct carried {
    uint32_t end[2]; /* the instructions: send, receive */
    uint32_t left;   /* ends that are not ready */
};

struct play {
    const struct plb__cast *cast;
    struct plb__order order;
    uint32_t *place; /* per instruction */
    double now;
    struct plb__heap running; /* by the time at which they end; of a carriage its send */
    struct stage *stage;
    uint32_t *touched; /* places where something may start */
    uint32_t n_touched;
    struct carried *carried;
    struct port *port;
    struct plb__heap candidates; /* carriages that may start, by when they were ready */
    uint32_t ended;
};

/* ---- instructions ---- */

static const struct plb__program *program_of(const struct play *p, uint32_t i)
{
    return &p->cast->program[p->place[i]];
}

static const struct plb_instruction *instruction_of(const struct play *p, uint32_t i)
{
    const struct plb__program *program = program_of(p, i);

    return &program->plan->instruction[i - program->first];
}

static uint32_t carriage_of(const struct plb__program *program,
                            const struct plb_instruction *instruction)
{
    if (instruction->code != PLB_RUN || !program->carriage)
        return PLB_NONE;
    return program->carriage[instruction->subject];
}

static struct plb_simulated *time_of(const struct play *p, uint32_t i)
{
    const struct plb__program *program = program_of(p, i);

    return &program->timeline[i - program->first];
}

/* On one of the place's workers. */
static bool is_worked(const struct plb_instruction *instruction)
{
    return instruction->code == PLB_RUN && instruction->tier == PLB_DEVICE;
}

/* The two directions of a link are two engines if it is duplex. */
static int engine_of(const struct plb__program *program,
                     const struct plb_instruction *instruction)
{
    bool duplex = program->platform->link[instruction->tier].duplex;

    if (instruction->code == PLB_RUN)
        return PLB_DEVICE;
    return 2 * (int)instruction->tier + (duplex && instruction->code == PLB_OFFLOAD);
}

static size_t bytes_of(const struct plb__program *program, plb_value value)
{
    return plb_type_bytes(&plb_graph_value(program->graph, value)->type);
}

double plb__program_seconds(const struct plb__program *program, uint32_t i)
{
    const struct plb_instruction *instruction = &program->plan->instruction[i];
    uint32_t subject = instruction->subject;

    switch (instruction->code) {
    case PLB_RUN:
        return program->seconds[program->task ? program->task[subject] : subject];
    case PLB_OFFLOAD:
    case PLB_FETCH:
        return plb_transfer_seconds(program->platform, instruction->tier,
                                    instruction->code == PLB_OFFLOAD,
                                    bytes_of(program, subject));
    default:
        return 0;
    }
}

/* ---- what starts and ends ---- */

static void touch(struct play *p, uint32_t place)
{
    if (p->stage[place].touched)
        return;
    p->stage[place].touched = true;
    p->touched[p->n_touched++] = place;
}

static void start(struct play *p, uint32_t i, int lane)
{
    const struct plb__program *program = program_of(p, i);
    double end = p->now + plb__program_seconds(program, i - program->first);

    *time_of(p, i) = (struct plb_simulated){p->now, end, lane};
    plb__heap_push(&p->running, end, i);
}

static void make_ready(struct play *p, uint32_t i)
{
    const struct plb__program *program = program_of(p, i);
    const struct plb_instruction *instruction = instruction_of(p, i);
    struct stage *stage = &p->stage[p->place[i]];
    uint32_t carriage = carriage_of(program, instruction);

    if (carriage != PLB_NONE) {
        if (--p->carried[carriage].left == 0)
            plb__heap_push(&p->candidates, p->now, carriage);
        return;
    }
    touch(p, p->place[i]);
    if (is_worked(instruction))
        plb__heap_push(&stage->ready, 0, i);
    else if (instruction->code == PLB_DROP)
        start(p, i, -1);
    else
        plb__heap_push(&stage->engine[engine_of(program, instruction)].ready, 0, i);
}

static void release_followers(struct play *p, uint32_t i)
{
    p->ended++;
    for (uint32_t k = p->order.successors[i]; k != PLB_NONE; k = p->order.link[k].next)
        if (--p->order.left[p->order.link[k].instruction] == 0)
            make_ready(p, p->order.link[k].instruction);
}

/* ---- carriages ---- */

/* The first of its ports that is busy, or PLB_NONE. */
static uint32_t busy_port(const struct play *p, const struct plb__carriage *carriage)
{
    for (uint32_t k = 0; k < carriage->n_ports; k++)
        if (p->port[carriage->port[k]].busy)
            return carriage->port[k];
    return PLB_NONE;
}

/* Of those that wait for a port that is free the first one may try. */
static void call_next(struct play *p, uint32_t port)
{
    if (!p->port[port].busy && p->port[port].waiting.n > 0) {
        struct plb__event next = plb__heap_pop(&p->port[port].waiting);

        plb__heap_push(&p->candidates, next.time, next.number);
    }
}

static enum plb_status wait_for_port(struct play *p, uint32_t port, struct plb__event carriage)
{
    struct plb__heap *waiting = &p->port[port].waiting;

    if (!waiting->event)
        PLB_TRY(plb__heap_create(waiting, p->port[port].users));
    plb__heap_push(waiting, carriage.time, carriage.number);
    return PLB_OK;
}

static void start_carriage(struct play *p, uint32_t k)
{
    struct plb__carriage *carriage = &p->cast->carriage[k];

    for (uint32_t j = 0; j < carriage->n_ports; j++)
        p->port[carriage->port[j]].busy = true;
    carriage->start = p->now;
    carriage->end = p->now + carriage->seconds;
    for (int side = 0; side < 2; side++)
        *time_of(p, p->carried[k].end[side]) =
            (struct plb_simulated){carriage->start, carriage->end, -1};
    plb__heap_push(&p->running, carriage->end, p->carried[k].end[0]);
}

/* One that was called to a port and cannot start there makes way for the next one. */
static enum plb_status start_carriages(struct play *p)
{
    while (p->candidates.n > 0) {
        struct plb__event candidate = plb__heap_pop(&p->candidates);
        const struct plb__carriage *carriage = &p->cast->carriage[candidate.number];
        uint32_t busy = busy_port(p, carriage);

        if (busy == PLB_NONE) {
            start_carriage(p, candidate.number);
            continue;
        }
        PLB_TRY(wait_for_port(p, busy, candidate));
        for (uint32_t k = 0; k < carriage->n_ports; k++)
            call_next(p, carriage->port[k]);
    }
    return PLB_OK;
}

static void end_carriage(struct play *p, uint32_t k)
{
    const struct plb__carriage *carriage = &p->cast->carriage[k];

    for (uint32_t j = 0; j < carriage->n_ports; j++) {
        p->port[carriage->port[j]].busy = false;
        call_next(p, carriage->port[j]);
    }
    release_followers(p, p->carried[k].end[0]);
    release_followers(p, p->carried[k].end[1]);
}

static void end(struct play *p, uint32_t i)
{
    const struct plb__program *program = program_of(p, i);
    const struct plb_instruction *instruction = instruction_of(p, i);
    struct stage *stage = &p->stage[p->place[i]];
    uint32_t carriage = carriage_of(program, instruction);

    if (carriage != PLB_NONE) {
        end_carriage(p, carriage);
        return;
    }
    touch(p, p->place[i]);
    if (is_worked(instruction))
        plb__heap_push(&stage->idle, 0, (uint32_t)time_of(p, i)->lane);
    else if (instruction->code != PLB_DROP)
        stage->engine[engine_of(program, instruction)].busy = false;
    release_followers(p, i);
}

/* ---- moments ---- */

static void start_copy(struct play *p, struct engine *engine)
{
    const struct plb_instruction *instruction;
    uint32_t i;
    int lane;

    if (engine->busy || engine->ready.n == 0)
        return;
    i = plb__heap_pop(&engine->ready).number;
    instruction = instruction_of(p, i);
    engine->busy = true;
    lane = (int)instruction->tier + (instruction->code == PLB_OFFLOAD ? PLB_LANE_OUT : PLB_LANE_IN);
    start(p, i, instruction->code == PLB_RUN ? PLB_LANE_BESIDE : lane);
}

static void start_at(struct play *p, struct stage *stage)
{
    stage->touched = false;
    while (stage->ready.n > 0 && stage->idle.n > 0) {
        uint32_t i = plb__heap_pop(&stage->ready).number;

        start(p, i, (int)plb__heap_pop(&stage->idle).number);
    }
    for (int k = 0; k < ENGINES; k++)
        start_copy(p, &stage->engine[k]);
}

static enum plb_status start_all(struct play *p)
{
    for (; p->n_touched > 0; p->n_touched--)
        start_at(p, &p->stage[p->touched[p->n_touched - 1]]);
    return start_carriages(p);
}

static enum plb_status play_all(struct play *p)
{
    for (uint32_t i = 0; i < p->order.n; i++)
        if (p->order.left[i] == 0)
            make_ready(p, i);
    PLB_TRY(start_all(p));
    while (p->running.n > 0) {
        p->now = p->running.event[0].time;
        while (p->running.n > 0 && !(p->running.event[0].time > p->now))
            end(p, plb__heap_pop(&p->running).number);
        PLB_TRY(start_all(p));
    }
    return PLB_OK;
}

/* ---- the cast takes its places ---- */

/* A RUN begins when the one that is as many RUNs before it as there are workers has ended. */
static enum plb_status order_runs(struct play *p, const struct plb__program *program)
{
    uint32_t workers = (uint32_t)program->platform->workers, n = 0;
    uint32_t *run = malloc(((size_t)program->plan->n + 1) * sizeof *run);
    enum plb_status status = PLB_OK;

    if (!run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u instructions",
                        program->plan->n);
    for (uint32_t i = 0; i < program->plan->n && status == PLB_OK; i++) {
        const struct plb_instruction *instruction = &program->plan->instruction[i];

        if (!is_worked(instruction) || carriage_of(program, instruction) != PLB_NONE)
            continue;
        run[n] = program->first + i;
        if (n >= workers)
            status = plb__order_add(&p->order, run[n - workers], run[n]);
        n++;
    }
    free(run);
    return status;
}

static enum plb_status prepare_moves(struct play *p, const struct plb__program *program,
                                     struct stage *stage)
{
    for (uint32_t i = 0; i < program->plan->n; i++) {
        const struct plb_instruction *instruction = &program->plan->instruction[i];
        uint32_t carriage = carriage_of(program, instruction);
        struct plb__heap *ready;

        if (carriage != PLB_NONE) {
            const struct plb_task *task = plb_graph_task(program->graph, instruction->subject);

            p->carried[carriage].end[task->n_out > 0] = program->first + i;
            p->carried[carriage].left++;
        }
        if (is_worked(instruction) || instruction->code == PLB_DROP)
            continue;
        if (!(plb__program_seconds(program, i) < HUGE_VAL))
            return plb_fail(PLB_ERROR_INVALID,
                            instruction->code == PLB_RUN
                                ? "instruction %u: platform '%s' does not compute on the %s"
                                : "instruction %u: platform '%s' has no link between device and %s",
                            i, program->platform->name, plb_tier_name(instruction->tier));
        ready = &stage->engine[engine_of(program, instruction)].ready;
        if (!ready->event)
            PLB_TRY(plb__heap_create(ready, program->plan->n));
    }
    return PLB_OK;
}

static enum plb_status prepare_place(struct play *p, uint32_t place)
{
    const struct plb__program *program = &p->cast->program[place];
    struct stage *stage = &p->stage[place];

    for (uint32_t i = 0; i < program->plan->n; i++)
        p->place[program->first + i] = place;
    PLB_TRY(plb__heap_create(&stage->ready, program->plan->n));
    PLB_TRY(plb__heap_create(&stage->idle, (size_t)program->platform->workers));
    for (int k = 0; k < program->platform->workers; k++)
        plb__heap_push(&stage->idle, 0, (uint32_t)k);
    PLB_TRY(plb__order_program(&p->order, program->first, program->plan, program->graph,
                               &program->storage));
    PLB_TRY(prepare_moves(p, program, stage));
    return program->in_order ? order_runs(p, program) : PLB_OK;
}

static enum plb_status prepare_carriages(struct play *p)
{
    for (uint32_t k = 0; k < p->cast->n_carriages; k++) {
        const struct plb__carriage *carriage = &p->cast->carriage[k];

        if (p->carried[k].left != 2 || p->carried[k].end[0] == p->carried[k].end[1])
            return plb_fail(PLB_ERROR_INVALID, "transfer %u has %u ends in the plans, not two", k,
                            p->carried[k].left);
        for (uint32_t j = 0; j < carriage->n_ports; j++)
            p->port[carriage->port[j]].users++;
    }
    return PLB_OK;
}

static enum plb_status prepare(struct play *p)
{
    const struct plb__cast *cast = p->cast;
    uint32_t n = 0;

    for (uint32_t k = 0; k < cast->n_programs; k++) {
        cast->program[k].first = n;
        n += cast->program[k].plan->n;
    }
    PLB_TRY(plb__order_create(n, &p->order));
    p->place = malloc(((size_t)n + 1) * sizeof *p->place);
    p->stage = calloc((size_t)cast->n_programs + 1, sizeof *p->stage);
    p->touched = malloc(((size_t)cast->n_programs + 1) * sizeof *p->touched);
    p->carried = calloc((size_t)cast->n_carriages + 1, sizeof *p->carried);
    p->port = calloc((size_t)cast->n_ports + 1, sizeof *p->port);
    if (!p->place || !p->stage || !p->touched || !p->carried || !p->port)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u instructions", n);
    PLB_TRY(plb__heap_create(&p->running, n));
    PLB_TRY(plb__heap_create(&p->candidates, cast->n_carriages));
    for (uint32_t k = 0; k < cast->n_programs; k++)
        PLB_TRY(prepare_place(p, k));
    return prepare_carriages(p);
}

static void clear(struct play *p)
{
    for (uint32_t k = 0; p->stage && k < p->cast->n_programs; k++) {
        free(p->stage[k].ready.event);
        free(p->stage[k].idle.event);
        for (int e = 0; e < ENGINES; e++)
            free(p->stage[k].engine[e].ready.event);
    }
    for (uint32_t k = 0; p->port && k < p->cast->n_ports; k++)
        free(p->port[k].waiting.event);
    plb__order_clear(&p->order);
    free(p->place);
    free(p->stage);
    free(p->touched);
    free(p->carried);
    free(p->port);
    free(p->running.event);
    free(p->candidates.event);
}

enum plb_status plb__play(const struct plb__cast *cast, double *seconds_out)
{
    struct play p = {.cast = cast};
    enum plb_status status = prepare(&p);

    if (status == PLB_OK)
        status = play_all(&p);
    if (status == PLB_OK && p.ended < p.order.n)
        status = plb__stuck(cast, &p.order);
    if (status == PLB_OK)
        *seconds_out = p.now;
    clear(&p);
    return status;
}
