/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lineage against brute force: on thousands of small random graphs, the least of all subsets of
 * tasks that can run and make what is wanted.
 */
#include "config.h"

#include "runtime/graph/lineage.h"
#include "tests/runtime/graph/fake.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX  9
#define INPUTS     3
#define VALUES_MAX (INPUTS + 2 * TASKS_MAX)
#define GRAPHS     4000

struct problem {
    plb_graph_t *graph;
    bool have[VALUES_MAX];
    plb_value wanted[VALUES_MAX];
    uint32_t n;
};

/* A random graph of tasks with one to three inputs and one or two outputs. */
static plb_graph_t *random_graph(uint64_t *random)
{
    plb_graph_t *graph = plb_graph_create();
    uint32_t tasks = 1 + fake_draw(random, TASKS_MAX);
    char name[16];

    for (int k = 0; k < INPUTS; k++) {
        snprintf(name, sizeof name, "x%d", k);
        fake_input(graph, name, 2, 2);
    }
    for (uint32_t t = 0; t < tasks; t++) {
        const bool both[2] = {true, true};
        plb_value in[3], out[2];
        int n = 1 + (int)fake_draw(random, 3);

        for (int k = 0; k < n; k++)
            in[k] = fake_draw(random, plb_graph_values(graph));
        if (n == 1 && fake_draw(random, 2) == 0)
            plb_graph_add_task(graph, &fake_powers, NULL, in, 1, both, out);
        else
            fake_many(graph, &fake_gather, in, n);
    }
    PLB_REQUIRE(plb_graph_status(graph) == PLB_OK);
    return graph;
}

static struct problem random_problem(uint64_t *random)
{
    struct problem problem = {.graph = random_graph(random)};
    uint32_t values = plb_graph_values(problem.graph), left = fake_draw(random, 4);

    for (uint32_t v = 0; v < values; v++)
        problem.have[v] = v < INPUTS ? fake_draw(random, 8) != 0 : fake_draw(random, 4) < left;
    problem.n = fake_draw(random, 4);
    for (uint32_t k = 0; k < problem.n; k++)
        problem.wanted[k] = fake_draw(random, values);
    return problem;
}

/* Can the tasks of the set run in order, and do the wanted values exist then? */
static bool works(const struct problem *problem, uint32_t set)
{
    bool exists[VALUES_MAX];

    memcpy(exists, problem->have, sizeof exists);
    for (plb_task_id t = 0; t < plb_graph_tasks(problem->graph); t++) {
        const struct plb_task *task = plb_graph_task(problem->graph, t);

        if (!(set >> t & 1))
            continue;
        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
            if (!exists[task->in[i]])
                return false;
        }
        for (uint32_t i = 0; i < task->out_start[task->n_out]; i++)
            exists[task->out[i]] = true;
    }
    for (uint32_t k = 0; k < problem->n; k++) {
        if (!exists[problem->wanted[k]])
            return false;
    }
    return true;
}

static uint32_t bits(uint32_t set)
{
    return set == 0 ? 0 : (set & 1) + bits(set >> 1);
}

/* The least set that works in `best_out`, how many are that small as the result. */
static uint32_t search(const struct problem *problem, uint32_t *best_out)
{
    uint32_t sets = 1u << plb_graph_tasks(problem->graph), least = UINT32_MAX, found = 0;

    for (uint32_t set = 0; set < sets; set++) {
        if (bits(set) > least || !works(problem, set))
            continue;
        found = bits(set) < least ? 1 : found + 1;
        least = bits(set);
        *best_out = set;
    }
    return found;
}

static void compare(const struct problem *problem)
{
    bool tasks[TASKS_MAX];
    uint32_t best = 0, set = 0, count = 77, found = search(problem, &best);
    enum plb_status status =
        plb_lineage(problem->graph, problem->wanted, problem->n, problem->have, tasks, &count);

    if (found == 0) {
        PLB_CHECK_EQ(status, PLB_ERROR_INVALID);
        PLB_CHECK_EQ(count, 77);
        PLB_CHECK_CONTAINS(plb_error_message(), "is lost and no task makes it");
        return;
    }
    PLB_CHECK_EQ(status, PLB_OK);
    if (status != PLB_OK)
        return;
    for (plb_task_id t = 0; t < plb_graph_tasks(problem->graph); t++)
        set |= (uint32_t)tasks[t] << t;
    PLB_CHECK_EQ(found, 1);
    PLB_CHECK_EQ(set, best);
    PLB_CHECK_EQ(count, bits(best));
}

static void random_graphs_agree_with_brute_force(void)
{
    uint64_t random = 0;

    for (int k = 0; k < GRAPHS; k++) {
        struct problem problem = random_problem(&random);
        unsigned failures = CU_get_number_of_failures();

        compare(&problem);
        plb_graph_destroy(problem.graph);
        if (CU_get_number_of_failures() != failures) {
            printf("graph %d of PLB_TEST_SEED=%llu\n", k, (unsigned long long)fake_seed());
            return;
        }
    }
}

static void what_is_there_costs_nothing(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 2, 2), y = fake_unary(graph, &fake_one, x);
    plb_value z = fake_unary(graph, &fake_one, y), none = 77;
    bool have[3] = {false, false, true}, tasks[2] = {true, true};
    uint32_t count = 9;

    PLB_CHECK_EQ(plb_lineage(graph, &z, 1, have, tasks, &count), PLB_OK);
    PLB_CHECK_EQ(count, 0);
    PLB_CHECK(!tasks[0] && !tasks[1]);
    have[2] = false;
    PLB_CHECK_EQ(plb_lineage(graph, &z, 1, have, tasks, &count), PLB_ERROR_INVALID);
    PLB_CHECK_STRING(plb_error_message(), "x is lost and no task makes it (needed by fake_one)");
    PLB_CHECK_EQ(plb_lineage(graph, &x, 1, have, tasks, &count), PLB_ERROR_INVALID);
    PLB_CHECK_STRING(plb_error_message(), "x is lost and no task makes it (wanted)");
    PLB_CHECK_EQ(plb_lineage(graph, &none, 1, have, tasks, &count), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "no value 77");
    PLB_CHECK_EQ(plb_lineage(graph, NULL, 0, have, tasks, &count), PLB_OK);
    PLB_CHECK_EQ(count, 0);
    plb_graph_destroy(graph);
}

/* A chain of a hundred thousand tasks: neither recursion nor anything quadratic. */
static void long_chains_are_no_trouble(void)
{
    enum { LENGTH = 100000 };
    plb_graph_t *graph = plb_graph_create();
    plb_value v = fake_input(graph, "x", 1, 1);
    bool *have = calloc(LENGTH + 1, sizeof *have), *tasks = calloc(LENGTH, sizeof *tasks);
    uint32_t count;

    for (int k = 0; k < LENGTH; k++)
        v = fake_unary(graph, &fake_one, v);
    have[0] = have[50000] = true;
    PLB_CHECK_EQ(plb_lineage(graph, &v, 1, have, tasks, &count), PLB_OK);
    PLB_CHECK_EQ(count, 50000);
    PLB_CHECK(!tasks[49999] && tasks[50000]);
    free(have);
    free(tasks);
    plb_graph_destroy(graph);
}

static void short_memory_is_reported(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 2, 2);
    bool have = true, tasks = false;
    uint32_t count = 9;

    if (plb_test_alloc_available()) {
        plb_test_alloc_fail_at(1);
        PLB_CHECK_EQ(plb_lineage(graph, &x, 1, &have, &tasks, &count), PLB_ERROR_MEMORY);
        PLB_CHECK(plb_test_alloc_stop());
        PLB_CHECK_EQ(count, 9);
    }
    plb_graph_destroy(graph);
}

PLB_TEST_MAIN("runtime/graph/lineage", NULL, NULL, PLB_TEST(random_graphs_agree_with_brute_force),
              PLB_TEST(what_is_there_costs_nothing), PLB_TEST(long_chains_are_no_trouble),
              PLB_TEST(short_memory_is_reported))
