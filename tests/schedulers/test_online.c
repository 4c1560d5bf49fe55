/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy "online" on a large GPT (gpt_large(), on the card of data/costs/h200.json), in
 * simulated time: what it adds to a forward and backward pass at a share of the activations'
 * memory, with and without a link; that a change is answered by a plan that keeps the new limit;
 * how long a decision takes is printed.
 */
#include "config.h"

#include "runtime/plan/simulate.h"
#include "schedulers/memory/online/online_walk.h"
#include "schedulers/schedulers.h"
#include "tests/support/gpt.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <time.h>

static struct gpt gpt;
static plb_costs_t *costs;
static double *seconds;
static struct plb_problem problem; /* without a limit */
static double pass_seconds;        /* of all tasks but those of the update */
static double none_seconds;        /* of a step that keeps everything */

struct outcome {
    double seconds;      /* of a step */
    double overhead;     /* percent of a forward and backward pass */
    size_t moved;        /* bytes from the device */
    size_t device, host; /* bytes that are taken */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum plb_status judge(const struct plb_problem *p, const struct plb_plan *plan,
                             const struct plb_layout *layout, struct outcome *outcome_out)
{
    struct plb_simulation simulation;

    PLB_TRY(plb_simulate(plan, layout, p, &simulation));
    *outcome_out = (struct outcome){
        .seconds = simulation.seconds,
        .overhead = 100.0 * (simulation.seconds - none_seconds) / pass_seconds,
        .moved = simulation.moved_out[PLB_HOST] + simulation.moved_out[PLB_DISK],
        .device = plb_layout_device_bytes(layout),
        .host = layout->arena[PLB_HOST],
    };
    plb_simulation_clear(&simulation);
    return PLB_OK;
}

/* The plan that follows `current`, the first one when it is NULL. `plan_out` may be NULL. */
static enum plb_status try(const struct plb_memory_policy *policy, const struct plb_problem *p,
                           const struct plb_plan *current, struct plb_plan *plan_out,
                           struct outcome *outcome_out)
{
    struct plb_plan plan = {0};
    struct plb_layout layout;
    enum plb_status status;

    PLB_TRY(plb_plan_make(policy, p, PLB_EVENT_PRESSURE, current, &plan, &layout));
    status = judge(p, &plan, &layout, outcome_out);
    plb_layout_clear(&layout);
    if (plan_out)
        *plan_out = plan;
    else
        plb_plan_clear(&plan);
    return status;
}

static struct outcome plan_with(const struct plb_memory_policy *policy, const struct plb_problem *p)
{
    struct outcome outcome;

    PLB_REQUIRE(try(policy, p, NULL, NULL, &outcome) == PLB_OK);
    return outcome;
}

static int setup(void)
{
    const struct gpt_options options = gpt_large();
    struct plb_limits limits = plb_limits_none();
    struct outcome none;

    limits.hold_gradients = true;
    if (gpt_make(&options, &gpt) != PLB_OK ||
        plb_costs_load(plb_test_source("data/costs/h200.json"), &costs) != PLB_OK)
        return 1;
    seconds = calloc((size_t)plb_graph_tasks(gpt.graph) + 1, sizeof *seconds);
    if (!seconds || plb_problem_prepare(gpt.graph, costs, &limits, seconds, &problem) != PLB_OK)
        return 1;
    for (plb_task_id t = 0; t < plb_graph_tasks(gpt.graph); t++)
        if (plb_graph_task(gpt.graph, t)->phase != PLB_PHASE_UPDATE)
            pass_seconds += seconds[t];
    if (try(&plb_memory_none, &problem, NULL, NULL, &none) != PLB_OK)
        return 1;
    none_seconds = none.seconds;
    return 0;
}

static int teardown(void)
{
    free(seconds);
    plb_costs_destroy(costs);
    gpt_clear(&gpt);
    return 0;
}

static struct plb_problem under(double share, size_t host)
{
    struct plb_problem p = problem;

    p.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&p.needs, share, 0);
    p.limits.bytes[PLB_HOST] = host;
    return p;
}

/* Within a point and a half of a chain's optimum, which knows the whole step at once. */
static void little_is_made_again(void)
{
    static const double shares[] = {0.8, 0.6, 0.5, 0.4, 0.33};

    printf("\n");
    for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
        struct plb_problem p = under(shares[k], 0);
        struct outcome online = plan_with(&plb_memory_online, &p);
        struct outcome chain = plan_with(&plb_memory_chain_dp, &p);

        printf("    %.2f of the activations: %5.2f %% more, chain-dp %5.2f %%\n", shares[k],
               online.overhead, chain.overhead);
        PLB_CHECK(online.overhead <= chain.overhead + 1.5);
        PLB_CHECK(online.device <= p.limits.bytes[PLB_DEVICE]);
        PLB_CHECK_EQ(online.moved, 0);
    }
}

static void a_link_saves_half(void)
{
    static const double shares[] = {0.8, 0.6, 0.5, 0.4, 0.33, 0.25};

    printf("\n");
    for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
        struct plb_problem alone = under(shares[k], 0), linked = under(shares[k], SIZE_MAX);
        struct outcome without = plan_with(&plb_memory_online, &alone);
        struct outcome with = plan_with(&plb_memory_online, &linked);

        printf("    %.2f of the activations: %5.2f %% more with a link of 50 GB/s, %.2f GB moved\n",
               shares[k], with.overhead, 1e-9 * (double)with.moved);
        PLB_CHECK(with.moved > 0);
        PLB_CHECK(with.overhead <= (shares[k] <= 0.6 ? 0.5 : 1.0) * without.overhead);
    }
}

/* A link that takes longer than making values again is left alone. */
static void a_slow_link_is_not_waited_for(void)
{
    struct plb_platform slow = *problem.platform;
    struct plb_problem alone = under(0.5, 0), linked = under(0.5, SIZE_MAX);

    slow.link[PLB_HOST].out_bytes_per_second = slow.link[PLB_HOST].in_bytes_per_second = 1e8;
    linked.platform = &slow;
    PLB_CHECK(plan_with(&plb_memory_online, &linked).overhead <=
              plan_with(&plb_memory_online, &alone).overhead + 0.5);
}

static void host_memory_is_a_limit(void)
{
    size_t host = problem.needs.activations / 16;
    struct plb_problem p = under(0.33, host);
    struct outcome outcome = plan_with(&plb_memory_online, &p);

    PLB_CHECK(outcome.host > 0 && outcome.host <= host);
}

/* One walk answers an event; it may be a little worse than several. */
static void check_answer(size_t host)
{
    struct plb_problem before = under(0.5, host), after = under(0.4, host);
    struct plb_plan plan = {0};
    struct outcome first, second, best = plan_with(&plb_memory_online, &after);
    double began;

    PLB_REQUIRE(try(&plb_memory_online, &before, NULL, &plan, &first) == PLB_OK);
    began = now();
    PLB_REQUIRE(try(&plb_memory_online, &after, &plan, NULL, &second) == PLB_OK);
    printf("\n    replanned, checked, laid out and simulated in %.1f ms: %.2f %% more\n",
           1e3 * (now() - began), second.overhead);
    PLB_CHECK(second.device <= after.limits.bytes[PLB_DEVICE]);
    PLB_CHECK(second.overhead <= best.overhead + 3.0);
    plb_plan_clear(&plan);
}

static void pressure_is_answered(void)
{
    check_answer(0);
    check_answer(SIZE_MAX);
}

static void decisions_are_few_and_cheap(void)
{
    const struct plb__online_weights weights = {
        .distance = 0.5, .near = 0.01, .link = 0.1, .again = 1.0};
    struct plb_problem p = under(0.33, 0);
    size_t bytes = (size_t)(0.33 * (double)p.needs.activations);
    struct plb__online_result result = {.evictions = 0};
    struct plb__online *walks;
    uint32_t decisions;
    double began = now(), took;

    PLB_REQUIRE(plb__online_create(&p, &walks) == PLB_OK);
    PLB_REQUIRE(plb__online_walk(walks, bytes, &weights, &result) == PLB_OK);
    took = now() - began;
    plb__online_destroy(walks);
    decisions = result.draft.n + result.evictions;
    printf("\n    %u tasks, %u instructions, %u evictions, %u looks: %.2f us a decision\n",
           plb_graph_tasks(gpt.graph), result.draft.n, result.evictions, result.looks,
           1e6 * took / decisions);
    PLB_CHECK(result.evictions > 0);
    PLB_CHECK(result.looks <= 8 * decisions);
    plb_plan_clear(&result.draft);
}

static void memory_may_fail_anywhere(void)
{
    const struct plb__online_weights weights = {
        .distance = 0.5, .near = 0.01, .link = 0.1, .again = 1.0};
    struct plb_problem p = under(0.33, SIZE_MAX);
    size_t bytes = (size_t)(0.33 * (double)p.needs.activations);

    for (long n = 1; plb_test_alloc_available(); n++) {
        struct plb__online_result result = {.evictions = 0};
        struct plb__online *walks = NULL;
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = plb__online_create(&p, &walks);
        if (status == PLB_OK)
            status = plb__online_walk(walks, bytes, &weights, &result);
        plb__online_destroy(walks);
        plb_plan_clear(&result.draft);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        PLB_CHECK(result.evictions == 0);
    }
}

/* ---- small models ---- */

/* A GPT whose embedding is also its last matrix, and takes most of its memory. */
struct small {
    struct gpt gpt;
    double *seconds;
    struct plb_problem problem;
};

static struct small small_make(int64_t layers, int64_t hidden, int64_t vocabulary)
{
    const struct gpt_options options = {.layers = layers,
                                        .hidden = hidden,
                                        .heads = 2,
                                        .sequence = 32,
                                        .batch = 1,
                                        .vocabulary = vocabulary,
                                        .dtype = PLB_F32,
                                        .cut = true};
    struct plb_limits limits = plb_limits_none();
    struct small s;

    limits.hold_gradients = true;
    PLB_REQUIRE(gpt_make(&options, &s.gpt) == PLB_OK);
    s.seconds = calloc((size_t)plb_graph_tasks(s.gpt.graph) + 1, sizeof *s.seconds);
    PLB_REQUIRE(s.seconds != NULL);
    PLB_REQUIRE(plb_problem_prepare(s.gpt.graph, costs, &limits, s.seconds, &s.problem) == PLB_OK);
    s.problem.limits.bytes[PLB_HOST] = s.problem.limits.bytes[PLB_DISK] = 0;
    return s;
}

static void small_clear(struct small *s)
{
    free(s->seconds);
    gpt_clear(&s->gpt);
}

/* The embedding has two gradients. The first lies where their sum will, which is granted: it must
 * not be counted again. All activations together are not twice as large here. */
static void a_gradient_in_two_parts_is_granted_once(void)
{
    struct small s = small_make(4, 128, 20000);
    struct plb_problem *p = &s.problem;
    struct outcome outcome;

    PLB_CHECK(p->needs.activations < 2 * sizeof(float) * 20000 * 128);
    p->limits.bytes[PLB_DEVICE] = plb_budget_of_share(&p->needs, 0.5, 0);
    PLB_CHECK_EQ(try(&plb_memory_online, p, NULL, NULL, &outcome), PLB_OK);
    p->limits.bytes[PLB_HOST] = SIZE_MAX;
    PLB_CHECK_EQ(try(&plb_memory_swap, p, NULL, NULL, &outcome), PLB_OK);
    small_clear(&s);
}

/* The second comes in cells, which are added to the first one by one. In the graph's order all of
 * them exist before the first is added: no eviction helps then but to go the whole way back again
 * for each (GPT-2 had no plan at 0.5). */
static void gradients_do_not_pile_up(void)
{
    struct small s = small_make(4, 256, 64000);
    struct plb_problem *p = &s.problem;
    struct outcome online, chain;

    p->limits.bytes[PLB_DEVICE] = plb_budget_of_share(&p->needs, 0.25, 0);
    PLB_REQUIRE(try(&plb_memory_chain_dp, p, NULL, NULL, &chain) == PLB_OK);
    PLB_CHECK_EQ(try(&plb_memory_online, p, NULL, NULL, &online), PLB_OK);
    PLB_CHECK(online.seconds <= 1.02 * chain.seconds);
    small_clear(&s);
}

/* In bytes the gradients are not granted: to make one again would take others that are as large, so
 * they can only be moved. Where "lru" and "swap" have a plan, so has "online". */
static void what_cannot_be_made_again_is_moved(void)
{
    struct small s = small_make(4, 64, 1000);
    struct plb_problem *p = &s.problem;
    size_t online = 0, lru = 0, swap = 0;

    p->limits.hold_gradients = false;
    p->limits.bytes[PLB_HOST] = SIZE_MAX;
    PLB_CHECK_EQ(plb_plan_least(&plb_memory_online, p, &online), PLB_OK);
    PLB_CHECK_EQ(plb_plan_least(&plb_memory_lru, p, &lru), PLB_OK);
    PLB_CHECK_EQ(plb_plan_least(&plb_memory_swap, p, &swap), PLB_OK);
    printf("\n    least %zu KiB beside initial values, lru %zu KiB, swap %zu KiB\n",
           (online - p->needs.initial) >> 10, (lru - p->needs.initial) >> 10,
           (swap - p->needs.initial) >> 10);
    PLB_CHECK(online <= lru && online <= swap);
    small_clear(&s);
}

static void too_little_is_said(void)
{
    struct plb_problem p = under(0.002, 0);
    struct outcome outcome;

    PLB_CHECK_EQ(try(&plb_memory_online, &p, NULL, NULL, &outcome), PLB_ERROR_MEMORY);
}

PLB_TEST_MAIN("schedulers/online", setup, teardown, PLB_TEST(little_is_made_again),
              PLB_TEST(a_link_saves_half), PLB_TEST(a_slow_link_is_not_waited_for),
              PLB_TEST(host_memory_is_a_limit), PLB_TEST(pressure_is_answered),
              PLB_TEST(decisions_are_few_and_cheap), PLB_TEST(memory_may_fail_anywhere),
              PLB_TEST(a_gradient_in_two_parts_is_granted_once), PLB_TEST(gradients_do_not_pile_up),
              PLB_TEST(what_cannot_be_made_again_is_moved), PLB_TEST(too_little_is_said))
