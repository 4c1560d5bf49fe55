/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which micro-batch recomputes how much at which stage.
 *
 * Of f micro-batches that a stage holds at once, x take the leanest level but one that all f could
 * not take, the others the next; levels lie on a convex curve, so that no other mix of f is faster.
 * The pattern repeats every f micro-batches, for any f that follow one another may be held at once.
 * Where in the pattern the generous ones stand, and the first and last micro-batches, for which
 * others rules hold than in the middle, are left to trading: pairs of one stage exchange bytes as
 * long as the played step gets shorter.
 */
#include "config.h"

#include "schedulers/parallel/auto/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIES      16   /* schedules may hold more at once than was thought */
#define PLAYS_MAX  2000u   /* of trading, */
#define JOBS_MAX   300000u /* and the jobs in them */
#define FEW_LEVELS 4u   /* of which each is tried, else one more or less, or all */

struct stage {
    struct plb__level *level;
    uint32_t n, in_flight;
    bool leans; /* some micro-batches recompute */
};

struct recompute {
    struct plb__trial *trial;
    const struct plb__pipe_rule *rule;
    uint32_t stages, m;
    struct stage *stage;
    uint16_t *level; /* [stage][micro-batch] */
    double *peak;    /* per stage, of the last play */
    double *more;    /* per stage: the trial's transient_more, which counts where it recomputes */
    uint32_t plays, plays_max;
};

static void clear(struct recompute *x)
{
    for (uint32_t s = 0; x->stage && s < x->stages; s++)
        free(x->stage[s].level);
    free(x->stage);
    free(x->level);
    free(x->peak);
    free(x->more);
}

static enum plb_status start(struct recompute *x)
{
    x->stage = calloc(x->stages, sizeof *x->stage);
    x->level = calloc((size_t)x->stages * x->m, sizeof *x->level);
    x->peak = calloc(x->stages, sizeof *x->peak);
    x->more = calloc(x->stages, sizeof *x->more);
    if (!x->stage || !x->level || !x->peak || !x->more)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to choose what is recomputed");
    memcpy(x->more, x->trial->transient_more, x->stages * sizeof *x->more);
    for (uint32_t s = 0; s < x->stages; s++)
        PLB_TRY(plb__group_levels(x->trial->slice->tables, &x->trial->group[s],
                                  &x->trial->cost[s], &x->stage[s].level, &x->stage[s].n));
    return PLB_OK;
}

/* ---- levels into the trial ---- */

static void set_level(struct recompute *x, uint32_t s, uint32_t j, uint32_t level)
{
    size_t at = (size_t)s * x->m + j;

    x->level[at] = (uint16_t)level;
    x->trial->lean[at] = x->stage[s].level[level].held;
    x->trial->again[at] = x->stage[s].level[level].again;
}

/* What a schedule must reckon with: the most that a micro-batch leaves, and the room for them. */
static void set_held(struct recompute *x)
{
    double *capacity = x->trial->used + x->stages;
    double *held = x->trial->figures + 5 * (size_t)x->stages;
    double *held_weights = held + x->stages;

    for (uint32_t s = 0; s < x->stages; s++) {
        held[s] = 0;
        for (uint32_t j = 0; j < x->m; j++)
            held[s] = fmax(held[s], x->trial->lean[(size_t)s * x->m + j]);
        if (x->trial->room[s] < HUGE_VAL)
            capacity[s] = fmax(0, x->trial->room[s] - x->trial->transient_more[s]);
        held_weights[s] = fmin(x->trial->cost[s].held_weights, held[s]);
    }
}

static enum plb_status play(struct recompute *x, struct plb__verdict *verdict)
{
    x->plays++;
    set_held(x);
    x->trial->pipeline.lean = x->trial->lean;
    x->trial->pipeline.again = x->trial->again;
    return plb__trial_play(x->trial, x->rule, verdict, x->peak);
}

/* The first of the pattern are the generous ones, or the last. False: not even the leanest fits. */
static bool fill_stage(struct recompute *x, uint32_t s, bool generous_first)
{
    struct stage *stage = &x->stage[s];
    double room = x->trial->room[s], off = PLB__BYTES_OFF * x->trial->used[s];
    uint32_t f = stage->in_flight, lean = 0, generous = 0;

    x->trial->transient_more[s] = 0;
    stage->leans = false;
    if (f * stage->level[0].held > room + off) {
        x->trial->transient_more[s] = x->more[s];
        stage->leans = true;
        room -= x->more[s];
        while (lean < stage->n && f * stage->level[lean].held > room + off)
            lean++;
        if (lean == stage->n)
            return false;
    }
    if (lean > 0) {
        double step = stage->level[lean - 1].held - stage->level[lean].held;

        generous = (uint32_t)fmin(f, (room + off - f * stage->level[lean].held) / step);
    }
    for (uint32_t j = 0; j < x->m; j++) {
        uint32_t at = generous_first ? j % f : f - 1 - j % f;

        set_level(x, s, j, at < generous ? lean - 1 : lean);
    }
    return true;
}

static bool fill_all(struct recompute *x, bool generous_first)
{
    for (uint32_t s = 0; s < x->stages; s++)
        if (!fill_stage(x, s, generous_first))
            return false;
    return true;
}

/* ---- how much is in flight ---- */

static void count_in_flight(struct recompute *x, const double *peak)
{
    for (uint32_t s = 0; s < x->stages; s++) {
        double held = x->trial->cost[s].held;
        double f = held > 0 ? ceil(peak[s] / held - PLB__BYTES_OFF) : 1;

        x->stage[s].in_flight = (uint32_t)fmax(1, fmin(f, x->m));
    }
}

/* More for the stages that held too much; false when there are none. */
static bool raise_in_flight(struct recompute *x)
{
    bool raised = false;

    for (uint32_t s = 0; s < x->stages; s++) {
        double most = x->trial->room[s] - x->trial->transient_more[s];

        if (x->peak[s] > most && x->stage[s].in_flight < x->m) {
            x->stage[s].in_flight++;
            raised = true;
        }
    }
    return raised;
}

static enum plb_status find_fit(struct recompute *x, struct plb__verdict *verdict)
{
    verdict->seconds = HUGE_VAL;
    for (int i = 0; i < TRIES && fill_all(x, true); i++) {
        PLB_TRY(play(x, verdict));
        if (verdict->seconds < HUGE_VAL || !raise_in_flight(x))
            return PLB_OK;
    }
    return PLB_OK;
}

static enum plb_status try_other_phase(struct recompute *x, struct plb__verdict *verdict)
{
    struct plb__verdict other;

    fill_all(x, false);
    PLB_TRY(play(x, &other));
    if (other.seconds < verdict->seconds * PLB__SHORTER)
        *verdict = other;
    else
        fill_all(x, true);
    return PLB_OK;
}

/* ---- trading ---- */

static bool worth_trying(const struct stage *stage, uint32_t from, uint32_t to)
{
    return stage->n <= FEW_LEVELS || to + 1 == from || to == from + 1 || to == 0 ||
           to == stage->n - 1;
}

/* Micro-batch `a` goes to `lean`, `b` to `generous`. Left as it was unless that is faster. */
static enum plb_status trade(struct recompute *x, uint32_t s, uint32_t a, uint32_t lean,
                             uint32_t b, uint32_t generous, struct plb__verdict *verdict)
{
    uint32_t old_a = x->level[(size_t)s * x->m + a], old_b = x->level[(size_t)s * x->m + b];
    struct plb__verdict other;

    set_level(x, s, a, lean);
    set_level(x, s, b, generous);
    PLB_TRY(play(x, &other));
    if (other.seconds < verdict->seconds * PLB__SHORTER) {
        *verdict = other;
        return PLB_OK;
    }
    set_level(x, s, a, old_a);
    set_level(x, s, b, old_b);
    return PLB_OK;
}

static enum plb_status trade_pair(struct recompute *x, uint32_t s, uint32_t a, uint32_t b,
                                  struct plb__verdict *verdict)
{
    const struct stage *stage = &x->stage[s];
    uint32_t from_a = x->level[(size_t)s * x->m + a], from_b = x->level[(size_t)s * x->m + b];
    double before = verdict->seconds;

    for (uint32_t generous = 0; generous < from_b; generous++) {
        uint32_t last = a == b ? from_a : stage->n - 1;

        for (uint32_t lean = from_a; worth_trying(stage, from_b, generous) && lean <= last;
             lean++) {
            if (lean != from_a && !worth_trying(stage, from_a, lean))
                continue;
            PLB_TRY(trade(x, s, a, a == b ? generous : lean, b, generous, verdict));
            if (verdict->seconds < before || x->plays > x->plays_max)
                return PLB_OK;
        }
    }
    return PLB_OK;
}

static enum plb_status trade_all(struct recompute *x, struct plb__verdict *verdict)
{
    double before;

    x->plays_max = JOBS_MAX / (PLB__JOB_KINDS * x->stages * x->m);
    x->plays_max = x->plays_max < PLAYS_MAX ? x->plays_max : PLAYS_MAX;
    do {
        before = verdict->seconds;
        for (uint32_t s = 0; s < x->stages; s++)
            for (uint32_t b = 0; x->stage[s].leans && b < x->m; b++)
                for (uint32_t a = 0; a < x->m && x->plays <= x->plays_max; a++)
                    PLB_TRY(trade_pair(x, s, a, b, verdict));
    } while (verdict->seconds < before && x->plays <= x->plays_max);
    return PLB_OK;
}

/* ---- all of it ---- */

static enum plb_status choose(struct recompute *x, bool refine, struct plb__verdict *verdict)
{
    PLB_TRY(find_fit(x, verdict));
    if (verdict->seconds == HUGE_VAL)
        return PLB_OK;
    PLB_TRY(try_other_phase(x, verdict));
    if (refine)
        PLB_TRY(trade_all(x, verdict));
    verdict->level = x->level;
    x->level = NULL;
    return PLB_OK;
}

enum plb_status plb__recompute(struct plb__trial *trial, const struct plb__pipe_rule *rule,
                               const double *peak, bool refine, struct plb__verdict *verdict_out)
{
    struct recompute x = {.trial = trial, .rule = rule, .stages = trial->pipeline.stages,
                          .m = trial->pipeline.micro_batches};
    enum plb_status status = start(&x);

    if (status == PLB_OK) {
        count_in_flight(&x, peak);
        status = choose(&x, refine, verdict_out);
    }
    clear(&x);
    return status;
}
