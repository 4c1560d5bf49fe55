/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of the cut one by one, on fake operators: what follows an axis, what stays whole, what
 * is cut by its shape, what is refused.
 */
#include "config.h"

#include "runtime/graph/cut.h"

#include "tests/runtime/graph/cut_check.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>

static plb_graph_t *cut_of(const plb_graph_t *whole, const struct plb_cut_options *options)
{
    plb_graph_t *cut = NULL;

    PLB_CHECK_EQ(plb_graph_cut(whole, options, &cut), PLB_OK);
    if (cut == NULL)
        printf("%s\n", plb_error_message());
    PLB_REQUIRE(cut != NULL);
    return cut;
}

/* --- fake operators ------------------------------------------------------------------------- */

static enum plb_status shape_first(struct plb_task_types *types)
{
    for (int k = 0; k < types->n_out; k++)
        types->out[k] = types->in[0];
    return PLB_OK;
}

static void cost_long(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 1e9 * (double)plb_shape_elements(&types->out[0].shape);
}

static enum plb_status no_kernel(const struct plb_call *call)
{
    (void)call;
    return plb_fail(PLB_ERROR_INTERNAL, "a fake operator has no kernel");
}

/* y = f(x), row by row. */
static const struct plb_operator by_rows = {
    .name = "fake_by_rows",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape_first,
    .cost = cost_long,
    .cpu = no_kernel,
};

/* The same, and something of all rows. */
static const struct plb_operator by_rows_and_whole = {
    .name = "fake_by_rows_and_whole",
    .n_in = 1,
    .n_out = 2,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}, {.name = "z", .flags = PLB_OPTIONAL}},
    .shape = shape_first,
    .cost = cost_long,
    .cpu = no_kernel,
};

/* y = f(x), only as a whole. */
static const struct plb_operator as_a_whole = {
    .name = "fake_as_a_whole",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .flags = PLB_LIST}},
    .out = {{.name = "y"}},
    .shape = shape_first,
    .cost = cost_long,
    .cpu = no_kernel,
};

/* y = f(x...), row by row. */
static const struct plb_operator of_many = {
    .name = "fake_of_many",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_VARIADIC}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape_first,
    .cost = cost_long,
    .cpu = no_kernel,
};

/* The same, from a list of cells. */
static const struct plb_operator of_a_list = {
    .name = "fake_of_a_list",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape_first,
    .cost = cost_long,
    .cpu = no_kernel,
};

static enum plb_status shape_product(struct plb_task_types *types)
{
    types->out[0] = types->in[0];
    types->out[0].shape.dim[1] = types->in[1].shape.dim[0];
    return PLB_OK;
}

/* y[N,O] of x[N,K] and w[O,K], as a linear layer. */
static const struct plb_operator product = {
    .name = "fake_product",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}, {.name = "w", .rows = PLB_AXIS_B, .flags = PLB_LIST}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B}},
    .shape = shape_product,
    .cost = cost_long,
    .cpu = no_kernel,
};

static plb_value add(plb_graph_t *graph, const struct plb_operator *op, const plb_value *in, int n)
{
    plb_value out[PLB_OPERANDS_MAX];

    plb_graph_add_task(graph, op, NULL, in, n, NULL, out);
    return out[0];
}

static plb_value value(plb_graph_t *graph, const char *name, enum plb_role role, int64_t rows,
                       int64_t cols)
{
    return plb_graph_add_value(graph, name, role, PLB_F32, plb_shape2(rows, cols));
}

static int rows_of(const plb_graph_t *cut, plb_value whole_value)
{
    return plb_graph_cells(cut, whole_value).rows;
}

static void rows_follow_the_axis(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = value(graph, "x", PLB_ROLE_INPUT, 320, 8);
    plb_value y = add(graph, &by_rows, &x, 1);
    plb_graph_t *cut = cut_of(graph, NULL);

    PLB_CHECK_EQ(rows_of(cut, x), 10);
    PLB_CHECK_EQ(rows_of(cut, y), 10);
    PLB_CHECK_EQ(plb_graph_tasks(cut), 10);
    cut_check(graph, cut);
    plb_graph_destroy(cut);
    plb_graph_destroy(graph);
}

static void what_is_made_whole_stays_whole(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = value(graph, "x", PLB_ROLE_INPUT, 320, 8);
    plb_value y = add(graph, &by_rows, &x, 1);
    plb_value z = add(graph, &as_a_whole, &y, 1);
    plb_value u = add(graph, &by_rows, &z, 1);
    plb_graph_t *cut = cut_of(graph, NULL);

    PLB_CHECK_EQ(rows_of(cut, y), 10);
    PLB_CHECK_EQ(rows_of(cut, z), 1);
    PLB_CHECK_EQ(rows_of(cut, u), 1);
    PLB_CHECK_EQ(plb_graph_tasks(cut), 12);
    cut_check(graph, cut);
    plb_graph_destroy(cut);
    plb_graph_destroy(graph);
}

/* An output without the axis would be made by every slice. */
static void all_outputs_need_the_axis(void)
{
    const bool want[2] = {true, false};
    plb_value out[2], alone[2];
    plb_graph_t *graph = plb_graph_create();
    plb_value x = value(graph, "x", PLB_ROLE_INPUT, 320, 8);
    plb_value y = value(graph, "y", PLB_ROLE_INPUT, 320, 8);

    plb_graph_add_task(graph, &by_rows_and_whole, NULL, &x, 1, NULL, out);
    plb_graph_add_task(graph, &by_rows_and_whole, NULL, &y, 1, want, alone);
    plb_graph_t *cut = cut_of(graph, NULL);

    PLB_CHECK_EQ(rows_of(cut, out[0]), 1);
    PLB_CHECK_EQ(rows_of(cut, out[1]), 1);
    PLB_CHECK_EQ(rows_of(cut, alone[0]), 10);
    cut_check(graph, cut);
    plb_graph_destroy(cut);
    plb_graph_destroy(graph);
}

static void state_made_whole_stays_whole(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value p = value(graph, "p", PLB_ROLE_STATE, 2048, 1024);
    plb_value q = value(graph, "q", PLB_ROLE_STATE, 2048, 1024);
    plb_value p_next = add(graph, &as_a_whole, &p, 1), q_next = add(graph, &by_rows, &q, 1);

    plb_graph_carry(graph, p, p_next);
    plb_graph_carry(graph, q, q_next);
    plb_graph_t *cut = cut_of(graph, NULL);

    PLB_CHECK_EQ(rows_of(cut, p), 1);
    PLB_CHECK_EQ(rows_of(cut, p_next), 1);
    PLB_CHECK_EQ(rows_of(cut, q), 4);
    PLB_CHECK_EQ(rows_of(cut, q_next), 4);
    cut_check(graph, cut);
    plb_graph_destroy(cut);
    plb_graph_destroy(graph);
}

/* A parameter keeps its cut beside a value that must stay whole; its task gathers. */
static void parameters_keep_their_cut(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value p = value(graph, "p", PLB_ROLE_PARAMETER, 2048, 1024);
    plb_value y = add(graph, &by_rows, &p, 1), whole = add(graph, &as_a_whole, &p, 1);
    plb_value both[2] = {whole, whole}, sum = add(graph, &of_many, both, 2);
    plb_graph_t *cut = cut_of(graph, NULL);

    PLB_CHECK_EQ(rows_of(cut, p), 4);
    PLB_CHECK_EQ(rows_of(cut, y), 4);
    PLB_CHECK_EQ(rows_of(cut, sum), 1);
    cut_check(graph, cut);
    plb_graph_destroy(cut);

    both[1] = p;
    add(graph, &of_many, both, 2);
    PLB_CHECK_EQ(plb_graph_cut(graph, NULL, &cut), PLB_ERROR_INTERNAL);
    PLB_CHECK_CONTAINS(plb_error_message(), "cut differently");
    plb_graph_destroy(graph);
}

/* Columns of a long task are cut at blocks of the weight, unless a list needs whole rows of them.
 */
static void columns_follow_the_blocks(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value in[2] = {value(graph, "x", PLB_ROLE_INPUT, 3, 1024),
                       value(graph, "w", PLB_ROLE_PARAMETER, 4096, 1024)};
    plb_value y = add(graph, &product, in, 2), z = add(graph, &product, in, 2);
    plb_value gathered = add(graph, &by_rows, &y, 1), listed = add(graph, &of_a_list, &z, 1);
    plb_graph_t *cut = cut_of(graph, NULL);
    struct plb_cells cells = plb_graph_cells(cut, y);

    PLB_CHECK_EQ(cells.cols, 8);
    PLB_CHECK_EQ(plb_graph_value(cut, cells.cells[3])->col0, 3 * 512);
    PLB_CHECK_EQ(plb_graph_cells(cut, z).cols, 1);
    PLB_CHECK_EQ(plb_graph_cells(cut, gathered).cols, 1);
    PLB_CHECK_EQ(plb_graph_cells(cut, listed).cols, 1);
    PLB_CHECK_EQ(plb_graph_tasks(cut), 8 + 1 + 1 + 1);
    cut_check(graph, cut);
    plb_graph_destroy(cut);
    plb_graph_destroy(graph);
}

/* Shapes for which the blocks of a parameter are known. */
static void blocks_of_parameters(void)
{
    static const struct {
        int64_t rows, cols, block;
        int cells;
        int64_t step;
    } cases[] = {
        {50257, 768, 524288, 72, 704}, {3072, 768, 524288, 4, 768},
        {768, 3072, 524288, 4, 192},   {768, 768, 524288, 1, 768},
        {512, 1024, 524288, 1, 512},   {1023, 1024, 524288, 1, 1023},
        {1024, 1024, 524288, 2, 512},  {3, 1 << 20, 524288, 3, 1},
        {1, 1 << 22, 524288, 1, 1},    {10, 1, 1, 10, 1},
        {100, 1, 1, 100, 1},           {1 << 20, 1, 1, 4096, 256},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct plb_cut_options options = {.block_elements = cases[i].block};
        plb_graph_t *graph = plb_graph_create();
        plb_value p = value(graph, "p", PLB_ROLE_PARAMETER, cases[i].rows, cases[i].cols);
        plb_graph_t *cut = cut_of(graph, &options);
        struct plb_cells cells = plb_graph_cells(cut, p);

        PLB_CHECK_EQ(cells.rows, cases[i].cells);
        PLB_CHECK_EQ(cells.cols, 1);
        PLB_CHECK_EQ(plb_graph_value(cut, cells.cells[0])->type.shape.dim[0], cases[i].step);
        cut_check(graph, cut);
        plb_graph_destroy(cut);
        plb_graph_destroy(graph);
    }
}

/* --- failures ------------------------------------------------------------------------------- */

static void check_refused(const struct plb_cut_options *options, const char *message)
{
    plb_graph_t *graph = plb_graph_create(), *cut = graph;

    PLB_CHECK_EQ(plb_graph_cut(graph, options, &cut), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), message);
    PLB_CHECK(cut == graph);
    plb_graph_destroy(graph);
}

static void options_are_checked(void)
{
    check_refused(&(struct plb_cut_options){.target_seconds = -1}, "target_seconds is -1");
    check_refused(&(struct plb_cut_options){.target_seconds = NAN}, "target_seconds");
    check_refused(&(struct plb_cut_options){.flops_per_second = INFINITY}, "flops_per_second");
    check_refused(&(struct plb_cut_options){.bytes_per_second = 0.5}, "bytes_per_second");
    check_refused(&(struct plb_cut_options){.block_elements = -2}, "block_elements is -2");
    check_refused(&(struct plb_cut_options){.rows_min = -3}, "rows_min is -3");
}

static void graphs_are_checked(void)
{
    plb_graph_t *graph = plb_graph_create(), *cut, *again = NULL;

    cut = cut_of(graph, NULL);
    PLB_CHECK_EQ(plb_graph_values(cut), 0);
    PLB_CHECK_EQ(plb_graph_cells(cut, 0).rows, 0);
    value(graph, "x", PLB_ROLE_INPUT, 3, 4);
    plb_graph_destroy(cut);
    cut = cut_of(graph, NULL);
    PLB_CHECK_EQ(plb_graph_cells(cut, 0).rows, 1);
    PLB_CHECK_EQ(plb_graph_cells(graph, 0).rows, 0);
    PLB_CHECK_EQ(plb_graph_cut(cut, NULL, &again), PLB_ERROR_INVALID);
    plb_graph_destroy(cut);
    value(graph, "x", PLB_ROLE_INPUT, 3, 4); /* the name is taken: the graph has failed */
    PLB_CHECK_EQ(plb_graph_cut(graph, NULL, &again), PLB_ERROR_INVALID);
    PLB_CHECK(again == NULL);
    plb_graph_destroy(graph);
}

PLB_TEST_MAIN("runtime/graph/cut_rules", NULL, NULL, PLB_TEST(rows_follow_the_axis),
              PLB_TEST(what_is_made_whole_stays_whole), PLB_TEST(all_outputs_need_the_axis),
              PLB_TEST(state_made_whole_stays_whole), PLB_TEST(parameters_keep_their_cut),
              PLB_TEST(columns_follow_the_blocks), PLB_TEST(blocks_of_parameters),
              PLB_TEST(options_are_checked), PLB_TEST(graphs_are_checked))
