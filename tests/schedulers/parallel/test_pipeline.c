/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The orders of pipelines at the level of jobs: published bubbles and memory where F = B = W, and
 * on uneven pipelines that every order plays and keeps its capacity.
 */
#include "config.h"

#include "schedulers/parallel/common/rule.h"
#include "runtime/base/random.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

#define MOST 64

/* A pipeline and room for what it points to. */
struct subject {
    struct plb__pipeline pipeline;
    uint32_t stage_of[MOST];
    double seconds[PLB__JOB_KINDS][MOST];
    double forward[MOST], backward[MOST], held[MOST], held_w[MOST], capacity[MOST];
};

/* Units: chunks of a stage together take 1 for each of F, B and W and hold 1. */
static void prepare(struct subject *x, const struct plb__pipe_rule *rule, uint32_t p, uint32_t m,
                    uint32_t v, double in_flight)
{
    *x = (struct subject){.pipeline = {.stages = p, .chunks = p * v, .micro_batches = m,
                                       .stage_of = x->stage_of, .travel_forward = x->forward,
                                       .travel_backward = x->backward, .held = x->held,
                                       .held_w = x->held_w, .fused = rule->fused}};
    for (int k = 0; k < PLB__JOB_KINDS; k++)
        x->pipeline.seconds[k] = x->seconds[k];
    for (uint32_t c = 0; c < p * v; c++) {
        x->stage_of[c] = plb__rule_stage(rule, c, p);
        for (int k = 0; k < PLB__JOB_KINDS; k++)
            x->seconds[k][c] = 1.0 / v;
        x->held[c] = x->held_w[c] = 1.0 / v;
    }
    for (uint32_t s = 0; s < p; s++)
        x->capacity[s] = in_flight * p;
    x->pipeline.capacity = in_flight > 0 ? x->capacity : NULL;
}

struct outcome {
    double bubble, peak, seconds;
};

static struct outcome play(const struct subject *x, const struct plb__pipe_rule *rule)
{
    struct plb__schedule schedule = {0};
    struct plb__pipeline_times times = {0};
    struct outcome outcome = {-1, -1, -1};

    if (rule->order(&x->pipeline, &schedule) == PLB_OK &&
        plb__pipeline_play(&x->pipeline, &schedule, &times) == PLB_OK) {
        outcome = (struct outcome){times.bubble, 0, times.seconds};
        for (uint32_t s = 0; s < x->pipeline.stages; s++) {
            outcome.peak = times.peak[s] > outcome.peak ? times.peak[s] : outcome.peak;
            if (x->pipeline.capacity)
                PLB_CHECK(times.peak[s] <= x->pipeline.capacity[s] * (1 + 1e-9));
        }
    } else {
        fprintf(stderr, "%s: %s\n", rule->name, plb_error_message());
    }
    plb__schedule_clear(&schedule);
    plb__pipeline_times_clear(&times);
    return outcome;
}

static struct outcome even(const struct plb__pipe_rule *rule, uint32_t p, uint32_t m, uint32_t v,
                           double in_flight)
{
    struct subject x;

    prepare(&x, rule, p, m, v, in_flight);
    return play(&x, rule);
}

static const struct {
    uint32_t p, m;
} table[] = {{1, 1}, {1, 4}, {2, 2}, {2, 8}, {3, 3}, {3, 7}, {4, 4}, {4, 8},
             {4, 16}, {5, 11}, {6, 24}, {8, 8}, {8, 16}, {8, 32}, {12, 60}};
#define ROWS (sizeof table / sizeof table[0])

static void bubbles_and_memory_are_the_published_ones(void)
{
    for (size_t k = 0; k < ROWS; k++) {
        double p = table[k].p, m = table[k].m;
        struct outcome x = even(&plb__rule_gpipe, table[k].p, table[k].m, 1, 0);

        PLB_CHECK_NEAR(x.bubble, (p - 1) / (m + p - 1), 1e-9);
        PLB_CHECK_NEAR(x.peak, m, 1e-9);
        x = even(&plb__rule_1f1b, table[k].p, table[k].m, 1, 0);
        PLB_CHECK_NEAR(x.bubble, (p - 1) / (m + p - 1), 1e-9);
        PLB_CHECK_NEAR(x.peak, p, 1e-9);
        x = even(&plb__rule_zb_h1, table[k].p, table[k].m, 1, 0);
        PLB_CHECK_NEAR(x.bubble, (p - 1) / (3 * m + p - 1), 1e-9);
        PLB_CHECK_NEAR(x.peak, p, 1e-9);
    }
    PLB_CHECK_NEAR(even(&plb__rule_1f1b, 4, 8, 1, 0).bubble, 0.273, 5e-4);
    PLB_CHECK_NEAR(even(&plb__rule_1f1b_split, 4, 8, 1, 0).bubble, 0.200, 5e-4);
    PLB_CHECK_NEAR(even(&plb__rule_1f1b_split, 4, 8, 1, 0).peak, 4, 1e-9);
    PLB_CHECK_NEAR(even(&plb__rule_zb_h1, 4, 8, 1, 0).bubble, 0.111, 5e-4);
}

static void zb_h1_in_general(void)
{
    struct subject x;

    prepare(&x, &plb__rule_zb_h1, 4, 8, 1, 0);
    for (uint32_t c = 0; c < 4; c++) {
        x.seconds[PLB__JOB_F][c] = 1.0;
        x.seconds[PLB__JOB_B][c] = 1.25;
        x.seconds[PLB__JOB_W][c] = 0.75;
    }
    /* (p - 1)(F + B - W) of idle time at each stage. */
    PLB_CHECK_NEAR(play(&x, &plb__rule_zb_h1).seconds, 8 * 3 + 3 * 1.5, 1e-9);
}

static void interleaved_is_as_published(void)
{
    for (uint32_t p = 2; p <= 8; p *= 2) {
        for (uint32_t v = 2; v <= 4; v++) {
            for (uint32_t m = 2 * p; m <= 4 * p; m += p) {
                struct outcome x = even(&plb__rule_interleaved, p, m, v, 0);

                PLB_CHECK_NEAR(x.bubble, (p - 1.0) / (v * m + p - 1.0), 1e-9);
                PLB_CHECK_NEAR(x.peak, p * (1 + (p - 1.0) / (p * v)), 1e-9);
            }
        }
    }
}

/* With the memory of 1F1B there is no idle time but that of the beginning: (p - 1) jobs of half a
 * stage. Where W holds on to everything, within a hundredth of that. */
static void zb_v_has_no_bubble_but_the_first(void)
{
    for (size_t k = 0; k < ROWS; k++) {
        uint32_t p = table[k].p, m = table[k].m;
        struct subject x;
        struct outcome got;

        prepare(&x, &plb__rule_zb_v, p, m, 2, plb__rule_zb_v.in_flight);
        got = play(&x, &plb__rule_zb_v);
        PLB_CHECK(got.peak <= p + 1e-9);
        PLB_CHECK_NEAR(got.bubble, (p - 1.0) / (6 * m + p - 1.0), 0.025);
        for (uint32_t c = 0; c < 2 * p; c++)
            x.held_w[c] = 0;
        got = play(&x, &plb__rule_zb_v);
        PLB_CHECK(got.peak <= p + 1e-9);
        PLB_CHECK_NEAR(got.bubble, (p - 1.0) / (6 * m + p - 1.0), 1e-9);
    }
}

static void greedy_is_as_good_as_stated(void)
{
    for (size_t k = 0; k < ROWS; k++) {
        uint32_t p = table[k].p, m = table[k].m;
        double h1 = (p - 1.0) / (3 * m + p - 1.0);
        struct outcome twice = even(&plb__rule_zb_greedy, p, m, 1, 2);
        struct outcome once = even(&plb__rule_zb_greedy, p, m, 1, 1);

        PLB_CHECK(twice.bubble >= 0 && twice.bubble <= h1 + 0.01);
        PLB_CHECK(twice.peak <= 2 * p);
        PLB_CHECK(once.bubble >= 0 &&
                  once.bubble <= even(&plb__rule_1f1b_split, p, m, 1, 0).bubble + 1e-9);
        PLB_CHECK(once.peak <= p);
    }
    PLB_CHECK_NEAR(even(&plb__rule_zb_greedy, 4, 8, 1, 1).bubble, 0.172, 5e-4);
    PLB_CHECK_NEAR(even(&plb__rule_zb_greedy, 4, 8, 1, 2).bubble, 0.111, 5e-4);
}

/* ---- uneven ---- */

static const struct plb__pipe_rule *const rules[] = {
    &plb__rule_gpipe,  &plb__rule_1f1b, &plb__rule_1f1b_split, &plb__rule_interleaved,
    &plb__rule_zb_h1, &plb__rule_zb_v, &plb__rule_zb_greedy};

static double draw(uint64_t seed, uint64_t *n, double low, double high)
{
    uint32_t words[4];

    plb_random_words(seed, 0, (*n)++, words);
    return low + (high - low) * (double)plb_random_unit(words[0]);
}

static void prepare_uneven(struct subject *x, const struct plb__pipe_rule *rule, uint64_t seed)
{
    uint64_t n = 0;
    uint32_t p = 1 + (uint32_t)draw(seed, &n, 0, 6), v = rule->chunks;
    uint32_t m = 1 + (uint32_t)draw(seed, &n, 0, 12);
    double share = draw(seed, &n, 0, 1);

    if (v == 0) {
        v = 1 + (uint32_t)draw(seed, &n, 0, 4);
        m = p * (1 + m / p);
    }
    prepare(x, rule, p, m, v, 1);
    memset(x->capacity, 0, sizeof x->capacity);
    for (uint32_t c = 0; c < p * v; c++) {
        for (int k = 0; k < PLB__JOB_KINDS; k++)
            x->seconds[k][c] = draw(seed, &n, 0, 1) < 0.1 ? 0 : draw(seed, &n, 0, 3);
        x->forward[c] = draw(seed, &n, 0, 1);
        x->backward[c] = draw(seed, &n, 0, 1);
        x->held[c] = draw(seed, &n, 0, 10);
        x->held_w[c] = share * x->held[c];
        x->capacity[x->stage_of[c]] += x->held[c];
    }
    for (uint32_t s = 0; s < p; s++)
        x->capacity[s] *= draw(seed, &n, 1, p + 1);
    if (rule->in_flight == 0)
        x->pipeline.capacity = NULL;
}

static void every_order_plays_on_uneven_pipelines(void)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
            struct subject x;
            struct outcome got;

            prepare_uneven(&x, rules[r], seed);
            got = play(&x, rules[r]);
            PLB_CHECK(got.bubble >= -1e-9 && got.bubble < 1);
        }
    }
}

/* With room for everything, and within the room that 1F1B takes. */
static void greedy_is_never_slower_than_turns(void)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct subject x;
        double turns;

        prepare_uneven(&x, &plb__rule_zb_greedy, seed);
        for (uint32_t c = 0; c < x.pipeline.stages; c++)
            x.capacity[c] = x.held[c] * x.pipeline.stages;
        turns = play(&x, &plb__rule_1f1b_split).seconds;
        PLB_CHECK(turns > 0 && play(&x, &plb__rule_zb_greedy).seconds <= turns * (1 + 1e-12));
    }
}

/* ---- what is refused ---- */

static void check_refused(struct subject *x, const struct plb__pipe_rule *rule,
                          enum plb_status status, const char *said)
{
    struct plb__schedule schedule = {0};

    PLB_CHECK_EQ(rule->order(&x->pipeline, &schedule), status);
    PLB_CHECK_CONTAINS(plb_error_message(), said);
    PLB_CHECK(!schedule.job);
}

static void what_a_rule_is_not_defined_for_is_said(void)
{
    struct subject x;

    prepare(&x, &plb__rule_interleaved, 4, 6, 2, 0);
    check_refused(&x, &plb__rule_interleaved, PLB_ERROR_INVALID,
                  "a multiple of the stages, not for 6 at 4 stages");
    check_refused(&x, &plb__rule_1f1b, PLB_ERROR_INVALID,
                  "'1f1b' is defined for one chunk at each stage, not for 8 chunks at 4 stages");
    check_refused(&x, &plb__rule_zb_v, PLB_ERROR_INVALID, "lie as a V");
    prepare(&x, &plb__rule_zb_v, 4, 8, 2, 0.125);
    check_refused(&x, &plb__rule_interleaved, PLB_ERROR_INVALID, "in turn");
    check_refused(&x, &plb__rule_zb_v, PLB_ERROR_MEMORY, "a micro-batch leaves 1");
    prepare(&x, &plb__rule_gpipe, 4, 0, 1, 0);
    check_refused(&x, &plb__rule_gpipe, PLB_ERROR_INVALID, "4 chunks and 0 micro-batches");
}

static void check_unplayable(const struct subject *x, struct plb__schedule *schedule,
                             const char *said)
{
    struct plb__pipeline_times times = {0};

    PLB_CHECK_EQ(plb__pipeline_play(&x->pipeline, schedule, &times), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), said);
    PLB_CHECK(!times.peak);
}

static void wrong_schedules_are_refused(void)
{
    struct subject x;
    struct plb__schedule schedule = {0};
    struct plb__pipe_job kept;

    prepare(&x, &plb__rule_1f1b, 2, 3, 1, 0);
    PLB_REQUIRE(plb__rule_1f1b.order(&x.pipeline, &schedule) == PLB_OK);
    kept = schedule.job[0];
    schedule.job[0] = schedule.job[1];
    check_unplayable(&x, &schedule, "is there twice");
    schedule.job[0].chunk = 1;
    check_unplayable(&x, &schedule, "F of chunk 1 stands at stage 0, not at 1");
    schedule.job[0].micro_batch = 3;
    check_unplayable(&x, &schedule, "a job that there is not");
    schedule.job[0] = schedule.job[2]; /* its backward pass first */
    schedule.job[2] = kept;
    check_unplayable(&x, &schedule, "wait for each other for ever: stage 0 at B of chunk 0");
    schedule.job[2] = schedule.job[0];
    schedule.job[0] = kept;
    schedule.in_stage[2]--;
    check_unplayable(&x, &schedule, "has 11 jobs, not 12");
    plb__schedule_clear(&schedule);
}

static void memory_may_fail_anywhere(void)
{
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        for (long n = 1; plb_test_alloc_available(); n++) {
            struct subject x;
            struct plb__schedule schedule = {0};
            struct plb__pipeline_times times = {0};
            enum plb_status status;

            prepare(&x, rules[r], 3, 6, rules[r]->chunks ? rules[r]->chunks : 2, 1);
            plb_test_alloc_fail_at(n);
            status = rules[r]->order(&x.pipeline, &schedule);
            if (status == PLB_OK)
                status = plb__pipeline_play(&x.pipeline, &schedule, &times);
            plb__schedule_clear(&schedule);
            plb__pipeline_times_clear(&times);
            if (!plb_test_alloc_stop())
                break;
            PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        }
    }
}

PLB_TEST_MAIN("schedulers/parallel/pipeline", NULL, NULL,
              PLB_TEST(bubbles_and_memory_are_the_published_ones), PLB_TEST(zb_h1_in_general),
              PLB_TEST(interleaved_is_as_published), PLB_TEST(zb_v_has_no_bubble_but_the_first),
              PLB_TEST(greedy_is_as_good_as_stated),
              PLB_TEST(every_order_plays_on_uneven_pipelines),
              PLB_TEST(greedy_is_never_slower_than_turns),
              PLB_TEST(what_a_rule_is_not_defined_for_is_said),
              PLB_TEST(wrong_schedules_are_refused), PLB_TEST(memory_may_fail_anywhere))
