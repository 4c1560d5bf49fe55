/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the blocks of a graph can recompute: asked of the memory policy chain-dp.
 *
 * The policy plans the graph under falling shares of the activations' memory. Where a plan turns
 * from the forward to the backward pass of the first micro-batch, each unit holds some bytes; the
 * tasks of its forward pass that run again take some seconds. Each is a point, of all alike units
 * together; points that no other beats in both are the options.
 */
#include "config.h"

#include "schedulers/parallel/auto/graph.h"
#include "schedulers/schedulers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double shares[] = {1, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};
#define N_SHARES (sizeof shares / sizeof shares[0])

struct asker {
    const struct plb__jobs *jobs;
    struct plb__auto_graph *graph;
    const double *seconds;
    uint32_t *unit_of;  /* per task of the first micro-batch's forward pass; else PLB_NONE */
    double *forward;    /* per unit: seconds, */
    double *held, *again; /* bytes at the turn, seconds again, of one plan */
    double *held_all;   /* bytes at the turn of a plan that recomputes nothing */
};

static enum plb_status find_tasks(struct asker *x)
{
    const plb_graph_t *graph = x->jobs->graph;
    uint32_t tasks = plb_graph_tasks(graph), units = x->graph->profile.n_units;

    x->unit_of = malloc(((size_t)tasks + 1) * sizeof *x->unit_of);
    x->forward = calloc(units, sizeof *x->forward);
    x->held = calloc(units, sizeof *x->held);
    x->again = calloc(units, sizeof *x->again);
    x->held_all = calloc(units, sizeof *x->held_all);
    if (!x->unit_of || !x->forward || !x->held || !x->again || !x->held_all)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the options of %u units", units);
    for (plb_task_id t = 0; t < tasks; t++) {
        const struct plb__jobs_task *it = &x->jobs->task[t];
        uint32_t u = 0;

        x->unit_of[t] = PLB_NONE;
        if (it->kind != PLB__JOB_F || it->micro_batch != 0)
            continue;
        while (x->graph->bound[u + 1] <= it->position)
            u++;
        x->unit_of[t] = u;
        x->forward[u] += x->seconds[t];
    }
    return PLB_OK;
}

/* ---- one plan ---- */

/* The first instruction of the backward pass; also counts what runs again. */
static enum plb_status look_at_runs(struct asker *x, const struct plb_plan *plan,
                                    uint32_t *turn_out)
{
    const plb_graph_t *graph = x->jobs->graph;
    bool *seen = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *seen);

    if (!seen)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to look at a plan");
    *turn_out = plan->n;
    memset(x->again, 0, x->graph->profile.n_units * sizeof *x->again);
    for (uint32_t i = 0; i < plan->n; i++) {
        plb_task_id t = plan->instruction[i].subject;

        if (plan->instruction[i].code != PLB_RUN)
            continue;
        if (*turn_out == plan->n && plb_graph_task(graph, t)->phase == PLB_PHASE_BACKWARD)
            *turn_out = i;
        if (seen[t] && x->unit_of[t] != PLB_NONE)
            x->again[x->unit_of[t]] += x->seconds[t];
        seen[t] = true;
    }
    free(seen);
    return PLB_OK;
}

static void look_at_memory(struct asker *x, const struct plb_layout *layout, uint32_t turn)
{
    memset(x->held, 0, x->graph->profile.n_units * sizeof *x->held);
    for (uint32_t s = 0; s < layout->n_slots; s++) {
        const struct plb_slot *slot = &layout->slot[s];
        plb_task_id maker = plb_graph_value(x->jobs->graph, slot->value)->producer;

        if (slot->tier == PLB_DEVICE && maker != PLB_NONE && x->unit_of[maker] != PLB_NONE &&
            slot->begin < turn && slot->end > turn)
            x->held[x->unit_of[maker]] += (double)slot->bytes;
    }
}

static enum plb_status ask(struct asker *x, const struct plb_memory_policy *policy,
                           struct plb_problem *problem, double share, bool *planned_out)
{
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout = {.n_slots = 0};
    enum plb_status status;
    uint32_t turn = 0;

    problem->limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem->needs, share, 0);
    status = plb_plan_make(policy, problem, PLB_EVENT_DRIFT, NULL, &plan, &layout);
    *planned_out = status == PLB_OK;
    if (status == PLB_OK)
        status = look_at_runs(x, &plan, &turn);
    else if (status == PLB_ERROR_MEMORY)
        status = PLB_OK; /* too little for any plan: there are fewer options */
    if (*planned_out && status == PLB_OK)
        look_at_memory(x, &layout, turn);
    plb_plan_clear(&plan);
    plb_layout_clear(&layout);
    return status;
}

/* ---- options ---- */

/* Puts a point among a record's options, and drops those that it beats. */
static void add_option(struct plb_auto_unit *unit, double held, double again)
{
    struct plb_auto_option kept[PLB_AUTO_OPTIONS + 1];
    uint32_t n = 0, i = 0;

    for (uint32_t o = 0; o < unit->n_options; o++)
        if (unit->option[o].held <= held && unit->option[o].again <= again)
            return;
    for (; i < unit->n_options && unit->option[i].held > held; i++)
        if (i == 0 || unit->option[i].again < again)
            kept[n++] = unit->option[i];
    kept[n++] = (struct plb_auto_option){held, again};
    for (; i < unit->n_options; i++)
        if (unit->option[i].held < held)
            kept[n++] = unit->option[i];
    if (n > PLB_AUTO_OPTIONS)
        return;
    memcpy(unit->option, kept, n * sizeof *kept);
    unit->n_options = n;
}

static void add_points(struct asker *x)
{
    for (uint32_t u = 0; u < x->graph->profile.n_units; u++) {
        struct plb_auto_unit *unit =
            &x->graph->profile.record[x->graph->profile.unit[u]];

        if (x->held_all[u] > 0 && x->forward[u] > 0 && x->held[u] < x->held_all[u])
            add_option(unit, x->held[u] / x->held_all[u], x->again[u] / x->forward[u]);
    }
}

static enum plb_status ask_all(struct asker *x, const plb_costs_t *costs)
{
    const plb_graph_t *graph = x->jobs->graph;
    struct plb_limits limits = plb_limits_none();
    double *scratch = malloc(((size_t)plb_graph_tasks(graph) + 1) * sizeof *scratch);
    struct plb_problem problem;
    enum plb_status status;
    bool planned;

    if (!scratch)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to ask for options");
    limits.hold_gradients = true;
    status = plb_problem_prepare(graph, costs, &limits, scratch, &problem);
    if (status == PLB_OK) {
        problem.seconds = x->seconds;
        status = ask(x, &plb_memory_none, &problem, 1, &planned);
        if (status == PLB_OK)
            memcpy(x->held_all, x->held, x->graph->profile.n_units * sizeof *x->held);
    }
    for (size_t i = 0; status == PLB_OK && i < N_SHARES; i++) {
        status = ask(x, &plb_memory_chain_dp, &problem, shares[i], &planned);
        if (status == PLB_OK && planned)
            add_points(x);
    }
    free(scratch);
    return status;
}

enum plb_status plb__auto_graph_options(const struct plb__jobs *jobs, const plb_costs_t *costs,
                                        const double *seconds, struct plb__auto_graph *graph)
{
    struct asker x = {.jobs = jobs, .graph = graph, .seconds = seconds};
    enum plb_status status = find_tasks(&x);

    if (status == PLB_OK)
        status = ask_all(&x, costs);
    free(x.unit_of);
    free(x.forward);
    free(x.held);
    free(x.again);
    free(x.held_all);
    return status;
}
