/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What runs of units cost, for one size of micro-batch.
 *
 * Sums over the first u units, by kind of device and degree, so that any run of units is a
 * difference. A run's bytes per micro-batch times the micro-batches in flight may be more than a
 * place has; then the units recompute, those first that free most bytes for a second.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_TABLES_H
#define PLB_PARALLEL_AUTO_TABLES_H

#include "schedulers/parallel/auto/fleet.h"

/* Sums of bytes may be off by this share of a place's memory. */
#define PLB__BYTES_OFF 1e-9

/* Sums over units, of one micro-batch where it says so. */
struct plb__sum {
    double forward, inputs, weights; /* seconds of a micro-batch */
    double update;                   /* seconds */
    double parameters, gradients, state; /* bytes */
    double saved, saved_weights;     /* bytes of a micro-batch */
};

/* One more unit of a record takes a leaner option. */
struct plb__step {
    uint32_t record, option; /* the option taken */
    double freed, again;     /* bytes and seconds of a micro-batch, against the option before it */
};

struct plb__tables {
    const struct plb_auto_problem *problem;
    const struct plb_auto_profile *profile;
    double samples;     /* of a micro-batch */
    uint32_t replicas;  /* that share the optimizer state; 1: none do */
    bool forward_only;  /* for latency: one sample goes forward */
    uint32_t n;         /* units */
    struct plb__sum *sum;      /* [kind][log2(degree)][u] */
    double *exchanged, *exchanges; /* [u]: bytes of a micro-batch, transfers; one way */
    uint32_t *count;           /* [record][u] */
    double *least, *least_work; /* [u]: seconds of the first u units on whatever suits them best;
                                  the same times the places that they occupy */
    uint32_t n_steps[PLB_AUTO_KINDS][PLB_AUTO_DEGREES];
    struct plb__step *step[PLB_AUTO_KINDS][PLB_AUTO_DEGREES]; /* by rising again / freed */
};

/* PLB_ERROR_MEMORY. */
enum plb_status plb__tables_create(const struct plb_auto_problem *problem, double samples,
                                   struct plb__tables *tables_out);
void plb__tables_clear(struct plb__tables *tables);

/* The sums of units [from, to). */
struct plb__sum plb__tables_between(const struct plb__tables *tables, uint32_t kind, uint32_t d,
                                    uint32_t from, uint32_t to);
bool plb__tables_divides(const struct plb__tables *tables, uint32_t d, uint32_t from, uint32_t to);

/* What a stage is, and what it costs. */
struct plb__group {
    uint32_t from, to; /* units */
    uint32_t kind, d;
    struct plb__ring ring;
};

struct plb__cost {
    double forward, inputs, weights; /* seconds of a micro-batch, exchanges with them */
    double fixed;  /* bytes whatever is in flight, without transients */
    double held, held_weights; /* of a micro-batch */
    double update;    /* seconds */
    double gradients; /* bytes */
    double transient, transient_again; /* most bytes that a job needs beside what is held; when some
                                          units recompute */
};

struct plb__cost plb__group_cost(const struct plb__tables *tables, const struct plb__group *group);
/* Seconds that recomputation adds to a micro-batch on average, when `in_flight` of them are held at
 * once; HUGE_VAL: they cannot be. */
double plb__group_again(const struct plb__tables *tables, const struct plb__group *group,
                        const struct plb__cost *cost, uint32_t in_flight);

/* Ways to hold a micro-batch of a group, leaner and slower: level l is what the first l steps give.
 * Level 0 recomputes nothing. */
struct plb__level {
    double held, again;
};
/* PLB_ERROR_MEMORY. level_out is the caller's to free. */
enum plb_status plb__group_levels(const struct plb__tables *tables, const struct plb__group *group,
                                  const struct plb__cost *cost, struct plb__level **level_out,
                                  uint32_t *n_out);
/* The option that unit `unit` takes at a level. */
uint32_t plb__group_option(const struct plb__tables *tables, const struct plb__group *group,
                           uint32_t level, uint32_t unit);

#endif
