/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The planner: against exhaustive search, against what the fixed policies do on twenty platforms,
 * what it recomputes, a thousand places, plans after a loss, latency, bad input.
 */
#include "config.h"

#include "tests/schedulers/parallel/exhaustive.h"

#include "schedulers/parallel/auto/planning.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- platforms and models ---- */

struct machine {
    const char *name;
    uint32_t nodes, cards;
    double link, network, latency, memory; /* bytes per second, seconds, bytes */
    double hidden;                         /* of the model: width, */
    uint32_t blocks, samples;
};

static plb_places_t *places_of(const struct machine *m)
{
    char text[2048];
    plb_places_t *places = NULL;

    snprintf(text, sizeof text,
             "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": [{\"name\": \"card\", "
             "\"workers\": 1, \"memory\": {\"device\": %.17g, \"host\": \"unlimited\"}, "
             "\"flops_per_second\": {\"f32\": 1e12, \"bf16\": 1e12, \"f64\": 1e12, \"i32\": 1e12}, "
             "\"bytes_per_second\": 1e12, \"task_seconds\": 0, \"links\": {\"host\": "
             "{\"out_bytes_per_second\": 1e9, \"in_bytes_per_second\": 1e9, "
             "\"latency_seconds\": 0, \"duplex\": true}}}], \"nodes\": [{\"name\": \"node\", "
             "\"count\": %u, \"devices\": [{\"kind\": \"card\", \"count\": %u}], "
             "\"link\": {\"bytes_per_second\": %.17g, \"latency_seconds\": %.17g}, "
             "\"network\": {\"bytes_per_second\": %.17g, \"latency_seconds\": %.17g, "
             "\"shared\": false}}]}",
             m->memory, m->nodes, m->cards, m->link, m->latency, m->network, m->latency);
    PLB_REQUIRE(plb_places_from_json(text, strlen(text), m->name, &places) == PLB_OK);
    return places;
}

/* A transformer in 16 bits on cards of 100 Tflop/s: embedding, blocks, head. Bytes held of a block
 * by Korthikanti et al. 2023, "Reducing Activation Recomputation in Large Transformer Models",
 * section 4.1, without the attention matrix. */
static void model_of(const struct machine *m, struct plb_auto_profile *profile)
{
    double h = m->hidden, tokens = 1024, words = 32000;

    PLB_REQUIRE(plb_auto_profile_create(3, m->blocks + 2, 1, m->samples, profile) == PLB_OK);
    for (uint32_t r = 0; r < 3; r++) {
        struct plb_auto_unit *u = &profile->record[r];
        double parameters = r == 1 ? 12 * h * h : words * h;
        double seconds = (r == 0 ? 100 * h : 2 * parameters) * tokens / 1e14;

        snprintf(u->name, sizeof u->name, "%s", r == 0 ? "embedding" : r == 1 ? "block" : "head");
        u->most_degree = 8;
        u->parameters = u->gradients = 2 * parameters;
        u->state = 12 * parameters;
        u->boundary = 2 * tokens * h;
        u->saved = tokens * h * (r == 1 ? 34 : 4);
        u->saved_weights = u->saved / 2;
        u->exchanged = u->boundary * (r == 1 ? 2 : 1);
        u->exchanges = r == 1 ? 2 : 1;
        u->n_options = r == 1 ? 3 : 1;
        u->option[0] = (struct plb_auto_option){1, 0};
        u->option[1] = (struct plb_auto_option){0.6, 0.02};
        u->option[2] = (struct plb_auto_option){0.06, 1};
        u->work[0][0] = (struct plb_auto_work){
            {seconds, 20e-6}, {seconds, 20e-6}, {seconds, 20e-6}, parameters * 20 / 2e12};
    }
    for (uint32_t i = 0; i < m->blocks + 2; i++)
        profile->unit[i] = i == 0 ? 0 : i == m->blocks + 1 ? 2 : 1;
    plb_auto_profile_divide(profile);
}

static const struct machine machines[] = {
    /* name                       n  c  link    network latency memory hidden blocks samples */
    {"two cards, fast",           1, 2, 450e9, 50e9, 1e-6, 80e9, 1024, 12, 16},
    {"two cards, slow",           1, 2, 10e9, 1e9, 10e-6, 80e9, 1024, 12, 16},
    {"two cards, little memory",  1, 2, 25e9, 1e9, 10e-6, 6e9, 1024, 12, 32},
    {"four cards, fast",          1, 4, 450e9, 50e9, 1e-6, 80e9, 2048, 16, 16},
    {"four cards, slow",          1, 4, 10e9, 1e9, 10e-6, 80e9, 2048, 16, 32},
    {"four cards, few samples",   1, 4, 100e9, 1e9, 5e-6, 80e9, 2048, 16, 4},
    {"four cards, little memory", 1, 4, 25e9, 1e9, 10e-6, 8e9, 2048, 16, 32},
    {"eight cards, fast",         1, 8, 450e9, 50e9, 1e-6, 80e9, 4096, 24, 32},
    {"eight cards, slow",         1, 8, 10e9, 1e9, 10e-6, 80e9, 4096, 24, 32},
    {"eight cards, little memory", 1, 8, 450e9, 50e9, 1e-6, 24e9, 4096, 24, 32},
    {"two nodes of four",         2, 4, 450e9, 12e9, 5e-6, 80e9, 4096, 24, 32},
    {"two nodes of eight",        2, 8, 450e9, 50e9, 5e-6, 80e9, 4096, 30, 64},
    {"two nodes, slow network",   2, 4, 450e9, 1e9, 50e-6, 80e9, 2048, 22, 32},
    {"four nodes of two",         4, 2, 300e9, 25e9, 5e-6, 40e9, 3072, 22, 32},
    {"four nodes of one",         4, 1, 300e9, 1e9, 100e-6, 80e9, 2048, 14, 16},
    {"eight nodes of one",        8, 1, 300e9, 12e9, 10e-6, 40e9, 2048, 30, 64},
    {"latency bound",             1, 4, 450e9, 50e9, 1e-3, 80e9, 512, 6, 16},
    {"one card",                  1, 1, 450e9, 50e9, 1e-6, 80e9, 1024, 12, 8},
    {"more cards than blocks",    1, 8, 100e9, 50e9, 1e-6, 80e9, 1024, 3, 8},
    {"three cards",               1, 3, 100e9, 50e9, 1e-6, 80e9, 1024, 13, 12},
};

struct subject {
    plb_places_t *places;
    struct plb_auto_profile profile;
    struct plb_auto_problem problem;
};

static void subject_make(const struct machine *m, struct subject *x)
{
    x->places = places_of(m);
    model_of(m, &x->profile);
    x->problem = (struct plb_auto_problem){.profile = &x->profile, .places = x->places};
}

static void subject_clear(struct subject *x)
{
    plb_auto_profile_clear(&x->profile);
    plb_places_destroy(x->places);
}

/* Every unit once, in order, at each replica; no place twice; all micro-batches dealt. */
static void check_plan(const struct plb_auto_problem *problem, const struct plb_auto_plan *plan)
{
    bool *used = calloc(plb_places_count(problem->places), sizeof *used);
    uint32_t dealt = 0;

    PLB_REQUIRE(used != NULL);
    for (uint32_t i = 0; i < plan->n_places; i++) {
        PLB_CHECK(!used[plan->place[i]]);
        used[plan->place[i]] = true;
    }
    for (uint32_t r = 0; r < plan->replicas; r++) {
        uint32_t unit = 0;

        for (uint32_t s = plan->in_replica[r]; s < plan->in_replica[r + 1]; s++) {
            PLB_CHECK_EQ(plan->stage[s].unit, unit);
            PLB_CHECK(plan->stage[s].unit_end > unit);
            PLB_CHECK(plan->stage[s].place + plan->stage[s].degree <= plan->n_places);
            unit = plan->stage[s].unit_end;
        }
        PLB_CHECK_EQ(unit, problem->profile->n_units);
        dealt += plan->share[r];
    }
    PLB_CHECK_EQ(dealt, plan->micro_batches);
    free(used);
}

/* ---- against the truth ---- */

static void as_good_as_exhaustive_search(void)
{
    for (uint64_t seed = 0; seed < 90; seed++) {
        struct instance x;
        struct plb_auto_plan plan;
        uint64_t plays;
        double truth;

        instance_make(seed, &x);
        truth = exhaustive_seconds(&x.problem, &plays);
        if (plb_auto_plan_make(&x.problem, &plan) == PLB_OK) {
            if (!(plan.seconds <= 1.01 * truth))
                printf("seed %llu: %g, best %g\n", (unsigned long long)seed, plan.seconds, truth);
            PLB_CHECK(plan.seconds <= 1.01 * truth);
            PLB_CHECK(plan.seconds >= 0.999999 * truth);
            check_plan(&x.problem, &plan);
            plb_auto_plan_clear(&plan);
        } else {
            PLB_CHECK(truth == HUGE_VAL);
            PLB_CHECK_CONTAINS(plb_error_message(), "bytes at least");
        }
        instance_clear(&x);
    }
}

/* ---- against the fixed policies ---- */

/* The best of a rule with so many micro-batches on even divisions of all kinds. */
static double fixed_seconds(const struct subject *x, const struct plb__pipe_rule *rule, uint32_t m,
                            uint32_t replicas, uint32_t d)
{
    uint32_t n = plb_places_count(x->places) / replicas, p = n >> d;
    uint32_t chunks = p * (rule->chunks ? rule->chunks : 2);
    uint32_t *place = calloc(plb_places_count(x->places), sizeof *place);
    struct plb__line line = {.stage = calloc(chunks, sizeof *line.stage)};
    struct plb__verdict verdict = {.seconds = HUGE_VAL};
    struct plb__tables tables;
    struct plb__fleet fleet;
    struct plb__rows rows;
    struct plb__slice slice;

    for (uint32_t i = 0; i < plb_places_count(x->places); i++)
        place[i] = i;
    PLB_REQUIRE(plb__tables_create(&x->problem, (double)x->profile.samples / m, &tables) == PLB_OK);
    PLB_REQUIRE(plb__fleet_create(&x->problem, place, plb_places_count(x->places), &fleet) ==
                PLB_OK);
    PLB_REQUIRE(plb__rows_create(&fleet, replicas, NULL, &rows) == PLB_OK);
    slice = plb__auto_draft_slice(&rows, &tables, 0, (m + replicas - 1) / replicas);
    if (p > 0 && plb__balance(&slice, rule, p, chunks, d, &line))
        PLB_CHECK(plb__judge(&slice, &line, rule, false, &verdict) == PLB_OK);
    plb__verdict_clear(&verdict);
    plb__rows_clear(&rows);
    plb__fleet_clear(&fleet);
    plb__tables_clear(&tables);
    free(line.stage);
    free(place);
    return verdict.seconds;
}

static double best_fixed_seconds(const struct subject *x)
{
    uint32_t n = plb_places_count(x->places);
    double best = HUGE_VAL;

    for (uint32_t i = 0; plb__judge_rules[i]; i++)
        for (uint32_t m = n < 8 ? 1 : n / 2; m <= x->profile.samples; m++)
            for (uint32_t r = 1; r <= n && r <= m && x->profile.samples % m == 0; r++)
                for (uint32_t d = 0; d < 4 && n % r == 0; d++)
                    best = fmin(best, fixed_seconds(x, plb__judge_rules[i], m, r, d));
    return best;
}

static void never_worse_than_fixed_policies(void)
{
    uint32_t better = 0;

    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        struct subject x;
        struct plb_auto_plan plan;
        double fixed;

        subject_make(&machines[i], &x);
        fixed = best_fixed_seconds(&x);
        if (plb_auto_plan_make(&x.problem, &plan) != PLB_OK) {
            printf("%s: %s\n", machines[i].name, plb_error_message());
            PLB_CHECK(false);
        } else {
            if (getenv("PLB_TEST_SHOW"))
                printf("%-28s fixed %.6g auto %.6g %s\n", machines[i].name, fixed, plan.seconds,
                       plan.schedule);
            if (!(plan.seconds <= fixed * (1 + 1e-9)))
                printf("%s: %g, a fixed policy %g\n", machines[i].name, plan.seconds, fixed);
            PLB_CHECK(plan.seconds <= fixed * (1 + 1e-9));
            better += plan.seconds < fixed * 0.99;
            check_plan(&x.problem, &plan);
            plb_auto_plan_clear(&plan);
        }
        subject_clear(&x);
    }
    PLB_CHECK(better >= 3);
}

/* ---- recomputation ---- */

/* Four alike stages whose places hold `held` micro-batches' worth of what one leaves. */
static void make_tight(struct instance *x, uint32_t stages, uint32_t samples, double held)
{
    const struct machine m = {.name = "tight", .nodes = 1, .cards = stages, .link = 1e12,
                              .network = 1e12, .memory = 1e12};

    x->places = places_of(&m);
    PLB_REQUIRE(plb_auto_profile_create(1, stages, 1, samples, &x->profile) == PLB_OK);
    x->profile.record[0] = (struct plb_auto_unit){
        .name = "block", .most_degree = 1, .saved = 100, .saved_weights = 50, .n_options = 3,
        .option = {{1, 0}, {0.5, 0.3}, {0.1, 1}},
        .work = {{{{1, 0}, {1, 0}, {1, 0}, 0}}}};
    plb_auto_profile_divide(&x->profile);
    for (uint32_t p = 0; p < stages; p++)
        x->budget[p] = (size_t)(100 * held + 100); /* a job that recomputes has its unit whole */
    x->problem = (struct plb_auto_problem){.profile = &x->profile, .places = x->places,
                                           .budget = x->budget, .replicas = 1,
                                           .stages = stages, .micro_batches = samples,
                                           .schedule = "1f1b"};
}

/* Seconds of 1F1B with given levels; HUGE_VAL: they do not fit. */
static double seconds_with(struct plb__trial *trial, const struct plb__level *level,
                           const uint32_t *of)
{
    uint32_t cells = trial->pipeline.stages * trial->pipeline.micro_batches;
    struct plb__verdict verdict;

    for (uint32_t i = 0; i < cells; i++) {
        trial->lean[i] = level[of[i]].held;
        trial->again[i] = level[of[i]].again;
    }
    trial->pipeline.lean = trial->lean;
    trial->pipeline.again = trial->again;
    PLB_REQUIRE(plb__trial_play(trial, &plb__rule_1f1b, &verdict, NULL) == PLB_OK);
    return verdict.seconds;
}

struct oracle {
    double best, uniform;
};

/* All ways to give each stage's micro-batches one of three levels; stages that need none have
 * none. */
static struct oracle try_all_levels(const struct instance *x, uint32_t stages, uint32_t m)
{
    uint32_t entry[4] = {0, 1, 2, 3}, of[16], n_levels, cells = stages * m, ways = 1;
    struct plb__line_stage stage[4];
    struct plb__line line = {.n = stages, .stage = stage};
    struct oracle oracle = {HUGE_VAL, HUGE_VAL};
    struct plb__tables tables;
    struct plb__fleet fleet;
    struct plb__trial trial;
    struct plb__level *level;
    struct plb__slice slice;

    PLB_REQUIRE(plb__tables_create(&x->problem, 1, &tables) == PLB_OK);
    PLB_REQUIRE(plb__fleet_create(&x->problem, entry, stages, &fleet) == PLB_OK);
    for (uint32_t s = 0; s < stages; s++)
        stage[s] = (struct plb__line_stage){s, s + 1, s, 0};
    slice = (struct plb__slice){.tables = &tables, .fleet = &fleet, .n = stages,
                                .micro_batches = m, .replicas = 1};
    PLB_REQUIRE(plb__trial_create(&slice, &line, &plb__rule_1f1b, &trial) == PLB_OK);
    PLB_REQUIRE(plb__group_levels(&tables, &trial.group[0], &trial.cost[0], &level, &n_levels) ==
                PLB_OK);
    PLB_CHECK_EQ(n_levels, 3);
    for (uint32_t i = 0; i < cells; i++)
        ways *= 3;
    for (uint32_t w = 0; w < ways; w++) {
        bool same = true;
        double seconds;

        for (uint32_t i = 0, rest = w; i < cells; i++, rest /= 3) {
            of[i] = rest % 3;
            same = same && of[i] == of[0];
        }
        seconds = seconds_with(&trial, level, of);
        oracle.best = fmin(oracle.best, seconds);
        if (same)
            oracle.uniform = fmin(oracle.uniform, seconds);
    }
    free(level);
    plb__trial_clear(&trial);
    plb__fleet_clear(&fleet);
    plb__tables_clear(&tables);
    return oracle;
}

static void recomputes_by_stage_and_micro_batch(void)
{
    static const struct {
        uint32_t stages, m;
        double held;
    } cases[] = {{2, 4, 1.5}, {2, 4, 1.2}, {2, 4, 0.6}, {2, 3, 1.7}, {3, 3, 1.5}, {3, 3, 2.2}};
    uint32_t better = 0;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct instance x;
        struct plb_auto_plan plan;
        struct oracle oracle;

        make_tight(&x, cases[i].stages, cases[i].m, cases[i].held);
        oracle = try_all_levels(&x, cases[i].stages, cases[i].m);
        PLB_REQUIRE(plb_auto_plan_make(&x.problem, &plan) == PLB_OK);
        PLB_CHECK(plan.seconds <= 1.01 * oracle.best);
        PLB_CHECK(plan.seconds <= oracle.uniform * (1 + 1e-9));
        better += plan.seconds < 0.99 * oracle.uniform;
        plb_auto_plan_clear(&plan);
        instance_clear(&x);
    }
    PLB_CHECK(better >= 4);
}

static void late_stages_recompute_nothing(void)
{
    struct instance x;
    struct plb_auto_plan plan;
    uint32_t lean[4] = {0}, options = 0;

    make_tight(&x, 4, 16, 2);
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &plan) == PLB_OK);
    for (uint32_t s = 0; s < 4; s++)
        for (uint32_t j = 0; j < 16; j++)
            lean[s] += plan.level[plan.stage[s].option + j] > 0;
    PLB_CHECK(lean[0] > 0);
    PLB_CHECK(lean[0] >= lean[1]);
    PLB_CHECK_EQ(lean[2], 0);
    PLB_CHECK_EQ(lean[3], 0);
    for (uint32_t j = 0; j < 16; j++)
        options += plb_auto_option_of(&x.problem, &plan, 0, 0, j) > 0;
    PLB_CHECK_EQ(options, lean[0]);
    PLB_CHECK_EQ(plb_auto_option_of(&x.problem, &plan, 0, 3, 0), 0);
    plb_auto_plan_clear(&plan);
    instance_clear(&x);
}

/* ---- a thousand places ---- */

static const struct machine thousand = {"128 nodes of 8", 128, 8, 450e9, 50e9, 10e-6,
                                        80e9, 8192, 96, 1024};

static void plans_a_thousand_places(void)
{
    struct subject x;
    struct plb_auto_plan plan, again, other;
    bool *gone = calloc(1024, sizeof *gone);

    PLB_REQUIRE(gone != NULL);
    subject_make(&thousand, &x);
    x.problem.schedule = "1f1b"; /* playing is not what is counted here */
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &plan) == PLB_OK);
    check_plan(&x.problem, &plan);
    PLB_CHECK(plan.visited < 4000000);
    gone[plan.place[5]] = true;
    PLB_REQUIRE(plb_auto_plan_again(&x.problem, gone, &plan, &again) == PLB_OK);
    check_plan(&x.problem, &again);
    PLB_CHECK(again.visited < 40000);
    PLB_CHECK_EQ(again.micro_batches, plan.micro_batches);
    PLB_CHECK(again.seconds >= plan.seconds * 0.999);
    PLB_CHECK(again.seconds <= plan.seconds * 1.5);
    for (uint32_t i = 0; i < again.n_places; i++)
        PLB_CHECK(!gone[again.place[i]]);
    PLB_REQUIRE(plb_auto_plan_again(&x.problem, gone, &plan, &other) == PLB_OK);
    PLB_CHECK_EQ(other.n_places, again.n_places);
    PLB_CHECK_MEMORY(other.place, again.place, again.n_places * sizeof *again.place);
    plb_auto_plan_clear(&other);
    plb_auto_plan_clear(&again);
    plb_auto_plan_clear(&plan);
    free(gone);
    subject_clear(&x);
}

/* ---- losses and drift on small machines ---- */

static void plans_again_after_losses(void)
{
    for (size_t i = 3; i < 12; i += 2) {
        struct subject x;
        struct plb_auto_plan plan, again, fresh;
        bool gone[16] = {false};

        subject_make(&machines[i], &x);
        PLB_REQUIRE(plb_auto_plan_make(&x.problem, &plan) == PLB_OK);
        gone[plan.place[0]] = true;
        if (plb_auto_plan_again(&x.problem, gone, &plan, &again) == PLB_OK) {
            check_plan(&x.problem, &again);
            PLB_CHECK_EQ(again.micro_batches, plan.micro_batches);
            for (uint32_t k = 0; k < again.n_places; k++)
                PLB_CHECK(!gone[again.place[k]]);
            x.profile.micro_batches = plan.micro_batches;
            PLB_REQUIRE(plb__auto_plan_without(&x.problem, gone, &fresh) == PLB_OK);
            PLB_CHECK(again.seconds <= 2 * fresh.seconds);
            plb_auto_plan_clear(&fresh);
            plb_auto_plan_clear(&again);
        } else {
            PLB_CHECK_CONTAINS(plb_error_message(), "no plan keeps the budgets");
        }
        plb_auto_plan_clear(&plan);
        subject_clear(&x);
    }
}

static void plans_again_after_drift(void)
{
    struct subject x;
    struct plb_auto_plan plan, again, old;

    subject_make(&machines[8], &x);
    x.problem.degree = 1;
    x.problem.replicas = 1;
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &plan) == PLB_OK);
    x.profile.record[2].work[0][0].forward.each *= 6; /* the head turns out to be slow */
    PLB_REQUIRE(plb_auto_plan_again(&x.problem, NULL, &plan, &again) == PLB_OK);
    check_plan(&x.problem, &again);
    x.profile.micro_batches = plan.micro_batches;
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &old) == PLB_OK);
    PLB_CHECK(again.seconds <= 1.05 * old.seconds);
    PLB_CHECK(again.stage[again.in_replica[1] - 1].unit >=
              plan.stage[plan.in_replica[1] - 1].unit);
    plb_auto_plan_clear(&old);
    plb_auto_plan_clear(&again);
    plb_auto_plan_clear(&plan);
    subject_clear(&x);
}

/* ---- latency ---- */

static const struct machine near_cards = {"near", 1, 4, 1e15, 1e15, 0, 80e9, 2048, 16, 4};
static const struct machine far_cards = {"far", 1, 4, 1e7, 1e7, 1e-3, 80e9, 2048, 16, 4};

static void plans_for_latency(void)
{
    struct subject x;
    struct plb_auto_plan first, next;
    char *text;

    subject_make(&near_cards, &x); /* all places work on one sample */
    x.problem.goal = PLB_AUTO_FIRST_TOKEN;
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &first) == PLB_OK);
    PLB_CHECK_EQ(first.stage[0].degree, 4);
    PLB_CHECK_EQ(first.in_replica[1], 1);
    PLB_CHECK_EQ(plb_auto_degree_of(&first, 5), 4);
    PLB_REQUIRE(plb_auto_plan_print(&x.problem, &first, &text) == PLB_OK);
    PLB_CHECK_CONTAINS(text, "1 replica, 1 micro-batch");
    PLB_CHECK_CONTAINS(text, "0-17");
    PLB_CHECK_CONTAINS(text, "and 3 more");
    free(text);
    plb_auto_plan_clear(&first);
    subject_clear(&x);

    subject_make(&far_cards, &x); /* each place has the whole model */
    x.problem.goal = PLB_AUTO_FIRST_TOKEN;
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &first) == PLB_OK);
    PLB_CHECK_EQ(first.replicas, 4);
    PLB_CHECK_EQ(first.in_replica[1], 1);
    plb_auto_plan_clear(&first);
    for (uint32_t r = 0; r < 3; r++)
        x.profile.record[r].parameters *= 100; /* where it does not fit, stages */
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &first) == PLB_OK);
    PLB_CHECK(first.in_replica[1] > 1);
    x.problem.goal = PLB_AUTO_NEXT_TOKEN; /* the token's way back */
    PLB_REQUIRE(plb_auto_plan_make(&x.problem, &next) == PLB_OK);
    PLB_CHECK(next.seconds > first.seconds);
    PLB_CHECK_NEAR(next.seconds, first.seconds, 2e-3);
    plb_auto_plan_clear(&next);
    plb_auto_plan_clear(&first);
    subject_clear(&x);
}

/* ---- bad input ---- */

static void expect(struct subject *x, enum plb_status status, const char *text)
{
    struct plb_auto_plan plan;

    PLB_CHECK_EQ(plb_auto_plan_make(&x->problem, &plan), status);
    PLB_CHECK_CONTAINS(plb_error_message(), text);
}

static void refuses_what_cannot_be(void)
{
    struct plb_auto_profile none;
    struct subject x;
    size_t little[4] = {1000, 1000, 1000, 1000};

    PLB_CHECK_EQ(plb_auto_profile_create(1, 0, 1, 1, &none), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "a model of 0 units");
    PLB_CHECK_EQ(plb_auto_profile_create(1, 1, 1, 0, &none), PLB_ERROR_INVALID);
    subject_make(&machines[3], &x);
    x.problem.budget = little;
    expect(&x, PLB_ERROR_MEMORY, "bytes at least");
    x.problem.budget = NULL;
    x.problem.stages = 100;
    expect(&x, PLB_ERROR_INVALID, "100 stages for a model of 18 units");
    x.problem.stages = 3;
    x.problem.replicas = 2;
    expect(&x, PLB_ERROR_INVALID, "on 4 places");
    x.problem.stages = x.problem.replicas = 0;
    x.problem.degree = 3;
    expect(&x, PLB_ERROR_INVALID, "a power of two");
    x.profile.record[1].most_degree = 2;
    x.problem.degree = 4;
    expect(&x, PLB_ERROR_INVALID, "unit \"block\" cannot be split 4 times: 2 at most");
    x.problem.degree = 0;
    x.problem.micro_batches = 5;
    expect(&x, PLB_ERROR_INVALID, "16 samples in 5 micro-batches");
    x.problem.micro_batches = 0;
    x.profile.record[1].work[0][0].forward.each = -1;
    expect(&x, PLB_ERROR_INVALID, "unit \"block\" takes -1 seconds");
    x.profile.record[1].work[0][0].forward.each = NAN;
    expect(&x, PLB_ERROR_INVALID, "nan seconds");
    subject_clear(&x);
}

PLB_TEST_MAIN("schedulers/parallel/auto", NULL, NULL, PLB_TEST(as_good_as_exhaustive_search),
              PLB_TEST(never_worse_than_fixed_policies),
              PLB_TEST(recomputes_by_stage_and_micro_batch),
              PLB_TEST(late_stages_recompute_nothing), PLB_TEST(plans_a_thousand_places),
              PLB_TEST(plans_again_after_losses), PLB_TEST(plans_again_after_drift),
              PLB_TEST(plans_for_latency), PLB_TEST(refuses_what_cannot_be))
