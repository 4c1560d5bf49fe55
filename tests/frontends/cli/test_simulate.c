/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe simulate as a user meets it: figures that follow from the platform, the table, the
 * picture, memory policies at each place, and what is refused.
 */
#include "config.h"

#include "tests/frontends/cli/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Four devices of which nothing but arithmetic costs time, and links that cost none. */
#define EVEN                                                                                       \
    "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": [{\"name\": \"core\", "         \
    "\"workers\": 1, \"memory\": {\"device\": \"unlimited\"}, \"flops_per_second\": {\"f32\": "    \
    "1e12}, \"bytes_per_second\": 1e15, \"task_seconds\": 0}], \"nodes\": [{\"name\": \"node\", "  \
    "\"devices\": [{\"kind\": \"core\", \"count\": 4}], \"link\": {\"bytes_per_second\": "         \
    "1e20}}]}"
#define APART                                                                                      \
    "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": [{\"name\": \"h200\", "         \
    "\"costs\": \"h200\"}], \"nodes\": [{\"name\": \"node\", \"devices\": [{\"kind\": "            \
    "\"h200\", \"count\": 2}]}]}"

#define TINY  "--layers 4 --hidden 32 --heads 2 --batch 4 --sequence 32 --task-seconds 0 --quiet "
#define CARDS "simulate --platform 8-cards " TINY
/* Micro-batches as long as 4 stages of 8 blocks each make them: ends of the model count little. */
#define LONG                                                                                       \
    "simulate --platform @even.json --layers 32 --hidden 512 --batch 8 --sequence 64 "             \
    "--task-seconds 0 --json "

static int set_up(void)
{
    setenv("PALOMBE_DATA_DIR", plb_test_source("data"), 1);
    return 0;
}

/* What was found for a policy. */
static json_t *trial(json_t *root, const char *policy)
{
    json_t *list = json_object_get(root, "policies");

    for (size_t k = 0; k < json_array_size(list); k++)
        if (strcmp(text_of(json_array_get(list, k), "policy"), policy) == 0)
            return json_array_get(list, k);
    PLB_CHECK(policy == NULL);
    return NULL;
}

/* ---- figures ---- */

/* Stages of a model are not quite alike (the first has an embedding, the last a loss), so the
 * published figures are met to some points; tests/schedulers/parallel has them exactly. */
static void bubbles_are_near_the_published_ones(void)
{
    double fused, split, zero, greedy;
    json_t *root;

    plb_test_write_file(plb_test_tmp("even.json"), EVEN, strlen(EVEN));
    root = palombe_json(LONG "--parallel 1f1b,1f1b-split,zb-h1,zb-greedy");
    fused = number(trial(root, "1f1b"), "bubble");
    split = number(trial(root, "1f1b-split"), "bubble");
    zero = number(trial(root, "zb-h1"), "bubble");
    greedy = number(trial(root, "zb-greedy"), "bubble");
    PLB_CHECK_NEAR(fused, 3.0 / 11.0, 0.02);
    PLB_CHECK_NEAR(split, 0.2, 0.02);
    PLB_CHECK_NEAR(zero, 3.0 / 27.0, 0.03);
    PLB_CHECK(zero < split && split < fused && greedy <= split);
    json_decref(root);
}

static void the_same_figures_each_time(void)
{
    json_t *first = palombe_json(CARDS "--parallel 1f1b,gpipe --json");
    json_t *again = palombe_json(CARDS "--parallel 1f1b,gpipe --json");

    for (size_t k = 0; k < 2; k++) {
        json_t *a = json_array_get(json_object_get(first, "policies"), k);
        json_t *b = json_array_get(json_object_get(again, "policies"), k);

        PLB_CHECK(number(a, "seconds") > 0.0 && number(a, "seconds") == number(b, "seconds"));
        PLB_CHECK(number(a, "bubble") == number(b, "bubble"));
        PLB_CHECK(json_equal(json_object_get(a, "places"), json_object_get(b, "places")));
    }
    json_decref(first);
    json_decref(again);
}

static void what_is_sent_is_received(void)
{
    json_t *root = palombe_json(CARDS "--parallel 1f1b --json");
    json_t *pipeline = trial(root, "1f1b"), *places = json_object_get(pipeline, "places");
    double sent = 0.0, received = 0.0, peak = 0.0;

    PLB_CHECK_EQ(json_array_size(places), 8);
    for (size_t k = 0; k < json_array_size(places); k++) {
        json_t *place = json_array_get(places, k);

        sent += number(place, "sent_bytes");
        received += number(place, "received_bytes");
        if (number(place, "peak_bytes") > peak)
            peak = number(place, "peak_bytes");
    }
    PLB_CHECK(sent > 0.0 && sent == received && sent == number(pipeline, "sent_bytes"));
    PLB_CHECK(peak == number(pipeline, "peak_bytes"));
    PLB_CHECK_STRING(text_of(json_array_get(places, 7), "place"), "node/h200.7");
    PLB_CHECK_EQ((int)number(root, "micro_batches"), 4);
    PLB_CHECK(number(pipeline, "samples_per_second") * number(pipeline, "seconds") > 127.9);
    json_decref(root);
}

static void slow_links_take_their_time(void)
{
    json_t *near = palombe_json(CARDS "--parallel 1f1b --stages 8 --json");
    json_t *far =
        palombe_json("simulate --platform 4-sites " TINY "--parallel 1f1b --stages 16 --json");

    PLB_CHECK(number(trial(far, "1f1b"), "seconds") >
              10.0 * number(trial(near, "1f1b"), "seconds"));
    json_decref(near);
    json_decref(far);
}

/* ---- memory ---- */

static void memory_policies_plan_each_place(void)
{
    json_t *all = palombe_json(CARDS "--parallel gpipe --stages 4 --replicas 2 --json");
    json_t *less =
        palombe_json(CARDS "--parallel gpipe --stages 4 --replicas 2 --memory block --json");
    json_t *gpipe = trial(less, "gpipe");

    PLB_CHECK_STRING(text_of(less, "memory_policy"), "block");
    PLB_CHECK(number(gpipe, "again_seconds") > 0.0);
    PLB_CHECK(number(trial(all, "gpipe"), "again_seconds") == 0.0);
    PLB_CHECK(number(gpipe, "seconds") > number(trial(all, "gpipe"), "seconds"));
    json_decref(all);
    json_decref(less);
}

static void a_budget_that_is_too_small_names_the_place(void)
{
    refuse(CARDS "--parallel 1f1b --memory-budget 100kB", 1, "node/h200.0: the plan takes");
    refuse(CARDS "--parallel 1f1b --memory-budget 200GiB", 1,
           "a memory budget of 200.0 GiB is more than the 131.3 GiB that node/h200.0 has");
    refuse(CARDS "--parallel 1f1b --memory starpu", 1, "policy 'starpu' plans nothing");
}

/* ---- a graph for auto ---- */

/* The policies that were asked with it keep theirs. */
static void auto_has_a_graph_of_its_own(void)
{
    json_t *chosen = palombe_json("simulate --platform laptop-2 " TINY "--parallel dp,auto --json");
    json_t *given = palombe_json("simulate --platform laptop-2 " TINY
                                 "--parallel dp,auto --micro-batches 4 --tensor 1 --json");
    json_t *graph = json_object_get(trial(chosen, "auto"), "chosen");
    struct plb_test_output output = palombe("simulate --platform laptop-2 " TINY "--parallel auto");
    int micro_batches;

    PLB_REQUIRE(json_is_object(graph));
    micro_batches = (int)number(graph, "micro_batches");
    PLB_CHECK(micro_batches == 1 || micro_batches == 2 || micro_batches == 4);
    PLB_CHECK(number(trial(chosen, "auto"), "seconds") < number(trial(given, "auto"), "seconds"));
    PLB_CHECK(number(trial(chosen, "dp"), "seconds") == number(trial(given, "dp"), "seconds"));
    PLB_CHECK(json_is_null(json_object_get(trial(chosen, "dp"), "chosen")));
    PLB_CHECK(json_is_null(json_object_get(trial(given, "auto"), "chosen")));
    PLB_CHECK_EQ((int)number(chosen, "micro_batches"), 4);
    PLB_CHECK_CONTAINS(output.out, "\nauto: ");
    PLB_CHECK_CONTAINS(output.out, "; planned as ");
    plb_test_output_free(&output);
    json_decref(chosen);
    json_decref(given);
}

/* ---- what is shown ---- */

static void one_row_for_each_policy(void)
{
    struct plb_test_output output = palombe(CARDS "--parallel 1f1b,tp,zb-h1");

    PLB_CHECK_EQ(output.status, 0);
    PLB_CHECK_CONTAINS(output.out, "on 8-cards: 8 places, 480 TFLOPS together");
    PLB_CHECK_CONTAINS(output.out, "\n1f1b        ");
    PLB_CHECK_CONTAINS(output.out, "\nzb-h1       ");
    PLB_CHECK_CONTAINS(output.out, "the graph is not divided into shards");
    plb_test_output_free(&output);
    output = palombe(CARDS "--parallel 1f1b");
    PLB_CHECK_CONTAINS(output.out, "\nnode/h200.7 "); /* of one policy also its places */
    plb_test_output_free(&output);
}

static void the_picture_has_all_policies(void)
{
    struct plb_test_output output = palombe(CARDS "--parallel 1f1b,zb-v --out @steps.svg");
    char *text = plb_test_read_file(plb_test_tmp("steps.svg"), NULL);

    PLB_CHECK_EQ(output.status, 0);
    PLB_REQUIRE(text != NULL);
    PLB_CHECK_CONTAINS(text, "1f1b: a step takes");
    PLB_CHECK_CONTAINS(text, "zb-v: a step takes");
    PLB_CHECK_CONTAINS(text, "h200.7");
    PLB_CHECK_CONTAINS(text, "gradient of weights");
    PLB_CHECK_CONTAINS(text, "</svg>");
    free(text);
    plb_test_output_free(&output);
}

/* ---- sizes of tasks ---- */

static void small_tasks_cost_the_host_more(void)
{
    json_t *root = palombe_json("plan --granularity --platform laptop-2 " TINY "--json");
    json_t *rows = json_object_get(root, "rows"), *orders = json_object_get(root, "orders");
    size_t n = json_array_size(rows);
    double host = 0.0;

    PLB_REQUIRE(n > 1);
    for (size_t k = 0; k < n; k++) {
        json_t *row = json_array_get(rows, k);
        bool first = k == 0 || number(row, "micro_batches") !=
                                   number(json_array_get(rows, k - 1), "micro_batches");

        PLB_CHECK(first || number(row, "host_share") >= host);
        host = number(row, "host_share");
        PLB_CHECK(number(row, "seconds") >=
                  number(json_array_get(rows, (size_t)number(root, "best")), "seconds"));
    }
    PLB_CHECK(number(json_array_get(orders, 0), "before") == 1.0); /* without noise */
    json_decref(root);
}

static void sizes_are_a_table_and_a_picture(void)
{
    struct plb_test_output output =
        palombe("plan --granularity --platform laptop-2 " TINY "--out @sizes.svg");
    char *text = plb_test_read_file(plb_test_tmp("sizes.svg"), NULL);

    PLB_CHECK_EQ(output.status, 0);
    PLB_CHECK_CONTAINS(output.out, "<- best");
    PLB_CHECK_CONTAINS(output.out, "before the run  micro-batches");
    PLB_CHECK_CONTAINS(text, "order found during it");
    free(text);
    plb_test_output_free(&output);
    refuse("plan --granularity " TINY "--out sizes.json", 1, "ends in .svg");
    refuse("plan " TINY "--platform laptop-2", 1, "--platform is for --granularity here");
}

/* ---- what is refused ---- */

static void wrong_platforms(void)
{
    plb_test_write_file(plb_test_tmp("apart.json"), APART, strlen(APART));
    refuse("simulate " TINY, 1, "--platform is missing");
    refuse("simulate " TINY "--platform abacus", 1, "platforms: 'abacus' is not known");
    refuse("simulate " TINY "--platform @nowhere.json", 1, "nowhere.json");
    refuse("simulate " TINY "--platform @apart.json", 1,
           "no link joins 'node/h200.0' and 'node/h200.1'");
}

static void wrong_policies(void)
{
    refuse(CARDS "--parallel psychic", 1, "unknown parallel policy 'psychic'; known are: none");
    refuse(CARDS "--parallel 1f1b,", 1, "policies separated by commas");
    refuse(CARDS "--out steps.png", 1, "ends in .svg");
}

static void wrong_degrees(void)
{
    refuse(CARDS "--parallel 1f1b --stages 9", 1, "9 stages");
    refuse(CARDS "--parallel 1f1b --replicas 3", 1, "3 replicas");
    refuse(CARDS "--micro-batches 3", 1, "batch 4 cannot be divided into 3 micro-batches");
    refuse(CARDS "--tensor 4", 1, "they have 2 heads");
    refuse("simulate --platform 1024-cards " TINY "--parallel 1f1b --stages 1024", 1,
           "more than the 52 layers");
}

PLB_TEST_MAIN("frontends/cli/simulate", set_up, NULL, PLB_TEST(bubbles_are_near_the_published_ones),
              PLB_TEST(the_same_figures_each_time), PLB_TEST(what_is_sent_is_received),
              PLB_TEST(slow_links_take_their_time), PLB_TEST(memory_policies_plan_each_place),
              PLB_TEST(a_budget_that_is_too_small_names_the_place),
              PLB_TEST(auto_has_a_graph_of_its_own), PLB_TEST(one_row_for_each_policy),
              PLB_TEST(the_picture_has_all_policies),
              PLB_TEST(small_tasks_cost_the_host_more), PLB_TEST(sizes_are_a_table_and_a_picture),
              PLB_TEST(wrong_platforms), PLB_TEST(wrong_policies), PLB_TEST(wrong_degrees))
