/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options of blocks: a walk for each subset of their groups (block_walk.h), which is done once,
 * and which subsets stay, which depends on the seconds of tasks.
 */
#include "config.h"

#include "schedulers/memory/chain/block_walk.h"

#include <stdlib.h>
#include <string.h>

/* ---- subsets ---- */

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

static enum plb_status walk_subset(struct plb__walker *w, uint32_t e, uint32_t keep,
                                   struct plb__subset *subset)
{
    struct plb__option *option = &subset->option;

    *option = (struct plb__option){.keep = keep, .saved = plb__walker_saved(w, e, keep)};
    subset->again = w->again.n;
    PLB_TRY(plb__walk_forward(w, e, keep, &option->forward_peak));
    PLB_TRY(plb__walk_backward(w, e, keep, e + 1, &option->backward_peak));
    subset->again_end = w->again.n;
    return PLB_OK;
}

/* What comes of having nothing, not even what crosses. */
static enum plb_status walk_alone(struct plb__walker *w, uint32_t e,
                                  struct plb__block_options *options)
{
    PLB_TRY(plb__walk_forward(w, e, 0, &options->once_peak));
    options->alone.again = w->again.n;
    PLB_TRY(plb__walk_backward(w, e, 0, w->chain->n, &options->alone_peak));
    options->alone.again_end = w->again.n;
    return PLB_OK;
}

static enum plb_status walk_block(struct plb__walker *w, uint32_t e,
                                  struct plb__block_options *options)
{
    uint32_t n = 1u << options->groups;

    options->subset = malloc(n * sizeof *options->subset);
    if (!options->subset)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u ways to keep a block", n);
    plb__walker_set_inputs_apart(w, e, true);
    PLB_TRY(walk_alone(w, e, options));
    for (options->n_subsets = 0; options->n_subsets < n; options->n_subsets++)
        PLB_TRY(walk_subset(w, e, options->n_subsets, &options->subset[options->n_subsets]));
    plb__walker_set_inputs_apart(w, e, false);
    return PLB_OK;
}

static enum plb_status walk_blocks(struct plb__walker *w, struct plb__options *options)
{
    const struct plb__chain *chain = options->chain;

    for (uint32_t e = 0; e < chain->n; e++) {
        struct plb__block_options *block = &options->block[e];

        PLB_TRY(plb__walker_group(w, e, groups_allowed(&chain->block[e]), options->group,
                                  &block->groups, block->bytes));
        if (chain->block[e].kind == e)
            PLB_TRY(walk_block(w, e, block));
        options->walked += block->n_subsets;
    }
    options->again = w->again.task; /* no longer the walker's */
    w->again = (struct plb__task_list){.task = NULL};
    return PLB_OK;
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

/* ---- what seconds make of them ---- */

/* Seconds of the tasks that run again in block e; the list is of a block of its kind. */
static double again_seconds(const struct plb__options *options, uint32_t e,
                            const struct plb__subset *subset)
{
    const struct plb__chain *chain = options->chain;
    uint32_t kind = chain->block[e].kind;
    const double *seconds = &chain->problem->seconds[chain->block[e].forward];
    double sum = 0.0;

    for (uint32_t i = subset->again; i < subset->again_end; i++)
        sum += seconds[options->again[i] - chain->block[kind].forward];
    return sum;
}

static void price_block(struct plb__options *options, uint32_t e)
{
    const struct plb__block_options *kind = &options->block[options->chain->block[e].kind];
    struct plb__block_options *block = &options->block[e];

    block->n = 0;
    block->once_peak = kind->once_peak;
    block->alone_peak = kind->alone_peak;
    block->alone_seconds = again_seconds(options, e, &kind->alone);
    for (uint32_t i = 0; i < kind->n_subsets; i++) {
        struct plb__option option = kind->subset[i].option;

        option.seconds = again_seconds(options, e, &kind->subset[i]);
        add_option(block, &option);
    }
}

void plb__options_price(struct plb__options *options)
{
    for (uint32_t e = 0; e < options->chain->n; e++)
        if (options->chain->block[e].like == e)
            price_block(options, e);
}

/* ---- all of it ---- */

enum plb_status plb__options_create(const struct plb__chain *chain, struct plb__options *options_out)
{
    size_t n = (size_t)plb_graph_values(chain->problem->graph) + 1;
    struct plb__options options = {.chain = chain,
                                   .block = calloc(chain->n, sizeof *options.block),
                                   .group = malloc(n)};
    struct plb__walker w = {.chain = NULL};
    enum plb_status status;

    if (!options.block || !options.group) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the options of %u blocks", chain->n);
    } else {
        memset(options.group, PLB__GROUP_NONE, n);
        status = plb__walker_create(chain, options.group, &w);
    }
    if (status == PLB_OK)
        status = walk_blocks(&w, &options);
    plb__walker_clear(&w);
    if (status != PLB_OK) {
        plb__options_clear(&options);
        return status;
    }
    plb__options_price(&options);
    *options_out = options;
    return PLB_OK;
}

void plb__options_clear(struct plb__options *options)
{
    for (uint32_t e = 0; options->block && e < options->chain->n; e++)
        free(options->block[e].subset);
    free(options->block);
    free(options->group);
    free(options->again);
    *options = (struct plb__options){.chain = NULL};
}
