/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe compare: memory policies under budgets, on the same training step with the same kernels.
 */
#define _GNU_SOURCE
#include "config.h"

#include "frontends/cli/compare.h"
#include "frontends/cli/simulate.h"

#include "schedulers/schedulers.h"

#include <stdlib.h>
#include <string.h>

/* ---- which pairs ---- */

static enum plb_status add_pair(struct cli_comparison *c, const char *policy,
                                const struct plb_budget *budget)
{
    if (c->n_pairs == CLI_PAIRS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "at most %d policies and budgets can be compared",
                        CLI_PAIRS_MAX - 1);
    c->pair[c->n_pairs++] = (struct cli_pair){.policy = policy, .budget = *budget};
    return PLB_OK;
}

/* All budgets of one policy. `list` is cut into words again for each. */
static enum plb_status add_budgets(struct cli_comparison *c, const char *policy, const char *list)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t length = strcspn(at, ",");
        struct plb_budget budget;
        char word[64];

        snprintf(word, sizeof word, "%.*s", (int)length, at);
        if (length == 0 || length >= sizeof word)
            return plb_fail(PLB_ERROR_INVALID,
                            "--budgets wants budgets separated by commas, not "
                            "'%s'",
                            list);
        PLB_TRY(plb_budget_read(word, &budget));
        PLB_TRY(add_pair(c, policy, &budget));
    }
    return PLB_OK;
}

static enum plb_status list_pairs(struct cli_comparison *c)
{
    const char *budgets = plb_settings_text(c->settings, OPTION_BUDGETS);
    const struct plb_memory_policy *policy;
    const struct plb_budget none = {0};
    char *rest;

    c->policies = strdup(plb_settings_text(c->settings, OPTION_POLICIES));
    if (!c->policies)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the list of policies");
    PLB_TRY(add_pair(c, "none", &none));
    rest = c->policies;
    for (char *word = strsep(&rest, ","); word; word = strsep(&rest, ",")) {
        if (!*word)
            return plb_fail(PLB_ERROR_INVALID,
                            "--policies wants policies separated by commas, not '%s'",
                            plb_settings_text(c->settings, OPTION_POLICIES));
        PLB_TRY(plb_memory_policy_find(word, &policy));
        PLB_TRY(add_budgets(c, word, budgets));
    }
    return PLB_OK;
}

/* ---- planning ---- */

static void take_decision(struct cli_pair *pair, const struct cli_decision *d)
{
    pair->planned_bytes = d->device_bytes;
    pair->again_tasks = d->simulation.again_tasks;
    pair->again_flops = d->simulation.again_flops;
    pair->moved = cli_decision_moved(d);
    pair->planning_seconds = d->planning_seconds;
    pair->predicted = pair->simulated = d->simulation.seconds;
    pair->simulated_overhead = d->overhead;
}

/* That a budget is too small is a result, not a failure. */
static enum plb_status plan_pair(const struct cli_comparison *c, struct cli_pair *pair)
{
    const struct plb_memory_policy *policy;
    struct cli_decision decision;
    struct plb_limits limits;
    enum plb_status status;

    PLB_TRY(cli_planner_limits(&c->planner, &pair->budget, &limits));
    if (limits.bytes[PLB_DEVICE] != SIZE_MAX)
        pair->budget_bytes = limits.bytes[PLB_DEVICE];
    PLB_TRY(plb_memory_policy_find(pair->policy, &policy));
    pair->left_to_starpu = policy->left_to_starpu;
    if (policy->left_to_starpu && !c->runs)
        snprintf(pair->reason, sizeof pair->reason,
                 "what StarPU evicts is not known before it runs");
    if (policy->left_to_starpu || c->runs) /* sessions plan for themselves */
        return PLB_OK;
    status = cli_decide(&c->planner, pair->policy, &pair->budget, &decision);
    if (status == PLB_ERROR_MEMORY) {
        snprintf(pair->reason, sizeof pair->reason, "%s", plb_error_message());
        plb_error_clear();
        return PLB_OK;
    }
    PLB_TRY(status);
    take_decision(pair, &decision);
    cli_decision_clear(&decision);
    return PLB_OK;
}

static enum plb_status plan_all(struct cli_comparison *c)
{
    struct cli_progress progress;
    enum plb_status status = PLB_OK;

    cli_progress_start(&progress, !plb_settings_switch(c->settings, OPTION_QUIET) &&
                                      !plb_settings_switch(c->settings, OPTION_JSON));
    progress.last = progress.start; /* nothing is said unless it takes long */
    for (int k = 0; k < c->n_pairs && status == PLB_OK; k++) {
        cli_progress_show(&progress, (double)k / (c->n_pairs + 1), "planning %s",
                          c->pair[k].policy);
        status = plan_pair(c, &c->pair[k]);
    }
    if (progress.last > progress.start)
        cli_progress_end(&progress);
    return status;
}

/* ---- the command ---- */

static enum plb_status draw(const struct cli_comparison *c)
{
    enum plb_status status;
    char *text;

    if (!plb_settings_given(c->settings, OPTION_OUT))
        return PLB_OK;
    PLB_TRY(cli_compare_svg(c, &text));
    status = cli_write_text(NULL, plb_settings_text(c->settings, OPTION_OUT), text);
    free(text);
    return status;
}

/* What was measured is told even if it cannot be drawn. */
static enum plb_status tell(const struct cli_comparison *c)
{
    PLB_TRY(cli_compare_report(c));
    PLB_TRY(draw(c));
    return cli_compare_judge(c);
}

static enum plb_status compare(struct cli_comparison *c)
{
    PLB_TRY(cli_check_picture(c->settings));
    PLB_TRY(list_pairs(c));
    PLB_TRY(cli_planner_open(c->settings, &c->planner));
    PLB_TRY(plan_all(c));
    if (c->runs)
        PLB_TRY(cli_compare_run(c));
    return tell(c);
}

enum plb_status cli_compare(const struct plb_settings *settings)
{
    struct cli_comparison c = {.settings = settings,
                               .steps = (int)plb_settings_integer(settings, OPTION_STEPS_EACH),
                               .rounds = (int)plb_settings_integer(settings, OPTION_ROUNDS),
                               .runs = !plb_settings_switch(settings, OPTION_SIMULATE)};
    enum plb_status status = compare(&c);

    for (int k = 0; k < c.n_pairs; k++) {
        free(c.pair[k].replays.seconds);
        free(c.pair[k].steps.seconds);
    }
    free(c.loss);
    free(c.costs);
    free(c.policies);
    cli_planner_close(&c.planner);
    return status;
}
