/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From settings to a training step that can be planned, and to what a policy decides.
 */
#include "config.h"

#include "frontends/cli/planner.h"

#include "frontends/nn/optimizer.h"
#include "runtime/graph/cut.h"
#include "runtime/plan/keep.h"
#include "schedulers/schedulers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A platform this many times as fast as a nominal CPU worker gets a task per operator. */
#define CARD_FASTER 10.0

/* ---- the step ---- */

enum plb_status cli_load_costs(const struct plb_settings *settings, plb_costs_t **costs_out)
{
    const char *name = plb_settings_text(settings, OPTION_COSTS);
    int64_t workers = plb_settings_integer(settings, OPTION_WORKERS);
    struct plb_platform platform;

    if (name && *name)
        return plb_costs_find(name, costs_out);
    if (workers == 0)
        workers = sysconf(_SC_NPROCESSORS_ONLN);
    platform = plb_platform_nominal(workers > 0 ? (int)workers : 1);
    return plb_costs_create(&platform, costs_out);
}

double cli_platform_rate(const struct plb_platform *platform, enum plb_dtype dtype)
{
    double rate = platform->flops_per_second[dtype];

    return rate > 0.0 ? rate : platform->flops_per_second[PLB_F32];
}

enum plb_status cli_step_cut(const struct plb_settings *settings,
                             const struct cli_workload *workload,
                             const struct plb_platform *platform, plb_graph_t **cut_out)
{
    bool given = plb_settings_given(settings, OPTION_TASK_SECONDS);
    double target = plb_settings_number(settings, OPTION_TASK_SECONDS);
    double rate = cli_platform_rate(platform, workload->dtype);
    const struct plb_cut_options options = {.target_seconds = target,
                                            .flops_per_second = rate,
                                            .bytes_per_second = platform->bytes_per_second};

    if (given ? target <= 0.0 : rate > CARD_FASTER * PLB_NOMINAL_FLOPS_PER_SECOND)
        return PLB_OK;
    return plb_graph_cut(plb_model_graph(workload->model), given ? &options : NULL, cut_out);
}

enum plb_status cli_step_build(const struct plb_settings *settings,
                               struct cli_workload *workload_out)
{
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);

    PLB_TRY(cli_workload_build(settings, 1, workload_out));
    return cli_workload_train(workload_out, &optimizer);
}

static enum plb_status cut(struct cli_planner *p)
{
    PLB_TRY(cli_step_cut(p->settings, &p->workload, plb_costs_platform(p->costs), &p->cut));
    p->graph = p->cut ? p->cut : plb_model_graph(p->workload.model);
    return PLB_OK;
}

static enum plb_status make_problem(struct cli_planner *p)
{
    uint32_t n = plb_graph_tasks(p->graph);

    p->seconds = malloc((n + 1) * sizeof *p->seconds);
    if (!p->seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the times of %u tasks", n);
    PLB_TRY(plb_problem_prepare(p->graph, p->costs, NULL, p->seconds, &p->problem));
    return plb_costs_of_graph(p->costs, p->graph, p->seconds, &p->measured);
}

/* What everything is compared with: the policy that keeps all, with all the memory it wants. */
static enum plb_status simulate_none(struct cli_planner *p)
{
    const struct plb_limits unlimited = plb_limits_none();
    const struct plb_memory_policy *none;
    struct plb_problem problem = p->problem;
    struct plb_simulation simulation = {0};
    struct plb_layout layout = {0};
    struct plb_plan plan = {0};
    double all = 0.0, update = 0.0;
    enum plb_status status;

    problem.limits = unlimited;
    PLB_TRY(plb_memory_policy_find("none", &none));
    PLB_TRY(plb_plan_make(none, &problem, PLB_EVENT_RELIEF, NULL, &plan, &layout));
    status = plb_simulate(&plan, &layout, &problem, &simulation);
    for (plb_task_id t = 0; t < plb_graph_tasks(p->graph); t++) {
        all += p->seconds[t];
        if (plb_graph_task(p->graph, t)->phase == PLB_PHASE_UPDATE)
            update += p->seconds[t];
    }
    p->none_seconds = simulation.seconds;
    p->pass_seconds = all > 0.0 ? simulation.seconds * (all - update) / all : 0.0;
    plb_simulation_clear(&simulation);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return status;
}

/* Parameters and state may be kept elsewhere; what a step takes that keeps everything is known by
 * then. */
static enum plb_status choose_homes(struct cli_planner *p)
{
    plb_graph_t *whole = plb_model_graph(p->workload.model);
    plb_graph_t *graph = p->cut ? p->cut : whole;
    struct plb_keep keep;

    PLB_TRY(plb_keep_read(plb_settings_text(p->settings, OPTION_STATE), &keep));
    if (keep.bytes > 0 && p->problem.platform->bytes[PLB_HOST] == 0)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "platform '%s' computes in main memory: nothing can be kept beside it",
                        p->problem.platform->name);
    PLB_TRY(plb_keep_apply(&keep, whole, graph));
    PLB_TRY(plb_keep_updates(&keep, p->problem.platform, graph));
    return plb_problem_prepare(p->graph, p->costs, NULL, p->seconds, &p->problem);
}

enum plb_status cli_planner_open(const struct plb_settings *settings,
                                 struct cli_planner *planner_out)
{
    struct cli_planner p = {.settings = settings};
    enum plb_status status = cli_load_costs(settings, &p.costs);

    if (status == PLB_OK)
        status = cli_step_build(settings, &p.workload);
    if (status == PLB_OK)
        status = cut(&p);
    if (status == PLB_OK)
        status = make_problem(&p);
    if (status == PLB_OK)
        status = simulate_none(&p);
    if (status == PLB_OK)
        status = choose_homes(&p);
    if (status != PLB_OK) {
        cli_planner_close(&p);
        return status;
    }
    *planner_out = p;
    return PLB_OK;
}

void cli_planner_close(struct cli_planner *planner)
{
    free(planner->seconds);
    plb_costs_destroy(planner->costs);
    plb_graph_destroy(planner->cut);
    cli_workload_clear(&planner->workload);
    *planner = (struct cli_planner){0};
}

/* ---- budgets ---- */

enum plb_status cli_planner_limits(const struct cli_planner *planner,
                                   const struct plb_budget *budget, struct plb_limits *limits_out)
{
    const struct plb_platform *platform = planner->problem.platform;
    struct plb_limits limits = plb_limits_none();
    char wanted[32], there[32];

    limits.bytes[PLB_HOST] = platform->bytes[PLB_HOST];
    limits.bytes[PLB_DISK] = platform->bytes[PLB_DISK];
    if (budget->bytes > 0) {
        limits.bytes[PLB_DEVICE] = budget->bytes;
    } else if (budget->share > 0.0) {
        limits.hold_gradients = true;
        limits.bytes[PLB_DEVICE] = plb_budget_of_share(&planner->problem.needs, budget->share, 0);
    }
    if (budget->bytes > platform->bytes[PLB_DEVICE])
        return plb_fail(PLB_ERROR_INVALID, "a memory budget of %s is more than the %s that %s has",
                        cli_print_bytes((double)budget->bytes, wanted, sizeof wanted),
                        cli_print_bytes((double)platform->bytes[PLB_DEVICE], there, sizeof there),
                        platform->name);
    *limits_out = limits;
    return PLB_OK;
}

char *cli_print_budget(const struct plb_budget *budget, char *text, size_t size)
{
    if (budget->bytes > 0)
        return cli_print_bytes((double)budget->bytes, text, size);
    if (budget->share > 0.0)
        snprintf(text, size, "%g", budget->share);
    else
        snprintf(text, size, "no limit");
    return text;
}

/* ---- decisions ---- */

static enum plb_status decide(const struct cli_planner *planner, struct cli_decision *d)
{
    const struct plb_memory_policy *policy;
    double start;

    d->problem = planner->problem;
    PLB_TRY(cli_planner_limits(planner, &d->budget, &d->problem.limits));
    PLB_TRY(plb_memory_policy_find(d->policy, &policy));
    d->policy = policy->name;
    start = cli_seconds();
    PLB_TRY(plb_plan_make(policy, &d->problem, PLB_EVENT_RELIEF, NULL, &d->plan, &d->layout));
    d->planning_seconds = cli_seconds() - start;
    PLB_TRY(plb_simulate(&d->plan, &d->layout, &d->problem, &d->simulation));
    d->device_bytes = plb_layout_device_bytes(&d->layout) + d->problem.limits.reserved;
    if (planner->none_seconds > 0.0) {
        double extra = d->simulation.seconds - planner->none_seconds;

        d->overhead = extra / planner->none_seconds;
        d->pass_overhead = planner->pass_seconds > 0.0 ? extra / planner->pass_seconds : 0.0;
    }
    return PLB_OK;
}

enum plb_status cli_decide(const struct cli_planner *planner, const char *policy,
                           const struct plb_budget *budget, struct cli_decision *decision_out)
{
    struct cli_decision d = {.policy = policy, .budget = *budget};
    enum plb_status status = decide(planner, &d);

    if (status != PLB_OK) {
        cli_decision_clear(&d);
        return status;
    }
    *decision_out = d;
    return PLB_OK;
}

void cli_decision_clear(struct cli_decision *decision)
{
    plb_simulation_clear(&decision->simulation);
    plb_layout_clear(&decision->layout);
    plb_plan_clear(&decision->plan);
    *decision = (struct cli_decision){0};
}

size_t cli_decision_moved(const struct cli_decision *decision)
{
    size_t moved = 0;

    for (int t = PLB_HOST; t < PLB_TIERS; t++)
        moved += decision->simulation.moved_out[t] + decision->simulation.moved_in[t];
    return moved;
}

/* ---- what became of each block ---- */

/* Bit 1: a value's task ran; bit 2: it ran again; bit 4: the value was fetched back. Per value. */
enum fate { RAN = 1, AGAIN = 2, FETCHED = 4, SAVED = 8 };

static void mark_saved(const plb_graph_t *graph, unsigned char *fate)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t k = 0; task->phase == PLB_PHASE_BACKWARD && k < task->in_start[task->n_in];
             k++) {
            plb_task_id from = plb_graph_value(graph, task->in[k])->producer;

            if (from != PLB_NONE && plb_graph_task(graph, from)->phase == PLB_PHASE_FORWARD)
                fate[task->in[k]] |= SAVED;
        }
    }
}

static void mark_plan(const plb_graph_t *graph, const struct plb_plan *plan, unsigned char *fate)
{
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_instruction *in = &plan->instruction[i];

        if (in->code == PLB_FETCH)
            fate[in->subject] |= FETCHED;
        if (in->code == PLB_RUN) {
            const struct plb_task *task = plb_graph_task(graph, in->subject);

            for (uint32_t k = 0; k < task->out_start[task->n_out]; k++)
                fate[task->out[k]] |= fate[task->out[k]] & RAN ? AGAIN : RAN;
        }
    }
}

static void count_value(const plb_graph_t *graph, plb_value v, unsigned char fate,
                        struct cli_block *blocks)
{
    const struct plb_value_info *info = plb_graph_value(graph, v);
    struct cli_block *block = &blocks[plb_graph_task(graph, info->producer)->block + 1];
    size_t bytes = plb_type_bytes(&info->type);

    if (fate & FETCHED)
        block->offloaded += bytes;
    else if (fate & AGAIN)
        block->remade += bytes;
    else
        block->kept += bytes;
}

static int last_block(const plb_graph_t *graph)
{
    int last = -1;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        if (plb_graph_task(graph, t)->block > last)
            last = plb_graph_task(graph, t)->block;
    return last;
}

/* Without the blocks that leave nothing. */
static int pack_blocks(struct cli_block *blocks, int n)
{
    int kept = 0;

    for (int b = 0; b < n; b++) {
        blocks[b].block = b - 1;
        if (blocks[b].kept || blocks[b].remade || blocks[b].offloaded)
            blocks[kept++] = blocks[b];
    }
    return kept;
}

enum plb_status cli_decision_blocks(const struct cli_decision *decision,
                                    struct cli_block **blocks_out, int *n_out)
{
    const plb_graph_t *graph = decision->problem.graph;
    uint32_t values = plb_graph_values(graph);
    int n = last_block(graph) + 2;
    unsigned char *fate = calloc(values + 1, 1);
    struct cli_block *blocks = calloc((size_t)n, sizeof *blocks);

    if (!fate || !blocks) {
        free(fate);
        free(blocks);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to look at %u values", values);
    }
    mark_saved(graph, fate);
    mark_plan(graph, &decision->plan, fate);
    for (plb_value v = 0; v < values; v++)
        if (fate[v] & SAVED)
            count_value(graph, v, fate[v], blocks);
    free(fate);
    *blocks_out = blocks;
    *n_out = pack_blocks(blocks, n);
    return PLB_OK;
}
