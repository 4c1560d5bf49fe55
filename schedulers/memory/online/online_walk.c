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

#include <math.h>
#include <string.h>

/* Times the number of tasks: a walk that runs more again is stuck, and so is one that does for a
 * single turn. */
#define AGAIN_MOST      16u
#define AGAIN_MOST_ONCE 2u

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
        const struct plb_task *task;

        if (o->use[k] >= o->now)
            break;
        task = plb_graph_task(o->graph, o->order[o->use[k]]);
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
                    plb_graph_task(o->graph, o->order[o->now])->name,
                    plb_bytes_text((double)need).text, plb_bytes_text((double)o->live).text,
                    plb_bytes_text((double)o->limit).text);
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

/* A task that runs again must find parameters as they were, and what was received is not received
 * again: the price of its outputs should have kept them, or a copy, but is an estimate. */
static enum plb_status check_again(const struct plb__online *o, const struct plb_task *task)
{
    if (task->op->once)
        return plb_fail(PLB_ERROR_MEMORY, "'%s' cannot run again", task->name);
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (o->until[task->in[j]] < o->now)
            return plb_fail(PLB_ERROR_MEMORY, "%s cannot run again, as '%s' has been updated",
                            task->name, plb_graph_value(o->graph, task->in[j])->name);
    return PLB_OK;
}

static enum plb_status run(struct plb__online *o, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(o->graph, id);
    bool first = id == o->order[o->now];
    size_t need = 0, taken;

    for (uint32_t j = 0; first && j < task->in_start[task->n_in]; j++)
        while (plb__online_next(o, task->in[j]) == o->now)
            o->next_use[task->in[j]]++;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        need += o->here[task->out[j]] ? 0 : o->bytes[task->out[j]];
    taken = taken_bytes(o, task);
    PLB_TRY(make_room(o, need > taken ? need - taken : 0));
    PLB_TRY(
        plb_plan_append(&o->result.draft, (struct plb_instruction){PLB_RUN, id, 0, PLB_DEVICE}));
    if (!first) {
        PLB_TRY(check_again(o, task));
        o->result.again_seconds += o->problem->seconds[id];
    }
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
            push(o, o->maker[in]);
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
        const struct plb_task *task = plb_graph_task(o->graph, o->order[o->ahead]);

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

static enum plb_status bring_about(struct plb__online *o, uint32_t turn)
{
    uint32_t n = plb_graph_tasks(o->graph) + 1, most = o->result.draft.n + AGAIN_MOST_ONCE * n;

    if (most > AGAIN_MOST * n)
        most = AGAIN_MOST * n;
    o->now = turn;
    o->depth = 0;
    PLB_TRY(fetch_ahead(o));
    push(o, o->order[turn]);
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

/* ---- a walk ---- */

static void begin(struct plb__online *o, size_t bytes, const struct plb__online_weights *weights)
{
    uint32_t values = plb_graph_values(o->graph);

    o->weights = *weights;
    o->limit = bytes > o->lasting ? bytes - o->lasting : 0;
    o->live = 0;
    o->back_free = 0.0;
    o->ahead = o->n_heap = 0;
    o->result = (struct plb__online_result){.evictions = 0};
    memset(o->link_free, 0, sizeof o->link_free);
    memset(o->away, 0, sizeof o->away);
    memset(o->locks, 0, values * sizeof *o->locks);
    memset(o->copy, 0, values * sizeof *o->copy); /* PLB_DEVICE */
    memset(o->due, 0, ((size_t)plb_graph_tasks(o->graph) + 1) * sizeof *o->due);
    memset(o->place, 0xff, values * sizeof *o->place);
    memcpy(o->next_use, o->in_use, values * sizeof *o->next_use);
    for (plb_value v = 0; v < values; v++)
        o->here[v] = o->maker[v] == PLB_NONE;
}

enum plb_status plb__online_walk(struct plb__online *o, size_t bytes,
                                 const struct plb__online_weights *weights,
                                 struct plb__online_result *result_out)
{
    enum plb_status status = PLB_OK;

    begin(o, bytes, weights);
    for (uint32_t turn = 0; turn < plb_graph_tasks(o->graph) && status == PLB_OK; turn++)
        status = bring_about(o, turn);
    if (status == PLB_OK)
        *result_out = o->result;
    else
        plb_plan_clear(&o->result.draft);
    return status;
}
