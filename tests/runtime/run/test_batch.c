/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks in batches: each launch is in one batch, in the plan's order; a batch conflicts with no
 * move in its midst, so moves overlap as they do between single tasks; and the bits are the same.
 */
#include "config.h"

#include "runtime/run/run_internal.h"
#include "tests/runtime/run/steps.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHAPES = 3, STEPS = 4 };
#define EVERYTHING 10.0 /* seconds: as large as moves allow */

static struct random_options graph_of(int number)
{
    const struct random_options options = {
        .seed = 5u + (unsigned)number, .shape = (enum random_shape)(number % SHAPES), .blocks = 4};

    return options;
}

/* A session whose plan moves values to disk and makes others again. */
static void make(int number, double grain, struct steps *steps_out)
{
    const struct random_options random = graph_of(number);
    struct plb_session_options options = {.memory_policy = "none"};
    char path[512], name[600];
    struct steps plain;

    snprintf(path, sizeof path, "%s", plb_test_tmp("by-hand.json"));
    PLB_REQUIRE(steps_make(&random, &options, &plain) == PLB_OK);
    PLB_REQUIRE(steps_write_plan(&plain, PLB_DISK, 3, path) == PLB_OK);
    steps_clear(&plain);
    snprintf(name, sizeof name, "replay:%s", path);
    options.memory_policy = name;
    options.offload_dir = plb_test_tmpdir();
    options.grain_seconds = grain;
    PLB_REQUIRE(steps_make(&random, &options, steps_out) == PLB_OK);
}

/* ---- what a batch is ---- */

static bool conflict(const struct plb__launch *a, const struct plb__launch *b)
{
    for (uint32_t i = 0; i < a->n_buffers; i++)
        for (uint32_t j = 0; j < b->n_buffers; j++)
            if (a->token[i] == b->token[j] && ((a->mode[i] | b->mode[j]) & STARPU_W))
                return true;
    return false;
}

static bool holds(const struct plb__batch *batch, starpu_data_handle_t token, unsigned mode)
{
    for (uint32_t j = 0; j < batch->n_buffers; j++)
        if (batch->token[j] == token)
            return (batch->mode[j] & mode) == mode;
    return false;
}

static void check_members(const struct plb__program *p, const struct plb__batch *batch, int *seen)
{
    for (uint32_t k = 0; k < batch->n; k++) {
        const struct plb__launch *launch = &p->launch[batch->member[k]];

        seen[batch->member[k]]++;
        PLB_CHECK(k == 0 || batch->member[k] > batch->member[k - 1]);
        PLB_CHECK(batch->n == 1 || launch->job != NULL);
        for (uint32_t j = 0; j < launch->n_buffers; j++)
            PLB_CHECK(holds(batch, launch->token[j], launch->mode[j]));
    }
}

static void check_moves(const struct plb__program *p, const struct plb__batch *batch)
{
    for (uint32_t m = batch->member[0]; m < batch->member[batch->n - 1]; m++) {
        if (p->launch[m].job)
            continue;
        for (uint32_t k = 0; k < batch->n; k++)
            PLB_CHECK(!conflict(&p->launch[m], &p->launch[batch->member[k]]));
    }
}

static void check_batches(const struct plb__program *p, const struct plb__batches *b)
{
    int *seen = calloc(p->n_launches + 1, sizeof *seen);

    PLB_REQUIRE(seen != NULL);
    for (uint32_t k = 0; k < b->n; k++) {
        check_members(p, &b->batch[k], seen);
        check_moves(p, &b->batch[k]);
        PLB_CHECK(k == 0 || b->batch[k].member[0] > b->batch[k - 1].member[0]);
    }
    for (uint32_t k = 0; k < p->n_launches; k++)
        PLB_CHECK_EQ(seen[k], 1);
    free(seen);
}

static uint32_t moves_of(const struct plb__program *p)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < p->n_launches; k++)
        n += !p->launch[k].job;
    return n;
}

/* ---- the tests ---- */

static uint64_t run(int number, double grain)
{
    struct plb_session_info info;
    struct steps s;
    uint64_t hash;

    make(number, grain, &s);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    plb_session_get_info(s.session, &info);
    PLB_CHECK_EQ(info.handed_over, s.session->program->n_launches);
    PLB_CHECK_EQ(steps_submit(&s, STEPS - 1), PLB_OK);
    hash = steps_hash(&s);
    plb_session_get_info(s.session, &info);
    if (grain < 0) {
        PLB_CHECK_EQ(info.handed_over, s.session->program->n_launches);
    } else {
        uint32_t n = s.session->program->batches.n;

        PLB_CHECK_EQ(info.handed_over, n);
        check_batches(s.session->program, &s.session->program->batches);
        if (grain == EVERYTHING) /* each move can end one batch and begin another */
            PLB_CHECK(n <= 4 * moves_of(s.session->program) + 1);
        PLB_CHECK(n < s.session->program->n_launches);
    }
    steps_clear(&s);
    return hash;
}

static void batches_keep_moves_and_bits(void)
{
    const struct plb_runtime_options options = {.workers = 1, .device = "cpu"};

    PLB_REQUIRE(plb_runtime_start(&options) == PLB_OK);
    for (int number = 0; number < SHAPES; number++) {
        uint64_t single = run(number, -1.0);

        PLB_CHECK(run(number, EVERYTHING) == single);
        PLB_CHECK(run(number, 1e-4) == single);
    }
    plb_runtime_stop();
}

/* Several workers share tasks, so each is by itself. */
static void several_workers_have_none(void)
{
    const struct plb_runtime_options options = {.workers = 2, .device = "cpu"};
    struct plb_session_info info;
    struct steps s;

    PLB_REQUIRE(plb_runtime_start(&options) == PLB_OK);
    make(0, EVERYTHING, &s);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(s.session), PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, 1), PLB_OK);
    plb_session_get_info(s.session, &info);
    PLB_CHECK_EQ(info.handed_over, s.session->program->n_launches);
    steps_clear(&s);
    plb_runtime_stop();
}

static void wrong_grains_are_refused(void)
{
    static const char *const wrong[] = {"x", "-1", "11", "1s", "nan"};
    const struct random_options random = graph_of(0);
    const struct plb_session_options options = {.memory_policy = "none"};
    const struct plb_runtime_options one = {.workers = 1, .device = "cpu"};
    struct steps s;

    PLB_REQUIRE(plb_runtime_start(&one) == PLB_OK);
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        setenv("PALOMBE_GRAIN", wrong[k], 1);
        PLB_CHECK_EQ(steps_make(&random, &options, &s), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), wrong[k]);
    }
    unsetenv("PALOMBE_GRAIN");
    plb_runtime_stop();
}

PLB_TEST_MAIN("runtime/run/batch", NULL, NULL, PLB_TEST(batches_keep_moves_and_bits),
              PLB_TEST(several_workers_have_none), PLB_TEST(wrong_grains_are_refused))
