/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe simulate: parallel policies on a platform, in virtual time.
 */
#define _GNU_SOURCE
#include "config.h"

#include "frontends/cli/simulate.h"

#include "schedulers/schedulers.h"

#include <stdlib.h>
#include <string.h>

/* ---- which policies ---- */

static enum plb_status add_trial(struct cli_simulation *s, const char *name)
{
    if (s->n_trials == CLI_TRIALS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "at most %d policies can be simulated at once",
                        CLI_TRIALS_MAX);
    return plb_parallel_policy_find(name, &s->trial[s->n_trials++].policy);
}

/* Those of --parallel, else all. */
static enum plb_status list_trials(struct cli_simulation *s)
{
    const char *list = plb_settings_text(s->machine.settings, OPTION_PARALLEL);
    char *rest;

    if (!list || !*list) {
        const struct plb_parallel_policy *const *all;
        int n;

        all = plb_parallel_policies(&n);
        for (int k = 0; k < n; k++)
            PLB_TRY(add_trial(s, all[k]->name));
        return PLB_OK;
    }
    rest = s->names = strdup(list);
    if (!rest)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the list of policies");
    for (char *word = strsep(&rest, ","); word; word = strsep(&rest, ",")) {
        if (!*word)
            return plb_fail(PLB_ERROR_INVALID,
                            "--parallel wants policies separated by commas, not '%s'", list);
        PLB_TRY(add_trial(s, word));
    }
    return PLB_OK;
}

/* ---- memory of each place ---- */

/* A budget in bytes binds the parallel policies, too; a share is one of each part's activations. */
static enum plb_status apply_budget(struct cli_simulation *s)
{
    struct cli_machine *m = &s->machine;

    for (uint32_t p = 0; p < plb_places_count(m->places) && s->memory_budget.bytes > 0; p++) {
        char wanted[32], there[32];

        if (s->memory_budget.bytes > m->budget[p])
            return plb_fail(PLB_ERROR_INVALID,
                            "a memory budget of %s is more than the %s that %s has",
                            cli_print_bytes((double)s->memory_budget.bytes, wanted, sizeof wanted),
                            cli_print_bytes((double)m->budget[p], there, sizeof there),
                            plb_places_at(m->places, p)->name);
        m->budget[p] = s->memory_budget.bytes;
    }
    return PLB_OK;
}

static enum plb_status read_memory(struct cli_simulation *s)
{
    const struct plb_settings *settings = s->machine.settings;

    PLB_TRY(plb_budget_read(plb_settings_text(settings, OPTION_MEMORY_BUDGET), &s->memory_budget));
    if (!plb_settings_given(settings, OPTION_MEMORY) && s->memory_budget.share <= 0.0)
        return PLB_OK;
    PLB_TRY(plb_memory_policy_find(plb_settings_text(settings, OPTION_MEMORY), &s->memory));
    if (s->memory->left_to_starpu)
        return plb_fail(PLB_ERROR_INVALID, "policy '%s' plans nothing that could be simulated",
                        s->memory->name);
    return PLB_OK;
}

/* What a part may use and what its tasks take. `seconds` has room for every task of the part. */
static enum plb_status make_problem(const struct cli_simulation *s, const struct cli_machine *m,
                                    const struct plb_part *part, uint32_t place, double *seconds,
                                    struct plb_problem *problem_out)
{
    uint32_t kind = plb_places_at(m->places, place)->kind;
    const plb_costs_t *costs = plb_places_costs(m->places, kind);
    struct plb_limits limits = plb_limits_none();

    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        limits.bytes[tier] = plb_costs_platform(costs)->bytes[tier];
    limits.bytes[PLB_DEVICE] = m->budget[place];
    PLB_TRY(plb_problem_prepare(part->graph, costs, &limits, seconds, problem_out));
    for (plb_task_id t = 0; t < plb_graph_tasks(part->graph); t++)
        if (part->task[t] != PLB_NONE)
            seconds[t] = m->seconds[kind][part->task[t]];
    if (s->memory_budget.share > 0.0) {
        problem_out->limits.hold_gradients = true;
        problem_out->limits.bytes[PLB_DEVICE] =
            plb_budget_of_share(&problem_out->needs, s->memory_budget.share, 0);
    }
    return PLB_OK;
}

/* Asks the memory policy for the part's plan, or, where none is named, keeps the plan as it is and
 * lays it out under the budget. */
static enum plb_status plan_part(const struct cli_simulation *s, struct cli_trial *t,
                                 uint32_t place)
{
    const struct plb_part *part = &t->spread.part[place];
    double *seconds = malloc(((size_t)plb_graph_tasks(part->graph) + 1) * sizeof *seconds);
    struct plb_problem problem;
    enum plb_status status;

    if (!seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the times of tasks");
    status = make_problem(s, cli_trial_machine(s, t), part, place, seconds, &problem);
    if (status == PLB_OK && s->memory)
        status = plb_plan_make(s->memory, &problem, PLB_EVENT_RELIEF, NULL, &t->plan[place],
                               &t->layout[place]);
    else if (status == PLB_OK)
        status = plb_layout_assign(&part->plan, part->graph, &problem.limits, &t->layout[place]);
    free(seconds);
    if (status == PLB_OK)
        return PLB_OK;
    return plb_fail_within(status, "%s", plb_places_at(s->machine.places, place)->name);
}

static enum plb_status plan_parts(const struct cli_simulation *s, struct cli_trial *t)
{
    uint32_t n = t->spread.n_parts;

    if (!s->memory && s->memory_budget.bytes == 0)
        return PLB_OK;
    t->plan = calloc(n, sizeof *t->plan);
    t->layout = calloc(n, sizeof *t->layout);
    if (!t->plan || !t->layout)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the plans of %u places", n);
    for (uint32_t p = 0; p < n; p++)
        if (t->spread.part[p].graph)
            PLB_TRY(plan_part(s, t, p));
    return PLB_OK;
}

const struct cli_machine *cli_trial_machine(const struct cli_simulation *simulation,
                                            const struct cli_trial *trial)
{
    return trial->own.graph ? &trial->own : &simulation->machine;
}

const struct plb_plan *cli_trial_plan(const struct cli_trial *trial, uint32_t place)
{
    if (trial->plan && trial->plan[place].n > 0)
        return &trial->plan[place];
    return &trial->spread.part[place].plan;
}

/* ---- one policy ---- */

static void add_up(struct cli_trial *t)
{
    const struct plb_spread_simulation *result = &t->simulation;

    for (uint32_t p = 0; p < result->n_places; p++) {
        const struct plb_place_use *use = &result->place[p];

        t->used += t->spread.part[p].graph != NULL;
        t->sent += use->sent;
        t->again += use->again_seconds;
        if (use->peak > result->place[t->fullest].peak)
            t->fullest = p;
    }
}

static enum plb_status play(const struct cli_simulation *s, struct cli_trial *t)
{
    const struct cli_machine *m = cli_trial_machine(s, t);
    uint32_t n = t->spread.n_parts;
    const struct plb_plan **plan = calloc(n, sizeof *plan);
    const struct plb_layout **layout = calloc(n, sizeof *layout);
    const struct plb_spread_problem problem = {.places = m->places,
                                               .in_order = t->hybrid.in_order,
                                               .plan = plan,
                                               .layout = t->layout ? layout : NULL,
                                               .seconds = (const double *const *)m->seconds};
    enum plb_status status;

    for (uint32_t p = 0; plan && layout && p < n; p++) {
        plan[p] = cli_trial_plan(t, p);
        layout[p] = t->layout ? &t->layout[p] : NULL;
    }
    if (plan && layout)
        status = plb_spread_simulate(&t->spread, m->graph, &problem, &t->simulation);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the plans of %u places", n);
    free(plan);
    free(layout);
    return status;
}

static void clear_trial(struct cli_trial *t)
{
    for (uint32_t p = 0; p < t->spread.n_parts; p++) {
        if (t->plan)
            plb_plan_clear(&t->plan[p]);
        if (t->layout)
            plb_layout_clear(&t->layout[p]);
    }
    free(t->plan);
    free(t->layout);
    plb_spread_simulation_clear(&t->simulation);
    plb_spread_clear(&t->spread);
    plb_hybrid_clear(&t->hybrid);
    cli_machine_close(&t->own);
}

static enum plb_status try_policy(const struct cli_simulation *s, struct cli_trial *t)
{
    const struct cli_machine *m = cli_trial_machine(s, t);
    const struct plb_parallel_problem problem = {.graph = m->graph,
                                                 .places = m->places,
                                                 .seconds = (const double *const *)m->seconds,
                                                 .degrees = s->degrees,
                                                 .budget = m->budget};
    double start = cli_seconds();

    PLB_TRY(plb_hybrid_make(t->policy, &problem, PLB_EVENT_RELIEF, NULL, &t->hybrid, &t->spread));
    PLB_TRY(plan_parts(s, t));
    t->planning_seconds = cli_seconds() - start;
    PLB_TRY(play(s, t));
    add_up(t);
    return PLB_OK;
}

static bool is_no_plan(enum plb_status status)
{
    return status == PLB_ERROR_INVALID || status == PLB_ERROR_MEMORY;
}

/* ---- a graph of its own for auto ---- */

static bool fits(const struct cli_simulation *s, const struct cli_trial *t)
{
    return t->simulation.place[t->fullest].peak <= s->machine.budget[t->fullest];
}

static bool is_better(const struct cli_simulation *s, const struct cli_trial *a,
                      const struct cli_trial *b)
{
    if (fits(s, a) != fits(s, b))
        return fits(s, a);
    return a->simulation.seconds < b->simulation.seconds;
}

/* Plays a graph that the planner would like; where that is for the better, it takes the place of
 * what there was. `*there`: there was, or is, a plan. */
static enum plb_status try_choice(const struct cli_simulation *s, const struct cli_choice *choice,
                                  struct cli_trial *t, bool *there)
{
    struct cli_trial other = {.policy = t->policy, .choice = *choice};
    enum plb_status status = cli_choice_open(s, choice, &other.own);

    if (status == PLB_OK)
        status = try_policy(s, &other);
    if (status == PLB_OK && (!*there || is_better(s, &other, t))) {
        clear_trial(t);
        *t = other;
        *there = true;
        return PLB_OK;
    }
    clear_trial(&other);
    return status;
}

static enum plb_status try_choices(const struct cli_simulation *s, struct cli_trial *t,
                                   bool *there)
{
    struct cli_choices choices;
    enum plb_status status = PLB_OK;

    PLB_TRY(cli_choices_make(s, &choices));
    for (int k = 0; k < choices.n && (status == PLB_OK || is_no_plan(status)); k++)
        status = try_choice(s, &choices.choice[k], t, there);
    return status;
}

/* `given`: what became of the graph as it was given. */
static enum plb_status improve(const struct cli_simulation *s, struct cli_trial *t,
                               enum plb_status given)
{
    const struct plb_settings *settings = s->machine.settings;
    double start = cli_seconds(), before = t->planning_seconds;
    char reason[sizeof t->reason];
    bool there = given == PLB_OK;
    enum plb_status status;

    if (strcmp(t->policy->name, "auto") != 0 || (!there && !is_no_plan(given)) ||
        strcmp(plb_settings_text(settings, OPTION_WORKLOAD), "unet") == 0 ||
        (plb_settings_given(settings, OPTION_PARTS) && plb_settings_given(settings, OPTION_TENSOR)))
        return given;
    snprintf(reason, sizeof reason, "%s", there ? "" : plb_error_message());
    status = try_choices(s, t, &there);
    t->planning_seconds = before + cli_seconds() - start;
    if (status != PLB_OK && !is_no_plan(status))
        return status;
    plb_error_clear();
    return there ? PLB_OK : plb_fail(given, "%s", reason);
}

/* That a policy has no plan here is a result, not a failure, unless it is the only one asked for.
 */
static enum plb_status run_trial(struct cli_simulation *s, struct cli_trial *t)
{
    enum plb_status status = improve(s, t, try_policy(s, t));

    if (status == PLB_OK || s->n_trials == 1 || !is_no_plan(status))
        return status;
    snprintf(t->reason, sizeof t->reason, "%s", plb_error_message());
    plb_error_clear();
    return PLB_OK;
}

static enum plb_status run_trials(struct cli_simulation *s)
{
    const struct plb_settings *settings = s->machine.settings;
    struct cli_progress progress;
    enum plb_status status = PLB_OK;

    cli_progress_start(&progress, !plb_settings_switch(settings, OPTION_QUIET) &&
                                      !plb_settings_switch(settings, OPTION_JSON));
    progress.last = progress.start; /* nothing is said unless it takes long */
    for (int k = 0; k < s->n_trials && status == PLB_OK; k++) {
        cli_progress_show(&progress, (double)k / (s->n_trials + 1), "%s", s->trial[k].policy->name);
        status = run_trial(s, &s->trial[k]);
    }
    if (progress.last > progress.start)
        cli_progress_end(&progress);
    return status;
}

/* ---- the command ---- */

static enum plb_status draw(const struct cli_simulation *s)
{
    const struct plb_settings *settings = s->machine.settings;
    enum plb_status status;
    char *text;

    if (!plb_settings_given(settings, OPTION_OUT))
        return PLB_OK;
    PLB_TRY(cli_simulate_svg(s, &text));
    status = cli_write_text(NULL, plb_settings_text(settings, OPTION_OUT), text);
    free(text);
    return status;
}

static enum plb_status check_any(const struct cli_simulation *s)
{
    for (int k = 0; k < s->n_trials; k++)
        if (!s->trial[k].reason[0])
            return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "none of the %d policies has a plan", s->n_trials);
}

static enum plb_status simulate(const struct plb_settings *settings, struct cli_simulation *s)
{
    PLB_TRY(cli_check_picture(settings));
    s->machine.settings = settings;
    PLB_TRY(list_trials(s));
    PLB_TRY(read_memory(s));
    PLB_TRY(cli_machine_open(settings, false, &s->machine));
    PLB_TRY(apply_budget(s));
    cli_say(settings, "%s: %u tasks for %u places ...\n", s->machine.workload.title,
            plb_graph_tasks(s->machine.graph), plb_places_count(s->machine.places));
    PLB_TRY(run_trials(s));
    PLB_TRY(cli_simulate_report(s));
    PLB_TRY(check_any(s));
    return draw(s);
}

enum plb_status cli_simulate(const struct plb_settings *settings)
{
    struct cli_simulation s = {
        .degrees = {.replicas = (uint32_t)plb_settings_integer(settings, OPTION_REPLICAS),
                    .stages = (uint32_t)plb_settings_integer(settings, OPTION_STAGES),
                    .chunks = (uint32_t)plb_settings_integer(settings, OPTION_CHUNKS),
                    .shard_state = plb_settings_switch(settings, OPTION_SHARD_STATE)}};
    enum plb_status status = simulate(settings, &s);

    for (int k = 0; k < s.n_trials; k++)
        clear_trial(&s.trial[k]);
    free(s.names);
    cli_machine_close(&s.machine);
    return status;
}
