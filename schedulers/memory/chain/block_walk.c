/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two walks of a block: see block_walk.h. How its values are grouped stands in block_groups.c.
 */
#include "config.h"

#include "schedulers/memory/chain/block_walk.h"

#include <stdlib.h>

enum plb_status plb__task_list_push(struct plb__task_list *list, plb_task_id task)
{
    if (list->n == list->capacity) {
        uint32_t capacity = list->capacity ? 2 * list->capacity : 256;
        plb_task_id *grown = realloc(list->task, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory to walk through %u tasks", capacity);
        list->task = grown;
        list->capacity = capacity;
    }
    list->task[list->n++] = task;
    return PLB_OK;
}

enum plb_status plb__walker_create(const struct plb__chain *chain, const uint8_t *group,
                                   struct plb__walker *walker_out)
{
    size_t n = (size_t)plb_graph_values(chain->problem->graph) + 1;
    struct plb__walker w = {.chain = chain,
                            .group = group,
                            .have = calloc(n, sizeof *w.have),
                            .wanted = calloc(n, sizeof *w.wanted)};

    if (!w.have || !w.wanted) {
        plb__walker_clear(&w);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to walk through %u blocks", chain->n);
    }
    *walker_out = w;
    return PLB_OK;
}

void plb__walker_clear(struct plb__walker *w)
{
    free(w->have);
    free(w->wanted);
    free(w->run.task);
    free(w->stack.task);
    free(w->again.task);
    *w = (struct plb__walker){.chain = NULL};
}

/* ---- bytes of a walk ---- */

/* Bytes of the inputs of the task that end there and whose storage outputs take over. */
static size_t taken_over(const struct plb__walker *w, const struct plb_task *task, const bool *ends)
{
    size_t taken = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;
        uint32_t cells = task->out_start[k + 1] - task->out_start[k];
        size_t bytes = 0;
        bool all = from >= 0 && task->in_start[from + 1] - task->in_start[from] == cells;

        for (uint32_t j = 0; all && j < cells; j++) {
            uint32_t at = task->in_start[from] + j;
            size_t in = plb__walker_bytes(w, task->in[at]);

            all = ends[at] && in == plb__walker_bytes(w, task->out[task->out_start[k] + j]);
            bytes += in;
        }
        if (all)
            taken += bytes;
    }
    return taken;
}

enum { OPERANDS_LOOKED_AT = 256 };

/* One step of the walk back: what the task makes is no longer wanted before it, what it reads is.
 * `alive` are the bytes that are wanted; returns what is held while the task runs. */
static size_t step_back(struct plb__walker *w, const struct plb_task *task, size_t *alive)
{
    const bool *is_free = w->chain->free;
    bool ends[OPERANDS_LOOKED_AT] = {false};
    size_t made = 0;

    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        plb_value v = task->out[j];

        if (is_free[v])
            continue;
        made += plb__walker_bytes(w, v);
        if (w->wanted[v] == w->walk)
            *alive -= plb__walker_bytes(w, v);
        w->wanted[v] = 0;
    }
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_value v = task->in[j];

        if (is_free[v] || w->wanted[v] == w->walk || w->have[v] == PLB_NONE)
            continue;
        w->wanted[v] = w->walk;
        *alive += plb__walker_bytes(w, v);
        if (j < OPERANDS_LOOKED_AT)
            ends[j] = true;
    }
    return *alive + made - (task->in_start[task->n_in] <= OPERANDS_LOOKED_AT
                                ? taken_over(w, task, ends)
                                : 0);
}

/* The most bytes at any task of the walk. What lives on after it must be marked as wanted, with its
 * bytes in `alive`. Values that came into the block are the caller's and marked in `have` as
 * PLB_NONE. */
static size_t peak_of_walk(struct plb__walker *w, size_t alive)
{
    size_t peak = alive;

    for (uint32_t i = w->run.n; i-- > 0;) {
        size_t held =
            step_back(w, plb_graph_task(w->chain->problem->graph, w->run.task[i]), &alive);

        if (held > peak)
            peak = held;
    }
    return peak;
}

static size_t want(struct plb__walker *w, plb_value v)
{
    if (w->chain->free[v] || w->wanted[v] == w->walk)
        return 0;
    w->wanted[v] = w->walk;
    return plb__walker_bytes(w, v);
}

static bool is_kept(const struct plb__walker *w, plb_value v, uint32_t keep)
{
    uint8_t group = w->group[v];

    return group == PLB__GROUP_ALWAYS || (group != PLB__GROUP_NONE && (keep >> group & 1u));
}

void plb__walker_set_inputs_apart(struct plb__walker *w, uint32_t e, bool apart)
{
    const struct plb__chain *chain = w->chain;
    const struct plb__chain_block *block = &chain->block[e];
    const plb_task_id range[2][2] = {{block->forward, block->forward_end},
                                     {block->backward, block->backward_end}};

    for (int r = 0; r < 2; r++)
        for (plb_task_id t = range[r][0]; t < range[r][1]; t++) {
            const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

            for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
                if (chain->born[task->in[j]] != e && chain->stage[task->in[j]] == PLB_NONE)
                    w->have[task->in[j]] = apart ? PLB_NONE : 0;
        }
}

/* ---- the two walks of a block ---- */

enum plb_status plb__walk_forward(struct plb__walker *w, uint32_t e, uint32_t keep,
                                  size_t *peak_out)
{
    const struct plb__chain *chain = w->chain;
    const struct plb__chain_block *block = &chain->block[e];
    size_t alive = 0;

    w->walk++;
    w->run.n = 0;
    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

        PLB_TRY(plb__task_list_push(&w->run, t));
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (chain->crosses[task->out[j]] > e || is_kept(w, task->out[j], keep))
                alive += want(w, task->out[j]);
    }
    *peak_out = peak_of_walk(w, alive);
    return PLB_OK;
}

/* Puts the tasks that make v again, and v's first missing input and so on, on the walk. */
static enum plb_status make_again(struct plb__walker *w, uint32_t e, plb_value v)
{
    const plb_graph_t *graph = w->chain->problem->graph;

    w->stack.n = 0;
    PLB_TRY(plb__task_list_push(&w->stack, plb_graph_value(graph, v)->producer));
    while (w->stack.n > 0) {
        plb_task_id t = w->stack.task[w->stack.n - 1];
        const struct plb_task *task = plb_graph_task(graph, t);
        plb_value missing = PLB_NONE;

        for (uint32_t j = 0; j < task->in_start[task->n_in] && missing == PLB_NONE; j++)
            if (w->chain->born[task->in[j]] == e && w->have[task->in[j]] != w->walk)
                missing = task->in[j];
        if (missing != PLB_NONE) {
            PLB_TRY(plb__task_list_push(&w->stack, plb_graph_value(graph, missing)->producer));
            continue;
        }
        PLB_TRY(plb__task_list_push(&w->run, t));
        PLB_TRY(plb__task_list_push(&w->again, t));
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            w->have[task->out[j]] = w->walk;
        w->stack.n--;
    }
    return PLB_OK;
}

/* Values that are there when the backward tasks of block e begin: of those that cross its border,
 * the ones that cross border `from` as well. */
static void have_what_was_kept(struct plb__walker *w, uint32_t e, uint32_t keep, uint32_t from)
{
    const struct plb__chain_block *block = &w->chain->block[e];

    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (w->chain->crosses[task->out[j]] >= from || is_kept(w, task->out[j], keep))
                w->have[task->out[j]] = w->walk;
    }
}

static enum plb_status list_backward(struct plb__walker *w, uint32_t e)
{
    const struct plb__chain_block *block = &w->chain->block[e];

    for (uint32_t at = block->backward; at < block->backward_end; at++) {
        plb_task_id t = plb__chain_backward(w->chain, at);
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            if (w->chain->born[task->in[j]] == e && w->have[task->in[j]] != w->walk)
                PLB_TRY(make_again(w, e, task->in[j]));
        PLB_TRY(plb__task_list_push(&w->run, t));
    }
    return PLB_OK;
}

/* Gradients that live on below block e, or after the pass when this block made them. */
static size_t want_gradients(struct plb__walker *w, uint32_t e)
{
    const struct plb__chain *chain = w->chain;
    const struct plb__chain_block *block = &chain->block[e];
    size_t alive = e > 0 ? chain->block[e - 1].incoming : 0;

    for (plb_task_id t = block->backward; t < block->backward_end; t++) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
            plb_value v = task->out[j];
            bool below = chain->lowest[v] != PLB_NONE && chain->lowest[v] < e;

            if (below || chain->after[v])
                alive += below ? (want(w, v), 0) : want(w, v);
        }
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value v = task->in[j];

            /* Made above and read below as well: part of what goes on. */
            if (chain->stage[v] != PLB_NONE && chain->stage[v] > e && chain->lowest[v] < e)
                want(w, v);
        }
    }
    return alive;
}

enum plb_status plb__walk_backward(struct plb__walker *w, uint32_t e, uint32_t keep, uint32_t from,
                                   size_t *peak_out)
{
    w->walk++;
    w->run.n = 0;
    have_what_was_kept(w, e, keep, from);
    PLB_TRY(list_backward(w, e));
    *peak_out = peak_of_walk(w, want_gradients(w, e));
    return PLB_OK;
}

size_t plb__walker_saved(const struct plb__walker *w, uint32_t e, uint32_t keep)
{
    const struct plb__chain_block *block = &w->chain->block[e];
    size_t bytes = 0;

    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (is_kept(w, task->out[j], keep))
                bytes += plb__walker_bytes(w, task->out[j]);
    }
    return bytes;
}
