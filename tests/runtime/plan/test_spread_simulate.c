/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hybrid plans in virtual time: a pipeline takes as long as the published formula says, transfers
 * wait for ports, an order that cannot end is told, and one place alone takes as long as its plan.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/hybrid.h"
#include "runtime/plan/simulate.h"
#include "tests/runtime/plan/random_hybrid.h"
#include "tests/runtime/plan/stages.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGES_MAX  6
#define BATCHES_MAX 12

static plb_places_t *make_places(uint32_t n, int workers, double rate, double latency)
{
    struct plb_platform platform = plb_platform_nominal(workers);
    plb_costs_t *costs = NULL;
    plb_places_t *places = NULL;

    PLB_REQUIRE(plb_costs_create(&platform, &costs) == PLB_OK);
    PLB_REQUIRE(plb_places_uniform(n, costs, rate, latency, &places) == PLB_OK);
    plb_costs_destroy(costs);
    return places;
}

static double *make_seconds(const plb_graph_t *graph, double each)
{
    double *seconds = malloc((plb_graph_tasks(graph) + 1) * sizeof *seconds);

    PLB_REQUIRE(seconds != NULL);
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        seconds[t] = each;
    return seconds;
}

/* ---- lists by hand ---- */

static void list_begin(struct plb_hybrid *hybrid, const plb_graph_t *graph, uint32_t n_places)
{
    *hybrid = (struct plb_hybrid){
        .policy = "hand", .fingerprint = plb_graph_fingerprint(graph), .n_places = 0};
    hybrid->in_place = calloc(n_places + 1, sizeof *hybrid->in_place);
    hybrid->run = calloc(2 * plb_graph_tasks(graph) + 1, sizeof *hybrid->run);
    PLB_REQUIRE(hybrid->in_place != NULL && hybrid->run != NULL);
}

/* The task that makes `value` comes next at the place that is listed. */
static void list_run(struct plb_hybrid *hybrid, const plb_graph_t *graph, plb_value value)
{
    uint32_t *end = &hybrid->in_place[hybrid->n_places + 1];

    hybrid->run[(*end)++] = plb_graph_value(graph, value)->producer;
}

static void list_end_place(struct plb_hybrid *hybrid, bool last)
{
    hybrid->n_places++;
    if (!last)
        hybrid->in_place[hybrid->n_places + 1] = hybrid->in_place[hybrid->n_places];
}

static enum plb_status simulate(const struct plb_hybrid *hybrid, const plb_graph_t *graph,
                                const plb_places_t *places, const double *seconds,
                                struct plb_spread *spread,
                                struct plb_spread_simulation *simulation)
{
    const double *const kinds[] = {seconds};
    const struct plb_spread_problem problem = {
        .places = places, .in_order = hybrid->in_order, .seconds = kinds};

    PLB_TRY(plb_hybrid_spread(hybrid, graph, places, spread));
    return plb_spread_simulate(spread, graph, &problem, simulation);
}

/* ---- a pipeline ---- */

struct pipe {
    plb_graph_t *graph;
    int stages, batches;
    plb_value f[STAGES_MAX][BATCHES_MAX], b[STAGES_MAX][BATCHES_MAX], w[STAGES_MAX][BATCHES_MAX];
};

/* F of a stage reads F of the one before, B and W read B of the one after and F's of their own. */
static void pipe_make(struct pipe *p, int stages, int batches)
{
    plb_graph_t *g = p->graph = plb_graph_create();
    plb_value x[BATCHES_MAX];

    PLB_REQUIRE(g != NULL);
    p->stages = stages;
    p->batches = batches;
    for (int j = 0; j < batches; j++) {
        char name[16];

        snprintf(name, sizeof name, "x.%d", j);
        x[j] = plb_graph_add_value(g, name, PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    }
    for (int s = 0; s < stages; s++)
        for (int j = 0; j < batches; j++)
            p->f[s][j] = plb_gelu(g, s > 0 ? p->f[s - 1][j] : x[j], PLB_GELU_ERF);
    plb_graph_set_phase(g, PLB_PHASE_BACKWARD);
    for (int s = stages; s-- > 0;)
        for (int j = 0; j < batches; j++) {
            plb_value dy = s + 1 < stages ? p->b[s + 1][j] : p->f[s][j];

            p->b[s][j] = plb_add(g, dy, p->f[s][j]);
            p->w[s][j] = plb_add(g, dy, s > 0 ? p->f[s - 1][j] : x[j]);
        }
    PLB_REQUIRE(plb_graph_status(g) == PLB_OK);
}

/* One forward, one backward (Narayanan et al. 2019, "PipeDream"), with B and W as one. */
static void list_1f1b(const struct pipe *p, struct plb_hybrid *hybrid)
{
    list_begin(hybrid, p->graph, (uint32_t)p->stages);
    for (int s = 0; s < p->stages; s++) {
        int ahead = p->stages - 1 - s < p->batches ? p->stages - 1 - s : p->batches;

        for (int j = 0; j < p->batches + ahead; j++) {
            if (j < p->batches)
                list_run(hybrid, p->graph, p->f[s][j]);
            if (j >= ahead) {
                list_run(hybrid, p->graph, p->w[s][j - ahead]);
                list_run(hybrid, p->graph, p->b[s][j - ahead]);
            }
        }
        list_end_place(hybrid, s + 1 == p->stages);
    }
    hybrid->in_order = true;
}

static void check_bubble(int stages, int batches)
{
    plb_places_t *places = make_places((uint32_t)stages, 1, 1e18, 0);
    struct plb_spread spread = {0};
    struct plb_spread_simulation simulation = {0};
    struct plb_hybrid hybrid;
    struct pipe pipe;
    double *seconds;

    pipe_make(&pipe, stages, batches);
    seconds = make_seconds(pipe.graph, 1);
    list_1f1b(&pipe, &hybrid);
    if (simulate(&hybrid, pipe.graph, places, seconds, &spread, &simulation) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    PLB_CHECK_NEAR(simulation.seconds, 3.0 * (batches + stages - 1), 1e-9);
    PLB_CHECK_NEAR(simulation.bubble, (stages - 1.0) / (batches + stages - 1.0), 1e-9);
    PLB_CHECK_EQ(spread.n_transfers, 2 * (uint32_t)(stages - 1) * (uint32_t)batches);
    plb_spread_simulation_clear(&simulation);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    plb_places_destroy(places);
    plb_graph_destroy(pipe.graph);
    free(seconds);
}

static void one_f_one_b_has_the_published_bubble(void)
{
    check_bubble(1, 3);
    check_bubble(2, 2);
    check_bubble(4, 8);
    check_bubble(6, 12);
    check_bubble(5, 2);
}

/* ---- ports ---- */

/* `n` values made at place 0 and read at the others in turn. */
static void check_turns(uint32_t n, uint32_t readers, double expected)
{
    plb_graph_t *g = plb_graph_create();
    plb_value x, made[8], read[8];
    plb_places_t *places = make_places(1 + readers, 8, 64, 0.5);
    struct plb_spread spread = {0};
    struct plb_spread_simulation simulation = {0};
    struct plb_hybrid hybrid;
    double *seconds;

    x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    for (uint32_t k = 0; k < n; k++)
        made[k] = plb_gelu(g, x, PLB_GELU_ERF);
    for (uint32_t k = 0; k < n; k++)
        read[k] = plb_gelu(g, made[k], PLB_GELU_ERF);
    seconds = make_seconds(g, 1);
    list_begin(&hybrid, g, 1 + readers);
    for (uint32_t k = 0; k < n; k++)
        list_run(&hybrid, g, made[k]);
    list_end_place(&hybrid, false);
    for (uint32_t p = 0; p < readers; p++) {
        for (uint32_t k = p; k < n; k += readers)
            list_run(&hybrid, g, read[k]);
        list_end_place(&hybrid, p + 1 == readers);
    }
    if (simulate(&hybrid, g, places, seconds, &spread, &simulation) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    PLB_CHECK_NEAR(simulation.seconds, expected, 1e-9);
    PLB_CHECK_EQ(simulation.place[0].sent, (size_t)n * 64);
    plb_spread_simulation_clear(&simulation);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    plb_places_destroy(places);
    plb_graph_destroy(g);
    free(seconds);
}

/* 64 bytes at 64 bytes a second behind half a second: 1.5 seconds each, one after the other on the
 * way out of place 0, after a second of work there and before one at the other end. */
static void transfers_wait_for_ports(void)
{
    check_turns(1, 1, 1 + 1.5 + 1);
    check_turns(3, 1, 1 + 3 * 1.5 + 1);
    check_turns(4, 2, 1 + 4 * 1.5 + 1);
}

/* ---- orders that cannot end ---- */

/* u at place 0 after what reads v of place 1, v at place 1 after what reads u. */
static void places_that_wait_for_each_other_are_told(void)
{
    plb_graph_t *g = plb_graph_create();
    plb_value x, u, v, of_u, of_v;
    plb_places_t *places = make_places(2, 1, 64, 0.5);
    struct plb_spread spread = {0};
    struct plb_hybrid hybrid;

    x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    plb_graph_set_scope(g, "left");
    u = plb_gelu(g, x, PLB_GELU_ERF);
    of_v = plb_gelu(g, v = plb_silu(g, x), PLB_GELU_ERF);
    plb_graph_set_scope(g, "right");
    of_u = plb_gelu(g, u, PLB_GELU_ERF);
    list_begin(&hybrid, g, 2);
    list_run(&hybrid, g, of_v);
    list_run(&hybrid, g, u);
    list_end_place(&hybrid, false);
    list_run(&hybrid, g, of_u);
    list_run(&hybrid, g, v);
    list_end_place(&hybrid, true);
    PLB_CHECK_EQ(plb_hybrid_spread(&hybrid, g, places, &spread), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "wait for each other for ever");
    PLB_CHECK_CONTAINS(plb_error_message(), plb_places_at(places, 0)->name);
    PLB_CHECK_CONTAINS(plb_error_message(), plb_places_at(places, 1)->name);
    PLB_CHECK_CONTAINS(plb_error_message(), "gelu");
    plb_hybrid_clear(&hybrid);
    plb_places_destroy(places);
    plb_graph_destroy(g);
}

/* ---- short memory ---- */

static void short_memory_is_told(void)
{
    plb_places_t *places = make_places(3, 1, 1e9, 0);
    uint32_t survived = 0;
    struct plb_hybrid hybrid;
    struct pipe pipe;
    double *seconds;

    pipe_make(&pipe, 3, 3);
    seconds = make_seconds(pipe.graph, 1);
    list_1f1b(&pipe, &hybrid);
    for (long n = 1; plb_test_alloc_available(); n++) {
        struct plb_spread spread = {0};
        struct plb_spread_simulation simulation = {0};
        enum plb_status status;
        char *text = NULL;

        plb_test_alloc_fail_at(n);
        status = simulate(&hybrid, pipe.graph, places, seconds, &spread, &simulation);
        if (status == PLB_OK)
            status = plb_hybrid_to_json(&hybrid, &text);
        free(text);
        plb_spread_simulation_clear(&simulation);
        plb_spread_clear(&spread);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK(status == PLB_ERROR_MEMORY || status == PLB_OK);
        survived += status == PLB_OK;
    }
    PLB_CHECK(survived <= 6); /* libc's qsort does without memory */
    plb_hybrid_clear(&hybrid);
    plb_places_destroy(places);
    plb_graph_destroy(pipe.graph);
    free(seconds);
}

/* ---- any plan ---- */

struct span {
    double start, end;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

static void check_apart(struct span *span, uint32_t n)
{
    qsort(span, n, sizeof *span, compare_spans);
    for (uint32_t k = 1; k < n; k++)
        PLB_CHECK(span[k].start >= span[k - 1].end);
}

/* Tasks begin when what they read is there; one worker does one thing at a time. */
static void check_place(const struct plb_part *part, const struct plb_place_use *use, bool in_order)
{
    double *made = calloc(plb_graph_values(part->graph) + 1, sizeof *made);
    struct span *span = calloc(use->n + 1, sizeof *span);
    double previous = 0;
    uint32_t n = 0;

    PLB_REQUIRE(made != NULL && span != NULL);
    for (uint32_t i = 0; i < use->n; i++) {
        const struct plb_instruction *instruction = &part->plan.instruction[i];
        const struct plb_task *task;

        if (instruction->code != PLB_RUN)
            continue;
        task = plb_graph_task(part->graph, instruction->subject);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            PLB_CHECK(use->timeline[i].start >= made[task->in[j]]);
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            made[task->out[j]] = use->timeline[i].end;
        if (part->transfer[instruction->subject] != PLB_NONE)
            continue;
        span[n++] = (struct span){use->timeline[i].start, use->timeline[i].end};
        PLB_CHECK(!in_order || use->timeline[i].start >= previous);
        previous = use->timeline[i].end;
    }
    check_apart(span, n);
    free(made);
    free(span);
}

static void check_ports(const struct plb_spread *spread, const plb_places_t *places,
                        const struct plb_spread_simulation *simulation)
{
    struct span *span = calloc(spread->n_transfers + 1, sizeof *span);

    PLB_REQUIRE(span != NULL);
    for (uint32_t port = 0; port < plb_places_ports(places); port++) {
        uint32_t n = 0;

        for (uint32_t k = 0; k < spread->n_transfers; k++) {
            const struct plb_transfer *transfer = &spread->transfer[k];
            struct plb_way way = plb_places_way(places, transfer->from, transfer->to);

            for (uint32_t j = 0; j < way.n_ports; j++)
                if (way.port[j] == port)
                    span[n++] = (struct span){simulation->transfer[k].start,
                                              simulation->transfer[k].end};
        }
        check_apart(span, n);
    }
    free(span);
}

static void check_random(uint64_t seed, uint32_t n_places, bool in_order)
{
    const struct random_options options = {
        .seed = seed, .shape = RANDOM_DAG, .blocks = 3, .width = 16, .batch = 2};
    plb_places_t *places = make_places(n_places, 1, 1e8, 1e-6);
    struct plb_spread spread = {0};
    struct plb_spread_simulation first = {0}, second = {0};
    struct plb_hybrid hybrid;
    struct random_graph graph;
    double *seconds;

    PLB_REQUIRE(random_graph_make(&options, &graph) == PLB_OK);
    seconds = make_seconds(graph.graph, 0);
    PLB_REQUIRE(plb_costs_of_graph(NULL, graph.graph, seconds, NULL) == PLB_OK);
    PLB_REQUIRE(random_hybrid_make(graph.graph, seed, n_places, &hybrid) == PLB_OK);
    hybrid.in_order = in_order;
    if (simulate(&hybrid, graph.graph, places, seconds, &spread, &first) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    for (uint32_t p = 0; p < n_places && first.seconds > 0; p++) {
        if (spread.part[p].graph)
            check_place(&spread.part[p], &first.place[p], in_order);
        PLB_CHECK(first.place[p].busy_seconds <= first.seconds * (1 + 1e-12));
    }
    check_ports(&spread, places, &first);
    plb_spread_clear(&spread);
    PLB_CHECK_EQ(simulate(&hybrid, graph.graph, places, seconds, &spread, &second), PLB_OK);
    PLB_CHECK(first.seconds > 0 && !(first.seconds < second.seconds) &&
              !(first.seconds > second.seconds));
    plb_spread_simulation_clear(&first);
    plb_spread_simulation_clear(&second);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    random_graph_clear(&graph);
    plb_places_destroy(places);
    free(seconds);
}

static void times_keep_the_rules(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        check_random(seed, 1 + (uint32_t)(seed % 4), seed % 2 == 0);
}

/* ---- one place, with its layout ---- */

static void one_place_takes_as_long_as_its_plan(void)
{
    const struct random_options options = {.seed = 3, .shape = RANDOM_CHAIN, .width = 16};
    plb_places_t *places = make_places(1, 2, 1e8, 1e-6);
    struct plb_spread spread = {0};
    struct plb_hybrid hybrid;
    struct random_graph graph;
    struct plb_problem problem;
    struct plb_layout layout = {0};
    struct plb_simulation alone = {0};
    struct plb_spread_simulation spread_simulation = {0};
    const plb_costs_t *costs = plb_places_costs(places, 0);
    const struct plb_layout *layouts[] = {&layout};
    const double *kinds[1];
    double *seconds;

    PLB_REQUIRE(random_graph_make(&options, &graph) == PLB_OK);
    PLB_REQUIRE(stages_make(graph.graph, 1, &hybrid) == PLB_OK);
    PLB_REQUIRE(plb_hybrid_spread(&hybrid, graph.graph, places, &spread) == PLB_OK);
    kinds[0] = seconds = make_seconds(graph.graph, 0);
    PLB_REQUIRE(plb_problem_prepare(spread.part[0].graph, costs, NULL, seconds, &problem) ==
                PLB_OK);
    PLB_REQUIRE(plb_layout_assign(&spread.part[0].plan, problem.graph, NULL, &layout) == PLB_OK);
    PLB_REQUIRE(plb_simulate(&spread.part[0].plan, &layout, &problem, &alone) == PLB_OK);
    PLB_CHECK_EQ(plb_spread_simulate(&spread, graph.graph,
                                     &(struct plb_spread_problem){
                                         .places = places, .layout = layouts, .seconds = kinds},
                                     &spread_simulation),
                 PLB_OK);
    PLB_CHECK_NEAR(spread_simulation.seconds, alone.seconds, 0);
    PLB_CHECK_EQ(spread_simulation.place[0].peak, alone.peak[PLB_DEVICE]);
    PLB_CHECK_NEAR(spread_simulation.place[0].busy_seconds, alone.compute_seconds, 1e-12);
    plb_simulation_clear(&alone);
    plb_spread_simulation_clear(&spread_simulation);
    plb_layout_clear(&layout);
    plb_spread_clear(&spread);
    plb_hybrid_clear(&hybrid);
    random_graph_clear(&graph);
    plb_places_destroy(places);
    free(seconds);
}

PLB_TEST_MAIN("runtime/plan/spread_simulate", NULL, NULL,
              PLB_TEST(one_f_one_b_has_the_published_bubble), PLB_TEST(transfers_wait_for_ports),
              PLB_TEST(places_that_wait_for_each_other_are_told), PLB_TEST(short_memory_is_told),
              PLB_TEST(times_keep_the_rules),
              PLB_TEST(one_place_takes_as_long_as_its_plan))
