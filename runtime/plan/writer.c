/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeping track of what is where while a draft is written. How a draft becomes a plan stands in
 * finish.c.
 */
#include "runtime/plan/writer.h"

#include <stdlib.h>
#include <string.h>

enum {
    ON_DEVICE = 1u << PLB_DEVICE, /* and likewise 1u << tier for the others */
    LASTING = 1u << PLB_TIERS,    /* exists at the end of the step, or before it: not forgotten */
};

struct plb_writer {
    const plb_graph_t *graph;
    uint8_t *where;     /* per value: bits as above */
    plb_value *carried; /* per value: the initial value that it replaces, or PLB_NONE */
    bool *ran;          /* per task */
    struct plb_plan draft;
    plb_task_id *stack; /* tasks that wait for their inputs, outermost first */
    uint32_t depth, capacity;
};

static void place_initial_values(struct plb_writer *w)
{
    for (plb_value v = 0; v < plb_graph_values(w->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(w->graph, v);

        if (info->producer != PLB_NONE)
            continue;
        w->where[v] = ON_DEVICE | LASTING;
        if (info->next == PLB_NONE)
            continue;
        w->where[info->next] |= LASTING;
        w->carried[info->next] = v;
    }
}

enum plb_status plb_writer_create(const plb_graph_t *graph, plb_writer_t **writer_out)
{
    size_t n = (size_t)plb_graph_values(graph) + 1;
    plb_writer_t *w = calloc(1, sizeof *w);

    if (!w)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a writer of plans");
    w->graph = graph;
    w->where = calloc(n, sizeof *w->where);
    w->carried = malloc(n * sizeof *w->carried);
    w->ran = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *w->ran);
    if (!w->where || !w->carried || !w->ran) {
        plb_writer_destroy(w);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %zu values", n - 1);
    }
    memset(w->carried, 0xff, n * sizeof *w->carried);
    place_initial_values(w);
    *writer_out = w;
    return PLB_OK;
}

void plb_writer_destroy(plb_writer_t *w)
{
    if (!w)
        return;
    free(w->where);
    free(w->carried);
    free(w->ran);
    free(w->stack);
    plb_plan_clear(&w->draft);
    free(w);
}

bool plb_writer_has(const plb_writer_t *w, plb_value value)
{
    return w->where[value] & ON_DEVICE;
}

bool plb_writer_has_copy(const plb_writer_t *w, plb_value value)
{
    return w->where[value] & (1u << PLB_HOST | 1u << PLB_DISK);
}

uint32_t plb_writer_length(const plb_writer_t *w)
{
    return w->draft.n;
}

/* Could the value be brought back if it were gone? */
static bool can_return(const plb_writer_t *w, plb_value value)
{
    plb_task_id producer = plb_graph_value(w->graph, value)->producer;

    return plb_writer_has_copy(w, value) ||
           (producer != PLB_NONE && !plb_graph_task(w->graph, producer)->op->once);
}

void plb_writer_forget(plb_writer_t *w, plb_value value)
{
    if (!(w->where[value] & LASTING) && can_return(w, value))
        w->where[value] &= (uint8_t)~ON_DEVICE;
}

static enum plb_status append(plb_writer_t *w, enum plb_opcode code, uint32_t subject,
                              enum plb_tier tier)
{
    return plb_plan_append(&w->draft, (struct plb_instruction){code, subject, 0, tier});
}

enum plb_status plb_writer_offload(plb_writer_t *w, plb_value value, enum plb_tier tier)
{
    if (tier == PLB_DEVICE || !plb_writer_has(w, value))
        return plb_fail(PLB_ERROR_INVALID, "'%s' cannot be offloaded to %s from where it is not",
                        plb_graph_value(w->graph, value)->name, plb_tier_name(tier));
    if (w->where[value] & (1u << tier))
        return PLB_OK;
    PLB_TRY(append(w, PLB_OFFLOAD, value, tier));
    w->where[value] |= (uint8_t)(1u << tier);
    return PLB_OK;
}

enum plb_status plb_writer_fetch(plb_writer_t *w, plb_value value)
{
    enum plb_tier tier = w->where[value] & (1u << PLB_HOST) ? PLB_HOST : PLB_DISK;

    if (plb_writer_has(w, value) || !plb_writer_has_copy(w, value))
        return PLB_OK;
    PLB_TRY(append(w, PLB_FETCH, value, tier));
    w->where[value] |= ON_DEVICE;
    return PLB_OK;
}

static enum plb_status push(plb_writer_t *w, plb_task_id task)
{
    if (w->depth == w->capacity) {
        uint32_t capacity = w->capacity ? 2 * w->capacity : 64;
        plb_task_id *grown = realloc(w->stack, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for a chain of %u tasks to run again",
                            capacity);
        w->stack = grown;
        w->capacity = capacity;
    }
    w->stack[w->depth++] = task;
    return PLB_OK;
}

/* Brings one missing input nearer: fetches it, or puts its producer on the stack. */
static enum plb_status bring(plb_writer_t *w, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(w->graph, value);

    if (plb_writer_has_copy(w, value))
        return plb_writer_fetch(w, value);
    if (info->producer == PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "'%s' is needed after its update has replaced it, and no task makes it",
                        info->name);
    return push(w, info->producer);
}

/* Brings the first input that is missing nearer; tells by `ready_out` that none is. */
static enum plb_status bring_inputs(plb_writer_t *w, const struct plb_task *task, bool *ready_out)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        uint32_t depth = w->depth;

        if (plb_writer_has(w, task->in[j]))
            continue;
        PLB_TRY(bring(w, task->in[j]));
        if (w->depth == depth)
            continue;
        *ready_out = false;
        return PLB_OK;
    }
    *ready_out = true;
    return PLB_OK;
}

/* What a version replaces is gone: its storage is taken over. */
static enum plb_status append_run(plb_writer_t *w, plb_task_id id, const struct plb_task *task)
{
    PLB_TRY(append(w, PLB_RUN, id, PLB_DEVICE));
    w->ran[id] = true;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        plb_value replaced = w->carried[task->out[j]];

        w->where[task->out[j]] |= ON_DEVICE;
        if (replaced != PLB_NONE)
            w->where[replaced] &= (uint8_t)~ON_DEVICE;
    }
    return PLB_OK;
}

static enum plb_status run_stack(plb_writer_t *w)
{
    while (w->depth > 0) {
        plb_task_id id = w->stack[w->depth - 1];
        const struct plb_task *task = plb_graph_task(w->graph, id);
        bool ready;

        PLB_TRY(bring_inputs(w, task, &ready));
        if (!ready)
            continue;
        PLB_TRY(append_run(w, id, task));
        w->depth--;
    }
    return PLB_OK;
}

enum plb_status plb_writer_run(plb_writer_t *w, plb_task_id task)
{
    if (w->ran[task] && plb_graph_task(w->graph, task)->op->once)
        return PLB_OK;
    w->depth = 0;
    PLB_TRY(push(w, task));
    return run_stack(w);
}

enum plb_status plb_writer_need(plb_writer_t *w, plb_value value)
{
    if (plb_writer_has(w, value))
        return PLB_OK;
    w->depth = 0;
    PLB_TRY(bring(w, value));
    return run_stack(w);
}

enum plb_status plb_writer_finish(plb_writer_t *w, struct plb_plan *plan_out)
{
    for (plb_value v = 0; v < plb_graph_values(w->graph); v++)
        if (plb_graph_value(w->graph, v)->output)
            PLB_TRY(plb_writer_need(w, v));
    return plb_plan_finish(w->graph, &w->draft, plan_out);
}
