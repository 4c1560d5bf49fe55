/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What holds for every memory policy, on random graphs under random budgets: its plan passes the
 * checker and keeps the limits; played with real bytes it gives the bits of a step in which nothing
 * is dropped or moved; where it has no plan it says why, and what plb_plan_least() says works.
 */
#include "config.h"

#include "runtime/base/random.h"
#include "runtime/plan/simulate.h"
#include "schedulers/schedulers.h"
#include "tests/support/player.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define GRAPHS  24
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
    limits.bytes[PLB_DEVICE] = plb_budget_of_share(
        needs, 0.2 + 0.9 * (double)plb_random_unit(words[1]), limits.reserved);
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

PLB_TEST_MAIN("schedulers/policies", NULL, NULL, PLB_TEST(every_plan_is_right))
