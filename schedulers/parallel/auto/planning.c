/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What planning begins with (sizes of micro-batches, rows of places, numbers of replicas) and ends
 * with. What this is not: the search (make.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/planning.h"

#include <math.h>
#include <stdlib.h>

#define SIZES_MAX    64u
#define REPLICAS_MAX 64u /* numbers of replicas */
#define ROWS_MAX     (PLB__ORDERS * REPLICAS_MAX)

/* ---- what is tried ---- */

static bool is_tried(uint32_t n, uint32_t of)
{
    return of <= PLB__SMALL_FLEET || of % n == 0 || (n & (n - 1)) == 0;
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
    *x = (struct plb__auto_planning){
        .problem = problem, .limit = HUGE_VAL, .least_bytes = HUGE_VAL};
    PLB_TRY(check_problem(problem));
    PLB_TRY(find_sizes(x));
    return rows ? find_rows(x, gone) : PLB_OK;
}

/* ---- the best ---- */

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

/* Takes a played draft over: kept when it is the best so far, else dropped. */
static void take(struct plb__auto_planning *x, struct plb__auto_draft *draft)
{
    if (is_better(x, draft)) {
        if (x->best.part)
            plb__auto_draft_clear(&x->best);
        x->best = *draft;
        draft->part = NULL;
    } else {
        plb__auto_draft_clear(draft);
    }
}

enum plb_status plb__auto_planning_try(struct plb__auto_planning *x,
                                       const struct plb__auto_draft *draft,
                                  const struct plb__pipe_rule *rule, bool refine)
{
    struct plb__auto_draft copy;
    enum plb_status status;

    PLB_TRY(plb__auto_draft_copy(draft, &copy));
    status = plb__auto_draft_play(&copy, rule, refine, &x->played);
    if (status == PLB_OK)
        take(x, &copy);
    else
        plb__auto_draft_clear(&copy);
    return status;
}

enum plb_status plb__auto_planning_end(struct plb__auto_planning *x, struct plb_auto_plan *plan_out)
{
    if (!x->best.part && x->least_bytes < HUGE_VAL)
        return plb_fail(PLB_ERROR_MEMORY,
                        "no plan keeps the budgets: of what was tried, places would need %.0f "
                        "bytes at least",
                        x->least_bytes);
    if (!x->best.part)
        return plb_fail(PLB_ERROR_INVALID, "no plan has these degrees on %u places",
                        plb_places_count(x->problem->places));
    PLB_TRY(plb__auto_draft_write(x->problem, &x->best, plan_out));
    plan_out->visited = x->visited;
    plan_out->played = x->played;
    return PLB_OK;
}
