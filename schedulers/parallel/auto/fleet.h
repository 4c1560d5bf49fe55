/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places in a row: what the search cuts stages and replicas out of.
 *
 * A *fleet* is the places in some order, those with fast links between them next to each other. A
 * group of 2^d places for the shards of a stage is a run of the row; so is a replica (a *slice*).
 * Which order is best depends on the model where kinds differ, so several are tried: all that
 * differ on small fleets, else a few by speed and by links.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_FLEET_H
#define PLB_PARALLEL_AUTO_FLEET_H

#include "schedulers/parallel/auto.h"

/* A ring of places. */
struct plb__ring {
    double rate;     /* bytes per second of its slowest link; 0: there is no such group */
    double latency;  /* seconds, the greatest */
    double capacity; /* bytes of the least place */
};

struct plb__fleet {
    const plb_places_t *places;
    uint32_t n;
    uint32_t *place; /* in the row */
    uint32_t *kind;  /* of these */
    struct plb__ring *ring[PLB_AUTO_DEGREES]; /* per log2(degree): of the group from entry k on */
    bool alike; /* any two groups of one degree, aligned to it, are the same, and so are the ways
                   between neighbours */
};

/* The row `place` of n places. PLB_ERROR_MEMORY. */
enum plb_status plb__fleet_create(const struct plb_auto_problem *problem, const uint32_t *place,
                                  uint32_t n, struct plb__fleet *fleet_out);
void plb__fleet_clear(struct plb__fleet *fleet);

/* Seconds that `bytes` take from entry `from` to entry `to`. */
double plb__fleet_seconds(const struct plb__fleet *fleet, uint32_t from, uint32_t to,
                          double bytes);

/* Are the runs of `n` entries from a and from b on the same, in kinds, capacities and links? */
bool plb__fleet_same(const struct plb__fleet *fleet, uint32_t a, uint32_t b, uint32_t n);

/* Rows to try: n_orders_out rows of all places, one after the other, without those of `gone` (NULL:
 * none is). At most PLB__ORDERS. PLB_ERROR_INVALID: two places that no link joins. */
#define PLB__ORDERS 24u
enum plb_status plb__fleet_orders(const struct plb_auto_problem *problem, const bool *gone,
                                  uint32_t **order_out, uint32_t *n_places_out,
                                  uint32_t *n_orders_out);

#endif
