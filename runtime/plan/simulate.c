/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan in virtual time.
 *
 * First the order that memory imposes: per slot who wrote it last and who has read it since, as the
 * executor's handles keep it. Then events: an instruction that has lost its last predecessor is
 * ready; of what is ready workers and links take what is first in the plan. What ends at the same
 * moment ends before anything starts, so the result is a function of the numbers alone.
 */
#include "config.h"

#include "runtime/plan/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An instruction at a time; ordered by time, then by its place in the plan. */
struct event {
    double time;
    uint32_t number;
};

struct heap {
    struct event *event;
    uint32_t n;
};

/* Entry of a list in an array; `next` PLB_NONE: the last one. */
struct link {
    uint32_t instruction, next;
};

/* Who has a slot. */
struct use {
    uint32_t writer;  /* the latest, or PLB_NONE */
    uint32_t readers; /* since then: first entry in `link` */
};

/* Makes one copy after the other. */
struct engine {
    struct heap ready; /* all at time 0 */
    bool busy;
};

#define ENGINES (2 * PLB_TIERS)

struct simulator {
    const struct plb_plan *plan;
    const struct plb_layout *layout;
    const struct plb_problem *problem;
    struct plb_simulation *result;
    double now;
    uint32_t *left;       /* per instruction: predecessors that have not ended */
    uint32_t *successors; /* per instruction: first entry in `link` */
    struct use *use;      /* per slot */
    struct link *link;
    uint32_t n_links, capacity;
    struct heap ready;   /* RUNs; all at time 0 */
    struct heap idle;    /* workers; all at time 0 */
    struct heap running; /* by the time at which they end */
    struct engine engine[ENGINES];
    uint32_t ended;
};

/* ---- a heap ---- */

static bool before(struct event a, struct event b)
{
    return a.time < b.time || (!(a.time > b.time) && a.number < b.number);
}

static void push(struct heap *heap, double time, uint32_t number)
{
    struct event event = {time, number};
    uint32_t at = heap->n++;

    for (; at > 0 && before(event, heap->event[(at - 1) / 2]); at = (at - 1) / 2)
        heap->event[at] = heap->event[(at - 1) / 2];
    heap->event[at] = event;
}

static struct event pop(struct heap *heap)
{
    struct event top = heap->event[0], last = heap->event[--heap->n];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < heap->n && before(heap->event[child + 1], heap->event[child]))
            child++;
        if (child >= heap->n || !before(heap->event[child], last))
            break;
        heap->event[at] = heap->event[child];
        at = child;
    }
    heap->event[at] = last;
    return top;
}

/* ---- who follows whom ---- */

static enum plb_status add_link(struct simulator *s, uint32_t instruction, uint32_t *list)
{
    if (s->n_links == s->capacity) {
        uint32_t capacity = s->capacity ? 2 * s->capacity : 16 * (s->plan->n + 1);
        struct link *grown = realloc(s->link, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u dependencies", capacity);
        s->link = grown;
        s->capacity = capacity;
    }
    s->link[s->n_links] = (struct link){instruction, *list};
    *list = s->n_links++;
    return PLB_OK;
}

/* `after` may start when `first` has ended. */
static enum plb_status add_order(struct simulator *s, uint32_t first, uint32_t after)
{
    if (first == PLB_NONE || first == after)
        return PLB_OK;
    s->left[after]++;
    return add_link(s, after, &s->successors[first]);
}

/* Instruction i follows everyone who has used the slot so far. */
static enum plb_status follow_users(struct simulator *s, uint32_t slot, uint32_t i)
{
    PLB_TRY(add_order(s, s->use[slot].writer, i));
    for (uint32_t k = s->use[slot].readers; k != PLB_NONE; k = s->link[k].next)
        PLB_TRY(add_order(s, s->link[k].instruction, i));
    return PLB_OK;
}

static enum plb_status read_slot(struct simulator *s, uint32_t slot, uint32_t i)
{
    PLB_TRY(add_order(s, s->use[slot].writer, i));
    return add_link(s, i, &s->use[slot].readers);
}

static enum plb_status write_slot(struct simulator *s, uint32_t slot, uint32_t i)
{
    PLB_TRY(follow_users(s, slot, i));
    s->use[slot] = (struct use){i, PLB_NONE};
    return PLB_OK;
}

/* Operands of an instruction that are read: the first ones. */
static uint32_t count_reads(const struct simulator *s, const struct plb_instruction *instruction)
{
    const struct plb_task *task;

    if (instruction->code != PLB_RUN)
        return instruction->code == PLB_DROP ? 0 : 1;
    task = plb_graph_task(s->problem->graph, instruction->subject);
    return task->in_start[task->n_in];
}

static enum plb_status order_instruction(struct simulator *s, uint32_t i)
{
    const struct plb_layout *layout = s->layout;
    const uint32_t *operand = &layout->operand[layout->in_operand[i]];
    uint32_t n = layout->in_operand[i + 1] - layout->in_operand[i];
    uint32_t reads = count_reads(s, &s->plan->instruction[i]);

    for (uint32_t k = layout->in_wait[i]; k < layout->in_wait[i + 1]; k++)
        if (layout->slot[layout->wait[k]].begin <= i)
            PLB_TRY(follow_users(s, layout->wait[k], i));
    for (uint32_t k = 0; k < n; k++)
        PLB_TRY(k < reads ? read_slot(s, operand[k], i) : write_slot(s, operand[k], i));
    return PLB_OK;
}

static enum plb_status order_all(struct simulator *s)
{
    memset(s->successors, 0xff, s->plan->n * sizeof *s->successors);
    memset(s->use, 0xff, s->layout->n_slots * sizeof *s->use);
    for (uint32_t i = 0; i < s->plan->n; i++)
        PLB_TRY(order_instruction(s, i));
    return PLB_OK;
}

/* ---- copies ---- */

/* The two directions of a link are two engines if it is duplex. */
static int engine_of(const struct simulator *s, const struct plb_instruction *instruction)
{
    bool duplex = s->problem->platform->link[instruction->tier].duplex;

    return 2 * (int)instruction->tier + (duplex && instruction->code == PLB_OFFLOAD);
}

static size_t bytes_of(const struct simulator *s, const struct plb_instruction *instruction)
{
    return plb_type_bytes(&plb_graph_value(s->problem->graph, instruction->subject)->type);
}

static double seconds_of(const struct simulator *s, const struct plb_instruction *instruction)
{
    switch (instruction->code) {
    case PLB_RUN:
        return s->problem->seconds[instruction->subject];
    case PLB_OFFLOAD:
    case PLB_FETCH:
        return plb_transfer_seconds(s->problem->platform, instruction->tier,
                                    instruction->code == PLB_OFFLOAD, bytes_of(s, instruction));
    default:
        return 0;
    }
}

static enum plb_status prepare_engines(struct simulator *s)
{
    for (uint32_t i = 0; i < s->plan->n; i++) {
        const struct plb_instruction *instruction = &s->plan->instruction[i];
        struct heap *ready;

        if (instruction->code != PLB_OFFLOAD && instruction->code != PLB_FETCH)
            continue;
        if (!(seconds_of(s, instruction) < HUGE_VAL))
            return plb_fail(PLB_ERROR_INVALID,
                            "instruction %u: platform '%s' has no link between device and %s", i,
                            s->problem->platform->name, plb_tier_name(instruction->tier));
        ready = &s->engine[engine_of(s, instruction)].ready;
        if (!ready->event)
            ready->event = malloc(s->plan->n * sizeof *ready->event);
        if (!ready->event)
            return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u instructions", s->plan->n);
    }
    return PLB_OK;
}

/* ---- events ---- */

static void start(struct simulator *s, uint32_t i, int lane)
{
    double end = s->now + seconds_of(s, &s->plan->instruction[i]);

    s->result->timeline[i] = (struct plb_simulated){s->now, end, lane};
    push(&s->running, end, i);
}

static void make_ready(struct simulator *s, uint32_t i)
{
    const struct plb_instruction *instruction = &s->plan->instruction[i];

    if (instruction->code == PLB_RUN)
        push(&s->ready, 0, i);
    else if (instruction->code == PLB_DROP)
        start(s, i, -1);
    else
        push(&s->engine[engine_of(s, instruction)].ready, 0, i);
}

static void end(struct simulator *s, uint32_t i)
{
    const struct plb_instruction *instruction = &s->plan->instruction[i];

    if (instruction->code == PLB_RUN)
        push(&s->idle, 0, (uint32_t)s->result->timeline[i].lane);
    else if (instruction->code != PLB_DROP)
        s->engine[engine_of(s, instruction)].busy = false;
    s->ended++;
    for (uint32_t k = s->successors[i]; k != PLB_NONE; k = s->link[k].next)
        if (--s->left[s->link[k].instruction] == 0)
            make_ready(s, s->link[k].instruction);
}

static void start_copy(struct simulator *s, struct engine *engine)
{
    const struct plb_instruction *instruction;
    uint32_t i;

    if (engine->busy || engine->ready.n == 0)
        return;
    i = pop(&engine->ready).number;
    instruction = &s->plan->instruction[i];
    engine->busy = true;
    start(s, i,
          (int)instruction->tier + (instruction->code == PLB_OFFLOAD ? PLB_LANE_OUT : PLB_LANE_IN));
}

static void start_all(struct simulator *s)
{
    while (s->ready.n > 0 && s->idle.n > 0) {
        uint32_t i = pop(&s->ready).number;

        start(s, i, (int)pop(&s->idle).number);
    }
    for (int k = 0; k < ENGINES; k++)
        start_copy(s, &s->engine[k]);
}

static enum plb_status play(struct simulator *s)
{
    for (int k = 0; k < s->problem->platform->workers; k++)
        push(&s->idle, 0, (uint32_t)k);
    for (uint32_t i = 0; i < s->plan->n; i++)
        if (s->left[i] == 0)
            make_ready(s, i);
    start_all(s);
    while (s->running.n > 0) {
        s->now = s->running.event[0].time;
        while (s->running.n > 0 && !(s->running.event[0].time > s->now))
            end(s, pop(&s->running).number);
        start_all(s);
    }
    if (s->ended < s->plan->n)
        return plb_fail(PLB_ERROR_INTERNAL, "%u of %u instructions can never start",
                        s->plan->n - s->ended, s->plan->n);
    return PLB_OK;
}

/* ---- sums ---- */

static void sum_run(const struct simulator *s, plb_task_id id, bool *run)
{
    struct plb_simulation *result = s->result;
    struct plb_cost cost;

    result->compute_seconds += s->problem->seconds[id];
    if (run[id]) {
        plb_task_get_cost(s->problem->graph, plb_graph_task(s->problem->graph, id), &cost);
        result->again_tasks++;
        result->again_seconds += s->problem->seconds[id];
        result->again_flops += cost.flops;
    }
    run[id] = true;
}

static enum plb_status sum_all(const struct simulator *s)
{
    struct plb_simulation *result = s->result;
    bool *run = calloc((size_t)plb_graph_tasks(s->problem->graph) + 1, sizeof *run);

    if (!run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u tasks",
                        plb_graph_tasks(s->problem->graph));
    for (uint32_t i = 0; i < s->plan->n; i++) {
        const struct plb_instruction *instruction = &s->plan->instruction[i];

        if (instruction->code == PLB_RUN)
            sum_run(s, instruction->subject, run);
        else if (instruction->code == PLB_OFFLOAD)
            result->moved_out[instruction->tier] += bytes_of(s, instruction);
        else if (instruction->code == PLB_FETCH)
            result->moved_in[instruction->tier] += bytes_of(s, instruction);
    }
    free(run);
    result->seconds = s->now;
    result->waited_seconds =
        fmax(s->problem->platform->workers * s->now - result->compute_seconds, 0);
    memcpy(result->peak, s->layout->arena, sizeof result->peak);
    result->peak[PLB_DEVICE] = plb_layout_device_bytes(s->layout);
    return PLB_OK;
}

/* ---- all of it ---- */

static enum plb_status prepare(struct simulator *s)
{
    size_t n = (size_t)s->plan->n + 1, workers = (size_t)s->problem->platform->workers;

    s->left = calloc(n, sizeof *s->left);
    s->successors = malloc(n * sizeof *s->successors);
    s->use = malloc(((size_t)s->layout->n_slots + 1) * sizeof *s->use);
    s->ready.event = malloc(n * sizeof *s->ready.event);
    s->running.event = malloc(n * sizeof *s->running.event);
    s->idle.event = malloc(workers * sizeof *s->idle.event);
    s->result->n = s->plan->n;
    s->result->timeline = calloc(n, sizeof *s->result->timeline);
    if (!s->left || !s->successors || !s->use || !s->ready.event || !s->running.event ||
        !s->idle.event || !s->result->timeline)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u instructions", s->plan->n);
    return PLB_OK;
}

static void clear(struct simulator *s)
{
    free(s->left);
    free(s->successors);
    free(s->use);
    free(s->link);
    free(s->ready.event);
    free(s->running.event);
    free(s->idle.event);
    for (int k = 0; k < ENGINES; k++)
        free(s->engine[k].ready.event);
}

enum plb_status plb_simulate(const struct plb_plan *plan, const struct plb_layout *layout,
                             const struct plb_problem *problem, struct plb_simulation *result_out)
{
    struct plb_simulation result = {0};
    struct simulator s = {.plan = plan, .layout = layout, .problem = problem, .result = &result};
    enum plb_status status = prepare(&s);

    if (status == PLB_OK)
        status = order_all(&s);
    if (status == PLB_OK)
        status = prepare_engines(&s);
    if (status == PLB_OK)
        status = play(&s);
    if (status == PLB_OK)
        status = sum_all(&s);
    clear(&s);
    if (status == PLB_OK)
        *result_out = result;
    else
        plb_simulation_clear(&result);
    return status;
}

void plb_simulation_clear(struct plb_simulation *simulation)
{
    free(simulation->timeline);
    *simulation = (struct plb_simulation){0};
}
