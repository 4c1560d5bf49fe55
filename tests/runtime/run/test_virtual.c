/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtual accelerator: its memory is limited and apart, its link is paced and counted, steps
 * have the bits that they have on the CPU, and StarPU moves nothing by itself, unless values are
 * left to it. Where it cannot be had the tests say so and pass.
 */
#include "config.h"

#include "runtime/run/device.h"
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <starpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef PLB_HAVE_OPENCL
#include "runtime/run/opencl_layer.h"
#endif

enum { STEPS = 5, SHAPES = 3 };

static bool start(const char *device)
{
    const struct plb_runtime_options options = {.device = device};
    enum plb_status status = plb_runtime_start(&options);

    if (status == PLB_OK)
        return true;
    PLB_CHECK_EQ(status, PLB_ERROR_UNAVAILABLE);
    printf("not available here: %s\n", plb_error_message());
    return false;
}

/* ---- memory and copies ---- */

static void memory_is_limited(void)
{
    const struct plb_device *device;
    struct plb_block a = {0}, b = {0};

    setenv("STARPU_WORKERS_OPENCLID", "7", 1); /* ends the process where StarPU heeds it */
    if (!start("virtual:64MiB"))
        return;
    device = plb_runtime_device();
    PLB_CHECK_STRING(device->name, "virtual");
    PLB_CHECK_EQ(device->bytes, 64 << 20);
    PLB_CHECK_EQ(device->workers, 1);
    PLB_CHECK(device->has_host);
    PLB_CHECK_EQ(device->held(device), 0);
    PLB_CHECK_EQ(device->take(device, (size_t)40 << 20, "a", &a), PLB_OK);
    PLB_CHECK_EQ(device->held(device), 40 << 20);
    PLB_CHECK_EQ(device->take(device, ((size_t)24 << 20) + 1, "the second block", &b), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "the second block needs 24.0 MiB");
    PLB_CHECK_CONTAINS(plb_error_message(), "40.0 MiB are taken");
    PLB_CHECK_EQ(device->held(device), 40 << 20);
    PLB_CHECK_EQ(device->take(device, (size_t)24 << 20, "b", &b), PLB_OK);
    device->give(&a);
    device->give(&b);
    device->give(&b); /* an empty one */
    PLB_CHECK_EQ(device->held(device), 0);
    plb_runtime_stop();
}

static void copies_are_right(void)
{
    enum { BYTES = 1 << 20, OFFSET = 4096, PART = 70000 };
    unsigned char *here = malloc(BYTES), *there;
    const struct plb_device *device;
    struct plb_block block;

    for (int k = 0; k < BYTES; k++)
        here[k] = (unsigned char)(k * 7 + k / 251);
    if (start("virtual:16MiB")) {
        device = plb_runtime_device();
        PLB_REQUIRE(device->take(device, BYTES, "a block", &block) == PLB_OK);
        there = block.address;
        PLB_CHECK(there[0] == 0 && memcmp(there, there + 1, BYTES - 1) == 0);
        PLB_CHECK_EQ(device->copy_in(here, &block, OFFSET, PART), PLB_OK);
        PLB_CHECK_MEMORY(there + OFFSET, here, PART);
        PLB_CHECK(there[OFFSET - 1] == 0 && there[OFFSET + PART] == 0);
        there[OFFSET] = 99; /* as a kernel would */
        PLB_CHECK_EQ(device->copy_out(&block, OFFSET, here + BYTES / 2, PART), PLB_OK);
        PLB_CHECK_EQ(here[BYTES / 2], 99);
        PLB_CHECK_MEMORY(here + BYTES / 2 + 1, here + 1, PART - 1);
        device->give(&block);
        plb_runtime_stop();
    }
    free(here);
}

/* What is measured is positive; what was asked for is taken as it is. */
static void the_platform_is_described(void)
{
    struct plb_platform platform;
    struct plb_link link;

    PLB_CHECK_EQ(plb_runtime_platform(NULL, &platform), PLB_ERROR_INVALID); /* not started */
    if (start("virtual:16MiB")) {
        PLB_CHECK_EQ(plb_runtime_platform(plb_test_tmpdir(), &platform), PLB_OK);
        PLB_CHECK_STRING(platform.name, "virtual");
        PLB_CHECK_EQ(platform.workers, 1);
        PLB_CHECK_EQ(platform.bytes[PLB_DEVICE], 16 << 20);
        PLB_CHECK(platform.bytes[PLB_HOST] > 0 && platform.bytes[PLB_DISK] > 0);
        PLB_CHECK(platform.link[PLB_HOST].out_bytes_per_second > 0);
        PLB_CHECK(platform.link[PLB_DISK].in_bytes_per_second > 0);
        PLB_CHECK_EQ(plb_runtime_device()->held(plb_runtime_device()), 0);
        plb_runtime_stop();
    }
    if (start("virtual:16MiB,link=150MB/s,duplex=half")) {
        PLB_CHECK_EQ(plb_runtime_platform(NULL, &platform), PLB_OK);
        PLB_CHECK_NEAR(platform.link[PLB_HOST].out_bytes_per_second, 150e6, 1);
        PLB_CHECK(!platform.link[PLB_HOST].duplex);
        PLB_CHECK_EQ(platform.bytes[PLB_DISK], 0);
        plb_runtime_stop();
    }
    PLB_REQUIRE(plb_runtime_start(NULL) == PLB_OK);
    PLB_CHECK_EQ(plb_device_measure_link(PLB_HOST, NULL, &link), PLB_ERROR_UNAVAILABLE);
    PLB_CHECK_EQ(plb_device_measure_link(PLB_DISK, "/nowhere", &link), PLB_ERROR_IO);
    PLB_CHECK_EQ(plb_device_measure_link(PLB_DEVICE, NULL, &link), PLB_ERROR_INVALID);
    plb_runtime_stop();
}

static void bad_devices_are_refused(void)
{
    const struct plb_runtime_options two = {.device = "virtual:64MiB", .workers = 2};
    const struct plb_runtime_options huge = {.device = "virtual:60TiB"};
    enum plb_status status;

    status = plb_runtime_start(&two);
    PLB_CHECK(status == PLB_ERROR_INVALID || status == PLB_ERROR_UNAVAILABLE);
    status = plb_runtime_start(&huge);
    PLB_CHECK(status == PLB_ERROR_INVALID || status == PLB_ERROR_UNAVAILABLE);
    setenv("PALOMBE_DEVICE", "virtual:lots", 1);
    PLB_CHECK_EQ(plb_runtime_start(NULL), PLB_ERROR_INVALID);
    unsetenv("PALOMBE_DEVICE");
    PLB_CHECK(plb_runtime_device() == NULL);
}

/* ---- steps ---- */

static struct random_options graph_of(int number)
{
    const struct random_options options = {
        .seed = 41u + (unsigned)number, .shape = (enum random_shape)(number % SHAPES), .blocks = 4};

    return options;
}

static uint64_t run_steps(int number, const char *policy, size_t budget, enum plb_status *status)
{
    const struct random_options random = graph_of(number);
    const struct plb_session_options options = {.memory_policy = policy, .budget.bytes = budget};
    struct steps s;
    uint64_t hash = 0;

    *status = steps_make(&random, &options, &s);
    if (*status != PLB_OK)
        return 0;
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    hash = steps_hash(&s);
    steps_clear(&s);
    return hash;
}

static void run_all(const char *policy, size_t budget, uint64_t hash[SHAPES])
{
    for (int number = 0; number < SHAPES; number++) {
        enum plb_status status;

        hash[number] = run_steps(number, policy, budget, &status);
        if (!PLB_CHECK_EQ(status, PLB_OK))
            fprintf(stderr, "%s\n", plb_error_message());
    }
}

/* What everything is compared with: the CPU. */
static void expect(uint64_t hash[SHAPES])
{
    PLB_REQUIRE(plb_runtime_start(NULL) == PLB_OK);
    run_all("none", 0, hash);
    plb_runtime_stop();
}

#ifdef PLB_HAVE_OPENCL

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct plb__traffic traffic(bool ours)
{
    struct plb__traffic out = plb__link_traffic(plb__opencl_link(), PLB__FROM_DEVICE, ours);
    struct plb__traffic in = plb__link_traffic(plb__opencl_link(), PLB__TO_DEVICE, ours);

    return (struct plb__traffic){out.calls + in.calls, out.bytes + in.bytes};
}

/* A transfer lasts at least as long as the link says (and how much longer is the machine's load).
 */
static void the_link_is_slow(void)
{
    enum { BYTES = 2 << 20 };
    struct plb_block block;
    double start_time;
    void *data;

    if (!start("virtual:16MiB,link=200MB/s"))
        return;
    data = calloc(1, BYTES);
    PLB_REQUIRE(plb_runtime_device()->take(plb_runtime_device(), BYTES, "a block", &block) == PLB_OK);
    start_time = seconds();
    for (int k = 0; k < 4; k++)
        PLB_CHECK_EQ(plb_runtime_device()->copy_in(data, &block, 0, BYTES), PLB_OK);
    PLB_CHECK(seconds() - start_time >= 4.0 * BYTES / 200e6 - 1e-6);
    PLB_CHECK_EQ(traffic(true).bytes, 4 * BYTES);
    PLB_CHECK_EQ(traffic(true).calls, 4);
    PLB_CHECK_EQ(traffic(false).calls, 0);
    plb_runtime_device()->give(&block);
    plb_runtime_stop();
    free(data);
}

/* The event of a transfer that does not block is complete when the link is through, not before. */
static void events_are_late(void)
{
    enum { BYTES = 2 << 20 };
    const struct plb_device *device;
    cl_command_queue queue;
    struct plb_block block;
    cl_int state = CL_QUEUED;
    cl_event event;
    double start_time;
    void *data;

    if (!start("virtual:16MiB,link=40MB/s"))
        return;
    device = plb_runtime_device();
    data = calloc(1, BYTES);
    PLB_REQUIRE(device->take(device, BYTES, "a block", &block) == PLB_OK);
    starpu_opencl_get_queue(0, &queue);
    start_time = seconds();
    PLB_CHECK_EQ(
        clEnqueueWriteBuffer(queue, block.handle, CL_FALSE, 0, BYTES, data, 0, NULL, &event),
        CL_SUCCESS);
    PLB_CHECK_EQ(clWaitForEvents(1, &event), CL_SUCCESS);
    PLB_CHECK(seconds() - start_time >= BYTES / 40e6 - 1e-6);
    clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    PLB_CHECK_EQ(state, CL_COMPLETE);
    clReleaseEvent(event);
    PLB_CHECK_EQ(traffic(false).calls, 1);
    device->give(&block);
    plb_runtime_stop();
    free(data);
}

/* Nothing is StarPU's to move: every byte over the link is one that was asked for here. */
static void steps_have_the_same_bits(void)
{
    uint64_t wanted[SHAPES], hash[SHAPES];

    expect(wanted);
    if (!start("virtual:256MiB"))
        return;
    run_all("none", 0, hash);
    PLB_CHECK_MEMORY(hash, wanted, sizeof hash);
    PLB_CHECK_EQ(traffic(false).calls, 0);
    PLB_CHECK_EQ(starpu_memory_get_used(plb_runtime_device()->node), 0);
    plb_runtime_stop();
}

/* Values go to main memory and back by a plan. */
static void offloaded_values_have_the_same_bits(void)
{
    const struct random_options random = graph_of(1);
    struct plb_session_options options = {.memory_policy = "none"};
    struct plb_session_info info;
    uint64_t wanted[SHAPES];
    char path[512], name[600];
    struct steps s;

    expect(wanted);
    if (!start("virtual:256MiB,link=2GB/s"))
        return;
    snprintf(path, sizeof path, "%s", plb_test_tmp("by-hand.json"));
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    PLB_CHECK_EQ(steps_write_plan(&s, PLB_HOST, 2, path), PLB_OK);
    steps_clear(&s);
    snprintf(name, sizeof name, "replay:%s", path);
    options.memory_policy = name;
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    plb_session_get_info(s.session, &info);
    PLB_CHECK(info.moved_out[PLB_HOST] > 0);
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    PLB_CHECK(traffic(true).bytes >= STEPS * (info.moved_out[PLB_HOST] + info.moved_in[PLB_HOST]));
    PLB_CHECK_EQ(traffic(false).calls, 0);
    PLB_CHECK(steps_hash(&s) == wanted[1]);
    steps_clear(&s);
    plb_runtime_stop();
}

/* A larger arena takes the place of a smaller one on a device that has no room for both. */
static void an_arena_may_grow_where_two_do_not_fit(void)
{
    const struct random_options random = graph_of(1);
    const struct plb_session_options options = {.memory_policy = "knapsack", .budget.share = 0.5};
    const struct plb_device *device;
    struct plb_block ballast = {0};
    size_t arena, most;
    uint64_t wanted[SHAPES];
    struct steps s;

    expect(wanted);
    if (!start("virtual:256MiB"))
        return;
    device = plb_runtime_device();
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    arena = s.session->arena.bytes;
    most = 2 * (s.session->planning.problem.needs.activations +
                s.session->planning.problem.needs.gradients);
    PLB_CHECK_EQ(steps_submit(&s, 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, s.session->planning.taken + most), PLB_OK);
    plb__aside_wait(s.session);
    PLB_CHECK(s.session->aside.draft.layout.arena[PLB_DEVICE] > arena);
    most = s.session->aside.draft.layout.arena[PLB_DEVICE];
    s.session->planning.asked = s.session->planning.taken + most; /* no larger one than needed */
    PLB_REQUIRE(device->take(device, device->bytes - device->held(device) - (most - arena), "ballast",
                             &ballast) == PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, STEPS - 2), PLB_OK);
    PLB_CHECK_EQ(device->held(device), device->bytes);
    PLB_CHECK(steps_hash(&s) == wanted[1]);
    steps_clear(&s);
    device->give(&ballast);
    PLB_CHECK_EQ(device->held(device), plb__runtime_scratch_bytes(device));
    plb_runtime_stop();
}

/* The peer: StarPU allocates, moves and evicts, and still the bits are the same. */
static void values_left_to_starpu_have_the_same_bits(void)
{
    uint64_t wanted[SHAPES], hash[SHAPES];
    struct plb_ledger ledger;

    expect(wanted);
    setenv("STARPU_SCHED", "dmdas", 1);
    if (start("virtual:64MiB")) {
        run_all("starpu", 0, hash);
        PLB_CHECK_MEMORY(hash, wanted, sizeof hash);
        PLB_CHECK(traffic(false).bytes > 0);
        plb_ledger_get(1, &ledger);
        PLB_CHECK(ledger.peak_total > 0 && ledger.peak_total <= (size_t)64 << 20);
        PLB_CHECK_EQ(ledger.now[PLB_ROLE_ACTIVATION], 0);
        plb_runtime_stop();
    }
    unsetenv("STARPU_SCHED");
}

/* What "none" would take of the device, without the work space. */
static size_t bytes_of_none(int number)
{
    const struct random_options random = graph_of(number);
    const struct plb_session_options options = {.memory_policy = "none"};
    struct plb_session_info info = {0};
    struct steps s;

    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    plb_session_get_info(s.session, &info);
    steps_clear(&s);
    return info.planned_bytes - info.scratch_bytes;
}

/* With less than everything needs StarPU evicts. (How little it copes with is not known to it.) */
static void starpu_evicts_when_memory_is_short(void)
{
    uint64_t wanted[SHAPES], hash;
    enum plb_status status;
    struct plb_ledger ledger;
    size_t budget;

    expect(wanted);
    setenv("STARPU_SCHED", "dmdas", 1);
    if (start("virtual:64MiB")) {
        budget = bytes_of_none(1) * 3 / 4 + plb_runtime_device()->held(plb_runtime_device());
        plb_runtime_stop(); /* the ledger begins anew */
        PLB_REQUIRE(start("virtual:64MiB"));
        hash = run_steps(1, "starpu", budget, &status);
        PLB_CHECK_EQ(status, PLB_OK);
        PLB_CHECK(hash == wanted[1]);
        PLB_CHECK(traffic(false).bytes > 0);
        plb_ledger_get(1, &ledger);
        PLB_CHECK(ledger.peak[PLB_ROLE_ACTIVATION] + ledger.peak[PLB_ACCOUNT_SCRATCH] <= budget);
        plb_runtime_stop();
    }
    unsetenv("STARPU_SCHED");
}

static void a_task_that_starpu_cannot_place_is_refused(void)
{
    enum plb_status status;

    if (!start("virtual:16MiB"))
        return;
    run_steps(0, "starpu", 2048, &status);
    PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "needs");
    plb_runtime_stop();
}

#else

static void it_is_told_what_is_missing(void)
{
    PLB_CHECK(!start("virtual:64MiB"));
    PLB_CHECK_CONTAINS(plb_error_message(), "OpenCL");
}

#endif

/* On the CPU, too, values may be left to StarPU; there is nothing to evict. */
static void the_peer_runs_on_the_cpu(void)
{
    uint64_t wanted[SHAPES], hash[SHAPES];

    expect(wanted);
    PLB_REQUIRE(plb_runtime_start(NULL) == PLB_OK);
    run_all("starpu", 0, hash);
    PLB_CHECK_MEMORY(hash, wanted, sizeof hash);
    plb_runtime_stop();
}

PLB_TEST_MAIN("runtime/run/virtual", NULL, NULL, PLB_TEST(bad_devices_are_refused),
              PLB_TEST(memory_is_limited), PLB_TEST(copies_are_right),
              PLB_TEST(the_platform_is_described),
#ifdef PLB_HAVE_OPENCL
              PLB_TEST(the_link_is_slow), PLB_TEST(events_are_late),
              PLB_TEST(steps_have_the_same_bits), PLB_TEST(offloaded_values_have_the_same_bits),
              PLB_TEST(an_arena_may_grow_where_two_do_not_fit),
              PLB_TEST(values_left_to_starpu_have_the_same_bits),
              PLB_TEST(starpu_evicts_when_memory_is_short),
              PLB_TEST(a_task_that_starpu_cannot_place_is_refused),
#else
              PLB_TEST(it_is_told_what_is_missing),
#endif
              PLB_TEST(the_peer_runs_on_the_cpu))
