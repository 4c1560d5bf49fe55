/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a line to a pipeline, and its play. What this is not: recomputation (recompute.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct plb__pipe_rule *const plb__judge_rules[] = {
    &plb__rule_1f1b,  &plb__rule_gpipe,       &plb__rule_zb_h1, &plb__rule_zb_greedy,
    &plb__rule_interleaved, &plb__rule_zb_v, NULL,
};

void plb__verdict_clear(struct plb__verdict *verdict)
{
    free(verdict->level);
    verdict->level = NULL;
}

/* ---- the pipeline of a line ---- */

static enum plb_status take_memory(struct plb__trial *x)
{
    struct plb__pipeline *p = &x->pipeline;
    uint32_t c = p->chunks, s = p->stages;
    size_t cells = (size_t)c * p->micro_batches;
    double *at;

    x->group = calloc(c, sizeof *x->group);
    x->cost = calloc(c, sizeof *x->cost);
    x->stage_of = calloc(c, sizeof *x->stage_of);
    x->figures = calloc(7 * (size_t)c + 5 * (size_t)s + 2 * cells, sizeof *x->figures);
    if (!x->group || !x->cost || !x->stage_of || !x->figures)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a pipeline of %u chunks", c);
    at = x->figures;
    for (int k = 0; k < PLB__JOB_KINDS; k++, at += c)
        p->seconds[k] = at;
    p->travel_forward = at, at += c;
    p->travel_backward = at, at += c;
    p->held = at, at += c;
    p->held_w = at, at += c;
    x->room = at, at += s;
    x->tail = at, at += s;
    x->transient_more = at, at += s;
    x->used = at, at += s;
    p->capacity = at, at += s;
    x->lean = at, at += cells;
    x->again = at;
    p->stage_of = x->stage_of;
    return PLB_OK;
}

static void price_chunk(struct plb__trial *x, uint32_t c)
{
    const struct plb__slice *slice = x->slice;
    const struct plb__line_stage *stage = &x->line->stage[c];
    const struct plb_auto_profile *profile = slice->tables->profile;
    uint32_t n = x->pipeline.chunks, end = stage->entry + (1u << stage->d) - 1;
    double *figures = x->figures;

    x->group[c] = (struct plb__group){stage->from, stage->to, slice->fleet->kind[stage->entry],
                                      stage->d, slice->fleet->ring[stage->d][stage->entry]};
    x->cost[c] = plb__group_cost(slice->tables, &x->group[c]);
    figures[c] = x->cost[c].forward;
    figures[n + c] = x->cost[c].inputs;
    figures[2 * n + c] = x->cost[c].weights;
    if (c + 1 < n) {
        double bytes = profile->record[profile->unit[stage->to - 1]].boundary *
                       slice->tables->samples;
        uint32_t next = stage[1].entry;

        figures[3 * n + c] = plb__fleet_seconds(slice->fleet, end, next, bytes);
        figures[4 * n + c + 1] = plb__fleet_seconds(slice->fleet, next, end, bytes);
    }
    figures[5 * n + c] = x->cost[c].held;
    figures[6 * n + c] = fmin(x->cost[c].held_weights, x->cost[c].held);
}

static void price_stages(struct plb__trial *x, const struct plb__pipe_rule *rule)
{
    double *capacity = x->used + x->pipeline.stages;

    for (uint32_t c = 0; c < x->pipeline.chunks; c++) {
        const struct plb__cost *cost = &x->cost[c];
        uint32_t s = x->stage_of[c];

        x->used[s] += cost->fixed;
        x->tail[s] += plb__slice_tail(x->slice, cost);
        x->room[s] = fmax(x->room[s], cost->transient);
        x->transient_more[s] = fmax(x->transient_more[s],
                                    cost->transient_again - cost->transient);
        capacity[s] += rule->in_flight * x->pipeline.stages * cost->held;
    }
    for (uint32_t c = 0; c < x->pipeline.chunks; c++) {
        uint32_t s = x->stage_of[c];

        if (s >= x->pipeline.stages || c != s)
            continue;
        x->used[s] += x->room[s];
        x->room[s] = x->group[c].ring.capacity - x->used[s];
        if (x->room[s] < HUGE_VAL)
            capacity[s] = fmax(0, x->room[s]);
    }
}

enum plb_status plb__trial_create(const struct plb__slice *slice, const struct plb__line *line,
                                  const struct plb__pipe_rule *rule, struct plb__trial *trial_out)
{
    uint32_t v = rule->chunks ? rule->chunks : 2;
    struct plb__trial x = {.slice = slice, .line = line};
    enum plb_status status;

    x.pipeline = (struct plb__pipeline){.stages = line->n / v, .chunks = line->n,
                                        .micro_batches = slice->micro_batches,
                                        .fused = rule->fused};
    status = take_memory(&x);
    if (status != PLB_OK) {
        plb__trial_clear(&x);
        return status;
    }
    for (uint32_t c = 0; c < line->n; c++) {
        x.stage_of[c] = plb__rule_stage(rule, c, x.pipeline.stages);
        price_chunk(&x, c);
    }
    price_stages(&x, rule);
    if (rule->in_flight == 0)
        x.pipeline.capacity = NULL;
    *trial_out = x;
    return PLB_OK;
}

void plb__trial_clear(struct plb__trial *x)
{
    free(x->group);
    free(x->cost);
    free(x->stage_of);
    free(x->figures);
    *x = (struct plb__trial){.line = NULL};
}

/* ---- playing ---- */

static void take_times(const struct plb__trial *x, const struct plb__schedule *schedule,
                       const struct plb__pipeline_times *times, struct plb__verdict *verdict)
{
    verdict->seconds = 0;
    verdict->bubble = times->bubble;
    verdict->most_bytes = 0;
    for (uint32_t s = 0; s < x->pipeline.stages; s++) {
        double more = x->pipeline.lean ? x->transient_more[s] : 0;
        double bytes = x->used[s] + more + times->peak[s];
        uint32_t last = schedule->in_stage[s + 1];

        verdict->most_bytes = fmax(verdict->most_bytes, bytes);
        verdict->seconds = fmax(verdict->seconds, times->end[last - 1] + x->tail[s]);
        if (times->peak[s] + more > x->room[s] + PLB__BYTES_OFF * (x->used[s] + times->peak[s]))
            verdict->seconds = HUGE_VAL;
        if (verdict->seconds == HUGE_VAL)
            return;
    }
}

enum plb_status plb__trial_play(const struct plb__trial *x, const struct plb__pipe_rule *rule,
                                struct plb__verdict *verdict_out, double *peak_out)
{
    struct plb__verdict verdict = {.rule = rule, .seconds = HUGE_VAL};
    struct plb__schedule schedule = {0};
    struct plb__pipeline_times times = {0};
    enum plb_status status = rule->order(&x->pipeline, &schedule);

    if (status == PLB_OK)
        status = plb__pipeline_play(&x->pipeline, &schedule, &times);
    if (status == PLB_OK) {
        take_times(x, &schedule, &times, &verdict);
        if (peak_out)
            memcpy(peak_out, times.peak, x->pipeline.stages * sizeof *peak_out);
    } else if (status == PLB_ERROR_INVALID || status == PLB_ERROR_MEMORY) {
        status = PLB_OK; /* the rule is not for this pipeline, or not within this memory */
        plb_error_clear();
    }
    plb__schedule_clear(&schedule);
    plb__pipeline_times_clear(&times);
    if (status == PLB_OK)
        *verdict_out = verdict;
    return status;
}

static enum plb_status judge_trial(struct plb__trial *x, const struct plb__pipe_rule *rule,
                                   bool refine, struct plb__verdict *verdict_out)
{
    double *peak = calloc(x->pipeline.stages, sizeof *peak);
    enum plb_status status;

    if (!peak)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the peaks of %u stages",
                        x->pipeline.stages);
    status = plb__trial_play(x, rule, verdict_out, peak);
    if (status == PLB_OK && verdict_out->seconds == HUGE_VAL && rule->chunks == 1)
        status = plb__recompute(x, rule, peak, refine, verdict_out);
    free(peak);
    return status;
}

enum plb_status plb__judge(const struct plb__slice *slice, const struct plb__line *line,
                           const struct plb__pipe_rule *rule, bool refine,
                           struct plb__verdict *verdict_out)
{
    struct plb__trial x;
    enum plb_status status;
    bool fits = true;

    PLB_TRY(plb__trial_create(slice, line, rule, &x));
    *verdict_out = (struct plb__verdict){.rule = rule, .seconds = HUGE_VAL};
    for (uint32_t s = 0; s < x.pipeline.stages; s++)
        fits = fits && x.room[s] >= -PLB__BYTES_OFF * x.used[s];
    for (uint32_t c = 0; c + 1 < x.pipeline.chunks; c++)
        fits = fits && x.pipeline.travel_forward[c] + x.pipeline.travel_backward[c + 1] < HUGE_VAL;
    status = fits ? judge_trial(&x, rule, refine, verdict_out) : PLB_OK;
    plb__trial_clear(&x);
    return status;
}
