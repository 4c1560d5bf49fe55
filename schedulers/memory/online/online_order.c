/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order in which the policy "online" brings tasks about: the graph's, with one exception.
 *
 * A graph has all cells of one operator before those of the next. In the backward pass that lets
 * gradients pile up: all cells of the gradient that an embedding leaves, say, before the first of
 * them is added to what the last layer left of the same matrix. No eviction helps there, since to
 * make a gradient again takes the whole way back. So a task that reads gradients alone, and leaves
 * less than half of what it frees, has its turn as soon as they are there. (Where a task frees
 * about as much as it makes, little memory would be gained by that, and workers that take cells one
 * by one would wait for each other.) Transfers to other places have no turn but their own: there is
 * an order of all that all places do, which must not become a circle.
 */
#include "config.h"

#include "schedulers/memory/online/online_internal.h"

#include <stdlib.h>
#include <string.h>

struct ordering {
    struct plb__online *o;
    uint32_t n;        /* turns so far */
    bool *done;        /* per task */
    uint32_t *missing; /* per task: inputs that have not been made */
    uint32_t *unread;  /* per value: readers that have had no turn */
};

static void count(struct ordering *r)
{
    const plb_graph_t *graph = r->o->graph;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            r->unread[task->in[j]]++;
            r->missing[t] += plb_graph_value(graph, task->in[j])->producer != PLB_NONE;
        }
    }
}

/* Only of what is made going back, so that nothing else has to be there for it. */
static bool reads_gradients_alone(const plb_graph_t *graph, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_task_id producer = plb_graph_value(graph, task->in[j])->producer;

        if (producer != PLB_NONE && plb_graph_task(graph, producer)->phase == PLB_PHASE_FORWARD)
            return false;
    }
    return true;
}

/* What the update reads: its bytes are needed sooner or later, granted or not. */
static bool is_for_update(const struct plb__online *o, plb_value v)
{
    uint32_t n = o->in_use[v + 1];

    return n > o->in_use[v] && plb_graph_task(o->graph, o->use[n - 1])->phase == PLB_PHASE_UPDATE;
}

/* Has it all that it reads, and is there much less in use after it? */
static bool frees(const struct ordering *r, plb_task_id t)
{
    const struct plb__online *o = r->o;
    const struct plb_task *task = plb_graph_task(o->graph, t);
    size_t made = 0, freed = 0;

    if (task->phase != PLB_PHASE_BACKWARD || task->op->once || r->missing[t] > 0 ||
        !reads_gradients_alone(o->graph, task))
        return false;
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        freed += r->unread[task->in[j]] == 1 ? o->bytes[task->in[j]] : 0;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        made += is_for_update(o, task->out[j]) ? 0 : o->bytes[task->out[j]];
    return 2 * made < freed;
}

static void put(struct ordering *r, plb_task_id t)
{
    const struct plb__online *o = r->o;
    const struct plb_task *task = plb_graph_task(o->graph, t);

    o->order[r->n++] = t;
    r->done[t] = true;
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        r->unread[task->in[j]]--;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        for (uint32_t k = o->in_use[task->out[j]]; k < o->in_use[task->out[j] + 1]; k++)
            r->missing[o->use[k]]--;
}

/* Puts t, then whatever can run because of it, and so on: the order itself is the queue. */
static void put_with_followers(struct ordering *r, plb_task_id t)
{
    const struct plb__online *o = r->o;
    uint32_t at = r->n;

    for (put(r, t); at < r->n; at++) {
        const struct plb_task *task = plb_graph_task(o->graph, o->order[at]);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            for (uint32_t k = o->in_use[task->out[j]]; k < o->in_use[task->out[j] + 1]; k++)
                if (!r->done[o->use[k]] && frees(r, o->use[k]))
                    put(r, o->use[k]);
    }
}

enum plb_status plb__online_order(struct plb__online *o)
{
    size_t tasks = (size_t)plb_graph_tasks(o->graph) + 1;
    size_t values = (size_t)plb_graph_values(o->graph) + 1;
    struct ordering r = {.o = o,
                         .done = calloc(tasks, sizeof *r.done),
                         .missing = calloc(tasks, sizeof *r.missing),
                         .unread = calloc(values, sizeof *r.unread)};
    enum plb_status status = PLB_OK;

    if (!r.done || !r.missing || !r.unread) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to order %zu tasks", tasks - 1);
    } else {
        count(&r);
        for (plb_task_id t = 0; t + 1 < tasks; t++)
            if (!r.done[t])
                put_with_followers(&r, t);
    }
    free(r.done);
    free(r.missing);
    free(r.unread);
    return status;
}
