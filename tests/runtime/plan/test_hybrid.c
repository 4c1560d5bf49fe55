/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hybrid plans: whatever task runs wherever, the parts compute the same bits; what cannot be is
 * refused, each by its name.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/parallel.h"
#include "runtime/plan/places_internal.h"
#include "tests/runtime/plan/random_hybrid.h"
#include "tests/runtime/plan/stages.h"
#include "tests/support/parts.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS 24

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
    plb_places_t *places = stages_places(n_places);
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

/* ---- what cannot be ---- */

/* x, w exist before; a = f(x) and y = a + w; w' = w + a. */
struct example {
    plb_graph_t *graph;
    plb_places_t *places;
    plb_task_id make_a, make_y, update;
    struct plb_hybrid hybrid;
};

static plb_task_id producer_of(const struct example *e, plb_value value)
{
    return plb_graph_value(e->graph, value)->producer;
}

static void example_make(struct example *e)
{
    plb_graph_t *g = plb_graph_create();
    plb_value x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    plb_value w = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(4, 4));
    plb_value a = plb_gelu(g, x, PLB_GELU_ERF), y = plb_add(g, a, w), next = plb_add(g, w, a);

    plb_graph_set_name(g, a, "a");
    plb_graph_output(g, y);
    plb_graph_carry(g, w, next);
    PLB_REQUIRE(plb_graph_status(g) == PLB_OK);
    *e = (struct example){.graph = g, .places = stages_places(2)};
    PLB_REQUIRE(e->places != NULL);
    e->make_a = producer_of(e, a);
    e->make_y = producer_of(e, y);
    e->update = producer_of(e, next);
}

static void example_clear(struct example *e)
{
    plb_hybrid_clear(&e->hybrid);
    plb_places_destroy(e->places);
    plb_graph_destroy(e->graph);
}

/* Lists of tasks for places 0 and 1, each ended by PLB_NONE. */
static void set_lists(struct example *e, const plb_task_id *first, const plb_task_id *second)
{
    const plb_task_id *list[] = {first, second};
    uint32_t n = 0;

    plb_hybrid_clear(&e->hybrid);
    e->hybrid = (struct plb_hybrid){.policy = "hand",
                                    .fingerprint = plb_graph_fingerprint(e->graph),
                                    .n_places = 2};
    e->hybrid.in_place = calloc(3, sizeof *e->hybrid.in_place);
    e->hybrid.run = calloc(16, sizeof *e->hybrid.run);
    PLB_REQUIRE(e->hybrid.in_place != NULL && e->hybrid.run != NULL);
    for (int p = 0; p < 2; p++) {
        for (; *list[p] != PLB_NONE; list[p]++)
            e->hybrid.run[n++] = *list[p];
        e->hybrid.in_place[p + 1] = n;
    }
}

#define LIST(...) ((const plb_task_id[]){__VA_ARGS__, PLB_NONE})
#define NOTHING   ((const plb_task_id[]){PLB_NONE})

static void check_refused(struct example *e, const char *says)
{
    struct plb_spread spread = {0};

    PLB_CHECK_EQ(plb_hybrid_spread(&e->hybrid, e->graph, e->places, &spread), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), says);
    PLB_CHECK(spread.part == NULL && spread.transfer == NULL);
}

static void check_accepted(struct example *e, uint32_t transfers)
{
    struct plb_spread spread = {0};

    if (plb_hybrid_spread(&e->hybrid, e->graph, e->places, &spread) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    PLB_CHECK_EQ(spread.n_transfers, transfers);
    plb_spread_clear(&spread);
}

static void lists_that_can_be(void)
{
    struct example e;

    example_make(&e);
    set_lists(&e, LIST(e.make_a, e.make_y, e.update), NOTHING);
    check_accepted(&e, 0);
    /* a goes over; place 0 holds w for y and gets its next version. */
    set_lists(&e, LIST(e.make_a, e.make_y), LIST(e.update));
    check_accepted(&e, 2);
    /* Every replica makes it. */
    set_lists(&e, LIST(e.make_a, e.make_y, e.update), LIST(e.update));
    check_accepted(&e, 1);
    set_lists(&e, LIST(e.make_a, e.make_y, e.update), LIST(e.make_a, e.update));
    check_accepted(&e, 0);
    /* Made again. */
    set_lists(&e, LIST(e.make_a, e.make_y, e.make_a, e.update), NOTHING);
    check_accepted(&e, 0);
    example_clear(&e);
}

static void what_cannot_be_is_refused(void)
{
    struct example e;

    example_make(&e);
    set_lists(&e, LIST(e.make_a, e.make_y), NOTHING);
    check_refused(&e, "no place runs");
    set_lists(&e, LIST(e.make_y, e.make_a, e.update), NOTHING);
    check_refused(&e, "which makes 'a' for it");
    set_lists(&e, LIST(e.make_a, e.make_y, e.update, e.update), NOTHING);
    check_refused(&e, "which makes the next version of 'w' and can run once");
    set_lists(&e, LIST(e.make_a, e.update, e.make_y), NOTHING);
    check_refused(&e, "has been replaced there");
    set_lists(&e, LIST(e.make_a, e.make_y, e.update, 77), NOTHING);
    check_refused(&e, "runs task 77 of 3");
    set_lists(&e, LIST(e.make_a, e.make_y, e.update), NOTHING);
    e.hybrid.fingerprint++;
    check_refused(&e, "another graph");
    set_lists(&e, LIST(e.make_a, e.make_y, e.update), NOTHING);
    e.hybrid.n_places = 1;
    check_refused(&e, "is for 1 places; there are 2");
    e.hybrid.n_places = 2;
    e.hybrid.in_place[0] = 1;
    check_refused(&e, "begins at entry 1");
    e.hybrid.in_place[0] = 0;
    e.hybrid.in_place[1] = 4;
    check_refused(&e, "goes from entry 4 to 3");
    example_clear(&e);
}

static void places_without_a_way_are_refused(void)
{
    struct example e;

    example_make(&e);
    e.places->node[0].link.bytes_per_second = 0;
    set_lists(&e, LIST(e.make_a, e.make_y), LIST(e.update));
    check_refused(&e, "there is no way to it from");
    example_clear(&e);
}

/* ---- policies ---- */

static enum plb_status plan_nothing(const struct plb_parallel_problem *problem,
                                    struct plb_hybrid *hybrid)
{
    (void)problem;
    (void)hybrid;
    return PLB_OK;
}

static enum plb_status plan_halves(const struct plb_parallel_problem *problem,
                                   struct plb_hybrid *hybrid)
{
    return stages_make(problem->graph, plb_places_count(problem->places), hybrid);
}

static void policies_are_asked_and_checked(void)
{
    static const struct plb_parallel_policy nothing = {.name = "nothing", .plan = plan_nothing},
                                            halves = {.name = "halves", .plan = plan_halves};
    struct plb_spread spread = {0};
    struct example e;
    struct plb_parallel_problem problem;

    example_make(&e);
    problem = (struct plb_parallel_problem){.graph = e.graph, .places = e.places};
    PLB_CHECK_EQ(plb_hybrid_make(&nothing, &problem, PLB_EVENT_DRIFT, NULL, &e.hybrid, &spread),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "policy 'nothing'");
    PLB_CHECK_EQ(plb_hybrid_make(&halves, &problem, PLB_EVENT_DRIFT, NULL, &e.hybrid, &spread),
                 PLB_OK);
    PLB_CHECK_STRING(e.hybrid.policy, "halves");
    PLB_CHECK_EQ(spread.n_parts, 2);
    plb_spread_clear(&spread);
    example_clear(&e);
}

/* ---- files ---- */

static void check_format(const char *text, const char *says)
{
    struct plb_hybrid hybrid = {.policy = ""};

    PLB_CHECK_EQ(plb_hybrid_from_json(text, strlen(text), &hybrid), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), says);
    PLB_CHECK(hybrid.run == NULL);
}

#define HEAD "{\"format\": \"palombe hybrid plan 1\", \"policy\": \"p\", "
#define GRAPH "\"graph\": \"0123456789abcdef\", "

static void documents_are_read_back(void)
{
    const char *path = plb_test_tmp("hybrid.json");
    struct plb_hybrid read = {.policy = ""};
    struct example e;
    char *text = NULL;

    example_make(&e);
    set_lists(&e, LIST(e.make_a, e.make_y), LIST(e.update));
    e.hybrid.in_order = true;
    PLB_REQUIRE(plb_hybrid_to_json(&e.hybrid, &text) == PLB_OK);
    PLB_CHECK_EQ(plb_hybrid_from_json(text, strlen(text), &read), PLB_OK);
    PLB_CHECK_STRING(read.policy, "hand");
    PLB_CHECK(read.fingerprint == e.hybrid.fingerprint && read.in_order && read.n_places == 2);
    PLB_CHECK_MEMORY(read.in_place, e.hybrid.in_place, 3 * sizeof *read.in_place);
    PLB_CHECK_MEMORY(read.run, e.hybrid.run, 3 * sizeof *read.run);
    plb_hybrid_clear(&read);
    PLB_CHECK_EQ(plb_hybrid_save(&e.hybrid, path), PLB_OK);
    PLB_CHECK_EQ(plb_hybrid_load(path, &read), PLB_OK);
    PLB_CHECK_EQ(read.n_places, 2);
    plb_hybrid_clear(&read);
    free(text);
    example_clear(&e);
}

static void other_documents_are_refused(void)
{
    check_format("{", "hybrid plan");
    check_format("{\"format\": \"palombe plan 1\"}", "is not \"palombe hybrid plan 1\"");
    check_format(HEAD "\"graph\": \"12\"}", "hexadecimal");
    check_format(HEAD GRAPH "\"places\": [[0]]}", "in_order");
    check_format(HEAD GRAPH "\"in_order\": 1, \"places\": [[0]]}", "in_order");
    check_format(HEAD GRAPH "\"in_order\": true}", "places");
    check_format(HEAD GRAPH "\"in_order\": true, \"places\": []}", "no places");
    check_format(HEAD GRAPH "\"in_order\": true, \"places\": [3]}", "place 0 is no list");
    check_format(HEAD GRAPH "\"in_order\": true, \"places\": [[0], [1, -2]]}",
                 "entry 1 of place 1 is no number of a task");
    check_format(HEAD GRAPH "\"in_order\": true, \"places\": [[4294967296]]}",
                 "entry 0 of place 0");
}

PLB_TEST_MAIN("runtime/plan/hybrid", NULL, NULL, PLB_TEST(same_bits_wherever_tasks_run),
              PLB_TEST(lists_that_can_be), PLB_TEST(what_cannot_be_is_refused),
              PLB_TEST(places_without_a_way_are_refused),
              PLB_TEST(policies_are_asked_and_checked), PLB_TEST(documents_are_read_back),
              PLB_TEST(other_documents_are_refused))
