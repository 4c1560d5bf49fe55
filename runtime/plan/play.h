/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The events of programs in virtual time: one core for a plan alone (simulate.h) and for the parts
 * of a hybrid plan (hybrid.h). Not installed.
 *
 * Workers of a place take the ready RUN that comes first in its program, and so does each of its
 * links to other tiers with copies. A *carriage* brings a value from a `send` of one program to the
 * `receive` of another: it starts when both are ready and its ports are free, first come first
 * served, and one that must wait for a port does not hold up others on other ports.
 */
#ifndef PLB_PLAN_PLAY_H
#define PLB_PLAN_PLAY_H

#include "runtime/plan/order.h"
#include "runtime/plan/places.h"
#include "runtime/plan/simulate.h"

/* One place; filled by the caller but for the last fields. */
struct plb__program {
    const char *name; /* of the place, for messages; NULL: there is but one */
    const struct plb_plan *plan;
    const plb_graph_t *graph;
    const struct plb_platform *platform;
    const double *seconds;    /* per task, by the numbers in `task` where it is not NULL */
    const plb_task_id *task;  /* per task of `graph` */
    const uint32_t *carriage; /* per task of `graph`: whose send or receive it is, or PLB_NONE; NULL:
                                 there are none */
    struct plb__storage storage;
    bool in_order;                  /* see struct plb_hybrid */
    struct plb_simulated *timeline; /* per instruction, to be filled; a carriage at both ends */
    uint32_t first;                 /* number of its first instruction among all */
};

struct plb__carriage {
    double seconds;
    uint32_t n_ports;
    uint32_t port[PLB_PORTS_OF_A_WAY];
    double start, end; /* to be filled */
};

struct plb__cast {
    struct plb__program *program;
    uint32_t n_programs;
    struct plb__carriage *carriage;
    uint32_t n_carriages, n_ports;
};

/* Seconds of an instruction that is not a carriage. */
double plb__program_seconds(const struct plb__program *program, uint32_t instruction);

/* PLB_ERROR_INVALID: a move on a link that is not there, a carriage without its two ends, or
 * instructions that wait for each other for ever; the message names two. */
enum plb_status plb__play(const struct plb__cast *cast, double *seconds_out);

#endif
