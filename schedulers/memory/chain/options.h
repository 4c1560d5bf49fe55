/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be kept of a block between its forward and its backward tasks.
 *
 * What a block makes for itself (values that cross no border) falls into *groups*: all cells of one
 * value of the whole graph are one, small ones are kept whatever happens. Every subset of the groups
 * is tried: the block's tasks are walked through, forward, and backward with what is missing made
 * again as it is needed, and bytes and seconds are counted exactly as the checker counts them. What
 * no other subset beats in all of them stays: the block's *options*, in Rockmate's sense (Zhao et
 * al. 2023, section 3), found by enumeration instead of integer programs. Blocks that are alike
 * share them. What a walk counts does not depend on the seconds of tasks, so that when these change
 * nothing is walked again.
 *
 * Not public. Thread-safety: as chain.h.
 */
#ifndef PLB_SCHEDULERS_MEMORY_OPTIONS_H
#define PLB_SCHEDULERS_MEMORY_OPTIONS_H

#include "schedulers/memory/chain/chain.h"

#define PLB__GROUPS_MAX 10u
#define PLB__OPTIONS_MAX 48u

/* The group of a value that is none of an option's business: it is not made going forward, crosses a
 * border, or nothing that the backward tasks need is made from it. */
#define PLB__GROUP_NONE 255u
/* ... of a value that every option keeps. */
#define PLB__GROUP_ALWAYS 254u

struct plb__option {
    uint32_t keep;         /* bit per group */
    size_t saved;          /* bytes kept, values that cross the border not counted */
    size_t forward_peak;   /* most bytes of what the block makes, going forward */
    size_t backward_peak;  /* ... going back: kept and crossing values, gradients, transients */
    double seconds;        /* of the tasks that run again in the backward pass */
};

/* What a walk found of one way to keep a block. */
struct plb__subset {
    struct plb__option option;   /* but for its seconds */
    uint32_t again, again_end;   /* tasks that run again: entries of plb__options.again */
};

struct plb__block_options {
    uint32_t groups;
    size_t bytes[PLB__GROUPS_MAX];
    uint32_t n_subsets; /* 0: the block is of the kind of an earlier one, which has them */
    struct plb__subset *subset, alone;
    uint32_t n; /* 0: the block is like an earlier one, which has them */
    struct plb__option option[PLB__OPTIONS_MAX]; /* by falling `saved` */
    size_t once_peak;              /* most bytes going forward when nothing is kept */
    size_t alone_peak;             /* most bytes going back when not even what crosses is there */
    double alone_seconds;          /* and the seconds of the tasks that run again then */
};

struct plb__options {
    const struct plb__chain *chain;
    struct plb__block_options *block; /* per block of the chain */
    uint8_t *group;                   /* per value */
    plb_task_id *again;               /* tasks, of all subsets */
    uint32_t walked;                  /* subsets for which walks were made */
};

/* Finds the options of all blocks of a chain, which must outlive them. PLB_ERROR_MEMORY. */
enum plb_status plb__options_create(const struct plb__chain *chain, struct plb__options *options_out);
/* Finds them anew for other seconds of tasks, after plb__chain_price(). */
void plb__options_price(struct plb__options *options);
void plb__options_clear(struct plb__options *options);

/* Those of block e, or of the block that it is like. */
static inline const struct plb__block_options *plb__options_of(const struct plb__options *options,
                                                               uint32_t e)
{
    return &options->block[options->chain->block[e].like];
}

/* Is value v, made in a block, to be forgotten after the block's forward tasks under an option? A
 * value that crosses a border is not (see chain.h for how far it crosses). */
static inline bool plb__option_forgets(const struct plb__options *options, plb_value v,
                                       const struct plb__option *option)
{
    uint8_t group = options->group[v];

    return group != PLB__GROUP_ALWAYS &&
           (group == PLB__GROUP_NONE || !(option->keep >> group & 1u));
}

#endif
