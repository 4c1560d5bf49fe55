/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `palombe compare` found, as a table and as JSON.
 */
#include "config.h"

#include "frontends/cli/compare.h"

#include "runtime/base/bytes.h"

#include <stdlib.h>
#include <string.h>

/* "12.3 MiB", or "-" where nothing is known. */
static const char *bytes_or_dash(size_t bytes, char *text, size_t size)
{
    return bytes ? cli_print_bytes((double)bytes, text, size) : "-";
}

static void print_seconds(double seconds, double overhead)
{
    if (seconds > 0.0)
        printf(" %10.4g %+7.1f%%", seconds, 100.0 * overhead);
    else
        printf(" %10s %8s", "-", "-");
}

/* How far the clock is from the simulation, in points of overhead. */
static double points_of(const struct cli_pair *pair)
{
    return 100.0 * (pair->measured_overhead - pair->simulated_overhead);
}

static void print_points(const struct cli_pair *pair)
{
    if (pair->simulated > 0.0 && pair->measured > 0.0)
        printf(" %+6.1f", points_of(pair));
    else
        printf(" %6s", "-");
}

static void print_pair(const struct cli_comparison *c, const struct cli_pair *pair, int width)
{
    char budget[32], planned[32], peak[32], moved[32], own[32], flops[32];

    printf("%-*s %-9s", width, pair->policy,
           cli_print_budget(&pair->budget, budget, sizeof budget));
    if (pair->reason[0]) {
        printf(" %s\n", pair->reason);
        return;
    }
    printf(" %10s", bytes_or_dash(pair->planned_bytes, planned, sizeof planned));
    if (c->runs)
        printf(" %10s", bytes_or_dash(pair->peak_bytes, peak, sizeof peak));
    printf(" %11s %10s",
           pair->again_flops > 0.0 ? cli_print_flops(pair->again_flops, flops, sizeof flops) : "-",
           bytes_or_dash(pair->moved, moved, sizeof moved));
    print_seconds(pair->simulated, pair->simulated_overhead);
    if (c->runs) {
        print_seconds(pair->measured, pair->measured_overhead);
        print_points(pair);
        printf(" %6s %10s", pair->same_bits ? "same" : "OTHER",
               bytes_or_dash((size_t)pair->own_moves, own, sizeof own));
    }
    putchar('\n');
}

/* Of the column of names: "replay:FILE" can be long. */
static int width_of_names(const struct cli_comparison *c)
{
    size_t width = strlen("offload-dp") + 2;

    for (int k = 0; k < c->n_pairs; k++)
        width = strlen(c->pair[k].policy) > width ? strlen(c->pair[k].policy) : width;
    return (int)width;
}

static void print_table(const struct cli_comparison *c)
{
    int width = width_of_names(c);

    printf("%s", c->planner.workload.title);
    if (c->runs)
        printf("; %s, %d steps a run, %d round%s, medians\n", c->device, c->steps, c->rounds,
               c->rounds == 1 ? "" : "s");
    else
        printf("; simulated on %s\n", c->planner.problem.platform->name);
    printf("%-*s %-9s %10s", width, "policy", "budget", "planned");
    if (c->runs)
        printf(" %10s", "peak");
    printf(" %11s %10s %10s %8s", "run again", "moved", "simulated", "");
    if (c->runs)
        printf(" %10s %8s %6s %6s %10s", "measured", "", "points", "bits", "by StarPU");
    putchar('\n');
    for (int k = 0; k < c->n_pairs; k++)
        print_pair(c, &c->pair[k], width);
}

static json_t *bytes_json(size_t bytes)
{
    return bytes ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *seconds_json(double seconds)
{
    return seconds > 0.0 ? json_real(seconds) : json_null();
}

static json_t *pair_json(const struct cli_comparison *c, const struct cli_pair *pair)
{
    char budget[32];
    json_t *object;

    cli_print_budget(&pair->budget, budget, sizeof budget);
    if (pair->reason[0])
        return json_pack("{s:s, s:s, s:s}", "policy", pair->policy, "budget", budget, "reason",
                         pair->reason);
    object = json_pack(
        "{s:s, s:s, s:o, s:f, s:o, s:I, s:f, s:I, s:f, s:o, s:o, s:f}", "policy", pair->policy,
        "budget", budget, "budget_bytes", bytes_json(pair->budget_bytes), "budget_share", pair->budget.share,
        "planned_bytes", bytes_json(pair->planned_bytes), "again_tasks",
        (json_int_t)pair->again_tasks, "again_flops", pair->again_flops, "moved",
        (json_int_t)pair->moved, "planning_seconds", pair->planning_seconds, "predicted_seconds",
        seconds_json(pair->predicted), "simulated_seconds", seconds_json(pair->simulated), "simulated_overhead", pair->simulated_overhead);
    if (!object || !c->runs)
        return object;
    json_object_set_new(object, "peak_bytes", bytes_json(pair->peak_bytes));
    json_object_set_new(object, "measured_seconds", seconds_json(pair->measured));
    json_object_set_new(object, "measured_overhead", json_real(pair->measured_overhead));
    json_object_set_new(object, "points", json_real(points_of(pair)));
    json_object_set_new(object, "measurements", json_integer(pair->steps.n));
    json_object_set_new(object, "moved_by_starpu", json_integer((json_int_t)pair->own_moves));
    json_object_set_new(object, "same_bits", json_boolean(pair->same_bits));
    return object;
}

static enum plb_status print_json(const struct cli_comparison *c)
{
    json_t *list = json_array();

    for (int k = 0; k < c->n_pairs; k++)
        json_array_append_new(list, pair_json(c, &c->pair[k]));
    return cli_print_json(
        json_pack("{s:s, s:s, s:i, s:i, s:b, s:o}", "workload", c->planner.workload.title, "device",
                  c->runs ? c->device : c->planner.problem.platform->name, "steps", c->steps,
                  "rounds", c->rounds, "measured", c->runs, "pairs", list));
}

/* Other bits than those of "none", a budget that was not kept, and transfers that nobody planned
 * are faults, and the comparison's failure. */
static enum plb_status check_pair(const struct cli_pair *pair)
{
    char budget[32];

    cli_print_budget(&pair->budget, budget, sizeof budget);
    if (!pair->same_bits)
        return plb_fail(PLB_ERROR_INTERNAL, "the losses under '%s' are not those of the first run",
                        pair->policy);
    if (pair->budget_bytes > 0 && pair->peak_bytes > pair->budget_bytes)
        return plb_fail(PLB_ERROR_INTERNAL, "'%s' held %s under the budget %s, %zu bytes too many",
                        pair->policy, plb_bytes_text((double)pair->peak_bytes).text, budget,
                        pair->peak_bytes - pair->budget_bytes);
    if (pair->own_moves > 0 && !pair->left_to_starpu)
        return plb_fail(PLB_ERROR_INTERNAL, "StarPU moved %s by itself under '%s', %s",
                        plb_bytes_text((double)pair->own_moves).text, pair->policy, budget);
    return PLB_OK;
}

enum plb_status cli_compare_report(const struct cli_comparison *comparison)
{
    if (plb_settings_switch(comparison->settings, OPTION_JSON))
        PLB_TRY(print_json(comparison));
    else
        print_table(comparison);
    return PLB_OK;
}

enum plb_status cli_compare_judge(const struct cli_comparison *comparison)
{
    for (int k = 0; k < comparison->n_pairs && comparison->runs; k++)
        PLB_TRY(check_pair(&comparison->pair[k]));
    return PLB_OK;
}
