/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Costs: medians that one bad sample does not move, the model of what was not measured, links from
 * transfers, and files: what comes back, what is refused and with which words.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/graph/cut.h"
#include "runtime/plan/costs.h"
#include "tests/support/plb_test.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POISON 1e3

static plb_costs_t *new_costs(void)
{
    struct plb_platform platform = plb_platform_nominal(2);
    plb_costs_t *costs = NULL;

    PLB_CHECK_EQ(plb_costs_create(&platform, &costs), PLB_OK);
    return costs;
}

/* ---- samples ---- */

static void one_poisoned_sample_counts_nothing(void)
{
    plb_costs_t *costs = new_costs();

    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 7), 0, 0);
    plb_costs_record(costs, "linear", 7, 2e-3);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 7), 2e-3, 0);
    plb_costs_record(costs, "linear", 7, POISON); /* of two the lower */
    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 7), 2e-3, 0);
    plb_costs_record(costs, "linear", 7, 3e-3);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 7), 3e-3, 0);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 8), 0, 0);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "gelu", 7), 0, 0);
    plb_costs_destroy(costs);
}

static void the_latest_samples_count(void)
{
    plb_costs_t *costs = new_costs();

    for (int k = 0; k < 100; k++)
        plb_costs_record(costs, "add", 1, 1.0);
    for (int k = 0; k < 8; k++)
        plb_costs_record(costs, "add", 1, 2.0);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "add", 1), 2.0, 0); /* 8 of the latest 15 */
    PLB_CHECK_EQ(plb_costs_keys(costs), 1);
    plb_costs_destroy(costs);
}

static void what_is_no_time_is_refused(void)
{
    const double refused[] = {0, -1, NAN, INFINITY, -INFINITY, 1e7};
    char name[65];
    plb_costs_t *costs = new_costs();

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t k = 0; k < sizeof refused / sizeof refused[0]; k++) {
        plb_costs_record(costs, "add", 1, refused[k]);
        plb_costs_record_transfer(costs, PLB_DISK, true, 100, refused[k]);
    }
    plb_costs_record(costs, "", 1, 1.0);
    plb_costs_record(costs, name, 1, 1.0);
    for (int k = 0; k < 5; k++) {
        plb_costs_record_transfer(costs, PLB_DEVICE, true, 100, 1.0);
        plb_costs_record_transfer(costs, PLB_TIERS, true, 100, 1.0);
        plb_costs_record_transfer(costs, PLB_DISK, true, 0, 1.0);
    }
    PLB_CHECK_EQ(plb_costs_keys(costs), 0);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_DISK].out_bytes_per_second, 1e9, 0);
    plb_costs_destroy(costs);
}

static void many_keys_are_found_again(void)
{
    enum { KEYS = 5000 };
    plb_costs_t *costs = new_costs();
    int wrong = 0;

    for (uint32_t k = 0; k < KEYS; k++)
        plb_costs_record(costs, k % 2 ? "linear" : "gelu", k / 2 * 64, 1e-6 * (k + 1));
    PLB_CHECK_EQ(plb_costs_keys(costs), KEYS);
    for (uint32_t k = 0; k < KEYS; k++)
        wrong += fabs(plb_costs_measured(costs, k % 2 ? "linear" : "gelu", k / 2 * 64) -
                      1e-6 * (k + 1)) > 0;
    PLB_CHECK_EQ(wrong, 0);
    plb_costs_destroy(costs);
}

#define THREADS 4
#define SAMPLES 5000

static void *record_many(void *argument)
{
    for (uint32_t k = 0; k < SAMPLES; k++) {
        plb_costs_record(argument, "add", k % 300, 1e-3);
        plb_costs_record_transfer(argument, PLB_DISK, k % 2, 1000 << k % 3, 1e-3);
    }
    return NULL;
}

static void threads_record_at_once(void)
{
    plb_costs_t *costs = new_costs();
    pthread_t thread[THREADS];

    for (int k = 0; k < THREADS; k++)
        PLB_REQUIRE(pthread_create(&thread[k], NULL, record_many, costs) == 0);
    for (int k = 0; k < 100; k++)
        PLB_CHECK(plb_costs_platform(costs)->link[PLB_DISK].out_bytes_per_second > 0);
    for (int k = 0; k < THREADS; k++)
        pthread_join(thread[k], NULL);
    PLB_CHECK_EQ(plb_costs_keys(costs), 300);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "add", 299), 1e-3, 0);
    plb_costs_destroy(costs);
}

/* ---- tasks of a graph ---- */

struct example {
    plb_graph_t *graph;
    plb_task_id linear, gelu, cast, again;
};

/* y = gelu(x w^T), once in f32 and once more from what a cast made. */
static struct example make_example(void)
{
    plb_graph_t *g = plb_graph_create();
    plb_value x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_BF16, plb_shape2(64, 32));
    plb_value w = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_BF16, plb_shape2(128, 32));
    plb_value y = plb_linear(g, x, w, PLB_NONE), f, a, b;
    struct example e = {.graph = g, .linear = plb_graph_value(g, y)->producer};

    f = plb_cast(g, y, PLB_F32);
    a = plb_gelu(g, f, PLB_GELU_ERF);
    b = plb_gelu(g, a, PLB_GELU_ERF);
    plb_graph_output(g, b);
    e.cast = plb_graph_value(g, f)->producer;
    e.gelu = plb_graph_value(g, a)->producer;
    e.again = plb_graph_value(g, b)->producer;
    PLB_CHECK_EQ(plb_graph_status(g), PLB_OK);
    return e;
}

static void footprints_follow_types(void)
{
    struct example e = make_example();
    uint32_t gelu = plb_task_footprint(e.graph, plb_graph_task(e.graph, e.gelu));

    PLB_CHECK_EQ(gelu, plb_task_footprint(e.graph, plb_graph_task(e.graph, e.again)));
    PLB_CHECK(gelu != plb_task_footprint(e.graph, plb_graph_task(e.graph, e.cast)));
    PLB_CHECK(gelu != plb_task_footprint(e.graph, plb_graph_task(e.graph, e.linear)));
    plb_graph_destroy(e.graph);
}

static void what_was_not_measured_is_modelled(void)
{
    const double flops = 2.0 * 64 * 32 * 128;
    struct example e = make_example();
    struct plb_platform platform = plb_platform_nominal(1);
    double seconds[8];
    uint32_t measured = 99;
    plb_costs_t *costs = NULL;

    PLB_REQUIRE(plb_graph_tasks(e.graph) <= 8);
    platform.flops_per_second[PLB_F32] = 1e6; /* slow: flops decide everywhere */
    platform.flops_per_second[PLB_BF16] = 2e6;
    platform.bytes_per_second = 1e12;
    platform.task_seconds = 0.5;
    PLB_CHECK_EQ(plb_costs_create(&platform, &costs), PLB_OK);
    PLB_CHECK_EQ(plb_costs_of_graph(costs, e.graph, seconds, &measured), PLB_OK);
    PLB_CHECK_EQ(measured, 0);
    PLB_CHECK_NEAR(seconds[e.linear], flops / 2e6 + 0.5, 1e-9);
    PLB_CHECK_NEAR(seconds[e.gelu], seconds[e.again], 0);
    PLB_CHECK_NEAR(plb_task_modelled_seconds(&platform, e.graph, plb_graph_task(e.graph, e.gelu)),
                   seconds[e.gelu], 0);

    platform.flops_per_second[PLB_BF16] = 0; /* then the rate of f32 */
    PLB_CHECK_EQ(plb_costs_set_platform(costs, &platform), PLB_OK);
    PLB_CHECK_EQ(plb_costs_of_graph(costs, e.graph, seconds, NULL), PLB_OK);
    PLB_CHECK_NEAR(seconds[e.linear], flops / 1e6 + 0.5, 1e-9);

    platform.bytes_per_second = 1; /* now bytes decide: x and w are read, y is written */
    PLB_CHECK_EQ(plb_costs_set_platform(costs, &platform), PLB_OK);
    PLB_CHECK_EQ(plb_costs_of_graph(costs, e.graph, seconds, NULL), PLB_OK);
    PLB_CHECK_NEAR(seconds[e.linear], 2 * (64 * 32 + 128 * 32 + 64 * 128) + 0.5, 1e-9);

    plb_costs_record(costs, "gelu", plb_task_footprint(e.graph, plb_graph_task(e.graph, e.gelu)),
                     0.25);
    PLB_CHECK_EQ(plb_costs_of_graph(costs, e.graph, seconds, &measured), PLB_OK);
    PLB_CHECK_EQ(measured, 2); /* both are the same task */
    PLB_CHECK_NEAR(seconds[e.again], 0.75, 1e-12);
    plb_costs_destroy(costs);
    plb_graph_destroy(e.graph);
}

/* Without costs times are what the cut assumes. */
static void nominal_times_need_no_table(void)
{
    struct example e = make_example();
    struct plb_cost cost;
    double seconds[8];

    PLB_CHECK_EQ(plb_costs_of_graph(NULL, e.graph, seconds, NULL), PLB_OK);
    plb_task_get_cost(e.graph, plb_graph_task(e.graph, e.linear), &cost);
    PLB_CHECK_NEAR(
        seconds[e.linear] - plb_platform_nominal(1).task_seconds,
        fmax(cost.flops / PLB_NOMINAL_FLOPS_PER_SECOND, cost.bytes / PLB_NOMINAL_BYTES_PER_SECOND),
        1e-15);
    plb_graph_destroy(e.graph);
}

static void platforms_without_sense_are_refused(void)
{
    struct plb_platform good = plb_platform_nominal(1), bad;
    plb_costs_t *costs = NULL;

    PLB_CHECK_EQ(plb_platform_check(&good), PLB_OK);
    bad = good;
    bad.workers = 0;
    PLB_CHECK_EQ(plb_costs_create(&bad, &costs), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'nominal' has 0 workers");
    bad = good;
    bad.flops_per_second[PLB_F32] = 0;
    PLB_CHECK_EQ(plb_platform_check(&bad), PLB_ERROR_INVALID);
    bad = good;
    bad.bytes_per_second = NAN;
    PLB_CHECK_EQ(plb_platform_check(&bad), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "rate of bytes is nan");
    bad = good;
    bad.link[PLB_HOST].in_bytes_per_second = -1;
    PLB_CHECK_EQ(plb_platform_check(&bad), PLB_ERROR_INVALID);
    bad = good;
    memset(bad.name, 'x', sizeof bad.name);
    PLB_CHECK_EQ(plb_platform_check(&bad), PLB_ERROR_INVALID);
    strcpy(bad.name, "a\nb");
    PLB_CHECK_EQ(plb_platform_check(&bad), PLB_ERROR_INVALID);
    bad.name[0] = '\0';
    PLB_CHECK_EQ(plb_platform_check(&bad), PLB_ERROR_INVALID);
    PLB_CHECK(costs == NULL);
}

/* ---- links ---- */

#define LATENCY 2e-5
#define RATE    3e9

static double transfer_seconds(size_t bytes)
{
    return LATENCY + (double)bytes / RATE;
}

static void a_link_is_found_from_its_transfers(void)
{
    plb_costs_t *costs = new_costs();
    const struct plb_platform *platform = plb_costs_platform(costs);

    for (size_t k = 0; k < 12; k++) {
        size_t bytes = (size_t)4096 << k;

        plb_costs_record_transfer(costs, PLB_HOST, true, bytes, transfer_seconds(bytes));
        plb_costs_record_transfer(costs, PLB_HOST, false, bytes, 2 * transfer_seconds(bytes));
    }
    for (size_t k = 0; k < 3; k++) /* a fifth of the samples is nonsense */
        plb_costs_record_transfer(costs, PLB_HOST, true, 4096, POISON);
    PLB_CHECK(plb_costs_platform(costs) == platform);
    PLB_CHECK_NEAR(platform->link[PLB_HOST].out_bytes_per_second, RATE, 0.1 * RATE);
    PLB_CHECK_NEAR(platform->link[PLB_HOST].in_bytes_per_second, RATE / 2, 1e-6 * RATE);
    PLB_CHECK_NEAR(platform->link[PLB_HOST].latency_seconds, 2 * LATENCY, 1e-9); /* the greater */
    PLB_CHECK_NEAR(platform->link[PLB_DISK].out_bytes_per_second, 1e9, 0);       /* no samples */
    plb_costs_destroy(costs);
}

/* Threads wake late: by as much for the many small transfers as for the few large ones. */
static void small_transfers_do_not_hide_the_rate(void)
{
    plb_costs_t *costs = new_costs();
    double found;

    for (size_t k = 0; k < 64; k++) {
        size_t bytes = k % 8 == 0 ? (size_t)1 << 20 : (size_t)2048 << k % 4;
        double late = 5e-5 * (double)(k * 7 % 10) / 10;

        plb_costs_record_transfer(costs, PLB_HOST, true, bytes, transfer_seconds(bytes) + late);
    }
    found = plb_costs_platform(costs)->link[PLB_HOST].out_bytes_per_second;
    PLB_CHECK_NEAR(found, RATE, 0.05 * RATE);
    plb_costs_destroy(costs);
}

static void one_size_tells_the_rate_alone(void)
{
    struct plb_platform platform = plb_platform_nominal(1);
    plb_costs_t *costs = NULL;

    platform.link[PLB_DISK].latency_seconds = LATENCY;
    PLB_CHECK_EQ(plb_costs_create(&platform, &costs), PLB_OK);
    for (int k = 0; k < 2; k++)
        plb_costs_record_transfer(costs, PLB_DISK, false, 1 << 20, transfer_seconds(1 << 20));
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_DISK].in_bytes_per_second, 1e9, 0);
    plb_costs_record_transfer(costs, PLB_DISK, false, 1 << 20, POISON);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_DISK].in_bytes_per_second, RATE, 1);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_DISK].latency_seconds, LATENCY, 0);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_DISK].out_bytes_per_second, 1e9, 0);
    plb_costs_destroy(costs);
}

static void transfers_take_latency_and_bytes(void)
{
    struct plb_platform platform = plb_platform_nominal(1);

    platform.link[PLB_HOST] = (struct plb_link){100, 50, 0.5, true};
    PLB_CHECK_NEAR(plb_transfer_seconds(&platform, PLB_HOST, true, 200), 2.5, 1e-12);
    PLB_CHECK_NEAR(plb_transfer_seconds(&platform, PLB_HOST, false, 200), 4.5, 1e-12);
    platform.link[PLB_HOST].in_bytes_per_second = 0;
    PLB_CHECK(plb_transfer_seconds(&platform, PLB_HOST, false, 200) > DBL_MAX);
    PLB_CHECK(plb_transfer_seconds(&platform, PLB_DEVICE, false, 200) > DBL_MAX);
}

/* ---- files ---- */

static plb_costs_t *full_costs(void)
{
    struct plb_platform platform = plb_platform_nominal(3);
    plb_costs_t *costs = NULL;

    strcpy(platform.name, "a \"card\"");
    platform.bytes[PLB_DEVICE] = (size_t)141 << 30;
    platform.bytes[PLB_HOST] = SIZE_MAX;
    platform.bytes[PLB_DISK] = 0;
    platform.flops_per_second[PLB_BF16] = 7e14 / 3;
    platform.link[PLB_HOST] = (struct plb_link){5e10, 4.9e10 / 3, 1e-5, true};
    platform.link[PLB_DISK] = (struct plb_link){0};
    PLB_CHECK_EQ(plb_costs_create(&platform, &costs), PLB_OK);
    for (int k = 0; k < 40; k++) {
        plb_costs_record(costs, "linear", 4000000000u, 1e-3 / (k + 1));
        plb_costs_record(costs, "gelu", (uint32_t)k, 1e-4 * (k + 1));
        plb_costs_record_transfer(costs, PLB_HOST, k % 2, 1000u << k % 4, 1e-3 / (k + 1));
        plb_costs_record_added(costs, 1e-6 * (k + 1));
    }
    return costs;
}

/* What the runtime adds to a task is what was measured last, in the middle. */
static void what_is_added_is_measured(void)
{
    plb_costs_t *costs = new_costs();

    PLB_CHECK_NEAR(plb_costs_platform(costs)->task_seconds, plb_platform_nominal(1).task_seconds,
                   0);
    for (int k = 0; k < 9; k++)
        plb_costs_record_added(costs, k % 3 == 0 ? POISON : 7e-6);
    plb_costs_record_added(costs, -1.0);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->task_seconds, 7e-6, 0);
    plb_costs_destroy(costs);
}

static void samples_are_forgotten(void)
{
    plb_costs_t *costs = full_costs();

    plb_costs_forget(costs);
    PLB_CHECK_EQ(plb_costs_keys(costs), 0);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 4000000000u), 0, 0);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_HOST].in_bytes_per_second, 4.9e10 / 3, 1);
    plb_costs_record(costs, "linear", 4000000000u, 1e-3);
    PLB_CHECK_EQ(plb_costs_keys(costs), 1);
    PLB_CHECK_NEAR(plb_costs_measured(costs, "linear", 4000000000u), 1e-3, 0);
    plb_costs_destroy(costs);
}

/* What is kept of a number. */
#define DIGITS 1e-11

static void what_is_saved_is_loaded(void)
{
    plb_costs_t *costs = full_costs(), *loaded = NULL;
    char *first = NULL, *second = NULL;
    const char *path = plb_test_tmp("costs.json");
    const struct plb_platform *a, *b;

    PLB_CHECK_EQ(plb_costs_save(costs, path), PLB_OK);
    PLB_REQUIRE(plb_costs_load(path, &loaded) == PLB_OK);
    PLB_CHECK_EQ(plb_costs_to_json(costs, &first), PLB_OK);
    PLB_CHECK_EQ(plb_costs_to_json(loaded, &second), PLB_OK);
    PLB_CHECK_STRING(first, second);
    PLB_CHECK_EQ(plb_costs_keys(loaded), 41);
    PLB_CHECK_NEAR(plb_costs_measured(loaded, "linear", 4000000000u),
                   plb_costs_measured(costs, "linear", 4000000000u), DIGITS * 1e-3);
    a = plb_costs_platform(costs);
    b = plb_costs_platform(loaded);
    PLB_CHECK_STRING(b->name, "a \"card\"");
    PLB_CHECK_EQ(b->workers, 3);
    PLB_CHECK_MEMORY(b->bytes, a->bytes, sizeof a->bytes);
    for (int dtype = 0; dtype < PLB_DTYPES; dtype++)
        PLB_CHECK_NEAR(b->flops_per_second[dtype], a->flops_per_second[dtype],
                       DIGITS * a->flops_per_second[dtype]);
    PLB_CHECK_NEAR(b->link[PLB_HOST].in_bytes_per_second, a->link[PLB_HOST].in_bytes_per_second,
                   1e-6 * a->link[PLB_HOST].in_bytes_per_second); /* of rounded samples */
    PLB_CHECK_NEAR(b->link[PLB_HOST].latency_seconds, a->link[PLB_HOST].latency_seconds, 1e-9);
    PLB_CHECK_NEAR(b->task_seconds, a->task_seconds, DIGITS * 1e-3);
    PLB_CHECK(b->link[PLB_HOST].duplex);
    free(first);
    free(second);
    plb_costs_destroy(costs);
    plb_costs_destroy(loaded);
}

static void a_failed_save_leaves_the_old_file(void)
{
    plb_costs_t *costs = new_costs(), *loaded = NULL;

    PLB_CHECK_EQ(plb_costs_save(costs, plb_test_tmp("no/such/folder.json")), PLB_ERROR_IO);
    PLB_CHECK_EQ(plb_costs_load(plb_test_tmp("no/such/folder.json"), &loaded), PLB_ERROR_IO);
    PLB_CHECK(loaded == NULL);
    plb_costs_destroy(costs);
}

static void files_that_come_along_load_by_name(void)
{
    plb_costs_t *costs = NULL;

    setenv("PALOMBE_DATA_DIR", plb_test_source("data"), 1);
    PLB_REQUIRE(plb_costs_find("h200", &costs) == PLB_OK);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->flops_per_second[PLB_BF16], 700e12, 0);
    PLB_CHECK_NEAR(plb_costs_platform(costs)->link[PLB_HOST].in_bytes_per_second, 50e9, 0);
    PLB_CHECK_EQ(plb_costs_platform(costs)->bytes[PLB_DEVICE], 141000000000);
    plb_costs_destroy(costs);
    PLB_REQUIRE(plb_costs_find("laptop", &costs) == PLB_OK);
    PLB_CHECK_EQ(plb_costs_platform(costs)->bytes[PLB_HOST], 0);
    plb_costs_destroy(costs);
    PLB_REQUIRE(plb_costs_find(plb_test_source("data/costs/h200.json"), &costs) == PLB_OK);
    plb_costs_destroy(costs);
    costs = NULL;
    PLB_CHECK_EQ(plb_costs_find("h100", &costs), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "costs: 'h100' is not known");
    PLB_CHECK_CONTAINS(plb_error_message(), "has accelerator, h200, laptop");
    PLB_CHECK_EQ(plb_costs_find("", &costs), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_costs_find("./h200", &costs), PLB_ERROR_IO); /* a path */
    setenv("PALOMBE_DATA_DIR", plb_test_tmp("nothing"), 1);
    PLB_CHECK_EQ(plb_costs_find("h200", &costs), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "has none");
    unsetenv("PALOMBE_DATA_DIR");
    PLB_CHECK(costs == NULL);
}

/* A change of a right file, and what is said to it. */
static const struct change {
    const char *from, *to, *message;
} changes[] = {
    {"palombe costs", "palombe plan", "its format is \"palombe plan\", not \"palombe costs\""},
    {"\"version\": 1", "\"version\": 2", "version 2 of palombe costs, this program reads 1"},
    {"\"version\": 1,", "", "\"version\" is missing"},
    {"\"workers\": 3", "\"workers\": 0", "\"workers\" is 0, outside of 1 to 4096"},
    {"\"workers\": 3", "\"worker\": 3", "unknown member \"worker\""},
    {"\"workers\": 3", "\"workers\": 3, \"workers\": 3", "duplicate"},
    {"\"a \\\"card\\\"\"", "\"caf\xc3\xa9\"", "is not ASCII"},
    {"\"unlimited\"", "\"much\"", "\"host\" is \"much\", neither a number of bytes"},
    {"\"host\": \"unlimited\"", "\"host\": -1", "\"host\" is -1"},
    {"\"device\": 151397597184", "\"device\": 0", "the device has no memory"},
    {"\"disk\": 0", "\"disk\": 5", "there is disk memory, but no link to it"},
    {"\"f32\": 100000000000.0", "\"f32\": 1e400", "not valid JSON"},
    {"\"f32\": 100000000000.0", "\"f32\": 0", "\"f32\" is 0, outside of"},
    {"\"f32\": 100000000000.0", "\"f16\": 1e12", "unknown member \"f16\""},
    {"\"bytes_per_second\": 8000000000.0", "\"bytes_per_second\": \"8e9\"",
     "\"bytes_per_second\" must be a number"},
    {"\"duplex\": true", "\"duplex\": 1", "the link to host: \"duplex\""},
    {"\"out_bytes_per_second\": 50000000000.0,", "",
     "the link to host: \"out_bytes_per_second\" is missing"},
    {"\"footprint\":4000000000", "\"footprint\":4294967296", "tasks[40]: \"footprint\""},
    {"\"footprint\":3,", "", "tasks[3]: \"footprint\" is missing"},
    {"\"operator\":\"linear\"", "\"operator\":\"\"", "name has 0 bytes"},
    {"\"seconds\":[", "\"seconds\":[0,", "tasks[0]: sample 0 is not a number of seconds"},
    {"\"seconds\":[", "\"seconds\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,",
     "tasks[0]: \"seconds\" has 16 entries, more than 15"},
    {"{\"operator\":\"gelu\",\"footprint\":0", "7, {\"operator\":\"gelu\",\"footprint\":0",
     "tasks[0] is not an object"},
    {"\"tier\":\"host\"", "\"tier\":\"device\"", "transfers[0]: the tier is \"device\""},
    {"\"bytes\":1000,", "\"bytes\":0,", "transfers[0]: \"bytes\" is 0"},
    {"\"added_seconds\": [", "\"added_seconds\": [-1,",
     "\"added_seconds\" has 16 entries, more than 15"},
    {"\"tasks\": [", "\"tasks\": 5, \"task\": [", "unknown member \"task\""},
};

static void broken_files_are_refused(void)
{
    plb_costs_t *costs = full_costs(), *loaded = NULL;
    char *text = NULL, *changed = NULL, *at;

    PLB_REQUIRE(plb_costs_to_json(costs, &text) == PLB_OK);
    for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++) {
        const struct change *c = &changes[k];

        at = strstr(text, c->from);
        if (!at)
            fprintf(stderr, "not in the file: %s\n%s\n", c->from, text);
        PLB_REQUIRE(at != NULL);
        PLB_REQUIRE(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, c->to,
                             at + strlen(c->from)) > 0);
        PLB_CHECK_EQ(plb_costs_from_json(changed, strlen(changed), "FILE", &loaded),
                     PLB_ERROR_FORMAT);
        PLB_CHECK_CONTAINS(plb_error_message(), "FILE");
        PLB_CHECK_CONTAINS(plb_error_message(), c->message);
        PLB_CHECK(loaded == NULL);
        free(changed);
    }
    PLB_CHECK_EQ(plb_costs_from_json("", 0, "FILE", &loaded), PLB_ERROR_FORMAT);
    PLB_CHECK_EQ(plb_costs_from_json(text, strlen(text) - 4, "FILE", &loaded), PLB_ERROR_FORMAT);
    free(text);
    plb_costs_destroy(costs);
}

/* ---- memory ---- */

static void short_memory_is_told(void)
{
    plb_costs_t *costs = full_costs(), *loaded = NULL;
    char *text = NULL, *again = NULL;

    PLB_REQUIRE(plb_costs_to_json(costs, &text) == PLB_OK);
    for (long n = 1; plb_test_alloc_available(); n++) {
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = plb_costs_to_json(costs, &again);
        if (!plb_test_alloc_stop())
            break;
        if (status == PLB_OK) /* an allocation that could be done without */
            free(again);
        else
            PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
    free(again);
    plb_test_alloc_fail_at(1);
    PLB_CHECK_EQ(plb_costs_create(plb_costs_platform(costs), &loaded),
                 plb_test_alloc_available() ? PLB_ERROR_MEMORY : PLB_OK);
    plb_test_alloc_stop();
    plb_costs_destroy(loaded);
    free(text);
    plb_costs_destroy(costs);
}

PLB_TEST_MAIN("runtime/plan/costs", NULL, NULL, PLB_TEST(one_poisoned_sample_counts_nothing),
              PLB_TEST(the_latest_samples_count), PLB_TEST(what_is_no_time_is_refused),
              PLB_TEST(many_keys_are_found_again), PLB_TEST(threads_record_at_once),
              PLB_TEST(footprints_follow_types), PLB_TEST(what_was_not_measured_is_modelled),
              PLB_TEST(nominal_times_need_no_table), PLB_TEST(platforms_without_sense_are_refused),
              PLB_TEST(a_link_is_found_from_its_transfers),
              PLB_TEST(small_transfers_do_not_hide_the_rate),
              PLB_TEST(one_size_tells_the_rate_alone),
              PLB_TEST(transfers_take_latency_and_bytes), PLB_TEST(what_is_added_is_measured),
              PLB_TEST(samples_are_forgotten), PLB_TEST(what_is_saved_is_loaded),
              PLB_TEST(a_failed_save_leaves_the_old_file),
              PLB_TEST(files_that_come_along_load_by_name), PLB_TEST(broken_files_are_refused),
              PLB_TEST(short_memory_is_told))
