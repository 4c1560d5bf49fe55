/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies by name: from outside the tree, right and in every way wrong; with arguments; logged and
 * replayed.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "schedulers/schedulers.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a small problem -------------------------------------------------------------------------- */

static struct random_graph graph;
static double *seconds;
static struct plb_problem problem;

static int setup(void)
{
    unsetenv("PALOMBE_MEMORY");
    unsetenv("PALOMBE_POLICY_PATH");
    if (random_graph_make(&(struct random_options){.seed = 7, .blocks = 3}, &graph) != PLB_OK)
        return 1;
    seconds = calloc((size_t)plb_graph_tasks(graph.graph) + 1, sizeof *seconds);
    return !seconds || plb_problem_prepare(graph.graph, NULL, NULL, seconds, &problem) != PLB_OK;
}

static int teardown(void)
{
    free(seconds);
    random_graph_clear(&graph);
    return 0;
}

static enum plb_status make(const char *name, struct plb_plan *plan_out)
{
    const struct plb_memory_policy *policy;
    struct plb_layout layout;

    PLB_TRY(plb_memory_policy_find(name, &policy));
    PLB_TRY(plb_plan_make(policy, &problem, PLB_EVENT_DRIFT, NULL, plan_out, &layout));
    plb_layout_clear(&layout);
    return PLB_OK;
}

/* --- directories of libraries ----------------------------------------------------------------- */

/* A fresh directory of this program, on the path of policies alone or behind what is there. */
static const char *directory(const char *name, bool behind)
{
    static char path[4096];
    const char *now = getenv("PALOMBE_POLICY_PATH");
    const char *made = plb_test_tmp(name);

    PLB_REQUIRE(plb_file_make_directory(made) == PLB_OK);
    snprintf(path, sizeof path, "%s%s%s", behind && now ? now : "", behind && now ? ":" : "", made);
    setenv("PALOMBE_POLICY_PATH", path, 1);
    return made;
}

/* Puts a library that was built for this test into a directory, under another name. */
static void put(const char *where, const char *library, const char *name)
{
    char from[128], to[8192];

    snprintf(from, sizeof from, "tests/schedulers/modules/.libs/%s.so", library);
    snprintf(to, sizeof to, "%s/%s", where, name);
    PLB_REQUIRE(symlink(plb_test_build(from), to) == 0);
}

static void check_refused(const char *name, const char *reason)
{
    const struct plb_memory_policy *policy = NULL;

    PLB_CHECK_EQ(plb_memory_policy_find(name, &policy), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), reason);
    PLB_CHECK(policy == NULL);
}

static void a_policy_from_outside_plans(void)
{
    const struct plb_memory_policy *policy = NULL, *again = NULL;
    struct plb_plan plan = {0};

    check_refused("outside", "unknown memory policy 'outside'; known are: none");
    put(directory("right", false), "outside", "whatever.so");
    PLB_REQUIRE(plb_memory_policy_find("outside", &policy) == PLB_OK);
    PLB_CHECK_STRING(policy->name, "outside");
    PLB_CHECK_EQ(make("outside", &plan), PLB_OK);
    PLB_CHECK_STRING(plan.policy, "outside");
    PLB_CHECK(plan.n > plb_graph_tasks(graph.graph));
    plb_plan_clear(&plan);

    setenv("PALOMBE_MEMORY", "outside", 1);
    PLB_CHECK_EQ(plb_memory_policy_find(NULL, &again), PLB_OK);
    PLB_CHECK(again == policy);
    unsetenv("PALOMBE_MEMORY");

    /* Off the path it is unknown; back on it, it is the same: a library is loaded once. */
    setenv("PALOMBE_POLICY_PATH", "", 1);
    again = NULL;
    check_refused("outside", "unknown memory policy");
    directory("right", false);
    PLB_CHECK_EQ(plb_memory_policy_find("outside", &again), PLB_OK);
    PLB_CHECK(again == policy);
}

/* The same library has policies of another question. */
static void a_parallel_policy_from_outside_plans(void)
{
    const struct plb_parallel_policy *policy = NULL;
    struct plb_parallel_problem hybrid_problem = {.graph = graph.graph,
                                                  .seconds = (const double *const[]){seconds}};
    struct plb_hybrid hybrid = {.policy = ""};
    struct plb_spread spread = {0};
    struct plb_policy_entry *list = NULL;
    plb_costs_t *costs = NULL;
    plb_places_t *places = NULL;
    int n = 0, outside = 0;

    put(directory("beside", false), "outside", "outside.so");
    PLB_REQUIRE(plb_parallel_policy_find("outside-at:1", &policy) == PLB_OK);
    PLB_CHECK_STRING(policy->name, "outside-at:1");
    PLB_REQUIRE(plb_costs_create(problem.platform, &costs) == PLB_OK);
    PLB_REQUIRE(plb_places_uniform(3, costs, 1e9, 0, &places) == PLB_OK);
    hybrid_problem.places = places;
    PLB_REQUIRE(plb_hybrid_make(policy, &hybrid_problem, PLB_EVENT_DRIFT, NULL, &hybrid, &spread) ==
                PLB_OK);
    PLB_CHECK(spread.part[1].graph && !spread.part[0].graph && !spread.part[2].graph);
    PLB_CHECK_STRING(hybrid.policy, "outside-at:1");
    PLB_CHECK_EQ(plb_parallel_policy_find("outside", &policy), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "unknown parallel policy 'outside'; known are: none, ");
    PLB_CHECK_EQ(plb_parallel_policy_find("outside-at", &policy), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "needs an argument: outside-at:PLACE");
    PLB_REQUIRE(plb_parallel_policy_list(&list, &n) == PLB_OK);
    for (int k = 0; k < n; k++)
        outside += list[k].policy && list[k].origin;
    PLB_CHECK_EQ(outside, 1);
    free(list);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    plb_places_destroy(places);
    plb_costs_destroy(costs);
}

static void a_wrong_plan_is_refused(void)
{
    struct plb_plan plan = {0};

    put(directory("wrong", false), "outside", "outside.so");
    PLB_CHECK_EQ(make("outside-with:care", &plan), PLB_OK);
    plb_plan_clear(&plan);
    PLB_CHECK_EQ(make("outside-with:wrong", &plan), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "policy 'outside-with:wrong' wrote a wrong plan");
    PLB_CHECK_CONTAINS(plb_error_message(), "does not lie in the storage of");
    PLB_CHECK(plan.n == 0);
}

static void a_library_that_cannot_be_used_says_why(void)
{
    static const struct {
        const char *library, *reason;
    } cases[] = {
        {"abi", "was built for policy ABI 99, this Palombe has 2"},
        {"record", "was built with records of 8 bytes"},
        {"empty", "has no function 'plan' in its policy 'outside'"},
        {"symbol", "has no symbol 'plb_policy_module'"},
        {"text", "does not load: "},
    };
    const char *where = directory("bad", false);
    char file[4096];
    const struct plb_memory_policy *policy;

    for (size_t k = 0; k + 1 < sizeof cases / sizeof cases[0]; k++) {
        snprintf(file, sizeof file, "%s.so", cases[k].library);
        put(where, cases[k].library, file);
    }
    snprintf(file, sizeof file, "%s/text.so", where);
    PLB_CHECK(plb_test_write_file(file, "not a library", 13));
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        snprintf(file, sizeof file, "memory policy '%s' cannot be used: ", cases[k].library);
        check_refused(cases[k].library, cases[k].reason);
        PLB_CHECK_CONTAINS(plb_error_message(), file);
    }
    /* The others are not in the way of what works, and are told of to who looks for a name. */
    PLB_CHECK_EQ(plb_memory_policy_find("none", &policy), PLB_OK);
    check_refused("nome", "known are: none, ");
    PLB_CHECK_CONTAINS(plb_error_message(), "/abi.so was built for policy ABI 99");
}

static void the_list_has_all(void)
{
    struct plb_policy_entry *list = NULL;
    int n = 0, usable = 0, outside = 0, broken = 0;

    put(directory("listed", false), "abi", "abi.so");
    put(directory("listed2", true), "outside", "outside.so");
    PLB_REQUIRE(plb_memory_policy_list(&list, &n) == PLB_OK);
    for (int k = 0; k < n; k++) {
        usable += list[k].policy != NULL;
        outside += list[k].policy && list[k].origin;
        broken += list[k].problem != NULL;
        PLB_CHECK(!list[k].policy == !!list[k].problem);
    }
    PLB_CHECK(n > 0 && list[0].policy == &plb_memory_none && !list[0].origin);
    PLB_CHECK_EQ(outside, 2);
    PLB_CHECK_EQ(broken, 1);
    PLB_CHECK_EQ(usable + broken, n);
    free(list);
}

static void a_directory_that_is_none_is_told(void)
{
    setenv("PALOMBE_POLICY_PATH", "/nonexistent/policies", 1);
    check_refused("nome", "/nonexistent/policies is no directory that can be read");
}

static void a_name_that_is_taken_stays_with_its_owner(void)
{
    const struct plb_memory_policy *policy = NULL;

    put(directory("taken", false), "taken", "taken.so");
    PLB_CHECK_EQ(plb_memory_policy_find("none", &policy), PLB_OK);
    PLB_CHECK(policy == &plb_memory_none);
    PLB_CHECK_EQ(plb_memory_policy_find("none-with:care", &policy), PLB_OK);
}

/* --- arguments -------------------------------------------------------------------------------- */

static void arguments_are_checked(void)
{
    const struct plb_memory_policy *policy = NULL, *again = NULL;

    check_refused("none:3", "'none' takes no argument");
    check_refused("replay", "needs an argument: replay:PATH");
    check_refused("replay:", "needs an argument: replay:PATH");
    check_refused("log:nome", "unknown memory policy 'nome'");
    PLB_CHECK_EQ(plb_memory_policy_find("log:log:none", &policy), PLB_OK);
    PLB_CHECK_STRING(policy->name, "log:log:none");
    PLB_CHECK_STRING(policy->argument, "log:none");
    PLB_CHECK_EQ(plb_memory_policy_find("log:log:none", &again), PLB_OK);
    PLB_CHECK(again == policy);
}

/* Looks for policies anew. */
static void forget_and_search(const char *where)
{
    const struct plb_memory_policy *policy;

    setenv("PALOMBE_POLICY_PATH", "", 1);
    PLB_CHECK_EQ(plb_memory_policy_find("none", &policy), PLB_OK);
    setenv("PALOMBE_POLICY_PATH", where, 1);
}

/* Whatever fails for want of memory, a new search finds everything as it should be. */
static void memory_may_fail_anywhere(void)
{
    const char *where = directory("short", false);

    put(where, "outside", "outside.so");
    put(where, "abi", "abi.so");
    for (long n = 1; plb_test_alloc_available(); n++) {
        const struct plb_memory_policy *policy = NULL;
        char name[64];
        enum plb_status status;

        snprintf(name, sizeof name, "outside-with:%ld", n);
        forget_and_search(where);
        plb_test_alloc_fail_at(n);
        status = plb_memory_policy_find(name, &policy);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK((status == PLB_OK) == (policy != NULL));
        forget_and_search(where);
        PLB_CHECK_EQ(plb_memory_policy_find(name, &policy), PLB_OK);
    }
    forget_and_search(where);
    check_refused("abi", "was built for policy ABI 99");
}

static void *find_many(void *unused)
{
    for (int k = 0; k < 50; k++) {
        const struct plb_memory_policy *policy;
        char name[32];

        snprintf(name, sizeof name, "replay:%d", k);
        if (plb_memory_policy_find(name, &policy) != PLB_OK || strcmp(policy->name, name) != 0)
            return &problem;
    }
    return unused;
}

static void threads_may_ask(void)
{
    pthread_t thread[4];

    put(directory("threads", false), "outside", "outside.so");
    for (int k = 0; k < 4; k++)
        PLB_REQUIRE(pthread_create(&thread[k], NULL, find_many, NULL) == 0);
    for (int k = 0; k < 4; k++) {
        void *failed = &problem;

        PLB_CHECK(pthread_join(thread[k], &failed) == 0 && failed == NULL);
    }
}

/* --- log and replay --------------------------------------------------------------------------- */

static void check_same(const struct plb_plan *a, const struct plb_plan *b)
{
    PLB_CHECK_EQ(a->n, b->n);
    PLB_CHECK(a->n == b->n &&
              memcmp(a->instruction, b->instruction, a->n * sizeof *a->instruction) == 0);
}

static void check_contains(const char *path, const char *part)
{
    char *text = plb_test_read_file(path, NULL);

    PLB_CHECK_CONTAINS(text, part);
    free(text);
}

static void a_logged_plan_is_replayed(void)
{
    struct plb_plan first = {0}, second = {0}, third = {0};
    const struct plb_memory_policy *policy;
    char name[4096];

    setenv("PALOMBE_POLICY_LOG", plb_test_tmp("log"), 1);
    PLB_CHECK_EQ(make("log:none", &first), PLB_OK);
    PLB_CHECK_STRING(first.policy, "log:none");
    check_contains(plb_test_tmp("log/000001-problem.json"), "\"policy\": \"none\"");
    check_contains(plb_test_tmp("log/000001-problem.json"), "\"event\": \"first\"");
    snprintf(name, sizeof name, "replay:%s", plb_test_tmp("log/000001-plan.json"));
    PLB_CHECK_EQ(make(name, &second), PLB_OK);
    check_same(&first, &second);
    snprintf(name, sizeof name, "replay:%s", plb_test_tmp("log"));
    PLB_CHECK_EQ(make(name, &third), PLB_OK);
    check_same(&first, &third);
    plb_plan_clear(&second);

    PLB_REQUIRE(plb_memory_policy_find("log:none", &policy) == PLB_OK);
    PLB_CHECK_EQ(plb_memory_policy_ask(policy, &problem, PLB_EVENT_PRESSURE, &first, &second),
                 PLB_OK);
    check_contains(plb_test_tmp("log/000002-problem.json"), "\"event\": \"pressure\"");
    check_same(&first, &second);
    plb_plan_clear(&first);
    plb_plan_clear(&second);
    plb_plan_clear(&third);
}

static void a_failure_is_logged(void)
{
    struct plb_plan plan = {0};

    setenv("PALOMBE_POLICY_LOG", plb_test_tmp("failures"), 1);
    PLB_CHECK_EQ(make("log:replay:/nonexistent/plan", &plan), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "/nonexistent/plan");
    check_contains(plb_test_tmp("failures/000001-problem.json"), "\"failed\": ");
    PLB_CHECK(access(plb_test_tmp("failures/000001-plan.json"), F_OK) != 0);
}

static void a_log_that_cannot_be_written_is_an_error(void)
{
    struct plb_plan plan = {0};

    setenv("PALOMBE_POLICY_LOG", "/proc/nothing", 1);
    PLB_CHECK_EQ(make("log:none", &plan), PLB_ERROR_IO);
    PLB_CHECK(plan.n == 0);
}

static void a_replay_must_be_of_this_graph(void)
{
    struct random_graph other;
    struct plb_plan plan = {0};
    char name[4096];

    PLB_REQUIRE(random_graph_make(&(struct random_options){.seed = 8, .blocks = 3}, &other) ==
                PLB_OK);
    PLB_REQUIRE(plb_memory_policy_ask(&plb_memory_none, &(struct plb_problem){.graph = other.graph},
                                      PLB_EVENT_DRIFT, NULL, &plan) == PLB_OK);
    PLB_REQUIRE(plb_file_make_directory(plb_test_tmp("others")) == PLB_OK);
    PLB_REQUIRE(plb_plan_save(&plan, plb_test_tmp("others/1-plan.json")) == PLB_OK);
    plb_plan_clear(&plan);
    random_graph_clear(&other);
    snprintf(name, sizeof name, "replay:%s", plb_test_tmp("others/1-plan.json"));
    PLB_CHECK_EQ(make(name, &plan), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "was made for another graph");
    snprintf(name, sizeof name, "replay:%s", plb_test_tmp("others"));
    PLB_CHECK_EQ(make(name, &plan), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "none of the 1 plans");
    PLB_CHECK(plb_test_write_file(plb_test_tmp("others/2-plan.json"), "{}", 2));
    PLB_CHECK_EQ(make(name, &plan), PLB_ERROR_FORMAT);
}

PLB_TEST_MAIN("schedulers/modules", setup, teardown, PLB_TEST(a_policy_from_outside_plans),
              PLB_TEST(a_parallel_policy_from_outside_plans),
              PLB_TEST(a_wrong_plan_is_refused), PLB_TEST(a_library_that_cannot_be_used_says_why),
              PLB_TEST(the_list_has_all), PLB_TEST(a_directory_that_is_none_is_told),
              PLB_TEST(a_name_that_is_taken_stays_with_its_owner), PLB_TEST(arguments_are_checked),
              PLB_TEST(memory_may_fail_anywhere), PLB_TEST(threads_may_ask),
              PLB_TEST(a_logged_plan_is_replayed), PLB_TEST(a_failure_is_logged),
              PLB_TEST(a_log_that_cannot_be_written_is_an_error),
              PLB_TEST(a_replay_must_be_of_this_graph))
