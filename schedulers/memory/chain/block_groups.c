/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The groups of a block's values: see options.h.
 */
#include "config.h"

#include "schedulers/memory/chain/block_walk.h"

#include <stdlib.h>

/* Marks by the walk's number what the backward tasks read of the block, and what it is made from. */
static void mark_what_matters(struct plb__walker *w, uint32_t e)
{
    const struct plb__chain *chain = w->chain;
    const struct plb__chain_block *block = &chain->block[e];

    w->walk++;
    for (plb_task_id t = block->backward; t < block->backward_end; t++) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            w->wanted[task->in[j]] = w->walk;
    }
    for (plb_task_id t = block->forward_end; t-- > block->forward;) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);
        bool matters = false;

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            matters |= w->wanted[task->out[j]] == w->walk && chain->crosses[task->out[j]] == e;
        for (uint32_t j = 0; matters && j < task->in_start[task->n_in]; j++)
            w->wanted[task->in[j]] = w->walk;
    }
}

struct grouping {
    uint32_t n, capacity;
    plb_value *source; /* per whole value, in the order of their making */
    size_t *bytes;
    uint8_t *index; /* its group */
    uint8_t *group; /* per value of the graph */
};

static enum plb_status add_to_group(struct grouping *g, plb_value source, size_t bytes)
{
    for (uint32_t i = g->n; i-- > 0;)
        if (g->source[i] == source) {
            g->bytes[i] += bytes;
            return PLB_OK;
        }
    if (g->n == g->capacity) {
        uint32_t capacity = g->capacity ? 2 * g->capacity : 32;
        plb_value *sources = realloc(g->source, capacity * sizeof *sources);
        size_t *sizes;

        if (sources)
            g->source = sources;
        sizes = sources ? realloc(g->bytes, capacity * sizeof *sizes) : NULL;
        if (!sizes)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u groups of values", capacity);
        g->bytes = sizes;
        g->capacity = capacity;
    }
    g->source[g->n] = source;
    g->bytes[g->n++] = bytes;
    return PLB_OK;
}

/* Entries begin a group of their own, belong to the group of the one before, or to none. */
enum { OWN, JOINED };

/* Values below one part in a hundred of the block are always kept. Tells how many are not. */
static uint32_t set_small_apart(const struct grouping *g, uint8_t *index)
{
    enum { SMALL_PART = 100 };
    size_t total = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n; i++)
        total += g->bytes[i];
    for (uint32_t i = 0; i < g->n; i++) {
        index[i] = g->bytes[i] * SMALL_PART < total ? PLB__GROUP_ALWAYS : OWN;
        n += index[i] == OWN;
    }
    return n;
}

/* Joins the two neighbouring groups that have the fewest bytes together. */
static void join_smallest(const struct grouping *g, uint8_t *index)
{
    size_t least = SIZE_MAX, run = 0, previous = SIZE_MAX;
    uint32_t best = 0, first = 0;

    for (uint32_t i = 0; i <= g->n; i++) {
        if (i < g->n && index[i] == PLB__GROUP_ALWAYS)
            continue;
        if (i < g->n && index[i] == JOINED) {
            run += g->bytes[i];
            continue;
        }
        if (previous != SIZE_MAX && run != 0 && previous + run < least) {
            least = previous + run;
            best = first;
        }
        previous = run != 0 ? run : SIZE_MAX;
        first = i;
        run = i < g->n ? g->bytes[i] : 0;
    }
    index[best] = JOINED;
}

/* The group of each entry of the grouping. */
static uint32_t number_groups(const struct grouping *g, uint32_t most, uint8_t *index,
                              size_t bytes_out[PLB__GROUPS_MAX])
{
    uint32_t n = 0;

    for (uint32_t k = set_small_apart(g, index); k > most; k--)
        join_smallest(g, index);
    for (uint32_t i = 0; i < g->n; i++) {
        if (index[i] == PLB__GROUP_ALWAYS)
            continue;
        n += index[i] == OWN;
        index[i] = (uint8_t)(n - 1);
        bytes_out[index[i]] += g->bytes[i];
    }
    return n;
}

/* Calls `look` for every value of block e that matters and crosses no border. */
static enum plb_status for_values(const struct plb__walker *w, uint32_t e, struct grouping *g,
                                  enum plb_status (*look)(const struct plb__walker *w, plb_value v,
                                                          struct grouping *g))
{
    const struct plb__chain_block *block = &w->chain->block[e];

    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (w->wanted[task->out[j]] == w->walk && w->chain->crosses[task->out[j]] == e)
                PLB_TRY(look(w, task->out[j], g));
    }
    return PLB_OK;
}

static plb_value source_of(const struct plb__walker *w, plb_value v)
{
    return plb_graph_value(w->chain->problem->graph, v)->source;
}

static enum plb_status collect(const struct plb__walker *w, plb_value v, struct grouping *g)
{
    return add_to_group(g, source_of(w, v), plb__walker_bytes(w, v));
}

static enum plb_status assign(const struct plb__walker *w, plb_value v, struct grouping *g)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (g->source[i] == source_of(w, v))
            g->group[v] = g->index[i];
    return PLB_OK;
}

enum plb_status plb__walker_group(struct plb__walker *w, uint32_t e, uint32_t most, uint8_t *group,
                                  uint32_t *groups_out, size_t bytes_out[PLB__GROUPS_MAX])
{
    struct grouping g = {.group = group};
    enum plb_status status;

    mark_what_matters(w, e);
    status = for_values(w, e, &g, collect);
    if (status == PLB_OK) {
        g.index = malloc((size_t)g.n + 1);
        if (!g.index)
            status = plb_fail(PLB_ERROR_MEMORY, "no memory for %u groups of values", g.n);
    }
    if (status == PLB_OK) {
        *groups_out = number_groups(&g, most, g.index, bytes_out);
        status = for_values(w, e, &g, assign);
    }
    free(g.index);
    free(g.source);
    free(g.bytes);
    return status;
}
