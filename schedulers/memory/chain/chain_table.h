/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least time to go forward and back through blocks a to b of a chain in a given memory.
 *
 * Rotor's dynamic programme (Beaumont et al. 2024, "Optimal re-materialization strategies for
 * heterogeneous chains", theorem 1) with several ways to keep a block, as Rockmate has them. The
 * input of block a is there and not counted. With m bytes beside it, either
 *
 *   - block a runs and keeps what option o says:
 *       forward(a) + again(a, o) + time(m - saved(a, o) - over(a, a+1, b), a+1, b)
 *   - or blocks a to j-1 run and keep nothing but what crosses border j:
 *       forward(a..j-1) + time(m - over(a, j, b), j, b) + time(m, a, j-1)
 *   - and block b, when its output is no longer needed, goes back by itself: what the backward
 *     tasks read is made again from its input, and no more.
 *
 * wherever the peaks of the walks leave room, with the gradients that are alive at that time: m is
 * beside those that blocks above b have made. Bytes are counted in slots, rounded to the nearest;
 * who needs an exact limit lays the plan out. The table holds the times for all memories up to its
 * greatest, so one table serves all limits. Stretches of blocks that are alike in all that counts
 * share one row of times, so a model of many like layers has few of them.
 *
 * With a link beside the device (POFO: Beaumont et al. 2021, "Efficient combination of
 * rematerialization and offloading for training DNNs") some bytes can be *away* while the chain goes
 * on: the memory is that much greater, but only as fast as the link carries them off during the first
 * forward pass; until then a block finds so much less. Stretches of blocks that run a second time
 * get no more than the device has.
 *
 * Not public. Thread-safety: a table may be read by many.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_TABLE_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_TABLE_H

#include "schedulers/memory/chain/options.h"

struct plb__chain_away {
    size_t bytes;  /* the most that are away at once */
    double rate;   /* bytes that leave in a second of the forward pass */
    size_t device; /* what the device has for the chain */
};

struct plb__chain_table {
    uint32_t n, slots;
    double unit;     /* bytes of a slot */
    uint32_t within; /* slots that stretches which run again have at most */
    struct plb__chain_away away;
    uint32_t n_rows;
    uint32_t *row; /* per pair of blocks, see plb__chain_pair(): its row */
    float *time;   /* see plb__chain_time(); INFINITY where it cannot be done */
};

/* `away` NULL: nothing. PLB_ERROR_MEMORY. */
enum plb_status plb__chain_table_create(const struct plb__options *options,
                                        const struct plb__chain_away *away,
                                        struct plb__chain_table *table_out);
void plb__chain_table_clear(struct plb__chain_table *table);

/* The number of the pair a <= b. */
static inline uint32_t plb__chain_pair(uint32_t a, uint32_t b)
{
    return b * (b + 1) / 2 + a;
}

/* The times for blocks a to b, by slots beside the gradients of higher blocks: slots + 1 entries.
 * Stretches that are alike share them. */
static inline float *plb__chain_time(const struct plb__chain_table *table, uint32_t a, uint32_t b)
{
    return &table->time[(size_t)table->row[plb__chain_pair(a, b)] * (table->slots + 1)];
}

/* What is best for blocks a to b in m slots. */
struct plb__chain_choice {
    enum { PLB__CHAIN_NONE, PLB__CHAIN_KEEP, PLB__CHAIN_SKIP, PLB__CHAIN_ALONE } kind;
    uint32_t option; /* KEEP: of block a */
    uint32_t border; /* SKIP: j */
    uint32_t rest;   /* slots that are left for what comes next */
    uint32_t again;  /* SKIP: slots for the blocks that run again */
};
struct plb__chain_choice plb__chain_choose(const struct plb__options *options,
                                           const struct plb__chain_table *table, uint32_t a,
                                           uint32_t b, uint32_t m);

#endif
