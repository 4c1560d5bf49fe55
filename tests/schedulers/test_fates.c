/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What static policies stand on: groups and segments of a step, what remaking costs, plans that
 * follow from fates, the fit of a target, and moves put ahead.
 */
#include "config.h"

#include "runtime/plan/simulate.h"
#include "runtime/plan/writer.h"
#include "schedulers/memory/common/fates.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/memory/common/prefetch.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 6

struct step {
    struct random_graph graph;
    double *seconds;
    struct plb_platform platform;
    struct plb_problem problem;
    struct plb__fates *fates;
};

static struct step step_make(enum random_shape shape, bool unnumbered)
{
    struct random_options options = {
        .seed = 9, .shape = shape, .blocks = BLOCKS, .width = 32, .unnumbered = unnumbered};
    struct step s = {.platform = plb_platform_nominal(1)};

    s.platform.link[PLB_HOST] = (struct plb_link){2e8, 2e8, 1e-6, true};
    PLB_REQUIRE(random_graph_make(&options, &s.graph) == PLB_OK);
    s.seconds = malloc((plb_graph_tasks(s.graph.graph) + 1) * sizeof *s.seconds);
    PLB_REQUIRE(s.seconds != NULL);
    PLB_REQUIRE(plb_problem_prepare(s.graph.graph, NULL, NULL, s.seconds, &s.problem) == PLB_OK);
    return s;
}

/* The problem is referred to, so it must be where it stays. */
static void step_look(struct step *s)
{
    s->problem.platform = &s->platform;
    PLB_REQUIRE(plb__fates_create(&s->problem, &s->fates) == PLB_OK);
}

static void step_clear(struct step *s)
{
    plb__fates_destroy(s->fates);
    random_graph_clear(&s->graph);
    free(s->seconds);
}

/* --- groups and segments -------------------------------------------------------------------- */

static void groups_are_the_tasks_of_the_whole_graph(void)
{
    struct step s = step_make(RANDOM_U_NET, false);
    double seconds = 0, forward = 0;
    size_t saved = 0;

    step_look(&s);
    for (uint32_t g = 0; g < s.fates->n_groups; g++) {
        PLB_CHECK(s.fates->group[g].saved == (s.fates->group[g].saved_bytes > 0));
        PLB_CHECK(s.fates->group[g].saved_bytes <= s.fates->group[g].bytes);
        seconds += s.fates->group[g].seconds;
        saved += s.fates->group[g].saved_bytes;
    }
    for (plb_task_id t = 0; t < plb_graph_tasks(s.graph.graph); t++)
        if (plb_graph_task(s.graph.graph, t)->phase == PLB_PHASE_FORWARD)
            forward += s.seconds[t];
    PLB_CHECK_NEAR(seconds, forward, 1e-9 * forward);
    PLB_CHECK_EQ(saved, s.problem.needs.saved);
    PLB_CHECK_EQ(plb__fates_kept_bytes(s.fates), saved);
    PLB_CHECK(s.fates->n_groups < plb_graph_tasks(s.graph.graph) / 3);
    step_clear(&s);
}

/* Before the blocks the embedding, after them the head; the backward pass goes back through all. */
static void segments_are_blocks(void)
{
    struct step s = step_make(RANDOM_CHAIN, false);
    uint32_t last;

    step_look(&s);
    PLB_CHECK(s.fates->has_blocks);
    PLB_CHECK_EQ(s.fates->n_segments, BLOCKS + 2);
    last = s.fates->n_segments - 1;
    for (uint32_t k = 0; k < s.fates->n_segments; k++)
        PLB_CHECK_EQ(s.fates->closes[k], k == last);
    for (plb_task_id t = 1; t < plb_graph_tasks(s.graph.graph); t++) {
        uint32_t before = s.fates->segment_of[t - 1], here = s.fates->segment_of[t];
        bool forward = plb_graph_task(s.graph.graph, t)->phase == PLB_PHASE_FORWARD;

        PLB_CHECK(forward ? here == before || here == before + 1 : here <= before);
    }
    PLB_CHECK_EQ(s.fates->segment_of[plb_graph_tasks(s.graph.graph) - 1], 0);
    step_clear(&s);
}

static void without_blocks_stretches_take_their_place(void)
{
    struct step s = step_make(RANDOM_CHAIN, true);
    double root;

    step_look(&s);
    root = sqrt(s.fates->n_groups);
    PLB_CHECK(!s.fates->has_blocks);
    PLB_CHECK(s.fates->n_segments > 2 && s.fates->n_segments <= root + 1);
    step_clear(&s);
}

static uint32_t crossing(const struct plb__fates *fates)
{
    uint32_t n = 0;

    for (uint32_t g = 0; g < fates->n_groups; g++)
        n += fates->group[g].crosses;
    return n;
}

static void joined_segments_hand_on_less(void)
{
    struct step s = step_make(RANDOM_CHAIN, false);
    uint32_t into[BLOCKS + 2], before;

    step_look(&s);
    before = crossing(s.fates);
    for (uint32_t k = 0; k < s.fates->n_segments; k++)
        into[k] = k / 2;
    plb__fates_join(s.fates, into);
    PLB_CHECK_EQ(s.fates->n_segments, BLOCKS / 2 + 1);
    PLB_CHECK(crossing(s.fates) > 0 && crossing(s.fates) < before);
    PLB_CHECK(s.fates->closes[s.fates->n_segments - 1] && !s.fates->closes[0]);
    step_clear(&s);
}

/* With all that it reads at hand a group costs its own time; with nothing at hand, all before it.
 */
static void remaking_costs_what_is_missing(void)
{
    struct step s = step_make(RANDOM_CHAIN, false);
    double alone = 0, all = 0, forward = 0;
    uint32_t last;

    step_look(&s);
    last = s.fates->n_groups - 1;
    for (uint32_t g = 0; g <= last; g++) {
        s.fates->group[g].fate = PLB__KEEP;
        forward += s.fates->group[g].seconds;
    }
    PLB_CHECK_EQ(plb__fates_remake_seconds(s.fates, last, &alone), PLB_OK);
    PLB_CHECK_NEAR(alone, s.fates->group[last].seconds, 1e-12);
    for (uint32_t g = 0; g <= last; g++)
        s.fates->group[g].fate = PLB__REMAKE;
    PLB_CHECK_EQ(plb__fates_remake_seconds(s.fates, last, &all), PLB_OK);
    PLB_CHECK_NEAR(all, forward, 1e-9);
    step_clear(&s);
}

/* --- plans ---------------------------------------------------------------------------------- */

static uint32_t count_code(const struct plb_plan *plan, enum plb_opcode code)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < plan->n; i++)
        n += plan->instruction[i].code == code;
    return n;
}

static void check_plan(struct step *s, struct plb_plan *plan)
{
    plan->fingerprint = plb_graph_fingerprint(s->graph.graph);
    PLB_CHECK_EQ(plb_plan_check(plan, s->graph.graph, &s->problem.limits), PLB_OK);
}

static void fates_decide(void)
{
    struct step s = step_make(RANDOM_U_NET, false);
    struct plb_plan kept = {0}, offloaded = {0}, remade = {0};

    step_look(&s);
    s.problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    PLB_CHECK_EQ(plb__fates_plan(s.fates, &kept), PLB_OK);
    check_plan(&s, &kept);
    PLB_CHECK_EQ(count_code(&kept, PLB_RUN), plb_graph_tasks(s.graph.graph));
    PLB_CHECK_EQ(count_code(&kept, PLB_OFFLOAD), 0);
    for (uint32_t g = 0; g < s.fates->n_groups; g++) {
        s.fates->group[g].tier = PLB_HOST;
        if (s.fates->group[g].saved)
            s.fates->group[g].fate = PLB__OFFLOAD;
    }
    PLB_CHECK_EQ(plb__fates_plan(s.fates, &offloaded), PLB_OK);
    check_plan(&s, &offloaded);
    PLB_CHECK_EQ(count_code(&offloaded, PLB_RUN), plb_graph_tasks(s.graph.graph));
    PLB_CHECK(count_code(&offloaded, PLB_OFFLOAD) > 0);
    PLB_CHECK(count_code(&offloaded, PLB_FETCH) >= count_code(&offloaded, PLB_OFFLOAD));
    for (uint32_t g = 0; g < s.fates->n_groups; g++)
        s.fates->group[g].fate = PLB__REMAKE;
    PLB_CHECK_EQ(plb__fates_plan(s.fates, &remade), PLB_OK);
    check_plan(&s, &remade);
    PLB_CHECK(count_code(&remade, PLB_RUN) > plb_graph_tasks(s.graph.graph));
    plb_plan_clear(&kept);
    plb_plan_clear(&offloaded);
    plb_plan_clear(&remade);
    step_clear(&s);
}

static double simulated(const struct step *s, const struct plb_plan *plan)
{
    struct plb_simulation simulation = {0};
    struct plb_layout layout = {0};
    double seconds;

    PLB_CHECK_EQ(plb_layout_assign(plan, s->graph.graph, &s->problem.limits, &layout), PLB_OK);
    PLB_CHECK_EQ(plb_simulate(plan, &layout, &s->problem, &simulation), PLB_OK);
    seconds = simulation.seconds;
    plb_simulation_clear(&simulation);
    plb_layout_clear(&layout);
    return seconds;
}

static bool reads(const struct plb_task *task, plb_value v)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (task->in[j] == v)
            return true;
    return false;
}

/* RUNs between FETCHes and the tasks that they are for. */
static uint32_t lead(const struct step *s, const struct plb_plan *plan)
{
    uint32_t runs = 0;

    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->instruction[i].code != PLB_FETCH)
            continue;
        for (uint32_t k = i + 1; k < plan->n; k++) {
            if (plan->instruction[k].code != PLB_RUN)
                continue;
            if (reads(plb_graph_task(s->graph.graph, plan->instruction[k].subject),
                      plan->instruction[i].subject))
                break;
            runs++;
        }
    }
    return runs;
}

/* FETCHes stand earlier, as far as the room allows, and the step takes no longer. */
static void moves_are_put_ahead(void)
{
    struct step s = step_make(RANDOM_CHAIN, false);
    struct plb_plan plan = {0}, ahead = {0}, some = {0};
    double before, after;

    step_look(&s);
    s.problem.limits.bytes[PLB_HOST] = SIZE_MAX;
    s.problem.limits.hold_gradients = true;
    for (uint32_t g = 0; g < s.fates->n_groups; g++) {
        s.fates->group[g].tier = PLB_HOST;
        if (plb__fates_worth(s.fates, g))
            s.fates->group[g].fate = PLB__OFFLOAD;
    }
    PLB_CHECK_EQ(plb__fates_plan(s.fates, &plan), PLB_OK);
    check_plan(&s, &plan);
    PLB_CHECK_EQ(plb__prefetch(&s.problem, &plan, SIZE_MAX, &ahead), PLB_OK);
    check_plan(&s, &ahead);
    PLB_CHECK_EQ(ahead.n, plan.n);
    PLB_CHECK(lead(&s, &ahead) > 2 * lead(&s, &plan));
    s.problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&s.problem.needs, 0.6, 0);
    PLB_CHECK_EQ(plb__prefetch(&s.problem, &plan, s.problem.limits.bytes[PLB_DEVICE], &some),
                 PLB_OK);
    check_plan(&s, &some);
    PLB_CHECK(lead(&s, &some) > lead(&s, &plan) && lead(&s, &some) <= lead(&s, &ahead));
    s.problem.limits.bytes[PLB_DEVICE] = SIZE_MAX;
    before = simulated(&s, &plan);
    after = simulated(&s, &ahead);
    PLB_CHECK(after <= before);
    printf("\n    RUNs between FETCHes and readers: %u on demand, %u with little room, %u ahead\n",
           lead(&s, &plan), lead(&s, &some), lead(&s, &ahead));
    plb_plan_clear(&plan);
    plb_plan_clear(&ahead);
    plb_plan_clear(&some);
    step_clear(&s);
}

/* --- the fit -------------------------------------------------------------------------------- */

struct asked {
    size_t threshold; /* from here on the policy proposes a plan that needs all memory */
    size_t smallest;  /* below this it has none */
    size_t taken;     /* the largest target below the threshold that it was asked for */
};

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    struct asked *asked = context;
    struct plb__fates *fates;
    enum plb_status status;

    if (target < asked->smallest)
        return plb_fail(PLB_ERROR_MEMORY, "%zu is too small", target);
    PLB_TRY(plb__fates_create(problem, &fates));
    for (uint32_t g = 0; g < fates->n_groups && target < asked->threshold; g++)
        if (!fates->group[g].crosses && !fates->closes[fates->group[g].segment])
            fates->group[g].fate = PLB__REMAKE;
    if (target < asked->threshold && target > asked->taken)
        asked->taken = target;
    status = plb__fates_plan(fates, plan_out);
    plb__fates_destroy(fates);
    return status;
}

/* Too large above a threshold, none below another: the fit finds what is between. */
static void the_fit_finds_the_largest_target(void)
{
    struct step s = step_make(RANDOM_CHAIN, false);
    struct asked asked = {.threshold = 700, .smallest = 600};
    struct plb__fit fit = {.propose = propose, .context = &asked, .most = 1000};
    struct plb_plan plan = {0};

    s.problem.platform = &s.platform;
    s.problem.limits.hold_gradients = true;
    s.problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&s.problem.needs, 0.75, 0);
    PLB_CHECK_EQ(plb__fit_plan(&s.problem, &fit, &plan), PLB_OK);
    PLB_CHECK(asked.taken >= 690 && asked.taken < 700);
    check_plan(&s, &plan);
    plb_plan_clear(&plan);
    asked.smallest = 1001;
    PLB_CHECK_EQ(plb__fit_plan(&s.problem, &fit, &plan), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "too small");
    PLB_CHECK_EQ(plan.n, 0);
    step_clear(&s);
}

PLB_TEST_MAIN("schedulers/fates", NULL, NULL, PLB_TEST(groups_are_the_tasks_of_the_whole_graph),
              PLB_TEST(segments_are_blocks), PLB_TEST(without_blocks_stretches_take_their_place),
              PLB_TEST(joined_segments_hand_on_less), PLB_TEST(remaking_costs_what_is_missing),
              PLB_TEST(fates_decide), PLB_TEST(moves_are_put_ahead),
              PLB_TEST(the_fit_finds_the_largest_target))
