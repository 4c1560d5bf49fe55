/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of spreading a hybrid plan, for spread*.c and transfer.c only. Not installed.
 *
 *   spread.c        what a hybrid plan says: which task is where; the way of all
 *   spread_look.c   looks through the lists of tasks: what is read where, and so what comes from
 *                   where
 *   spread_order.c  finds an order of all tasks of all places, and when what goes over
 *   spread_parts.c  makes the graph and the plan of each place
 *   transfer.c      the operators of send and receive tasks
 */
#ifndef PLB_PLAN_SPREAD_INTERNAL_H
#define PLB_PLAN_SPREAD_INTERNAL_H

#include "runtime/plan/hybrid.h"

extern const struct plb_operator plb__send, plb__receive;

/* A value that comes to a place from another one. Entries are those of hybrid.run. */
struct plb__arrival {
    plb_value value;
    uint32_t from, to;
    plb_value replaces; /* the initial value whose next version it is, or PLB_NONE */
    uint32_t maker;     /* the entry that makes it first where it comes from */
    uint32_t reader;    /* the entry that reads it first where it comes to, or PLB_NONE */
    uint32_t after;     /* the last entry there that reads what it replaces, or PLB_NONE */
    uint32_t rank;      /* it goes over right after the entry of this rank (see below) */
};

struct plb__spreader {
    const struct plb_hybrid *hybrid;
    const plb_graph_t *graph;
    const plb_places_t *places;
    struct plb_spread *spread;
    uint32_t n_values, n_tasks;

    /* Places that run task t, increasing: place[in_task[t]] to place[in_task[t + 1] - 1]. */
    uint32_t *in_task, *place;
    uint32_t *entry; /* beside `place`: where the task stands first in the list of that place */
    plb_value *carried; /* per value: the initial value that it replaces, or PLB_NONE */
    uint32_t *holder;   /* per value: of initial ones the lowest place that holds it, or PLB_NONE */
    bool *is_read;      /* per value: by a task of the graph */
    uint32_t lowest;    /* place that has anything to do, or PLB_NONE */

    struct plb__arrival *arrival; /* by place where it arrives, then by rank */
    uint32_t n_arrivals, capacity;
    uint32_t *in_to;              /* those to place p: in_to[p] to in_to[p + 1] - 1 */
    uint32_t *n_there;            /* per place: values of its part */

    /* Per entry of hybrid.run: its number in an order of all entries in which all places could work,
     * one task at a time. Transfers have their moments in it, too; so what parts do is in an order
     * that cannot make places wait for each other, wherever memory makes one thing wait for all
     * that comes before it. */
    uint32_t *rank;
};

static inline const char *plb__place_name(const struct plb__spreader *s, uint32_t place)
{
    return plb_places_at(s->places, place)->name;
}

/* Looks through all lists: fills in_to, holder, and arrival but for ranks and their order; and of
 * each part its values, sorted. */
enum plb_status plb__spread_look(struct plb__spreader *spreader);
/* Finds the ranks; PLB_ERROR_INVALID names places that wait for each other for ever. */
enum plb_status plb__spread_order(struct plb__spreader *spreader);
/* Makes the parts and the transfers of what was found. */
enum plb_status plb__spread_parts(struct plb__spreader *spreader);

#endif
