/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Differentiation: gradients of small random graphs against finite differences (in double
 * precision, on operators of the test), and the structure of what is added.
 */
#include "config.h"

#include "runtime/graph/differentiate.h"
#include "tests/runtime/graph/fake.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS   3
#define INPUTS 4
#define GRAPHS 300

static double unit(uint64_t *random)
{
    return fake_draw(random, 1 << 20) / (double)(1 << 19) - 1.0;
}

/* --- against finite differences --------------------------------------------------------------- */

/* A random graph on INPUTS square values, and its loss. */
static plb_value random_loss(plb_graph_t *graph, uint64_t *random)
{
    const struct plb_operator *const ops[] = {&fake_mul, &fake_linear, &fake_powers, &fake_gather,
                                              &fake_one};
    const bool both[2] = {true, true};
    uint32_t tasks = 1 + fake_draw(random, 6);
    char name[16];

    for (int k = 0; k < INPUTS; k++) {
        snprintf(name, sizeof name, "x%d", k);
        fake_input(graph, name, ROWS, ROWS);
    }
    for (uint32_t t = 0; t < tasks; t++) {
        const struct plb_operator *op = ops[fake_draw(random, 9) % 5];
        int n = op == &fake_gather ? 1 + (int)fake_draw(random, 4) : op->n_in;
        plb_value in[4], out[2];

        for (int k = 0; k < n; k++)
            in[k] = fake_draw(random, plb_graph_values(graph));
        plb_graph_add_task(graph, op, NULL, in, n, both, out);
    }
    return fake_unary(graph, &fake_total, plb_graph_values(graph) - 1);
}

static double loss_at(const plb_graph_t *graph, plb_value loss, double *const *data)
{
    fake_evaluate(graph, data);
    return data[loss][0];
}

/* Compares one gradient, PLB_NONE standing for zero, with central differences. */
static void check_gradient(const plb_graph_t *graph, plb_value loss, plb_value x, plb_value dx,
                           double **data)
{
    const double step = 1e-4;
    double expected[ROWS * ROWS];

    for (int i = 0; i < ROWS * ROWS; i++) {
        double at = data[x][i], above, below;

        data[x][i] = at + step;
        above = loss_at(graph, loss, data);
        data[x][i] = at - step;
        below = loss_at(graph, loss, data);
        data[x][i] = at;
        expected[i] = (above - below) / (2 * step);
    }
    fake_evaluate(graph, data);
    for (int i = 0; i < ROWS * ROWS; i++)
        PLB_CHECK_NEAR(dx == PLB_NONE ? 0 : data[dx][i], expected[i],
                       1e-5 * (1 + fabs(expected[i])));
}

static void random_graph(uint64_t *random)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value loss = random_loss(graph, random), wanted[INPUTS + 1], d[INPUTS + 1];
    double **data;

    for (plb_value v = 0; v < INPUTS; v++)
        wanted[v] = v;
    wanted[INPUTS] = INPUTS; /* the first task's output */
    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, wanted, INPUTS + 1, d), PLB_OK);
    data = fake_allocate(graph);
    for (int k = 0; k < INPUTS; k++) {
        for (int i = 0; i < ROWS * ROWS; i++)
            data[k][i] = unit(random);
    }
    for (int k = 0; k < INPUTS; k++)
        check_gradient(graph, loss, wanted[k], d[k], data);
    fake_free(graph, data);
    plb_graph_destroy(graph);
}

static void random_graphs_agree_with_finite_differences(void)
{
    uint64_t random = 1 << 20;

    for (int k = 0; k < GRAPHS; k++) {
        unsigned failures = CU_get_number_of_failures();

        random_graph(&random);
        if (CU_get_number_of_failures() != failures) {
            printf("graph %d of PLB_TEST_SEED=%llu\n", k, (unsigned long long)fake_seed());
            return;
        }
    }
}

/* --- structure -------------------------------------------------------------------------------- */

static uint32_t count_tasks(const plb_graph_t *graph, const char *op)
{
    uint32_t n = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        n += strcmp(plb_graph_task(graph, t)->op->name, op) == 0;
    return n;
}

static void only_the_path_is_differentiated(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 4, 4), w = fake_input(graph, "w", 4, 4);
    plb_value v = fake_input(graph, "v", 4, 4), other = fake_input(graph, "other", 4, 4), h, loss;
    plb_value wanted[2] = {v, other}, d[2];

    plb_graph_set_block(graph, 0);
    plb_graph_set_scope(graph, "h.0");
    h = fake_binary(graph, &fake_linear, x, w);
    plb_graph_set_block(graph, 1);
    plb_graph_set_scope(graph, "h.1");
    h = fake_binary(graph, &fake_linear, h, v);
    plb_graph_set_block(graph, -1);
    plb_graph_set_scope(graph, NULL);
    fake_binary(graph, &fake_linear, other, h); /* leads nowhere */
    loss = fake_unary(graph, &fake_total, h);
    plb_graph_set_block(graph, 5);
    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, wanted, 2, d), PLB_OK);
    PLB_CHECK_EQ(d[1], PLB_NONE);
    PLB_CHECK_EQ(count_tasks(graph, "fill"), 1);
    PLB_CHECK_EQ(count_tasks(graph, "fake_spread"), 1);
    PLB_CHECK_EQ(count_tasks(graph, "fake_linear_dw"), 1);
    PLB_CHECK_EQ(count_tasks(graph, "fake_linear_dx"), 0);
    PLB_CHECK_EQ(plb_graph_tasks(graph), 7);
    PLB_CHECK_STRING(plb_graph_value(graph, d[0])->name, "d(v)");
    PLB_CHECK_EQ(plb_graph_value(graph, d[0])->role, PLB_ROLE_GRADIENT);
    PLB_CHECK_STRING(plb_graph_task(graph, 6)->name, "h.1/fake_linear_dw");
    PLB_CHECK_EQ(plb_graph_task(graph, 6)->block, 1);
    PLB_CHECK_EQ(plb_graph_task(graph, 5)->block, -1);
    PLB_CHECK_EQ(plb_graph_task(graph, 6)->phase, PLB_PHASE_BACKWARD);
    /* What was set before is set again. */
    fake_unary(graph, &fake_one, x);
    PLB_CHECK_EQ(plb_graph_task(graph, 7)->block, 5);
    PLB_CHECK_EQ(plb_graph_task(graph, 7)->phase, PLB_PHASE_FORWARD);
    PLB_CHECK_STRING(plb_graph_task(graph, 7)->name, "fake_one");
    plb_graph_destroy(graph);
}

/* Three uses of x: two additions, in the order of the visit, that is from the last task back. */
static void contributions_are_added_in_fixed_order(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 4, 4), a, b, c, loss, d, abc[3];
    const struct plb_task *last, *first;

    a = fake_unary(graph, &fake_powers, x);
    b = fake_unary(graph, &fake_powers, x);
    c = fake_unary(graph, &fake_powers, x);
    abc[0] = a;
    abc[1] = b;
    abc[2] = c;
    loss = fake_unary(graph, &fake_total, fake_many(graph, &fake_gather, abc, 3));
    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, &x, 1, &d), PLB_OK);
    PLB_CHECK_EQ(count_tasks(graph, "add"), 2);
    PLB_CHECK_EQ(count_tasks(graph, "fake_power_dx"), 3);
    last = plb_graph_task(graph, plb_graph_value(graph, d)->producer);
    PLB_CHECK_STRING(last->op->name, "add");
    first = plb_graph_task(graph, plb_graph_value(graph, last->in[0])->producer);
    PLB_CHECK_STRING(first->op->name, "add");
    PLB_CHECK(first->in[0] < first->in[1] && first->in[1] < last->in[1]);
    PLB_CHECK_STRING(plb_graph_value(graph, d)->name, "d(x)");
    plb_graph_destroy(graph);
}

static void no_path_no_tasks(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 4, 4), loss, d;

    loss = fake_unary(graph, &fake_total, fake_unary(graph, &fake_one, x));
    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, &x, 1, &d), PLB_OK);
    PLB_CHECK_EQ(d, PLB_NONE);
    PLB_CHECK_EQ(plb_graph_tasks(graph), 2);
    /* The loss itself is wanted: its gradient is the seed. */
    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, &loss, 1, &d), PLB_OK);
    PLB_CHECK_EQ(plb_graph_tasks(graph), 3);
    PLB_CHECK_STRING(plb_graph_value(graph, d)->name, "d(fake_total)");
    plb_graph_destroy(graph);
}

/* A failure sticks and leaves gradients_out as it was. */
static void check_refused(plb_graph_t *graph, plb_value loss, plb_value wanted, const char *part)
{
    plb_value d = 4711;

    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, &wanted, 1, &d), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), part);
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(d, 4711);
    plb_graph_destroy(graph);
}

static void wrong_arguments_are_refused(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 4, 4);

    check_refused(graph, x, x, "the loss is not made by a task");
    graph = plb_graph_create();
    x = fake_input(graph, "x", 4, 4);
    check_refused(graph, fake_unary(graph, &fake_one, x), x, "fake_one is f32[4,4], not f32[1]");
    graph = plb_graph_create();
    x = fake_input(graph, "x", 4, 4);
    check_refused(graph, fake_unary(graph, &fake_total, x), 99, "is wanted of value 99");
    graph = plb_graph_create();
    check_refused(graph, PLB_NONE, PLB_NONE, "the loss is not made by a task");
}

static enum plb_status transposed_gradient(struct plb_gradient *g)
{
    g->d_in[0] = fake_unary(g->graph, &fake_total, g->d_out[0]);
    return PLB_OK;
}

static void a_gradient_of_a_wrong_shape_is_our_own_bug(void)
{
    struct plb_operator wrong = fake_one;
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 4, 4), loss, d;

    wrong.gradient = transposed_gradient;
    loss = fake_unary(graph, &fake_total, fake_unary(graph, &wrong, x));
    PLB_CHECK_EQ(plb_graph_differentiate(graph, loss, &x, 1, &d), PLB_ERROR_INTERNAL);
    PLB_CHECK_STRING(plb_error_message(), "fake_one: the gradient of x, f32[4,4], came as f32[1]");
    plb_graph_destroy(graph);
}

static void short_memory_is_a_sticky_failure(void)
{
    for (long n = 1; plb_test_alloc_available(); n++) {
        plb_graph_t *graph = plb_graph_create();
        plb_value x = fake_input(graph, "x", 4, 4), y = x, loss, d;
        enum plb_status status;
        bool failed;

        for (int k = 0; k < 400; k++) /* so that chunks and blocks run out on the way */
            y = fake_unary(graph, &fake_powers, y);
        loss = fake_unary(graph, &fake_total, y);
        plb_test_alloc_fail_at(n);
        status = plb_graph_differentiate(graph, loss, &x, 1, &d);
        failed = plb_test_alloc_stop();
        PLB_CHECK_EQ(status, failed ? PLB_ERROR_MEMORY : PLB_OK);
        PLB_CHECK_EQ(plb_graph_status(graph), status);
        plb_graph_destroy(graph);
        if (!failed) {
            PLB_CHECK(n > 7);
            break;
        }
    }
}

PLB_TEST_MAIN("runtime/graph/differentiate", NULL, NULL,
              PLB_TEST(random_graphs_agree_with_finite_differences),
              PLB_TEST(only_the_path_is_differentiated),
              PLB_TEST(contributions_are_added_in_fixed_order), PLB_TEST(no_path_no_tasks),
              PLB_TEST(wrong_arguments_are_refused),
              PLB_TEST(a_gradient_of_a_wrong_shape_is_our_own_bug),
              PLB_TEST(short_memory_is_a_sticky_failure))
