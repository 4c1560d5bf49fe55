/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a plan: every number of replicas and of micro-batches, in every row; the best of what the
 * search finds is played. What this is not: rows and tables (planning.c), the plan after a loss
 * (again.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/planning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHIFTS       2   /* micro-batches that may move from one class of replicas to another */
#define SLACK_SMALL  0.4
#define SLACK        0.02
#define COARSE_SMALL 1e-12
#define COARSE       1e-3
#define JOBS_MAX     300000.0 /* played in all, refined plans apart */
#define REFINED_JOBS 4000.0   /* of drafts that trade recomputation, the best first */

/* ---- searching ---- */

/* One number of replicas in one row, of micro-batches, one deal. */
struct choice {
    uint32_t rows, size;
    int shift;
    double bound; /* seconds that no plan of it is below */
};

static double bound_of(const struct plb__auto_planning *x, uint32_t rows, uint32_t size)
{
    const struct plb__tables *t = &x->tables[size];
    double places = x->rows[rows].replicas * (double)x->rows[rows].n[0];
    double all = t->least_work[t->n] * (t->forward_only ? 1 : x->micro_batches[size]);

    return t->forward_only ? all / x->rows[rows].n[0] : all / places;
}

static int by_bound(const void *p, const void *q)
{
    const struct choice *a = p, *b = q;

    if (a->bound != b->bound)
        return a->bound < b->bound ? -1 : 1;
    if (a->rows != b->rows)
        return a->rows < b->rows ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return (a->shift > b->shift) - (a->shift < b->shift);
}

static uint32_t list_choices(const struct plb__auto_planning *x, struct choice *choice)
{
    uint32_t n = 0;

    for (uint32_t r = 0; r < x->n_rows; r++) {
        for (uint32_t i = 0; i < x->n_sizes; i++) {
            bool once = x->problem->goal != PLB_AUTO_THROUGHPUT;
            int most = x->rows[r].n_classes > 1 && !once ? SHIFTS : 0;

            if (!once && x->micro_batches[i] < x->rows[r].replicas)
                continue;
            for (int shift = -most; shift <= most; shift++)
                choice[n++] = (struct choice){r, i, shift, bound_of(x, r, i)};
        }
    }
    qsort(choice, n, sizeof *choice, by_bound);
    return n;
}

/* The i-th best lines of all classes as a draft. */
static enum plb_status draft_lines(struct plb__auto_planning *x, const struct choice *choice,
                                   const struct plb__lines *lines, const uint32_t *share,
                                   uint32_t list, uint32_t i)
{
    const struct plb__rows *rows = &x->rows[choice->rows];
    struct plb__part parts[1 + PLB__SMALL_FLEET];
    struct plb__auto_draft draft = {.rows = rows, .tables = &x->tables[choice->size],
                               .micro_batches = x->micro_batches[choice->size],
                               .shift = choice->shift, .list = list, .part = parts}, copy;

    memset(parts, 0, sizeof parts);
    for (uint32_t c = 0; c < rows->n_classes; c++) {
        const struct plb__best *best = &lines[c].best[list];

        parts[c].line = best->line[i < best->n ? i : best->n - 1];
        parts[c].share = share[c];
        draft.seconds = fmax(draft.seconds, parts[c].line.seconds);
    }
    PLB_TRY(plb__auto_draft_copy(&draft, &copy));
    if (list == 0)
        x->limit = fmin(x->limit, draft.seconds);
    plb__auto_pool_add(&x->pool, &copy);
    return PLB_OK;
}

static enum plb_status draft_all(struct plb__auto_planning *x, const struct choice *choice,
                                 const struct plb__lines *lines, const uint32_t *share)
{
    const struct plb__rows *rows = &x->rows[choice->rows];

    for (uint32_t list = 0; list < PLB__LISTS; list++) {
        uint32_t most = 0;

        for (uint32_t c = 0; c < rows->n_classes; c++) {
            if (lines[c].best[list].n == 0)
                return PLB_OK;
            most = lines[c].best[list].n > most ? lines[c].best[list].n : most;
        }
        for (uint32_t i = 0; i < most; i++)
            PLB_TRY(draft_lines(x, choice, lines, share, list, i));
    }
    return PLB_OK;
}

static enum plb_status search_classes(struct plb__auto_planning *x, const struct choice *choice,
                                      struct plb__lines *lines, const uint32_t *share)
{
    const struct plb__rows *rows = &x->rows[choice->rows];
    bool small = rows->fleet->n <= PLB__SMALL_FLEET;

    for (uint32_t c = 0; c < rows->n_classes; c++) {
        struct plb__tables tables = x->tables[choice->size];
        struct plb__slice slice = plb__auto_draft_slice(rows, &tables, c, share[c]);

        slice.slack = small ? SLACK_SMALL : SLACK;
        slice.coarse = small ? COARSE_SMALL : COARSE;
        slice.limit = x->limit * (1 + slice.slack);
        PLB_TRY(plb__search(&slice, &lines[c]));
        x->visited += lines[c].visited;
        x->least_bytes = fmin(x->least_bytes, lines[c].least_bytes);
        if (lines[c].best[0].n == 0)
            return PLB_OK;
    }
    return draft_all(x, choice, lines, share);
}

/* The greatest share of each class. */
static enum plb_status deal(const struct plb__auto_planning *x, const struct choice *choice,
                            uint32_t *of_class)
{
    const struct plb__rows *rows = &x->rows[choice->rows];
    uint32_t *share = calloc(rows->replicas, sizeof *share);

    if (!share)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to deal micro-batches");
    if (x->problem->goal == PLB_AUTO_THROUGHPUT)
        plb__rows_deal(rows, &x->tables[choice->size], x->micro_batches[choice->size],
                       choice->shift, share);
    for (uint32_t r = 0; r < rows->replicas; r++) {
        uint32_t *most = &of_class[rows->class_of[r]];

        *most = share[r] > *most ? share[r] : *most;
    }
    for (uint32_t c = 0; c < rows->n_classes; c++)
        of_class[c] = of_class[c] ? of_class[c] : 1;
    free(share);
    return PLB_OK;
}

static enum plb_status search_choice(struct plb__auto_planning *x, const struct choice *choice)
{
    uint32_t n = x->rows[choice->rows].n_classes, share[1 + PLB__SMALL_FLEET] = {0};
    struct plb__lines lines[1 + PLB__SMALL_FLEET];
    enum plb_status status;

    if (n > PLB__SMALL_FLEET)
        return PLB_OK; /* every replica another: fewer, larger ones are tried, too */
    memset(lines, 0, sizeof lines);
    status = deal(x, choice, share);
    if (status == PLB_OK)
        status = search_classes(x, choice, lines, share);
    for (uint32_t c = 0; c < n; c++)
        plb__lines_clear(&lines[c]);
    return status;
}

/* Even lines on all places of alike replicas, by the formula: a first limit to what is searched. */
static enum plb_status seed_limit(struct plb__auto_planning *x, const struct choice *choice)
{
    const struct plb__rows *rows = &x->rows[choice->rows];
    struct plb__tables tables = x->tables[choice->size];
    uint32_t share = 0, n = rows->n[0], units = tables.n, wanted = x->problem->degree;
    struct plb__line line = {.stage = NULL};
    struct plb__slice slice;

    if (rows->n_classes > 1)
        return PLB_OK;
    PLB_TRY(deal(x, choice, &share));
    slice = plb__auto_draft_slice(rows, &tables, 0, share);
    line.stage = calloc(units, sizeof *line.stage);
    if (!line.stage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u units", units);
    for (uint32_t d = 0; d < PLB_AUTO_DEGREES && 1u << d <= n; d++) {
        uint32_t p = n >> d < units ? n >> d : units;

        p = x->problem->stages && x->problem->stages < p ? x->problem->stages : p;
        if ((!wanted || wanted == 1u << d) &&
            plb__balance(&slice, &plb__rule_1f1b, p, p, d, &line))
            x->limit = fmin(x->limit, plb__line_seconds(&slice, &line, 0));
    }
    free(line.stage);
    return PLB_OK;
}

static enum plb_status search_all(struct plb__auto_planning *x)
{
    struct choice *choice =
        calloc((size_t)x->n_rows * x->n_sizes * (2 * SHIFTS + 1), sizeof *choice);
    double slack = x->fleet[0].n <= PLB__SMALL_FLEET ? SLACK_SMALL : SLACK;
    enum plb_status status = PLB_OK;
    uint32_t n;

    if (!choice)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u rows", x->n_rows);
    n = list_choices(x, choice);
    for (uint32_t i = 0; status == PLB_OK && i < n; i++)
        status = seed_limit(x, &choice[i]);
    for (uint32_t i = 0; status == PLB_OK && i < n; i++)
        if (choice[i].bound <= x->limit * (1 + slack))
            status = search_choice(x, &choice[i]);
    free(choice);
    return status;
}

/* ---- playing ---- */

static bool is_wanted(const struct plb__auto_planning *x, const struct plb__pipe_rule *rule)
{
    if (x->problem->goal != PLB_AUTO_THROUGHPUT)
        return rule == &plb__rule_gpipe;
    return !x->problem->schedule || strcmp(x->problem->schedule, rule->name) == 0;
}

static double jobs_of(const struct plb__auto_draft *draft)
{
    double jobs = 0;

    for (uint32_t c = 0; c < draft->rows->n_classes; c++)
        jobs += 3.0 * draft->part[c].line.n * draft->part[c].share;
    return jobs;
}

/* No schedule makes the slowest stage do less than its micro-batches. */
static bool is_hopeless(const struct plb__auto_planning *x, const struct plb__auto_draft *draft)
{
    for (uint32_t c = 0; x->best.part && c < draft->rows->n_classes; c++)
        if (draft->part[c].share * draft->part[c].line.slowest > x->best.seconds)
            return true;
    return false;
}

/* With one stage each all rules come to the same. */
static bool has_no_pipeline(const struct plb__auto_draft *draft)
{
    for (uint32_t c = 0; c < draft->rows->n_classes; c++)
        if (draft->part[c].line.n > 1)
            return false;
    return true;
}

static enum plb_status play_rules(struct plb__auto_planning *x, const struct plb__auto_draft *draft,
                                  double *jobs, bool refine)
{
    bool tried = false;

    for (uint32_t i = 0; plb__judge_rules[i]; i++) {
        if (!is_wanted(x, plb__judge_rules[i]) ||
            (plb__judge_rules[i]->chunks == 1 && is_hopeless(x, draft)) ||
            (tried && has_no_pipeline(draft)))
            continue;
        tried = true;
        PLB_TRY(plb__auto_planning_try(x, draft, plb__judge_rules[i], refine));
        *jobs += jobs_of(draft);
    }
    return PLB_OK;
}

static enum plb_status play_pool(struct plb__auto_planning *x)
{
    double jobs = 0;

    for (uint32_t i = 0; i < PLB__POOL; i++)
        for (uint32_t l = 0; l < PLB__LISTS; l++)
            if (i < x->pool.n[l] && (i == 0 || jobs < JOBS_MAX))
                PLB_TRY(play_rules(x, &x->pool.draft[l][i], &jobs,
                                   (i + 1) * jobs_of(&x->pool.draft[l][i]) < REFINED_JOBS));
    return PLB_OK;
}

/* ---- what the fixed policies do ---- */

static enum plb_status play_fixed_line(struct plb__auto_planning *x, const struct choice *choice,
                                       uint32_t stages, uint32_t d, double *jobs)
{
    const struct plb__rows *rows = &x->rows[choice->rows];
    struct plb__part part = {.share = 0};
    struct plb__auto_draft draft = {.rows = rows, .tables = &x->tables[choice->size],
                               .micro_batches = x->micro_batches[choice->size], .part = &part};
    struct plb__tables tables = x->tables[choice->size];
    struct plb__slice slice;
    enum plb_status status = PLB_OK;

    PLB_TRY(deal(x, choice, &part.share));
    slice = plb__auto_draft_slice(rows, &tables, 0, part.share);
    part.line.stage = calloc(stages, sizeof *part.line.stage);
    if (!part.line.stage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u stages", stages);
    if (plb__balance(&slice, &plb__rule_1f1b, stages, stages, d, &part.line))
        status = play_rules(x, &draft, jobs, false);
    free(part.line.stage);
    return status;
}

/* Even lines that use all places, where replicas are alike. */
static enum plb_status play_fixed(struct plb__auto_planning *x, const struct choice *choice,
                                  double *jobs)
{
    uint32_t n = x->rows[choice->rows].n[0], units = x->problem->profile->n_units;

    if (x->rows[choice->rows].n_classes > 1 || choice->shift != 0)
        return PLB_OK;
    for (uint32_t d = 0; d < PLB_AUTO_DEGREES && 1u << d <= n; d++) {
        if (x->problem->degree && x->problem->degree != 1u << d)
            continue;
        for (uint32_t p = n <= PLB__SMALL_FLEET ? 1 : n >> d; p <= n >> d && p <= units; p++)
            if ((!x->problem->stages || p == x->problem->stages) &&
                (choice->bound <= x->best.seconds || !x->best.part) && *jobs < 2 * JOBS_MAX)
                PLB_TRY(play_fixed_line(x, choice, p, d, jobs));
    }
    return PLB_OK;
}

static enum plb_status play_all_fixed(struct plb__auto_planning *x)
{
    struct choice *choice =
        calloc((size_t)x->n_rows * x->n_sizes * (2 * SHIFTS + 1), sizeof *choice);
    enum plb_status status = PLB_OK;
    double jobs = 0;
    uint32_t n;

    if (!choice)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u rows", x->n_rows);
    n = list_choices(x, choice);
    for (uint32_t i = 0; status == PLB_OK && i < n; i++)
        status = play_fixed(x, &choice[i], &jobs);
    free(choice);
    return status;
}

/* ---- all of it ---- */

enum plb_status plb__auto_plan_without(const struct plb_auto_problem *problem, const bool *gone,
                                  struct plb_auto_plan *plan_out)
{
    struct plb__auto_planning x;
    enum plb_status status = plb__auto_planning_begin(problem, true, gone, &x);

    if (status == PLB_OK)
        status = search_all(&x);
    if (status == PLB_OK)
        status = play_pool(&x);
    if (status == PLB_OK)
        status = play_all_fixed(&x);
    if (status == PLB_OK)
        status = plb__auto_planning_end(&x, plan_out);
    plb__auto_planning_clear(&x);
    return status;
}

enum plb_status plb_auto_plan_make(const struct plb_auto_problem *problem,
                                   struct plb_auto_plan *plan_out)
{
    return plb__auto_plan_without(problem, NULL, plan_out);
}
