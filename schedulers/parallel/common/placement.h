/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of finding the place of each task, for members.c, placement.c and rest.c only.
 */
#ifndef PLB_PARALLEL_PLACEMENT_H
#define PLB_PARALLEL_PLACEMENT_H

#include "schedulers/parallel/common/jobs.h"

#define PLB__ALL_MEMBERS (UINT32_MAX - 1)

/* Which places of a crew hold a parameter that is updated: those of its lowest chunk that reads it.
 * */
struct plb__home {
    uint32_t chunk;  /* PLB_NONE: nobody has read it */
    uint32_t member; /* of the stage, or PLB__ALL_MEMBERS */
};

struct plb__finder {
    const struct plb__jobs *jobs;
    const struct plb_parallel_problem *problem;
    const struct plb__crew *crew;
    uint32_t n_crews;
    struct plb__placement *placement;

    uint32_t *crew_of;  /* per micro-batch */
    uint32_t **chunk_of; /* per crew, per position */
    uint32_t **job_of;   /* per crew, per number of a job: its index in the schedule */
    uint32_t **order;    /* per crew, per job of its schedule: where it comes in the order of all */
    double *starts;      /* of all jobs, in that order */
    uint32_t n_jobs;
    uint32_t *crew_at;   /* per place; PLB_NONE */

    uint32_t *member;        /* per task: of its stage, or PLB__ALL_MEMBERS; the rest: PLB_NONE */
    bool *wanted;            /* per value: by shards, sooner or later, of its micro-batch's chunk */
    uint32_t *parameter;     /* per initial value that has a next one: its number; else PLB_NONE */
    struct plb__home *home;  /* [crew][number] */
    uint32_t n_parameters;
    uint32_t *owner;         /* per number: the place that adds up its gradients */
};

static inline const struct plb__team *plb__team_of(const struct plb__finder *f, plb_task_id task)
{
    return &f->crew[f->crew_of[f->jobs->task[task].micro_batch]].team;
}

static inline uint32_t plb__stage_places(const struct plb__team *team, uint32_t stage)
{
    return team->in_stage[stage + 1] - team->in_stage[stage];
}

/* Chooses the places of all tasks of jobs, among those of their stage, and so homes. */
void plb__find_members(struct plb__finder *finder);
/* Notes that a task is done at a place; sets count and first. */
enum plb_status plb__placement_add(struct plb__placement *placement, plb_task_id task,
                                   struct plb__done done);
/* The run of a task from which `place` gets its results, and when they are there. */
const struct plb__done *plb__find_copy(const struct plb__finder *finder, plb_task_id maker,
                                       uint32_t place, size_t bytes, double *there_out);
/* Places of the rest. */
enum plb_status plb__place_rest(struct plb__finder *finder);

#endif
