/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts under memory policies: what was received cannot be made again, what is sent is sent once,
 * places do not come to wait for each other, and the bits stay.
 */
#include "config.h"

#include "runtime/plan/policy.h"
#include "runtime/plan/writer.h"
#include "schedulers/schedulers.h"
#include "tests/runtime/plan/stages.h"
#include "tests/support/gpt.h"
#include "tests/support/parts.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define STAGES    2
#define TASKS_MAX 4096

struct bench {
    struct random_graph graph;
    struct gpt gpt; /* whose graphs these are, if there is one */
    plb_places_t *places;
    struct plb_hybrid hybrid;
    struct plb_spread spread;
    struct plb_plan plan[STAGES];
    struct plb_layout layout[STAGES];
};

/* A transformer of four blocks, two passes of a batch: what crosses is activations, gradients, and
 * the norm that clips. */
static void bench_make(struct bench *b, uint64_t seed)
{
    const struct random_options options = {
        .seed = seed, .shape = RANDOM_CHAIN, .blocks = 4, .width = 16, .batch = 2, .passes = 2};

    *b = (struct bench){.places = stages_places(STAGES)};
    PLB_REQUIRE(b->places != NULL);
    PLB_REQUIRE(random_graph_make(&options, &b->graph) == PLB_OK);
    PLB_REQUIRE(stages_make(b->graph.graph, STAGES, &b->hybrid) == PLB_OK);
    if (plb_hybrid_spread(&b->hybrid, b->graph.graph, b->places, &b->spread) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    PLB_REQUIRE(b->spread.n_transfers > 0);
}

/* A GPT in four micro-batches, one forward, one backward. */
static void bench_make_gpt(struct bench *b, double *seconds)
{
    const struct gpt_options options = {.layers = 4,
                                        .hidden = 16,
                                        .heads = 2,
                                        .sequence = 24,
                                        .batch = 8,
                                        .vocabulary = 40,
                                        .dtype = PLB_F32,
                                        .micro_batches = 4};
    const double *kinds[] = {seconds};
    struct plb_parallel_problem problem = {.seconds = kinds};

    *b = (struct bench){.places = stages_places(STAGES)};
    PLB_REQUIRE(b->places != NULL && gpt_make(&options, &b->gpt) == PLB_OK);
    PLB_REQUIRE(plb_graph_tasks(b->gpt.graph) < TASKS_MAX);
    b->graph.whole = plb_model_graph(b->gpt.model);
    problem.graph = b->graph.graph = b->gpt.graph;
    problem.places = b->places;
    PLB_REQUIRE(plb_costs_of_graph(NULL, b->gpt.graph, seconds, NULL) == PLB_OK);
    if (plb_hybrid_make(&plb_parallel_1f1b, &problem, PLB_EVENT_DRIFT, NULL, &b->hybrid,
                        &b->spread) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    PLB_REQUIRE(b->spread.n_transfers > 0);
}

static void plans_clear(struct bench *b)
{
    for (int p = 0; p < STAGES; p++) {
        plb_plan_clear(&b->plan[p]);
        plb_layout_clear(&b->layout[p]);
    }
}

static void bench_clear(struct bench *b)
{
    plans_clear(b);
    plb_spread_clear(&b->spread);
    plb_hybrid_clear(&b->hybrid);
    plb_places_destroy(b->places);
    if (b->gpt.model)
        gpt_clear(&b->gpt);
    else
        random_graph_clear(&b->graph);
}

static enum plb_status plan_part(struct bench *b, int p, const struct plb_memory_policy *policy,
                                 double share, double **seconds)
{
    const plb_graph_t *graph = b->spread.part[p].graph;
    struct plb_limits limits = {.bytes = {SIZE_MAX, 0, (size_t)1 << 30}, .hold_gradients = true};
    struct plb_problem problem;

    *seconds = malloc(plb_graph_tasks(graph) * sizeof **seconds);
    PLB_REQUIRE(*seconds != NULL);
    PLB_REQUIRE(plb_problem_prepare(graph, NULL, &limits, *seconds, &problem) == PLB_OK);
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        PLB_CHECK((*seconds)[t] > 0 || b->spread.part[p].transfer[t] != PLB_NONE);
    problem.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, share, 0);
    return plb_plan_make(policy, &problem, PLB_EVENT_PRESSURE, NULL, &b->plan[p], &b->layout[p]);
}

static void check_bits(struct bench *b)
{
    const struct plb_plan *const plan[] = {&b->plan[0], &b->plan[1]};
    plb_interpreter_t *reference = NULL;

    PLB_REQUIRE(plb_interpreter_create(b->graph.whole, b->graph.graph, &reference) == PLB_OK);
    for (plb_value v = 0; v < plb_graph_values(b->graph.whole); v++) {
        const struct plb_value_info *info = plb_graph_value(b->graph.whole, v);
        size_t bytes = plb_type_bytes(&info->type);
        void *data = malloc(bytes);

        PLB_REQUIRE(data != NULL);
        if (info->producer == PLB_NONE) {
            random_graph_fill(&b->graph, v, data);
            PLB_CHECK_EQ(plb_interpreter_write(reference, v, data, bytes), PLB_OK);
        }
        free(data);
    }
    if (parts_step(&b->spread, plan, reference, 1) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    plb_interpreter_destroy(reference);
}

/* One policy at one share of the activations' memory. Tells whether it kept the budget. */
static bool check_policy(struct bench *b, const struct plb_memory_policy *policy, double share)
{
    enum plb_status status = PLB_OK;

    for (int p = 0; p < STAGES && status == PLB_OK; p++) {
        double *seconds;

        status = plan_part(b, p, policy, share, &seconds);
        free(seconds);
    }
    if (status != PLB_OK && status != PLB_ERROR_MEMORY)
        PLB_CHECK_STRING(plb_error_message(), policy->name);
    if (status == PLB_OK)
        check_bits(b);
    plans_clear(b);
    return status == PLB_OK;
}

/* Policies that send values away or make them again where it helps. */
static bool is_strong(const struct plb_memory_policy *policy)
{
    return policy == &plb_memory_chain_dp || policy == &plb_memory_offload_dp ||
           policy == &plb_memory_online || policy == &plb_memory_lru ||
           policy == &plb_memory_swap || policy == &plb_memory_starpu;
}

static void every_policy_plans_parts(void)
{
    int n;
    const struct plb_memory_policy *const *policy = plb_memory_policies(&n);

    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct bench b;

        bench_make(&b, seed);
        for (int k = 0; k < n; k++) {
            PLB_CHECK(check_policy(&b, policy[k], 1.2));
            if (!check_policy(&b, policy[k], 0.6) && is_strong(policy[k]))
                PLB_CHECK_STRING(plb_error_message(), policy[k]->name);
        }
        bench_clear(&b);
    }
}

/* ---- pipelines under budgets ---- */

/* With the layouts' waits all comes to its end, in the order of the schedule; running again takes
 * time. */
static void check_time(struct bench *b, const double *seconds, double *makespan_out)
{
    const struct plb_plan *const plan[] = {&b->plan[0], &b->plan[1]};
    const struct plb_layout *const layout[] = {&b->layout[0], &b->layout[1]};
    const double *const kinds[] = {seconds};
    const struct plb_spread_problem problem = {.places = b->places,
                                               .in_order = b->hybrid.in_order,
                                               .plan = plan,
                                               .layout = layout,
                                               .seconds = kinds};
    struct plb_spread_simulation simulation = {0};

    if (plb_spread_simulate(&b->spread, b->graph.graph, &problem, &simulation) != PLB_OK)
        PLB_CHECK_STRING(plb_error_message(), "");
    for (int p = 0; p < STAGES && simulation.place; p++)
        PLB_CHECK_EQ(simulation.place[p].peak, plb_layout_device_bytes(&b->layout[p]));
    *makespan_out = simulation.seconds;
    plb_spread_simulation_clear(&simulation);
}

static void plan_parts(struct bench *b, const struct plb_memory_policy *policy, double share)
{
    for (int p = 0; p < STAGES; p++) {
        double *seconds;

        if (plan_part(b, p, policy, share, &seconds) != PLB_OK)
            PLB_CHECK_STRING(plb_error_message(), policy->name);
        free(seconds);
    }
}

static void pipelines_keep_budgets_and_bits(void)
{
    static const struct plb_memory_policy *const policy[] = {
        &plb_memory_none, &plb_memory_chain_dp, &plb_memory_online, &plb_memory_swap};
    static const double share[] = {1.2, 0.65, 0.65, 0.65};
    static double seconds[TASKS_MAX];
    double kept = 0, makespan = 0;
    struct bench b;

    bench_make_gpt(&b, seconds);
    for (size_t k = 0; k < sizeof policy / sizeof policy[0]; k++) {
        plan_parts(&b, policy[k], share[k]);
        check_time(&b, seconds, k == 0 ? &kept : &makespan);
        PLB_CHECK(k == 0 || makespan >= kept);
        check_bits(&b);
        plans_clear(&b);
    }
    bench_clear(&b);
}

/* ---- what runs once ---- */

static plb_task_id find_transfer(const struct plb_part *part, bool sends)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(part->graph); t++)
        if (sends ? plb_operator_is_send(plb_graph_task(part->graph, t)->op)
                  : plb_operator_is_receive(plb_graph_task(part->graph, t)->op))
            return t;
    return PLB_NONE;
}

/* The part's plan without the instruction that runs a task, or with it twice. */
static void check_times(const struct plb_part *part, plb_task_id task, int times, const char *says)
{
    struct plb_plan plan = {.fingerprint = part->plan.fingerprint};

    for (uint32_t i = 0; i < part->plan.n; i++) {
        const struct plb_instruction *it = &part->plan.instruction[i];
        bool is_it = it->code == PLB_RUN && it->subject == task;

        for (int k = is_it ? times : 1; k > 0; k--)
            PLB_REQUIRE(plb_plan_append(&plan, *it) == PLB_OK);
    }
    PLB_CHECK_EQ(plb_plan_check(&plan, part->graph, NULL), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), says);
    plb_plan_clear(&plan);
}

static void transfers_run_once(void)
{
    struct bench b;
    plb_task_id send, receive;

    bench_make(&b, 1);
    send = find_transfer(&b.spread.part[0], true);
    receive = find_transfer(&b.spread.part[1], false);
    PLB_REQUIRE(send != PLB_NONE && receive != PLB_NONE);
    check_times(&b.spread.part[0], send, 0, "has not run");
    check_times(&b.spread.part[0], send, 2, "only once in a step");
    check_times(&b.spread.part[1], receive, 2, "only once in a step");
    bench_clear(&b);
}

static void the_writer_keeps_what_was_received(void)
{
    struct bench b;
    plb_writer_t *writer;
    plb_task_id receive;
    plb_value value;

    bench_make(&b, 1);
    receive = find_transfer(&b.spread.part[1], false);
    value = plb_graph_task(b.spread.part[1].graph, receive)->out[0];
    PLB_REQUIRE(plb_writer_create(b.spread.part[1].graph, &writer) == PLB_OK);
    PLB_CHECK_EQ(plb_writer_run(writer, receive), PLB_OK);
    PLB_CHECK_EQ(plb_writer_run(writer, receive), PLB_OK);
    PLB_CHECK_EQ(plb_writer_length(writer), 1);
    plb_writer_forget(writer, value);
    PLB_CHECK(plb_writer_has(writer, value));
    PLB_CHECK_EQ(plb_writer_offload(writer, value, PLB_DISK), PLB_OK);
    plb_writer_forget(writer, value);
    PLB_CHECK(!plb_writer_has(writer, value));
    PLB_CHECK_EQ(plb_writer_need(writer, value), PLB_OK);
    PLB_CHECK(plb_writer_has(writer, value));
    plb_writer_destroy(writer);
    bench_clear(&b);
}

PLB_TEST_MAIN("runtime/plan/hybrid_memory", NULL, NULL, PLB_TEST(every_policy_plans_parts),
              PLB_TEST(pipelines_keep_budgets_and_bits),
              PLB_TEST(transfers_run_once), PLB_TEST(the_writer_keeps_what_was_received))
