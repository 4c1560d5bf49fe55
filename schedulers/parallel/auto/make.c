/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a plan: every number of replicas and of micro-batches, in every row; the best of what the
 * search finds is played. What this is not: the plan after a loss (again.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/planning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZES_MAX    64u
#define REPLICAS_MAX 64u /* numbers of replicas */
#define ROWS_MAX     (PLB__ORDERS * REPLICAS_MAX)
#define SMALL        16u /* places, up to which every number of replicas is tried */
#define SHIFTS       2   /* micro-batches that may move from one class of replicas to another */
#define SLACK_SMALL  0.4
#define SLACK        0.02
#define COARSE_SMALL 1e-12
#define COARSE       1e-3
#define JOBS_MAX     600000.0 /* played in all, refined plans apart */
#define REFINED_JOBS 4000.0   /* of drafts that trade recomputation, the best first */

/* ---- what is tried ---- */

static bool is_tried(uint32_t n, uint32_t of)
{
    return of <= SMALL || of % n == 0 || (n & (n - 1)) == 0;
}

static enum plb_status find_sizes(struct plb__auto_planning *x)
{
    const struct plb_auto_profile *profile = x->problem->profile;
    uint32_t given = profile->micro_batches ? profile->micro_batches : x->problem->micro_batches;
    bool once = x->problem->goal != PLB_AUTO_THROUGHPUT;

    x->micro_batches = calloc(SIZES_MAX, sizeof *x->micro_batches);
    x->tables = calloc(SIZES_MAX, sizeof *x->tables);
    if (!x->micro_batches || !x->tables)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for sizes of micro-batches");
    if (given && profile->samples % given)
        return plb_fail(PLB_ERROR_INVALID, "%u samples in %u micro-batches do not come out even",
                        profile->samples, given);
    for (uint32_t m = 1; m <= profile->samples && x->n_sizes < SIZES_MAX; m++)
        if (profile->samples % m == 0 && (given == 0 || m == given) && (!once || m == 1))
            x->micro_batches[x->n_sizes++] = m;
    if (once)
        x->n_sizes = 1, x->micro_batches[0] = 1;
    for (uint32_t i = 0; i < x->n_sizes; i++)
        PLB_TRY(plb__tables_create(x->problem,
                                   once ? 1.0 : (double)profile->samples / x->micro_batches[i],
                                   &x->tables[i]));
    return PLB_OK;
}

static enum plb_status add_rows(struct plb__auto_planning *x, const struct plb__fleet *fleet)
{
    uint32_t wanted = x->problem->replicas, of_fleet = 0;

    for (uint32_t r = fleet->n; r >= 1 && of_fleet < REPLICAS_MAX; r--) {
        if (wanted ? r != wanted : !is_tried(r, fleet->n))
            continue;
        PLB_TRY(plb__rows_create(fleet, r, NULL, &x->rows[x->n_rows]));
        x->n_rows++;
        of_fleet++;
    }
    return PLB_OK;
}

static enum plb_status find_rows(struct plb__auto_planning *x, const bool *gone)
{
    uint32_t n, n_orders, *order;
    enum plb_status status;

    PLB_TRY(plb__fleet_orders(x->problem, gone, &order, &n, &n_orders));
    x->fleet = calloc(n_orders, sizeof *x->fleet);
    x->rows = calloc(ROWS_MAX, sizeof *x->rows);
    status = x->fleet && x->rows ? PLB_OK : plb_fail(PLB_ERROR_MEMORY, "no memory for rows");
    for (uint32_t i = 0; status == PLB_OK && i < n_orders; i++) {
        status = plb__fleet_create(x->problem, &order[(size_t)i * n], n, &x->fleet[i]);
        if (status != PLB_OK)
            break;
        x->n_fleets++;
        status = add_rows(x, &x->fleet[i]);
        if (x->fleet[i].alike)
            break;
    }
    free(order);
    if (status == PLB_OK && x->n_rows == 0)
        status = plb_fail(PLB_ERROR_INVALID, "%u replicas on %u places", x->problem->replicas, n);
    return status;
}

void plb__auto_planning_clear(struct plb__auto_planning *x)
{
    plb__auto_pool_clear(&x->pool);
    if (x->best.part)
        plb__auto_draft_clear(&x->best);
    for (uint32_t i = 0; i < x->n_rows; i++)
        plb__rows_clear(&x->rows[i]);
    for (uint32_t i = 0; i < x->n_fleets; i++)
        plb__fleet_clear(&x->fleet[i]);
    for (uint32_t i = 0; i < x->n_sizes; i++)
        plb__tables_clear(&x->tables[i]);
    free(x->rows);
    free(x->fleet);
    free(x->tables);
    free(x->micro_batches);
    *x = (struct plb__auto_planning){.problem = NULL};
}

static const char *goal_names[] = {"throughput", "first token", "next token"};

static enum plb_status check_problem(const struct plb_auto_problem *problem)
{
    uint32_t places = plb_places_count(problem->places), kinds = plb_places_kinds(problem->places);
    const struct plb_auto_profile *profile = problem->profile;
    uint32_t degree = problem->degree;

    PLB_TRY(plb_auto_profile_check(profile));
    if ((unsigned)problem->goal >= sizeof goal_names / sizeof *goal_names)
        return plb_fail(PLB_ERROR_INVALID, "goal %d of a plan", (int)problem->goal);
    if (profile->kinds != kinds)
        return plb_fail(PLB_ERROR_INVALID,
                        "the profile knows %u kinds of devices, the platform has %u",
                        profile->kinds, kinds);
    if (problem->stages > profile->n_units)
        return plb_fail(PLB_ERROR_INVALID, "%u stages for a model of %u units", problem->stages,
                        profile->n_units);
    if (degree && ((degree & (degree - 1)) || degree >= 1u << PLB_AUTO_DEGREES))
        return plb_fail(PLB_ERROR_INVALID, "a tensor degree of %u: a power of two up to %u", degree,
                        1u << (PLB_AUTO_DEGREES - 1));
    for (uint32_t r = 0; degree && r < profile->n_records; r++)
        if (degree > profile->record[r].most_degree)
            return plb_fail(PLB_ERROR_INVALID, "unit \"%s\" cannot be split %u times: %u at most",
                            profile->record[r].name, degree, profile->record[r].most_degree);
    if ((uint64_t)(problem->replicas ? problem->replicas : 1) *
            (problem->stages ? problem->stages : 1) * (degree ? degree : 1) > places)
        return plb_fail(PLB_ERROR_INVALID,
                        "%u replicas of %u stages of %u places each on %u places (0: any)",
                        problem->replicas, problem->stages, degree, places);
    return PLB_OK;
}

enum plb_status plb__auto_planning_begin(const struct plb_auto_problem *problem, bool rows,
                                    const bool *gone, struct plb__auto_planning *x)
{
    *x = (struct plb__auto_planning){.problem = problem, .limit = HUGE_VAL, .least_bytes = HUGE_VAL};
    PLB_TRY(check_problem(problem));
    PLB_TRY(find_sizes(x));
    return rows ? find_rows(x, gone) : PLB_OK;
}

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
    struct plb__part parts[1 + SMALL];
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
    bool small = rows->fleet->n <= SMALL;

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
    uint32_t n = x->rows[choice->rows].n_classes, share[1 + SMALL] = {0};
    struct plb__lines lines[1 + SMALL];
    enum plb_status status;

    if (n > SMALL)
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
    double slack = x->fleet[0].n <= SMALL ? SLACK_SMALL : SLACK;
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

/* Of plans for latency that come to the same, the one with more replicas serves more. */
static bool is_better(const struct plb__auto_planning *x, const struct plb__auto_draft *draft)
{
    if (!x->best.part || draft->seconds == HUGE_VAL)
        return draft->seconds < HUGE_VAL;
    if (draft->seconds < x->best.seconds * PLB__SHORTER)
        return true;
    return x->problem->goal != PLB_AUTO_THROUGHPUT &&
           draft->seconds * PLB__SHORTER < x->best.seconds &&
           draft->rows->replicas > x->best.rows->replicas;
}

enum plb_status plb__auto_planning_take(struct plb__auto_planning *x, struct plb__auto_draft *draft)
{
    if (is_better(x, draft)) {
        if (x->best.part)
            plb__auto_draft_clear(&x->best);
        x->best = *draft;
        draft->part = NULL;
    } else {
        plb__auto_draft_clear(draft);
    }
    return PLB_OK;
}

enum plb_status plb__auto_planning_try(struct plb__auto_planning *x, const struct plb__auto_draft *draft,
                                  const struct plb__pipe_rule *rule, bool refine)
{
    struct plb__auto_draft copy;
    enum plb_status status;

    PLB_TRY(plb__auto_draft_copy(draft, &copy));
    status = plb__auto_draft_play(&copy, rule, refine, &x->played);
    if (status == PLB_OK)
        return plb__auto_planning_take(x, &copy);
    plb__auto_draft_clear(&copy);
    return status;
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
        for (uint32_t p = n <= SMALL ? 1 : n >> d; p <= n >> d && p <= units; p++)
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

enum plb_status plb__auto_planning_end(struct plb__auto_planning *x, struct plb_auto_plan *plan_out)
{
    if (!x->best.part && x->least_bytes < HUGE_VAL)
        return plb_fail(PLB_ERROR_MEMORY,
                        "no plan keeps the budgets: of what was tried, places would need %.0f bytes "
                        "at least",
                        x->least_bytes);
    if (!x->best.part)
        return plb_fail(PLB_ERROR_INVALID, "no plan has these degrees on %u places",
                        plb_places_count(x->problem->places));
    PLB_TRY(plb__auto_draft_write(x->problem, &x->best, plan_out));
    plan_out->visited = x->visited;
    plan_out->played = x->played;
    return PLB_OK;
}

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
