/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hybrid plans: whatever task runs wherever, the parts compute the same bits; what cannot be is
 * refused, each by its name.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/hybrid.h"
#include "tests/runtime/plan/random_hybrid.h"
#include "tests/support/parts.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS 24

static plb_places_t *make_places(uint32_t n)
{
    struct plb_platform platform = plb_platform_nominal(1);
    plb_costs_t *costs = NULL;
    plb_places_t *places = NULL;

    PLB_REQUIRE(plb_costs_create(&platform, &costs) == PLB_OK);
    PLB_REQUIRE(plb_places_uniform(n, costs, 1e9, 1e-6, &places) == PLB_OK);
    plb_costs_destroy(costs);
    return places;
}

/* ---- any graph, any places ---- */

static void fill(const struct random_graph *graph, plb_interpreter_t *interpreter)
{
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
}

static void check_bits(const struct random_graph *graph, const struct plb_spread *spread)
{
    plb_interpreter_t *reference = NULL;
    const plb_graph_t *cut = graph->graph == graph->whole ? NULL : graph->graph;

    PLB_REQUIRE(plb_interpreter_create(graph->whole, cut, &reference) == PLB_OK);
    fill(graph, reference);
    for (uint64_t step = 1; step <= 2; step++)
        if (parts_step(spread, NULL, reference, step) != PLB_OK) {
            PLB_CHECK_STRING(plb_error_message(), "");
            break;
        }
    plb_interpreter_destroy(reference);
}

/* Every task is somewhere, every value of a part is the value that it says. */
static void check_maps(const plb_graph_t *cut, const struct plb_spread *spread)
{
    bool *ran = calloc((size_t)plb_graph_tasks(cut) + 1, sizeof *ran);

    PLB_REQUIRE(ran != NULL);
    for (uint32_t p = 0; p < spread->n_parts; p++) {
        const struct plb_part *part = &spread->part[p];

        for (plb_task_id t = 0; part->graph && t < plb_graph_tasks(part->graph); t++) {
            const struct plb_task *task = plb_graph_task(part->graph, t);

            PLB_CHECK_EQ(part->task[t] == PLB_NONE, task->op->once);
            PLB_CHECK_EQ(part->transfer[t] == PLB_NONE, !task->op->once);
            if (part->task[t] != PLB_NONE) {
                PLB_CHECK(task->op == plb_graph_task(cut, part->task[t])->op);
                ran[part->task[t]] = true;
            }
        }
        for (plb_value v = 0; part->graph && v < plb_graph_values(part->graph); v++)
            PLB_CHECK_STRING(plb_graph_value(part->graph, v)->name,
                             plb_graph_value(cut, part->value[v])->name);
    }
    for (plb_task_id t = 0; t < plb_graph_tasks(cut); t++)
        PLB_CHECK(ran[t]);
    free(ran);
}

static void check_spread(const struct random_graph *graph, uint64_t seed, uint32_t n_places)
{
    plb_places_t *places = make_places(n_places);
    struct plb_hybrid hybrid = {.policy = ""};
    struct plb_spread spread = {0};

    PLB_REQUIRE(random_hybrid_make(graph->graph, seed, n_places, &hybrid) == PLB_OK);
    if (plb_hybrid_spread(&hybrid, graph->graph, places, &spread) != PLB_OK) {
        PLB_CHECK_STRING(plb_error_message(), "");
    } else {
        for (uint32_t p = 0; p < n_places; p++)
            if (spread.part[p].graph)
                PLB_CHECK_EQ(plb_plan_check(&spread.part[p].plan, spread.part[p].graph, NULL),
                             PLB_OK);
        check_maps(graph->graph, &spread);
        check_bits(graph, &spread);
    }
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    plb_places_destroy(places);
}

static void same_bits_wherever_tasks_run(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random_options options = {.seed = seed,
                                         .shape = (enum random_shape)(seed % 3),
                                         .blocks = 3,
                                         .width = 16,
                                         .batch = 2,
                                         .passes = 1 + (int)(seed % 2),
                                         .uncut = seed % 4 == 0};
        struct random_graph graph;

        PLB_REQUIRE(random_graph_make(&options, &graph) == PLB_OK);
        check_spread(&graph, seed, 1 + (uint32_t)(seed % 4));
        random_graph_clear(&graph);
    }
}

PLB_TEST_MAIN("runtime/plan/hybrid", NULL, NULL, PLB_TEST(same_bits_wherever_tasks_run))
