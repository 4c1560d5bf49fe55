/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options of a block: groups of values, a walk for each subset, and which subsets stay.
 */
#include "config.h"

#include "schedulers/memory/chain/options.h"

#include <stdlib.h>
#include <string.h>

/* Scratch memory of the walks. Marks are numbers of the walk, so that they need no clearing. */
struct walker {
    const struct plb__chain *chain;
    const uint8_t *group;
    uint32_t *have;    /* per value: it is there in this walk */
    uint32_t *wanted;  /* per value: a later task of this walk uses it */
    uint32_t walk;
    plb_task_id *run;  /* the tasks of the walk, in order */
    uint32_t n, capacity;
    plb_task_id *stack;
    uint32_t depth, stack_capacity;
};

static size_t bytes_of(const struct walker *w, plb_value v)
{
    return plb_type_bytes(&plb_graph_value(w->chain->problem->graph, v)->type);
}

static enum plb_status push(plb_task_id **list, uint32_t *n, uint32_t *capacity, plb_task_id task)
{
    if (*n == *capacity) {
        uint32_t larger = *capacity ? 2 * *capacity : 256;
        plb_task_id *grown = realloc(*list, larger * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory to walk through %u tasks", larger);
        *list = grown;
        *capacity = larger;
    }
    (*list)[(*n)++] = task;
    return PLB_OK;
}

/* ---- bytes of a walk ---- */

/* Bytes of the inputs of the task that end there and whose storage outputs take over. */
static size_t taken_over(const struct walker *w, const struct plb_task *task, const bool *ends)
{
    size_t taken = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;
        uint32_t cells = task->out_start[k + 1] - task->out_start[k];
        size_t bytes = 0;
        bool all = from >= 0 && task->in_start[from + 1] - task->in_start[from] == cells;

        for (uint32_t j = 0; all && j < cells; j++) {
            uint32_t at = task->in_start[from] + j;
            size_t in = bytes_of(w, task->in[at]);

            all = ends[at] && in == bytes_of(w, task->out[task->out_start[k] + j]);
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
static size_t step_back(struct walker *w, const struct plb_task *task, size_t *alive)
{
    const bool *is_free = w->chain->free;
    bool ends[OPERANDS_LOOKED_AT] = {false};
    size_t made = 0;

    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        plb_value v = task->out[j];

        if (is_free[v])
            continue;
        made += bytes_of(w, v);
        if (w->wanted[v] == w->walk)
            *alive -= bytes_of(w, v);
        w->wanted[v] = 0;
    }
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_value v = task->in[j];

        if (is_free[v] || w->wanted[v] == w->walk || w->have[v] == PLB_NONE)
            continue;
        w->wanted[v] = w->walk;
        *alive += bytes_of(w, v);
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
static size_t peak_of_walk(struct walker *w, size_t alive)
{
    size_t peak = alive;

    for (uint32_t i = w->n; i-- > 0;) {
        size_t held =
            step_back(w, plb_graph_task(w->chain->problem->graph, w->run[i]), &alive);

        if (held > peak)
            peak = held;
    }
    return peak;
}

static size_t want(struct walker *w, plb_value v)
{
    if (w->chain->free[v] || w->wanted[v] == w->walk)
        return 0;
    w->wanted[v] = w->walk;
    return bytes_of(w, v);
}

static bool is_kept(const struct walker *w, plb_value v, uint32_t keep)
{
    uint8_t group = w->group[v];

    return group == PLB__GROUP_ALWAYS || (group != PLB__GROUP_NONE && (keep >> group & 1u));
}

/* What came into block e, or is made elsewhere in the forward pass, is not counted in its walks. */
static void set_inputs_apart(struct walker *w, uint32_t e, uint32_t mark)
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
                    w->have[task->in[j]] = mark;
        }
}

/* ---- the two walks of a block ---- */

static enum plb_status walk_forward(struct walker *w, uint32_t e, uint32_t keep, size_t *peak_out)
{
    const struct plb__chain *chain = w->chain;
    const struct plb__chain_block *block = &chain->block[e];
    size_t alive = 0;

    w->walk++;
    w->n = 0;
    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

        PLB_TRY(push(&w->run, &w->n, &w->capacity, t));
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (chain->crosses[task->out[j]] > e || is_kept(w, task->out[j], keep))
                alive += want(w, task->out[j]);
    }
    *peak_out = peak_of_walk(w, alive);
    return PLB_OK;
}

/* Puts the tasks that make v again, and v's first missing input and so on, on the walk. */
static enum plb_status make_again(struct walker *w, uint32_t e, plb_value v, double *seconds)
{
    const plb_graph_t *graph = w->chain->problem->graph;

    w->depth = 0;
    PLB_TRY(push(&w->stack, &w->depth, &w->stack_capacity, plb_graph_value(graph, v)->producer));
    while (w->depth > 0) {
        plb_task_id t = w->stack[w->depth - 1];
        const struct plb_task *task = plb_graph_task(graph, t);
        plb_value missing = PLB_NONE;

        for (uint32_t j = 0; j < task->in_start[task->n_in] && missing == PLB_NONE; j++)
            if (w->chain->born[task->in[j]] == e && w->have[task->in[j]] != w->walk)
                missing = task->in[j];
        if (missing != PLB_NONE) {
            PLB_TRY(push(&w->stack, &w->depth, &w->stack_capacity,
                         plb_graph_value(graph, missing)->producer));
            continue;
        }
        PLB_TRY(push(&w->run, &w->n, &w->capacity, t));
        *seconds += w->chain->problem->seconds[t];
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            w->have[task->out[j]] = w->walk;
        w->depth--;
    }
    return PLB_OK;
}

/* Values that are there when the backward tasks of block e begin: of those that cross its border,
 * the ones that cross border `from` as well. */
static void have_what_was_kept(struct walker *w, uint32_t e, uint32_t keep, uint32_t from)
{
    const struct plb__chain_block *block = &w->chain->block[e];

    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (w->chain->crosses[task->out[j]] >= from || is_kept(w, task->out[j], keep))
                w->have[task->out[j]] = w->walk;
    }
}

static enum plb_status list_backward(struct walker *w, uint32_t e, double *seconds)
{
    const struct plb__chain_block *block = &w->chain->block[e];

    for (uint32_t at = block->backward; at < block->backward_end; at++) {
        plb_task_id t = plb__chain_backward(w->chain, at);
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            if (w->chain->born[task->in[j]] == e && w->have[task->in[j]] != w->walk)
                PLB_TRY(make_again(w, e, task->in[j], seconds));
        PLB_TRY(push(&w->run, &w->n, &w->capacity, t));
    }
    return PLB_OK;
}

/* Gradients that live on below block e, or after the pass when this block made them. */
static size_t want_gradients(struct walker *w, uint32_t e)
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

static enum plb_status walk_backward(struct walker *w, uint32_t e, uint32_t keep, uint32_t from,
                                     size_t *peak_out, double *seconds_out)
{
    double seconds = 0.0;

    w->walk++;
    w->n = 0;
    have_what_was_kept(w, e, keep, from);
    PLB_TRY(list_backward(w, e, &seconds));
    *peak_out = peak_of_walk(w, want_gradients(w, e));
    *seconds_out = seconds;
    return PLB_OK;
}

/* ---- groups ---- */

/* Marks by the walk's number what the backward tasks read of the block, and what it is made from. */
static enum plb_status mark_what_matters(struct walker *w, uint32_t e)
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
    return PLB_OK;
}

struct grouping {
    uint32_t n, capacity;
    plb_value *source; /* per group, in the order of their making */
    size_t *bytes;
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

/* Which option each whole value belongs to: `index` per entry of the grouping. Values below one part
 * in a hundred of the block are always kept; where there are too many groups, neighbours are put
 * together, the smallest pairs first. */
static uint32_t number_groups(const struct grouping *g, uint32_t most, uint8_t *index,
                              size_t *bytes_out)
{
    enum { SMALL_PART = 100 };
    size_t total = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n; i++)
        total += g->bytes[i];
    for (uint32_t i = 0; i < g->n; i++)
        index[i] = g->bytes[i] * SMALL_PART < total ? PLB__GROUP_ALWAYS : 0;
    for (uint32_t i = 0; i < g->n; i++)
        if (index[i] == 0)
            n++;
    /* Each entry begins a group of its own unless `joined`; index holds 1 for those that join. */
    while (n > most) {
        size_t least = SIZE_MAX, run = 0, previous = SIZE_MAX;
        uint32_t best = 0, first = 0;

        for (uint32_t i = 0; i <= g->n; i++) {
            if (i < g->n && index[i] == PLB__GROUP_ALWAYS)
                continue;
            if (i < g->n && index[i] == 1) {
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
        index[best] = 1;
        n--;
    }
    n = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        if (index[i] == PLB__GROUP_ALWAYS)
            continue;
        n += index[i] == 0;
        index[i] = (uint8_t)(n - 1);
        bytes_out[index[i]] += g->bytes[i];
    }
    return n;
}

/* As many groups as keep the enumeration short. */
static uint32_t groups_allowed(const struct plb__chain_block *block)
{
    const uint32_t steps_most = 200000;
    uint32_t tasks = 2 * (block->forward_end - block->forward) +
                     (block->backward_end - block->backward);
    uint32_t groups = PLB__GROUPS_MAX;

    while (groups > 3 && (tasks << groups) > steps_most)
        groups--;
    return groups;
}

static enum plb_status find_groups(struct walker *w, uint32_t e, uint8_t *group,
                                   struct plb__block_options *options)
{
    const struct plb__chain *chain = w->chain;
    const plb_graph_t *graph = chain->problem->graph;
    const struct plb__chain_block *block = &chain->block[e];
    struct grouping g = {.n = 0};
    uint8_t *index = NULL;
    enum plb_status status = mark_what_matters(w, e);

    for (int number = 0; number < 2 && status == PLB_OK; number++) {
        for (plb_task_id t = block->forward; t < block->forward_end; t++) {
            const struct plb_task *task = plb_graph_task(graph, t);

            for (uint32_t j = 0; j < task->out_start[task->n_out] && status == PLB_OK; j++) {
                plb_value v = task->out[j], source = plb_graph_value(graph, v)->source;

                if (w->wanted[v] != w->walk || chain->crosses[v] != e)
                    continue;
                if (number == 0) {
                    status = add_to_group(&g, source, bytes_of(w, v));
                    continue;
                }
                for (uint32_t i = 0; i < g.n; i++)
                    if (g.source[i] == source)
                        group[v] = index[i];
            }
        }
        if (number == 0 && status == PLB_OK) {
            index = malloc((size_t)g.n + 1);
            if (index)
                options->groups = number_groups(&g, groups_allowed(block), index, options->bytes);
            else
                status = plb_fail(PLB_ERROR_MEMORY, "no memory for %u groups of values", g.n);
        }
    }
    free(index);
    free(g.source);
    free(g.bytes);
    return status;
}

/* ---- the options that stay ---- */

static bool beats(const struct plb__option *a, const struct plb__option *b)
{
    return a->saved <= b->saved && a->seconds <= b->seconds &&
           a->forward_peak <= b->forward_peak && a->backward_peak <= b->backward_peak;
}

/* Of a full list the option goes that costs least to lose: the one whose seconds are nearest to
 * those of the next smaller one. The first and the last stay. */
static void remove_one(struct plb__block_options *options)
{
    uint32_t worst = 1;
    double least = 0.0;

    for (uint32_t i = 1; i + 1 < options->n; i++) {
        double gap = (options->option[i + 1].seconds - options->option[i].seconds) *
                     (double)(options->option[i - 1].saved - options->option[i].saved + 1);

        if (i == 1 || gap < least) {
            worst = i;
            least = gap;
        }
    }
    memmove(&options->option[worst], &options->option[worst + 1],
            (--options->n - worst) * sizeof *options->option);
}

static void add_option(struct plb__block_options *options, const struct plb__option *option)
{
    uint32_t at = 0, n = 0;

    for (uint32_t i = 0; i < options->n; i++)
        if (beats(&options->option[i], option))
            return;
    for (uint32_t i = 0; i < options->n; i++)
        if (!beats(option, &options->option[i]))
            options->option[n++] = options->option[i];
    options->n = n;
    if (options->n == PLB__OPTIONS_MAX)
        remove_one(options);
    while (at < options->n && options->option[at].saved >= option->saved)
        at++;
    memmove(&options->option[at + 1], &options->option[at],
            (options->n++ - at) * sizeof *options->option);
    options->option[at] = *option;
}

static size_t saved_bytes(const struct walker *w, uint32_t e, uint32_t keep)
{
    const struct plb__chain_block *block = &w->chain->block[e];
    size_t bytes = 0;

    for (plb_task_id t = block->forward; t < block->forward_end; t++) {
        const struct plb_task *task = plb_graph_task(w->chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (is_kept(w, task->out[j], keep))
                bytes += bytes_of(w, task->out[j]);
    }
    return bytes;
}

static enum plb_status enumerate(struct walker *w, uint32_t e, struct plb__block_options *options)
{
    PLB_TRY(walk_forward(w, e, 0, &options->once_peak));
    PLB_TRY(walk_backward(w, e, 0, w->chain->n, &options->alone_peak, &options->alone_seconds));
    for (uint32_t keep = 0; keep < 1u << options->groups; keep++) {
        struct plb__option option = {.keep = keep, .saved = saved_bytes(w, e, keep)};

        PLB_TRY(walk_forward(w, e, keep, &option.forward_peak));
        PLB_TRY(walk_backward(w, e, keep, e + 1, &option.backward_peak, &option.seconds));
        add_option(options, &option);
    }
    return PLB_OK;
}

static enum plb_status find_options(struct walker *w, struct plb__options *options)
{
    const struct plb__chain *chain = options->chain;

    for (uint32_t e = 0; e < chain->n; e++) {
        PLB_TRY(find_groups(w, e, options->group, &options->block[e]));
        if (chain->block[e].like != e)
            continue;
        set_inputs_apart(w, e, PLB_NONE);
        PLB_TRY(enumerate(w, e, &options->block[e]));
        set_inputs_apart(w, e, 0);
    }
    return PLB_OK;
}

enum plb_status plb__options_create(const struct plb__chain *chain, struct plb__options *options_out)
{
    size_t n = (size_t)plb_graph_values(chain->problem->graph) + 1;
    struct plb__options options = {.chain = chain,
                                   .block = calloc(chain->n, sizeof *options.block),
                                   .group = malloc(n)};
    struct walker w = {.chain = chain,
                       .group = options.group,
                       .have = calloc(n, sizeof *w.have),
                       .wanted = calloc(n, sizeof *w.wanted)};
    enum plb_status status = PLB_OK;

    if (!options.block || !options.group || !w.have || !w.wanted) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the options of %u blocks", chain->n);
    } else {
        memset(options.group, PLB__GROUP_NONE, n);
        status = find_options(&w, &options);
    }
    free(w.have);
    free(w.wanted);
    free(w.run);
    free(w.stack);
    if (status == PLB_OK)
        *options_out = options;
    else
        plb__options_clear(&options);
    return status;
}

void plb__options_clear(struct plb__options *options)
{
    free(options->block);
    free(options->group);
    *options = (struct plb__options){.chain = NULL};
}
