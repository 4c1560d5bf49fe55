/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "chain-dp" against the oracle: chains, residual blocks, skip connections and changing widths,
 * small enough for an integer programme to be solved. Without GLPK the oracle says that it is not
 * available, and there is nothing to compare with.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/graph/differentiate.h"
#include "schedulers/schedulers.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHTS_MAX 16
enum { ROWS = 512, WIDTH = 64, CLASSES = 16 };
/* Of the ten comparisons. */
enum { PROVED_LEAST = 8 };

/* A graph under construction. */
struct net {
    plb_graph_t *graph;
    plb_value weight[WEIGHTS_MAX];
    int n_weights;
};

static const struct plb_memory_policy *oracle;
static int n_proved, n_unavailable;

static plb_value linear(struct net *net, plb_value x, int64_t in, int64_t out)
{
    char name[8];
    plb_value w;

    snprintf(name, sizeof name, "w%d", net->n_weights);
    w = plb_graph_add_value(net->graph, name, PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(out, in));
    net->weight[net->n_weights++] = w;
    return plb_linear(net->graph, x, w, PLB_NONE);
}

static plb_value layer(struct net *net, plb_value x, int64_t in, int64_t out)
{
    return plb_gelu(net->graph, linear(net, x, in, out), PLB_GELU_TANH);
}

static plb_value chain(struct net *net, plb_value x)
{
    for (int k = 0; k < 3; k++)
        x = layer(net, x, WIDTH, WIDTH);
    return linear(net, x, WIDTH, CLASSES);
}

static plb_value residual(struct net *net, plb_value x)
{
    for (int k = 0; k < 2; k++) {
        plb_value h = layer(net, x, WIDTH, 4 * WIDTH);

        x = plb_add(net->graph, x, linear(net, h, 4 * WIDTH, WIDTH));
    }
    return linear(net, x, WIDTH, CLASSES);
}

static plb_value skip(struct net *net, plb_value x)
{
    plb_value first = layer(net, x, WIDTH, WIDTH);
    plb_value h = layer(net, first, WIDTH, 4 * WIDTH);

    h = plb_add(net->graph, linear(net, h, 4 * WIDTH, WIDTH), first);
    return linear(net, h, WIDTH, CLASSES);
}

static plb_value u_net(struct net *net, plb_value x)
{
    plb_value wide = layer(net, x, WIDTH, 2 * WIDTH);
    plb_value narrow = layer(net, wide, 2 * WIDTH, WIDTH);
    plb_value h = plb_add(net->graph, layer(net, narrow, WIDTH, WIDTH), narrow);

    return plb_add(net->graph, linear(net, h, WIDTH, 2 * WIDTH), wide);
}

static plb_value widening(struct net *net, plb_value x)
{
    for (int k = 0; k < 3; k++) {
        int64_t out = WIDTH / 2 << k;

        x = layer(net, x, WIDTH, out);
        if (k < 2)
            x = linear(net, x, out, WIDTH);
    }
    return x;
}

static enum plb_status build(plb_value (*body)(struct net *net, plb_value x), struct net *net)
{
    plb_value gradient[WEIGHTS_MAX], loss, targets, x;

    net->graph = plb_graph_create();
    if (!net->graph)
        return PLB_ERROR_MEMORY;
    x = plb_graph_add_value(net->graph, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(ROWS, WIDTH));
    targets = plb_graph_add_value(net->graph, "targets", PLB_ROLE_INPUT, PLB_I32, plb_shape1(ROWS));
    loss = plb_cross_entropy(net->graph, body(net, x), targets);
    loss = plb_mean_loss(net->graph, loss, targets);
    plb_graph_output(net->graph, loss);
    plb_graph_set_phase(net->graph, PLB_PHASE_BACKWARD);
    PLB_TRY(plb_graph_differentiate(net->graph, loss, net->weight, net->n_weights, gradient));
    for (int k = 0; k < net->n_weights; k++)
        plb_graph_output(net->graph, gradient[k]);
    return plb_graph_status(net->graph);
}

/* Seconds of all RUNs of the policy's plan, and what the plan calls itself. */
static enum plb_status seconds_of(const struct plb_memory_policy *policy,
                                  const struct plb_problem *problem, double *seconds_out,
                                  char name_out[64])
{
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;

    PLB_TRY(plb_plan_make(policy, problem, PLB_EVENT_PRESSURE, NULL, &plan, &layout));
    *seconds_out = 0.0;
    for (uint32_t i = 0; i < plan.n; i++)
        if (plan.instruction[i].code == PLB_RUN)
            *seconds_out += problem->seconds[plan.instruction[i].subject];
    snprintf(name_out, 64, "%s", plan.policy);
    plb_layout_clear(&layout);
    plb_plan_clear(&plan);
    return PLB_OK;
}

/* Only what is proved the best is compared with. */
static void compare(const char *name, struct plb_problem *problem, double once, double share)
{
    double best = 0.0, chain_dp = 0.0;
    char proved[64], other[64];
    enum plb_status status;

    problem->limits.bytes[PLB_DEVICE] = plb_budget_of_share(&problem->needs, share, 0);
    status = seconds_of(oracle, problem, &best, proved);
    if (status == PLB_ERROR_UNAVAILABLE) {
        n_unavailable++;
        printf("    %s\n", plb_error_message());
        return;
    }
    PLB_REQUIRE(status == PLB_OK);
    PLB_REQUIRE(seconds_of(&plb_memory_chain_dp, problem, &chain_dp, other) == PLB_OK);
    PLB_CHECK_STRING(other, "chain-dp");
    printf("    %-9s %.2f: %s %5.2f %% more, chain-dp %5.2f %%\n", name, share, proved,
           100.0 * (best / once - 1.0), 100.0 * (chain_dp / once - 1.0));
    PLB_CHECK(best > (1.0 - 1e-9) * once);
    PLB_CHECK(best <= (1.0 + 1e-6) * chain_dp);
    if (strcmp(proved, "oracle") != 0)
        return;
    n_proved++;
    PLB_CHECK(chain_dp <= 1.03 * best);
}

static void chain_dp_is_near_the_oracle(void)
{
    static const struct {
        const char *name;
        plb_value (*body)(struct net *net, plb_value x);
        double share[3]; /* 0: none */
    } cases[] = {
        {"chain", chain, {0.9, 0.8, 0.6}},      {"residual", residual, {0.8, 0.7}},
        {"skip", skip, {0.8, 0.7}},             {"u-net", u_net, {0.9}},
        {"widening", widening, {0.9, 0.7}},
    };

    printf("\n");
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct net net = {.graph = NULL};
        struct plb_limits limits = plb_limits_none();
        struct plb_problem problem;
        double *seconds, once = 0.0;

        PLB_REQUIRE(build(cases[k].body, &net) == PLB_OK);
        seconds = calloc((size_t)plb_graph_tasks(net.graph) + 1, sizeof *seconds);
        PLB_REQUIRE(seconds != NULL);
        PLB_REQUIRE(plb_problem_prepare(net.graph, NULL, &limits, seconds, &problem) == PLB_OK);
        for (plb_task_id t = 0; t < plb_graph_tasks(net.graph); t++)
            once += seconds[t];
        for (int i = 0; i < 3 && cases[k].share[i] > 0.0; i++)
            compare(cases[k].name, &problem, once, cases[k].share[i]);
        free(seconds);
        plb_graph_destroy(net.graph);
    }
    PLB_CHECK(n_unavailable > 0 || n_proved >= PROVED_LEAST);
}

static void large_graphs_are_refused(void)
{
    const struct random_options options = {.seed = 1, .shape = RANDOM_CHAIN, .blocks = 6};
    struct random_graph made;
    struct plb_limits limits = plb_limits_none();
    struct plb_problem problem;
    struct plb_plan plan = {.n = 0};
    double *seconds;

    PLB_REQUIRE(random_graph_make(&options, &made) == PLB_OK);
    seconds = calloc((size_t)plb_graph_tasks(made.graph) + 1, sizeof *seconds);
    PLB_REQUIRE(seconds != NULL);
    PLB_REQUIRE(plb_problem_prepare(made.graph, NULL, &limits, seconds, &problem) == PLB_OK);
    PLB_CHECK_EQ(oracle->plan(&problem, &plan), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "at most 30 tasks");
    free(seconds);
    random_graph_clear(&made);
}

static int setup(void)
{
    setenv("PALOMBE_POLICY_PATH", plb_test_build("schedulers/memory/.libs"), 1);
    return plb_memory_policy_find("oracle", &oracle) == PLB_OK ? 0 : 1;
}

PLB_TEST_MAIN("schedulers/memory/oracle", setup, NULL, PLB_TEST(chain_dp_is_near_the_oracle),
              PLB_TEST(large_graphs_are_refused))
