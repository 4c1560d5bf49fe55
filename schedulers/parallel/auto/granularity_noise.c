/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An order fixed before the run against one found during it, under times that nobody knew.
 *
 * Both start from the same rule (B before F before W, within memory). Fixed: the rule is asked with
 * expected seconds, and the order that comes out is kept whatever jobs really take. Online: it is
 * asked whenever a stage is free, of what is ready then.
 */
#include "config.h"

#include "schedulers/parallel/auto/granularity.h"

#include "runtime/base/random.h"
#include "schedulers/parallel/auto/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double noises[PLB_GRANULARITY_NOISES] = {0, 0.1, 0.2, 0.3};

struct noisy {
    const struct plb__pipeline *pipeline;
    const struct plb__schedule *schedule; /* of the fixed order */
    uint64_t seed;
    double noise;
    double *end;    /* per number of a job; below zero: not yet */
    double *clock;  /* per stage */
    double *held;   /* per stage */
    uint32_t *next; /* per stage: of its schedule; per kind and chunk: of micro-batches */
};

static double seconds_of(const struct noisy *x, struct plb__pipe_job job)
{
    uint32_t words[4];

    plb_random_words(x->seed, 1, plb__job_number(x->pipeline, job), words);
    return plb__job_seconds(x->pipeline, job) *
           (1 + x->noise * (2 * (double)plb_random_unit(words[0]) - 1));
}

static void begin(struct noisy *x, uint32_t s, double start, struct plb__pipe_job job)
{
    double end = start + seconds_of(x, job);

    x->end[plb__job_number(x->pipeline, job)] = end;
    x->held[s] += plb__job_holds(x->pipeline, job) + plb__job_frees(x->pipeline, job);
    x->clock[s] = end;
}

static void restart(struct noisy *x, uint64_t seed, double noise)
{
    const struct plb__pipeline *p = x->pipeline;

    for (size_t k = 0; k < plb__pipeline_jobs(p); k++)
        x->end[k] = -1;
    memset(x->clock, 0, p->stages * sizeof *x->clock);
    memset(x->held, 0, p->stages * sizeof *x->held);
    memset(x->next, 0, (PLB__JOB_KINDS * p->chunks + p->stages) * sizeof *x->next);
    x->seed = seed;
    x->noise = noise;
}

static double latest(const struct noisy *x)
{
    double seconds = 0;

    for (uint32_t s = 0; s < x->pipeline->stages; s++)
        seconds = fmax(seconds, x->clock[s]);
    return seconds;
}

/* ---- fixed ---- */

static bool advance(struct noisy *x, uint32_t s)
{
    uint32_t k = x->schedule->in_stage[s] + x->next[s];
    double ready;

    if (k == x->schedule->in_stage[s + 1])
        return false;
    ready = plb__job_ready(x->pipeline, x->schedule->job[k], x->end);
    if (ready == HUGE_VAL)
        return false;
    begin(x, s, fmax(ready, x->clock[s]), x->schedule->job[k]);
    x->next[s]++;
    return true;
}

static double play_fixed(struct noisy *x)
{
    for (bool more = true; more;) {
        more = false;
        for (uint32_t s = 0; s < x->pipeline->stages; s++)
            while (advance(x, s))
                more = true;
    }
    return latest(x);
}

/* ---- online ---- */

/* When the stage can begin the best job that it can begin first; HUGE_VAL: none is known. One chunk
 * a stage, micro-batches in order. */
static double choose(const struct noisy *x, uint32_t s, struct plb__pipe_job *job_out)
{
    static const enum plb__job_kind order[] = {PLB__JOB_B, PLB__JOB_F, PLB__JOB_W};
    double first = HUGE_VAL;

    for (int i = 0; i < 3; i++) {
        struct plb__pipe_job job = {order[i], s, x->next[order[i] * x->pipeline->chunks + s]};
        double ready;

        if (job.micro_batch == x->pipeline->micro_batches ||
            (job.kind == PLB__JOB_F && x->pipeline->capacity &&
             x->held[s] + x->pipeline->held[s] > x->pipeline->capacity[s] * (1 + 1e-9)))
            continue;
        ready = fmax(plb__job_ready(x->pipeline, job, x->end), x->clock[s]);
        if (ready < first) {
            first = ready;
            *job_out = job;
        }
    }
    return first;
}

static double play_online(struct noisy *x)
{
    for (;;) {
        struct plb__pipe_job job = {PLB__JOB_F, 0, 0}, best = job;
        double first = HUGE_VAL;
        uint32_t at = 0;

        for (uint32_t s = 0; s < x->pipeline->stages; s++) {
            double start = choose(x, s, &job);

            if (start < first)
                first = start, at = s, best = job;
        }
        if (first == HUGE_VAL)
            return latest(x);
        begin(x, at, first, best);
        x->next[best.kind * x->pipeline->chunks + at]++;
    }
}

/* ---- rows ---- */

static void fill_row(struct noisy *x, double noise, uint32_t seeds,
                     struct plb_granularity_noise *row)
{
    double alone;

    *row = (struct plb_granularity_noise){.noise = noise};
    restart(x, 0, 0);
    alone = play_fixed(x);
    for (uint32_t i = 0; i < seeds; i++) {
        double fixed, online;

        restart(x, i, noise);
        fixed = play_fixed(x) / alone;
        restart(x, i, noise);
        online = play_online(x) / alone;
        row->fixed += fixed / seeds;
        row->online += online / seeds;
        row->worst_fixed = fmax(row->worst_fixed, fixed);
        row->worst_online = fmax(row->worst_online, online);
    }
}

static enum plb_status play_rows(struct plb__trial *trial, uint32_t seeds,
                                 struct plb_granularity_noise *row_out)
{
    const struct plb__pipeline *p = &trial->pipeline;
    struct plb__schedule schedule = {0};
    struct noisy x = {.pipeline = p, .schedule = &schedule};
    enum plb_status status;

    x.end = malloc((plb__pipeline_jobs(p) + 1) * sizeof *x.end);
    x.clock = calloc(p->stages, sizeof *x.clock);
    x.held = calloc(p->stages, sizeof *x.held);
    x.next = calloc(PLB__JOB_KINDS * p->chunks + p->stages, sizeof *x.next);
    if (!x.end || !x.clock || !x.held || !x.next)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to play %zu jobs", plb__pipeline_jobs(p));
    else
        status = plb__order_greedily(p, &schedule);
    for (uint32_t i = 0; status == PLB_OK && i < PLB_GRANULARITY_NOISES; i++)
        fill_row(&x, noises[i], seeds, &row_out[i]);
    plb__schedule_clear(&schedule);
    free(x.end);
    free(x.clock);
    free(x.held);
    free(x.next);
    return status;
}

/* The plan's first replica as a line; its chunks are taken for stages. */
static enum plb_status line_of(const struct plb_auto_plan *plan, struct plb__line *line)
{
    uint32_t n = plan->in_replica[1];

    *line = (struct plb__line){.n = n, .stage = calloc(n, sizeof *line->stage)};
    if (!line->stage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u stages", n);
    for (uint32_t s = 0; s < n; s++) {
        const struct plb_auto_stage *stage = &plan->stage[s];

        line->stage[s] = (struct plb__line_stage){stage->unit, stage->unit_end, stage->place, 0};
        while (1u << line->stage[s].d < stage->degree)
            line->stage[s].d++;
    }
    return PLB_OK;
}

enum plb_status plb_granularity_noise(const struct plb_auto_problem *problem,
                                      const struct plb_auto_plan *plan, uint32_t seeds,
                                      struct plb_granularity_noise row_out[PLB_GRANULARITY_NOISES])
{
    struct plb__tables tables = {.n = 0};
    struct plb__fleet fleet = {.n = 0};
    struct plb__line line = {.n = 0};
    struct plb__trial trial;
    struct plb__slice slice;
    enum plb_status status;

    if (seeds == 0 || problem->goal != PLB_AUTO_THROUGHPUT)
        return plb_fail(PLB_ERROR_INVALID, "noise of %u seeds on a plan for goal %d", seeds,
                        (int)problem->goal);
    status = plb__tables_create(problem, (double)problem->profile->samples / plan->micro_batches,
                                &tables);
    if (status == PLB_OK)
        status = plb__fleet_create(problem, plan->place, plan->n_places, &fleet);
    if (status == PLB_OK)
        status = line_of(plan, &line);
    slice = (struct plb__slice){.tables = &tables, .fleet = &fleet, .n = fleet.n,
                                .micro_batches = plan->share[0], .replicas = 1};
    if (status == PLB_OK)
        status = plb__trial_create(&slice, &line, &plb__rule_zb_greedy, &trial);
    if (status == PLB_OK) {
        status = play_rows(&trial, seeds, row_out);
        plb__trial_clear(&trial);
    }
    free(line.stage);
    plb__fleet_clear(&fleet);
    plb__tables_clear(&tables);
    return status;
}
