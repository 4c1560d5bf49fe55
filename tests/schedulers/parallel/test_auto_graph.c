/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The planner on graphs: profiles that are read from them, and the policy "auto", which is never
 * slower than a fixed one, task by task.
 */
#include "config.h"

#include "schedulers/parallel/auto/granularity.h"
#include "schedulers/schedulers.h"
#include "tests/support/gpt.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct subject {
    struct gpt gpt;
    struct plb_parallel_problem problem;
    plb_places_t *places;
    double *seconds[2];
    const double *row[2];
};

static const char kind_text[] =
    "{\"name\": \"%s\", \"workers\": 1, \"memory\": {\"device\": \"unlimited\", \"host\": "
    "\"unlimited\"}, \"flops_per_second\": {\"f32\": %g, \"bf16\": %g, \"f64\": %g, \"i32\": %g}, "
    "\"bytes_per_second\": %g, \"task_seconds\": 1e-6, \"links\": {\"host\": "
    "{\"out_bytes_per_second\": 1e9, \"in_bytes_per_second\": 1e9, \"latency_seconds\": 0, "
    "\"duplex\": true}}}";

/* `fast` and `slow` places, the latter at a third of the speed. */
static plb_places_t *make_places(uint32_t fast, uint32_t slow, double bytes_per_second)
{
    char text[4096], kind[2][1024];
    plb_places_t *places = NULL;
    int at;

    snprintf(kind[0], sizeof kind[0], kind_text, "fast", 3e9, 3e9, 3e9, 3e9, 3e9);
    snprintf(kind[1], sizeof kind[1], kind_text, "slow", 1e9, 1e9, 1e9, 1e9, 1e9);
    at = snprintf(text, sizeof text,
                  "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": [%s%s%s], "
                  "\"nodes\": [{\"name\": \"n\", \"devices\": [{\"kind\": \"fast\", \"count\": %u}",
                  kind[0], slow ? ", " : "", slow ? kind[1] : "", fast);
    if (slow)
        at += snprintf(text + at, sizeof text - (size_t)at,
                       ", {\"kind\": \"slow\", \"count\": %u}", slow);
    snprintf(text + at, sizeof text - (size_t)at,
             "], \"link\": {\"bytes_per_second\": %g, \"latency_seconds\": 1e-6}}]}",
             bytes_per_second);
    PLB_REQUIRE(plb_places_from_json(text, strlen(text), "made up", &places) == PLB_OK);
    return places;
}

static const struct gpt_options small = {.layers = 3, .hidden = 32, .heads = 4, .sequence = 8,
                                         .batch = 8, .vocabulary = 64, .dtype = PLB_F32,
                                         .micro_batches = 4};

static void subject_make(struct subject *x, struct gpt_options options, plb_places_t *places)
{

    *x = (struct subject){.places = places};
    PLB_REQUIRE(gpt_make(&options, &x->gpt) == PLB_OK);
    for (uint32_t k = 0; k < plb_places_kinds(places); k++) {
        x->seconds[k] = calloc((size_t)plb_graph_tasks(x->gpt.graph) + 1, sizeof(double));
        PLB_REQUIRE(x->seconds[k] != NULL);
        PLB_REQUIRE(plb_costs_of_graph(plb_places_costs(places, k), x->gpt.graph, x->seconds[k],
                                       NULL) == PLB_OK);
        x->row[k] = x->seconds[k];
    }
    x->problem = (struct plb_parallel_problem){.graph = x->gpt.graph, .places = places};
    x->problem.seconds = x->row;
}

static void subject_clear(struct subject *x)
{
    gpt_clear(&x->gpt);
    plb_places_destroy(x->places);
    free(x->seconds[0]);
    free(x->seconds[1]);
}

/* ---- the policy ---- */

/* Seconds of a policy's plan; HUGE_VAL: it has none. `peak_out` gets the most bytes of a place. */
static double played(struct subject *x, const struct plb_parallel_policy *policy,
                     uint32_t replicas, size_t *peak_out)
{
    struct plb_spread_problem problem = {.places = x->places, .seconds = x->row};
    struct plb_spread_simulation result;
    struct plb_hybrid hybrid = {.n_places = 0};
    struct plb_spread spread;
    double seconds;

    x->problem.degrees.replicas = replicas;
    if (plb_hybrid_make(policy, &x->problem, PLB_EVENT_DRIFT, NULL, &hybrid, &spread) != PLB_OK)
        return HUGE_VAL;
    problem.in_order = hybrid.in_order;
    PLB_REQUIRE(plb_spread_simulate(&spread, x->gpt.graph, &problem, &result) == PLB_OK);
    seconds = result.seconds;
    *peak_out = 0;
    for (uint32_t p = 0; p < result.n_places; p++)
        *peak_out = result.place[p].peak > *peak_out ? result.place[p].peak : *peak_out;
    plb_spread_simulation_clear(&result);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    return seconds;
}

static double best_fixed(struct subject *x)
{
    const struct plb_parallel_policy *const *policy;
    double best = HUGE_VAL;
    size_t peak;
    int n;

    policy = plb_parallel_policies(&n);
    for (int i = 0; i < n; i++)
        for (uint32_t r = 1; r <= plb_places_count(x->places); r++)
            if (policy[i] != &plb_parallel_auto)
                best = fmin(best, played(x, policy[i], r, &peak));
    return best;
}

static void never_slower_than_fixed_policies(void)
{
    static const struct {
        uint32_t fast, slow;
        double link;
        const char *tensor;
    } cases[] = {{2, 0, 1e9, NULL}, {4, 0, 1e8, NULL}, {1, 1, 1e9, NULL},
                 {2, 2, 1e9, NULL}, {4, 0, 1e9, "2"}};
    uint32_t faster = 0;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gpt_options options = small;
        struct subject x;
        size_t peak;
        double fixed, mine;

        options.tensor = cases[i].tensor;
        subject_make(&x, options, make_places(cases[i].fast, cases[i].slow, cases[i].link));
        fixed = best_fixed(&x);
        mine = played(&x, &plb_parallel_auto, 0, &peak);
        if (getenv("PLB_TEST_SHOW"))
            printf("%u fast %u slow: fixed %g auto %g\n", cases[i].fast, cases[i].slow, fixed,
                   mine);
        PLB_CHECK(mine <= fixed * (1 + 1e-9));
        faster += mine < 0.99 * fixed;
        subject_clear(&x);
    }
    PLB_CHECK(faster >= 1);
}

/* The least bytes that the fullest place needs under any fixed policy. */
static size_t least_peak(struct subject *x)
{
    const struct plb_parallel_policy *const *policy;
    size_t least = SIZE_MAX, peak;
    int n;

    policy = plb_parallel_policies(&n);
    for (int i = 0; i < n; i++)
        if (policy[i] != &plb_parallel_auto && played(x, policy[i], 1, &peak) < HUGE_VAL)
            least = peak < least ? peak : least;
    return least;
}

static void keeps_budgets_where_it_can(void)
{
    struct subject x;
    size_t peak, least, budget[4];

    subject_make(&x, small, make_places(4, 0, 1e12));
    least = least_peak(&x);
    PLB_CHECK(played(&x, &plb_parallel_auto, 0, &peak) < HUGE_VAL);
    PLB_CHECK(peak > least); /* the fastest plan is not the leanest */
    for (int i = 0; i < 4; i++)
        budget[i] = least;
    x.problem.budget = budget;
    PLB_CHECK(played(&x, &plb_parallel_auto, 0, &peak) < HUGE_VAL);
    PLB_CHECK(peak <= least);
    subject_clear(&x);
}

/* ---- profiles ---- */

static void profiles_say_what_tasks_take(void)
{
    struct subject x;
    struct plb_auto_profile profile;
    double tasks = 0, units = 0;

    subject_make(&x, small, make_places(2, 0, 1e9));
    PLB_REQUIRE(plb_auto_profile_of_graph(x.gpt.graph, x.places, x.row, 8, &profile) == PLB_OK);
    PLB_CHECK(plb_auto_profile_check(&profile) == PLB_OK);
    PLB_CHECK_EQ(profile.micro_batches, 4);
    PLB_CHECK(profile.n_records < profile.n_units); /* three blocks are alike */
    for (plb_task_id t = 0; t < plb_graph_tasks(x.gpt.graph); t++)
        if (plb_graph_task(x.gpt.graph, t)->micro_batch == 1)
            tasks += x.seconds[0][t];
    for (uint32_t u = 0; u < profile.n_units; u++) {
        const struct plb_auto_work *w = profile.record[profile.unit[u]].work[0];

        units += w->forward.fixed + w->inputs.fixed + w->weights.fixed +
                 2 * (w->forward.each + w->inputs.each + w->weights.each);
    }
    PLB_CHECK_NEAR(units, tasks, 0.02 * tasks); /* the sum of a shared parameter is of no unit */
    PLB_CHECK_EQ(plb_auto_profile_of_graph(x.gpt.graph, x.places, x.row, 6, &profile),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "6 samples in a graph of 4 micro-batches");
    plb_auto_profile_clear(&profile);
    subject_clear(&x);
}

static void blocks_may_recompute(void)
{
    struct subject x;
    struct plb_auto_profile profile;
    const struct plb_auto_unit *block;
    struct gpt_options options = small;

    options.sequence = 64;
    options.micro_batches = 1;
    subject_make(&x, options, make_places(2, 0, 1e9));
    PLB_REQUIRE(plb_auto_profile_of_blocks(x.gpt.graph, x.places, x.row, 8, &profile) == PLB_OK);
    PLB_CHECK(plb_auto_profile_check(&profile) == PLB_OK);
    PLB_REQUIRE(profile.n_units >= 5); /* what precedes, three blocks, what follows */
    PLB_CHECK_EQ(profile.unit[2], profile.unit[1]);
    block = &profile.record[profile.unit[1]];
    PLB_CHECK(block->n_options >= 3);
    for (uint32_t o = 1; o < block->n_options; o++) {
        PLB_CHECK(block->option[o].held < block->option[o - 1].held);
        PLB_CHECK(block->option[o].again > block->option[o - 1].again);
    }
    PLB_CHECK(block->option[block->n_options - 1].held < 0.7);
    PLB_CHECK(block->option[block->n_options - 1].again <= 2);
    plb_auto_profile_clear(&profile);
    subject_clear(&x);
}

/* ---- task sizes ---- */

static struct plb_auto_profile chain_profile(uint32_t units, double seconds)
{
    struct plb_auto_profile profile;

    PLB_REQUIRE(plb_auto_profile_create(1, units, 1, 16, &profile) == PLB_OK);
    profile.record[0] = (struct plb_auto_unit){
        .name = "layer", .most_degree = 1, .parameters = 1e6, .gradients = 1e6, .saved = 1e6,
        .saved_weights = 1e6, .n_options = 1, .option = {{1, 0}},
        .work = {{{{seconds, 0}, {seconds, 0}, {seconds, 0}, 0}}}};
    plb_auto_profile_divide(&profile);
    return profile;
}

static void sizes_of_tasks_trade_host_and_overlap(void)
{
    struct plb_auto_profile profile = chain_profile(8, 1e-3);
    plb_places_t *places = make_places(4, 0, 1e9);
    struct plb_auto_problem problem = {.profile = &profile, .places = places, .replicas = 1,
                                       .schedule = "1f1b"};
    struct plb_granularity table;

    PLB_REQUIRE(plb_granularity_make(&problem, &table) == PLB_OK);
    PLB_CHECK_EQ(table.n, 5 * PLB_GRANULARITY_TARGETS);
    for (uint32_t i = 0; i < table.n; i++) {
        const struct plb_granularity_row *row = &table.row[i];

        PLB_CHECK(row->seconds >= table.row[table.best].seconds);
        if (i % PLB_GRANULARITY_TARGETS != 0) { /* one worker: smaller tasks only cost */
            PLB_CHECK(row->tasks >= row[-1].tasks);
            PLB_CHECK(row->seconds >= 0.99 * row[-1].seconds);
            PLB_CHECK(row->host_share >= row[-1].host_share - 1e-12);
        }
    }
    PLB_CHECK(table.row[table.best].micro_batches > 1); /* for a pipeline of four */
    plb_granularity_clear(&table);
    plb_places_destroy(places);
    plb_auto_profile_clear(&profile);
}

static void orders_found_online_bear_more_noise(void)
{
    struct plb_auto_profile profile = chain_profile(8, 1e-3);
    plb_places_t *places = make_places(4, 0, 1e12);
    struct plb_auto_problem problem = {.profile = &profile, .places = places, .replicas = 1,
                                       .stages = 4, .micro_batches = 16};
    struct plb_granularity_noise row[PLB_GRANULARITY_NOISES];
    struct plb_auto_plan plan;

    PLB_REQUIRE(plb_auto_plan_make(&problem, &plan) == PLB_OK);
    PLB_REQUIRE(plb_granularity_noise(&problem, &plan, 20, row) == PLB_OK);
    PLB_CHECK_NEAR(row[0].fixed, 1, 1e-12);
    PLB_CHECK(row[0].online <= 1 + 1e-9);
    for (int i = 1; i < PLB_GRANULARITY_NOISES; i++) {
        if (getenv("PLB_TEST_SHOW"))
            printf("noise %g: fixed %.4f (%.4f) online %.4f (%.4f)\n", row[i].noise, row[i].fixed,
                   row[i].worst_fixed, row[i].online, row[i].worst_online);
        PLB_CHECK(row[i].fixed > row[i - 1].fixed);
        PLB_CHECK(row[i].online < row[i].fixed);
        PLB_CHECK(row[i].worst_fixed >= row[i].fixed);
    }
    PLB_CHECK_EQ(plb_granularity_noise(&problem, &plan, 0, row), PLB_ERROR_INVALID);
    plb_auto_plan_clear(&plan);
    plb_places_destroy(places);
    plb_auto_profile_clear(&profile);
}

PLB_TEST_MAIN("schedulers/parallel/auto_graph", NULL, NULL,
              PLB_TEST(never_slower_than_fixed_policies), PLB_TEST(keeps_budgets_where_it_can),
              PLB_TEST(profiles_say_what_tasks_take), PLB_TEST(blocks_may_recompute),
              PLB_TEST(sizes_of_tasks_trade_host_and_overlap),
              PLB_TEST(orders_found_online_bear_more_noise))
