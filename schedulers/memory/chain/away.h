/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending values away while nobody reads them.
 *
 * A plan of RUNs alone is played in virtual time on the platform's workers. Copies that are not read
 * for long, while tasks find too little room, are offloaded in the order in which they become idle, as the link gets to them, until a
 * given number of bytes is away. An OFFLOAD stands in the plan where the link will have ended with
 * it, so that bytes on their way out count on the device, and nobody waits for them unless the link
 * is slower than was said. A FETCH stands where the link must begin with it, or later where there
 * is no room before.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_MEMORY_AWAY_H
#define PLB_SCHEDULERS_MEMORY_AWAY_H

#include "schedulers/memory/chain/chain_fit.h"

struct plb__away {
    enum plb_tier tier;
    size_t bytes;    /* the most that are away at once */
    double haste;    /* the link's rate is taken this much greater: above 1 tasks wait for it */
    size_t room;     /* bytes on the device for what is counted */
    const struct plb__sizes *sizes;
};

/* Writes the plan that comes of `plan`, which has no moves. PLB_ERROR_MEMORY. */
enum plb_status plb__away_write(const struct plb_problem *problem, const struct plb_plan *plan,
                                const struct plb__away *away, struct plb_plan *plan_out);

#endif
