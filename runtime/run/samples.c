/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a step that has ended tells of costs.
 *
 * Each kind of task (an operator and a footprint) gives one sample, the mean over the step: tasks
 * of a kind differ by what the caches hold when they run, a step takes the sum of all, and the
 * table's median is one over steps, so that a step that was disturbed as a whole moves nothing.
 * Each move gives a sample of its link. Where one worker runs all tasks, what passes between the
 * end of one and the beginning of the next is what the runtime adds.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/run/run_internal.h"

#include <stdlib.h>

/* A worker that does nothing for longer waits for a move, or was taken away. */
#define WAIT_SECONDS 1e-4

/* ---- kinds ---- */

static const struct plb__job *job_of(const void *number_of_job, const struct plb__job *jobs)
{
    return &jobs[*(const uint32_t *)number_of_job];
}

static int by_kind(const void *left, const void *right, void *jobs)
{
    const struct plb__job *a = job_of(left, jobs), *b = job_of(right, jobs);

    if (a->codelet != b->codelet)
        return a->codelet < b->codelet ? -1 : 1;
    return a->footprint < b->footprint ? -1 : a->footprint > b->footprint;
}

enum plb_status plb__kinds_find(struct plb_session *s)
{
    uint32_t *sorted = malloc(((size_t)s->n_jobs + 1) * sizeof *sorted);

    s->kind = calloc((size_t)s->n_jobs + 1, sizeof *s->kind);
    if (!sorted || !s->kind) {
        free(sorted);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to sort %u tasks", s->n_jobs);
    }
    for (uint32_t k = 0; k < s->n_jobs; k++)
        sorted[k] = k;
    qsort_r(sorted, s->n_jobs, sizeof *sorted, by_kind, s->job);
    for (uint32_t k = 0; k < s->n_jobs; k++) {
        s->n_kinds += k == 0 || by_kind(&sorted[k - 1], &sorted[k], s->job) != 0;
        s->job[sorted[k]].kind = s->n_kinds - 1;
        s->kind[s->n_kinds - 1].job = &s->job[sorted[k]];
    }
    free(sorted);
    return PLB_OK;
}

/* ---- samples ---- */

static double seconds_of(const struct plb__instance *instance)
{
    return 1e-9 * (double)(instance->end - instance->start);
}

static void record_kinds(struct plb_session *s)
{
    for (uint32_t k = 0; k < s->n_kinds; k++) {
        struct plb__kind *kind = &s->kind[k];

        if (kind->n > 0)
            plb_costs_record(s->planning.costs, kind->job->invocation.op->name,
                             kind->job->footprint, kind->seconds / kind->n);
        kind->seconds = 0.0;
        kind->n = 0;
    }
}

static void record_move(struct plb_session *s, const struct plb__instance *instance)
{
    const struct plb__launch *launch = instance->launch;

    plb_costs_record_transfer(s->planning.costs, launch->instruction->tier,
                              launch->instruction->code == PLB_OFFLOAD, launch->bytes,
                              seconds_of(instance));
}

/* One after the other in the plan and in time. */
static void record_added(struct plb_session *s, const struct plb__step *step)
{
    const struct plb__instance *before = NULL;
    double seconds = 0.0;
    uint32_t n = 0;

    if (s->device->workers > 1)
        return;
    for (uint32_t k = 0; k < step->program->n_launches; k++) {
        const struct plb__instance *instance = &step->instance[k];

        if (!instance->launch->job || !instance->end)
            continue;
        if (before && instance->start >= before->end) {
            double gap = 1e-9 * (double)(instance->start - before->end);

            seconds += gap < WAIT_SECONDS ? gap : 0.0;
            n += gap < WAIT_SECONDS;
        }
        before = instance;
    }
    if (n > 0)
        plb_costs_record_added(s->planning.costs, seconds / n);
}

void plb__step_record(const struct plb__step *step)
{
    struct plb_session *s = step->session;

    for (uint32_t k = 0; k < step->program->n_launches; k++) {
        const struct plb__instance *instance = &step->instance[k];
        const struct plb__job *job = instance->launch->job;

        if (!instance->end)
            continue;
        if (instance->launch->transfer) {
            if (!step->end[instance->launch->end].sends)
                plb__parts_record(s->outer, instance->launch->bytes, seconds_of(instance));
        } else if (job) {
            s->kind[job->kind].seconds += seconds_of(instance);
            s->kind[job->kind].n++;
        } else if (!instance->launch->beside) {
            record_move(s, instance);
        }
    }
    record_kinds(s);
    record_added(s, step);
}
