/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What holds for every memory policy, on random graphs under random budgets: its plan passes the
 * checker and keeps the limits; played with real bytes it gives the bits of a step in which nothing
 * is dropped or moved; where it has no plan it says why, and what plb_plan_least() says works.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/base/random.h"
#include "runtime/plan/simulate.h"
#include "schedulers/schedulers.h"
#include "tests/support/player.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Policies run on one thread: sanitizers, which make them ten to forty times slower, see a few. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { GRAPHS = 3, AWAY_GRAPHS = 4, LARGE_BLOCKS = 3, LARGE_TASKS = 300 };
#else
enum { GRAPHS = 9, AWAY_GRAPHS = 5, LARGE_BLOCKS = 24, LARGE_TASKS = 2500 };
#endif
#define BUDGETS 3 /* of each graph and policy */
#define STEPS   2

/* --- problems ------------------------------------------------------------------------------- */

/* A graph, what it costs on a machine with a card, and its numbers after STEPS steps. */
struct subject {
    struct random_graph graph;
    struct plb_platform platform;
    plb_costs_t *costs;
    double *seconds;
    struct plb_problem problem;
    plb_interpreter_t *reference;
};

static plb_interpreter_t *interpreter_of(const struct random_graph *graph)
{
    plb_interpreter_t *interpreter = NULL;

    PLB_REQUIRE(plb_interpreter_create(graph->whole,
                                       graph->graph == graph->whole ? NULL : graph->graph,
                                       &interpreter) == PLB_OK);
    for (plb_value v = 0; v < plb_graph_values(graph->whole); v++) {
        const struct plb_value_info *info = plb_graph_value(graph->whole, v);
        size_t bytes = plb_type_bytes(&info->type);
        void *data;

        if (info->producer != PLB_NONE)
            continue;
        data = malloc(bytes);
        PLB_REQUIRE(data != NULL);
        random_graph_fill(graph, v, data);
        PLB_CHECK_EQ(plb_interpreter_write(interpreter, v, data, bytes), PLB_OK);
        free(data);
    }
    return interpreter;
}

static struct subject subject_make(const struct random_options *options)
{
    struct subject s = {.platform = plb_platform_nominal(2)};

    s.platform.link[PLB_HOST] = (struct plb_link){1e8, 1e8, 1e-6, true};
    s.platform.link[PLB_DISK] = (struct plb_link){1e7, 2e7, 1e-5, false};
    PLB_REQUIRE(random_graph_make(options, &s.graph) == PLB_OK);
    PLB_REQUIRE(plb_costs_create(&s.platform, &s.costs) == PLB_OK);
    s.seconds = malloc((plb_graph_tasks(s.graph.graph) + 1) * sizeof *s.seconds);
    PLB_REQUIRE(s.seconds != NULL);
    PLB_REQUIRE(plb_problem_prepare(s.graph.graph, s.costs, NULL, s.seconds, &s.problem) == PLB_OK);
    return s;
}

static void subject_run(struct subject *s)
{
    s->reference = interpreter_of(&s->graph);
    for (uint64_t step = 0; step < STEPS; step++)
        PLB_REQUIRE(plb_interpreter_step(s->reference, step) == PLB_OK);
}

static void subject_clear(struct subject *s)
{
    plb_interpreter_destroy(s->reference);
    plb_costs_destroy(s->costs);
    random_graph_clear(&s->graph);
    free(s->seconds);
}

/* --- one plan ------------------------------------------------------------------------------- */

static bool same_value(const struct subject *s, const plb_interpreter_t *interpreter, plb_value v)
{
    size_t bytes = plb_type_bytes(&plb_graph_value(s->graph.whole, v)->type);
    char *expected = malloc(bytes), *seen = malloc(bytes);
    bool same;

    PLB_REQUIRE(expected != NULL && seen != NULL);
    PLB_CHECK_EQ(plb_interpreter_read(s->reference, v, expected, bytes), PLB_OK);
    PLB_CHECK_EQ(plb_interpreter_read(interpreter, v, seen, bytes), PLB_OK);
    same = memcmp(expected, seen, bytes) == 0;
    free(expected);
    free(seen);
    return same;
}

/* The loss, and parameters and state: all bits. */
static bool same_bits(const struct subject *s, const plb_interpreter_t *interpreter)
{
    bool same = same_value(s, interpreter, s->graph.loss);

    for (plb_value v = 0; v < plb_graph_values(s->graph.whole); v++)
        if (plb_graph_value(s->graph.whole, v)->producer == PLB_NONE)
            same = same_value(s, interpreter, v) && same;
    return same;
}

/* The first step in the plan's order, the others in an order that the executor might take. */
static bool plays(const struct subject *s, const struct plb_plan *plan,
                  const struct plb_layout *layout)
{
    plb_interpreter_t *interpreter = interpreter_of(&s->graph);
    bool same = true;

    for (uint64_t step = 0; step < STEPS; step++) {
        enum plb_status status = player_step(interpreter, s->graph.graph, plan, layout, step,
                                             step == 0 ? PLAYER_IN_ORDER : plan->n + step);

        if (status != PLB_OK)
            printf("    %s\n", plb_error_message());
        same = status == PLB_OK && same;
    }
    same = same && same_bits(s, interpreter);
    plb_interpreter_destroy(interpreter);
    return same;
}

static void check_limits(const struct plb_problem *problem, const struct plb_layout *layout)
{
    PLB_CHECK(plb_layout_device_bytes(layout) + problem->limits.reserved <=
              problem->limits.bytes[PLB_DEVICE]);
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        PLB_CHECK(layout->arena[tier] <= problem->limits.bytes[tier]);
}

/* Tells whether the policy has a plan; it must be right. */
static bool check_plan(const struct subject *s, const struct plb_problem *problem,
                       const struct plb_memory_policy *policy)
{
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    enum plb_status status = plb_plan_make(policy, problem, PLB_EVENT_DRIFT, NULL, &plan, &layout);

    if (status != PLB_OK) {
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        PLB_CHECK(strlen(plb_error_message()) > 20);
        return false;
    }
    PLB_CHECK_EQ(plb_plan_check(&plan, problem->graph, &problem->limits), PLB_OK);
    check_limits(problem, &layout);
    PLB_CHECK(plays(s, &plan, &layout));
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return true;
}

/* --- all policies --------------------------------------------------------------------------- */

/* A share of the activations' memory or, one time in four, bytes; with host memory, a disk, both or
 * neither. */
static struct plb_limits random_limits(const struct plb_needs *needs, uint64_t seed, uint64_t draw)
{
    struct plb_limits limits = plb_limits_none();
    uint32_t words[4];

    plb_random_words(seed, 3, draw, words);
    limits.reserved = words[0] % 2 ? 1024 : 0;
    limits.hold_gradients = words[0] / 2 % 4 != 0;
    limits.bytes[PLB_DEVICE] =
        plb_budget_of_share(needs, 0.2 + 0.9 * (double)plb_random_unit(words[1]), limits.reserved);
    limits.bytes[PLB_HOST] = words[2] % 2 ? 2 * needs->activations : 0;
    limits.bytes[PLB_DISK] = words[2] / 2 % 2 ? SIZE_MAX : 0;
    if (words[3] % 4 == 0 && limits.bytes[PLB_HOST] > 0)
        limits.bytes[PLB_HOST] = needs->activations / 4;
    return limits;
}

static struct random_options random_shape(uint64_t seed)
{
    return (struct random_options){.seed = seed,
                                   .shape = (enum random_shape)(seed % 3),
                                   .passes = seed % 4 == 3 ? 2 : 1,
                                   .unnumbered = seed % 5 == 4,
                                   .uncut = seed % 7 == 6};
}

static void every_plan_is_right(void)
{
    int n, made[64] = {0};
    const struct plb_memory_policy *const *policy = plb_memory_policies(&n);

    PLB_REQUIRE(n <= 64);
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        struct random_options options = random_shape(seed);
        struct subject s = subject_make(&options);

        subject_run(&s);
        for (int k = 0; k < n; k++) {
            for (uint64_t b = 0; b < BUDGETS; b++) {
                struct plb_problem problem = s.problem;

                if (policy[k]->left_to_starpu)
                    continue;
                problem.limits = random_limits(&problem.needs, seed, b);
                if (check_plan(&s, &problem, policy[k]))
                    made[k]++;
            }
        }
        subject_clear(&s);
    }
    printf("\n");
    for (int k = 0; k < n; k++) {
        if (policy[k]->left_to_starpu)
            continue;
        printf("    %-12s %2d plans under %d random limits\n", policy[k]->name, made[k],
               GRAPHS * BUDGETS);
        PLB_CHECK(made[k] > 0);
    }
}

/* Parameters and state whose home is another tier come and go under every policy. */
static void what_lives_elsewhere_comes_and_goes(void)
{
    int n, made[64] = {0};
    const struct plb_memory_policy *const *policy = plb_memory_policies(&n);

    for (uint64_t seed = 0; seed < AWAY_GRAPHS; seed++) {
        struct random_options options = random_shape(seed);
        struct subject s;

        options.home = seed % 2 ? PLB_DISK : PLB_HOST;
        s = subject_make(&options);
        PLB_CHECK(s.problem.needs.initial > 0);
        subject_run(&s);
        for (int k = 0; k < n; k++) {
            struct plb_problem problem = s.problem;

            if (policy[k]->left_to_starpu)
                continue;
            problem.limits = random_limits(&problem.needs, seed, (uint64_t)k % 3);
            problem.limits.bytes[options.home] = SIZE_MAX;
            if (check_plan(&s, &problem, policy[k]))
                made[k]++;
        }
        subject_clear(&s);
    }
    for (int k = 0; k < n; k++)
        PLB_CHECK(policy[k]->left_to_starpu || made[k] > 0);
}

/* --- budgets that are too small ------------------------------------------------------------- */

static bool has_plan(const struct plb_problem *problem, const struct plb_memory_policy *policy,
                     size_t budget)
{
    struct plb_problem tried = *problem;
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    enum plb_status status;

    tried.limits.bytes[PLB_DEVICE] = budget;
    status = plb_plan_make(policy, &tried, PLB_EVENT_DRIFT, NULL, &plan, &layout);
    PLB_CHECK(status == PLB_OK || status == PLB_ERROR_MEMORY);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return status == PLB_OK;
}

/* The least budget works; a step below it the policy gives up, and names both numbers. */
static void check_least(const struct plb_problem *problem, const char *name)
{
    size_t least = 0, step = problem->needs.activations / 256 + PLB_SLOT_ALIGNMENT;
    const struct plb_memory_policy *policy;

    PLB_REQUIRE(plb_memory_policy_find(name, &policy) == PLB_OK);
    PLB_CHECK_EQ(plb_plan_least(policy, problem, &least), PLB_OK);
    PLB_CHECK(has_plan(problem, policy, least));
    PLB_CHECK(!has_plan(problem, policy, least - step));
    PLB_CHECK_CONTAINS(plb_error_message(), plb_bytes_text((double)(least - step)).text);
}

static void the_least_budget_is_the_least(void)
{
    static const char *const remake[] = {"none", "block", "sqrt", "cheap", "knapsack"};
    static const char *const move[] = {"cheap", "lru", "swap"};

    for (uint64_t seed = 0; seed < 3; seed++) {
        struct random_options options = random_shape(seed);
        struct subject s = subject_make(&options);

        s.problem.limits.hold_gradients = true;
        for (size_t k = 0; k < sizeof remake / sizeof remake[0]; k++)
            check_least(&s.problem, remake[k]);
        s.problem.limits.bytes[PLB_HOST] = SIZE_MAX;
        for (size_t k = 0; k < sizeof move / sizeof move[0]; k++)
            check_least(&s.problem, move[k]);
        subject_clear(&s);
    }
}

static void offloading_needs_a_place(void)
{
    static const char *const names[] = {"lru", "swap", "cheap"};
    struct random_options options = {.seed = 1, .shape = RANDOM_CHAIN};
    struct subject s = subject_make(&options);
    const struct plb_memory_policy *policy;

    s.problem.limits.hold_gradients = true;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        PLB_REQUIRE(plb_memory_policy_find(names[k], &policy) == PLB_OK);
        PLB_CHECK(!has_plan(&s.problem, policy, plb_budget_of_share(&s.problem.needs, 0.5, 0)));
        PLB_CHECK_CONTAINS(plb_error_message(), "neither host memory nor a directory");
    }
    subject_clear(&s);
}

/* "online" is for any graph and any budget: it has a plan wherever one of these has. */
static void online_has_a_plan_where_others_have(void)
{
    static const char *const others[] = {"chain-dp", "lru", "block"};
    const struct plb_memory_policy *online, *other;
    int made = 0;

    PLB_REQUIRE(plb_memory_policy_find("online", &online) == PLB_OK);
    for (uint64_t seed = 0; seed < (GRAPHS + 2) / 3; seed++) {
        struct random_options options = random_shape(seed);
        struct subject s = subject_make(&options);

        for (uint64_t b = 0; b < 4; b++) {
            struct plb_problem problem = s.problem;
            double share = 0.15 + 0.15 * (double)b;
            size_t budget;

            problem.limits = random_limits(&problem.needs, seed, b);
            budget = plb_budget_of_share(&problem.needs, share, problem.limits.reserved);
            if (has_plan(&problem, online, budget)) {
                made++;
                continue;
            }
            for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
                PLB_REQUIRE(plb_memory_policy_find(others[k], &other) == PLB_OK);
                PLB_CHECK(!has_plan(&problem, other, budget));
            }
        }
        subject_clear(&s);
    }
    PLB_CHECK(made > 0);
}

/* --- what policies do ----------------------------------------------------------------------- */

/* Under a share of the activations' memory, with host memory. */
static struct plb_simulation simulate(const struct subject *s, const char *name, double share,
                                      bool host)
{
    struct plb_problem problem = s->problem;
    struct plb_simulation simulation = {0}, figures;
    struct plb_plan plan = {0};
    struct plb_layout layout = {0};
    const struct plb_memory_policy *policy;

    if (share > 0) {
        problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, share, 0);
        problem.limits.hold_gradients = true;
    }
    problem.limits.bytes[PLB_HOST] = host ? SIZE_MAX : 0;
    PLB_REQUIRE(plb_memory_policy_find(name, &policy) == PLB_OK);
    PLB_CHECK_EQ(plb_plan_make(policy, &problem, PLB_EVENT_DRIFT, NULL, &plan, &layout), PLB_OK);
    PLB_CHECK_EQ(plb_simulate(&plan, &layout, &problem, &simulation), PLB_OK);
    figures = simulation;
    figures.timeline = NULL;
    plb_simulation_clear(&simulation);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return figures;
}

static double forward_seconds(const struct plb_problem *problem)
{
    double seconds = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(problem->graph); t++)
        if (plb_graph_task(problem->graph, t)->phase == PLB_PHASE_FORWARD)
            seconds += problem->seconds[t];
    return seconds;
}

/* Ten blocks in a row: at most the forward pass is run again by what works with checkpoints, and
 * nothing by what only moves values. */
static void a_deep_chain(void)
{
    struct random_options options = {.seed = 5, .shape = RANDOM_CHAIN, .blocks = 10, .width = 32};
    struct subject s = subject_make(&options);
    double forward = forward_seconds(&s.problem);
    struct plb_simulation none = simulate(&s, "none", 0, false);
    struct plb_simulation block = simulate(&s, "block", 0.5, false);
    struct plb_simulation sqrt_n = simulate(&s, "sqrt", 0.5, false);
    struct plb_simulation swap = simulate(&s, "swap", 0.5, true);

    PLB_CHECK(none.again_tasks == 0 && none.moved_out[PLB_HOST] == 0);
    PLB_CHECK(block.again_seconds > 0.3 * forward && block.again_seconds <= forward);
    PLB_CHECK(sqrt_n.again_seconds > 0.3 * forward && sqrt_n.again_seconds <= forward);
    PLB_CHECK(swap.again_tasks == 0 && swap.moved_out[PLB_HOST] > 0 &&
              swap.moved_in[PLB_HOST] == swap.moved_out[PLB_HOST]);
    subject_clear(&s);
}

/* Skip connections over the whole model: kept or brought back, whatever the policy. With a budget
 * the ones that choose run less again than the one that does not. */
static void a_u_net(void)
{
    static const char *const names[] = {"block", "sqrt", "cheap", "knapsack"};
    struct random_options options = {.seed = 2, .shape = RANDOM_U_NET, .blocks = 8, .width = 64};
    struct subject s = subject_make(&options);
    struct plb_simulation block = simulate(&s, "block", 0.7, false);

    subject_run(&s);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        struct plb_problem problem = s.problem;
        const struct plb_memory_policy *policy;

        problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.7, 0);
        problem.limits.bytes[PLB_HOST] = SIZE_MAX;
        problem.limits.hold_gradients = true;
        PLB_REQUIRE(plb_memory_policy_find(names[k], &policy) == PLB_OK);
        PLB_CHECK(check_plan(&s, &problem, policy));
    }
    PLB_CHECK(simulate(&s, "knapsack", 0.7, false).again_seconds < block.again_seconds);
    subject_clear(&s);
}

/* On a link that can just move all in the time of the tasks, fetching ahead hides what fetching on
 * demand shows. */
static void fetching_ahead_takes_less_time(void)
{
    struct random_options options = {.seed = 5, .shape = RANDOM_CHAIN, .blocks = 8, .width = 32};
    struct subject s = subject_make(&options);
    double none, lru, swap;

    s.platform.workers = 1;
    s.platform.link[PLB_HOST] = (struct plb_link){3e7, 3e7, 1e-7, true};
    s.problem.platform = &s.platform;
    none = simulate(&s, "none", 0, true).seconds;
    lru = simulate(&s, "lru", 0.7, true).seconds;
    swap = simulate(&s, "swap", 0.7, true).seconds;
    printf("\n    none %.3f ms, lru %.3f ms, swap %.3f ms\n", 1e3 * none, 1e3 * lru, 1e3 * swap);
    PLB_CHECK(swap < lru);
    PLB_CHECK(swap < 1.1 * none);
    subject_clear(&s);
}

/* Seconds of the processor: other programs do not count. */
static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Printed, not asserted: the goal is a second for 2,500 tasks. */
static void planning_a_large_graph(void)
{
    struct random_options options = {
        .seed = 3, .shape = RANDOM_CHAIN, .blocks = LARGE_BLOCKS, .width = 32};
    struct subject s = subject_make(&options);
    int n;
    const struct plb_memory_policy *const *policy = plb_memory_policies(&n);

    printf("\n    %u tasks\n", plb_graph_tasks(s.graph.graph));
    s.problem.limits.hold_gradients = true;
    s.problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    for (int k = 0; k < n; k++) {
        size_t budget = plb_budget_of_share(&s.problem.needs, 0.5, 0);
        double from = now();
        bool made = has_plan(&s.problem, policy[k], budget);

        printf("    %-12s %8.1f ms%s\n", policy[k]->name, 1e3 * (now() - from),
               made ? "" : " (no plan)");
    }
    PLB_CHECK(plb_graph_tasks(s.graph.graph) > LARGE_TASKS);
    subject_clear(&s);
}

/* An allocation that fails anywhere is a failure, or the loss of a try among several, and no more.
 */
static void memory_may_be_short(void)
{
    static const char *const names[] = {"none",     "block", "sqrt", "cheap",
                                        "knapsack", "lru",   "swap"};
    struct random_options options = {
        .seed = 1, .shape = RANDOM_CHAIN, .blocks = 3, .width = 16, .batch = 2, .uncut = true};
    struct subject s = subject_make(&options);
    struct plb_problem problem = s.problem;

    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, 0.75, 0);
    problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    problem.limits.hold_gradients = true;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        const struct plb_memory_policy *policy;
        long failures = 0;

        PLB_REQUIRE(plb_memory_policy_find(names[k], &policy) == PLB_OK);
        for (long n = 1; plb_test_alloc_available(); n += 1 + n / 8) {
            struct plb_plan plan = {0};
            enum plb_status status;
            bool failed;

            plb_test_alloc_fail_at(n);
            status = plb_memory_policy_ask(policy, &problem, PLB_EVENT_DRIFT, NULL, &plan);
            failed = plb_test_alloc_stop();
            PLB_CHECK(status == PLB_OK || status == PLB_ERROR_MEMORY);
            PLB_CHECK(status != PLB_OK || plan.n > 0);
            plb_plan_clear(&plan);
            if (!failed)
                break;
            failures += status == PLB_ERROR_MEMORY;
        }
        PLB_CHECK(failures > 0 || !plb_test_alloc_available());
    }
    subject_clear(&s);
}

PLB_TEST_MAIN("schedulers/policies", NULL, NULL, PLB_TEST(every_plan_is_right),
              PLB_TEST(what_lives_elsewhere_comes_and_goes),
              PLB_TEST(the_least_budget_is_the_least),
              PLB_TEST(online_has_a_plan_where_others_have), PLB_TEST(offloading_needs_a_place),
              PLB_TEST(a_deep_chain), PLB_TEST(a_u_net), PLB_TEST(fetching_ahead_takes_less_time),
              PLB_TEST(memory_may_be_short), PLB_TEST(planning_a_large_graph))
