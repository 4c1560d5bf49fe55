/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps whose values go to disk and back, or are made again, have the bits of steps that keep
 * everything: plans written by hand, one and two workers, several of StarPU's policies, many steps
 * in flight.
 */
#include "config.h"

#include "runtime/run/device.h"
#include "runtime/run/ledger.h"
#include "runtime/run/timeline.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 5, SHAPES = 3 };

static bool start(const char *scheduler, int workers)
{
    const struct plb_runtime_options options = {.workers = workers, .device = "cpu"};

    setenv("STARPU_SCHED", scheduler, 1);
    PLB_CHECK_EQ(plb_runtime_start(&options), PLB_OK);
    return plb_runtime_workers() == workers;
}

static struct random_options graph_of(int number)
{
    const struct random_options options = {
        .seed = 11u + (unsigned)number, .shape = (enum random_shape)(number % SHAPES), .blocks = 4};

    return options;
}

/* What all else is compared with: none, everything in one order. */
static uint64_t expected(int number)
{
    static uint64_t hash[SHAPES];
    const struct random_options random = graph_of(number);
    const struct plb_session_options options = {.memory_policy = "none"};
    struct steps s;

    if (hash[number])
        return hash[number];
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    hash[number] = steps_hash(&s);
    steps_clear(&s);
    return hash[number];
}

/* A session on a plan by hand; the plan is made with the graph of another session. */
static enum plb_status make_by_hand(int number, enum plb_tier tier, uint32_t ahead,
                                    struct steps *steps_out)
{
    const struct random_options random = graph_of(number);
    struct plb_session_options options = {.memory_policy = "none"};
    char path[512], name[600];
    struct steps plain;
    enum plb_status status;

    snprintf(path, sizeof path, "%s", plb_test_tmp("by-hand.json"));
    PLB_TRY(steps_make(&random, &options, &plain));
    status = steps_write_plan(&plain, tier, ahead, path);
    steps_clear(&plain);
    if (status != PLB_OK)
        return status;
    snprintf(name, sizeof name, "replay:%s", path);
    options.memory_policy = name;
    options.offload_dir = plb_test_tmpdir();
    return steps_make(&random, &options, steps_out);
}

/* The hash of what a plan by hand leaves. */
static uint64_t run_by_hand(int number, enum plb_tier tier, uint32_t ahead)
{
    struct plb_session_info info;
    uint64_t hash;
    struct steps s;
    enum plb_status status = make_by_hand(number, tier, ahead, &s);

    if (status != PLB_OK)
        fprintf(stderr, "graph %d: %s\n", number, plb_error_message());
    PLB_CHECK_EQ(status, PLB_OK);
    if (status != PLB_OK)
        return 0;
    plb_session_get_info(s.session, &info);
    PLB_CHECK(info.again_tasks > 0);
    PLB_CHECK(info.moved_out[tier] > 0);
    PLB_CHECK(info.moved_in[tier] >= info.moved_out[tier]);
    PLB_CHECK(info.arena[tier] > 0);
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    hash = steps_hash(&s);
    steps_clear(&s);
    return hash;
}

/* A card that is not there: its memory is another one, and main memory and disk are behind links.
 * It must be the first device of a process. */
static void bits_are_kept_on_a_card(void)
{
    const struct plb_runtime_options options = {.device = "virtual:32MiB"};
    uint64_t host[SHAPES], disk[SHAPES];
    struct plb_ledger ledger;
    enum plb_status status = plb_runtime_start(&options);

    if (status == PLB_ERROR_UNAVAILABLE) {
        fprintf(stderr, "left out: %s\n", plb_error_message());
        return;
    }
    PLB_REQUIRE(status == PLB_OK);
    for (int number = 0; number < SHAPES; number++) {
        host[number] = run_by_hand(number, PLB_HOST, (uint32_t)(number * 4));
        disk[number] = run_by_hand(number, PLB_DISK, (uint32_t)(number * 4));
    }
    plb_ledger_get(plb_runtime_device()->ledger, &ledger);
    PLB_CHECK(ledger.peak_total > 0 && ledger.peak_total <= (size_t)32 << 20);
    plb_runtime_stop();
    PLB_REQUIRE(start("lws", 2));
    for (int number = 0; number < SHAPES; number++) {
        PLB_CHECK(host[number] == expected(number));
        PLB_CHECK(disk[number] == expected(number));
    }
    plb_runtime_stop();
}

static void bits_are_kept(void)
{
    static const char *const schedulers[] = {"lws", "eager", "dmda"};

    for (int k = 0; k < 3; k++) {
        PLB_REQUIRE(start(schedulers[k], k == 1 ? 1 : 2));
        for (int number = 0; number < SHAPES; number++)
            PLB_CHECK(run_by_hand(number, PLB_DISK, (uint32_t)(number * 4)) == expected(number));
        plb_runtime_stop();
    }
}

/* A single worker runs a plan in its order, where nothing is waited for but other tasks. */
static void one_worker_follows_the_plan(void)
{
    const struct random_options random = graph_of(2);
    const struct plb_session_options options = {.memory_policy = "none"};
    const struct plb_trace_record *record;
    uint32_t n = 0, turns = 0;
    struct steps s;

    PLB_REQUIRE(start("lws", 1));
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    plb_session_trace(s.session, true);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_get_trace(s.session, &record, &n), PLB_OK);
    for (uint32_t k = 1; k < n; k++)
        turns += record[k].start < record[k - 1].start;
    PLB_CHECK(n > 100);
    PLB_CHECK_EQ(turns, 0);
    steps_clear(&s);
    plb_runtime_stop();
}

/* Moves are in the trace, in their lanes of the timeline, and among the costs. */
static void moves_are_seen(void)
{
    const struct plb_trace_record *record;
    uint32_t n = 0, moves = 0;
    char *svg = NULL, *perfetto = NULL;
    struct steps s;

    PLB_REQUIRE(start("lws", 2));
    PLB_REQUIRE(make_by_hand(0, PLB_DISK, 3, &s) == PLB_OK);
    plb_session_trace(s.session, true);
    PLB_CHECK_EQ(steps_submit(&s, 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_get_trace(s.session, &record, &n), PLB_OK);
    for (uint32_t k = 0; k < n; k++) {
        PLB_CHECK(record[k].start >= 0.0 && record[k].end >= record[k].start);
        PLB_CHECK_EQ(record[k].worker < 0, record[k].code != PLB_RUN);
        PLB_CHECK_EQ(record[k].task == PLB_NONE, record[k].code != PLB_RUN);
        moves += record[k].code != PLB_RUN && record[k].tier == PLB_DISK;
    }
    PLB_CHECK(moves > 0);
    PLB_CHECK_EQ(plb_timeline_svg(s.session, "moves", &svg), PLB_OK);
    PLB_CHECK_CONTAINS(svg, "to disk");
    PLB_CHECK_CONTAINS(svg, "from disk");
    PLB_CHECK_EQ(plb_timeline_perfetto(s.session, &perfetto), PLB_OK);
    PLB_CHECK_CONTAINS(perfetto, "to disk");
    PLB_CHECK(plb_costs_keys(plb_session_costs(s.session)) > 0);
    free(svg);
    free(perfetto);
    steps_clear(&s);
    plb_runtime_stop();
}

/* What the session says it holds is what the ledger has. */
static void memory_is_counted(void)
{
    struct plb_session_info info;
    struct plb_ledger ledger;
    struct steps s;

    PLB_REQUIRE(start("lws", 2));
    PLB_REQUIRE(make_by_hand(1, PLB_DISK, 2, &s) == PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, 3), PLB_OK);
    steps_hash(&s);
    plb_session_get_info(s.session, &info);
    plb_ledger_get(0, &ledger);
    PLB_CHECK_EQ(ledger.now_total, info.planned_bytes);
    PLB_CHECK_EQ(info.planned_bytes,
                 info.persistent_bytes + info.transient_bytes + info.scratch_bytes);
    steps_clear(&s);
    plb_ledger_get(0, &ledger);
    PLB_CHECK_EQ(ledger.now_total, ledger.now[PLB_ACCOUNT_SCRATCH]);
    plb_runtime_stop();
}

PLB_TEST_MAIN("runtime/run/offload", NULL, NULL, PLB_TEST(bits_are_kept_on_a_card),
              PLB_TEST(bits_are_kept), PLB_TEST(one_worker_follows_the_plan),
              PLB_TEST(moves_are_seen), PLB_TEST(memory_is_counted))
