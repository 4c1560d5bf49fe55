/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans that are replaced while steps are in flight: the budget shrinks and grows, costs drift, the
 * machine runs short of memory. The bits stay those of a plan that keeps everything. Who waits for
 * a plan is told by how often the policy was asked meanwhile (info.asked), not by a clock.
 */
#include "config.h"

#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Sanitizers, which make it ten times slower, see fewer policies change in flight. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STEPS = 12, POLICIES = 1 };
#else
enum { STEPS = 12, POLICIES = 3 };
#endif

static const struct random_options graph = {
    .seed = 3, .shape = RANDOM_U_NET, .blocks = 6, .width = 32, .batch = 4};

static int start(void)
{
    if (plb_runtime_start(NULL) == PLB_OK)
        return 0;
    fprintf(stderr, "%s\n", plb_error_message());
    return 1;
}

static int stop(void)
{
    plb_runtime_stop();
    return 0;
}

static struct steps make(const char *policy, struct plb_session_options options)
{
    struct steps s;
    enum plb_status status;

    options.memory_policy = policy;
    options.offload_dir = plb_test_tmpdir();
    status = steps_make(&graph, &options, &s);
    if (status != PLB_OK)
        fprintf(stderr, "%s: %s\n", policy, plb_error_message());
    PLB_CHECK_EQ(status, PLB_OK);
    return s;
}

static uint64_t expected(void)
{
    static uint64_t hash;
    static bool known;

    if (!known)
        hash = steps_expected(&graph, STEPS);
    known = true;
    return hash;
}

static size_t held(void)
{
    struct plb_ledger ledger;

    plb_ledger_get(plb_runtime_device()->ledger, &ledger);
    return ledger.now_total;
}

/* Lowers the budget to `bytes`, or as far as the policy can; what it can do depends on times. */
static void lower(struct steps *s, size_t bytes)
{
    size_t arena = steps_info(s).arena[PLB_DEVICE];
    enum plb_status status = plb_session_set_budget(s->session, bytes);

    for (int k = 0; k < 5 && status == PLB_ERROR_MEMORY; k++)
        status = plb_session_set_budget(s->session, bytes += arena / 20);
    if (status != PLB_OK)
        fprintf(stderr, "%s\n", plb_error_message());
    PLB_CHECK_EQ(status, PLB_OK);
}

/* The plan that is being made aside, if any, is there for the next step. */
static void settle(struct steps *s)
{
    plb__aside_wait(s->session);
}

/* Some of the steps under more, some under less, the budget changed `changes` times on the way. */
static void switch_often(const char *policy, int changes)
{
    uint64_t wanted = expected();
    struct steps s =
        make(policy, (struct plb_session_options){.budget = {.share = 0.9}, .drift = -1.0});
    struct plb_session_info info;
    size_t much, little;

    PLB_REQUIRE(s.session != NULL);
    info = steps_info(&s);
    much = info.budget;
    little = info.budget - info.arena[PLB_DEVICE] * 3 / 10;
    for (int k = 0; k < changes; k++) {
        PLB_CHECK_EQ(steps_submit(&s, STEPS / changes), PLB_OK);
        if (k % 2 == 0)
            lower(&s, little);
        else
            PLB_CHECK_EQ(plb_session_set_budget(s.session, much), PLB_OK);
        if (k % 3 == 0)
            settle(&s);
    }
    PLB_CHECK(steps_hash(&s) == wanted);
    info = steps_info(&s);
    PLB_CHECK(info.replans >= 1);
    PLB_CHECK(info.planned_bytes <= info.budget);
    steps_clear(&s);
}

static void budgets_change_in_flight(void)
{
    static const char *const policies[] = {"online", "swap", "lru"};

    for (int k = 0; k < POLICIES; k++)
        switch_often(policies[k], 3);
    switch_often("cheap", STEPS / 2);
}

/* What a smaller plan does not need goes back when the steps of the larger one have ended. */
static void memory_follows(void)
{
    struct steps s =
        make("cheap", (struct plb_session_options){.budget = {.share = 1.0}, .drift = -1.0});
    struct plb_session_info before, after;

    PLB_REQUIRE(s.session != NULL);
    before = steps_info(&s);
    PLB_CHECK_EQ(steps_submit(&s, 3), PLB_OK);
    PLB_CHECK_EQ(held(), before.planned_bytes);
    PLB_CHECK_EQ(
        plb_session_set_budget(s.session, before.planned_bytes - before.arena[PLB_DEVICE] / 4),
        PLB_OK);
    PLB_CHECK_EQ(steps_info(&s).replans, 0);
    PLB_CHECK_EQ(steps_submit(&s, 3), PLB_OK);
    PLB_CHECK(steps_info(&s).replans >= 1);
    settle(&s);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    after = steps_info(&s);
    PLB_CHECK(after.planned_bytes <= before.planned_bytes - before.arena[PLB_DEVICE] / 4);
    PLB_CHECK_EQ(held(), after.planned_bytes);
    steps_clear(&s);
}

/* With less that the present plan does with nobody is asked, nor with more. */
static void what_is_right_stays(void)
{
    struct steps s =
        make("cheap", (struct plb_session_options){.budget = {.share = 0.8}, .drift = -1.0});
    struct plb_session_info info;

    PLB_REQUIRE(s.session != NULL);
    info = steps_info(&s);
    PLB_CHECK_EQ(info.asked, 1);
    PLB_CHECK_EQ(steps_submit(&s, 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, info.planned_bytes), PLB_OK);
    PLB_CHECK_EQ(steps_info(&s).budget, info.planned_bytes);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, info.budget), PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(steps_info(&s).asked, 1);
    settle(&s);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK(steps_info(&s).asked_aside >= 1);
    PLB_CHECK_EQ(steps_info(&s).asked, 1);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    steps_clear(&s);
}

/* Without a limit copies lie far apart; closer together they keep one, and no policy is asked. */
static void the_same_plan_in_other_places(void)
{
    struct steps s = make("none", (struct plb_session_options){.drift = -1.0});
    struct plb_session_info before, after;

    PLB_REQUIRE(s.session != NULL);
    before = steps_info(&s);
    PLB_CHECK(before.planned_peak < before.planned_bytes);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, before.planned_bytes - 1), PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 2), PLB_OK);
    PLB_CHECK(steps_hash(&s) == expected());
    after = steps_info(&s);
    PLB_CHECK_EQ(after.asked, 1);
    PLB_CHECK_EQ(after.replans, 1);
    PLB_CHECK_EQ(after.instructions, before.instructions);
    PLB_CHECK(after.planned_bytes < before.planned_bytes);
    steps_clear(&s);
}

/* A better plan is made after the quick one, aside; and a session may end meanwhile. */
static void a_better_plan_follows(void)
{
    uint64_t wanted = expected();
    struct steps s =
        make("cheap", (struct plb_session_options){.budget = {.share = 1.0}, .drift = -1.0});
    struct plb_session_info info;

    PLB_REQUIRE(s.session != NULL);
    info = steps_info(&s);
    lower(&s, info.budget - info.arena[PLB_DEVICE] * 3 / 10);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK); /* by the quick plan */
    settle(&s);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    info = steps_info(&s);
    PLB_CHECK_EQ(info.asked_aside, 1);
    PLB_CHECK(info.replans >= 1);
    PLB_CHECK(info.replan_seconds > 0.0);
    PLB_CHECK_EQ(steps_submit(&s, STEPS - 2), PLB_OK);
    PLB_CHECK(steps_hash(&s) == wanted);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, info.budget + 1), PLB_OK);
    steps_clear(&s); /* while the thread is at work */
}

/* More than the arena was taken for: a larger one takes its place. */
static void budgets_may_outgrow_the_first(void)
{
    uint64_t wanted = expected();
    struct steps s =
        make("chain-dp", (struct plb_session_options){.budget = {.share = 0.5}, .drift = -1.0});
    struct plb_session_info before, after;

    PLB_REQUIRE(s.session != NULL);
    before = steps_info(&s);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, before.budget + 2 * before.arena[PLB_DEVICE]),
                 PLB_OK);
    settle(&s);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 2), PLB_OK);
    PLB_CHECK(steps_hash(&s) == wanted);
    after = steps_info(&s);
    PLB_CHECK_EQ(after.asked, before.asked);
    PLB_CHECK_EQ(after.asked_aside, before.asked_aside + 1);
    PLB_CHECK(after.arena[PLB_DEVICE] > before.arena[PLB_DEVICE]);
    PLB_CHECK(after.again_flops <= before.again_flops);
    steps_clear(&s);
}

static void wrong_budgets_change_nothing(void)
{
    struct steps s =
        make("cheap", (struct plb_session_options){.budget = {.share = 0.8}, .drift = -1.0});
    size_t budget;

    PLB_REQUIRE(s.session != NULL);
    budget = steps_info(&s).budget;
    PLB_CHECK_EQ(plb_session_set_budget(s.session, 0), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, 1000), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "the least with policy 'cheap' is");
    PLB_CHECK_EQ(plb_session_set_budget(s.session, SIZE_MAX - 1), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "more than the device has");
    PLB_CHECK_EQ(steps_submit(&s, 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    PLB_CHECK_EQ(steps_info(&s).budget, budget);
    PLB_CHECK_EQ(steps_info(&s).replans, 0);
    steps_clear(&s);
}

static void wrong_shares_are_refused(void)
{
    const double shares[] = {-0.5, 1.5, (double)NAN, (double)INFINITY};

    for (int k = 0; k < 4; k++) {
        const struct plb_session_options options = {.budget = {.share = shares[k]}};
        struct steps s;

        PLB_CHECK_EQ(steps_make(&graph, &options, &s), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), "above 0 and at most 1");
    }
}

/* A table that says of every second operator that it takes forever; what is measured says
 * otherwise, and the plan changes. */
static plb_costs_t *wrong_costs(const plb_graph_t *cut)
{
    struct plb_platform platform = plb_platform_nominal(2);
    plb_costs_t *costs;

    PLB_REQUIRE(plb_costs_create(&platform, &costs) == PLB_OK);
    for (plb_task_id t = 0; t < plb_graph_tasks(cut); t++) {
        const struct plb_task *task = plb_graph_task(cut, t);
        double seconds = task->op->name[0] % 2 ? 1.0 : 1e-7;

        plb_costs_record(costs, task->op->name, plb_task_footprint(cut, task), seconds);
    }
    return costs;
}

static void drift_makes_a_new_plan(void)
{
    uint64_t wanted = expected();
    struct steps plain = make("none", (struct plb_session_options){0});
    struct plb_session_options options = {.budget = {.share = 0.6}};
    struct plb_session_info first, last;
    struct steps s;

    PLB_REQUIRE(plain.session != NULL);
    options.costs = wrong_costs(plb_session_graph(plain.session));
    steps_clear(&plain);
    s = make("knapsack", options);
    PLB_REQUIRE(s.session != NULL);
    first = steps_info(&s);
    PLB_CHECK(first.predicted_seconds > 0.5);
    for (int k = 0; k < STEPS; k++) {
        PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
        PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
        settle(&s);
    }
    PLB_CHECK(steps_hash(&s) == wanted);
    last = steps_info(&s);
    PLB_CHECK(last.predicted_seconds < 0.5);
    PLB_CHECK_EQ(last.asked, 1); /* no step waited for the policy */
    PLB_CHECK(last.asked_aside >= 1);
    steps_clear(&s);
    plb_costs_destroy(options.costs);
}

static void sleep_a_while(void)
{
    const struct timespec t = {0, 300000000};

    nanosleep(&t, NULL);
}

/* The machine's shortage lowers the budget, its end raises it; never below what works. */
static void the_machine_runs_short(void)
{
    uint64_t wanted = expected();
    struct steps s = make("cheap", (struct plb_session_options){.budget = {.share = 0.9}});
    struct plb_session_info before, during;

    PLB_REQUIRE(s.session != NULL);
    before = steps_info(&s);
    plb__memory_pretend(0);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 2), PLB_OK);
    during = steps_info(&s);
    PLB_CHECK(during.planned_bytes < before.planned_bytes);
    PLB_CHECK(during.budget < before.budget);
    PLB_CHECK_CONTAINS(during.note, "short of memory");
    plb__memory_pretend(SIZE_MAX - 1);
    sleep_a_while();
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 2), PLB_OK);
    plb__memory_pretend(SIZE_MAX);
    PLB_CHECK_EQ(steps_info(&s).budget, before.budget);
    PLB_CHECK(steps_hash(&s) == wanted);
    steps_clear(&s);
}

PLB_TEST_MAIN("runtime/run/replan", start, stop, PLB_TEST(budgets_change_in_flight),
              PLB_TEST(memory_follows), PLB_TEST(what_is_right_stays),
              PLB_TEST(the_same_plan_in_other_places), PLB_TEST(a_better_plan_follows),
              PLB_TEST(budgets_may_outgrow_the_first),
              PLB_TEST(wrong_budgets_change_nothing), PLB_TEST(wrong_shares_are_refused),
              PLB_TEST(drift_makes_a_new_plan), PLB_TEST(the_machine_runs_short))
