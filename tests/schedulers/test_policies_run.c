/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every memory policy on StarPU: several steps in flight under budgets, on the CPU with a disk and
 * on the virtual accelerator with a host, have the bits of steps that keep everything, within the
 * budget.
 */
#include "config.h"

#include "runtime/run/device.h"
#include "schedulers/schedulers.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 3, SHAPES = 3 };

static const double shares[] = {0.7, 0.45};

struct tally {
    int plans, refusals;
};

static struct random_options graph_of(int number)
{
    return (struct random_options){
        .seed = 40u + (unsigned)number, .shape = (enum random_shape)(number % SHAPES), .blocks = 5};
}

/* The hash of what the steps leave; false when the policy cannot keep the budget. */
static bool run(int number, const char *policy, double share, uint64_t *hash_out)
{
    const struct random_options random = graph_of(number);
    const struct plb_session_options options = {
        .memory_policy = policy, .budget.share = share, .offload_dir = plb_test_tmpdir()};
    struct plb_session_info info;
    struct steps s;
    enum plb_status status = steps_make(&random, &options, &s);

    if (status != PLB_OK) {
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        return false;
    }
    PLB_CHECK_EQ(steps_submit(&s, STEPS), PLB_OK);
    *hash_out = steps_hash(&s);
    plb_session_get_info(s.session, &info);
    PLB_CHECK(info.planned_bytes <= info.budget);
    steps_clear(&s);
    return true;
}

static void run_policy(const char *policy, const uint64_t expected[SHAPES], struct tally *tally)
{
    for (int number = 0; number < SHAPES; number++) {
        for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
            uint64_t hash;

            if (run(number, policy, shares[k], &hash)) {
                PLB_CHECK(hash == expected[number]);
                tally->plans++;
            } else {
                tally->refusals++;
            }
        }
    }
}

/* Offloading needs a tier, which both devices have; keeping everything needs all of the memory. */
static void run_policies(const uint64_t expected[SHAPES])
{
    int n;
    const struct plb_memory_policy *const *policy = plb_memory_policies(&n);

    printf("\n");
    for (int k = 0; k < n; k++) {
        struct tally tally = {0, 0};

        if (policy[k]->left_to_starpu)
            continue;
        run_policy(policy[k]->name, expected, &tally);
        printf("    %-12s %d runs, %d budgets refused\n", policy[k]->name, tally.plans,
               tally.refusals);
        PLB_CHECK(tally.plans > 0 || policy[k] == &plb_memory_none);
    }
}

/* On this device; the same on every device. */
static void find_expected(uint64_t expected_out[SHAPES])
{
    static uint64_t first[SHAPES];

    for (int number = 0; number < SHAPES; number++) {
        PLB_CHECK(run(number, "none", 0, &expected_out[number]));
        first[number] = first[number] ? first[number] : expected_out[number];
        PLB_CHECK(expected_out[number] == first[number]);
    }
}

/* The first test: an OpenCL that was loaded for something else cannot be limited. */
static void on_the_virtual_accelerator(void)
{
    const struct plb_runtime_options options = {.device = "virtual:64MiB"};
    enum plb_status status = plb_runtime_start(&options);
    uint64_t expected[SHAPES];

    if (status == PLB_ERROR_UNAVAILABLE) {
        printf("not available here: %s\n", plb_error_message());
        return;
    }
    PLB_REQUIRE(status == PLB_OK);
    find_expected(expected);
    run_policies(expected);
    plb_runtime_stop();
}

static void on_the_cpu(void)
{
    const struct plb_runtime_options options = {.workers = 2, .device = "cpu"};
    uint64_t expected[SHAPES];

    PLB_REQUIRE(plb_runtime_start(&options) == PLB_OK);
    find_expected(expected);
    run_policies(expected);
    plb_runtime_stop();
}

PLB_TEST_MAIN("schedulers/policies_run", NULL, NULL, PLB_TEST(on_the_virtual_accelerator),
              PLB_TEST(on_the_cpu))
