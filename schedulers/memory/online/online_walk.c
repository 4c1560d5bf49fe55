/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walk of the policy "online": the tasks of the step in their order, each brought about under a
 * number of bytes. What is missing is made again, recursively; when bytes are short, the value with
 * the least price (online_costs.c) is evicted; what nobody reads any more ends at once.
 *
 * The walk counts at least what the finished plan takes: there, a value ends after its last use
 * before it is made again, here only when it is evicted.
 */
#include "config.h"

#include "schedulers/memory/online/online_internal.h"

#include "runtime/base/bytes.h"
#include "schedulers/memory/common/held.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MOST 16u /* times the number of tasks: a walk that runs more again is stuck */

/* ---- what is where ---- */

static bool is_candidate(const struct plb__online *o, plb_value value)
{
    return o->here[value] && o->locks[value] == 0 && o->bytes[value] > 0 &&
           plb__online_next(o, value) != PLB_NONE;
}

/* Its price is looked at when it comes up. */
static void offer(struct plb__online *o, plb_value value)
{
    if (is_candidate(o, value))
        plb__online_heap_put(o, value, 0.0);
}

static void leave(struct plb__online *o, plb_value value)
{
    plb__online_heap_remove(o, value);
    o->here[value] = false;
    o->live -= o->bytes[value];
}

/* Ends a value that nobody reads any more. Outputs of the graph and initial values take no bytes,
 * so that they may stay. */
static void settle(struct plb__online *o, plb_value value)
{
    if (!o->here[value] || o->locks[value] > 0)
        return;
    if (plb__online_next(o, value) == PLB_NONE && o->bytes[value] > 0) {
        leave(o, value);
        plb__online_end_copy(o, value);
    } else {
        offer(o, value);
    }
}

/* A value is there again: what is made from it has become cheaper. */
static void arrive(struct plb__online *o, plb_value value)
{
    o->here[value] = true;
    o->live += o->bytes[value];
    for (uint32_t k = o->in_use[value]; k < o->in_use[value + 1]; k++) {
        const struct plb_task *task = plb_graph_task(o->graph, o->use[k]);

        if (!o->has_run[o->use[k]])
            break;
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (o->place[task->out[j]] != PLB_NONE)
                plb__online_heap_put(o, task->out[j], 0.0);
    }
}

/* ---- making room ---- */

static enum plb_status evict_one(struct plb__online *o, size_t need)
{
    while (o->n_heap > 0) {
        plb_value value = o->heap[0];
        enum plb_tier tier;
        double price = plb__online_price(o, value, &tier);

        plb__online_heap_put(o, value, price);
        if (o->heap[0] != value && o->price[o->heap[0]] < price)
            continue;
        if (isinf(price))
            break;
        leave(o, value);
        o->result.evictions++;
        return tier == PLB_DEVICE ? PLB_OK : plb__online_send(o, value, tier);
    }
    return plb_fail(PLB_ERROR_MEMORY,
                    "%s needs %s more, and nothing can be evicted of the %s that are taken of %s",
                    plb_graph_task(o->graph, o->now)->name, plb_bytes_text((double)need).text,
                    plb_bytes_text((double)o->live).text, plb_bytes_text((double)o->limit).text);
}

static enum plb_status make_room(struct plb__online *o, size_t need)
{
    while (o->live + need > o->limit)
        PLB_TRY(evict_one(o, need));
    return PLB_OK;
}

/* ---- running a task ---- */

/* Bytes of inputs whose storage an output takes over, since nobody else reads them any more. */
static size_t taken_bytes(const struct plb__online *o, const struct plb_task *task)
{
    size_t taken = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;
        uint32_t cells = task->out_start[k + 1] - task->out_start[k];
        size_t bytes = 0;

        if (from < 0 || task->in_start[from + 1] - task->in_start[from] != cells)
            continue;
        for (uint32_t j = 0; j < cells; j++) {
            plb_value in = task->in[task->in_start[from] + j];
            plb_value out = task->out[task->out_start[k] + j];

            if (o->locks[in] > 1 || plb__online_next(o, in) != PLB_NONE || o->here[out] ||
                o->bytes[in] != o->bytes[out])
                break;
            bytes += o->bytes[out];
        }
        taken += bytes;
    }
    return taken;
}

static enum plb_status run(struct plb__online *o, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(o->graph, id);
    size_t need = 0, taken;

    for (uint32_t j = 0; id == o->now && j < task->in_start[task->n_in]; j++)
        while (plb__online_next(o, task->in[j]) == id)
            o->next_use[task->in[j]]++;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        need += o->here[task->out[j]] ? 0 : o->bytes[task->out[j]];
    taken = taken_bytes(o, task);
    PLB_TRY(make_room(o, need > taken ? need - taken : 0));
    PLB_TRY(
        plb_plan_append(&o->result.draft, (struct plb_instruction){PLB_RUN, id, 0, PLB_DEVICE}));
    if (o->has_run[id])
        o->result.again_seconds += o->problem->seconds[id];
    o->has_run[id] = true;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        if (o->here[task->out[j]])
            continue;
        arrive(o, task->out[j]);
        plb__online_made(o, task->out[j]);
    }
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        o->locks[task->in[j]]--;
        settle(o, task->in[j]);
    }
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        settle(o, task->out[j]);
    return PLB_OK;
}

/* A task whose inputs are needed from here on. */
static void push(struct plb__online *o, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(o->graph, id);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        o->locks[task->in[j]]++;
        plb__online_heap_remove(o, task->in[j]);
    }
    o->frame[o->depth++] = (struct plb__online_frame){id, 0};
}

static enum plb_status fetch(struct plb__online *o, plb_value value)
{
    PLB_TRY(make_room(o, o->bytes[value]));
    PLB_TRY(plb__online_fetch(o, value));
    arrive(o, value);
    return PLB_OK;
}

/* Fetches inputs of the innermost task; or puts the producer of the first that is nowhere on the
 * stack, and tells so by `waits_out`. */
static enum plb_status bring_inputs(struct plb__online *o, bool *waits_out)
{
    struct plb__online_frame *frame = &o->frame[o->depth - 1];
    const struct plb_task *task = plb_graph_task(o->graph, frame->task);

    for (; frame->input < task->in_start[task->n_in]; frame->input++) {
        plb_value in = task->in[frame->input];

        if (o->here[in])
            continue;
        *waits_out = o->copy[in] == PLB_DEVICE;
        if (*waits_out) {
            push(o, plb_graph_value(o->graph, in)->producer);
            return PLB_OK;
        }
        PLB_TRY(fetch(o, in));
    }
    *waits_out = false;
    return PLB_OK;
}

/* Fetches what the next tasks read, as far ahead as the link needs. */
static enum plb_status fetch_ahead(struct plb__online *o)
{
    if (o->ahead < o->now)
        o->ahead = o->now;
    for (; o->ahead < plb_graph_tasks(o->graph) && plb__online_is_due(o, o->ahead); o->ahead++) {
        const struct plb_task *task = plb_graph_task(o->graph, o->ahead);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value in = task->in[j];

            if (o->here[in] || o->copy[in] == PLB_DEVICE)
                continue;
            PLB_TRY(fetch(o, in));
            settle(o, in);
        }
    }
    return PLB_OK;
}

static enum plb_status bring_about(struct plb__online *o, plb_task_id id)
{
    uint32_t most = AGAIN_MOST * (plb_graph_tasks(o->graph) + 1);

    o->now = id;
    o->depth = 0;
    PLB_TRY(fetch_ahead(o));
    push(o, id);
    while (o->depth > 0) {
        bool waits;

        PLB_TRY(bring_inputs(o, &waits));
        if (waits)
            continue;
        PLB_TRY(run(o, o->frame[--o->depth].task));
        if (o->result.draft.n > most)
            return plb_fail(PLB_ERROR_MEMORY, "in %s tasks run again without end",
                            plb_bytes_text((double)o->limit).text);
    }
    return PLB_OK;
}

/* ---- what is known before the walk ---- */

static enum plb_status allocate(struct plb__online *o)
{
    size_t tasks = (size_t)plb_graph_tasks(o->graph) + 1;
    size_t values = (size_t)plb_graph_values(o->graph) + 1, uses = 1;

    for (plb_task_id t = 0; t + 1 < tasks; t++) {
        const struct plb_task *task = plb_graph_task(o->graph, t);

        uses += task->in_start[task->n_in];
    }
    o->n_todo = (uint32_t)(tasks + values);
    o->time = calloc(tasks, sizeof *o->time);
    o->stamp = calloc(tasks, sizeof *o->stamp);
    o->has_run = calloc(tasks, sizeof *o->has_run);
    o->bytes = calloc(values, sizeof *o->bytes);
    o->use = calloc(uses, sizeof *o->use);
    o->in_use = calloc(values + 1, sizeof *o->in_use);
    o->next_use = calloc(values, sizeof *o->next_use);
    o->until = malloc(values * sizeof *o->until);
    o->here = calloc(values, sizeof *o->here);
    o->locks = calloc(values, sizeof *o->locks);
    o->copy = calloc(values, sizeof *o->copy); /* PLB_DEVICE */
    o->made_at = calloc(values, sizeof *o->made_at);
    o->due = calloc(tasks, sizeof *o->due);
    o->heap = calloc(values, sizeof *o->heap);
    o->price = calloc(values, sizeof *o->price);
    o->place = malloc(values * sizeof *o->place);
    o->todo = calloc(o->n_todo, sizeof *o->todo);
    o->share = calloc(o->n_todo, sizeof *o->share);
    o->frame = calloc(tasks, sizeof *o->frame);
    if (!o->time || !o->stamp || !o->has_run || !o->bytes || !o->use || !o->in_use ||
        !o->next_use || !o->until || !o->here || !o->locks || !o->copy || !o->made_at || !o->due ||
        !o->heap || !o->price || !o->place || !o->todo || !o->share || !o->frame)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %zu values", values);
    memset(o->until, 0xff, values * sizeof *o->until);
    memset(o->place, 0xff, values * sizeof *o->place);
    return PLB_OK;
}

static void release(struct plb__online *o)
{
    free(o->time);
    free(o->stamp);
    free(o->has_run);
    free(o->bytes);
    free(o->use);
    free(o->in_use);
    free(o->next_use);
    free(o->until);
    free(o->here);
    free(o->locks);
    free(o->copy);
    free(o->made_at);
    free(o->due);
    free(o->heap);
    free(o->price);
    free(o->place);
    free(o->todo);
    free(o->share);
    free(o->frame);
}

/* Who reads what, in the order of the step; a task that reads a value twice stands there once. */
static void find_uses(struct plb__online *o)
{
    uint32_t n = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(o->graph); t++) {
        const struct plb_task *task = plb_graph_task(o->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            o->next_use[task->in[j]]++;
    }
    for (plb_value v = 0; v < plb_graph_values(o->graph); v++) {
        o->in_use[v] = n;
        n += o->next_use[v];
        o->next_use[v] = o->in_use[v];
    }
    o->in_use[plb_graph_values(o->graph)] = n;
    for (plb_task_id t = 0; t < plb_graph_tasks(o->graph); t++) {
        const struct plb_task *task = plb_graph_task(o->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            o->use[o->next_use[task->in[j]]++] = t;
    }
    memcpy(o->next_use, o->in_use, plb_graph_values(o->graph) * sizeof *o->next_use);
}

/* Nothing is to be counted, or decided, of initial values and what replaces them, of outputs, and
 * of gradients that the limits hold anyway and what these take over. */
static enum plb_status find_bytes(struct plb__online *o)
{
    bool *held = calloc((size_t)plb_graph_values(o->graph) + 1, sizeof *held);
    enum plb_status status;

    if (!held)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %u values",
                        plb_graph_values(o->graph));
    status = plb__held_storage(o->problem, held);
    for (plb_value v = 0; v < plb_graph_values(o->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(o->graph, v);

        o->here[v] = info->producer == PLB_NONE;
        if (info->producer != PLB_NONE && !held[v])
            o->bytes[v] = (plb_type_bytes(&info->type) + PLB_SLOT_ALIGNMENT - 1) /
                          PLB_SLOT_ALIGNMENT * PLB_SLOT_ALIGNMENT;
    }
    free(held);
    if (status != PLB_OK)
        return status;
    for (plb_value v = 0; v < plb_graph_values(o->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(o->graph, v);

        if (info->producer == PLB_NONE && info->next != PLB_NONE) {
            o->bytes[info->next] = 0;
            o->until[v] = plb_graph_value(o->graph, info->next)->producer;
        }
        if (info->producer != PLB_NONE && info->output && o->bytes[v] > 0) {
            o->limit -= o->bytes[v] < o->limit ? o->bytes[v] : o->limit;
            o->bytes[v] = 0;
        }
    }
    return PLB_OK;
}

static enum plb_status prepare(struct plb__online *o)
{
    PLB_TRY(allocate(o));
    find_uses(o);
    for (plb_task_id t = 0; t < plb_graph_tasks(o->graph); t++)
        o->time[t + 1] = o->time[t] + o->problem->seconds[t];
    return find_bytes(o);
}

enum plb_status plb__online_walk(const struct plb_problem *problem, size_t bytes,
                                 const struct plb__online_weights *weights,
                                 struct plb__online_result *result_out)
{
    struct plb__online o = {
        .problem = problem, .graph = problem->graph, .weights = *weights, .limit = bytes};
    enum plb_status status = prepare(&o);

    for (plb_task_id t = 0; t < plb_graph_tasks(o.graph) && status == PLB_OK; t++)
        status = bring_about(&o, t);
    release(&o);
    if (status == PLB_OK)
        *result_out = o.result;
    else
        plb_plan_clear(&o.result.draft);
    return status;
}
