/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parallel policies on graphs: published bubbles and memory come out of the tasks' own order, every
 * plan is right and gives the bits of one place, and what cannot be is said.
 */
#include "config.h"

#include "frontends/nn/layers.h"
#include "frontends/nn/optimizer.h"
#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"
#include "tests/support/gpt.h"
#include "tests/support/parts.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_TRAVEL 1e300 /* bytes per second */

static plb_places_t *make_places(uint32_t n, double bytes_per_second, double latency)
{
    struct plb_platform platform = plb_platform_nominal(1);
    plb_costs_t *costs = NULL;
    plb_places_t *places = NULL;

    PLB_REQUIRE(plb_costs_create(&platform, &costs) == PLB_OK);
    PLB_REQUIRE(plb_places_uniform(n, costs, bytes_per_second, latency, &places) == PLB_OK);
    plb_costs_destroy(costs);
    return places;
}

/* A problem and what it points to. */
struct subject {
    struct plb_parallel_problem problem;
    plb_places_t *places;
    double *seconds;
    const double *rows[2]; /* per kind of device */
    double *slow;          /* twice the seconds, for the second kind where there is one */
};

static void subject_make(struct subject *x, const plb_graph_t *graph, plb_places_t *places)
{
    *x = (struct subject){.places = places};
    x->seconds = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *x->seconds);
    PLB_REQUIRE(x->seconds != NULL);
    PLB_REQUIRE(plb_costs_of_graph(NULL, graph, x->seconds, NULL) == PLB_OK);
    x->rows[0] = x->seconds;
    x->problem = (struct plb_parallel_problem){.graph = graph, .places = places};
    x->problem.seconds = x->rows;
}

static void subject_clear(struct subject *x)
{
    plb_places_destroy(x->places);
    free(x->seconds);
    free(x->slow);
}

/* ---- a chain of equal layers ---- */

struct chain {
    plb_model_t *model;
    const plb_graph_t *graph;
};

/* A first layer that takes no time, for the gradient of the inputs of the others to be made, then
 * `layers` equal ones. */
static void chain_make(uint32_t layers, uint32_t m, struct chain *chain)
{
    struct plb_optimizer sgd = plb_optimizer_default(PLB_OPTIMIZER_SGD);
    struct plb_training training;
    plb_graph_t *g;

    PLB_REQUIRE(plb_model_create(NULL, &chain->model) == PLB_OK);
    g = plb_model_graph(chain->model);
    for (uint32_t j = 0; j < m; j++) {
        char name[32];
        plb_value x, classes;

        plb_graph_set_micro_batch(g, (int)j);
        snprintf(name, sizeof name, "x.%u", j);
        x = plb_nn_input(chain->model, name, PLB_F32, plb_shape2(4, 8), NULL);
        for (uint32_t k = 0; k <= layers; k++) {
            snprintf(name, sizeof name, "layer.%u", k);
            x = plb_nn_linear(chain->model, x, 8, false, name);
        }
        snprintf(name, sizeof name, "classes.%u", j);
        classes = plb_nn_input(chain->model, name, PLB_I32, plb_shape1(4), NULL);
        PLB_REQUIRE(plb_nn_backward(chain->model, plb_nn_loss(chain->model, x, classes), 1.0) ==
                    PLB_OK);
    }
    plb_graph_set_micro_batch(g, -1);
    PLB_REQUIRE(plb_nn_update(chain->model, &sgd, &training) == PLB_OK);
    chain->graph = g;
}

/* Equal layers take `seconds` for each of F, B and W, all else nothing. */
static void set_seconds(struct subject *x, double seconds)
{
    const plb_graph_t *graph = x->problem.graph;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        plb_task_id forward = plb_graph_task(graph, t)->forward;
        const struct plb_task *made = plb_graph_task(graph, forward);

        x->seconds[t] = 0;
        if (made && strcmp(made->op->name, "linear") == 0 &&
            plb_graph_value(graph, made->in[0])->producer != PLB_NONE)
            x->seconds[t] = seconds;
    }
}

/* Most micro-batches that have begun at a place and not ended there. */
static uint32_t most_in_flight(const plb_graph_t *graph, const struct plb_hybrid *hybrid,
                               uint32_t place)
{
    struct plb__jobs jobs;
    uint32_t left[64] = {0}, begun = 0, most = 0;
    bool seen[64] = {false};

    PLB_REQUIRE(plb__jobs_find(graph, &jobs) == PLB_OK);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t k = hybrid->in_place[place]; k < hybrid->in_place[place + 1]; k++) {
            const struct plb__jobs_task *it = &jobs.task[hybrid->run[k]];

            if (it->kind == PLB__JOB_REST || it->kind == PLB__JOB_F) {
                if (pass == 1 && it->kind == PLB__JOB_F && !seen[it->micro_batch])
                    seen[it->micro_batch] = true, begun++;
                most = begun > most ? begun : most;
                continue;
            }
            if (pass == 0)
                left[it->micro_batch]++;
            else if (--left[it->micro_batch] == 0)
                begun--;
        }
    }
    plb__jobs_clear(&jobs);
    return most;
}

struct outcome {
    double bubble, seconds;
    uint32_t in_flight; /* at the place with most */
    double busy[2];     /* of the first two places */
};

static struct outcome simulate(const struct plb_parallel_policy *policy, struct subject *x)
{
    struct plb_hybrid hybrid = {.policy = ""};
    struct plb_spread spread = {0};
    struct plb_spread_simulation simulation = {0};
    struct outcome outcome = {-1, -1, 0, {0, 0}};

    if (plb_hybrid_make(policy, &x->problem, PLB_EVENT_DRIFT, NULL, &hybrid, &spread) == PLB_OK &&
        plb_spread_simulate(&spread, x->problem.graph,
                            &(struct plb_spread_problem){.places = x->places,
                                                         .in_order = hybrid.in_order,
                                                         .seconds = x->rows},
                            &simulation) == PLB_OK) {
        outcome.bubble = simulation.bubble;
        outcome.seconds = simulation.seconds;
        for (uint32_t p = 0; p < hybrid.n_places; p++) {
            uint32_t n = most_in_flight(x->problem.graph, &hybrid, p);

            if (p < 2)
                outcome.busy[p] = simulation.place[p].busy_seconds;

            outcome.in_flight = n > outcome.in_flight ? n : outcome.in_flight;
        }
    } else {
        PLB_CHECK_STRING(plb_error_message(), "");
    }
    plb_spread_simulation_clear(&simulation);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    return outcome;
}

static struct outcome even(const struct plb_parallel_policy *policy, uint32_t p, uint32_t m,
                           uint32_t v, uint32_t replicas)
{
    struct chain chain;
    struct subject x;
    struct outcome outcome;

    chain_make(p * v, m, &chain);
    subject_make(&x, chain.graph, make_places(p * replicas, NO_TRAVEL, 0));
    set_seconds(&x, 1.0 / v);
    x.problem.degrees.replicas = replicas;
    outcome = simulate(policy, &x);
    subject_clear(&x);
    plb_model_destroy(chain.model);
    return outcome;
}

static const struct {
    uint32_t p, m;
} table[] = {{2, 2}, {2, 8}, {3, 6}, {4, 4}, {4, 8}, {4, 16}, {8, 16}};
#define ROWS (sizeof table / sizeof table[0])

static void bubbles_come_out_of_tasks(void)
{
    for (size_t k = 0; k < ROWS; k++) {
        uint32_t p = table[k].p, m = table[k].m;
        double turns = (p - 1.0) / (m + p - 1.0), h1 = (p - 1.0) / (3 * m + p - 1.0);
        struct outcome x = even(&plb_parallel_gpipe, p, m, 1, 1);

        PLB_CHECK_NEAR(x.bubble, turns, 1e-9);
        PLB_CHECK_EQ(x.in_flight, m);
        x = even(&plb_parallel_1f1b, p, m, 1, 1);
        PLB_CHECK_NEAR(x.bubble, turns, 1e-9);
        PLB_CHECK_EQ(x.in_flight, p);
        x = even(&plb_parallel_zb_h1, p, m, 1, 1);
        PLB_CHECK_NEAR(x.bubble, h1, 1e-9);
        PLB_CHECK_EQ(x.in_flight, p);
        x = even(&plb_parallel_zb_greedy, p, m, 1, 1);
        PLB_CHECK(x.bubble >= 0 && x.bubble <= h1 + 0.01);
        x = even(&plb_parallel_interleaved, p, m, 2, 1);
        PLB_CHECK_NEAR(x.bubble, (p - 1.0) / (2 * m + p - 1.0), 1e-9);
        x = even(&plb_parallel_zb_v, p, m, 2, 1);
        PLB_CHECK_NEAR(x.bubble, (p - 1.0) / (6 * m + p - 1.0), 0.025);
    }
    PLB_CHECK_NEAR(even(&plb_parallel_1f1b, 4, 8, 1, 1).bubble, 0.273, 5e-4);
    PLB_CHECK_NEAR(even(&plb_parallel_1f1b_split, 4, 8, 1, 1).bubble, 0.2, 5e-4);
    PLB_CHECK_NEAR(even(&plb_parallel_zb_h1, 4, 8, 1, 1).bubble, 0.111, 5e-4);
}

/* Replicas do their shares side by side: the time is that of one with a share of the micro-batches.
 * */
static void replicas_work_side_by_side(void)
{
    for (uint32_t replicas = 2; replicas <= 4; replicas *= 2) {
        PLB_CHECK_NEAR(even(&plb_parallel_1f1b, 2, 8, 1, replicas).seconds,
                       even(&plb_parallel_1f1b, 2, 8 / replicas, 1, 1).seconds, 1e-9);
        PLB_CHECK_NEAR(even(&plb_parallel_dp, 1, 8, 2, replicas).seconds, 8.0 / replicas * 3,
                       1e-9);
    }
}

/* Without a budget zb-greedy takes what 2p micro-batches hold; under one that leaves nothing it
 * goes on with one micro-batch at a time, and what that takes is for a memory policy to find. */
static void budgets_bound_what_is_in_flight(void)
{
    const size_t budget[] = {1, 1, 1, 1}, plenty[] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    struct chain chain;
    struct subject x;

    chain_make(4, 16, &chain);
    subject_make(&x, chain.graph, make_places(4, NO_TRAVEL, 0));
    set_seconds(&x, 1);
    PLB_CHECK(simulate(&plb_parallel_zb_greedy, &x).in_flight <= 8);
    x.problem.budget = plenty;
    PLB_CHECK(simulate(&plb_parallel_zb_greedy, &x).in_flight > 4);
    x.problem.budget = budget;
    PLB_CHECK_EQ(simulate(&plb_parallel_zb_greedy, &x).in_flight, 1);
    subject_clear(&x);
    plb_model_destroy(chain.model);
}

/* A device of half the speed gets half as many layers, whichever end it is at, with one chunk at
 * each stage and with two. */
static void slow_places_get_less(void)
{
    static const char text[] =
        "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": ["
        "{\"name\": \"fast\", \"workers\": 1, \"memory\": {\"device\": \"unlimited\"},"
        " \"flops_per_second\": {\"f32\": 2e9}, \"bytes_per_second\": 2e9,"
        " \"task_seconds\": 1e-6},"
        "{\"name\": \"slow\", \"workers\": 1, \"memory\": {\"device\": \"unlimited\"},"
        " \"flops_per_second\": {\"f32\": 1e9}, \"bytes_per_second\": 1e9,"
        " \"task_seconds\": 1e-6}],"
        " \"nodes\": [{\"name\": \"n\", \"devices\": [{\"kind\": \"fast\", \"count\": 1},"
        " {\"kind\": \"slow\", \"count\": 1}],"
        " \"link\": {\"bytes_per_second\": 1e15, \"latency_seconds\": 0}}]}";
    static const struct plb_parallel_policy *const policies[] = {&plb_parallel_zb_h1,
                                                                 &plb_parallel_zb_v};

    for (size_t k = 0; k < sizeof policies / sizeof policies[0]; k++) {
        plb_places_t *places = NULL;
        struct chain chain;
        struct subject x;
        struct outcome got;

        PLB_REQUIRE(plb_places_from_json(text, sizeof text - 1, "two kinds", &places) == PLB_OK);
        chain_make(12, 8, &chain);
        subject_make(&x, chain.graph, places);
        set_seconds(&x, 1);
        x.slow = calloc((size_t)plb_graph_tasks(chain.graph) + 1, sizeof *x.slow);
        PLB_REQUIRE(x.slow != NULL);
        for (plb_task_id t = 0; t < plb_graph_tasks(chain.graph); t++)
            x.slow[t] = 2 * x.seconds[t];
        x.rows[1] = x.slow;
        got = simulate(policies[k], &x);
        PLB_CHECK_NEAR(got.busy[0], 8 * 8 * 3, 1e-6);
        PLB_CHECK_NEAR(got.busy[1], 8 * 4 * 3 * 2, 1e-6);
        subject_clear(&x);
        plb_model_destroy(chain.model);
    }
}

/* ---- any graph ---- */

static void fill(const struct random_graph *graph, plb_interpreter_t *interpreter)
{
    for (plb_value v = 0; v < plb_graph_values(graph->whole); v++) {
        const struct plb_value_info *info = plb_graph_value(graph->whole, v);
        size_t bytes = plb_type_bytes(&info->type);
        void *data = info->producer == PLB_NONE ? malloc(bytes) : NULL;

        if (info->producer != PLB_NONE)
            continue;
        PLB_REQUIRE(data != NULL);
        random_graph_fill(graph, v, data);
        PLB_CHECK_EQ(plb_interpreter_write(interpreter, v, data, bytes), PLB_OK);
        free(data);
    }
}

static void check_bits(const struct random_graph *graph, const struct plb_spread *spread)
{
    plb_interpreter_t *reference = NULL;

    PLB_REQUIRE(plb_interpreter_create(graph->whole, graph->graph, &reference) == PLB_OK);
    fill(graph, reference);
    if (parts_step(spread, NULL, reference, 1) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    plb_interpreter_destroy(reference);
}

/* One policy and degrees on a graph: its plan is right, ends in virtual time, and computes the bits
 * of one place. */
static void check_plan(const struct random_graph *graph, const struct plb_parallel_policy *policy,
                       struct subject *x, bool bits)
{
    struct plb_hybrid hybrid = {.policy = ""}, again = {.policy = ""};
    struct plb_spread spread = {0};
    struct plb_spread_simulation simulation = {0};
    const struct plb_spread_problem played = {.places = x->places, .seconds = x->rows,
                                              .in_order = true};
    enum plb_status status = plb_hybrid_make(policy, &x->problem, PLB_EVENT_DRIFT, NULL, &hybrid,
                                             &spread);

    if (status != PLB_OK) {
        PLB_CHECK_STRING(plb_error_message(), "");
        return;
    }
    PLB_CHECK_STRING(hybrid.policy, policy->name);
    PLB_CHECK_EQ(plb_spread_simulate(&spread, x->problem.graph, &played, &simulation), PLB_OK);
    PLB_CHECK(simulation.seconds > 0);
    if (bits)
        check_bits(graph, &spread);
    PLB_REQUIRE(policy->plan(&x->problem, &again) == PLB_OK);
    PLB_CHECK_MEMORY(again.run, hybrid.run, hybrid.in_place[hybrid.n_places] * sizeof *again.run);
    plb_spread_simulation_clear(&simulation);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    plb_hybrid_clear(&again);
}

static bool has_stages(const struct plb_parallel_policy *policy)
{
    return policy != &plb_parallel_none && policy != &plb_parallel_dp &&
           policy != &plb_parallel_tp;
}

/* Degrees of which the policy is defined for all. */
static void check_degrees(const struct random_graph *graph, uint32_t m,
                          const struct plb_parallel_policy *policy, bool bits)
{
    uint32_t most = has_stages(policy) ? 3 : 1;

    for (uint32_t stages = 1; stages <= most; stages++) {
        for (uint32_t replicas = 1; replicas <= m; replicas *= 2) {
            struct subject x;

            if (policy == &plb_parallel_interleaved && m / replicas % stages != 0)
                continue;
            subject_make(&x, graph->graph, make_places(stages * replicas, 1e9, 1e-6));
            x.problem.degrees.stages = has_stages(policy) ? stages : 0;
            x.problem.degrees.replicas = policy == &plb_parallel_none ? 0 : replicas;
            x.problem.degrees.shard_state = stages % 2 == 0;
            if (policy != &plb_parallel_tp || replicas == 1)
                check_plan(graph, policy, &x, bits);
            subject_clear(&x);
        }
    }
}

static void plans_of_random_graphs_are_right(void)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        int n;
        const struct plb_parallel_policy *const *policy = plb_parallel_policies(&n);
        struct random_options options = {.seed = seed,
                                         .shape = (enum random_shape)(seed % 3),
                                         .blocks = 3,
                                         .width = 16,
                                         .batch = 2,
                                         .passes = 1 << seed % 3};
        struct random_graph graph;

        PLB_REQUIRE(random_graph_make(&options, &graph) == PLB_OK);
        for (int k = 0; k < n; k++)
            check_degrees(&graph, (uint32_t)options.passes, policy[k],
                          seed <= 3 || policy[k] == &plb_parallel_zb_h1);
        random_graph_clear(&graph);
    }
}

/* A GPT whose embedding is read at both ends, whole and in shards. */
static void plans_of_a_gpt_are_right(void)
{
    static const struct {
        const char *tensor;
        const struct plb_parallel_policy *policy;
        uint32_t places, replicas;
        bool shard_state;
    } cases[] = {
        {NULL, &plb_parallel_dp, 4, 4, false},
        {NULL, &plb_parallel_dp, 2, 2, true},
        {NULL, &plb_parallel_1f1b, 6, 2, true},
        {NULL, &plb_parallel_interleaved, 2, 1, false},
        {NULL, &plb_parallel_zb_h1, 4, 1, false},
        {NULL, &plb_parallel_zb_v, 4, 2, false},
        {NULL, &plb_parallel_zb_greedy, 5, 1, false},
        {"2", &plb_parallel_tp, 2, 1, false},
        {"4,vocabulary:2", &plb_parallel_tp, 4, 1, false},
        {"4", &plb_parallel_tp, 8, 2, true},
        {"2,sequence", &plb_parallel_tp, 2, 1, false},
        {"2", &plb_parallel_dp, 4, 2, false},
        {"2", &plb_parallel_1f1b, 8, 2, false},
        {"1,2", &plb_parallel_zb_h1, 4, 1, false},
        {"4,sequence", &plb_parallel_zb_greedy, 8, 1, true},
    };

    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const struct gpt_options options = {.layers = 2, .hidden = 32, .heads = 4, .sequence = 24,
                                            .batch = 4, .vocabulary = 40, .dtype = PLB_F32,
                                            .micro_batches = 4, .tensor = cases[k].tensor,
                                            .cut = true};
        struct random_graph graph = {.loss = PLB_NONE};
        struct gpt gpt;
        struct subject x;

        PLB_REQUIRE(gpt_make(&options, &gpt) == PLB_OK);
        graph.whole = plb_model_graph(gpt.model);
        graph.graph = gpt.graph;
        subject_make(&x, gpt.graph, make_places(cases[k].places, 1e9, 1e-6));
        x.problem.degrees.replicas = cases[k].replicas;
        x.problem.degrees.shard_state = cases[k].shard_state;
        check_plan(&graph, cases[k].policy, &x, true);
        subject_clear(&x);
        gpt_clear(&gpt);
    }
}

/* ---- what cannot be ---- */

static void check_refused(const plb_graph_t *graph, const struct plb_parallel_policy *policy,
                          uint32_t places, struct plb_degrees degrees, const char *said)
{
    struct plb_hybrid hybrid = {.policy = ""};
    struct plb_spread spread = {0};
    struct subject x;

    subject_make(&x, graph, make_places(places, 1e9, 0));
    x.problem.degrees = degrees;
    PLB_CHECK_EQ(plb_hybrid_make(policy, &x.problem, PLB_EVENT_DRIFT, NULL, &hybrid, &spread),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), said);
    PLB_CHECK(!hybrid.run && !spread.part);
    subject_clear(&x);
}

static void degrees_that_cannot_be_are_said(void)
{
    const struct plb_degrees none = {0};
    struct chain chain;

    chain_make(3, 4, &chain); /* with first layer and loss six to ten tasks of a forward pass */
    check_refused(chain.graph, &plb_parallel_1f1b, 32, none, "32 stages of 1 chunks each are more "
                                                             "than the ");
    check_refused(chain.graph, &plb_parallel_1f1b, 4, (struct plb_degrees){.replicas = 3},
                  "4 micro-batches cannot be divided among 3 replicas");
    check_refused(chain.graph, &plb_parallel_dp, 8, none,
                  "4 micro-batches are fewer than 8 replicas");
    check_refused(chain.graph, &plb_parallel_1f1b, 3, (struct plb_degrees){.replicas = 2},
                  "3 places cannot be divided among 2 replicas");
    check_refused(chain.graph, &plb_parallel_1f1b, 4, (struct plb_degrees){.stages = 3},
                  "4 places cannot be divided among 1 replicas of 3 stages with 1 places each");
    check_refused(chain.graph, &plb_parallel_1f1b, 2, (struct plb_degrees){.chunks = 2},
                  "'1f1b' is defined for 1 chunk at each stage, not for 2");
    check_refused(chain.graph, &plb_parallel_interleaved, 3, none,
                  "a multiple of the stages, not for 4 at 3 stages");
    check_refused(chain.graph, &plb_parallel_dp, 2, (struct plb_degrees){.stages = 2},
                  "policy 'dp': there is one stage, not 2");
    check_refused(chain.graph, &plb_parallel_tp, 2, none,
                  "the graph is not divided into shards, 1 places would have nothing to do");
    plb_model_destroy(chain.model);
}

static void memory_may_fail_anywhere(void)
{
    struct chain chain;
    struct subject x;

    chain_make(3, 2, &chain);
    subject_make(&x, chain.graph, make_places(4, 1e9, 0));
    x.problem.degrees.replicas = 2;
    for (long n = 1; plb_test_alloc_available(); n++) {
        struct plb_hybrid hybrid = {.policy = ""};
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = plb_parallel_zb_greedy.plan(&x.problem, &hybrid);
        plb_hybrid_clear(&hybrid);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
    subject_clear(&x);
    plb_model_destroy(chain.model);
}

/* ---- names ---- */

static void names_are_found(void)
{
    const struct plb_parallel_policy *policy = NULL;
    int n;
    const struct plb_parallel_policy *const *all = plb_parallel_policies(&n);

    for (int k = 0; k < n; k++) {
        PLB_CHECK_EQ(plb_parallel_policy_find(all[k]->name, &policy), PLB_OK);
        PLB_CHECK(policy == all[k]);
    }
    unsetenv("PALOMBE_PARALLEL");
    PLB_CHECK_EQ(plb_parallel_policy_find(NULL, &policy), PLB_OK);
    PLB_CHECK(policy == &plb_parallel_none);
    setenv("PALOMBE_PARALLEL", "zb-v", 1);
    PLB_CHECK_EQ(plb_parallel_policy_find(NULL, &policy), PLB_OK);
    PLB_CHECK(policy == &plb_parallel_zb_v);
    unsetenv("PALOMBE_PARALLEL");
    PLB_CHECK_EQ(plb_parallel_policy_find("2f2b", &policy), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "parallel policy '2f2b'; known are: none, dp, ");
}

PLB_TEST_MAIN("schedulers/parallel/parallel", NULL, NULL, PLB_TEST(bubbles_come_out_of_tasks),
              PLB_TEST(replicas_work_side_by_side), PLB_TEST(slow_places_get_less),
              PLB_TEST(budgets_bound_what_is_in_flight),
              PLB_TEST(plans_of_random_graphs_are_right),
              PLB_TEST(plans_of_a_gpt_are_right), PLB_TEST(degrees_that_cannot_be_are_said),
              PLB_TEST(memory_may_fail_anywhere), PLB_TEST(names_are_found))
