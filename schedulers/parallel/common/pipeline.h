/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pipelines: the order in which the stages of a pipeline do their jobs.
 *
 * A model is divided into *chunks*, one after the other; each lies on one *stage* (a group of
 * places that work on it together, here one clock), and a stage may have several chunks. Each
 * micro-batch makes three *jobs* in each chunk: F, its forward pass; B, the gradient of its inputs;
 * W, the gradient of its weights. F of chunk c waits for F of chunk c - 1, B of chunk c for B of
 * chunk c + 1 (of the last chunk: for its F), W for the B of its chunk and micro-batch; between
 * chunks on different stages the result travels for a while. A schedule is an order of the jobs of
 * each stage; a stage does them one after the other, each as soon as it can be. Where a job of kind
 * B is *fused* with its W, what it sends leaves when W has ended, too (that is how 1F1B is
 * defined).
 *
 * This is what the policies of schedulers/parallel/ decide on: from a graph of thousands of tasks
 * to some hundred jobs. jobs.h has the way there and back.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_PIPELINE_H
#define PLB_PARALLEL_PIPELINE_H

#include "runtime/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plb__job_kind { PLB__JOB_F, PLB__JOB_B, PLB__JOB_W, PLB__JOB_KINDS };

struct plb__pipe_job {
    enum plb__job_kind kind;
    uint32_t chunk, micro_batch;
};

/* What a schedule is made for; arrays are the caller's. */
struct plb__pipeline {
    uint32_t stages, chunks, micro_batches;
    const uint32_t *stage_of;                     /* per chunk */
    const double *seconds[PLB__JOB_KINDS];        /* per chunk */
    const double *travel_forward;                 /* per chunk: of its output to the next chunk, */
    const double *travel_backward;                /* of its gradient to the chunk before; seconds */
    const double *held;     /* per chunk: bytes that F leaves for B and W, */
    const double *held_w;   /* and what of them is held on from the end of B to the end of W */
    const double *capacity; /* per stage: bytes for these; NULL: no limit */
    const double *lean;     /* per chunk and micro-batch: bytes that F leaves, where it leaves less
                               because B recomputes; no more than `held`; NULL: `held` */
    const double *again;    /* ... and seconds that this adds to B; NULL: none */
    bool fused;             /* B and W are one job (kind B, with the seconds of both; no job W) */
};

/* The jobs of stage s: job[in_stage[s]] to job[in_stage[s + 1] - 1]. */
struct plb__schedule {
    uint32_t stages;
    uint32_t *in_stage;
    struct plb__pipe_job *job;
    bool fused; /* as in the pipeline that it was made for */
};

void plb__schedule_clear(struct plb__schedule *schedule);

/* A schedule in virtual time. */
struct plb__pipeline_times {
    double seconds;      /* from the first job's start to the last one's end */
    double bubble;       /* share of stages * seconds without a job */
    double *peak;        /* per stage: most bytes held */
    double *start;       /* per job, in the schedule's order */
    double *end;
    uint32_t *rank;      /* per job: greater than that of all jobs that it waits for */
};

/* PLB_ERROR_INVALID: a job is missing or there twice, stands at another stage, or the stages wait
 * for each other for ever. */
enum plb_status plb__pipeline_play(const struct plb__pipeline *pipeline,
                                   const struct plb__schedule *schedule,
                                   struct plb__pipeline_times *times_out);
void plb__pipeline_times_clear(struct plb__pipeline_times *times);

/* Seconds of a job, of its W too where they are fused. */
double plb__job_seconds(const struct plb__pipeline *pipeline, struct plb__pipe_job job);
/* When `job` can start: what it waits for has ended and arrived. `end` has an entry per number of a
 * job, below zero where it has not run. HUGE_VAL when it cannot yet. */
double plb__job_ready(const struct plb__pipeline *pipeline, struct plb__pipe_job job,
                      const double *end);
/* The stage of the job of another chunk that waits for `job`; UINT32_MAX when none does. */
uint32_t plb__job_next_stage(const struct plb__pipeline *pipeline, struct plb__pipe_job job);
/* What a job adds to the bytes held: when it starts, and (below zero) when it has ended. */
double plb__job_holds(const struct plb__pipeline *pipeline, struct plb__pipe_job job);
double plb__job_frees(const struct plb__pipeline *pipeline, struct plb__pipe_job job);
/* A number for each job, below plb__pipeline_jobs(). */
size_t plb__job_number(const struct plb__pipeline *pipeline, struct plb__pipe_job job);
size_t plb__pipeline_jobs(const struct plb__pipeline *pipeline);

#endif
