/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a problem to a plan: wrong plans and impossible budgets are refused with the reason, what is
 * handed out is proved right and laid out within the limits, and the least budget is the least.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/policy.h"
#include "runtime/plan/writer.h"
#include "schedulers/schedulers.h"
#include "tests/runtime/plan/random_plan.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

struct example {
    struct random_graph random;
    double *seconds;
    struct plb_problem problem;
};

static struct example make_example(uint64_t seed)
{
    const struct random_options options = {.seed = seed, .blocks = 4, .width = 32, .batch = 2};
    struct example e = {.seconds = NULL};

    PLB_REQUIRE(random_graph_make(&options, &e.random) == PLB_OK);
    e.seconds = malloc(plb_graph_tasks(e.random.graph) * sizeof *e.seconds);
    PLB_REQUIRE(plb_problem_prepare(e.random.graph, NULL, NULL, e.seconds, &e.problem) == PLB_OK);
    return e;
}

static void clear_example(struct example *e)
{
    free(e->seconds);
    random_graph_clear(&e->random);
}

static enum plb_status make(const struct plb_memory_policy *policy, const struct example *e,
                            struct plb_plan *plan, struct plb_layout *layout)
{
    return plb_plan_make(policy, &e->problem, PLB_EVENT_DRIFT, NULL, plan, layout);
}

static void expect_refusal(const struct plb_memory_policy *policy, const struct example *e,
                           enum plb_status expected, const char *message)
{
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout = {.n_slots = 0};

    PLB_CHECK_EQ(make(policy, e, &plan, &layout), expected);
    PLB_CHECK_CONTAINS(plb_error_message(), message);
    PLB_CHECK(plan.instruction == NULL && layout.slot == NULL);
}

/* ---- policies of this test ---- */

static enum plb_status plan_nothing(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    (void)problem;
    (void)plan_out;
    return PLB_OK;
}

static enum plb_status plan_too_much(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    PLB_TRY(plb_memory_none.plan(problem, plan_out));
    return plb_plan_append(plan_out, plan_out->instruction[0]);
}

static enum plb_status plan_moves(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return random_plan_make(problem->graph, 5, 2, plan_out);
}

static enum plb_status plan_breaks_off(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    PLB_TRY(plb_memory_none.plan(problem, plan_out));
    return plb_fail(PLB_ERROR_INTERNAL, "the policy has lost its way");
}

/* Keeps a budget as well as a policy can that forgets everything as soon as it may. */
static enum plb_status plan_forgets(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    const plb_graph_t *g = problem->graph;
    plb_writer_t *writer;
    enum plb_status status = plb_writer_create(g, &writer);

    for (plb_task_id t = 0; status == PLB_OK && t < plb_graph_tasks(g); t++) {
        status = plb_writer_run(writer, t);
        if (plb_graph_task(g, t)->phase != PLB_PHASE_FORWARD)
            continue;
        for (plb_value v = 0; t + 1 < plb_graph_tasks(g) && v < plb_graph_values(g); v++)
            if (plb_graph_task(g, t + 1)->phase == PLB_PHASE_BACKWARD && (v & 1))
                plb_writer_forget(writer, v);
    }
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    return status;
}

static const struct plb_memory_policy nothing = {.name = "nothing", .plan = plan_nothing};
static const struct plb_memory_policy too_much = {.name = "too-much", .plan = plan_too_much};
static const struct plb_memory_policy moves = {.name = "moves", .plan = plan_moves};
static const struct plb_memory_policy lost = {.name = "lost", .plan = plan_breaks_off};
static const struct plb_memory_policy forgets = {.name = "forgets", .plan = plan_forgets};
static const struct plb_memory_policy left = {
    .name = "left", .plan = plan_forgets, .left_to_starpu = true};

/* ---- tests ---- */

static void plans_are_named_checked_and_laid_out(void)
{
    struct example e = make_example(1);
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;

    PLB_CHECK(e.problem.platform != NULL && e.seconds[0] > 0);
    PLB_CHECK_EQ(e.problem.limits.bytes[PLB_DEVICE], SIZE_MAX);
    PLB_REQUIRE(make(&plb_memory_none, &e, &plan, &layout) == PLB_OK);
    PLB_CHECK_STRING(plan.policy, "none");
    PLB_CHECK_EQ(plb_plan_check(&plan, e.random.graph, NULL), PLB_OK);
    PLB_CHECK_EQ(layout.in_operand[0], 0);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    clear_example(&e);
}

static void wrong_plans_are_refused(void)
{
    struct example e = make_example(2);
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;

    expect_refusal(&nothing, &e, PLB_ERROR_INVALID,
                   "policy 'nothing' wrote a wrong plan: at the end");
    expect_refusal(&too_much, &e, PLB_ERROR_INVALID,
                   "policy 'too-much' wrote a wrong plan: "
                   "instruction ");
    expect_refusal(&moves, &e, PLB_ERROR_MEMORY, /* right, where there is such a tier */
                   "policy 'moves' does not keep the budget: instruction ");
    PLB_CHECK_CONTAINS(plb_error_message(), "there is no ");
    expect_refusal(&lost, &e, PLB_ERROR_INTERNAL, "the policy has lost its way");
    e.problem.limits.bytes[PLB_HOST] = e.problem.limits.bytes[PLB_DISK] = SIZE_MAX;
    PLB_REQUIRE(make(&moves, &e, &plan, &layout) == PLB_OK); /* now there is where to move to */
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    clear_example(&e);
}

static void impossible_budgets_are_refused(void)
{
    struct example e = make_example(3);
    const struct plb_needs *needs = &e.problem.needs;
    struct plb_platform small = *e.problem.platform;
    char expected[96];
    size_t least;

    e.problem.limits.bytes[PLB_DEVICE] = 0;
    expect_refusal(&plb_memory_none, &e, PLB_ERROR_INVALID, "a budget of 0 bytes");
    e.problem.limits.bytes[PLB_DEVICE] = needs->initial + needs->largest_task - 1;
    PLB_REQUIRE(plb_plan_least(&forgets, &e.problem, &least) == PLB_OK);
    snprintf(expected, sizeof expected, "task %s needs %s beside",
             plb_graph_task(e.random.graph, needs->largest)->name,
             plb_bytes_text((double)needs->largest_task).text);
    expect_refusal(&forgets, &e, PLB_ERROR_MEMORY, expected);
    snprintf(expected, sizeof expected, "the least with policy 'forgets' is %zu bytes (", least);
    PLB_CHECK_CONTAINS(plb_error_message(), expected);
    small.bytes[PLB_DEVICE] = 1000000;
    e.problem.platform = &small;
    e.problem.limits.bytes[PLB_DEVICE] = 1000001;
    expect_refusal(&plb_memory_none, &e, PLB_ERROR_INVALID,
                   "a budget of 976.6 KiB is 1 byte more than the device has");
    clear_example(&e);
}

/* Held gradients are there all the time, and so is something beside them. */
static void the_floor_counts_what_is_beside_gradients(void)
{
    for (uint64_t seed = 12; seed < 20; seed++) {
        struct example e = make_example(seed);
        size_t floor, least;

        e.problem.limits.hold_gradients = true;
        floor = plb_problem_floor(&e.problem);
        PLB_CHECK(floor > e.problem.needs.initial + e.problem.needs.gradients);
        PLB_REQUIRE(plb_plan_least(&forgets, &e.problem, &least) == PLB_OK);
        PLB_CHECK(floor <= least);
        clear_example(&e);
    }
}

/* A policy that does not care is told apart from one that is wrong. */
static void budgets_that_are_not_kept_are_refused(void)
{
    struct example e = make_example(4);
    size_t none, least;

    PLB_REQUIRE(plb_plan_least(&plb_memory_none, &e.problem, &none) == PLB_OK);
    PLB_REQUIRE(plb_plan_least(&forgets, &e.problem, &least) == PLB_OK);
    PLB_CHECK(least < none);
    e.problem.limits.bytes[PLB_DEVICE] = least;
    expect_refusal(&plb_memory_none, &e, PLB_ERROR_MEMORY,
                   "policy 'none' does not keep the budget: instruction ");
    clear_example(&e);
}

static void the_least_budget_works_and_less_does_not(void)
{
    for (uint64_t seed = 5; seed < 10; seed++) {
        struct example e = make_example(seed);
        struct plb_plan plan = {.n = 0};
        struct plb_layout layout;
        size_t least, parts;

        e.problem.limits.reserved = 1000;
        e.problem.limits.hold_gradients = seed % 2;
        PLB_REQUIRE(plb_plan_least(&forgets, &e.problem, &least) == PLB_OK);
        parts = e.problem.needs.activations / 256 + 64;
        e.problem.limits.bytes[PLB_DEVICE] = least;
        PLB_REQUIRE(make(&forgets, &e, &plan, &layout) == PLB_OK);
        PLB_CHECK(plb_layout_device_bytes(&layout) + 1000 <= least);
        PLB_CHECK(layout.peak[PLB_DEVICE] + 1000 <= least);
        plb_layout_clear(&layout);
        plb_plan_clear(&plan);
        e.problem.limits.bytes[PLB_DEVICE] = least - parts - 1;
        PLB_CHECK_EQ(make(&forgets, &e, &plan, &layout), PLB_ERROR_MEMORY);
        clear_example(&e);
    }
}

static void limits_do_not_bind_what_is_left_to_starpu(void)
{
    struct example e = make_example(11);
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;

    e.problem.limits.bytes[PLB_DEVICE] = e.problem.needs.initial + 1;
    PLB_REQUIRE(make(&left, &e, &plan, &layout) == PLB_OK);
    PLB_CHECK(plb_layout_device_bytes(&layout) > e.problem.limits.bytes[PLB_DEVICE]);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    clear_example(&e);
}

PLB_TEST_MAIN("runtime/plan/problem", NULL, NULL, PLB_TEST(plans_are_named_checked_and_laid_out),
              PLB_TEST(wrong_plans_are_refused), PLB_TEST(impossible_budgets_are_refused),
              PLB_TEST(the_floor_counts_what_is_beside_gradients),
              PLB_TEST(budgets_that_are_not_kept_are_refused),
              PLB_TEST(the_least_budget_works_and_less_does_not),
              PLB_TEST(limits_do_not_bind_what_is_left_to_starpu))
