/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of a block's backward tasks.
 *
 * A graph has all parts of one operator before those of the next. Where that lets gradients pile up
 * (all cells of an embedding's gradient before the first is added to what the last layer left), a
 * task that only reads gradients and frees as much as it makes runs as soon as it can. And where a
 * gradient is read by a task that makes much of it (the next gradient) and by one that makes little
 * and needs a value of the forward pass (the gradient of the weights), the latter runs first.
 */
#include "config.h"

#include "schedulers/memory/chain/chain.h"

#include <stdlib.h>
#include <string.h>

struct ordering {
    const struct plb__chain *chain;
    uint32_t e;          /* the block */
    uint32_t *unread;    /* per value: readers in the block that have not run */
    uint32_t *first;     /* per value: its first entry in `next`, PLB_NONE for none */
    uint32_t n, capacity;
    struct entry {
        plb_task_id reader;
        uint32_t next;
    } *entry;
    bool *done;          /* per task of the graph */
    plb_task_id *order;  /* where the next task goes */
};

static enum plb_status note_reader(struct ordering *o, plb_value v, plb_task_id reader)
{
    if (o->n == o->capacity) {
        uint32_t capacity = o->capacity ? 2 * o->capacity : 1024;
        struct entry *grown = realloc(o->entry, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u readers of values", capacity);
        o->entry = grown;
        o->capacity = capacity;
    }
    o->entry[o->n] = (struct entry){reader, o->first[v]};
    o->first[v] = o->n++;
    o->unread[v]++;
    return PLB_OK;
}

static enum plb_status note_readers(struct ordering *o)
{
    const struct plb__chain_block *block = &o->chain->block[o->e];

    o->n = 0;
    for (plb_task_id t = block->backward_end; t-- > block->backward;) {
        const struct plb_task *task = plb_graph_task(o->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            if (o->chain->stage[task->in[j]] != PLB_NONE)
                PLB_TRY(note_reader(o, task->in[j], t));
    }
    return PLB_OK;
}

/* The next block may read the same gradients. */
static void forget_readers(struct ordering *o)
{
    const struct plb__chain_block *block = &o->chain->block[o->e];

    for (plb_task_id t = block->backward; t < block->backward_end; t++) {
        const struct plb_task *task = plb_graph_task(o->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            o->first[task->in[j]] = PLB_NONE;
            o->unread[task->in[j]] = 0;
        }
    }
}

static size_t counted(const struct plb__chain *chain, plb_value v)
{
    return chain->free[v] ? 0
                          : plb_type_bytes(&plb_graph_value(chain->problem->graph, v)->type);
}

static size_t made_by(const struct ordering *o, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(o->chain->problem->graph, t);
    size_t made = 0;

    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        made += counted(o->chain, task->out[j]);
    return made;
}

/* Are the gradients there that it reads? */
static bool is_ready(const struct ordering *o, plb_task_id t)
{
    const plb_graph_t *graph = o->chain->problem->graph;
    const struct plb_task *task = plb_graph_task(graph, t);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (o->chain->stage[task->in[j]] == o->e &&
            !o->done[plb_graph_value(graph, task->in[j])->producer])
            return false;
    return true;
}

static bool reads_forward(const struct ordering *o, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(o->chain->problem->graph, t);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (o->chain->born[task->in[j]] != PLB_NONE)
            return true;
    return false;
}

/* May the task run now, reading gradients alone, and is there no more memory in use after it?
 * Transfers have their turns in an order that other places know of, and stay there. */
static bool frees(const struct ordering *o, plb_task_id t)
{
    const struct plb__chain *chain = o->chain;
    const struct plb_task *task = plb_graph_task(chain->problem->graph, t);
    size_t freed = 0;

    if (task->op->once || reads_forward(o, t) || !is_ready(o, t))
        return false;
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_value v = task->in[j];

        if (chain->stage[v] != PLB_NONE && o->unread[v] == 1 && chain->lowest[v] == o->e &&
            !chain->after[v])
            freed += counted(chain, v);
    }
    return made_by(o, t) <= freed;
}

static void put(struct ordering *o, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(o->chain->problem->graph, t);

    *o->order++ = t;
    o->done[t] = true;
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (o->chain->stage[task->in[j]] != PLB_NONE)
            o->unread[task->in[j]]--;
}

/* Puts t, then whatever can run because of it, and so on: o->order is the queue. */
static void put_with_followers(struct ordering *o, plb_task_id t)
{
    plb_task_id *at = o->order;

    for (put(o, t); at < o->order; at++) {
        const struct plb_task *task = plb_graph_task(o->chain->problem->graph, *at);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            for (uint32_t i = o->first[task->out[j]]; i != PLB_NONE; i = o->entry[i].next)
                if (!o->done[o->entry[i].reader] && frees(o, o->entry[i].reader))
                    put(o, o->entry[i].reader);
    }
}

/* Before t, which makes much of the gradients that it reads, those that make less of them. */
static void put_after_lesser(struct ordering *o, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(o->chain->problem->graph, t);

    for (uint32_t j = 0; !reads_forward(o, t) && j < task->in_start[task->n_in]; j++)
        for (uint32_t i = o->first[task->in[j]]; i != PLB_NONE; i = o->entry[i].next) {
            plb_task_id other = o->entry[i].reader;

            if (other != t && !o->done[other] && reads_forward(o, other) && is_ready(o, other) &&
                made_by(o, other) < made_by(o, t))
                put_with_followers(o, other);
        }
    if (!o->done[t])
        put_with_followers(o, t);
}

static enum plb_status order_blocks(struct ordering *o)
{
    for (o->e = o->chain->n; o->e-- > 0;) {
        const struct plb__chain_block *block = &o->chain->block[o->e];

        PLB_TRY(note_readers(o));
        for (plb_task_id t = block->backward; t < block->backward_end; t++)
            if (!o->done[t])
                put_after_lesser(o, t);
        forget_readers(o);
    }
    return PLB_OK;
}

enum plb_status plb__chain_order(struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;
    size_t values = (size_t)plb_graph_values(graph) + 1;
    struct ordering o = {.chain = chain,
                         .unread = calloc(values, sizeof *o.unread),
                         .first = malloc(values * sizeof *o.first),
                         .done = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *o.done)};
    enum plb_status status = PLB_OK;

    o.order = chain->order;
    if (!o.unread || !o.first || !o.done) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to order backward tasks");
    } else {
        memset(o.first, 0xff, values * sizeof *o.first);
        status = order_blocks(&o);
    }
    free(o.unread);
    free(o.first);
    free(o.entry);
    free(o.done);
    return status;
}
