/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `palombe simulate` found, as tables and as JSON.
 */
#include "config.h"

#include "frontends/cli/simulate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Samples of the model per second. */
static double samples_rate(const struct cli_simulation *s, const struct cli_trial *t)
{
    return (double)s->machine.workload.samples / t->simulation.seconds;
}

/* The step's arithmetic, as a share of what all places could do in the time. */
static double use_of(const struct cli_simulation *s, const struct cli_trial *t)
{
    return cli_trial_machine(s, t)->flops / (t->simulation.seconds * s->machine.rate);
}

static size_t peak_of(const struct cli_trial *t)
{
    return t->simulation.place[t->fullest].peak;
}

static const char *place_name(const struct cli_simulation *s, uint32_t place)
{
    return plb_places_at(s->machine.places, place)->name;
}

/* The first place that would hold more than its device has; PLB_NONE: each has room. Policies that
 * do not plan memory leave that to a memory policy. */
static uint32_t overfull(const struct cli_simulation *s, const struct cli_trial *t)
{
    for (uint32_t p = 0; p < t->simulation.n_places; p++)
        if (t->simulation.place[p].peak > s->machine.budget[p])
            return p;
    return PLB_NONE;
}

/* ---- as text ---- */

static void print_head(const struct cli_simulation *s)
{
    const struct cli_machine *m = &s->machine;
    char flops[32];

    printf("%s\n", m->workload.title);
    printf("on %s: %u places, %sS together; times of %u of %u tasks measured\n",
           plb_settings_text(m->settings, OPTION_PLATFORM), plb_places_count(m->places),
           cli_print_flops(m->rate, flops, sizeof flops), m->measured, plb_graph_tasks(m->graph));
    if (s->memory)
        printf("memory of each place by %s\n", s->memory->name);
}

/* Of the column of names: "replay:FILE" can be long. */
static int width_of_names(const struct cli_simulation *s)
{
    size_t width = strlen("interleaved");

    for (int k = 0; k < s->n_trials; k++)
        width = strlen(s->trial[k].policy->name) > width ? strlen(s->trial[k].policy->name) : width;
    return (int)width;
}

static void print_trial(const struct cli_simulation *s, const struct cli_trial *t, int width)
{
    char peak[32], sent[32], again[32] = "-";

    printf("%-*s ", width, t->policy->name);
    if (t->reason[0]) {
        printf("%s\n", t->reason);
        return;
    }
    if (t->again > 0.0)
        snprintf(again, sizeof again, "%.3g s", t->again);
    printf("%7u %10.4g s %10.4g %6.1f%% %7.1f%% %11s%c %10s %9u %9s\n", t->used,
           t->simulation.seconds, samples_rate(s, t), 100.0 * use_of(s, t),
           100.0 * t->simulation.bubble, cli_print_bytes((double)peak_of(t), peak, sizeof peak),
           overfull(s, t) == PLB_NONE ? ' ' : '!',
           cli_print_bytes((double)t->sent, sent, sizeof sent), t->spread.n_transfers, again);
}

static void print_overfull(const struct cli_simulation *s, const struct cli_trial *t)
{
    uint32_t place = t->reason[0] ? PLB_NONE : overfull(s, t);
    char needs[32], has[32];

    if (place != PLB_NONE)
        printf("! %s: %s would hold %s and has %s; more stages, or --memory, would do\n",
               t->policy->name, place_name(s, place),
               cli_print_bytes((double)t->simulation.place[place].peak, needs, sizeof needs),
               cli_print_bytes((double)s->machine.budget[place], has, sizeof has));
}

/* What became of the graph where `auto` has one of its own. */
static void print_choice(const struct cli_trial *t)
{
    const struct cli_choice *c = &t->choice;

    if (t->own.graph)
        printf("%s: %" PRId64 " micro-batch%s%s%s; planned as %u replica%s of %u stage%s\n",
               t->policy->name, c->micro_batches, c->micro_batches == 1 ? "" : "es",
               c->tensor[0] ? ", tensor " : "", c->tensor, c->replicas, c->replicas == 1 ? "" : "s",
               c->stages, c->stages == 1 ? "" : "s");
}

static bool is_alike(const struct cli_trial *t, uint32_t a, uint32_t b)
{
    const struct plb_place_use *x = &t->simulation.place[a], *y = &t->simulation.place[b];

    return x->n == y->n && x->peak == y->peak && x->sent == y->sent && x->received == y->received &&
           fabs(x->busy_seconds - y->busy_seconds) <= 1e-9 * t->simulation.seconds;
}

static uint32_t workers_of(const struct cli_simulation *s, uint32_t place)
{
    uint32_t kind = plb_places_at(s->machine.places, place)->kind;

    return (uint32_t)plb_costs_platform(plb_places_costs(s->machine.places, kind))->workers;
}

/* Places alike that follow each other are one row. */
static void print_places(const struct cli_simulation *s, const struct cli_trial *t)
{
    char peak[32], sent[32], received[32], name[2 * PLB_PLACE_NAME + 8];
    uint32_t n = t->simulation.n_places;

    printf("\n%-32s %8s %11s %10s %10s\n", t->policy->name, "busy", "memory", "sent", "received");
    for (uint32_t p = 0, next; p < n; p = next) {
        const struct plb_place_use *use = &t->simulation.place[p];

        for (next = p + 1; next < n && is_alike(t, p, next); next++)
            ;
        snprintf(name, sizeof name, next == p + 1 ? "%s" : "%s to %s", place_name(s, p),
                 place_name(s, next - 1));
        printf("%-32s %7.1f%% %11s %10s %10s\n", name,
               100.0 * use->busy_seconds / (workers_of(s, p) * t->simulation.seconds),
               cli_print_bytes((double)use->peak, peak, sizeof peak),
               cli_print_bytes((double)use->sent, sent, sizeof sent),
               cli_print_bytes((double)use->received, received, sizeof received));
    }
}

static void print_text(const struct cli_simulation *s)
{
    int width = width_of_names(s);
    char rate[32];

    print_head(s);
    snprintf(rate, sizeof rate, "%s/s", s->machine.workload.unit);
    printf("%-*s %7s %12s %10s %7s %8s %11s  %10s %9s %9s\n", width, "policy", "places", "step",
           rate, "of peak", "bubble", "memory", "sent", "transfers", "again");
    for (int k = 0; k < s->n_trials; k++)
        print_trial(s, &s->trial[k], width);
    for (int k = 0; k < s->n_trials; k++)
        print_choice(&s->trial[k]);
    for (int k = 0; k < s->n_trials; k++)
        print_overfull(s, &s->trial[k]);
    if (s->n_trials == 1)
        print_places(s, &s->trial[0]);
}

/* ---- as JSON ---- */

static json_t *places_json(const struct cli_simulation *s, const struct cli_trial *t)
{
    json_t *list = json_array();

    for (uint32_t p = 0; p < t->simulation.n_places; p++) {
        const struct plb_place_use *use = &t->simulation.place[p];

        json_array_append_new(
            list, json_pack("{s:s, s:I, s:f, s:f, s:I, s:I, s:I}", "place", place_name(s, p),
                            "instructions", (json_int_t)use->n, "busy_seconds", use->busy_seconds,
                            "again_seconds", use->again_seconds, "peak_bytes",
                            (json_int_t)use->peak, "sent_bytes", (json_int_t)use->sent,
                            "received_bytes", (json_int_t)use->received));
    }
    return list;
}

/* Null: the graph that all have. */
static json_t *choice_json(const struct cli_trial *t)
{
    const struct cli_choice *c = &t->choice;

    if (!t->own.graph)
        return json_null();
    return json_pack("{s:I, s:o, s:I, s:I, s:I}", "micro_batches", (json_int_t)c->micro_batches,
                     "tensor", c->tensor[0] ? json_string(c->tensor) : json_null(), "replicas",
                     (json_int_t)c->replicas, "stages", (json_int_t)c->stages, "tasks",
                     (json_int_t)plb_graph_tasks(t->own.graph));
}

static json_t *trial_json(const struct cli_simulation *s, const struct cli_trial *t)
{
    if (t->reason[0])
        return json_pack("{s:s, s:s}", "policy", t->policy->name, "reason", t->reason);
    return json_pack(
        "{s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:b, s:f, s:f, s:o, s:o}", "policy",
        t->policy->name, "seconds", t->simulation.seconds, "samples_per_second", samples_rate(s, t),
        "of_peak", use_of(s, t), "bubble", t->simulation.bubble, "places_used", (json_int_t)t->used,
        "peak_bytes", (json_int_t)peak_of(t), "sent_bytes", (json_int_t)t->sent, "transfers",
        (json_int_t)t->spread.n_transfers, "fits", overfull(s, t) == PLB_NONE, "again_seconds",
        t->again, "planning_seconds", t->planning_seconds, "chosen", choice_json(t), "places",
        places_json(s, t));
}

static enum plb_status print_json(const struct cli_simulation *s)
{
    const struct cli_machine *m = &s->machine;
    json_t *list = json_array();

    for (int k = 0; k < s->n_trials; k++)
        json_array_append_new(list, trial_json(s, &s->trial[k]));
    return cli_print_json(json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:o?, s:o}", "workload", m->workload.title,
        "platform", plb_settings_text(m->settings, OPTION_PLATFORM), "places",
        (json_int_t)plb_places_count(m->places), "tasks", (json_int_t)plb_graph_tasks(m->graph),
        "micro_batches", (json_int_t)m->workload.micro_batches, "samples",
        (json_int_t)m->workload.samples, "unit", m->workload.unit, "flops", m->flops,
        "flops_per_second", m->rate, "memory_policy",
        s->memory ? json_string(s->memory->name) : json_null(), "policies", list));
}

enum plb_status cli_simulate_report(const struct cli_simulation *simulation)
{
    if (plb_settings_switch(simulation->machine.settings, OPTION_JSON))
        return print_json(simulation);
    print_text(simulation);
    return PLB_OK;
}
