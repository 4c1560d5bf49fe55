/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Planning before the graph: how often a model is split, and where the pieces go.
 *
 * A *profile* says what a model costs: a chain of *units* (what stands before the first block, the
 * blocks, what follows), each with seconds, bytes and ways to hold less. Alike units share a
 * record. From a profile and the places plb_auto_plan_make() chooses the number of replicas, the
 * stages of each with their units, places and tensor degree, the number of micro-batches, the
 * schedule, and what each stage recomputes of each micro-batch. The caller builds the graph
 * accordingly; the policy "auto" (auto.c) places its tasks.
 *
 * The search is a dynamic program over (first unit, stages that follow, first place) in the manner
 * of Zheng et al. 2022 ("Alpa", section 5.2) and Tarnawski et al. 2021 ("Piper", section 4); what
 * it finds best is played as a pipeline under every schedule before one is chosen.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_PARALLEL_AUTO_H
#define PLB_SCHEDULERS_PARALLEL_AUTO_H

#include "runtime/plan/places.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_AUTO_DEGREES 6 /* of tensor parallelism: 1, 2, 4, 8, 16, 32 */
#define PLB_AUTO_OPTIONS 12
#define PLB_AUTO_UNITS   4096
#define PLB_AUTO_RECORDS 64
#define PLB_AUTO_KINDS   16

/* ---- what a model costs ---- */

/* Seconds of a job of one unit: `each` per sample of the micro-batch, and `fixed` whatever its size
 * (what the runtime adds to its tasks). */
struct plb_auto_seconds {
    double each, fixed;
};

/* What one unit costs on one kind of device, divided among the places of a tensor degree; transfers
 * among these are not in it. */
struct plb_auto_work {
    struct plb_auto_seconds forward, inputs, weights; /* F, gradient of inputs, of weights */
    double update;                                    /* seconds, once in a step */
};

/* A way to hold less of a unit from its forward to its backward tasks: both as a share of what is
 * held, and of the forward seconds, when nothing is recomputed. */
struct plb_auto_option {
    double held, again;
};

/* Bytes are those of the undivided unit. Of what is `divided`, a place has 1 / degree. */
struct plb_auto_unit {
    char name[32];
    uint32_t most_degree;   /* that its heads and columns can be split into */
    double parameters;      /* divided, and in memory all the time */
    double state;           /* of the optimizer, or a cache: likewise */
    double gradients;       /* of the parameters, likewise */
    double boundary;        /* per sample: its result, which goes to the next unit */
    double saved;           /* per sample: held from F to the backward jobs, divided, */
    double saved_weights;   /* and what of that is held on until the gradient of the weights */
    double saved_all;       /* per sample: held from F, and not divided */
    double transient;       /* per sample: beside that, while a job runs, divided */
    double exchanged;       /* per sample: bytes summed over the places of a tensor degree going
                               forward, and again going back */
    uint32_t exchanges;     /* transfers that this takes each way */
    uint32_t n_options;     /* of recomputation, by falling `held`; the first is {1, 0} */
    struct plb_auto_option option[PLB_AUTO_OPTIONS];
    struct plb_auto_work work[PLB_AUTO_KINDS][PLB_AUTO_DEGREES]; /* by kind, log2(degree) */
};

struct plb_auto_profile {
    uint32_t samples;       /* of a step: what micro-batches divide */
    uint32_t micro_batches; /* 0: to be chosen, else as the graph has them */
    uint32_t kinds;         /* of devices, as in the places */
    uint32_t n_records, n_units;
    struct plb_auto_unit *record;
    uint32_t *unit; /* per unit: its record */
};

/* PLB_ERROR_MEMORY, PLB_ERROR_INVALID (a model of no units or no samples, of more than fit). All
 * records are zero, all units of record 0. */
enum plb_status plb_auto_profile_create(uint32_t n_records, uint32_t n_units, uint32_t kinds,
                                        uint32_t samples, struct plb_auto_profile *profile_out);
void plb_auto_profile_clear(struct plb_auto_profile *profile);
/* Seconds of degrees above 1 from those of degree 1, divided evenly, what the runtime adds
 * apart. */
void plb_auto_profile_divide(struct plb_auto_profile *profile);
/* PLB_ERROR_INVALID names the unit and the figure that cannot be. */
enum plb_status plb_auto_profile_check(const struct plb_auto_profile *profile);

/* What a graph costs (whole or cut, one or several micro-batches, split into shards or not), by its
 * tasks' block, phase, micro-batch and shard. A unit is a position in the forward pass where these
 * are few, else a block; units of equal cost share a record. `samples` of all its micro-batches
 * together; `seconds` per kind of device and task; each task has `task_seconds` of the kind's
 * platform in it. PLB_ERROR_INVALID: a graph that is no such thing. */
enum plb_status plb_auto_profile_of_graph(const plb_graph_t *graph, const plb_places_t *places,
                                          const double *const *seconds, uint32_t samples,
                                          struct plb_auto_profile *profile_out);
/* The same with the model's blocks as units, and what they may recompute: found by asking the
 * memory policy chain-dp for plans of the graph under several budgets. */
enum plb_status plb_auto_profile_of_blocks(const plb_graph_t *graph, const plb_places_t *places,
                                           const double *const *seconds, uint32_t samples,
                                           struct plb_auto_profile *profile_out);

/* ---- what is wanted ---- */

enum plb_auto_goal {
    PLB_AUTO_THROUGHPUT,  /* least seconds of a step */
    PLB_AUTO_FIRST_TOKEN, /* least seconds of one sample's way forward through all stages */
    PLB_AUTO_NEXT_TOKEN,  /* the same, and back to the first stage: the profile is that of a decoded
                             token */
};

struct plb_auto_problem {
    const struct plb_auto_profile *profile;
    const plb_places_t *places;
    const size_t *budget; /* per place: most bytes; NULL: what the platforms of the kinds have */
    enum plb_auto_goal goal;
    bool shard_state;     /* optimizer state is divided among replicas, too */
    uint32_t replicas, stages, degree, micro_batches; /* 0: to be chosen */
    const char *schedule; /* NULL: to be chosen */
};

/* ---- what is chosen ---- */

struct plb_auto_stage {
    uint32_t unit, unit_end;
    uint32_t degree; /* number of places */
    uint32_t place;  /* the first: an entry of plb_auto_plan.place */
    uint32_t option; /* of the first micro-batch: an entry of plb_auto_plan.level */
};

struct plb_auto_plan {
    uint32_t replicas, micro_batches; /* of the step, all replicas together */
    uint32_t *in_replica;             /* stages of replica r: stage[in_replica[r]] and so on */
    uint32_t *share;                  /* per replica: its micro-batches */
    struct plb_auto_stage *stage;
    uint32_t n_places;
    uint32_t *place;
    uint32_t n_levels;
    uint16_t *level;   /* what a stage recomputes of a micro-batch: see plb_auto_option_of() */
    char schedule[24]; /* name of the policy that orders the jobs */
    double seconds;    /* of a step, or of the way of a sample */
    double bubble;     /* of the slowest replica's pipeline */
    double most_bytes; /* of the fullest place */
    uint64_t visited;  /* partial plans that the search looked at: the same on every machine */
    uint32_t played;   /* candidates that were played */
};

void plb_auto_plan_clear(struct plb_auto_plan *plan);

/* PLB_ERROR_INVALID: a profile or degrees that cannot be, places without a way between them;
 * PLB_ERROR_MEMORY: no plan keeps the budgets (the message says how many bytes a place of the best
 * try would need). */
enum plb_status plb_auto_plan_make(const struct plb_auto_problem *problem,
                                   struct plb_auto_plan *plan_out);

/* The plan that follows `current` when places are gone (per old place; NULL: none is, but the
 * profile's seconds have changed). `problem` has the old places still. Micro-batches stay, as the
 * graph does: replicas that lost nothing keep their stages; the others are planned anew or given
 * up, whichever is faster. Falls back on plb_auto_plan_make(). */
enum plb_status plb_auto_plan_again(const struct plb_auto_problem *problem, const bool *gone,
                                    const struct plb_auto_plan *current,
                                    struct plb_auto_plan *plan_out);

/* The option (entry of plb_auto_unit.option) that the plan takes for a unit of a micro-batch of a
 * replica, counted from 0 within it. */
uint32_t plb_auto_option_of(const struct plb_auto_problem *problem,
                            const struct plb_auto_plan *plan, uint32_t replica, uint32_t unit,
                            uint32_t micro_batch);

/* The tensor degree that the graph needs for a unit: the greatest of all replicas. */
uint32_t plb_auto_degree_of(const struct plb_auto_plan *plan, uint32_t unit);

/* A table for people; to be freed by the caller. PLB_ERROR_MEMORY. */
enum plb_status plb_auto_plan_print(const struct plb_auto_problem *problem,
                                    const struct plb_auto_plan *plan, char **text_out);

#ifdef __cplusplus
}
#endif

#endif
