/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe plan: what a memory policy decides for a training step under a budget, without running
 * it.
 */
#include "config.h"

#include "frontends/cli/planner.h"

#include "schedulers/schedulers.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- as text ---- */

static void print_row(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print_row(const char *name, const char *format, ...)
{
    va_list arguments;

    printf("%-12s ", name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void print_memory(const struct cli_decision *d)
{
    const struct plb_layout *layout = &d->layout;
    size_t limit = d->problem.limits.bytes[PLB_DEVICE];
    char a[32], b[32], c[32];

    if (limit == SIZE_MAX)
        print_row("budget", "no limit");
    else
        print_row("budget", "%s%s%s", cli_print_bytes((double)limit, a, sizeof a),
                  d->budget.share > 0.0 ? ", share of the activations' memory: " : "",
                  d->budget.share > 0.0 ? cli_print_budget(&d->budget, b, sizeof b) : "");
    print_row("device", "%s: %s of parameters, state and inputs, %s for all else",
              cli_print_bytes((double)d->device_bytes, a, sizeof a),
              cli_print_bytes((double)layout->initial_bytes, b, sizeof b),
              cli_print_bytes((double)layout->arena[PLB_DEVICE], c, sizeof c));
    for (int t = PLB_HOST; t < PLB_TIERS; t++)
        if (layout->away_bytes[t] > 0)
            print_row(plb_tier_name((enum plb_tier)t),
                      "%s of parameters and state, %s for copies of values",
                      cli_print_bytes((double)layout->away_bytes[t], a, sizeof a),
                      cli_print_bytes((double)layout->arena[t], b, sizeof b));
        else if (layout->arena[t] > 0)
            print_row(plb_tier_name((enum plb_tier)t), "%s",
                      cli_print_bytes((double)layout->arena[t], a, sizeof a));
}

static void print_time(const struct cli_planner *p, const struct cli_decision *d)
{
    const struct plb_simulation *s = &d->simulation;
    char out[32], in[32], flops[32];

    print_row("step",
              "%.4g s simulated, %+.1f %% against keeping everything "
              "(%+.1f %% of forward and backward pass)",
              s->seconds, 100.0 * d->overhead, 100.0 * d->pass_overhead);
    print_row("run again", "%u of %u tasks, %s, %.4g s", s->again_tasks, plb_graph_tasks(p->graph),
              cli_print_flops(s->again_flops, flops, sizeof flops), s->again_seconds);
    for (int t = PLB_HOST; t < PLB_TIERS; t++)
        if (s->moved_out[t] + s->moved_in[t] > 0)
            print_row("moved", "%s to %s, %s back",
                      cli_print_bytes((double)s->moved_out[t], out, sizeof out),
                      plb_tier_name((enum plb_tier)t),
                      cli_print_bytes((double)s->moved_in[t], in, sizeof in));
}

static bool is_alike(const struct cli_block *a, const struct cli_block *b)
{
    return a->block >= 0 && a->kept == b->kept && a->remade == b->remade &&
           a->offloaded == b->offloaded;
}

static void print_blocks(const struct cli_block *blocks, int n)
{
    char kept[32], remade[32], offloaded[32], name[32];

    printf("\nWhat the forward pass leaves for the backward pass:\n%-8s %12s %12s %12s\n", "block",
           "kept", "made again", "offloaded");
    for (int k = 0, next; k < n; k = next) {
        for (next = k + 1; next < n && is_alike(&blocks[k], &blocks[next]); next++)
            ;
        if (blocks[k].block < 0)
            snprintf(name, sizeof name, "others");
        else if (next == k + 1)
            snprintf(name, sizeof name, "%d", blocks[k].block);
        else
            snprintf(name, sizeof name, "%d-%d", blocks[k].block, blocks[next - 1].block);
        printf("%-8s %12s %12s %12s\n", name,
               cli_print_bytes((double)blocks[k].kept, kept, sizeof kept),
               cli_print_bytes((double)blocks[k].remade, remade, sizeof remade),
               cli_print_bytes((double)blocks[k].offloaded, offloaded, sizeof offloaded));
    }
}

static void print_text(const struct cli_planner *p, const struct cli_decision *d,
                       const struct cli_block *blocks, int n)
{
    const struct plb_platform *platform = d->problem.platform;

    print_row("step of", "%s", p->workload.title);
    print_row("on", "%s, %d worker%s; times of %u of %u tasks measured", platform->name,
              platform->workers, platform->workers == 1 ? "" : "s", p->measured,
              plb_graph_tasks(p->graph));
    print_row("policy", "%s: %u instructions, planned in %.3g ms", d->policy, d->plan.n,
              1e3 * d->planning_seconds);
    print_memory(d);
    print_time(p, d);
    print_blocks(blocks, n);
}

/* ---- as JSON ---- */

static json_t *tiers_json(const size_t bytes[PLB_TIERS])
{
    json_t *tiers = json_object();

    for (int t = 0; t < PLB_TIERS; t++)
        json_object_set_new(tiers, plb_tier_name((enum plb_tier)t),
                            json_integer((json_int_t)bytes[t]));
    return tiers;
}

static json_t *blocks_json(const struct cli_block *blocks, int n)
{
    json_t *list = json_array();

    for (int k = 0; k < n; k++)
        json_array_append_new(list, json_pack("{s:i, s:I, s:I, s:I}", "block", blocks[k].block,
                                              "kept", (json_int_t)blocks[k].kept, "remade",
                                              (json_int_t)blocks[k].remade, "offloaded",
                                              (json_int_t)blocks[k].offloaded));
    return list;
}

static json_t *budget_json(const struct cli_decision *d)
{
    size_t limit = d->problem.limits.bytes[PLB_DEVICE];

    return limit == SIZE_MAX ? json_null() : json_integer((json_int_t)limit);
}

static enum plb_status print_json(const struct cli_planner *p, const struct cli_decision *d,
                                  const struct cli_block *blocks, int n)
{
    const struct plb_simulation *s = &d->simulation;
    const struct plb_needs *needs = &d->problem.needs;

    return cli_print_json(json_pack(
        "{s:s, s:s, s:s, s:o, s:f, s:I, s:I, s:o, s:o, s:f, s:f, s:f, s:f, s:I, s:f, s:o, s:o, "
        "s:I, s:I, s:f, s:{s:I, s:I, s:I, s:I}, s:o, s:o}",
        "workload", p->workload.title, "platform", d->problem.platform->name, "policy", d->policy,
        "budget_bytes", budget_json(d), "budget_share", d->budget.share, "device_bytes",
        (json_int_t)d->device_bytes, "initial_bytes", (json_int_t)d->layout.initial_bytes, "arena",
        tiers_json(d->layout.arena), "peak", tiers_json(d->layout.peak), "seconds", s->seconds,
        "none_seconds", p->none_seconds, "overhead", d->overhead, "pass_overhead", d->pass_overhead,
        "again_tasks", (json_int_t)s->again_tasks, "again_flops", s->again_flops, "moved_out",
        tiers_json(s->moved_out), "moved_in", tiers_json(s->moved_in), "tasks",
        (json_int_t)plb_graph_tasks(p->graph), "instructions", (json_int_t)d->plan.n,
        "planning_seconds", d->planning_seconds, "needs", "initial", (json_int_t)needs->initial,
        "gradients", (json_int_t)needs->gradients, "activations", (json_int_t)needs->activations,
        "largest_task", (json_int_t)needs->largest_task, "blocks", blocks_json(blocks, n),
        "away_bytes", tiers_json(d->layout.away_bytes)));
}

/* ---- what is asked for ---- */

static bool has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);

    return n > m && strcmp(path + n - m, ending) == 0;
}

static enum plb_status save(const struct cli_planner *p, const struct cli_decision *d)
{
    const char *path = plb_settings_text(p->settings, OPTION_OUT);
    enum plb_status status;
    char *text;

    if (!plb_settings_given(p->settings, OPTION_OUT))
        return PLB_OK;
    if (has_ending(path, ".json"))
        return plb_plan_save(&d->plan, path);
    PLB_TRY(cli_plan_svg(p, d, &text));
    status = cli_write_text(NULL, path, text);
    free(text);
    return status;
}

/* What would be refused at the end is refused at once. */
static enum plb_status check_out(const struct plb_settings *s)
{
    const char *path = plb_settings_text(s, OPTION_OUT);

    if (!plb_settings_given(s, OPTION_OUT) || has_ending(path, ".json") || has_ending(path, ".svg"))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "--out wants a name that ends in .json (the plan) or .svg "
                    "(a picture of it), not %s",
                    path);
}

static enum plb_status show(const struct cli_planner *p, const struct cli_decision *d)
{
    struct cli_block *blocks;
    enum plb_status status = PLB_OK;
    int n;

    PLB_TRY(cli_decision_blocks(d, &blocks, &n));
    if (plb_settings_switch(p->settings, OPTION_JSON))
        status = print_json(p, d, blocks, n);
    else
        print_text(p, d, blocks, n);
    free(blocks);
    if (status == PLB_OK && plb_settings_switch(p->settings, OPTION_PRINT) &&
        !plb_settings_switch(p->settings, OPTION_JSON)) {
        putchar('\n');
        status = plb_plan_print(&d->plan, p->graph, stdout);
    }
    return status;
}

static enum plb_status print_least(const struct cli_planner *p, const char *name)
{
    const struct plb_memory_policy *policy;
    const struct plb_needs *needs = &p->problem.needs;
    const struct plb_budget none = {0};
    struct plb_problem problem = p->problem;
    size_t bytes;
    char text[32], task[32];

    PLB_TRY(plb_memory_policy_find(name, &policy));
    PLB_TRY(cli_planner_limits(p, &none, &problem.limits));
    PLB_TRY(plb_plan_least(policy, &problem, &bytes));
    if (plb_settings_switch(p->settings, OPTION_JSON))
        return cli_print_json(json_pack(
            "{s:s, s:s, s:I, s:I, s:s, s:I}", "workload", p->workload.title, "policy", policy->name,
            "least_bytes", (json_int_t)bytes, "initial_bytes", (json_int_t)needs->initial,
            "largest_task", plb_graph_task(p->graph, needs->largest)->name, "largest_task_bytes",
            (json_int_t)needs->largest_task));
    print_row("step of", "%s", p->workload.title);
    print_row("policy", "%s", policy->name);
    print_row("least", "--memory-budget %zu (%s)", bytes,
              cli_print_bytes((double)bytes, text, sizeof text));
    print_row("of which", "%s of parameters, state and inputs; the largest task, %s, has %s",
              cli_print_bytes((double)needs->initial, text, sizeof text),
              plb_graph_task(p->graph, needs->largest)->name,
              cli_print_bytes((double)needs->largest_task, task, sizeof task));
    return PLB_OK;
}

static enum plb_status plan(const struct cli_planner *p, const struct plb_budget *budget)
{
    const char *policy = plb_settings_text(p->settings, OPTION_MEMORY);
    struct cli_decision decision;
    enum plb_status status;

    cli_say(p->settings, "%s: %u tasks, planning with %s ...\n", p->workload.title,
            plb_graph_tasks(p->graph), policy);
    if (plb_settings_switch(p->settings, OPTION_LEAST))
        return print_least(p, policy);
    status = cli_decide(p, policy, budget, &decision);
    if (status == PLB_ERROR_MEMORY) {
        char cause[512];

        snprintf(cause, sizeof cause, "%s", plb_error_message());
        return plb_fail(status, "%s; --least tells what would do", cause);
    }
    PLB_TRY(status);
    status = save(p, &decision);
    if (status == PLB_OK)
        status = show(p, &decision);
    cli_decision_clear(&decision);
    return status;
}

enum plb_status cli_plan(const struct plb_settings *settings)
{
    const struct plb_memory_policy *policy;
    struct cli_planner planner;
    struct plb_budget budget;
    enum plb_status status;

    if (plb_settings_switch(settings, OPTION_GRANULARITY))
        return cli_plan_granularity(settings);
    if (plb_settings_given(settings, OPTION_PLATFORM))
        return plb_fail(PLB_ERROR_INVALID,
                        "--platform is for --granularity here; plans for several "
                        "devices are what 'palombe simulate' shows");
    PLB_TRY(check_out(settings));
    PLB_TRY(plb_budget_read(plb_settings_text(settings, OPTION_MEMORY_BUDGET), &budget));
    PLB_TRY(plb_memory_policy_find(plb_settings_text(settings, OPTION_MEMORY), &policy));
    if (policy->left_to_starpu)
        return plb_fail(PLB_ERROR_INVALID,
                        "policy '%s' plans nothing: what stays on the device is StarPU's decision "
                        "while it runs, which palombe compare measures",
                        policy->name);
    PLB_TRY(cli_planner_open(settings, &planner));
    status = plan(&planner, &budget);
    cli_planner_close(&planner);
    return status;
}
