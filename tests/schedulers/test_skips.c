/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "chain-dp" and "offload-dp" on a graph that is no chain: a U-Net of four levels, whose first maps
 * wait through the whole network, with modelled costs on one worker and a link of 150 MB/s, in
 * simulated time. Under each budget they are as fast as "online", which knows no blocks, and there
 * is a plan where that has one.
 */
#include "config.h"

#include "frontends/nn/layers.h"
#include "frontends/nn/model.h"
#include "frontends/nn/optimizer.h"
#include "frontends/nn/unet.h"
#include "runtime/graph/cut.h"
#include "runtime/plan/simulate.h"
#include "schedulers/memory/chain/chain_skips.h"
#include "schedulers/memory/chain/squeeze.h"
#include "schedulers/schedulers.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { BUDGETS = 1 };
#else
enum { BUDGETS = 3 };
#endif
enum { IMAGES = 4, COLOURS = 3, SIDE = 64, LEVELS = 4, CHANNELS = 16 };

static const double shares[] = {0.33, 0.5, 0.25};

static plb_model_t *model;
static plb_graph_t *graph;
static plb_costs_t *costs;
static double *seconds;
static struct plb_problem problem;
static double none_seconds;

static enum plb_status simulate(const struct plb_memory_policy *policy,
                                const struct plb_problem *asked, double *seconds_out)
{
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;
    struct plb_simulation simulation;
    enum plb_status status;

    PLB_TRY(plb_plan_make(policy, asked, PLB_EVENT_PRESSURE, NULL, &plan, &layout));
    status = plb_layout_device_bytes(&layout) <= asked->limits.bytes[PLB_DEVICE]
                 ? plb_simulate(&plan, &layout, asked, &simulation)
                 : PLB_ERROR_INTERNAL;
    if (status == PLB_OK) {
        *seconds_out = simulation.seconds;
        plb_simulation_clear(&simulation);
    }
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return status;
}

static enum plb_status build(void)
{
    const struct plb_model_options options = {PLB_F32, 1, true};
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    struct plb_training training;
    plb_value x, target, loss;

    PLB_TRY(plb_model_create(&options, &model));
    x = plb_nn_input(model, "images", PLB_F32, plb_shape4(IMAGES, COLOURS, SIDE, SIDE), NULL);
    target = plb_nn_input(model, "points", PLB_I32, plb_shape1(IMAGES), NULL);
    x = plb_unet(model, x, &(struct plb_unet_config){LEVELS, CHANNELS});
    loss = plb_nn_loss(model, x, target);
    plb_graph_output(plb_model_graph(model), loss);
    PLB_TRY(plb_model_status(model));
    PLB_TRY(plb_nn_train(model, loss, &optimizer, &training));
    return plb_graph_cut(plb_model_graph(model), NULL, &graph);
}

static enum plb_status prepare(void)
{
    struct plb_platform platform = plb_platform_nominal(1);
    struct plb_limits limits = plb_limits_none();

    platform.link[PLB_HOST] = (struct plb_link){150e6, 150e6, 0.0, true};
    platform.bytes[PLB_HOST] = SIZE_MAX;
    limits.hold_gradients = true;
    PLB_TRY(build());
    PLB_TRY(plb_costs_create(&platform, &costs));
    seconds = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *seconds);
    if (!seconds)
        return PLB_ERROR_MEMORY;
    PLB_TRY(plb_problem_prepare(graph, costs, &limits, seconds, &problem));
    return simulate(&plb_memory_none, &problem, &none_seconds);
}

static int setup(void)
{
    return prepare() == PLB_OK ? 0 : 1;
}

static int teardown(void)
{
    free(seconds);
    plb_costs_destroy(costs);
    plb_graph_destroy(graph);
    plb_model_destroy(model);
    return 0;
}

/* Percent that the policy adds to a step; infinite where it has no plan. */
static double overhead(const struct plb_memory_policy *policy, double share, size_t host)
{
    struct plb_problem asked = problem;
    double taken = 0.0;
    enum plb_status status;

    asked.limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem.needs, share, 0);
    asked.limits.bytes[PLB_HOST] = host;
    asked.limits.bytes[PLB_DISK] = 0;
    status = simulate(policy, &asked, &taken);
    PLB_CHECK(status == PLB_OK || status == PLB_ERROR_MEMORY);
    return status == PLB_OK ? 100.0 * (taken / none_seconds - 1.0) : INFINITY;
}

static void blocks_are_no_hindrance(void)
{
    printf("\n");
    for (int k = 0; k < BUDGETS; k++) {
        double again = overhead(&plb_memory_chain_dp, shares[k], 0);
        double away = overhead(&plb_memory_offload_dp, shares[k], SIZE_MAX);
        double online_again = overhead(&plb_memory_online, shares[k], 0);
        double online_away = overhead(&plb_memory_online, shares[k], SIZE_MAX);

        printf("    %.2f of the activations: chain-dp %5.1f %% more, online without a link %5.1f %%; "
               "offload-dp %5.1f %%, online %5.1f %%\n",
               shares[k], again, online_again, away, online_away);
        PLB_CHECK(isinf(online_again) || again <= online_again + 0.1);
        PLB_CHECK(isinf(online_away) || away <= online_away + 0.1);
        PLB_CHECK(away <= again + 0.1 || isinf(again));
    }
}

/* The bytes that were asked for are kept, and what is given up costs no more than running all of the
 * forward pass for every value anew would. */
static void plans_are_squeezed_to_the_byte(void)
{
    struct plb__chains *chains;
    struct plb_plan plan = {.n = 0};
    size_t before, after, room;

    PLB_REQUIRE(plb__chains_take(&problem, PLB__GRAIN_BLOCKS, &chains) == PLB_OK);
    PLB_CHECK(plb__chains_have_skips(chains, &problem));
    PLB_REQUIRE(plb__chains_solve(chains, NULL) == PLB_OK);
    PLB_REQUIRE(plb__chains_write(chains, &problem, plb__chains_most(chains), &plan) == PLB_OK);
    PLB_REQUIRE(plb__plan_peak(graph, &plan, &chains->sizes, &before) == PLB_OK);
    room = before / 2;
    PLB_CHECK_EQ(plb__squeeze(&problem, &chains->sizes, room, &plan), PLB_OK);
    PLB_REQUIRE(plb__plan_peak(graph, &plan, &chains->sizes, &after) == PLB_OK);
    PLB_CHECK(after <= room);
    PLB_CHECK_EQ(plb_plan_check(&plan, graph, NULL), PLB_OK);
    PLB_CHECK_EQ(plb__squeeze(&problem, &chains->sizes, 1, &plan), PLB_ERROR_MEMORY);
    PLB_CHECK_EQ(plb_plan_check(&plan, graph, NULL), PLB_OK);
    plb_plan_clear(&plan);
    plb__chains_give(chains);
}

PLB_TEST_MAIN("schedulers/memory/skips", setup, teardown, PLB_TEST(blocks_are_no_hindrance),
              PLB_TEST(plans_are_squeezed_to_the_byte))
