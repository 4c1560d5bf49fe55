/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parameters and optimizer state that are kept in main memory beside the device: the bits of steps
 * that keep them on the device, under several policies and budgets; what is on the device then; and
 * who may not ask for it. Where a virtual device cannot be had the tests say so and pass.
 */
#include "config.h"

#include "runtime/run/device.h"
#include "runtime/run/ledger.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 3, SHAPES = 3, CELLS = 256 };

static const char *const states[] = {"device", "optimizer", "host", "20kB"};

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
        for (int k = 1; k < 4; k++)
            for (size_t t = 0; t < sizeof tries / sizeof tries[0]; t++) {
                PLB_CHECK(run(number, states[k], tries[t].policy, tries[t].share, &info) ==
                          expected);
                PLB_CHECK(info.away_bytes > 0);
                PLB_CHECK(info.persistent_bytes + info.away_bytes == here.persistent_bytes);
                PLB_CHECK((info.persistent_bytes == 0) == (k == 2));
                PLB_CHECK(k != 3 || info.away_bytes <= 20000 + CELLS * PLB_SLOT_ALIGNMENT);
                PLB_CHECK(info.moved_in[PLB_HOST] > 0 && info.moved_out[PLB_HOST] > 0);
            }
    }
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
              PLB_TEST(state_may_be_larger_than_the_device), PLB_TEST(wrong_wishes_are_refused))
