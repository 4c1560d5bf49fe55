/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the tasks of a cut graph to the jobs of pipelines (pipeline.h), and back.
 *
 * Forward tasks of a micro-batch have *positions*: those that the forward tasks of the whole graph
 * stand at, in their order. A backward task has the position of the forward task whose gradient it
 * is a part of. A chunk is a range of positions, the same for every micro-batch. A backward task is
 * of kind W when what it makes is read by nothing but sums of parameter gradients, else of kind B.
 * All the rest (sums over micro-batches, sums over the uses of a shared parameter, clipping,
 * updates) belongs to no job: it is done when what it reads is there.
 *
 * A *team* is one replica of the model: the micro-batches that it takes, the chunks of its stages
 * and the places of each stage. Tasks of shard s are done by place s of their stage, where there
 * are n places and more shards by place s % n. A task that is not divided is done by the first
 * place of the stage, or by all of them where that moves fewer bytes.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_JOBS_H
#define PLB_PARALLEL_JOBS_H

#include "runtime/plan/parallel.h"
#include "schedulers/parallel/common/rule.h"

#define PLB__JOB_REST PLB__JOB_KINDS /* of no job */

struct plb__jobs_task {
    uint32_t position;    /* PLB_NONE for the rest */
    uint32_t micro_batch; /* tasks of no micro-batch go with the first one */
    uint8_t kind;         /* enum plb__job_kind or PLB__JOB_REST */
};

/* What a graph consists of. */
struct plb__jobs {
    const plb_graph_t *graph;
    uint32_t positions, micro_batches;
    uint32_t shards;             /* 1: the graph is not split */
    struct plb__jobs_task *task; /* per task */
    plb_value *replaces;         /* per value: the initial one that it replaces, or PLB_NONE */
    uint32_t *home;              /* per value: of a parameter that is updated the first position
                                    that reads it, else PLB_NONE */
    plb_value *sums_for;         /* per task of the rest: the parameter whose gradient it sums, or
                                    which it updates, or PLB_NONE */
    /* Per position, of the first micro-batch. */
    uint32_t *block;             /* of the model, -1 as UINT32_MAX */
    double *held, *held_w;       /* bytes that its forward tasks leave for backward tasks
                                    anywhere; that its W tasks read */
    double *fixed;               /* bytes that are there before the step and after it: parameters,
                                    and a share of the state */
    /* Per cut: between positions k - 1 and k, of a micro-batch: bytes that cross it. */
    double *forward, *backward;
};

/* PLB_ERROR_INVALID: micro-batches that are not alike. */
enum plb_status plb__jobs_find(const plb_graph_t *graph, struct plb__jobs *jobs_out);
/* How many shards the tensor-parallel parts of a graph have; 1: it has none. */
uint32_t plb__shards_of(const plb_graph_t *graph);
void plb__jobs_clear(struct plb__jobs *jobs);

/* The parameter, read by the model, of which a task makes the next version; else PLB_NONE. */
plb_value plb__jobs_updated(const struct plb__jobs *jobs, const struct plb_task *task);

/* ---- teams ---- */

struct plb__team {
    uint32_t first, end;          /* micro-batches */
    uint32_t stages, chunks;
    uint32_t *bound;              /* chunk c has positions bound[c] to bound[c + 1] - 1 */
    uint32_t *stage_of;           /* per chunk */
    uint32_t *in_stage, *place;   /* stage s has place[in_stage[s]] to place[in_stage[s + 1] - 1] */
};

void plb__team_clear(struct plb__team *team);
/* Room for all arrays; bounds and places are still to be filled in. */
enum plb_status plb__team_create(uint32_t stages, uint32_t chunks, uint32_t places,
                                 struct plb__team *team_out);
/* Fills in `bound` so that the slowest chunk is as fast as can be (within some hundredths, where
 * that moves fewer bytes), each on the places of its stage and with the sums and updates of its
 * parameters. PLB_ERROR_INVALID: more chunks than positions. */
enum plb_status plb__team_balance(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem,
                                  struct plb__team *team);

/* A team's pipeline, with the arrays that it points to. */
struct plb__team_pipeline {
    struct plb__pipeline pipeline;
    double *room;
};

/* Seconds, travel and bytes of a team's jobs. Capacities, where `in_flight` is not 0: by the
 * budgets, else as struct plb__pipe_rule has it; never less than one micro-batch takes. */
enum plb_status plb__team_pipeline(const struct plb__jobs *jobs,
                                   const struct plb_parallel_problem *problem,
                                   const struct plb__team *team, bool fused, double in_flight,
                                   struct plb__team_pipeline *pipeline_out);
void plb__team_pipeline_clear(struct plb__team_pipeline *pipeline);

/* ---- plans ---- */

/* A team with the order of its jobs, in virtual time. */
struct plb__crew {
    struct plb__team team;
    struct plb__team_pipeline pipeline;
    struct plb__schedule schedule;
    struct plb__pipeline_times times;
};

/* Orders the jobs of crew->team by the rule, and plays them. */
enum plb_status plb__crew_order(const struct plb__jobs *jobs,
                                const struct plb_parallel_problem *problem,
                                const struct plb__pipe_rule *rule, struct plb__crew *crew);
void plb__crew_clear(struct plb__crew *crew);

/* Where a task is done, and from when to when it is thought to be. */
struct plb__done {
    uint32_t place;
    uint32_t after; /* place in the order of all jobs of all crews: of the task's job, or of the job
                       that the rest follows */
    double start, end;
};

/* Of all tasks: task t is done at[first[t]] to at[first[t] + count[t] - 1], by increasing place. */
struct plb__placement {
    uint32_t *first, *count;
    struct plb__done *at;
    uint32_t n, capacity;
};

enum plb_status plb__placement_find(const struct plb__jobs *jobs,
                                    const struct plb_parallel_problem *problem,
                                    const struct plb__crew *crew, uint32_t n_crews,
                                    struct plb__placement *placement_out);
void plb__placement_clear(struct plb__placement *placement);

/* The tasks of each place, in order: jobs in the order of their schedule, the rest in between as
 * soon as what it reads is thought to be there. All lists follow one order of everything, so that
 * places cannot wait for each other for ever. */
enum plb_status plb__hybrid_write(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem,
                                  const struct plb__crew *crew, uint32_t n_crews, bool in_order,
                                  struct plb_hybrid *hybrid_out);

/* What a pipeline policy does: teams of as many places as the degrees say, the rule's order for
 * each, and the plan. */
enum plb_status plb__pipe_plan(const struct plb_parallel_problem *problem,
                               const struct plb__pipe_rule *rule, struct plb_hybrid *hybrid_out);

#endif
