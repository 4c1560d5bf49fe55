/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph's passes solved by the chain table, and plans written from it.
 *
 * Solving takes a while and depends on the graph, the seconds of its tasks and whether gradients are
 * held, but not on the limits; so what was solved is kept for the next call (a budget that changes
 * while a plan runs), for a few graphs.
 *
 * Not public. Thread-safety: plb__chains_take() and plb__chains_give() may be called by many; what
 * was taken belongs to one thread.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_WRITE_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_WRITE_H

#include "runtime/plan/writer.h"
#include "schedulers/memory/chain/chain_table.h"

struct plb__pass {
    struct plb__chain chain;
    struct plb__options options;
    struct plb__chain_table table;        /* empty when an earlier pass is the same */
    struct plb__chain_table other;        /* with bytes away; empty unless asked for */
    const struct plb__chain_table *times; /* one of these, or of an earlier pass that is the same */
};

struct plb__chains {
    uint64_t key, fingerprint;
    bool *free; /* per value: not counted in any pass */
    uint32_t n;
    struct plb__pass *pass; /* in the order of the graph */
};

/* The solved passes of the problem's graph, kept ones where there are. PLB_ERROR_MEMORY. */
enum plb_status plb__chains_take(const struct plb_problem *problem, enum plb__grain grain,
                                 struct plb__chains **chains_out);
/* Hands them back, to be kept or freed. NULL is allowed. */
void plb__chains_give(struct plb__chains *chains);

/* Solves the passes again for another amount that is away, NULL: for the first one. What is handed
 * back is as it was taken. PLB_ERROR_MEMORY. */
enum plb_status plb__chains_send_away(struct plb__chains *chains,
                                      const struct plb__chain_away *away);

/* The most bytes that make a difference to plb__chains_write(). */
size_t plb__chains_most(const struct plb__chains *chains);

/* Writes the whole step: in every pass the forward and backward tasks as the table has it for about
 * `target` bytes beside initial values and held gradients, or for the least that it knows a way for;
 * all other tasks in the graph's order. PLB_ERROR_MEMORY. */
enum plb_status plb__chains_write(const struct plb__chains *chains,
                                  const struct plb_problem *problem, size_t target,
                                  struct plb_plan *plan_out);

#endif
