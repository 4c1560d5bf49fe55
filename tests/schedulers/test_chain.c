/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policies "chain-dp" and "offload-dp": the chain that they see in a graph, how exact its table
 * is, and what they add to a step of a large GPT (gpt_large(), on the card of data/costs/h200.json),
 * in simulated time. How long planning takes is printed.
 */
#include "config.h"

#include "frontends/nn/language.h"
#include "frontends/nn/optimizer.h"
#include "runtime/plan/simulate.h"
#include "schedulers/memory/chain/chain_fit.h"
#include "schedulers/memory/chain/chain_write.h"
#include "schedulers/schedulers.h"
#include "tests/support/gpt.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A graph with what is needed to plan it. */
struct subject {
    struct gpt gpt;
    double *seconds;
    struct plb_problem problem; /* without a limit */
    double pass_seconds;        /* of all tasks but those of the update */
    double none_seconds;        /* of a step that keeps everything */
};

static plb_costs_t *costs;
static struct subject large;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct outcome {
    double seconds;
    size_t moved, device; /* bytes to the host, bytes taken of the device */
};

static enum plb_status simulate(const struct plb_memory_policy *policy,
                                const struct plb_problem *problem, struct outcome *outcome_out)
{
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;
    struct plb_simulation simulation;
    enum plb_status status;

    PLB_TRY(plb_plan_make(policy, problem, PLB_EVENT_PRESSURE, NULL, &plan, &layout));
    status = plb_simulate(&plan, &layout, problem, &simulation);
    if (status == PLB_OK) {
        *outcome_out = (struct outcome){.seconds = simulation.seconds,
                                        .moved = simulation.moved_out[PLB_HOST],
                                        .device = plb_layout_device_bytes(&layout)};
        plb_simulation_clear(&simulation);
    }
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return status;
}

static enum plb_status prepare(const struct gpt_options *options, struct subject *s)
{
    struct plb_limits limits = plb_limits_none();
    struct outcome none;

    limits.hold_gradients = true;
    PLB_TRY(gpt_make(options, &s->gpt));
    s->seconds = calloc((size_t)plb_graph_tasks(s->gpt.graph) + 1, sizeof *s->seconds);
    if (!s->seconds)
        return PLB_ERROR_MEMORY;
    PLB_TRY(plb_problem_prepare(s->gpt.graph, costs, &limits, s->seconds, &s->problem));
    for (plb_task_id t = 0; t < plb_graph_tasks(s->gpt.graph); t++)
        if (plb_graph_task(s->gpt.graph, t)->phase != PLB_PHASE_UPDATE)
            s->pass_seconds += s->seconds[t];
    PLB_TRY(simulate(&plb_memory_none, &s->problem, &none));
    s->none_seconds = none.seconds;
    return PLB_OK;
}

static void clear(struct subject *s)
{
    free(s->seconds);
    gpt_clear(&s->gpt);
}

static int setup(void)
{
    const struct gpt_options options = gpt_large();

    if (plb_costs_load(plb_test_source("data/costs/h200.json"), &costs) != PLB_OK)
        return 1;
    return prepare(&options, &large) == PLB_OK ? 0 : 1;
}

static int teardown(void)
{
    clear(&large);
    plb_costs_destroy(costs);
    return 0;
}

/* Percent of a forward and backward pass that the policy adds to a step. */
static double overhead(const struct plb_memory_policy *policy, double share, size_t host,
                       size_t *moved_out)
{
    struct plb_problem problem = large.problem;
    struct outcome outcome;

    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, share, 0);
    problem.limits.bytes[PLB_HOST] = host;
    PLB_REQUIRE(simulate(policy, &problem, &outcome) == PLB_OK);
    PLB_CHECK(outcome.device <= problem.limits.bytes[PLB_DEVICE]);
    *moved_out = outcome.moved;
    return 100.0 * (outcome.seconds - large.none_seconds) / large.pass_seconds;
}

/* ---- figures ---- */

static void running_again_costs_little(void)
{
    static const struct {
        double share, most;
    } figures[] = {{1.0, 0.1}, {0.8, 1.0}, {0.5, 7.0}, {0.33, 14.0}, {0.25, 18.0}, {0.1, 25.0}};

    printf("\n");
    for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++) {
        size_t moved;
        double more = overhead(&plb_memory_chain_dp, figures[k].share, 0, &moved);

        printf("    %.2f of the activations: %5.2f %% more\n", figures[k].share, more);
        PLB_CHECK(more <= figures[k].most);
        PLB_CHECK_EQ(moved, 0);
    }
}

static void sending_away_costs_less(void)
{
    static const double shares[] = {0.5, 0.33, 0.25, 0.15};

    printf("\n");
    for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
        size_t moved;
        double again = overhead(&plb_memory_chain_dp, shares[k], 0, &moved);
        double away = overhead(&plb_memory_offload_dp, shares[k], SIZE_MAX, &moved);

        printf("    %.2f of the activations: %5.2f %% more, without a link %5.2f %%\n", shares[k],
               away, again);
        PLB_CHECK(moved > 0);
        PLB_CHECK(away <= (shares[k] < 0.25 ? 0.6 : 0.5) * again);
        if (shares[k] >= 0.25)
            PLB_CHECK(away <= 10.0);
    }
}

/* What is not needed is not sent, and without a tier to send to the plan is that of chain-dp. */
static void nothing_is_sent_in_vain(void)
{
    size_t moved = 1;

    PLB_CHECK(overhead(&plb_memory_offload_dp, 1.0, SIZE_MAX, &moved) <= 0.1);
    PLB_CHECK_EQ(moved, 0);
    PLB_CHECK_NEAR(overhead(&plb_memory_offload_dp, 0.5, 0, &moved),
                   overhead(&plb_memory_chain_dp, 0.5, 0, &moved), 1e-9);
}

/* ---- the chain ---- */

static struct plb__chain chain_of(const struct plb_problem *problem, enum plb__grain grain)
{
    struct plb__chain chain = {.n = 0};
    plb_task_id begin, middle, end;

    PLB_REQUIRE(plb__chain_next(problem->graph, 0, &begin, &middle, &end));
    PLB_REQUIRE(plb__chain_create(problem, grain, begin, middle, end, &chain) == PLB_OK);
    return chain;
}

/* Forward and backward tasks are in one block each, and run after what they read. */
static void check_chain(const struct plb__chain *chain)
{
    const plb_graph_t *graph = chain->problem->graph;
    bool *done = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *done);

    PLB_REQUIRE(done != NULL);
    PLB_CHECK_EQ(chain->block[0].forward, chain->begin);
    PLB_CHECK_EQ(chain->block[chain->n - 1].forward_end, chain->middle);
    PLB_CHECK_EQ(chain->block[chain->n - 1].backward, chain->middle);
    PLB_CHECK_EQ(chain->block[0].backward_end, chain->end);
    for (uint32_t e = 0; e + 1 < chain->n; e++) {
        PLB_CHECK_EQ(chain->block[e].forward_end, chain->block[e + 1].forward);
        PLB_CHECK_EQ(chain->block[e].backward, chain->block[e + 1].backward_end);
    }
    for (plb_task_id at = chain->middle; at < chain->end; at++) {
        plb_task_id t = plb__chain_backward(chain, at);
        const struct plb_task *task = plb_graph_task(graph, t);

        PLB_REQUIRE(t >= chain->middle && t < chain->end && !done[t]);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_task_id from = plb_graph_value(graph, task->in[j])->producer;

            PLB_CHECK(from == PLB_NONE || from < chain->middle || done[from]);
        }
        done[t] = true;
    }
    free(done);
}

static void blocks_of_a_model_are_alike(void)
{
    struct plb__chain chain = chain_of(&large.problem, PLB__GRAIN_BLOCKS);
    uint32_t kinds = 0;

    check_chain(&chain);
    PLB_CHECK_EQ(chain.n, 34); /* embedding, 32 layers, head */
    for (uint32_t e = 0; e < chain.n; e++)
        kinds += chain.block[e].like == e;
    PLB_CHECK(kinds <= 5);
    plb__chain_clear(&chain);
}

static void any_graph_is_a_chain(void)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const struct random_options options = {.seed = seed,
                                               .shape = (enum random_shape)(seed % 3),
                                               .unnumbered = seed & 4,
                                               .uncut = seed & 8};
        struct random_graph made;
        struct plb_limits limits = plb_limits_none();
        struct plb_problem problem;
        double *seconds;

        PLB_REQUIRE(random_graph_make(&options, &made) == PLB_OK);
        seconds = calloc((size_t)plb_graph_tasks(made.graph) + 1, sizeof *seconds);
        PLB_REQUIRE(seconds != NULL);
        limits.hold_gradients = seed & 1;
        PLB_REQUIRE(plb_problem_prepare(made.graph, NULL, &limits, seconds, &problem) == PLB_OK);
        for (int grain = 0; grain < PLB__GRAINS; grain++) {
            struct plb__chain chain = chain_of(&problem, (enum plb__grain)grain);

            check_chain(&chain);
            plb__chain_clear(&chain);
        }
        free(seconds);
        random_graph_clear(&made);
    }
}

/* ---- its table ---- */

/* On a chain in the narrow sense the bytes that the table is asked for are those that the plan takes,
 * but for its slots. */
static void the_table_is_near_the_plan(void)
{
    static const double shares[] = {0.75, 0.5, 0.33, 0.25};
    struct plb__chains *chains;

    PLB_REQUIRE(plb__chains_take(&large.problem, PLB__GRAIN_BLOCKS, &chains) == PLB_OK);
    PLB_REQUIRE(plb__chains_solve(chains, NULL) == PLB_OK);
    for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
        double target = shares[k] * (double)large.problem.needs.activations;
        struct plb_plan plan = {.n = 0};
        size_t peak;

        PLB_REQUIRE(plb__chains_write(chains, &large.problem, (size_t)target, &plan) == PLB_OK);
        PLB_REQUIRE(plb__plan_peak(large.problem.graph, &plan, &chains->sizes, &peak) == PLB_OK);
        PLB_CHECK_NEAR((double)peak / target, 1.0, 0.05);
        plb_plan_clear(&plan);
    }
    plb__chains_give(chains);
}

static void the_same_question_has_the_same_answer(void)
{
    struct plb_problem problem = large.problem;
    struct plb_plan first = {.n = 0}, other = {.n = 0}, again = {.n = 0};

    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.4, 0);
    PLB_REQUIRE(plb_memory_chain_dp.plan(&problem, &first) == PLB_OK);
    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.7, 0);
    PLB_REQUIRE(plb_memory_chain_dp.plan(&problem, &other) == PLB_OK);
    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.4, 0);
    PLB_REQUIRE(plb_memory_chain_dp.plan(&problem, &again) == PLB_OK);
    PLB_CHECK(other.n != first.n);
    PLB_REQUIRE(again.n == first.n);
    for (uint32_t i = 0; i < first.n; i++) {
        PLB_CHECK(again.instruction[i].code == first.instruction[i].code);
        PLB_CHECK(again.instruction[i].subject == first.instruction[i].subject);
    }
    plb_plan_clear(&first);
    plb_plan_clear(&other);
    plb_plan_clear(&again);
}

/* ---- again, with other costs ---- */

/* What walks and tables took so far for a graph. */
static void count_work(const struct plb_problem *problem, size_t *walked_out, size_t *cells_out)
{
    struct plb__chains *chains;

    PLB_REQUIRE(plb__chains_take(problem, PLB__GRAIN_BLOCKS, &chains) == PLB_OK);
    *walked_out = chains->walked;
    *cells_out = chains->cells;
    plb__chains_give(chains);
}

/* Times of linear tasks go up by a fifth, those of all others by a twentieth. */
static void drift(const struct subject *s, double *seconds)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(s->gpt.graph); t++) {
        bool is_linear =
            strncmp(plb_graph_task(s->gpt.graph, t)->op->name, "linear", strlen("linear")) == 0;

        seconds[t] = s->seconds[t] * (is_linear ? 1.2 : 1.05);
    }
}

static double simulated(const struct plb_memory_policy *policy, const struct plb_problem *problem,
                        const struct plb_plan *current, struct plb_plan *plan_out)
{
    struct plb_layout layout;
    struct plb_simulation simulation;
    double seconds;

    PLB_REQUIRE(plb_plan_make(policy, problem, PLB_EVENT_DRIFT, current, plan_out, &layout) ==
                PLB_OK);
    PLB_REQUIRE(plb_simulate(plan_out, &layout, problem, &simulation) == PLB_OK);
    seconds = simulation.seconds;
    PLB_CHECK(plb_layout_device_bytes(&layout) <= problem->limits.bytes[PLB_DEVICE]);
    plb_simulation_clear(&simulation);
    plb_layout_clear(&layout);
    return seconds;
}

/* How long a new plan takes is printed; that it takes little is counted: blocks are not walked
 * through again, and of the table, which has 34 * 35 / 2 rows of some 1,500 cells, no more than
 * layers that differ. The new plan is nearly as fast as one from scratch. */
static void new_costs_take_little_work(const struct plb_memory_policy *policy)
{
    enum { ROWS_MOST = 5 * 34, SLOTS = 1501 };
    struct plb_problem problem = large.problem;
    double *seconds = calloc((size_t)plb_graph_tasks(large.gpt.graph) + 1, sizeof *seconds);
    struct plb_plan first = {.n = 0}, again = {.n = 0}, scratch = {.n = 0};
    size_t walked[2], cells[2];
    double replanned, best, began;

    PLB_REQUIRE(seconds != NULL);
    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.4, 0);
    problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    simulated(policy, &problem, NULL, &first);
    drift(&large, seconds);
    count_work(&problem, &walked[0], &cells[0]);
    problem.seconds = seconds;
    began = now();
    replanned = simulated(policy, &problem, &first, &again);
    printf("    %s: %.1f ms", policy->name, 1e3 * (now() - began));
    count_work(&problem, &walked[1], &cells[1]);
    PLB_CHECK_EQ(walked[1], walked[0]);
    PLB_CHECK(cells[1] - cells[0] <= ROWS_MOST * SLOTS);
    best = simulated(policy, &problem, NULL, &scratch);
    printf(", %.2f %% slower than a plan from scratch\n", 100.0 * (replanned / best - 1.0));
    PLB_CHECK(replanned <= 1.01 * best);
    plb_plan_clear(&first);
    plb_plan_clear(&again);
    plb_plan_clear(&scratch);
    free(seconds);
}

static void new_costs_are_planned_for_fast(void)
{
    printf("\n");
    new_costs_take_little_work(&plb_memory_chain_dp);
    new_costs_take_little_work(&plb_memory_offload_dp);
}

/* Also when there was no plan before, and under another budget. */
static void a_new_plan_keeps_the_budget(void)
{
    static const double shares[] = {0.6, 0.2, 0.9, 1.0};
    const struct plb_memory_policy *policies[] = {&plb_memory_chain_dp, &plb_memory_offload_dp};

    for (size_t k = 0; k < 2; k++) {
        struct plb_problem problem = large.problem;
        struct plb_plan current = {.n = 0};

        problem.limits.bytes[PLB_HOST] = SIZE_MAX;
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
            struct plb_plan next = {.n = 0};

            problem.limits.bytes[PLB_DEVICE] =
                plb_budget_of_share(&problem.needs, shares[i], 0);
            simulated(policies[k], &problem, i > 0 ? &current : NULL, &next);
            plb_plan_clear(&current);
            current = next;
        }
        plb_plan_clear(&current);
    }
}

static void too_little_is_refused(void)
{
    struct plb_problem problem = large.problem;
    struct plb_plan plan = {.n = 0};

    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.02, 0);
    PLB_CHECK_EQ(plb_memory_chain_dp.plan(&problem, &plan), PLB_ERROR_MEMORY);
    PLB_CHECK_EQ(plb_memory_offload_dp.plan(&problem, &plan), PLB_ERROR_MEMORY);
    PLB_CHECK_EQ(plan.n, 0);
}

/* A step of several micro-batches has a pass for each. */
static void every_pass_has_its_chain(void)
{
    const struct plb_language_options options = {.mode = PLB_LANGUAGE_TRAIN,
                                                 .dtype = PLB_F32,
                                                 .batch = 16,
                                                 .sequence = 128,
                                                 .micro_batches = 4};
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    struct plb_model_config config;
    struct plb_language language;
    struct plb_training training;
    struct subject s = {.gpt.model = NULL};
    struct plb_limits limits = plb_limits_none();
    struct plb__chains *chains;
    struct outcome outcome;

    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    config.vocab = 64;
    config.max_positions = 128;
    config.hidden = 64;
    config.layers = 6;
    config.heads = config.kv_heads = 4;
    config.head_dim = 16;
    config.ffn = 256;
    config.bos_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    PLB_REQUIRE(plb_language_create(&config, &options, &language) == PLB_OK);
    for (int64_t k = 0; k < language.micro_batches; k++)
        PLB_CHECK(language.micro[k].tokens != PLB_NONE);
    PLB_REQUIRE(plb_nn_update(language.model, &optimizer, &training) == PLB_OK);
    s.seconds = calloc((size_t)plb_graph_tasks(plb_model_graph(language.model)) + 1,
                       sizeof *s.seconds);
    PLB_REQUIRE(s.seconds != NULL);
    limits.hold_gradients = true;
    PLB_REQUIRE(plb_problem_prepare(plb_model_graph(language.model), NULL, &limits, s.seconds,
                                    &s.problem) == PLB_OK);
    PLB_REQUIRE(plb__chains_take(&s.problem, PLB__GRAIN_BLOCKS, &chains) == PLB_OK);
    PLB_CHECK_EQ(chains->n, 4);
    for (uint32_t i = 0; i < chains->n; i++) {
        const struct plb__chain *chain = &chains->pass[i].chain;

        check_chain(chain);
        PLB_CHECK(chain->block[1].backward < chain->block[1].backward_end);
    }
    plb__chains_give(chains);
    s.problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&s.problem.needs, 0.4, 0);
    PLB_REQUIRE(simulate(&plb_memory_chain_dp, &s.problem, &outcome) == PLB_OK);
    PLB_CHECK(outcome.device <= s.problem.limits.bytes[PLB_DEVICE]);
    free(s.seconds);
    plb_model_destroy(language.model);
}

/* ---- short of memory oneself ---- */

static void failing_allocations_are_told(void)
{
    const struct random_options options = {.seed = 5, .shape = RANDOM_U_NET, .uncut = true};
    struct random_graph made;
    struct plb_limits limits = plb_limits_none();
    struct plb_problem problem;
    double *seconds;

    PLB_REQUIRE(random_graph_make(&options, &made) == PLB_OK);
    seconds = calloc((size_t)plb_graph_tasks(made.graph) + 1, sizeof *seconds);
    PLB_REQUIRE(seconds != NULL);
    PLB_REQUIRE(plb_problem_prepare(made.graph, NULL, &limits, seconds, &problem) == PLB_OK);
    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.7, 0);
    problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    for (long n = 1; plb_test_alloc_available(); n += 1 + n / 16) {
        struct plb_plan plan = {.n = 0};
        enum plb_status status;
        bool failed;

        for (plb_task_id t = 0; t < plb_graph_tasks(made.graph); t++)
            seconds[t] *= 1.0 + 1e-6; /* nothing that was kept serves */
        plb_test_alloc_fail_at(n);
        status = plb_memory_offload_dp.plan(&problem, &plan);
        failed = plb_test_alloc_stop();
        if (status == PLB_OK)
            PLB_CHECK_EQ(plb_plan_check(&plan, made.graph, &problem.limits), PLB_OK);
        else
            PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        plb_plan_clear(&plan);
        if (!failed)
            break;
    }
    free(seconds);
    random_graph_clear(&made);
}

/* ---- how long it takes ---- */

static void planning_is_fast(void)
{
    struct gpt_options options = gpt_large();
    struct subject s = {.seconds = NULL};
    double began, first, again;
    struct plb_plan plan = {.n = 0};

    options.layers = 46; /* makes 2,510 tasks */
    PLB_REQUIRE(prepare(&options, &s) == PLB_OK);
    s.problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&s.problem.needs, 0.33, 0);
    began = now();
    PLB_CHECK_EQ(plb_memory_chain_dp.plan(&s.problem, &plan), PLB_OK);
    first = now() - began;
    plb_plan_clear(&plan);
    s.problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&s.problem.needs, 0.4, 0);
    began = now();
    PLB_CHECK_EQ(plb_memory_chain_dp.plan(&s.problem, &plan), PLB_OK);
    again = now() - began;
    plb_plan_clear(&plan);
    printf("\n    %u tasks: chain-dp %.0f ms, after another budget %.1f ms",
           plb_graph_tasks(s.gpt.graph), 1e3 * first, 1e3 * again);
    s.problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    began = now();
    PLB_CHECK_EQ(plb_memory_offload_dp.plan(&s.problem, &plan), PLB_OK);
    printf(", offload-dp %.0f ms\n", 1e3 * (now() - began));
    plb_plan_clear(&plan);
    clear(&s);
}

PLB_TEST_MAIN("schedulers/memory/chain", setup, teardown, PLB_TEST(running_again_costs_little),
              PLB_TEST(sending_away_costs_less), PLB_TEST(nothing_is_sent_in_vain),
              PLB_TEST(blocks_of_a_model_are_alike), PLB_TEST(any_graph_is_a_chain),
              PLB_TEST(the_table_is_near_the_plan),
              PLB_TEST(the_same_question_has_the_same_answer),
              PLB_TEST(new_costs_are_planned_for_fast), PLB_TEST(a_new_plan_keeps_the_budget),
              PLB_TEST(too_little_is_refused),
              PLB_TEST(every_pass_has_its_chain), PLB_TEST(failing_allocations_are_told),
              PLB_TEST(planning_is_fast))
