/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parameters and optimizer state that are kept in main memory beside the device: the bits of steps
 * that keep them on the device, under several policies and budgets; what is on the device then; and
 * who may not ask for it. Where a virtual device cannot be had the tests say so and pass.
 */
#include "config.h"

#include "runtime/run/device.h"
#include "runtime/run/ledger.h"
#include "runtime/run/timeline.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 3, SHAPES = 3, CELLS = 256 };

static const struct {
    const char *text;
    bool all, few;
} states[] = {
    {"optimizer,update=device", false, false}, {"optimizer,update=host", false, false},
    {"host,update=device", true, false},       {"host,update=host", true, false},
    {"20kB", false, true},
};

static struct random_options graph_of(int number)
{
    const struct random_options options = {
        .seed = 21u + (unsigned)number, .shape = (enum random_shape)(number % SHAPES), .blocks = 4};

    return options;
}

static bool start(void)
{
    const struct plb_runtime_options options = {.device = "virtual:64MiB"};
    enum plb_status status = plb_runtime_start(&options);

    if (status == PLB_OK)
        return true;
    PLB_CHECK_EQ(status, PLB_ERROR_UNAVAILABLE);
    printf("not available here: %s\n", plb_error_message());
    return false;
}

static uint64_t run(int number, const char *state, const char *policy, double share,
                    struct plb_session_info *info_out)
{
    const struct random_options random = graph_of(number);
    struct plb_session_options options = {.memory_policy = policy, .state = state};
    struct plb_ledger ledger;
    struct steps s;
    uint64_t hash;

    if (share > 0)
        options.budget = (struct plb_budget){.share = share};
    if (steps_make(&random, &options, &s) != PLB_OK) {
        printf("graph %d, %s, %s: %s\n", number, state, policy, plb_error_message());
        PLB_CHECK(false);
        return 0;
    }
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    hash = steps_hash(&s);
    plb_session_get_info(s.session, info_out);
    plb_ledger_get(plb_runtime_device()->ledger, &ledger);
    PLB_CHECK(ledger.now_total <= info_out->planned_bytes);
    PLB_CHECK_EQ(plb_store_bytes(s.store), info_out->persistent_bytes + info_out->away_bytes);
    steps_clear(&s);
    return hash;
}

/* Every way to keep state meets three policies, one with each graph. */
static void bits_do_not_depend_on_where_state_is_kept(void)
{
    static const struct {
        const char *policy;
        double share;
    } tries[] = {{"none", 0}, {"chain-dp", 0.8}, {"online", 0.7}, {"swap", 0.8}};
    struct plb_session_info info, here;

    if (!start())
        return;
    for (int number = 0; number < SHAPES; number++) {
        uint64_t expected = run(number, "device", "none", 0, &here);

        PLB_CHECK(here.away_bytes == 0 && here.moved_out[PLB_HOST] == 0);
        for (int k = 0; k < (int)(sizeof states / sizeof states[0]); k++) {
            int t = (number + k) % 4;

            PLB_CHECK(run(number, states[k].text, tries[t].policy, tries[t].share, &info) ==
                      expected);
            PLB_CHECK(info.away_bytes > 0);
            PLB_CHECK(info.persistent_bytes + info.away_bytes == here.persistent_bytes);
            PLB_CHECK((info.persistent_bytes == 0) == states[k].all);
            PLB_CHECK(!states[k].few || info.away_bytes <= 20000 + CELLS * PLB_SLOT_ALIGNMENT);
            PLB_CHECK(info.moved_in[PLB_HOST] > 0 && info.moved_out[PLB_HOST] > 0);
        }
    }
    plb_runtime_stop();
}

/* With all of it there, the update in main memory sends the gradients, and brings nothing: the
 * parameters come for the forward and backward pass, as they do anyway. */
static void updates_in_main_memory_spare_the_link(void)
{
    struct plb_session_info device, host;

    if (!start())
        return;
    PLB_CHECK(run(1, "host,update=device", "none", 0, &device) ==
              run(1, "host,update=host", "none", 0, &host));
    printf("moved %zu out and %zu in, %zu and %zu with updates in main memory; state %zu\n",
           device.moved_out[PLB_HOST], device.moved_in[PLB_HOST], host.moved_out[PLB_HOST],
           host.moved_in[PLB_HOST], host.away_bytes);
    PLB_CHECK(2 * host.moved_out[PLB_HOST] < device.moved_out[PLB_HOST]);
    PLB_CHECK(2 * host.moved_in[PLB_HOST] < device.moved_in[PLB_HOST]);
    plb_runtime_stop();
}

/* They have a lane of their own, and no worker. */
static void updates_in_main_memory_are_traced(void)
{
    const struct random_options random = graph_of(1);
    struct plb_session_options options = {.memory_policy = "none", .state = "host,update=host"};
    const struct plb_trace_record *record;
    uint32_t n = 0, beside = 0;
    char *text = NULL;
    struct steps s;

    if (!start())
        return;
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    plb_session_trace(s.session, true);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    PLB_REQUIRE(plb_session_get_trace(s.session, &record, &n) == PLB_OK);
    for (uint32_t k = 0; k < n; k++) {
        bool in_main_memory = record[k].code == PLB_RUN && record[k].tier == PLB_HOST;

        PLB_CHECK(!in_main_memory || record[k].worker == -1);
        beside += in_main_memory;
    }
    PLB_CHECK(beside > 0);
    PLB_REQUIRE(plb_timeline_svg(s.session, "a step", &text) == PLB_OK);
    PLB_CHECK_CONTAINS(text, ">main memory<");
    free(text);
    steps_clear(&s);
    plb_runtime_stop();
}

/* With everything elsewhere a step needs less of the device than its parameters and state. */
static void state_may_be_larger_than_the_device(void)
{
    const struct random_options random = {
        .seed = 3, .shape = RANDOM_CHAIN, .blocks = 12, .width = 128, .batch = 2};
    struct plb_session_options options = {.memory_policy = "online", .state = "host"};
    struct plb_session_info info;
    struct steps s;

    if (!start())
        return;
    options.budget = (struct plb_budget){.share = 0.6};
    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, 2), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    plb_session_get_info(s.session, &info);
    printf("%zu bytes of state, %zu of the device\n", info.away_bytes, info.planned_bytes);
    PLB_CHECK(info.planned_bytes < info.away_bytes);
    steps_clear(&s);
    plb_runtime_stop();
}

static void wrong_wishes_are_refused(void)
{
    const struct plb_runtime_options cpu = {.device = "cpu"};
    const struct random_options random = graph_of(0);
    struct plb_session_options options = {.memory_policy = "none", .state = "host"};
    struct steps s;

    PLB_REQUIRE(plb_runtime_start(&cpu) == PLB_OK);
    PLB_CHECK_EQ(steps_make(&random, &options, &s), PLB_ERROR_UNAVAILABLE);
    PLB_CHECK_CONTAINS(plb_error_message(), "main memory");
    options.state = "moon";
    PLB_CHECK_EQ(steps_make(&random, &options, &s), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'moon'");
    options.state = "host,update=moon";
    PLB_CHECK_EQ(steps_make(&random, &options, &s), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "',update=moon'");
    options.state = NULL;
    setenv("PALOMBE_STATE", "sun", 1);
    PLB_CHECK_EQ(steps_make(&random, &options, &s), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'sun'");
    unsetenv("PALOMBE_STATE");
    plb_runtime_stop();
    if (!start())
        return;
    options.state = "host";
    options.memory_policy = "starpu";
    PLB_CHECK_EQ(steps_make(&random, &options, &s), PLB_ERROR_UNAVAILABLE);
    PLB_CHECK_CONTAINS(plb_error_message(), "starpu");
    plb_runtime_stop();
}

PLB_TEST_MAIN("runtime/run/state", NULL, NULL, PLB_TEST(bits_do_not_depend_on_where_state_is_kept),
              PLB_TEST(updates_in_main_memory_spare_the_link),
              PLB_TEST(updates_in_main_memory_are_traced),
              PLB_TEST(state_may_be_larger_than_the_device), PLB_TEST(wrong_wishes_are_refused))
