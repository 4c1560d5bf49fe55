/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk that cannot be had: no such directory, no room, a write that fails while steps run. The
 * run goes on with another plan, or stops with everything in the store as it was.
 */
#include "config.h"

#include "runtime/base/report.h"
#include "runtime/run/disk.h"
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STEPS = 6, MANY_STEPS = 40, TEXT_BYTES = 512 };

/* Files may not grow beyond this while a disk is to be full. */
#define FULL_BYTES ((rlim_t)64)

static const struct random_options graph = {
    .seed = 5, .shape = RANDOM_CHAIN, .blocks = 6, .width = 32, .batch = 4};

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

/* The soft limit on the size of files: low, so that writes fail, or what it was. What is printed
 * meanwhile may be lost, which does no harm. */
static void fill_disk(bool full)
{
    static struct rlimit before;
    struct rlimit limit;

    if (!full) {
        fflush(stderr);
        setrlimit(RLIMIT_FSIZE, &before);
        signal(SIGXFSZ, SIG_DFL);
        return;
    }
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = FULL_BYTES;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

static enum plb_status make(const char *policy, const char *directory, double share,
                            struct steps *steps_out)
{
    const struct plb_session_options options = {
        .memory_policy = policy,
        .offload_dir = directory,
        .budget = {.share = share},
        .drift = -1.0}; /* a look at costs would hold on to a program that is replaced */

    return steps_make(&graph, &options, steps_out);
}

static uint64_t expected(void)
{
    return steps_expected(&graph, STEPS);
}

/* The file itself. */
static void bytes_come_back(void)
{
    struct plb__disk disk;
    char out[3000], in[3000];

    memset(out, 7, sizeof out);
    PLB_REQUIRE(plb__disk_open(plb_test_tmpdir(), 10000, &disk) == PLB_OK);
    PLB_CHECK_EQ(plb__disk_write(&disk, 5000, out, sizeof out), PLB_OK);
    PLB_CHECK_EQ(plb__disk_read(&disk, 5000, in, sizeof in), PLB_OK);
    PLB_CHECK_MEMORY(in, out, sizeof in);
    PLB_CHECK_EQ(plb__disk_read(&disk, 9000, in, sizeof in), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "the file has ended");
    plb__disk_close(&disk);
    PLB_CHECK_EQ(plb__disk_open("/no/such/directory", 1, &disk), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "/no/such/directory");
    PLB_CHECK_EQ(plb__disk_free("/no/such/directory"), 0);
    PLB_CHECK(plb__disk_free(plb_test_tmpdir()) > 0);
}

static void the_directory_is_chosen(void)
{
    setenv("PALOMBE_OFFLOAD_DIR", "/one", 1);
    setenv("TMPDIR", "/two", 1);
    PLB_CHECK_STRING(plb__disk_directory("/given"), "/given");
    PLB_CHECK_STRING(plb__disk_directory(NULL), "/one");
    unsetenv("PALOMBE_OFFLOAD_DIR");
    PLB_CHECK_STRING(plb__disk_directory(NULL), "/two");
    unsetenv("TMPDIR");
    PLB_CHECK_STRING(plb__disk_directory(NULL), "/var/tmp");
}

/* The policy would move; it makes again instead. */
static void goes_on_without(const char *directory, bool full, const char *what)
{
    uint64_t wanted = expected();
    struct steps s;
    enum plb_status status;

    if (full)
        fill_disk(true);
    status = make("online", directory, 0.6, &s);
    if (full)
        fill_disk(false);
    if (status != PLB_OK)
        fprintf(stderr, "%s\n", plb_error_message());
    PLB_REQUIRE(status == PLB_OK);
    PLB_CHECK_CONTAINS(steps_info(&s).note, what);
    PLB_CHECK_CONTAINS(steps_info(&s).note, "going on without a disk");
    PLB_CHECK_EQ(steps_info(&s).arena[PLB_DISK], 0);
    PLB_CHECK(steps_info(&s).again_tasks > 0);
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    PLB_CHECK(steps_hash(&s) == wanted);
    steps_clear(&s);
}

static void no_directory(void)
{
    goes_on_without("/no/such/directory", false, "/no/such/directory");
}

static void no_room(void)
{
    goes_on_without(plb_test_tmpdir(), true, "no room for");
}

/* From plan to plan there is one file, as large as the present plan wants it once the former ones
 * have ended. */
static void plans_share_the_file(void)
{
    const struct plb_session_options options = {.memory_policy = "swap",
                                                .offload_dir = plb_test_tmpdir(),
                                                .budget = {.share = 0.9},
                                                .drift = -1.0};
    uint64_t wanted = expected();
    size_t much, bytes[2];
    struct steps s;

    PLB_REQUIRE(steps_make(&graph, &options, &s) == PLB_OK);
    much = steps_info(&s).budget;
    bytes[0] = s.session->disk.bytes;
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 3), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, much - steps_info(&s).arena[PLB_DEVICE] / 4), PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 3), PLB_OK);
    bytes[1] = steps_info(&s).arena[PLB_DISK];
    PLB_CHECK(bytes[1] > bytes[0]);
    PLB_CHECK_EQ(s.session->disk.bytes, bytes[1]);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, much), PLB_OK);
    plb__aside_wait(s.session);
    PLB_CHECK_EQ(steps_submit(&s, STEPS / 3), PLB_OK);
    PLB_CHECK(s.session->disk.bytes <= bytes[1]); /* not both */
    PLB_CHECK(steps_hash(&s) == wanted);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    PLB_CHECK(steps_info(&s).replans >= 1);
    PLB_CHECK_EQ(s.session->disk.bytes, steps_info(&s).arena[PLB_DISK]);
    steps_clear(&s);
}

/* A policy that can only move has nothing else to do. */
static void nothing_else_to_do(void)
{
    struct steps s;

    PLB_CHECK_EQ(make("swap", "/no/such/directory", 0.6, &s), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "neither host memory nor a directory");
    PLB_CHECK(s.session == NULL);
}

static void take_line(const char *line, void *text)
{
    snprintf(text, TEXT_BYTES, "%s", line);
}

/* The disk fills while steps run: their copies stay in memory, the next step has another plan. */
static void a_write_fails(void)
{
    uint64_t wanted = expected();
    char told[TEXT_BYTES] = "";
    struct plb_ledger ledger;
    struct steps s;

    PLB_REQUIRE(make("online", plb_test_tmpdir(), 0.75, &s) == PLB_OK);
    PLB_REQUIRE(steps_info(&s).moved_out[PLB_DISK] > 0);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    fill_disk(true);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    plb_ledger_get(0, &ledger);
    PLB_CHECK(ledger.now_total > steps_info(&s).planned_bytes); /* the copies count */
    plb_report_to(take_line, told);
    PLB_CHECK_EQ(steps_submit(&s, STEPS - 2), PLB_OK);
    plb_report_to(NULL, NULL);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    fill_disk(false);
    PLB_CHECK_STRING(told, steps_info(&s).note);
    plb_ledger_get(0, &ledger);
    PLB_CHECK_EQ(ledger.now_total, steps_info(&s).planned_bytes);
    PLB_CHECK(steps_info(&s).replans >= 1);
    PLB_CHECK_EQ(steps_info(&s).moved_out[PLB_DISK], 0);
    PLB_CHECK_CONTAINS(steps_info(&s).note, "going on without a disk");
    PLB_CHECK(steps_hash(&s) == wanted);
    steps_clear(&s);
}

/* No plan does without the disk: the run stops at a step's end, which the store still has. */
static void the_run_stops_whole(void)
{
    const struct plb_session_options none = {.memory_policy = "none"};
    struct steps s, plain;
    uint64_t ours, theirs;

    PLB_REQUIRE(make("swap", plb_test_tmpdir(), 0.6, &s) == PLB_OK);
    PLB_REQUIRE(steps_make(&graph, &none, &plain) == PLB_OK);
    PLB_REQUIRE(steps_info(&s).moved_out[PLB_DISK] > 0);
    fill_disk(true);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    ours = steps_hash(&s);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_ERROR_MEMORY);
    fill_disk(false);
    PLB_CHECK_CONTAINS(plb_error_message(), "without a disk");
    PLB_CHECK_EQ(steps_submit(&plain, 1), PLB_OK);
    theirs = steps_hash(&plain);
    PLB_CHECK(ours == theirs);
    steps_clear(&plain);
    steps_clear(&s);
}

/* The same with steps in flight when it turns out: they end, too, and no other begins. */
static void steps_in_flight_end_before_it_stops(void)
{
    const struct plb_session_options none = {.memory_policy = "none"};
    struct steps s, plain;
    float loss;
    int taken = 0;

    PLB_REQUIRE(make("swap", plb_test_tmpdir(), 0.6, &s) == PLB_OK);
    PLB_REQUIRE(steps_make(&graph, &none, &plain) == PLB_OK);
    fill_disk(true);
    while (taken < MANY_STEPS && steps_submit(&s, 1) == PLB_OK)
        taken++;
    if (taken == MANY_STEPS) {
        plb_session_wait(s.session);
        PLB_CHECK_EQ(steps_submit(&s, 1), PLB_ERROR_MEMORY);
    }
    fill_disk(false);
    PLB_CHECK(taken > 0);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "without a disk");
    PLB_CHECK_EQ(plb_session_read(s.session, s.random.loss, &loss, sizeof loss), PLB_ERROR_MEMORY);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK); /* the store is whole */
    PLB_CHECK_EQ(steps_submit(&plain, taken), PLB_OK);
    PLB_CHECK(steps_hash_store(&s) == steps_hash_store(&plain));
    steps_clear(&plain);
    steps_clear(&s);
}

PLB_TEST_MAIN("runtime/run/disk", start, stop, PLB_TEST(bytes_come_back),
              PLB_TEST(the_directory_is_chosen), PLB_TEST(no_directory), PLB_TEST(no_room),
              PLB_TEST(plans_share_the_file),
              PLB_TEST(nothing_else_to_do), PLB_TEST(a_write_fails), PLB_TEST(the_run_stops_whole),
              PLB_TEST(steps_in_flight_end_before_it_stops))
