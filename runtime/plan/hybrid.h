/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans for several places.
 *
 * A *hybrid plan* (data, tensor and pipeline parallel, in any mixture) says for every task of a cut
 * graph at which place it runs and at which position there: for each place a list of tasks. A task
 * in the lists of several places is computed at each of them (an update at every replica); a task
 * that stands in one list twice is made again there (rematerialization). That is all a parallel
 * policy writes. Everything else follows:
 *
 *   - A value is at every place that makes it. A place that reads a value and does not make it gets
 *     it by a *transfer* from a place that does: from the one with the shortest way (of several, the
 *     lowest number), once.
 *   - A value that exists before the step is held by every place that reads it, or that makes or gets
 *     its next version; each of these must have the next version at the end of the step, made there
 *     or transferred. Outputs are read from the lowest place that makes them.
 *
 * *Spreading* a hybrid plan gives each place its *part*: a graph of its own, made of its tasks in
 * the order of their first run, of `send` tasks, which read a value, and of `receive` tasks, which
 * make one. Lists must be such that all places could work through them, one task at a time. There is
 * then one order of the tasks of all places (by the times at which they would begin), in which a
 * transfer stands right after the task that makes its value: in each part send and receive stand
 * where this order has them. So parts that are run in their order come to their end under whatever
 * layout, and a plan that a memory policy makes of a part does, if it keeps that order for what runs
 * for the first time (or moves tasks, not transfers, forward in it).
 *
 * A part is a graph like any other, and what is done at its place is a plan like any other (plan.h):
 * so a memory policy plans each part for its device, the checker proves it, the layout lays it out,
 * and the executor runs it. SEND and RECEIVE are thus a RUN of a `send` and of a `receive`; both
 * occupy links, not workers, and a `receive` runs once in a step.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_PLAN_HYBRID_H
#define PLB_PLAN_HYBRID_H

#include "runtime/plan/layout.h"
#include "runtime/plan/places.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb_hybrid {
    char policy[64];      /* name of the policy that wrote it */
    uint64_t fingerprint; /* of the graph it was written for */
    bool in_order;        /* a place with w workers begins a RUN only when the w-th RUN before it has
                             ended: with one worker, one task after the other in just this order.
                             Otherwise workers take, of what is ready, what comes first */
    uint32_t n_places;
    uint32_t *in_place;   /* runs of place p: run[in_place[p]] to run[in_place[p + 1] - 1] */
    plb_task_id *run;
};

/* Frees what the plan owns and makes it empty. */
void plb_hybrid_clear(struct plb_hybrid *hybrid);

/* JSON and back, as plb_plan_to_json() and so on. */
enum plb_status plb_hybrid_to_json(const struct plb_hybrid *hybrid, char **text_out);
enum plb_status plb_hybrid_from_json(const char *text, size_t bytes,
                                     struct plb_hybrid *hybrid_out);
enum plb_status plb_hybrid_save(const struct plb_hybrid *hybrid, const char *path);
enum plb_status plb_hybrid_load(const char *path, struct plb_hybrid *hybrid_out);

/* ---- parts ---- */

struct plb_transfer {
    plb_value value; /* of the cut graph */
    size_t bytes;
    uint32_t from, to;         /* places */
    plb_task_id send, receive; /* tasks of the two parts */
};

/* Values of a part keep name, type, role, home, source and place in the grid of the cut graph's; so
 * plb_graph_cells(part.graph, whole) gives those that are there. A receive of the next version of a
 * value takes over its storage, as an update does. */
struct plb_part {
    plb_graph_t *graph;   /* NULL: the place has nothing to do */
    plb_task_id *task;    /* per task of the part: of the cut graph; PLB_NONE for send and receive */
    uint32_t *transfer;   /* per task of the part: number of its transfer, else PLB_NONE */
    plb_value *value;     /* per value of the part: of the cut graph */
    struct plb_plan plan; /* runs in the order of the hybrid plan, rematerialization in; finished */
};

struct plb_spread {
    uint32_t n_parts, n_transfers;
    struct plb_part *part;         /* per place */
    struct plb_transfer *transfer; /* in the order in which they are received at each place */
};

/* Proves the hybrid plan right for the graph (PLB_ERROR_INVALID names the first violation: another
 * fingerprint, a task that no place runs, a place that runs a task before what it reads can be
 * there, an update that runs twice, a value with no way to where it is read, a deadlock among
 * places), and gives each place its part. */
enum plb_status plb_hybrid_spread(const struct plb_hybrid *hybrid, const plb_graph_t *cut,
                                  const plb_places_t *places, struct plb_spread *spread_out);
void plb_spread_clear(struct plb_spread *spread);

/* Is this the operator of a `send` or `receive` task? They are in no table of operators, for they
 * have no kernel. */
bool plb_operator_is_send(const struct plb_operator *op);
bool plb_operator_is_receive(const struct plb_operator *op);

/* ---- in virtual time ---- */

struct plb_spread_problem {
    const plb_places_t *places;
    bool in_order;
    const struct plb_plan *const *plan;      /* per place, for the graph of its part; NULL: the part's */
    const struct plb_layout *const *layout;  /* per place, of that plan; NULL: memory is no limit */
    const double *const *seconds;            /* per kind of device: per task of the cut graph */
};

struct plb_spread_run { /* an instruction of a place's plan */
    double start, end;  /* RUN of send and of receive: those of the transfer; DROP: both the moment
                           at which it took effect */
    int lane;           /* as struct plb_simulated; RUN of send and of receive: -1 */
};

struct plb_place_use {
    double busy_seconds;  /* workers, all together */
    double again_seconds; /* of that, for tasks that had run before at this place */
    size_t sent, received;
    size_t peak; /* bytes on the device: the layout's; without one, of the values that exist at
                    once, received ones from the start of their transfer */
    uint32_t n;
    struct plb_spread_run *timeline; /* per instruction of the place's plan */
};

struct plb_spread_simulation {
    double seconds; /* makespan of a step that starts on idle places */
    double bubble;  /* share of the workers' time, of places that have tasks, without a task */
    uint32_t n_places;
    struct plb_place_use *place;
    struct { double start, end; } *transfer; /* per transfer */
};

/* Plays all parts at once. A transfer starts when its send and its receive are both ready and all
 * ports on its way are free, and holds them until it ends; first come, first served, of those that
 * were ready at the same moment the lower number first. The result depends on nothing but the
 * arguments. PLB_ERROR_INVALID when places wait for each other for ever (the message names two
 * instructions). */
enum plb_status plb_spread_simulate(const struct plb_spread *spread, const plb_graph_t *cut,
                                    const struct plb_spread_problem *problem,
                                    struct plb_spread_simulation *result_out);
void plb_spread_simulation_clear(struct plb_spread_simulation *simulation);

#ifdef __cplusplus
}
#endif

#endif
