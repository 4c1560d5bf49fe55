/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain of a pass: how long values live, what crosses the borders of blocks, which blocks are
 * alike. Where blocks begin stands in chain_split.c, the order of backward tasks in chain_order.c.
 */
#include "config.h"

#include "schedulers/memory/chain/chain.h"

#include "runtime/base/hash.h"

#include <stdlib.h>
#include <string.h>

bool plb__chain_next(const plb_graph_t *graph, plb_task_id from, plb_task_id *begin_out,
                     plb_task_id *middle_out, plb_task_id *end_out)
{
    uint32_t n = plb_graph_tasks(graph);

    for (plb_task_id t = from; t < n;) {
        plb_task_id begin, middle;

        while (t < n && plb_graph_task(graph, t)->phase != PLB_PHASE_FORWARD)
            t++;
        for (begin = t; t < n && plb_graph_task(graph, t)->phase == PLB_PHASE_FORWARD;)
            t++;
        for (middle = t; t < n && plb_graph_task(graph, t)->phase == PLB_PHASE_BACKWARD;)
            t++;
        if (begin < middle && middle < t) {
            *begin_out = begin;
            *middle_out = middle;
            *end_out = t;
            return true;
        }
    }
    return false;
}

static size_t bytes_of(const plb_graph_t *graph, plb_value v)
{
    return plb_type_bytes(&plb_graph_value(graph, v)->type);
}

/* ---- lives ---- */

static void find_births(struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;

    for (uint32_t e = 0; e < chain->n; e++)
        for (plb_task_id t = chain->block[e].forward; t < chain->block[e].forward_end; t++) {
            const struct plb_task *task = plb_graph_task(graph, t);

            for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
                chain->born[task->out[j]] = chain->crosses[task->out[j]] = e;
        }
    for (uint32_t e = 0; e < chain->n; e++)
        for (plb_task_id t = chain->block[e].forward; t < chain->block[e].forward_end; t++) {
            const struct plb_task *task = plb_graph_task(graph, t);

            for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
                if (chain->born[task->in[j]] != PLB_NONE)
                    chain->crosses[task->in[j]] = e; /* blocks come in order: the last one stays */
        }
}

static void note_backward_reads(struct plb__chain *chain, uint32_t e)
{
    const plb_graph_t *graph = chain->problem->graph;

    for (plb_task_id t = chain->block[e].backward; t < chain->block[e].backward_end; t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value v = task->in[j];

            if (chain->born[v] != PLB_NONE && chain->crosses[v] < e)
                chain->crosses[v] = e;
            if (chain->born[v] != PLB_NONE && chain->born[v] > e)
                chain->after[v] = true;
            if (chain->stage[v] != PLB_NONE)
                chain->lowest[v] = e;
        }
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            chain->stage[task->out[j]] = e;
    }
}

/* What comes from another place going forward cannot be made again: it is kept as if it were read
 * after the pass. */
static bool is_received(const plb_graph_t *graph, plb_task_id producer)
{
    return producer != PLB_NONE && plb_graph_task(graph, producer)->op->once &&
           plb_graph_task(graph, producer)->phase == PLB_PHASE_FORWARD;
}

/* What is read after the pass, and what the limits hold from the first instruction on. */
static void note_later_reads(struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;
    bool hold = chain->problem->limits.hold_gradients;

    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        plb_task_id producer = plb_graph_value(graph, v)->producer;

        chain->free[v] = producer == PLB_NONE;
        chain->after[v] = plb_graph_value(graph, v)->output || is_received(graph, producer);
    }
    for (plb_task_id t = chain->end; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_task_id from = plb_graph_value(graph, task->in[j])->producer;

            chain->after[task->in[j]] = true;
            if (hold && task->phase == PLB_PHASE_UPDATE && from != PLB_NONE &&
                plb_graph_task(graph, from)->phase != PLB_PHASE_UPDATE)
                chain->free[task->in[j]] = true;
        }
    }
}

static bool is_made_going_back(const plb_graph_t *graph, plb_value v)
{
    plb_task_id producer = plb_graph_value(graph, v)->producer;

    return producer != PLB_NONE && plb_graph_task(graph, producer)->phase == PLB_PHASE_BACKWARD;
}

/* Where task t is the last reader of what its output k takes over, and the output is not counted
 * because a held gradient comes to lie there, then the input is not counted either. */
static void free_taken(struct plb__chain *chain, const struct plb_task *task, int k,
                       const bool *read_later)
{
    const plb_graph_t *graph = chain->problem->graph;
    int from = task->op->out[k].shares - 1;
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];

    if (from < 0 || task->in_start[from + 1] - task->in_start[from] != cells)
        return;
    for (uint32_t j = 0; j < cells; j++) {
        plb_value in = task->in[task->in_start[from] + j];
        plb_value out = task->out[task->out_start[k] + j];

        if (!chain->free[out] || read_later[in] || !is_made_going_back(graph, in) ||
            bytes_of(graph, in) != bytes_of(graph, out))
            return;
    }
    for (uint32_t j = 0; j < cells; j++)
        chain->free[task->in[task->in_start[from] + j]] = true;
}

static enum plb_status free_what_gradients_take(struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;
    bool *read_later = calloc((size_t)plb_graph_values(graph) + 1, sizeof *read_later);

    if (!read_later)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a chain of %u blocks", chain->n);
    for (plb_value v = 0; v < plb_graph_values(graph); v++)
        read_later[v] = plb_graph_value(graph, v)->output;
    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (int k = 0; k < task->n_out && task->phase == PLB_PHASE_BACKWARD; k++)
            free_taken(chain, task, k, read_later);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            read_later[task->in[j]] = true;
    }
    free(read_later);
    return PLB_OK;
}

static void add_bytes(struct plb__chain *chain, plb_value v, size_t bytes)
{
    uint32_t stage = chain->stage[v];

    if (chain->lowest[v] != PLB_NONE)
        for (uint32_t e = chain->lowest[v]; e < stage; e++)
            chain->block[e].incoming += bytes;
    if (chain->after[v])
        chain->block[stage].gradients += bytes;
}

static void count_bytes(struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;

    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        plb_task_id producer = plb_graph_value(graph, v)->producer;

        if (chain->free[v])
            continue;
        if (producer < chain->begin && chain->after[v])
            chain->background += bytes_of(graph, v);
        else if (chain->born[v] != PLB_NONE && chain->after[v])
            chain->crosses[v] = chain->n;
        else if (chain->stage[v] != PLB_NONE)
            add_bytes(chain, v, bytes_of(graph, v));
    }
}

static void note_read(struct plb__chain *chain, plb_value v, uint32_t e, uint32_t *seen)
{
    uint32_t born = chain->born[v], n = chain->n;
    size_t bytes;

    if (born == PLB_NONE || born >= e || chain->free[v])
        return;
    bytes = bytes_of(chain->problem->graph, v);
    /* At borders after the last read that was seen, this is the first read that comes. */
    for (uint32_t k = (seen[v] == PLB_NONE || seen[v] < born ? born : seen[v]) + 1; k <= e; k++)
        chain->over[((size_t)born * n + k) * n + e] += bytes;
    if (seen[v] == PLB_NONE || seen[v] < e)
        seen[v] = e;
}

/* over[a][k][b] begins as the bytes of values made in block a, alive at border k and read next in
 * block b; summing over b upwards and over a downwards makes it what the header says. */
static enum plb_status count_crossings(struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;
    uint32_t n = chain->n;
    uint32_t *seen = malloc(((size_t)plb_graph_values(graph) + 1) * sizeof *seen);

    if (!seen)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the borders of %u blocks", n);
    memset(seen, 0xff, ((size_t)plb_graph_values(graph) + 1) * sizeof *seen);
    for (uint32_t e = 0; e < n; e++) {
        const struct plb__chain_block *block = &chain->block[e];

        for (plb_task_id t = block->forward; t < block->forward_end; t++) {
            const struct plb_task *task = plb_graph_task(graph, t);

            for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
                note_read(chain, task->in[j], e, seen);
        }
        for (plb_task_id t = block->backward; t < block->backward_end; t++) {
            const struct plb_task *task = plb_graph_task(graph, t);

            for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
                note_read(chain, task->in[j], e, seen);
        }
    }
    for (uint32_t a = n; a-- > 0;)
        for (uint32_t k = a + 1; k < n; k++) {
            size_t *row = &chain->over[((size_t)a * n + k) * n];

            for (uint32_t b = k + 1; b < n; b++)
                row[b] += row[b - 1];
            if (a + 1 < k)
                for (uint32_t b = k; b < n; b++)
                    row[b] += chain->over[((size_t)(a + 1) * n + k) * n + b];
        }
    free(seen);
    return PLB_OK;
}

/* ---- which blocks are alike ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return plb_hash_mix(hash, &value, sizeof value);
}

/* An operand as seen from its block: by its distance from the first value made there where it is
 * made there, else by what it is. */
static uint64_t mix_operand(const struct plb__chain *chain, uint32_t e, plb_value v, plb_value first,
                            plb_value first_back, uint64_t hash)
{
    hash = mix(hash, bytes_of(chain->problem->graph, v));
    hash = mix(hash, (uint64_t)chain->free[v] | (uint64_t)chain->after[v] << 1);
    if (chain->born[v] == e)
        return mix(mix(hash, 1u + v - first), chain->crosses[v] > e);
    if (chain->stage[v] == e)
        return mix(mix(hash, (1ull << 32) + v - first_back),
                   chain->lowest[v] != PLB_NONE && chain->lowest[v] < e);
    return mix(hash, chain->stage[v] != PLB_NONE && chain->lowest[v] < e);
}

/* The first value that the tasks make; 0 when they make none. */
static plb_value first_made(const plb_graph_t *graph, plb_task_id from, plb_task_id to)
{
    for (plb_task_id t = from; t < to; t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        if (task->out_start[task->n_out] > 0)
            return task->out[0];
    }
    return 0;
}

static uint64_t mix_tasks(const struct plb__chain *chain, uint32_t e, plb_task_id from,
                          plb_task_id to, uint64_t hash)
{
    const plb_graph_t *graph = chain->problem->graph;
    const struct plb__chain_block *block = &chain->block[e];
    plb_value first = first_made(graph, block->forward, block->forward_end);
    plb_value back = first_made(graph, block->backward, block->backward_end);

    for (plb_task_id t = from; t < to; t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        hash = mix(hash, (uintptr_t)task->op);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            hash = mix_operand(chain, e, task->in[j], first, back, hash);
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            hash = mix_operand(chain, e, task->out[j], first, back, hash);
    }
    return hash;
}

static uint32_t first_of_hash(const uint64_t *hash, uint32_t e)
{
    uint32_t first = 0;

    while (hash[first] != hash[e])
        first++;
    return first;
}

static void find_kinds(struct plb__chain *chain)
{
    uint64_t hash[PLB__CHAIN_BLOCKS_MAX];

    for (uint32_t e = 0; e < chain->n; e++) {
        struct plb__chain_block *block = &chain->block[e];

        hash[e] = mix(block->incoming, block->gradients);
        hash[e] = mix_tasks(chain, e, block->forward, block->forward_end, hash[e]);
        hash[e] = mix_tasks(chain, e, block->backward, block->backward_end, hash[e]);
        block->kind = first_of_hash(hash, e);
    }
    chain->shape = plb_hash_mix(chain->background, hash, chain->n * sizeof *hash);
    chain->shape = plb_hash_mix(chain->shape, chain->over,
                                sizeof *chain->over * chain->n * chain->n * chain->n);
}

/* Only forward tasks run again, and backward tasks run once whatever is decided. */
void plb__chain_price(struct plb__chain *chain)
{
    const double *seconds = chain->problem->seconds;
    uint64_t hash[PLB__CHAIN_BLOCKS_MAX];

    for (uint32_t e = 0; e < chain->n; e++) {
        struct plb__chain_block *block = &chain->block[e];

        block->seconds = 0.0;
        for (plb_task_id t = block->forward; t < block->forward_end; t++)
            block->seconds += seconds[t];
        hash[e] = plb_hash_mix(block->kind, &seconds[block->forward],
                               (block->forward_end - block->forward) * sizeof *seconds);
        block->like = first_of_hash(hash, e);
    }
    chain->signature = plb_hash_mix(chain->shape, hash, chain->n * sizeof *hash);
}

/* ---- all of it ---- */

static enum plb_status allocate(struct plb__chain *chain)
{
    size_t n = (size_t)plb_graph_values(chain->problem->graph) + 1;

    chain->born = malloc(n * sizeof *chain->born);
    chain->crosses = calloc(n, sizeof *chain->crosses);
    chain->stage = malloc(n * sizeof *chain->stage);
    chain->lowest = malloc(n * sizeof *chain->lowest);
    chain->after = calloc(n, sizeof *chain->after);
    chain->free = calloc(n, sizeof *chain->free);
    chain->order = malloc((size_t)(chain->end - chain->middle) * sizeof *chain->order);
    chain->over = calloc((size_t)chain->n * chain->n * chain->n, sizeof *chain->over);
    if (!chain->born || !chain->crosses || !chain->stage || !chain->lowest || !chain->after ||
        !chain->free || !chain->order || !chain->over)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a chain of %u blocks", chain->n);
    memset(chain->born, 0xff, n * sizeof *chain->born);
    memset(chain->stage, 0xff, n * sizeof *chain->stage);
    memset(chain->lowest, 0xff, n * sizeof *chain->lowest);
    return PLB_OK;
}

static enum plb_status fill(struct plb__chain *chain, enum plb__grain grain)
{
    PLB_TRY(plb__chain_split(chain, grain));
    PLB_TRY(allocate(chain));
    find_births(chain);
    PLB_TRY(plb__chain_split_backward(chain));
    note_later_reads(chain);
    for (uint32_t e = chain->n; e-- > 0;)
        note_backward_reads(chain, e);
    if (chain->problem->limits.hold_gradients)
        PLB_TRY(free_what_gradients_take(chain));
    count_bytes(chain);
    PLB_TRY(plb__chain_order(chain));
    PLB_TRY(count_crossings(chain));
    find_kinds(chain);
    plb__chain_price(chain);
    return PLB_OK;
}

enum plb_status plb__chain_create(const struct plb_problem *problem, enum plb__grain grain,
                                  plb_task_id begin, plb_task_id middle, plb_task_id end,
                                  struct plb__chain *chain_out)
{
    struct plb__chain chain = {.problem = problem, .begin = begin, .middle = middle, .end = end};
    enum plb_status status = fill(&chain, grain);

    if (status == PLB_OK)
        *chain_out = chain;
    else
        plb__chain_clear(&chain);
    return status;
}

void plb__chain_clear(struct plb__chain *chain)
{
    free(chain->block);
    free(chain->born);
    free(chain->crosses);
    free(chain->stage);
    free(chain->lowest);
    free(chain->after);
    free(chain->free);
    free(chain->order);
    free(chain->over);
    *chain = (struct plb__chain){.n = 0};
}
