/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plays a schedule. The order at each stage is fixed, so that time is no matter of events: a job
 * starts when the one before it at its stage and the one that it waits for have ended, and a
 * worklist of stages that may go on finds all starts in one go through the jobs.
 */
#include "config.h"

#include "schedulers/parallel/common/pipeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char letter[] = "FBW";

void plb__schedule_clear(struct plb__schedule *schedule)
{
    free(schedule->in_stage);
    free(schedule->job);
    *schedule = (struct plb__schedule){0};
}

void plb__pipeline_times_clear(struct plb__pipeline_times *times)
{
    free(times->peak);
    free(times->start);
    free(times->end);
    free(times->rank);
    *times = (struct plb__pipeline_times){0};
}

/* ---- jobs ---- */

size_t plb__pipeline_jobs(const struct plb__pipeline *pipeline)
{
    return (size_t)PLB__JOB_KINDS * pipeline->chunks * pipeline->micro_batches;
}

size_t plb__job_number(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    return ((size_t)job.kind * pipeline->chunks + job.chunk) * pipeline->micro_batches +
           job.micro_batch;
}

/* Where arrays per chunk and micro-batch have a job's entry. */
static size_t of_micro_batch(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    return (size_t)job.chunk * pipeline->micro_batches + job.micro_batch;
}

static double held_by(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    return pipeline->lean ? pipeline->lean[of_micro_batch(pipeline, job)]
                          : pipeline->held[job.chunk];
}

double plb__job_seconds(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    double seconds = pipeline->seconds[job.kind][job.chunk];

    if (pipeline->fused && job.kind == PLB__JOB_B)
        seconds += pipeline->seconds[PLB__JOB_W][job.chunk];
    if (pipeline->again && job.kind == PLB__JOB_B)
        seconds += pipeline->again[of_micro_batch(pipeline, job)];
    return seconds;
}

double plb__job_holds(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    return job.kind == PLB__JOB_F ? held_by(pipeline, job) : 0;
}

double plb__job_frees(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    double held = held_by(pipeline, job), held_w = pipeline->held_w[job.chunk];

    if (job.kind == PLB__JOB_F)
        return 0;
    if (job.kind == PLB__JOB_W)
        return -held_w;
    return pipeline->fused ? -held : held_w - held;
}

double plb__job_ready(const struct plb__pipeline *pipeline, struct plb__pipe_job job,
                      const double *end)
{
    uint32_t c = job.chunk, last = pipeline->chunks - 1;
    struct plb__pipe_job before = job;
    double travel = 0, ended;

    if (job.kind == PLB__JOB_F && c == 0)
        return 0;
    if (job.kind == PLB__JOB_F) {
        before.chunk = c - 1;
        travel = pipeline->travel_forward[c - 1];
    } else if (job.kind == PLB__JOB_W) {
        before.kind = PLB__JOB_B;
    } else if (c == last) {
        before.kind = PLB__JOB_F;
    } else {
        before.chunk = c + 1;
        travel = pipeline->travel_backward[c + 1];
    }
    ended = end[plb__job_number(pipeline, before)];
    if (ended < 0)
        return HUGE_VAL;
    return pipeline->stage_of[before.chunk] == pipeline->stage_of[c] ? ended : ended + travel;
}

uint32_t plb__job_next_stage(const struct plb__pipeline *pipeline, struct plb__pipe_job job)
{
    if (job.kind == PLB__JOB_F && job.chunk + 1 < pipeline->chunks)
        return pipeline->stage_of[job.chunk + 1];
    if (job.kind == PLB__JOB_B && job.chunk > 0)
        return pipeline->stage_of[job.chunk - 1];
    return UINT32_MAX;
}

/* ---- playing ---- */

struct play {
    const struct plb__pipeline *pipeline;
    const struct plb__schedule *schedule;
    struct plb__pipeline_times times;
    double *end;     /* per number of a job; below zero: not yet */
    double *clock;   /* per stage */
    double *held;    /* per stage */
    uint32_t *next;  /* per stage: of its jobs */
    uint32_t *list;  /* stages that may go on */
    bool *listed;
    uint32_t n_list;
    size_t n_done;
};

static void play_clear(struct play *play)
{
    plb__pipeline_times_clear(&play->times);
    free(play->end);
    free(play->clock);
    free(play->held);
    free(play->next);
    free(play->list);
    free(play->listed);
}

static enum plb_status play_start(struct play *play)
{
    uint32_t p = play->pipeline->stages, n = play->schedule->in_stage[p];
    size_t jobs = plb__pipeline_jobs(play->pipeline);

    play->times.peak = calloc(p, sizeof *play->times.peak);
    play->times.start = malloc((n + 1) * sizeof *play->times.start);
    play->times.end = malloc((n + 1) * sizeof *play->times.end);
    play->times.rank = malloc(((size_t)n + 1) * sizeof *play->times.rank);
    play->end = malloc((jobs + 1) * sizeof *play->end);
    play->clock = calloc(p, sizeof *play->clock);
    play->held = calloc(p, sizeof *play->held);
    play->next = calloc(p, sizeof *play->next);
    play->list = calloc(p, sizeof *play->list);
    play->listed = calloc(p, sizeof *play->listed);
    if (!play->times.peak || !play->times.start || !play->times.end || !play->times.rank ||
        !play->end || !play->clock || !play->held || !play->next || !play->list || !play->listed)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to play a schedule of %u jobs", n);
    for (size_t k = 0; k < jobs; k++)
        play->end[k] = -1;
    return PLB_OK;
}

/* Every job once, at its stage. Marks are taken in `end`, which is left as it was. */
static enum plb_status check_jobs(struct play *play)
{
    const struct plb__pipeline *pipeline = play->pipeline;
    const struct plb__schedule *schedule = play->schedule;
    size_t expected = plb__pipeline_jobs(pipeline) / PLB__JOB_KINDS * (pipeline->fused ? 2 : 3);

    for (uint32_t s = 0; s < pipeline->stages; s++) {
        for (uint32_t k = schedule->in_stage[s]; k < schedule->in_stage[s + 1]; k++) {
            struct plb__pipe_job job = schedule->job[k];
            size_t number;

            if ((unsigned)job.kind >= PLB__JOB_KINDS || job.chunk >= pipeline->chunks ||
                job.micro_batch >= pipeline->micro_batches ||
                (pipeline->fused && job.kind == PLB__JOB_W))
                return plb_fail(PLB_ERROR_INVALID, "stage %u has a job that there is not", s);
            if (pipeline->stage_of[job.chunk] != s)
                return plb_fail(PLB_ERROR_INVALID, "%c of chunk %u stands at stage %u, not at %u",
                                letter[job.kind], job.chunk, s, pipeline->stage_of[job.chunk]);
            number = plb__job_number(pipeline, job);
            if (play->end[number] == 0)
                return plb_fail(PLB_ERROR_INVALID, "%c of chunk %u, micro-batch %u, is there twice",
                                letter[job.kind], job.chunk, job.micro_batch);
            play->end[number] = 0;
        }
    }
    for (size_t k = 0; k < plb__pipeline_jobs(pipeline); k++)
        play->end[k] = -1;
    if (schedule->in_stage[pipeline->stages] != expected)
        return plb_fail(PLB_ERROR_INVALID, "the schedule has %u jobs, not %zu",
                        schedule->in_stage[pipeline->stages], expected);
    return PLB_OK;
}

static void list_stage(struct play *play, uint32_t stage)
{
    if (stage == UINT32_MAX || play->listed[stage])
        return;
    play->listed[stage] = true;
    play->list[play->n_list++] = stage;
}

static void run_job(struct play *play, uint32_t s, uint32_t k, double ready)
{
    struct plb__pipe_job job = play->schedule->job[k];
    double start = fmax(play->clock[s], ready);
    double end = start + plb__job_seconds(play->pipeline, job);

    play->held[s] += plb__job_holds(play->pipeline, job);
    play->times.peak[s] = fmax(play->times.peak[s], play->held[s]);
    play->held[s] += plb__job_frees(play->pipeline, job);
    play->times.start[k] = start;
    play->times.end[k] = end;
    play->end[plb__job_number(play->pipeline, job)] = end;
    play->clock[s] = end;
    play->times.rank[k] = (uint32_t)play->n_done++;
    list_stage(play, plb__job_next_stage(play->pipeline, job));
}

static void advance(struct play *play, uint32_t s)
{
    const uint32_t *in_stage = play->schedule->in_stage;

    for (; in_stage[s] + play->next[s] < in_stage[s + 1]; play->next[s]++) {
        uint32_t k = in_stage[s] + play->next[s];
        double ready = plb__job_ready(play->pipeline, play->schedule->job[k], play->end);

        if (ready == HUGE_VAL)
            return;
        run_job(play, s, k, ready);
    }
}

static enum plb_status fail_stuck(const struct play *play)
{
    for (uint32_t s = 0; s < play->pipeline->stages; s++) {
        uint32_t k = play->schedule->in_stage[s] + play->next[s];

        if (k < play->schedule->in_stage[s + 1])
            return plb_fail(PLB_ERROR_INVALID,
                            "the stages wait for each other for ever: stage %u at %c of chunk %u, "
                            "micro-batch %u", s, letter[play->schedule->job[k].kind],
                            play->schedule->job[k].chunk, play->schedule->job[k].micro_batch);
    }
    return plb_fail(PLB_ERROR_INTERNAL, "a schedule ended early");
}

static enum plb_status play_all(struct play *play)
{
    uint32_t p = play->pipeline->stages, n = play->schedule->in_stage[p];
    double busy = 0;

    PLB_TRY(check_jobs(play));
    for (uint32_t s = p; s-- > 0;)
        list_stage(play, s);
    while (play->n_list > 0) {
        uint32_t s = play->list[--play->n_list];

        play->listed[s] = false;
        advance(play, s);
    }
    if (play->n_done < n)
        return fail_stuck(play);
    for (uint32_t k = 0; k < n; k++)
        busy += plb__job_seconds(play->pipeline, play->schedule->job[k]);
    for (uint32_t s = 0; s < p; s++)
        play->times.seconds = fmax(play->times.seconds, play->clock[s]);
    if (play->times.seconds > 0)
        play->times.bubble = 1 - busy / (p * play->times.seconds);
    return PLB_OK;
}

enum plb_status plb__pipeline_play(const struct plb__pipeline *pipeline,
                                   const struct plb__schedule *schedule,
                                   struct plb__pipeline_times *times_out)
{
    struct play play = {.pipeline = pipeline, .schedule = schedule};
    enum plb_status status = play_start(&play);

    if (status == PLB_OK)
        status = play_all(&play);
    if (status == PLB_OK) {
        *times_out = play.times;
        play.times = (struct plb__pipeline_times){0};
    }
    play_clear(&play);
    return status;
}
