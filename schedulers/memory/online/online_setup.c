/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policy "online" knows of a step before it walks: the order of its tasks, when each would
 * start, who reads what, and what counts on the device.
 */
#include "config.h"

#include "schedulers/memory/online/online_internal.h"

#include "schedulers/memory/common/held.h"

#include <stdlib.h>
#include <string.h>

static size_t count_uses(const plb_graph_t *graph)
{
    size_t uses = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        uses += task->in_start[task->n_in];
    }
    return uses;
}

static enum plb_status allocate(struct plb__online *o)
{
    size_t tasks = (size_t)plb_graph_tasks(o->graph) + 1;
    size_t values = (size_t)plb_graph_values(o->graph) + 1;

    o->n_todo = (uint32_t)(tasks + values);
    o->order = calloc(tasks, sizeof *o->order);
    o->time = calloc(tasks, sizeof *o->time);
    o->stamp = calloc(tasks, sizeof *o->stamp);
    o->bytes = calloc(values, sizeof *o->bytes);
    o->use = calloc(count_uses(o->graph) + 1, sizeof *o->use);
    o->in_use = calloc(values + 1, sizeof *o->in_use);
    o->next_use = calloc(values, sizeof *o->next_use);
    o->until = malloc(values * sizeof *o->until);
    o->maker = malloc(values * sizeof *o->maker);
    o->here = calloc(values, sizeof *o->here);
    o->locks = calloc(values, sizeof *o->locks);
    o->copy = calloc(values, sizeof *o->copy);
    o->made_at = calloc(values, sizeof *o->made_at);
    o->due = calloc(tasks, sizeof *o->due);
    o->heap = calloc(values, sizeof *o->heap);
    o->price = calloc(values, sizeof *o->price);
    o->place = malloc(values * sizeof *o->place);
    o->todo = calloc(o->n_todo, sizeof *o->todo);
    o->share = calloc(o->n_todo, sizeof *o->share);
    o->frame = calloc(tasks, sizeof *o->frame);
    if (!o->order || !o->time || !o->stamp || !o->bytes || !o->use || !o->in_use || !o->next_use ||
        !o->until || !o->maker || !o->here || !o->locks || !o->copy || !o->made_at || !o->due ||
        !o->heap || !o->price || !o->place || !o->todo || !o->share || !o->frame)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %zu values", values - 1);
    memset(o->until, 0xff, values * sizeof *o->until);
    return PLB_OK;
}

/* Who reads what, in the order of the turns; a task that lists a value twice stands there twice. */
static void find_uses(struct plb__online *o)
{
    uint32_t n = 0;

    memset(o->next_use, 0, plb_graph_values(o->graph) * sizeof *o->next_use);
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
    for (uint32_t turn = 0; turn < plb_graph_tasks(o->graph); turn++) {
        const struct plb_task *task = plb_graph_task(o->graph, o->order[turn]);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            o->use[o->next_use[task->in[j]]++] = turn;
    }
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

        o->maker[v] = info->producer;
        if (info->producer != PLB_NONE && !held[v])
            o->bytes[v] = (plb_type_bytes(&info->type) + PLB_SLOT_ALIGNMENT - 1) /
                          PLB_SLOT_ALIGNMENT * PLB_SLOT_ALIGNMENT;
    }
    free(held);
    for (plb_value v = 0; v < plb_graph_values(o->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(o->graph, v);

        if (info->producer == PLB_NONE && info->next != PLB_NONE)
            o->bytes[info->next] = 0;
        if (info->producer == PLB_NONE || !info->output)
            continue;
        o->lasting += o->bytes[v];
        o->bytes[v] = 0;
    }
    return status;
}

/* An initial value whose storage is taken over cannot be read after that. */
static void find_ends(struct plb__online *o)
{
    for (uint32_t turn = 0; turn < plb_graph_tasks(o->graph); turn++) {
        const struct plb_task *task = plb_graph_task(o->graph, o->order[turn]);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            const struct plb_value_info *info = plb_graph_value(o->graph, task->in[j]);

            if (info->producer == PLB_NONE && info->next != PLB_NONE &&
                plb_graph_value(o->graph, info->next)->producer == o->order[turn])
                o->until[task->in[j]] = turn;
        }
    }
}

static enum plb_status prepare(struct plb__online *o)
{
    uint32_t n = plb_graph_tasks(o->graph);

    PLB_TRY(allocate(o));
    PLB_TRY(find_bytes(o));
    for (uint32_t turn = 0; turn < n; turn++)
        o->order[turn] = turn;
    find_uses(o);
    PLB_TRY(plb__online_order(o));
    find_uses(o);
    find_ends(o);
    for (uint32_t turn = 0; turn < n; turn++)
        o->time[turn + 1] = o->time[turn] + o->problem->seconds[o->order[turn]];
    return PLB_OK;
}

enum plb_status plb__online_create(const struct plb_problem *problem,
                                   struct plb__online **online_out)
{
    struct plb__online *o = calloc(1, sizeof *o);
    enum plb_status status;

    if (!o)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan a step");
    o->problem = problem;
    o->graph = problem->graph;
    status = prepare(o);
    if (status == PLB_OK)
        *online_out = o;
    else
        plb__online_destroy(o);
    return status;
}

void plb__online_destroy(struct plb__online *o)
{
    if (!o)
        return;
    free(o->order);
    free(o->time);
    free(o->stamp);
    free(o->bytes);
    free(o->use);
    free(o->in_use);
    free(o->next_use);
    free(o->until);
    free(o->maker);
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
    free(o);
}
