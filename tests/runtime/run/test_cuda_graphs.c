/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches on the emulated card: enqueued as CUDA graphs after they were recorded once, they give the
 * bits of tasks one by one; what depends on the number of the step is in none.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/run/card.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/cuda/emulated_card.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 7 }; /* the first three are measured, task by task */

static int setup(void)
{
    emulated_card_offer("1");
    return 0;
}

static bool start(void)
{
    const struct plb_runtime_options options = {.device = "cuda:0,memory=128MiB"};

    return PLB_CHECK_EQ(plb_runtime_start(&options), PLB_OK);
}

static uint32_t count_recorded(const plb_session_t *session)
{
    const struct plb__batches *b = &session->program->batches;
    uint32_t n = 0;

    for (uint32_t k = 0; k < b->n; k++)
        n += b->recording[k].graph != NULL;
    return n;
}

/* Another session that needs more of it does this. */
static void move_scratch(void)
{
    const struct plb_device *device = plb_runtime_device();

    PLB_CHECK_EQ(plb__runtime_reserve_scratch(
                     device, 2 * plb__runtime_scratch_bytes(device)), PLB_OK);
}

/* Waits after each step, so that its times are known in the next one. Plans stay as they are: what
 * is recorded would go with them. */
static uint64_t run(uint64_t seed, double grain, const char *policy, double share,
                    void (*before_last)(void), uint32_t *recorded_out)
{
    const struct random_options random = {.seed = seed, .shape = RANDOM_CHAIN, .blocks = 4};
    const struct plb_session_options options = {.memory_policy = policy,
                                                .budget.share = share,
                                                .grain_seconds = grain,
                                                .drift = -1.0};
    struct steps s;
    uint64_t hash;

    PLB_REQUIRE(steps_make(&random, &options, &s) == PLB_OK);
    for (int k = 0; k < STEPS; k++) {
        if (before_last && k == STEPS - 1)
            before_last();
        PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
        PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    }
    *recorded_out = count_recorded(s.session);
    hash = steps_hash(&s);
    steps_clear(&s);
    return hash;
}

static void graphs_keep_the_bits(void)
{
    uint32_t recorded = 0;

    if (!start())
        return;
    for (uint64_t seed = 1; seed < 4; seed++) {
        uint64_t single = run(seed, -1.0, "none", 0, NULL, &recorded);

        PLB_CHECK_EQ(recorded, 0);
        PLB_CHECK(run(seed, 10.0, "none", 0, NULL, &recorded) == single);
        PLB_CHECK(recorded > 0);
        PLB_CHECK(run(seed, 10.0, "swap", 0.8, NULL, &recorded) == single);
        PLB_CHECK(recorded > 0);
    }
    plb_runtime_stop();
}

static void scratch_memory_may_move(void)
{
    uint32_t recorded = 0;
    uint64_t single;

    if (!start())
        return;
    single = run(1, -1.0, "none", 0, NULL, &recorded);
    PLB_CHECK(run(1, 10.0, "none", 0, move_scratch, &recorded) == single);
    PLB_CHECK(recorded > 0);
    plb_runtime_stop();
}

/* y = dropout(x) + x, whose bits change with every step. */
static plb_graph_t *dropping(plb_value *y_out, plb_value *x_out)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = plb_graph_add_value(graph, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(64, 64));
    plb_value y = plb_add(graph, plb_dropout(graph, x, 0.5, 1, 2), x);

    plb_graph_output(graph, y);
    *x_out = x;
    *y_out = y;
    return graph;
}

static void what_depends_on_the_step_is_not_recorded(void)
{
    const struct plb_session_options options = {.memory_policy = "none", .grain_seconds = 10.0};
    float data[64 * 64], made[STEPS][64 * 64];
    plb_graph_t *graph;
    plb_session_t *session;
    plb_store_t *store;
    plb_value x, y;

    if (!start())
        return;
    for (int k = 0; k < 64 * 64; k++)
        data[k] = 1.0f;
    graph = dropping(&y, &x);
    PLB_REQUIRE(plb_store_create(&store) == PLB_OK);
    PLB_REQUIRE(plb_session_create(graph, &options, store, &session) == PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, x, data, sizeof data), PLB_OK);
    for (int k = 0; k < STEPS; k++) {
        PLB_CHECK_EQ(plb_session_step(session, (uint64_t)k), PLB_OK);
        PLB_CHECK_EQ(plb_session_read(session, y, made[k], sizeof made[k]), PLB_OK);
        PLB_CHECK_EQ(plb_session_wait(session), PLB_OK);
    }
    PLB_CHECK_EQ(session->program->batches.n, 2);
    PLB_CHECK_EQ(count_recorded(session), 0);
    for (int k = 1; k < STEPS; k++)
        PLB_CHECK(memcmp(made[k], made[k - 1], sizeof made[k]) != 0);
    plb_session_destroy(session);
    plb_store_destroy(store);
    plb_graph_destroy(graph);
    plb_runtime_stop();
}

PLB_TEST_MAIN("runtime/run/cuda_graphs", setup, NULL, PLB_TEST(graphs_keep_the_bits),
              PLB_TEST(scratch_memory_may_move),
              PLB_TEST(what_depends_on_the_step_is_not_recorded))
