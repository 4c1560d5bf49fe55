/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe plan --granularity: how large tasks should be on a platform, and which decisions are
 * better taken before the run and which during it.
 */
#include "config.h"

#include "frontends/cli/granularity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Runs with other times that orders are compared over. */
#define SEEDS 32
/* By how much an order must be faster to count. */
#define FASTER 1e-3

/* ---- what is asked ---- */

static enum plb_status make_tables(struct cli_granularity *g)
{
    const struct cli_machine *m = &g->machine;
    uint32_t samples = (uint32_t)plb_settings_integer(m->settings, OPTION_BATCH);
    struct plb_auto_problem problem = {
        .profile = &g->profile, .places = m->places, .budget = m->budget};

    PLB_TRY(plb_auto_profile_of_graph(m->graph, m->places, (const double *const *)m->seconds,
                                      samples, &g->profile));
    g->profile.micro_batches = 0; /* to be chosen */
    PLB_TRY(plb_granularity_make(&problem, &g->table));
    problem.micro_batches = g->table.row[g->table.best].micro_batches;
    PLB_TRY(plb_auto_plan_make(&problem, &g->plan));
    return plb_granularity_noise(&problem, &g->plan, SEEDS, g->noise);
}

double cli_granularity_turn(const struct cli_granularity *granularity)
{
    for (int k = 0; k < PLB_GRANULARITY_NOISES; k++)
        if (granularity->noise[k].online < granularity->noise[k].fixed - FASTER)
            return granularity->noise[k].noise;
    return 0.0;
}

static uint32_t stages_of(const struct cli_granularity *g)
{
    return g->plan.in_replica[1] - g->plan.in_replica[0];
}

/* ---- as text ---- */

static char *print_target(double seconds, char *text, size_t size)
{
    if (seconds > 0.0)
        snprintf(text, size, "%g ms", 1e3 * seconds);
    else
        snprintf(text, size, "a job");
    return text;
}

/* Sizes of the targets from `row` to `last`, which come to the same tasks. */
static char *print_targets(const struct plb_granularity_row *row,
                           const struct plb_granularity_row *last, char *text, size_t size)
{
    char first[32], second[32];

    print_target(row->target, first, sizeof first);
    if (row == last)
        snprintf(text, size, "%s", first);
    else
        snprintf(text, size, "%s to %s", first, print_target(last->target, second, sizeof second));
    return text;
}

static void print_row(const struct plb_granularity_row *row, const struct plb_granularity_row *last,
                      bool best)
{
    char targets[72];

    printf("%13u %17s ", row->micro_batches, print_targets(row, last, targets, sizeof targets));
    if (!(row->seconds < HUGE_VAL)) {
        printf("no plan fits\n");
        return;
    }
    printf("%10llu %10.4g s %6.1f%% %6.1f%% %7.1f%%  %u x %u x %u%s\n",
           (unsigned long long)row->tasks, row->seconds, 100.0 * row->host_share,
           100.0 * fmax(row->idle_share, 0.0), 100.0 * row->bubble, row->replicas, row->stages,
           row->degree, best ? "  <- best" : "");
}

/* Sizes that come to the same tasks are one line. */
static void print_rows(const struct plb_granularity *table)
{
    for (uint32_t k = 0, next; k < table->n; k = next) {
        const struct plb_granularity_row *row = &table->row[k];

        for (next = k + 1; next < table->n && row[next - k].micro_batches == row->micro_batches &&
                           row[next - k].tasks == row->tasks;
             next++)
            ;
        print_row(row, &table->row[next - 1], table->best >= k && table->best < next);
    }
}

static void print_noise(const struct cli_granularity *g)
{
    double turn = cli_granularity_turn(g);

    printf(
        "\nA step when times are off, as a multiple of one without noise (mean, worst of %d runs)"
        "\n%13s %22s %22s\n",
        SEEDS, "times off by", "order fixed before", "found during the run");
    for (int k = 0; k < PLB_GRANULARITY_NOISES; k++)
        printf("%11.0f %% %13.3f, %7.3f %13.3f, %7.3f\n", 100.0 * g->noise[k].noise,
               g->noise[k].fixed, g->noise[k].worst_fixed, g->noise[k].online,
               g->noise[k].worst_online);
    printf(
        "\nbefore the run  micro-batches, tensor degrees and task size (the graph and its bits are "
        "made of\n                them), replicas, stages and what is recomputed (%llu partial "
        "plans were looked at)\n",
        (unsigned long long)g->plan.visited);
    if (stages_of(g) < 2)
        printf("either          the order of jobs: with one stage nobody waits for another\n");
    else if (turn > 0.0)
        printf("during the run  the order of jobs where times are off by %.0f %% or more; below "
               "that, before it\n",
               100.0 * turn);
    else
        printf("either          the order of jobs: under all noise tried one found during the run "
               "is no faster\n");
}

static void print_text(const struct cli_granularity *g)
{
    const struct cli_machine *m = &g->machine;
    const char *platform = plb_settings_text(m->settings, OPTION_PLATFORM);

    printf("%s\non %s: %u place%s\n\n", m->workload.title,
           platform && *platform ? platform : plb_places_kind_name(m->places, 0),
           plb_places_count(m->places), plb_places_count(m->places) == 1 ? "" : "s");
    printf("%13s %17s %10s %12s %7s %7s %8s  %s\n", "micro-batches", "task", "tasks", "step",
           "host", "idle", "bubble", "replicas x stages x degree");
    print_rows(&g->table);
    print_noise(g);
}

/* ---- as JSON ---- */

static json_t *rows_json(const struct cli_granularity *g)
{
    json_t *list = json_array();

    for (uint32_t k = 0; k < g->table.n; k++) {
        const struct plb_granularity_row *row = &g->table.row[k];

        json_array_append_new(
            list, json_pack("{s:I, s:f, s:I, s:o, s:f, s:f, s:f, s:I, s:I, s:I}", "micro_batches",
                            (json_int_t)row->micro_batches, "task_seconds", row->target, "tasks",
                            (json_int_t)row->tasks, "seconds",
                            row->seconds < HUGE_VAL ? json_real(row->seconds) : json_null(),
                            "host_share", row->host_share, "idle_share", row->idle_share, "bubble",
                            row->bubble, "replicas", (json_int_t)row->replicas, "stages",
                            (json_int_t)row->stages, "degree", (json_int_t)row->degree));
    }
    return list;
}

static json_t *noise_json(const struct cli_granularity *g)
{
    json_t *list = json_array();

    for (int k = 0; k < PLB_GRANULARITY_NOISES; k++)
        json_array_append_new(
            list, json_pack("{s:f, s:f, s:f, s:f, s:f}", "noise", g->noise[k].noise, "before",
                            g->noise[k].fixed, "during", g->noise[k].online, "worst_before",
                            g->noise[k].worst_fixed, "worst_during", g->noise[k].worst_online));
    return list;
}

static enum plb_status print_json(const struct cli_granularity *g)
{
    double turn = cli_granularity_turn(g);

    return cli_print_json(json_pack(
        "{s:s, s:I, s:I, s:o, s:o, s:s, s:o}", "workload", g->machine.workload.title, "places",
        (json_int_t)plb_places_count(g->machine.places), "best", (json_int_t)g->table.best, "rows",
        rows_json(g), "orders", noise_json(g), "schedule", g->plan.schedule,
        "order_during_the_run_from", turn > 0.0 ? json_real(turn) : json_null()));
}

/* ---- the command ---- */

static enum plb_status draw(const struct cli_granularity *g)
{
    const struct plb_settings *settings = g->machine.settings;
    enum plb_status status;
    char *text;

    if (!plb_settings_given(settings, OPTION_OUT))
        return PLB_OK;
    PLB_TRY(cli_granularity_svg(g, &text));
    status = cli_write_text(NULL, plb_settings_text(settings, OPTION_OUT), text);
    free(text);
    return status;
}

static enum plb_status answer(const struct plb_settings *settings, struct cli_granularity *g)
{
    PLB_TRY(cli_check_picture(settings));
    PLB_TRY(cli_machine_open(settings, true, &g->machine));
    cli_say(settings, "%s: planning with tasks of many sizes ...\n", g->machine.workload.title);
    PLB_TRY(make_tables(g));
    if (plb_settings_switch(settings, OPTION_JSON))
        PLB_TRY(print_json(g));
    else
        print_text(g);
    return draw(g);
}

enum plb_status cli_plan_granularity(const struct plb_settings *settings)
{
    struct cli_granularity g = {.table = {0}};
    enum plb_status status = answer(settings, &g);

    plb_auto_plan_clear(&g.plan);
    plb_granularity_clear(&g.table);
    plb_auto_profile_clear(&g.profile);
    cli_machine_close(&g.machine);
    return status;
}
