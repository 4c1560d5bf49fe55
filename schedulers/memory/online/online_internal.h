/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the policy "online" share: what is known of a step, and the state of a walk.
 * Not installed.
 *
 * A *turn* is a place in the order in which the walk brings tasks about (online_setup.c). Time is
 * that of the step without a task run again: the time of a turn is the sum of the seconds of the
 * tasks before it. The next use of a value is thus known before the walk.
 */
#ifndef PLB_MEMORY_ONLINE_INTERNAL_H
#define PLB_MEMORY_ONLINE_INTERNAL_H

#include "schedulers/memory/online/online_walk.h"

/* A task that is being brought about: inputs before `input` are there. */
struct plb__online_frame {
    plb_task_id task;
    uint32_t input;
};

struct plb__online {
    /* ---- known of the step, the same for all walks (online_setup.c) ---- */
    const struct plb_problem *problem;
    const plb_graph_t *graph;
    size_t lasting; /* bytes of outputs of the graph, which stay once they are made */

    plb_task_id *order; /* per turn: the task */
    double *time;       /* per turn: when it starts; one entry more: the end of the step */
    /* Per value. */
    size_t *bytes; /* that it takes of the device; 0 where the limits hold them anyway, and
                      where it stays once it is made */
    uint32_t *use; /* the turns that read it, rising: use[in_use[v]] to use[in_use[v + 1] - 1] */
    uint32_t *in_use;
    uint32_t *until; /* initial values: the turn that replaces it, or PLB_NONE */
    plb_task_id *maker; /* the task that makes it; PLB_NONE: an initial value */

    /* ---- state of a walk ---- */
    struct plb__online_weights weights;
    size_t limit, live; /* bytes on the device */
    uint32_t now;       /* the turn that is being brought about */
    /* Per value. */
    uint32_t *next_use;  /* the first use that has not run yet: an index of `use` */
    bool *here;          /* on the device */
    enum plb_tier *copy; /* where it has a copy besides, or PLB_DEVICE: nowhere */
    double *made_at;     /* when, by the platform's clock */
    uint16_t *locks;     /* of tasks that are being brought about */

    /* Links (online_moves.c). */
    double *due;                 /* seconds of transfers back, summed over the turns that wait */
    double link_free[PLB_TIERS]; /* when the transfers out so far have ended */
    double back_free;            /* ... and those back */
    uint32_t ahead;              /* what turns before this one read has been fetched */
    size_t away[PLB_TIERS];      /* bytes of copies */

    /* Candidates for eviction, a heap by price; `place` is per value, PLB_NONE outside. */
    plb_value *heap;
    uint32_t n_heap;
    double *price;
    uint32_t *place;

    /* Searches along the graph (online_costs.c). */
    uint32_t *stamp; /* per task: the last search that came by */
    uint32_t search;
    uint32_t *todo, n_todo;          /* stack of a search, and its room */
    double *share;                   /* beside it */
    struct plb__online_frame *frame; /* tasks that wait for their inputs, outermost first */
    uint32_t depth;
    struct plb__online_result result;
};

/* Finds `order`: that of the graph, but for tasks that free much and read gradients alone
 * (online_order.c). `bytes` must be known; PLB_ERROR_MEMORY. */
enum plb_status plb__online_order(struct plb__online *o);

/* The turn that reads a value next; PLB_NONE when none does. */
uint32_t plb__online_next(const struct plb__online *o, plb_value value);

/* What evicting a value costs: seconds to make it again, with what is missing for that and would
 * not be made at about that time anyway. Infinite when it cannot be made again; any number above
 * `most` when it is more than that. */
double plb__online_again_cost(struct plb__online *o, plb_value value, double most);

/* The lesser of that and of moving it, over bytes * distance^weight: the least is evicted first.
 * `tier_out` gets where it goes, PLB_DEVICE: nowhere, it is made again. */
double plb__online_price(struct plb__online *o, plb_value value, enum plb_tier *tier_out);

/* What sending a value away and fetching it back costs; `tier_out` gets where it would go. Infinite
 * when it can go nowhere. */
double plb__online_move_cost(const struct plb__online *o, plb_value value, enum plb_tier *tier_out);
/* What fetching a missing value that has a copy costs besides. */
double plb__online_fetch_cost(const struct plb__online *o, plb_value value);
/* Appends the OFFLOAD, unless the copy is there, or the FETCH, and keeps account of the links. */
enum plb_status plb__online_send(struct plb__online *o, plb_value value, enum plb_tier tier);
enum plb_status plb__online_fetch(struct plb__online *o, plb_value value);
/* Is it time to fetch what turn `at` reads? */
bool plb__online_is_due(const struct plb__online *o, uint32_t at);
/* A value has been made (not fetched); a value is of no more use: its copy ends. */
void plb__online_made(struct plb__online *o, plb_value value);
void plb__online_end_copy(struct plb__online *o, plb_value value);

/* The heap. A price that is too low does no harm: it is looked at again when it comes up. */
void plb__online_heap_put(struct plb__online *o, plb_value value, double price);
void plb__online_heap_remove(struct plb__online *o, plb_value value);

#endif
