/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the table of costs share; see costs.h for the concept. Not installed.
 */
#ifndef PLB_PLAN_COSTS_INTERNAL_H
#define PLB_PLAN_COSTS_INTERNAL_H

#include "runtime/plan/costs.h"

#include <pthread.h>

/* The latest samples that count. Odd, so that the median is one of them. */
#define PLB__COST_SAMPLES 15u
/* Different keys of a table; a graph has a few dozen. */
#define PLB__COST_KEYS_MAX 65536u
#define PLB__COST_NAME     64u
#define PLB__LINK_SAMPLES  64u
/* Longer than any task or transfer; what is not in (0, this] is no time. */
#define PLB__COST_SECONDS_MAX 1e6
/* Rates per second: below any machine, and beyond all of them together. */
#define PLB__COST_RATE_MIN 1e-3
#define PLB__COST_RATE_MAX 1e21

/* What files say. */
#define PLB__COSTS_FORMAT    "palombe costs"
#define PLB__COSTS_VERSION   1
#define PLB__COSTS_UNLIMITED "unlimited"

/* The latest samples of a time, a ring: sample k is at k % PLB__COST_SAMPLES. */
struct plb__samples {
    uint64_t recorded;
    double sample[PLB__COST_SAMPLES];
};

/* The samples of one key. */
struct plb__cost {
    char op[PLB__COST_NAME];
    uint32_t footprint;
    struct plb__samples samples;
};

struct plb__transfer {
    size_t bytes;
    double seconds;
};

/* The samples of one direction of a link, a ring likewise. */
struct plb__transfers {
    uint64_t recorded;
    struct plb__transfer sample[PLB__LINK_SAMPLES];
};

struct plb_costs {
    struct plb_platform platform; /* as given */
    struct plb_platform refined;  /* links and what a task takes beside its kernel by samples; up to
                                     date unless `stale` */

    pthread_mutex_t lock; /* of all that follows */
    bool stale;
    struct plb__transfers transfers[PLB_TIERS][2]; /* [tier][out] */
    struct plb__samples added;
    uint32_t n, capacity;
    struct plb__cost *cost;
    uint32_t n_buckets; /* a power of two, more than twice n */
    uint32_t *bucket;   /* index of a cost, PLB_NONE: free; the next ones where it is taken */
};

void plb__samples_add(struct plb__samples *samples, double seconds);
/* Their median; 0 when there is none. */
double plb__samples_median(const struct plb__samples *samples);
/* The oldest one that is still there, as a number for a loop to `recorded`. */
uint64_t plb__samples_first(const struct plb__samples *samples);

/* The rate of one direction by its samples, and the latency where they tell; both are left alone
 * where there are too few. */
void plb__link_fit(const struct plb__transfers *transfers, bool out, struct plb_link *link,
                   double *latency_out);

#endif
