/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of jobs that comes out when each stage, whenever it is free, takes the best of what is
 * ready: list scheduling in virtual time. It follows whatever jobs take, travel and hold, and could
 * be asked during a run as well.
 */
#include "config.h"

#include "schedulers/parallel/common/rule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDING 1e-9 /* of sums of bytes that are no whole numbers */

struct greedy {
    const struct plb__pipeline *pipeline;
    struct plb__orders orders;
    double *end;              /* per number of a job; below zero: not begun */
    uint32_t *begun;          /* per kind and chunk: micro-batches begun; they come in order */
    double *reserve;          /* per chunk: of one micro-batch in the later chunks of its stage */
    uint32_t *first, *later;  /* per stage its first chunk; per chunk the next one of its stage */
    double *held;             /* per stage, when its job has ended */
    double *free_at, *look;   /* per stage: when its job ends; when to look at it next */
    size_t n_left;
};

static void greedy_clear(struct greedy *g)
{
    plb__orders_drop(&g->orders);
    free(g->end);
    free(g->begun);
    free(g->reserve);
    free(g->first);
    free(g->later);
    free(g->held);
    free(g->free_at);
    free(g->look);
}

static enum plb_status check_capacity(const struct greedy *g)
{
    const struct plb__pipeline *pipeline = g->pipeline;

    for (uint32_t s = 0; pipeline->capacity && s < pipeline->stages; s++) {
        uint32_t c = g->first[s];
        double need = c == UINT32_MAX ? 0 : pipeline->held[c] + g->reserve[c];

        if (!(need <= pipeline->capacity[s] * (1 + ROUNDING)))
            return plb_fail(PLB_ERROR_MEMORY, "stage %u of %u can hold %.0f bytes for the backward "
                            "pass, a micro-batch leaves %.0f", s, pipeline->stages,
                            pipeline->capacity[s], need);
    }
    return PLB_OK;
}

static enum plb_status greedy_start(struct greedy *g)
{
    const struct plb__pipeline *pipeline = g->pipeline;
    uint32_t p = pipeline->stages, chunks = pipeline->chunks;
    size_t jobs = plb__pipeline_jobs(pipeline);

    PLB_TRY(plb__orders_begin(pipeline, &g->orders));
    g->end = malloc(jobs * sizeof *g->end);
    g->begun = calloc((size_t)PLB__JOB_KINDS * chunks, sizeof *g->begun);
    g->reserve = calloc(chunks, sizeof *g->reserve);
    g->first = malloc(p * sizeof *g->first);
    g->later = malloc(chunks * sizeof *g->later);
    g->held = calloc(p, sizeof *g->held);
    g->free_at = calloc(p, sizeof *g->free_at);
    g->look = calloc(p, sizeof *g->look);
    if (!g->end || !g->begun || !g->reserve || !g->first || !g->later || !g->held || !g->free_at ||
        !g->look)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the order of %zu jobs", jobs);
    for (size_t k = 0; k < jobs; k++)
        g->end[k] = -1;
    memset(g->first, 0xff, p * sizeof *g->first);
    for (uint32_t c = chunks; c-- > 0;) {
        uint32_t s = pipeline->stage_of[c], after = g->first[s];

        g->later[c] = after;
        g->reserve[c] = after == UINT32_MAX ? 0 : g->reserve[after] + pipeline->held[after];
        g->first[s] = c;
    }
    g->n_left = pipeline->fused ? jobs / PLB__JOB_KINDS * 2 : jobs;
    return check_capacity(g);
}

/* ---- one stage at one moment ---- */

static bool fits(const struct greedy *g, uint32_t s, uint32_t c)
{
    const struct plb__pipeline *pipeline = g->pipeline;

    return !pipeline->capacity || g->held[s] + pipeline->held[c] + g->reserve[c] <=
                                      pipeline->capacity[s] * (1 + ROUNDING);
}

/* Is `a`, of the same kind, to be taken before `b`? */
static bool goes_first(struct plb__pipe_job a, struct plb__pipe_job b)
{
    if (a.kind == PLB__JOB_F)
        return a.chunk > b.chunk;
    if (a.micro_batch != b.micro_batch)
        return a.micro_batch < b.micro_batch;
    return a.chunk > b.chunk;
}

/* The best job of a kind that can start by `now`; `later` is lowered to when another can. */
static bool find_job(const struct greedy *g, uint32_t s, enum plb__job_kind kind, double now,
                     struct plb__pipe_job *job_out, double *later)
{
    const struct plb__pipeline *pipeline = g->pipeline;
    bool found = false;

    for (uint32_t c = g->first[s]; c != UINT32_MAX; c = g->later[c]) {
        struct plb__pipe_job job = {kind, c, g->begun[kind * pipeline->chunks + c]};
        double ready;

        if (job.micro_batch >= pipeline->micro_batches || (kind == PLB__JOB_F && !fits(g, s, c)))
            continue;
        ready = plb__job_ready(pipeline, job, g->end);
        if (ready > now)
            *later = fmin(*later, ready);
        else if (!found || goes_first(job, *job_out))
            *job_out = job, found = true;
    }
    return found;
}

static void begin(struct greedy *g, uint32_t s, double now, struct plb__pipe_job job)
{
    const struct plb__pipeline *pipeline = g->pipeline;
    double end = now + plb__job_seconds(pipeline, job);
    uint32_t next = plb__job_next_stage(pipeline, job);

    plb__orders_add(&g->orders, s, job.kind, job.chunk, job.micro_batch);
    g->begun[job.kind * pipeline->chunks + job.chunk]++;
    g->end[plb__job_number(pipeline, job)] = end;
    g->held[s] += plb__job_holds(pipeline, job) + plb__job_frees(pipeline, job);
    g->free_at[s] = g->look[s] = end;
    g->n_left--;
    if (next != UINT32_MAX && next != s)
        g->look[next] = fmax(g->free_at[next], now);
}

static void look_at(struct greedy *g, uint32_t s, double now)
{
    static const enum plb__job_kind kinds[] = {PLB__JOB_B, PLB__JOB_F, PLB__JOB_W};
    struct plb__pipe_job job;
    double later = HUGE_VAL;

    for (int k = 0; k < (g->pipeline->fused ? 2 : 3); k++) {
        if (find_job(g, s, kinds[k], now, &job, &later)) {
            begin(g, s, now, job);
            return;
        }
    }
    g->look[s] = later;
}

static enum plb_status order_all(struct greedy *g)
{
    while (g->n_left > 0) {
        uint32_t next = 0;

        for (uint32_t s = 1; s < g->pipeline->stages; s++)
            if (g->look[s] < g->look[next])
                next = s;
        if (g->look[next] == HUGE_VAL)
            return plb_fail(PLB_ERROR_INTERNAL, "stages wait for each other for ever");
        look_at(g, next, g->look[next]);
    }
    return PLB_OK;
}

enum plb_status plb__order_greedily(const struct plb__pipeline *pipeline,
                                    struct plb__schedule *schedule_out)
{
    struct greedy g = {.pipeline = pipeline};
    enum plb_status status = greedy_start(&g);

    if (status == PLB_OK)
        status = order_all(&g);
    if (status == PLB_OK)
        plb__orders_end(&g.orders, schedule_out);
    greedy_clear(&g);
    return status;
}
