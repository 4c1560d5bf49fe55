/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph as a chain of blocks: what "chain-dp" and "offload-dp" decide about.
 *
 * A *pass* is a run of forward tasks and the run of backward tasks after it (a step has one, or one
 * per micro-batch). The forward tasks are split into *blocks*, consecutive in the graph's order: at
 * the borders of the model's blocks where it has such, else where few bytes are alive. The backward
 * tasks, which visit the forward pass in reverse, are split at the same places: those of block i
 * read what its forward tasks made, or what came into it.
 *
 * The graph may be any DAG. A value that is made in block i and read by a later one *crosses* every
 * border on the way, and is counted at each; a chain in the narrow sense has one such value a
 * border, a skip connection makes two.
 *
 * Not public. Thread-safety: a chain belongs to one thread.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_H

#include "runtime/plan/policy.h"

#define PLB__CHAIN_BLOCKS_MAX 128u

struct plb__chain_block {
    plb_task_id forward, forward_end;   /* tasks [forward, forward_end) */
    plb_task_id backward, backward_end; /* and those that go back through them */
    double seconds;                     /* of the forward tasks */
    size_t incoming;  /* bytes of gradients made above and read in this block's backward or below */
    size_t gradients; /* bytes that its backward makes for after the pass, unless limits hold them */
    uint32_t kind; /* first block of the chain that is the same in all but seconds */
    uint32_t like; /* first block of the chain that is the same in all that counts here */
};

struct plb__chain {
    const struct plb_problem *problem;
    plb_task_id begin, middle, end; /* the pass: forward tasks, backward tasks */
    plb_task_id *order; /* the backward tasks in the order in which they run, block by block: see
                           plb__chain_backward() */
    uint32_t n;
    struct plb__chain_block *block;
    uint32_t *born;    /* per value: the block that makes it going forward, PLB_NONE for others */
    uint32_t *crosses; /* per value: the last block that reads it; n: it lives beyond the pass */
    uint32_t *stage;   /* per value: the block that makes it going back, PLB_NONE for others */
    uint32_t *lowest;  /* per value made going back: the last block (the lowest) that reads it,
                          PLB_NONE when none does */
    bool *after;       /* per value: read after the pass, or going back below its block; or an
                          output; or received from another place going forward */
    bool *free;        /* per value: not counted: initial, or a gradient that limits hold */
    size_t *over;      /* see plb__chain_over() */
    size_t background; /* bytes made before the pass that live on through it */
    uint64_t shape;     /* of all that counts but seconds */
    uint64_t signature; /* of all that counts; equal for like passes of one graph */
};

/* How fine a chain is. */
enum plb__grain {
    PLB__GRAIN_BLOCKS, /* blocks of the model, or else narrow places */
    PLB__GRAIN_NARROW, /* narrow places every few tasks, whatever the model says */
    PLB__GRAIN_FINE,   /* every task, as far as PLB__CHAIN_BLOCKS_MAX goes */
    PLB__GRAIN_WIDE,   /* narrow places far apart */
    PLB__GRAIN_WHOLE,  /* one block */
    PLB__GRAINS
};

/* Finds the next pass at or after task `from`. False: there is none; what remains runs in order. */
bool plb__chain_next(const plb_graph_t *graph, plb_task_id from, plb_task_id *begin_out,
                     plb_task_id *middle_out, plb_task_id *end_out);

/* Makes the chain of the pass that plb__chain_next() found. PLB_ERROR_MEMORY. */
enum plb_status plb__chain_create(const struct plb_problem *problem, enum plb__grain grain,
                                  plb_task_id begin, plb_task_id middle, plb_task_id end,
                                  struct plb__chain *chain_out);
/* Finds all that depends on the seconds of tasks anew: those of blocks, and which are alike. */
void plb__chain_price(struct plb__chain *chain);
void plb__chain_clear(struct plb__chain *chain);

/* The backward task that runs at place `at` of a block, backward <= at < backward_end. */
static inline plb_task_id plb__chain_backward(const struct plb__chain *chain, plb_task_id at)
{
    return chain->order[at - chain->middle];
}

/* Parts of plb__chain_create(); PLB_ERROR_MEMORY. The blocks, going forward: */
enum plb_status plb__chain_split(struct plb__chain *chain, enum plb__grain grain);
/* ... going back, when `born` and, for reads going forward, `crosses` are there: */
enum plb_status plb__chain_split_backward(struct plb__chain *chain);
/* ... and `order`: */
enum plb_status plb__chain_order(struct plb__chain *chain);

/* Bytes of values that are made in blocks [a, k) and read in blocks [k, b], k <= b: what is kept
 * beside the input of block a by one who is at border k and will go on to block b. */
static inline size_t plb__chain_over(const struct plb__chain *chain, uint32_t a, uint32_t k,
                                     uint32_t b)
{
    return chain->over[((size_t)a * chain->n + k) * chain->n + b];
}

#endif
