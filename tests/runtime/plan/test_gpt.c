/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The base of all figures about memory: what a step of a large GPT keeps and takes on an H200-like
 * card when nothing is dropped, against formulas worked out by hand. Run it to see the numbers.
 *
 * The unit of doc/costs.md is s h bytes (s positions, h features): a tensor of the hidden state in
 * bf16 is 2 units.
 */
#include "config.h"

#include "runtime/plan/simulate.h"
#include "schedulers/schedulers.h"
#include "tests/support/gpt.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>

static struct gpt_options options;
static struct gpt gpt;
static plb_costs_t *costs;
static double *seconds;
static struct plb_problem problem;

static int setup(void)
{
    options = gpt_large();
    if (gpt_make(&options, &gpt) != PLB_OK ||
        plb_costs_load(plb_test_source("data/costs/h200.json"), &costs) != PLB_OK)
        return 1;
    seconds = calloc(plb_graph_tasks(gpt.graph) + 1, sizeof *seconds);
    return !seconds || plb_problem_prepare(gpt.graph, costs, NULL, seconds, &problem) != PLB_OK;
}

static int teardown(void)
{
    free(seconds);
    plb_costs_destroy(costs);
    gpt_clear(&gpt);
    return 0;
}

static double unit(void)
{
    return (double)(options.sequence * options.hidden);
}

/* ln1 2, qkv 6, attention 2, x1 2, ln2 2, fc1 8, gelu 8, x2 2 units; and what the backward pass
 * reads of sums over rows: mean and deviation of both norms, a number for each head's row. */
static double block_bytes(void)
{
    return 32 * unit() + 4.0 * (double)options.sequence * (double)(4 + options.heads);
}

static void a_block_saves_32_units(void)
{
    double s = (double)options.sequence;
    /* The embeddings' sum, the last norm with its sums, logits and a number for each of their rows.
     */
    double rest = 4 * unit() + 8 * s + 2 * s * (double)options.vocabulary + 4 * s;

    PLB_CHECK_NEAR((double)problem.needs.saved, (double)options.layers * block_bytes() + rest, 0);
    PLB_CHECK_NEAR(block_bytes() / unit(), 32.0, 0.04);
    printf("\n  %u tasks, %u values\n  saved per block %.3f units, outside of blocks %.3f\n",
           plb_graph_tasks(gpt.graph), plb_graph_values(gpt.graph), block_bytes() / unit(),
           rest / unit());
    printf("  initial %.2f GB, gradients %.2f GB, activations %.2f GB, saved %.2f GB\n",
           1e-9 * (double)problem.needs.initial, 1e-9 * (double)problem.needs.gradients,
           1e-9 * (double)problem.needs.activations, 1e-9 * (double)problem.needs.saved);
}

/* 16 bytes a parameter but for the gradient, which is 4 (f32). */
static void parameters_take_what_adamw_takes(void)
{
    double n = (double)plb_model_elements(gpt.model);

    PLB_CHECK_NEAR((double)problem.needs.initial, 14 * n, 1e-3 * n); /* 2, master 4, moments 8 */
    PLB_CHECK_NEAR((double)problem.needs.gradients, 4 * n, 1e-3 * n);
    /* Between saved and the most that exists there is little: the last block's gradients. */
    PLB_CHECK(problem.needs.activations >= problem.needs.saved);
    PLB_CHECK_NEAR((double)problem.needs.activations, (double)problem.needs.saved, 40 * unit());
}

static double phase_seconds(enum plb_phase phase, int block)
{
    double sum = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(gpt.graph); t++) {
        const struct plb_task *task = plb_graph_task(gpt.graph, t);

        if (task->phase == phase && (block < 0 || task->block == block))
            sum += seconds[t];
    }
    return sum;
}

/* Products at 700 TFLOP/s: 24 s h^2 of the matrices, 2 s^2 h of causal attention; the rest at 4
 * TB/s: two norms and two dropouts (4 units each), two sums (6), gelu (16). */
static void a_block_takes_its_roofline(void)
{
    double s = (double)options.sequence, h = (double)options.hidden;
    double forward = (24 * s * h * h + 2 * s * s * h) / 700e12 + 36 * unit() / 4e12;
    double link = plb_costs_platform(costs)->link[PLB_HOST].out_bytes_per_second;

    PLB_CHECK_NEAR(phase_seconds(PLB_PHASE_FORWARD, 1), forward, 0.01 * forward);
    /* What can leave for the host while one block computes, in units. */
    PLB_CHECK_NEAR(link * phase_seconds(PLB_PHASE_FORWARD, 1) / unit(), 8.1, 0.1);
    printf(
        "\n  block: forward %.3f ms, backward %.3f ms; a link of %g GB/s moves %.2f units of it\n",
        1e3 * phase_seconds(PLB_PHASE_FORWARD, 1), 1e3 * phase_seconds(PLB_PHASE_BACKWARD, 1),
        1e-9 * link, link * phase_seconds(PLB_PHASE_FORWARD, 1) / unit());
}

static void nothing_dropped_takes_the_sum(void)
{
    double forward = phase_seconds(PLB_PHASE_FORWARD, -1);
    double backward = phase_seconds(PLB_PHASE_BACKWARD, -1);
    double update = phase_seconds(PLB_PHASE_UPDATE, -1);
    const struct plb_memory_policy *none = NULL;
    struct plb_simulation result = {0};
    struct plb_layout layout = {0};
    struct plb_plan plan = {0};

    PLB_REQUIRE(plb_memory_policy_find("none", &none) == PLB_OK);
    PLB_REQUIRE(plb_plan_make(none, &problem, PLB_EVENT_DRIFT, NULL, &plan, &layout) == PLB_OK);
    PLB_REQUIRE(plb_simulate(&plan, &layout, &problem, &result) == PLB_OK);
    PLB_CHECK_NEAR(result.seconds, forward + backward + update, 1e-9);
    PLB_CHECK_NEAR(result.waited_seconds, 0, 1e-9);
    PLB_CHECK_EQ(result.again_tasks, 0);
    PLB_CHECK_NEAR(backward / forward, 2.0, 0.1); /* two products for each of the forward pass */
    printf(
        "\n  none: %u instructions, %.2f GB on the device, %.2f ms: forward %.2f, backward %.2f, "
        "update %.2f\n",
        plan.n, 1e-9 * (double)result.peak[PLB_DEVICE], 1e3 * result.seconds, 1e3 * forward,
        1e3 * backward, 1e3 * update);
    plb_simulation_clear(&result);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
}

PLB_TEST_MAIN("runtime/plan/gpt", setup, teardown, PLB_TEST(a_block_saves_32_units),
              PLB_TEST(parameters_take_what_adamw_takes), PLB_TEST(a_block_takes_its_roofline),
              PLB_TEST(nothing_dropped_takes_the_sum))
