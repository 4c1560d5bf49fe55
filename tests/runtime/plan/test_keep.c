/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where state is kept, and where its updates are made: what can be said of it, the plan around an
 * update in main memory and the proof of it, its time, and which updates go there by which rates.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/keep.h"
#include "runtime/plan/simulate.h"
#include "runtime/plan/writer.h"
#include "schedulers/schedulers.h"
#include "tests/support/gpt.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static void words_are_read(void)
{
    struct plb_keep keep;

    PLB_CHECK_EQ(plb_keep_read(NULL, &keep), PLB_OK);
    PLB_CHECK(keep.bytes == 0 && keep.update == PLB_UPDATE_WHERE_IT_HIDES);
    PLB_CHECK_EQ(plb_keep_read("host", &keep), PLB_OK);
    PLB_CHECK(keep.bytes == SIZE_MAX && keep.parameters);
    PLB_CHECK(keep.update == PLB_UPDATE_WHERE_IT_HIDES);
    PLB_CHECK_EQ(plb_keep_read("optimizer,update=host", &keep), PLB_OK);
    PLB_CHECK(keep.bytes == SIZE_MAX && !keep.parameters && keep.update == PLB_UPDATE_HOST);
    PLB_CHECK_EQ(plb_keep_read("20kB,update=device", &keep), PLB_OK);
    PLB_CHECK(keep.bytes == 20000 && keep.parameters && keep.update == PLB_UPDATE_DEVICE);
    PLB_CHECK_EQ(plb_keep_read("host,update=", &keep), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "',update='");
    PLB_CHECK_EQ(plb_keep_read("hos", &keep), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'hos'");
}

/* ---- one update ---- */

enum { N = 1000 };

/* gradient = relu(x), then adamw with a bf16 copy; what is f32 is kept in main memory. */
struct small {
    plb_graph_t *graph;
    plb_value x, hyper, p, m, v, working, gradient;
    struct plb_update next;
    struct plb_plan plan;
};

static void small_make(struct small *s)
{
    const struct plb_adamw options = {0.9, 0.99, 1e-8, 0.1};
    plb_graph_t *g = plb_graph_create();
    struct plb_shape shape = plb_shape1(N);

    *s = (struct small){.graph = g};
    s->x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, shape);
    s->hyper = plb_graph_add_value(g, "hyper", PLB_ROLE_INPUT, PLB_F32, plb_shape1(4));
    s->p = plb_graph_add_value(g, "p", PLB_ROLE_STATE, PLB_F32, shape);
    s->m = plb_graph_add_value(g, "m", PLB_ROLE_STATE, PLB_F32, shape);
    s->v = plb_graph_add_value(g, "v", PLB_ROLE_STATE, PLB_F32, shape);
    s->working = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_BF16, shape);
    s->gradient = plb_relu(g, s->x);
    plb_graph_set_phase(g, PLB_PHASE_UPDATE);
    s->next = plb_adamw(g, s->p, s->gradient, s->m, s->v, s->hyper, PLB_NONE, s->working, &options);
    plb_graph_carry(g, s->p, s->next.parameter);
    plb_graph_carry(g, s->m, s->next.moment1);
    plb_graph_carry(g, s->v, s->next.moment2);
    plb_graph_carry(g, s->working, s->next.working);
    plb_graph_set_home(g, s->p, PLB_HOST);
    plb_graph_set_home(g, s->m, PLB_HOST);
    plb_graph_set_home(g, s->v, PLB_HOST);
    plb_graph_set_tier(g, 1, PLB_HOST);
    PLB_REQUIRE(plb_graph_status(g) == PLB_OK);
}

static void small_plan(struct small *s)
{
    struct plb_plan draft = {.fingerprint = plb_graph_fingerprint(s->graph)};

    for (plb_task_id t = 0; t < 2; t++)
        PLB_REQUIRE(plb_plan_append(&draft, (struct plb_instruction){PLB_RUN, t, 0, PLB_DEVICE}) ==
                    PLB_OK);
    PLB_REQUIRE(plb_plan_finish(s->graph, &draft, &s->plan) == PLB_OK);
    s->plan.fingerprint = draft.fingerprint;
    plb_plan_clear(&draft);
}

static void small_clear(struct small *s)
{
    plb_plan_clear(&s->plan);
    plb_graph_destroy(s->graph);
}

static struct plb_limits with_host(void)
{
    struct plb_limits limits = plb_limits_none();

    limits.bytes[PLB_HOST] = SIZE_MAX;
    return limits;
}

static void check_plan(const struct small *s)
{
    const struct plb_instruction expected[] = {
        {PLB_RUN, 0, 0, PLB_DEVICE},
        {PLB_OFFLOAD, s->gradient, 0, PLB_HOST},
        {PLB_DROP, s->gradient, 0, PLB_DEVICE},
        {PLB_OFFLOAD, s->hyper, 0, PLB_HOST},
        {PLB_RUN, 1, 7, PLB_HOST},
        {PLB_DROP, s->hyper, 0, PLB_HOST},
        {PLB_DROP, s->gradient, 0, PLB_HOST},
        {PLB_FETCH, s->next.working, 0, PLB_HOST},
        {PLB_DROP, s->next.working, 0, PLB_HOST},
    };
    struct plb_limits limits = with_host();
    uint32_t n = sizeof expected / sizeof expected[0], found = 0;

    PLB_CHECK_EQ(s->plan.n, n);
    for (uint32_t i = 0; i < n; i++) /* drops at one place may come in any order */
        for (uint32_t k = 0; k < s->plan.n; k++)
            found += s->plan.instruction[k].code == expected[i].code &&
                     s->plan.instruction[k].subject == expected[i].subject &&
                     s->plan.instruction[k].takes == expected[i].takes &&
                     s->plan.instruction[k].tier == expected[i].tier;
    PLB_CHECK_EQ(found, n);
    PLB_CHECK_EQ(plb_plan_check(&s->plan, s->graph, &limits), PLB_OK);
}

static void an_update_in_main_memory_gets_its_gradient(void)
{
    struct plb_plan again = {0};
    struct small s;
    char *text = NULL;

    small_make(&s);
    small_plan(&s);
    check_plan(&s);
    PLB_REQUIRE(plb_plan_to_json(&s.plan, &text) == PLB_OK);
    PLB_REQUIRE(plb_plan_from_json(text, strlen(text), &again) == PLB_OK);
    PLB_CHECK_EQ(again.n, s.plan.n);
    PLB_CHECK_MEMORY(again.instruction, s.plan.instruction, s.plan.n * sizeof *again.instruction);
    free(text);
    plb_plan_clear(&again);
    small_clear(&s);
}

/* The first instruction of a kind, on a tier. */
static uint32_t find(const struct small *s, enum plb_opcode code, enum plb_tier tier)
{
    uint32_t i = 0;

    while (s->plan.instruction[i].code != code || s->plan.instruction[i].tier != tier)
        i++;
    return i;
}

static void leave_out(struct small *s, uint32_t i)
{
    memmove(&s->plan.instruction[i], &s->plan.instruction[i + 1],
            (--s->plan.n - i) * sizeof *s->plan.instruction);
}

static void check_refused(struct small *s, const char *why)
{
    struct plb_limits limits = with_host();

    PLB_CHECK_EQ(plb_plan_check(&s->plan, s->graph, &limits), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), why);
    plb_plan_clear(&s->plan);
    small_plan(s);
}

static void wrong_plans_are_refused(void)
{
    struct small s;

    small_make(&s);
    small_plan(&s);
    s.plan.instruction[find(&s, PLB_RUN, PLB_HOST)].tier = PLB_DEVICE;
    check_refused(&s, "runs on the host, not on the device");
    leave_out(&s, find(&s, PLB_OFFLOAD, PLB_HOST));
    check_refused(&s, "which is not there on the host");
    s.plan.instruction[find(&s, PLB_RUN, PLB_HOST)].takes = 3;
    check_refused(&s, "at the end");
    s.plan.instruction[find(&s, PLB_RUN, PLB_HOST)].takes = 15; /* w lies on the device */
    check_refused(&s, "whose storage is already taken");
    leave_out(&s, find(&s, PLB_FETCH, PLB_HOST));
    check_refused(&s, "does not lie in the storage of 'w'");
    plb_graph_set_tier(s.graph, 1, PLB_DISK);
    s.plan.fingerprint = plb_graph_fingerprint(s.graph);
    s.plan.instruction[find(&s, PLB_RUN, PLB_HOST)].tier = PLB_DISK;
    PLB_CHECK_EQ(plb_plan_check(&s.plan, s.graph, NULL), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "cannot work on a disk");
    plb_graph_set_tier(s.graph, 2, PLB_HOST);
    PLB_CHECK_EQ(plb_graph_status(s.graph), PLB_ERROR_INVALID);
    small_clear(&s);
}

/* ---- times ---- */

static struct plb_platform platform_of(double link, double host)
{
    struct plb_platform platform = plb_platform_nominal(1);

    platform.bytes[PLB_HOST] = SIZE_MAX;
    platform.link[PLB_HOST] = (struct plb_link){link, link, 0, true};
    platform.host_bytes_per_second = host;
    platform.task_seconds = 0;
    return platform;
}

/* On one path: the four numbers go out, while the gradient is made in less, then the gradient; the
 * update; the copy comes in. */
static void its_time_is_that_of_its_way(void)
{
    const double link = 1e6, host = 1e7;
    struct plb_platform platform = platform_of(link, host);
    struct plb_limits limits = with_host();
    double seconds[2], expected;
    struct plb_simulation result;
    struct plb_problem problem;
    struct plb_layout layout;
    plb_costs_t *costs;
    struct small s;

    small_make(&s);
    small_plan(&s);
    PLB_REQUIRE(plb_costs_create(&platform, &costs) == PLB_OK);
    PLB_REQUIRE(plb_problem_prepare(s.graph, costs, &limits, seconds, &problem) == PLB_OK);
    PLB_CHECK_NEAR(seconds[1], (30 * N + 16) / host, 1e-12);
    PLB_REQUIRE(plb_layout_assign(&s.plan, s.graph, &limits, &layout) == PLB_OK);
    PLB_REQUIRE(plb_simulate(&s.plan, &layout, &problem, &result) == PLB_OK);
    PLB_CHECK(seconds[0] < 16 / link);
    expected = (16 + 4 * N) / link + seconds[1] + 2 * N / link;
    PLB_CHECK_NEAR(result.seconds, expected, 1e-9);
    PLB_CHECK_NEAR(result.beside_seconds, seconds[1], 1e-12);
    PLB_CHECK_NEAR(result.compute_seconds, seconds[0], 1e-12);
    PLB_CHECK_EQ(result.moved_out[PLB_HOST], 4 * N + 16);
    PLB_CHECK_EQ(result.moved_in[PLB_HOST], 2 * N);
    plb_simulation_clear(&result);
    plb_layout_clear(&layout);
    plb_costs_destroy(costs);
    small_clear(&s);
}

/* ---- which ---- */

static struct gpt gpt;

static uint32_t count_beside(void)
{
    uint32_t n = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(gpt.graph); t++)
        n += plb_graph_task(gpt.graph, t)->tier == PLB_HOST;
    return n;
}

/* Seconds of a step by policy none, with state in main memory. */
static double step_by(const char *state, const struct plb_platform *platform, uint32_t *beside_out)
{
    const struct plb_memory_policy *none;
    struct plb_limits limits = with_host();
    struct plb_simulation result = {0};
    struct plb_layout layout = {0};
    struct plb_plan plan = {0};
    struct plb_problem problem;
    struct plb_keep keep;
    plb_costs_t *costs;
    double *seconds, step;

    for (plb_task_id t = 0; t < plb_graph_tasks(gpt.graph); t++)
        plb_graph_set_tier(gpt.graph, t, PLB_DEVICE);
    PLB_REQUIRE(plb_keep_read(state, &keep) == PLB_OK);
    PLB_REQUIRE(plb_keep_apply(&keep, plb_model_graph(gpt.model), gpt.graph) == PLB_OK);
    PLB_REQUIRE(plb_keep_updates(&keep, platform, gpt.graph) == PLB_OK);
    *beside_out = count_beside();
    seconds = calloc(plb_graph_tasks(gpt.graph) + 1, sizeof *seconds);
    PLB_REQUIRE(plb_costs_create(platform, &costs) == PLB_OK);
    PLB_REQUIRE(plb_memory_policy_find("none", &none) == PLB_OK);
    PLB_REQUIRE(plb_problem_prepare(gpt.graph, costs, &limits, seconds, &problem) == PLB_OK);
    PLB_REQUIRE(plb_plan_make(none, &problem, PLB_EVENT_RELIEF, NULL, &plan, &layout) == PLB_OK);
    PLB_REQUIRE(plb_simulate(&plan, &layout, &problem, &result) == PLB_OK);
    step = result.seconds;
    plb_simulation_clear(&result);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    plb_costs_destroy(costs);
    free(seconds);
    return step;
}

/* A link of 25 bytes to 60 of main memory: the two together are faster than either. */
static void updates_are_made_where_they_hide(void)
{
    const struct gpt_options options = {.layers = 3,
                                        .hidden = 64,
                                        .heads = 4,
                                        .sequence = 16,
                                        .batch = 1,
                                        .vocabulary = 100,
                                        .dtype = PLB_BF16};
    struct plb_platform even = platform_of(25e6, 60e6), slow = platform_of(25e6, 1e3);
    struct plb_platform fast = platform_of(25e6, 1e12), nothing = platform_of(25e6, 0);
    struct plb_keep keep = {.bytes = SIZE_MAX, .update = PLB_UPDATE_HOST};
    uint32_t all, some, none;
    double host, device, both;

    PLB_REQUIRE(gpt_make(&options, &gpt) == PLB_OK);
    host = step_by("optimizer,update=host", &even, &all);
    device = step_by("optimizer,update=device", &even, &none);
    both = step_by("optimizer", &even, &some);
    printf("%u updates: %.3g s in main memory, %.3g s on the device, %.3g s with %u there\n", all,
           host, device, both, some);
    PLB_CHECK_EQ(none, 0);
    PLB_CHECK(some > 0 && some < all);
    PLB_CHECK(both < 0.8 * host && both < 0.8 * device);
    step_by("optimizer", &slow, &some);
    PLB_CHECK_EQ(some, 0);
    step_by("optimizer", &fast, &some);
    PLB_CHECK_EQ(some, all);
    step_by("optimizer", &nothing, &some);
    PLB_CHECK_EQ(some, 0);
    PLB_CHECK_EQ(plb_keep_updates(&keep, &nothing, gpt.graph), PLB_ERROR_UNAVAILABLE);
    PLB_CHECK_CONTAINS(plb_error_message(), "host_bytes_per_second");
    gpt_clear(&gpt);
}

PLB_TEST_MAIN("runtime/plan/keep", NULL, NULL, PLB_TEST(words_are_read),
              PLB_TEST(an_update_in_main_memory_gets_its_gradient),
              PLB_TEST(wrong_plans_are_refused), PLB_TEST(its_time_is_that_of_its_way),
              PLB_TEST(updates_are_made_where_they_hide))
