/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times that StarPU measured in an earlier run are there when a session is planned in a later one.
 */
#include "config.h"

#include "runtime/plan/costs.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>

/* StarPU trusts a model after ten samples; some tasks of this graph are there once. */
enum { STEPS = 16 };

/* Starts the runtime, makes a session, and counts the kinds of task whose times are known. */
static uint32_t known_at_start(int steps, double *seconds_out)
{
    const struct random_options graph = {.seed = 5, .shape = RANDOM_CHAIN, .blocks = 3};
    const struct plb_session_options options = {.memory_policy = "none"};
    struct plb_session_info info = {0};
    struct steps s;
    uint32_t known;

    if (plb_runtime_start(NULL) != PLB_OK)
        fprintf(stderr, "%s\n", plb_error_message());
    PLB_REQUIRE(plb_runtime_workers() > 0);
    PLB_REQUIRE(steps_make(&graph, &options, &s) == PLB_OK);
    known = plb_costs_keys(plb_session_costs(s.session));
    plb_session_get_info(s.session, &info);
    *seconds_out = info.predicted_seconds;
    PLB_CHECK_EQ(steps_submit(&s, steps), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    steps_clear(&s);
    plb_runtime_stop();
    return known;
}

static void calibrated_models_are_samples(void)
{
    double nominal, calibrated;

    setenv("STARPU_HOME", plb_test_tmpdir(), 1);
    setenv("STARPU_PERF_MODEL_DIR", plb_test_tmp("models"), 1);
    setenv("STARPU_HOSTNAME", "here", 1);
    setenv("STARPU_CALIBRATE", "1", 1);
    PLB_CHECK_EQ(known_at_start(STEPS, &nominal), 0);
    unsetenv("STARPU_CALIBRATE");
    PLB_CHECK(known_at_start(0, &calibrated) > 5);
    PLB_CHECK(calibrated > 0 && !(calibrated >= nominal && calibrated <= nominal));
}

PLB_TEST_MAIN("runtime/run/calibrated", NULL, NULL, PLB_TEST(calibrated_models_are_samples))
