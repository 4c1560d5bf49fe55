/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph's passes solved by the chain table, and plans written from it.
 *
 * What is found of a graph is kept for the next call, for a few graphs. Its blocks and what walks
 * through them count depend on the graph and on whether gradients are held; they stay. What depends
 * on the seconds of tasks (which options are worth the while, and the table) is found anew when
 * these have changed. A change of the limits changes nothing.
 *
 * Not public. Thread-safety: plb__chains_take() and plb__chains_give() may be called by many; what
 * was taken belongs to one thread.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_WRITE_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_WRITE_H

#include "runtime/plan/writer.h"
#include "schedulers/memory/chain/chain_fit.h"
#include "schedulers/memory/chain/chain_table.h"

struct plb__pass {
    struct plb__chain chain;
    struct plb__options options;
    struct plb__chain_table table;        /* empty when an earlier pass is the same */
    struct plb__chain_table other;        /* with bytes away; empty unless asked for */
    const struct plb__chain_table *times; /* one of these, or of an earlier pass that is the same */
};

struct plb__chains {
    uint64_t key, prices, fingerprint;
    struct plb__sizes sizes; /* free: not counted in any pass */
    uint32_t n;
    struct plb__pass *pass; /* in the order of the graph */
    size_t walked; /* subsets of blocks' values that were walked through so far */
    size_t cells;  /* of tables that were filled so far */
    struct plb__chain_goal kept; /* the latest plan of "chain-dp", and of "offload-dp" */
    struct plb__chain_goal sent;
    double haste; /* of the latter: see offload_dp.c; 0: it sends nothing */
    size_t whole; /* bytes that make a difference when nothing is away */
};

/* The passes of the problem's graph with their options, kept ones where there are. To be solved
 * before the functions below are called. PLB_ERROR_MEMORY. */
enum plb_status plb__chains_take(const struct plb_problem *problem, enum plb__grain grain,
                                 struct plb__chains **chains_out);
/* Hands them back, to be kept or freed. NULL is allowed. */
void plb__chains_give(struct plb__chains *chains);

/* Fills the tables for what is away, NULL: nothing, if it has not been done. PLB_ERROR_MEMORY. */
enum plb_status plb__chains_solve(struct plb__chains *chains, const struct plb__chain_away *away);

/* The most bytes that make a difference to plb__chains_write(). */
size_t plb__chains_most(const struct plb__chains *chains);

/* Writes the whole step: in every pass the forward and backward tasks as the table has it for about
 * `target` bytes beside initial values and held gradients, or for the least that it knows a way for;
 * all other tasks in the graph's order. PLB_ERROR_MEMORY. */
enum plb_status plb__chains_write(const struct plb__chains *chains,
                                  const struct plb_problem *problem, size_t target,
                                  struct plb_plan *plan_out);

#endif
