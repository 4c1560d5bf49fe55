/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device "cuda" on the emulated card: memory, copies, steps under memory policies, and what
 * goes wrong. The card's streams are lazy and its memory is full of NaN, so that a wait that is
 * missing shows in the bits. See tests/support/cuda.
 */
#include "config.h"

#include "runtime/run/card.h"
#include "runtime/run/device.h"
#include "runtime/run/run_internal.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/cuda/emulated_card.h"
#include "tests/support/cuda/shim_control.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CARD "cuda:0,memory=128MiB"

enum { STEPS = 3, SHAPES = 3 };

static int setup(void)
{
    emulated_card_offer("2");
    return 0;
}

static enum plb_status start_on(const char *device)
{
    const struct plb_runtime_options options = {.device = device};

    return plb_runtime_start(&options);
}

static bool start(const char *device)
{
    enum plb_status status = start_on(device);

    if (status != PLB_OK)
        fprintf(stderr, "%s: %s\n", device, plb_error_message());
    return PLB_CHECK_EQ(status, PLB_OK);
}

/* ---- memory and copies ---- */

static void memory_is_limited(void)
{
    const struct plb_device *device;
    struct plb_block a = {0}, b = {0};

    if (!start("cuda:1,memory=128MiB"))
        return;
    device = plb_runtime_device();
    PLB_CHECK_STRING(device->name, "cuda");
    PLB_CHECK_EQ(device->bytes, 128 << 20);
    PLB_CHECK(device->has_host);
    PLB_CHECK_EQ(device->held(device), 0);
    PLB_CHECK_EQ(device->take(device, (size_t)40 << 20, "a", &a), PLB_OK);
    PLB_CHECK_EQ(device->take(device, ((size_t)88 << 20) + 1, "the second block", &b), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "the second block needs 88.0 MiB");
    PLB_CHECK_EQ(device->held(device), 40 << 20);
    device->give(&a);
    device->give(&b);
    PLB_CHECK_EQ(device->held(device), 0);
    plb_runtime_stop();
}

static void copies_are_right(void)
{
    enum { BYTES = 1 << 20, OFFSET = 4096, PART = 70000 };
    unsigned char *here = malloc(BYTES), *there = calloc(1, BYTES);
    const struct plb_device *device;
    struct plb_block block;

    for (int k = 0; k < BYTES; k++)
        here[k] = (unsigned char)(k * 7 + k / 251);
    if (start(CARD)) {
        device = plb_runtime_device();
        PLB_REQUIRE(device->take(device, BYTES, "a block", &block) == PLB_OK);
        PLB_CHECK_EQ(device->copy_in(here, &block, OFFSET, PART), PLB_OK);
        PLB_CHECK_EQ(device->copy_out(&block, 0, there, BYTES), PLB_OK);
        PLB_CHECK(there[0] == 0 && memcmp(there, there + 1, OFFSET - 1) == 0);
        PLB_CHECK_MEMORY(there + OFFSET, here, PART);
        PLB_CHECK(there[OFFSET + PART] == 0);
        device->give(&block);
        plb_runtime_stop();
    }
    free(here);
    free(there);
}

/* From one card to the other by a copy between peers. */
static void cards_copy_to_each_other(void)
{
    enum { BYTES = 70000 };
    const struct plb__cuda_module *module;
    struct plb__cuda_context *card[2] = {NULL, NULL};
    void *there[2] = {NULL, NULL};
    unsigned char here[BYTES], back[BYTES] = {0};
    int n;

    for (int k = 0; k < BYTES; k++)
        here[k] = (unsigned char)(k * 11);
    PLB_REQUIRE(plb__cuda_module_load(&module) == PLB_OK);
    PLB_CHECK_EQ(module->cards->count(&n), PLB_OK);
    PLB_CHECK_EQ(n, 2);
    for (int k = 0; k < 2; k++) {
        PLB_REQUIRE(module->cards->open(k, &card[k]) == PLB_OK);
        PLB_REQUIRE(module->memory->take(card[k], BYTES, &there[k]) == PLB_OK);
    }
    PLB_CHECK_EQ(module->memory->copy(card[0], PLB__CUDA_IN, there[0], here, BYTES), PLB_OK);
    PLB_CHECK_EQ(module->memory->copy_peer(card[1], there[1], card[0], there[0], BYTES), PLB_OK);
    PLB_CHECK_EQ(module->memory->copy(card[1], PLB__CUDA_OUT, back, there[1], BYTES), PLB_OK);
    PLB_CHECK_MEMORY(back, here, BYTES);
    for (int k = 0; k < 2; k++) {
        module->memory->give(card[k], there[k]);
        module->cards->close(card[k]);
    }
    PLB_CHECK_EQ(module->cards->open(2, &card[0]), PLB_ERROR_UNAVAILABLE);
    PLB_CHECK_CONTAINS(plb_error_message(), "no CUDA card 2");
}

/* ---- steps ---- */

static struct random_options graph_of(int number)
{
    const struct random_options options = {
        .seed = 51u + (unsigned)number, .shape = (enum random_shape)(number % SHAPES), .blocks = 4};

    return options;
}

struct result {
    enum plb_status status;
    float loss;
    uint64_t hash;
    size_t planned_bytes;
    uint64_t moved, again; /* bytes to main memory in a step, tasks that are run again */
};

static struct result run_steps(int number, struct plb_session_options options, const char *policy)
{
    const struct random_options random = graph_of(number);
    struct result result = {.status = PLB_OK};
    struct plb_session_info info;
    struct steps s;

    options.memory_policy = policy;
    options.offload_dir = plb_test_tmpdir();
    result.status = steps_make(&random, &options, &s);
    if (result.status != PLB_OK) {
        fprintf(stderr, "graph %d, %s: %s\n", number, policy, plb_error_message());
        return result;
    }
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    result.hash = steps_hash(&s);
    result.loss = steps_loss(&s);
    plb_session_get_info(s.session, &info);
    result.planned_bytes = info.planned_bytes;
    result.moved = info.moved_out[PLB_HOST];
    result.again = info.again_tasks;
    steps_clear(&s);
    return result;
}

static void losses_are_those_of_the_cpu(void)
{
    const struct plb_session_options options = {.memory_policy = NULL};
    struct result cpu[SHAPES], card[SHAPES];

    PLB_REQUIRE(start_on("cpu") == PLB_OK);
    for (int k = 0; k < SHAPES; k++)
        cpu[k] = run_steps(k, options, "none");
    plb_runtime_stop();
    if (!start(CARD))
        return;
    for (int k = 0; k < SHAPES; k++) {
        card[k] = run_steps(k, options, "none");
        PLB_CHECK_EQ(card[k].status, PLB_OK);
        PLB_CHECK_NEAR(card[k].loss, cpu[k].loss, 1e-4 * fabs((double)cpu[k].loss));
    }
    plb_runtime_stop();
}

/* Each policy on one of the graphs, with so little memory that it has to do something. */
static void policies_keep_the_bits(void)
{
    static const char *const policies[] = {"sqrt", "chain-dp", "offload-dp",
                                           "swap", "lru",      "online"};
    const struct plb_session_options all = {.memory_policy = NULL}, less = {.budget.share = 0.7};
    struct result wanted[SHAPES], made;
    uint64_t moved = 0, again = 0;

    if (!start(CARD))
        return;
    for (int k = 0; k < SHAPES; k++)
        wanted[k] = run_steps(k, all, "none");
    for (int p = 0; p < (int)(sizeof policies / sizeof policies[0]); p++) {
        made = run_steps(p % SHAPES, less, policies[p]);
        PLB_CHECK_EQ(made.status, PLB_OK);
        PLB_CHECK(made.hash == wanted[p % SHAPES].hash);
        PLB_CHECK(made.planned_bytes < wanted[p % SHAPES].planned_bytes);
        moved += made.moved;
        again += made.again;
    }
    PLB_CHECK(moved > 0 && again > 0);
    plb_runtime_stop();
}

/* By a plan written by hand, to main memory and to disk. */
static void offloaded_values_keep_the_bits(void)
{
    const struct random_options random = graph_of(1);
    struct plb_session_options options = {.memory_policy = "none"};
    struct result wanted, made;
    char path[512], name[600];
    struct steps s;

    if (!start(CARD))
        return;
    wanted = run_steps(1, options, "none");
    snprintf(path, sizeof path, "%s", plb_test_tmp("by-hand.json"));
    snprintf(name, sizeof name, "replay:%s", path);
    for (enum plb_tier tier = PLB_HOST; tier <= PLB_DISK; tier++) {
        PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
        PLB_CHECK_EQ(steps_write_plan(&s, tier, 2, path), PLB_OK);
        steps_clear(&s);
        made = run_steps(1, options, name);
        PLB_CHECK_EQ(made.status, PLB_OK);
        PLB_CHECK(made.hash == wanted.hash);
    }
    plb_runtime_stop();
}

/* A budget that changes between steps makes another plan. */
static void plans_may_be_replaced(void)
{
    const struct random_options random = graph_of(1);
    const struct plb_session_options options = {.memory_policy = "chain-dp", .budget.share = 0.5};
    struct plb_session_info info;
    struct result wanted;
    struct steps s;

    if (!start(CARD))
        return;
    wanted = run_steps(1, (struct plb_session_options){.memory_policy = NULL}, "none");
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    plb_session_get_info(s.session, &info);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, 2 * info.planned_bytes), PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_set_budget(s.session, info.planned_bytes), PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, STEPS - 2), PLB_OK);
    PLB_CHECK(steps_hash(&s) == wanted.hash);
    steps_clear(&s);
    plb_runtime_stop();
}

/* ---- what goes wrong ---- */

static void a_missing_card_is_told(void)
{
    static const struct {
        const char *failure, *sentence;
    } table[] = {
        {"driver-missing", "no NVIDIA driver"},
        {"driver-old", "the NVIDIA driver here is for CUDA 11.4"},
        {"no-device", "there is no CUDA card"},
        {"busy", "busy or unavailable"},
    };

    for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
        setenv("PLB_CUDA_SHIM_FAIL", table[k].failure, 1);
        PLB_CHECK(start_on("cuda") != PLB_OK);
        PLB_CHECK_CONTAINS(plb_error_message(), table[k].sentence);
        PLB_CHECK(plb_runtime_device() == NULL);
    }
    unsetenv("PLB_CUDA_SHIM_FAIL");
    PLB_CHECK_EQ(start_on("cuda:2"), PLB_ERROR_UNAVAILABLE);
    PLB_CHECK_CONTAINS(plb_error_message(), "no CUDA card 2: this machine has 2");
}

static void memory_that_is_gone_is_told(void)
{
    const struct plb_session_options options = {.memory_policy = NULL};

    if (!start(CARD))
        return;
    plb_shim_restore();
    setenv("PLB_CUDA_SHIM_FAIL", "oom@1", 1);
    PLB_CHECK_EQ(run_steps(0, options, "none").status, PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "out of memory");
    unsetenv("PLB_CUDA_SHIM_FAIL");
    PLB_CHECK_EQ(run_steps(0, options, "none").status, PLB_OK);
    plb_runtime_stop();
}

/* A card that falls off in the middle of a step: the session fails with a sentence, and the process
 * goes on. */
static void a_lost_card_fails_the_session(void)
{
    const struct random_options random = graph_of(0);
    const struct plb_session_options options = {.memory_policy = "none"};
    enum plb_status status;
    struct steps s;

    if (!start(CARD))
        return;
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    plb_shim_restore();
    setenv("PLB_CUDA_SHIM_FAIL", "lost@5", 1);
    status = steps_submit(&s, 2);
    if (status == PLB_OK)
        status = plb_session_wait(s.session);
    PLB_CHECK_EQ(status, PLB_ERROR_DEVICE);
    PLB_CHECK_CONTAINS(plb_error_message(), "illegal memory access");
    steps_clear(&s);
    plb_runtime_stop();
    unsetenv("PLB_CUDA_SHIM_FAIL");
    plb_shim_restore();
    if (start(CARD)) { /* what comes after is as before */
        PLB_CHECK_EQ(run_steps(0, options, "none").status, PLB_OK);
        plb_runtime_stop();
    }
}

PLB_TEST_MAIN("runtime/run/cuda", setup, NULL, PLB_TEST(memory_is_limited),
              PLB_TEST(copies_are_right), PLB_TEST(cards_copy_to_each_other),
              PLB_TEST(losses_are_those_of_the_cpu), PLB_TEST(policies_keep_the_bits),
              PLB_TEST(offloaded_values_keep_the_bits), PLB_TEST(plans_may_be_replaced),
              PLB_TEST(a_missing_card_is_told), PLB_TEST(memory_that_is_gone_is_told),
              PLB_TEST(a_lost_card_fails_the_session))
