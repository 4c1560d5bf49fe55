/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * auto: the fastest of all that is known, for a graph that is there.
 *
 * Micro-batches and shards are the graph's. Stages, their places and degrees, replicas and the
 * order of jobs are chosen (auto.h) from a profile of the graph; and the fixed policies are asked
 * with every number of replicas that divides the places. Each plan is spread and played task by
 * task, and the fastest that keeps the budgets is taken; where none does (what a place recomputes
 * or sends away is its memory policy's to say), the fastest.
 */
#include "config.h"

#include "schedulers/parallel/auto/graph.h"
#include "schedulers/parallel/auto/judge.h"
#include "schedulers/schedulers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 15e5 /* of all plans that are played, but for the planner's own */

struct choice {
    const struct plb_parallel_problem *problem;
    const struct plb__jobs *jobs;
    struct plb_hybrid best;
    double seconds;  /* of the best; HUGE_VAL: there is none */
    bool over;       /* it passes a budget */
    double tasks;    /* played so far */
};

/* ---- playing ---- */

static bool passes_budget(const struct choice *x, const struct plb_spread_simulation *played)
{
    for (uint32_t p = 0; x->problem->budget && p < played->n_places; p++)
        if (played->place[p].peak > x->problem->budget[p])
            return true;
    return false;
}

static enum plb_status play(const struct choice *x, const struct plb_hybrid *hybrid,
                            double *seconds_out, bool *over_out)
{
    struct plb_spread_problem problem = {.places = x->problem->places,
                                         .in_order = hybrid->in_order,
                                         .seconds = x->problem->seconds};
    struct plb_spread_simulation played;
    struct plb_spread spread;
    enum plb_status status;

    PLB_TRY(plb_hybrid_spread(hybrid, x->problem->graph, x->problem->places, &spread));
    status = plb_spread_simulate(&spread, x->problem->graph, &problem, &played);
    plb_spread_clear(&spread);
    if (status != PLB_OK)
        return status;
    *seconds_out = played.seconds;
    *over_out = passes_budget(x, &played);
    plb_spread_simulation_clear(&played);
    return PLB_OK;
}

/* Takes the plan over; it is kept when it is the best so far. */
static enum plb_status take(struct choice *x, struct plb_hybrid *hybrid)
{
    double seconds;
    bool over;
    enum plb_status status;

    hybrid->fingerprint = plb_graph_fingerprint(x->problem->graph);
    x->tasks += hybrid->in_place[hybrid->n_places];
    status = play(x, hybrid, &seconds, &over);
    if (status == PLB_OK &&
        (x->seconds == HUGE_VAL || over < x->over ||
         (over == x->over && seconds < x->seconds * PLB__SHORTER))) {
        plb_hybrid_clear(&x->best);
        x->best = *hybrid;
        x->seconds = seconds;
        x->over = over;
        return PLB_OK;
    }
    plb_hybrid_clear(hybrid);
    return status;
}

/* ---- the fixed policies ---- */

static enum plb_status try_policy(struct choice *x, const struct plb_parallel_policy *policy,
                                  uint32_t replicas)
{
    struct plb_parallel_problem problem = *x->problem;
    struct plb_hybrid hybrid = {.n_places = 0};
    enum plb_status status;

    problem.degrees.replicas = replicas;
    problem.argument = NULL;
    status = policy->plan(&problem, &hybrid);
    if (status == PLB_OK)
        return take(x, &hybrid);
    plb_hybrid_clear(&hybrid);
    return status == PLB_ERROR_INVALID || status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

static enum plb_status try_fixed(struct choice *x)
{
    uint32_t n = plb_places_count(x->problem->places), wanted = x->problem->degrees.replicas;
    int n_policies;
    const struct plb_parallel_policy *const *policies = plb_parallel_policies(&n_policies);

    for (int i = 0; i < n_policies; i++)
        for (uint32_t r = 1; r <= n && r <= x->jobs->micro_batches; r++)
            if (policies[i] != &plb_parallel_auto && !policies[i]->takes && n % r == 0 &&
                (wanted == 0 || r == wanted) && x->tasks < TASKS_MAX)
                PLB_TRY(try_policy(x, policies[i], r));
    return PLB_OK;
}

/* ---- the planner's ---- */

static enum plb_status make_team(const struct plb_auto_plan *plan, uint32_t r,
                                 const uint32_t *bound, const struct plb__pipe_rule *rule,
                                 struct plb__team *team)
{
    const struct plb_auto_stage *chunk = &plan->stage[plan->in_replica[r]];
    uint32_t chunks = plan->in_replica[r + 1] - plan->in_replica[r];
    uint32_t stages = chunks / (rule->chunks ? rule->chunks : 2), n = 0;

    PLB_TRY(plb__team_create(stages, chunks, plan->n_places, team));
    team->first = 0;
    for (uint32_t i = 0; i < r; i++)
        team->first += plan->share[i];
    team->end = team->first + plan->share[r];
    for (uint32_t s = 0; s < stages; s++) {
        team->in_stage[s] = n;
        for (uint32_t i = 0; i < chunk[s].degree; i++)
            team->place[n++] = plan->place[chunk[s].place + i];
    }
    team->in_stage[stages] = n;
    for (uint32_t c = 0; c < chunks; c++) {
        team->bound[c] = bound[chunk[c].unit];
        team->bound[c + 1] = bound[chunk[c].unit_end];
        team->stage_of[c] = plb__rule_stage(rule, c, stages);
    }
    return PLB_OK;
}

static enum plb_status write_plan(const struct choice *x, const struct plb_auto_plan *plan,
                                  const uint32_t *bound, const struct plb__pipe_rule *rule,
                                  struct plb_hybrid *hybrid_out)
{
    struct plb__crew *crew = calloc(plan->replicas, sizeof *crew);
    enum plb_status status = PLB_OK;
    bool in_order = false;

    if (!crew)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u replicas", plan->replicas);
    for (uint32_t r = 0; status == PLB_OK && r < plan->replicas; r++) {
        status = make_team(plan, r, bound, rule, &crew[r].team);
        if (status == PLB_OK)
            status = plb__crew_order(x->jobs, x->problem, rule, &crew[r]);
        in_order = in_order || crew[r].team.stages > 1;
    }
    if (status == PLB_OK)
        status = plb__hybrid_write(x->jobs, x->problem, crew, plan->replicas, in_order,
                                   hybrid_out);
    for (uint32_t r = 0; r < plan->replicas; r++)
        plb__crew_clear(&crew[r]);
    free(crew);
    return status;
}

static enum plb_status try_plan(struct choice *x, const struct plb_auto_plan *plan,
                                const uint32_t *bound)
{
    for (uint32_t i = 0; plb__judge_rules[i]; i++) {
        struct plb_hybrid hybrid = {.n_places = 0};

        if (strcmp(plb__judge_rules[i]->name, plan->schedule) != 0)
            continue;
        PLB_TRY(write_plan(x, plan, bound, plb__judge_rules[i], &hybrid));
        return take(x, &hybrid);
    }
    return plb_fail(PLB_ERROR_INTERNAL, "a plan by the rule '%s'", plan->schedule);
}

/* A plan for one rule (NULL: any). Where memory is short, one that leaves it to the memory
 * policy. */
static enum plb_status try_own(struct choice *x, const struct plb__auto_graph *graph,
                               const char *rule)
{
    struct plb_auto_problem problem = {.profile = &graph->profile, .places = x->problem->places,
                                       .budget = x->problem->budget,
                                       .replicas = x->problem->degrees.replicas,
                                       .stages = x->problem->degrees.stages,
                                       .shard_state = x->problem->degrees.shard_state,
                                       .schedule = rule};
    struct plb_auto_plan plan;
    enum plb_status status = plb_auto_plan_make(&problem, &plan);
    size_t *unlimited = NULL;

    if (status == PLB_ERROR_MEMORY) {
        uint32_t n = plb_places_count(problem.places);

        unlimited = malloc(n * sizeof *unlimited);
        if (!unlimited)
            return status;
        memset(unlimited, 0xff, n * sizeof *unlimited);
        problem.budget = unlimited;
        status = plb_auto_plan_make(&problem, &plan);
    }
    free(unlimited);
    if (status == PLB_ERROR_INVALID)
        return PLB_OK; /* not with these degrees; the fixed policies may find a way */
    if (status != PLB_OK)
        return status;
    status = try_plan(x, &plan, graph->bound);
    plb_auto_plan_clear(&plan);
    return status;
}

static enum plb_status try_all(struct choice *x)
{
    static const char *const rules[] = {NULL, "1f1b", "zb-h1", "zb-greedy"};
    struct plb__auto_graph graph;
    enum plb_status status;

    status = plb__auto_graph_read(x->jobs, x->problem->places, x->problem->seconds,
                                  x->jobs->micro_batches, false, &graph);
    if (status == PLB_OK) {
        for (size_t i = 0; status == PLB_OK && i < sizeof rules / sizeof *rules; i++)
            status = try_own(x, &graph, rules[i]);
        plb__auto_graph_clear(&graph);
    } else if (status == PLB_ERROR_INVALID) {
        status = PLB_OK; /* a graph of too many sorts of parts: the fixed policies still know it */
    }
    return status == PLB_OK ? try_fixed(x) : status;
}

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    struct choice x = {.problem = problem, .seconds = HUGE_VAL};
    struct plb__jobs jobs;
    enum plb_status status;

    PLB_TRY(plb__jobs_find(problem->graph, &jobs));
    x.jobs = &jobs;
    status = try_all(&x);
    plb__jobs_clear(&jobs);
    if (status == PLB_OK && x.seconds < HUGE_VAL) {
        *hybrid_out = x.best;
        return PLB_OK;
    }
    plb_hybrid_clear(&x.best);
    return status == PLB_OK ? plb_fail(PLB_ERROR_INVALID,
                                       "'auto' finds no plan with these degrees on %u places",
                                       plb_places_count(problem->places))
                            : status;
}

const struct plb_parallel_policy plb_parallel_auto = {
    .name = "auto",
    .help = "the fastest of all, by cost: stages, degrees, replicas, order",
    .plan = plan,
};
