/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe bench replan: what a change of the budget costs a run that is under way.
 *
 * Steps are in flight when the budget changes. For every change: what the caller waited for a plan,
 * for the switch to it and for ordering it after the former one; whether the policy was asked
 * meanwhile; and whether a better plan, made while steps went on, came after it.
 */
#include "config.h"

#include "frontends/cli/bench.h"

#include "frontends/cli/workload.h"
#include "runtime/plan/layout.h"

#include <stdlib.h>
#include <string.h>

/* Before the first change costs are measured; after each one, what is made aside may arrive. */
enum { WARM_STEPS = 3, STEPS_BETWEEN = 2, STEPS_AFTER = 6, CHANGES_MAX = 64 };

struct change {
    double share;
    double waited, settled; /* seconds: for the change itself, for what came after it */
    double predicted;       /* seconds of a step at the end */
    uint32_t asked, asked_aside, replans;
};

struct bench {
    const struct plb_settings *settings;
    struct cli_workload workload;
    plb_costs_t *costs; /* of --costs, or NULL */
    plb_trainer_t *trainer;
    size_t all, activations; /* the budget of a share of 1; what of it a share is of */
    uint32_t tasks, n;
    struct change change[CHANGES_MAX];
};

static struct plb_session_info info_of(const struct bench *b)
{
    struct plb_session_info info;

    plb_session_get_info(plb_trainer_session(b->trainer), &info);
    return info;
}

static enum plb_status make_trainer(struct bench *b)
{
    const struct plb_settings *s = b->settings;
    struct plb_session_options session = {.parallel = "none"};
    struct plb_needs needs;

    PLB_TRY(cli_session_memory(s, &session, &b->costs));
    session.budget = (struct plb_budget){.share = 1.0};
    PLB_TRY(cli_workload_build(s, (uint64_t)plb_settings_integer(s, OPTION_SEED), &b->workload));
    PLB_TRY(cli_workload_trainer(&b->workload, &session, &b->trainer));
    PLB_TRY(plb_needs_find(plb_session_graph(plb_trainer_session(b->trainer)), &needs));
    b->all = info_of(b).budget;
    b->activations = needs.activations;
    b->tasks = info_of(b).tasks;
    return PLB_OK;
}

static enum plb_status read_changes(struct bench *b)
{
    const char *text = plb_settings_text(b->settings, OPTION_BUDGETS);

    for (b->n = 0; *text && b->n < CHANGES_MAX; text += *text == ',') {
        char *end;
        double share = strtod(text, &end);

        if (end == text || (*end && *end != ',') || !(share > 0.0 && share <= 1.0))
            return plb_fail(PLB_ERROR_INVALID, "--budgets here are shares, above 0 and at most 1");
        b->change[b->n++].share = share;
        text = end;
    }
    return PLB_OK;
}

static enum plb_status steps(const struct bench *b, int n)
{
    for (int k = 0; k < n; k++)
        PLB_TRY(plb_trainer_step(b->trainer));
    return PLB_OK;
}

/* What is made aside comes to be in the steps that follow. */
static enum plb_status wait_for_better(const struct bench *b)
{
    for (int k = 0; k < STEPS_AFTER; k++) {
        PLB_TRY(steps(b, 1));
        PLB_TRY(plb_trainer_wait(b->trainer));
    }
    return PLB_OK;
}

static enum plb_status make_change(struct bench *b, struct change *c)
{
    struct plb_session_info before = info_of(b), after;
    size_t bytes = b->all - (size_t)((1.0 - c->share) * (double)b->activations);

    PLB_TRY(plb_session_set_budget(plb_trainer_session(b->trainer), bytes));
    PLB_TRY(steps(b, 1));
    after = info_of(b);
    c->waited = after.replan_seconds;
    c->asked = after.asked - before.asked;
    PLB_TRY(wait_for_better(b));
    after = info_of(b);
    c->settled = after.replan_seconds;
    c->asked_aside = after.asked_aside - before.asked_aside;
    c->replans = after.replans - before.replans;
    c->predicted = after.predicted_seconds;
    return steps(b, STEPS_BETWEEN);
}

static enum plb_status report_json(const struct bench *b)
{
    json_t *list = json_array();

    for (uint32_t k = 0; k < b->n; k++) {
        const struct change *c = &b->change[k];

        json_array_append_new(list,
                              json_pack("{s:f, s:f, s:f, s:I, s:I, s:I, s:f}", "share", c->share,
                                        "waited_seconds", c->waited, "switched_seconds", c->settled,
                                        "asked", (json_int_t)c->asked, "asked_aside",
                                        (json_int_t)c->asked_aside, "replans",
                                        (json_int_t)c->replans, "predicted_seconds", c->predicted));
    }
    return cli_print_json(json_pack("{s:s, s:I, s:o}", "policy", info_of(b).memory_policy, "tasks",
                                    (json_int_t)b->tasks, "changes", list));
}

static void report_text(const struct bench *b)
{
    printf("%s: %u tasks, policy %s\n", b->workload.title, b->tasks, info_of(b).memory_policy);
    printf("%-6s %10s %12s %8s %14s %12s\n", "share", "waited", "asked for it", "aside",
           "last switch", "step");
    for (uint32_t k = 0; k < b->n; k++) {
        const struct change *c = &b->change[k];

        printf("%-6.3g %7.2f ms %12s %8u %11.2f ms %10.4g s\n", c->share, 1e3 * c->waited,
               c->asked ? "yes" : "no", c->asked_aside, 1e3 * c->settled, c->predicted);
    }
}

static enum plb_status bench_replan(struct bench *b)
{
    PLB_TRY(read_changes(b));
    PLB_TRY(cli_start_runtime(b->settings));
    PLB_TRY(make_trainer(b));
    PLB_TRY(steps(b, WARM_STEPS));
    PLB_TRY(plb_trainer_wait(b->trainer));
    PLB_TRY(wait_for_better(b));
    PLB_TRY(steps(b, STEPS_BETWEEN));
    for (uint32_t k = 0; k < b->n; k++)
        PLB_TRY(make_change(b, &b->change[k]));
    PLB_TRY(plb_trainer_wait(b->trainer));
    if (plb_settings_switch(b->settings, OPTION_JSON))
        return report_json(b);
    report_text(b);
    return PLB_OK;
}

enum plb_status cli_bench_replan(const struct plb_settings *settings)
{
    struct bench bench = {.settings = settings};
    enum plb_status status = bench_replan(&bench);

    plb_trainer_destroy(bench.trainer);
    plb_costs_destroy(bench.costs);
    plb_runtime_stop();
    cli_workload_clear(&bench.workload);
    return status;
}
