/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan that follows another: a place is gone, or seconds have changed.
 *
 * Micro-batches stay, for the graph stays. Replicas that lost nothing keep their stages; those that
 * did get the idle places there are and are searched anew, or divided evenly where they are too
 * large for that in a few milliseconds; or they are given up, and the others share their
 * micro-batches. What is fastest when played is taken.
 */
#include "config.h"

#include "schedulers/parallel/auto/planning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEARCHED_MAX 24u /* places of a replica that is searched anew */

struct again {
    const struct plb_auto_plan *current;
    const bool *gone;
    struct plb__auto_planning planning;
    uint32_t *row, n_row;      /* places, replica by replica */
    uint32_t *n, *of, n_kept;  /* per replica kept: its places, its number in the current plan */
    bool *hurt;                /* ... lost some, or is to be planned anew */
};

static bool is_gone(const struct again *x, uint32_t place)
{
    return x->gone && x->gone[place];
}

/* The places of a replica: entries [from, to) of the current plan's. */
static void places_of(const struct plb_auto_plan *plan, uint32_t r, uint32_t *from, uint32_t *to)
{
    *from = plan->stage[plan->in_replica[r]].place;
    *to = r + 1 < plan->replicas ? plan->stage[plan->in_replica[r + 1]].place : plan->n_places;
}

static uint32_t idle_places(const struct again *x, uint32_t *idle)
{
    uint32_t all = plb_places_count(x->planning.problem->places), n = 0;
    bool *used = calloc(all, sizeof *used);

    for (uint32_t i = 0; used && i < x->current->n_places; i++)
        used[x->current->place[i]] = true;
    for (uint32_t p = 0; used && p < all; p++)
        if (!used[p] && !is_gone(x, p))
            idle[n++] = p;
    free(used);
    return n;
}

/* Replicas in a row, the hurt ones filled up from idle places, or left out. */
static void list_replicas(struct again *x, bool leave_out, const uint32_t *idle, uint32_t n_idle)
{
    uint32_t next = 0;

    x->n_row = x->n_kept = 0;
    for (uint32_t r = 0; r < x->current->replicas; r++) {
        uint32_t from, to, begin = x->n_row;

        places_of(x->current, r, &from, &to);
        for (uint32_t i = from; i < to; i++)
            if (!is_gone(x, x->current->place[i]))
                x->row[x->n_row++] = x->current->place[i];
        x->hurt[x->n_kept] = x->n_row - begin < to - from || !x->gone;
        if (leave_out && x->hurt[x->n_kept]) {
            x->n_row = begin;
            continue;
        }
        while (x->n_row - begin < to - from && next < n_idle)
            x->row[x->n_row++] = idle[next++];
        x->n[x->n_kept] = x->n_row - begin;
        x->of[x->n_kept] = r;
        x->n_kept += x->n_row > begin;
    }
}

/* ---- lines ---- */

static const struct plb__pipe_rule *rule_of(const struct plb_auto_plan *plan)
{
    for (uint32_t i = 0; plb__judge_rules[i]; i++)
        if (strcmp(plb__judge_rules[i]->name, plan->schedule) == 0)
            return plb__judge_rules[i];
    return plb__judge_rules[0];
}

static enum plb_status keep_line(const struct again *x, const struct plb__rows *rows, uint32_t r,
                                 struct plb__line *line)
{
    const struct plb_auto_plan *plan = x->current;
    uint32_t first = plan->in_replica[x->of[r]], n = plan->in_replica[x->of[r] + 1] - first;

    line->n = n;
    line->stage = calloc(n, sizeof *line->stage);
    if (!line->stage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u stages", n);
    for (uint32_t s = 0; s < n; s++) {
        const struct plb_auto_stage *stage = &plan->stage[first + s];
        uint32_t d = 0;

        while (1u << d < stage->degree)
            d++;
        line->stage[s] = (struct plb__line_stage){
            stage->unit, stage->unit_end,
            rows->first[r] + stage->place - plan->stage[first].place, d};
    }
    return PLB_OK;
}

/* Seconds, by the formula, of an even division into as many stages of 2^d places as there can be;
 * HUGE_VAL: none. */
static double try_even(const struct plb__slice *slice, uint32_t d, struct plb__line *line)
{
    uint32_t units = slice->tables->n, p = slice->n >> d < units ? slice->n >> d : units;

    return plb__balance(slice, &plb__rule_1f1b, p, p, d, line) ? plb__line_seconds(slice, line, 0)
                                                               : HUGE_VAL;
}

/* The best of the even divisions; line->n is 0 when there is none. */
static enum plb_status even_line(const struct plb__slice *slice, struct plb__line *line)
{
    double best = HUGE_VAL;
    uint32_t best_d = 0;

    line->stage = calloc(slice->tables->n, sizeof *line->stage);
    if (!line->stage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u units", slice->tables->n);
    for (uint32_t d = 0; d < PLB_AUTO_DEGREES && 1u << d <= slice->n; d++) {
        double seconds = try_even(slice, d, line);

        if (seconds < best)
            best = seconds, best_d = d;
    }
    if (best < HUGE_VAL)
        try_even(slice, best_d, line);
    else
        line->n = 0;
    return PLB_OK;
}

static enum plb_status searched_line(struct again *x, const struct plb__slice *slice,
                                     struct plb__line *line)
{
    struct plb__lines lines;

    PLB_TRY(plb__search(slice, &lines));
    x->planning.visited += lines.visited;
    x->planning.least_bytes = fmin(x->planning.least_bytes, lines.least_bytes);
    if (lines.best[0].n > 0) {
        *line = lines.best[0].line[0];
        lines.best[0].line[0].stage = NULL;
    }
    plb__lines_clear(&lines);
    return PLB_OK;
}

static enum plb_status line_of_class(struct again *x, struct plb__auto_draft *draft, uint32_t c)
{
    const struct plb__rows *rows = draft->rows;
    uint32_t r = rows->of_class[c];
    struct plb__tables tables = *draft->tables;
    struct plb__slice slice = plb__auto_draft_slice(rows, &tables, c, draft->part[c].share);
    struct plb__line *line = &draft->part[c].line;
    bool chunks = rule_of(x->current)->chunks != 1;

    if (!x->hurt[r] && !chunks)
        return keep_line(x, rows, r, line);
    if (slice.n <= SEARCHED_MAX)
        return searched_line(x, &slice, line);
    return even_line(&slice, line);
}

/* ---- drafts ---- */

static enum plb_status deal(const struct plb__rows *rows, struct plb__auto_draft *draft)
{
    uint32_t *share = calloc(rows->replicas, sizeof *share);

    if (!share)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to deal micro-batches");
    plb__rows_deal(rows, draft->tables, draft->micro_batches, draft->shift, share);
    for (uint32_t r = 0; r < rows->replicas; r++) {
        struct plb__part *part = &draft->part[rows->class_of[r]];

        part->share = share[r] > part->share ? share[r] : part->share;
    }
    free(share);
    return PLB_OK;
}

static enum plb_status play_all(struct again *x, const struct plb__auto_draft *draft)
{
    const struct plb__pipe_rule *old = rule_of(x->current);

    PLB_TRY(plb__auto_planning_try(&x->planning, draft, old, false));
    if (old != &plb__rule_1f1b)
        PLB_TRY(plb__auto_planning_try(&x->planning, draft, &plb__rule_1f1b, false));
    if (old != &plb__rule_zb_greedy)
        PLB_TRY(plb__auto_planning_try(&x->planning, draft, &plb__rule_zb_greedy, false));
    return PLB_OK;
}

static enum plb_status try_rows(struct again *x, const struct plb__rows *rows)
{
    struct plb__auto_draft draft = {.rows = rows, .tables = &x->planning.tables[0],
                               .micro_batches = x->current->micro_batches};
    enum plb_status status;
    bool complete = true;

    draft.part = calloc(rows->n_classes, sizeof *draft.part);
    if (!draft.part)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a draft of a plan");
    status = deal(rows, &draft);
    for (uint32_t c = 0; status == PLB_OK && c < rows->n_classes; c++) {
        status = line_of_class(x, &draft, c);
        complete = complete && draft.part[c].line.n > 0;
    }
    if (status == PLB_OK && complete)
        status = play_all(x, &draft);
    plb__auto_draft_clear(&draft);
    return status;
}

/* With the hurt replicas mended, or without them. */
static enum plb_status try_row(struct again *x, bool leave_out, const uint32_t *idle,
                               uint32_t n_idle)
{
    struct plb__auto_planning *planning = &x->planning;
    uint32_t at = planning->n_fleets;

    list_replicas(x, leave_out, idle, n_idle);
    if (x->n_kept == 0 || x->n_kept > x->current->micro_batches)
        return PLB_OK;
    PLB_TRY(plb__fleet_create(planning->problem, x->row, x->n_row, &planning->fleet[at]));
    planning->n_fleets++;
    PLB_TRY(plb__rows_create(&planning->fleet[at], x->n_kept, x->n, &planning->rows[at]));
    planning->n_rows++;
    return try_rows(x, &planning->rows[at]);
}

static enum plb_status try_both(struct again *x)
{
    uint32_t all = plb_places_count(x->planning.problem->places);
    uint32_t *idle = calloc(all, sizeof *idle), n_idle;
    enum plb_status status;

    x->row = calloc(all, sizeof *x->row);
    x->n = calloc(x->current->replicas, sizeof *x->n);
    x->of = calloc(x->current->replicas, sizeof *x->of);
    x->hurt = calloc(x->current->replicas, sizeof *x->hurt);
    x->planning.fleet = calloc(2, sizeof *x->planning.fleet);
    x->planning.rows = calloc(2, sizeof *x->planning.rows);
    if (!idle || !x->row || !x->n || !x->of || !x->hurt || !x->planning.fleet ||
        !x->planning.rows) {
        free(idle);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan again");
    }
    n_idle = idle_places(x, idle);
    status = try_row(x, false, idle, n_idle);
    if (status == PLB_OK && x->gone)
        status = try_row(x, true, idle, 0);
    free(idle);
    return status;
}

enum plb_status plb_auto_plan_again(const struct plb_auto_problem *problem, const bool *gone,
                                    const struct plb_auto_plan *current,
                                    struct plb_auto_plan *plan_out)
{
    struct plb_auto_problem fixed = *problem;
    struct again x = {.current = current, .gone = gone};
    enum plb_status status;

    fixed.micro_batches = current->micro_batches;
    if (problem->goal != PLB_AUTO_THROUGHPUT)
        return plb__auto_plan_without(problem, gone, plan_out);
    status = plb__auto_planning_begin(&fixed, false, NULL, &x.planning);
    if (status == PLB_OK)
        status = try_both(&x);
    if (status == PLB_OK && x.planning.best.part)
        status = plb__auto_planning_end(&x.planning, plan_out);
    else if (status == PLB_OK)
        status = plb__auto_plan_without(&fixed, gone, plan_out);
    plb__auto_planning_clear(&x.planning);
    free(x.row);
    free(x.n);
    free(x.of);
    free(x.hurt);
    return status;
}
