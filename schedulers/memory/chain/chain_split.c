/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the blocks of a pass begin, going forward and going back.
 */
#include "config.h"

#include "schedulers/memory/chain/chain.h"

#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const plb_graph_t *graph, plb_value v)
{
    return plb_type_bytes(&plb_graph_value(graph, v)->type);
}

/* ---- where blocks begin ---- */

struct splitter {
    const plb_graph_t *graph;
    plb_task_id begin, middle;
    size_t *width;  /* per task of the forward pass: bytes that are alive where it begins */
    bool *is_whole; /* ... is it the first part of a whole task? */
    bool *starts;   /* ... does a block start there? */
    uint32_t n_whole;
};

/* width[t - begin]: bytes of values that forward tasks before t make and t or later ones read. */
static void measure_widths(struct splitter *s, plb_task_id *last)
{
    uint32_t n = s->middle - s->begin;
    size_t alive = 0;

    for (plb_task_id t = s->begin; t < s->middle; t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            last[task->in[j]] = t;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct plb_task *task = plb_graph_task(s->graph, s->begin + i);

        s->width[i] = alive;
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (last[task->out[j]] != PLB_NONE)
                alive += bytes_of(s->graph, task->out[j]);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value v = task->in[j];
            plb_task_id producer = plb_graph_value(s->graph, v)->producer;

            if (last[v] != s->begin + i || producer == PLB_NONE || producer < s->begin)
                continue;
            alive -= bytes_of(s->graph, v);
            last[v] = PLB_NONE;
        }
    }
}

static void find_whole_tasks(struct splitter *s)
{
    plb_task_id source = PLB_NONE;

    for (plb_task_id t = s->begin; t < s->middle; t++) {
        plb_task_id from = plb_graph_task(s->graph, t)->source;

        s->is_whole[t - s->begin] = t == s->begin || (from != PLB_NONE && from != source);
        s->n_whole += s->is_whole[t - s->begin];
        if (from != PLB_NONE)
            source = from;
    }
}

static bool split_at_blocks(struct splitter *s)
{
    bool any = false;

    for (plb_task_id t = s->begin; t < s->middle; t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        any |= task->block >= 0;
        s->starts[t - s->begin] =
            t == s->begin || task->block != plb_graph_task(s->graph, t - 1)->block;
    }
    return any;
}

/* In tasks [from, to): a start at the narrowest of the places that are `least` to `most` whole tasks
 * away from the last one, and so on. */
static void split_at_narrow_places(struct splitter *s, uint32_t from, uint32_t to, uint32_t least,
                                   uint32_t most)
{
    while (from < to) {
        uint32_t best = to, whole = 0;

        for (uint32_t i = from + 1; i < to && whole < most; i++) {
            if (!s->is_whole[i])
                continue;
            whole++;
            if (whole >= least && (best == to || s->width[i] <= s->width[best]))
                best = i;
        }
        if (whole < most && whole < 2 * least)
            return;
        if (best < to)
            s->starts[best] = true;
        from = best;
    }
}

enum { BLOCK_WHOLE_TASKS_MAX = 24, NARROW_LEAST = 2, NARROW_MOST = 6, WIDE = 3 };

/* A model's block that is too long for its options to be enumerated is split again. */
static void split_long_blocks(struct splitter *s)
{
    uint32_t n = s->middle - s->begin;

    for (uint32_t i = 0, next; i < n; i = next) {
        uint32_t whole = s->is_whole[i];

        for (next = i + 1; next < n && !s->starts[next]; next++)
            whole += s->is_whole[next];
        if (whole > BLOCK_WHOLE_TASKS_MAX)
            split_at_narrow_places(s, i, next, BLOCK_WHOLE_TASKS_MAX / 4, BLOCK_WHOLE_TASKS_MAX);
    }
}

static uint32_t count_starts(const struct splitter *s)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->middle - s->begin; i++)
        count += s->starts[i];
    return count;
}

/* Every other start goes as long as there are too many. */
static void thin_out(struct splitter *s)
{
    while (count_starts(s) > PLB__CHAIN_BLOCKS_MAX) {
        bool odd = false;

        for (uint32_t i = 1; i < s->middle - s->begin; i++)
            if (s->starts[i]) {
                s->starts[i] = odd;
                odd = !odd;
            }
    }
}

static void split(struct splitter *s, enum plb__grain grain)
{
    uint32_t n = s->middle - s->begin;
    uint32_t unit = 1 + s->n_whole / PLB__CHAIN_BLOCKS_MAX;

    if (grain == PLB__GRAIN_FINE) {
        memcpy(s->starts, s->is_whole, n * sizeof *s->starts);
    } else if (grain == PLB__GRAIN_BLOCKS && split_at_blocks(s)) {
        split_long_blocks(s);
    } else {
        memset(s->starts, 0, n * sizeof *s->starts);
        s->starts[0] = true;
        if (grain == PLB__GRAIN_WIDE)
            unit *= WIDE;
        if (grain != PLB__GRAIN_WHOLE)
            split_at_narrow_places(s, 0, n, NARROW_LEAST * unit, NARROW_MOST * unit);
    }
    thin_out(s);
}

enum plb_status plb__chain_split(struct plb__chain *chain, enum plb__grain grain)
{
    const plb_graph_t *graph = chain->problem->graph;
    uint32_t n = chain->middle - chain->begin;
    struct splitter s = {.graph = graph,
                         .begin = chain->begin,
                         .middle = chain->middle,
                         .width = calloc(n, sizeof *s.width),
                         .is_whole = calloc(n, sizeof *s.is_whole),
                         .starts = calloc(n, sizeof *s.starts)};
    plb_task_id *last = malloc(((size_t)plb_graph_values(graph) + 1) * sizeof *last);
    enum plb_status status = PLB_OK;

    if (!s.width || !s.is_whole || !s.starts || !last) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to split %u tasks into blocks", n);
        goto free_splitter;
    }
    memset(last, 0xff, ((size_t)plb_graph_values(graph) + 1) * sizeof *last);
    measure_widths(&s, last);
    find_whole_tasks(&s);
    split(&s, grain);
    chain->block = calloc(count_starts(&s), sizeof *chain->block);
    if (!chain->block) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %u blocks", count_starts(&s));
        goto free_splitter;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (s.starts[i])
            chain->block[chain->n++].forward = chain->begin + i;
        chain->block[chain->n - 1].forward_end = chain->begin + i + 1;
    }
free_splitter:
    free(s.width);
    free(s.is_whole);
    free(s.starts);
    free(last);
    return status;
}

/* ---- which block a backward task belongs to ---- */

/* What a backward task reads of the forward pass, but for values smaller than `small`: made in block
 * `low` or below, and read, going forward, up to block `high`. False: nothing. */
static bool find_range(const struct plb__chain *chain, plb_task_id t, size_t small, uint32_t *low,
                       uint32_t *high)
{
    const struct plb_task *task = plb_graph_task(chain->problem->graph, t);
    bool any = false;

    *low = 0;
    *high = 0;
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_value v = task->in[j];

        if (chain->born[v] == PLB_NONE || bytes_of(chain->problem->graph, v) < small)
            continue;
        any = true;
        if (chain->born[v] > *low)
            *low = chain->born[v];
        if (chain->crosses[v] > *high)
            *high = chain->crosses[v];
    }
    return any;
}

enum { SMALL_PARTS = 8192 };

struct backward_splitter {
    uint32_t n;
    size_t small;    /* below so many bytes a value may be read by any block (a loss that is added
                        up at the end): it is kept */
    uint32_t *block; /* per backward task: its block, PLB_NONE: it reads nothing of the pass */
    size_t *width;   /* ... bytes of gradients that are alive where it begins */
    uint32_t *last;  /* per value: the last backward task that reads it */
};

/* Backward tasks keep their order, so the blocks that they belong to may only go down. A task goes
 * as low as what it reads allows, unless a later one reads what a higher block made. */
static void find_blocks(const struct plb__chain *chain, struct backward_splitter *s)
{
    uint32_t floor = 0, at = chain->n - 1, low, high;

    for (uint32_t i = s->n; i-- > 0;) { /* block[i]: the floor at first */
        find_range(chain, chain->middle + i, s->small, &low, &high);
        floor = low > floor ? low : floor;
        s->block[i] = floor;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        if (!find_range(chain, chain->middle + i, s->small, &low, &high)) {
            s->block[i] = PLB_NONE;
            continue;
        }
        high = high > s->block[i] ? high : s->block[i];
        at = high < at ? high : at;
        s->block[i] = at;
    }
}

static void measure_gradients(const struct plb__chain *chain, struct backward_splitter *s)
{
    const plb_graph_t *graph = chain->problem->graph;
    size_t alive = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        const struct plb_task *task = plb_graph_task(graph, chain->middle + i);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            s->last[task->in[j]] = i;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        const struct plb_task *task = plb_graph_task(graph, chain->middle + i);

        s->width[i] = alive;
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_task_id producer = plb_graph_value(graph, task->in[j])->producer;

            if (s->last[task->in[j]] == i && producer != PLB_NONE && producer >= chain->middle) {
                alive -= bytes_of(graph, task->in[j]);
                s->last[task->in[j]] = PLB_NONE;
            }
        }
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (s->last[task->out[j]] != PLB_NONE)
                alive += bytes_of(graph, task->out[j]);
    }
}

/* A border lies between the last task that must be above it and the first that must be below, where
 * the fewest gradients are alive. */
static void set_borders(struct plb__chain *chain, const struct backward_splitter *s)
{
    uint32_t at = chain->n - 1, above = 0;

    chain->block[at].backward = chain->middle;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t best = i;

        if (s->block[i] == PLB_NONE)
            continue;
        for (uint32_t k = i; s->block[i] < at && k-- > above;)
            if (s->width[k] < s->width[best])
                best = k;
        for (; at > s->block[i]; at--)
            chain->block[at].backward_end = chain->block[at - 1].backward = chain->middle + best;
        above = i + 1;
    }
    for (chain->block[at].backward_end = chain->end; at-- > 0;)
        chain->block[at].backward = chain->block[at].backward_end = chain->end;
}

static size_t bytes_going_forward(const struct plb__chain *chain)
{
    size_t bytes = 0;

    for (plb_value v = 0; v < plb_graph_values(chain->problem->graph); v++)
        if (chain->born[v] != PLB_NONE)
            bytes += bytes_of(chain->problem->graph, v);
    return bytes;
}

enum plb_status plb__chain_split_backward(struct plb__chain *chain)
{
    size_t values = (size_t)plb_graph_values(chain->problem->graph) + 1;
    struct backward_splitter s = {.n = chain->end - chain->middle,
                                  .small = bytes_going_forward(chain) / SMALL_PARTS};
    enum plb_status status = PLB_OK;

    s.block = malloc(s.n * sizeof *s.block);
    s.width = malloc(s.n * sizeof *s.width);
    s.last = malloc(values * sizeof *s.last);
    if (s.block && s.width && s.last) {
        memset(s.last, 0xff, values * sizeof *s.last);
        find_blocks(chain, &s);
        measure_gradients(chain, &s);
        set_borders(chain, &s);
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to split %u backward tasks", s.n);
    }
    free(s.block);
    free(s.width);
    free(s.last);
    return status;
}
