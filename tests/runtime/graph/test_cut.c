/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How graphs are cut: the rules of operator.h and cut.h on models of several shapes, and on fake
 * operators for what no real one does. What cut graphs compute is tested in test_cut_run.c.
 */
#include "config.h"

#include "runtime/graph/cut.h"

#include "runtime/base/random.h"
#include "tests/runtime/graph/cut_check.h"
#include "tests/runtime/graph/models.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOPS 1e11 /* the default rates of cut.h */
#define BYTES 8e9

static const struct model_shape gpt2 = {
    .batch = 4, .sequence = 64, .width = 768, .heads = 12, .layers = 12, .vocabulary = 50257};

static plb_graph_t *cut_of(const plb_graph_t *whole, const struct plb_cut_options *options)
{
    plb_graph_t *cut = NULL;

    PLB_CHECK_EQ(plb_graph_cut(whole, options, &cut), PLB_OK);
    if (cut == NULL)
        printf("%s\n", plb_error_message());
    PLB_REQUIRE(cut != NULL);
    return cut;
}

/* With PLB_TEST_VERBOSE set, what a cut looks like. */
static void show(const char *name, const plb_graph_t *whole, const struct cut_figures *f)
{
    static const char *const bins[] = {"1us",   "2us",   "5us", "10us", "20us", "50us",
                                       "100us", "500us", "1ms", "2ms",  "5ms",  "more"};

    if (getenv("PLB_TEST_VERBOSE") == NULL)
        return;
    printf("\n%s: %u tasks of %u, %u values of %u, at most %d cells and %u operands\n", name,
           f->tasks, plb_graph_tasks(whole), f->values, plb_graph_values(whole), f->cells_most,
           f->operands_most);
    printf("  %.3f s, a task %.2f ms, longest %.2f ms, good %.1f %%, sums %.1f %%\n ", f->total,
           1e3 * f->mean, 1e3 * f->longest, 100 * f->share_good, 100 * f->share_sums);
    for (int i = 0; i < 12; i++)
        printf(" <%s: %u", bins[i], f->histogram[i]);
    printf("\n");
}

/* Cuts a model twice, checks all rules, and gives the figures. */
static struct cut_figures check_model(const char *name, struct model model,
                                      const struct plb_cut_options *options, plb_graph_t **cut_out)
{
    plb_graph_t *cut, *again;
    struct cut_figures figures;

    if (plb_graph_status(model.graph) != PLB_OK)
        printf("%s: %s\n", name, plb_error_message());
    PLB_REQUIRE(plb_graph_status(model.graph) == PLB_OK);
    cut = cut_of(model.graph, options);
    again = cut_of(model.graph, options);
    PLB_CHECK(plb_graph_fingerprint(cut) == plb_graph_fingerprint(again));
    cut_check(model.graph, cut);
    figures = cut_figures(cut, FLOPS, BYTES);
    show(name, model.graph, &figures);
    plb_graph_destroy(again);
    if (cut_out != NULL)
        *cut_out = cut;
    else
        plb_graph_destroy(cut);
    return figures;
}

static struct plb_cells cells_named(const plb_graph_t *whole, const plb_graph_t *cut,
                                    const char *name)
{
    struct plb_cells cells = plb_graph_cells(cut, plb_graph_find(whole, name));

    PLB_REQUIRE(cells.rows > 0);
    return cells;
}

/* --- models --------------------------------------------------------------------------------- */

static void training_of_gpt2(void)
{
    struct model model = model_gpt(&gpt2);
    plb_graph_t *cut;
    struct cut_figures f = check_model("GPT-2 124M, 4 x 64", model, NULL, &cut);

    PLB_CHECK_EQ(cells_named(model.graph, cut, "tokens").rows, 4);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "wte").rows, 72);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "h.0.2.w").rows, 4);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "h.0.1.w").rows, 1);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "h.0.2.b").rows, 1);
    PLB_CHECK_EQ(plb_graph_cells(cut, model.logits).rows, 4);
    PLB_CHECK(plb_graph_cells(cut, model.logits).cols > 10);
    PLB_CHECK(f.longest <= 8e-3);
    PLB_CHECK(f.share_good >= 0.9);
    PLB_CHECK(f.share_sums <= 0.05);
    PLB_CHECK(f.mean > 1e-3 && f.mean < 4e-3);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

static void one_long_sequence(void)
{
    struct model_shape shape = gpt2;
    plb_graph_t *cut;

    shape.batch = 1;
    shape.sequence = 1024;
    shape.clip = true;
    struct model model = model_gpt(&shape);
    struct cut_figures f = check_model("GPT-2 124M, 1 x 1024", model, NULL, &cut);

    PLB_CHECK_EQ(cells_named(model.graph, cut, "tokens").rows, 16);
    PLB_CHECK(f.longest <= 10e-3);
    PLB_CHECK(f.share_good >= 0.9);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

static void large_model(void)
{
    struct model_shape shape = gpt2;

    shape.layers = 48;
    shape.width = 1600;
    shape.heads = 25;
    struct model model = model_gpt(&shape);
    struct cut_figures f = check_model("GPT-2 1.5B, 4 x 64", model, NULL, NULL);

    PLB_CHECK(f.longest <= 12e-3);
    PLB_CHECK(f.share_good >= 0.9);
    PLB_CHECK(f.tasks < 40000);
    plb_graph_destroy(model.graph);
}

static void working_copies_in_bf16(void)
{
    struct model_shape shape = gpt2;
    plb_graph_t *cut;

    shape.working = true;
    shape.clip = true;
    struct model model = model_gpt(&shape);

    check_model("GPT-2 124M, 4 x 64, bf16", model, NULL, &cut);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "wte").rows, 72);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "wte.master").rows, 72);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

/* One row: nothing to slice, so columns are cut where a weight takes long to read. */
static void decoding(void)
{
    struct model_shape shape = gpt2;
    plb_graph_t *cut;

    shape.batch = 1;
    shape.sequence = 256;
    struct model model = model_decode(&shape);
    struct cut_figures f = check_model("GPT-2 124M, decoding", model, NULL, &cut);

    PLB_CHECK_EQ(plb_graph_cells(cut, model.logits).rows, 1);
    PLB_CHECK(plb_graph_cells(cut, model.logits).cols >= 8);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "cache.0").rows, 1);
    PLB_CHECK(f.longest <= 4e-3);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

/* A smaller target cuts the columns of the layers, too. */
static void decoding_with_a_small_target(void)
{
    const struct plb_cut_options options = {.target_seconds = 2e-4};
    struct model_shape shape = gpt2;

    shape.batch = 1;
    shape.sequence = 256;
    struct model model = model_decode(&shape);
    struct cut_figures f = check_model("GPT-2 124M, decoding at 0.2 ms", model, &options, NULL);

    PLB_CHECK(f.longest <= 6e-4);
    plb_graph_destroy(model.graph);
}

static void images(void)
{
    struct model_shape shape = {.batch = 32, .width = 32, .vocabulary = 10};
    struct model model = model_images(&shape);
    plb_graph_t *cut;
    struct cut_figures f = check_model("images, 32 x 3 x 32 x 32", model, NULL, &cut);
    struct plb_cells cells = plb_graph_cells(cut, model.tokens);

    PLB_CHECK(cells.rows > 1 && cells.rows <= 32);
    PLB_CHECK(f.longest <= 8e-3);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

static void small_models_stay_whole(void)
{
    const struct model_shape shape = {
        .batch = 2, .sequence = 16, .width = 32, .heads = 2, .layers = 2, .vocabulary = 100};
    struct model model = model_gpt(&shape);
    struct cut_figures f = check_model("tiny", model, NULL, NULL);

    PLB_CHECK_EQ(f.tasks, plb_graph_tasks(model.graph));
    PLB_CHECK_EQ(f.values, plb_graph_values(model.graph));
    PLB_CHECK_EQ(f.cells_most, 1);
    plb_graph_destroy(model.graph);
}

/* Everything that can be cut is: many cells, windows within sequences, trees. */
static void everything_is_cut(void)
{
    const struct plb_cut_options options = {
        .target_seconds = 1e-9, .bytes_per_second = 1e18, .block_elements = 64, .rows_min = 2};
    const struct model_shape shape = {.batch = 3,
                                      .sequence = 10,
                                      .width = 16,
                                      .heads = 2,
                                      .layers = 2,
                                      .vocabulary = 50,
                                      .clip = true,
                                      .working = true};
    struct model model = model_gpt(&shape);
    plb_graph_t *cut;
    struct cut_figures f = check_model("tiny, in crumbs", model, &options, &cut);

    PLB_CHECK_EQ(cells_named(model.graph, cut, "tokens").rows, 15);
    PLB_CHECK_EQ(cells_named(model.graph, cut, "wte").rows, 10);
    PLB_CHECK_EQ(plb_graph_cells(cut, model.logits).cols, 10);
    PLB_CHECK(f.share_sums > 0);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

/* Numbers below n, the same ones in each run. */
static int64_t draw(uint64_t *counter, uint32_t n)
{
    uint32_t words[4];

    plb_random_words(5, 1, (*counter)++, words);
    return (int64_t)(words[0] % n);
}

/* The rules hold for shapes that fit nothing, too. */
static void shapes_at_random(void)
{
    uint64_t counter = 0;

    for (int i = 0; i < 60; i++) {
        struct plb_cut_options options = {.target_seconds = pow(10, -9 + (double)draw(&counter, 7)),
                                          .bytes_per_second = i % 2 ? 1e18 : 0,
                                          .block_elements = 1 + draw(&counter, 500),
                                          .rows_min = 1 + draw(&counter, 40)};
        struct model_shape shape = {.batch = 1 + draw(&counter, 9),
                                    .sequence = 1 + draw(&counter, 40),
                                    .heads = 1 + draw(&counter, 3),
                                    .layers = draw(&counter, 3),
                                    .vocabulary = 2 + draw(&counter, 90),
                                    .working = i % 3 == 0,
                                    .clip = i % 4 == 0};

        shape.width = shape.heads * 2 * (1 + draw(&counter, 8));
        struct model model = i % 5 ? model_gpt(&shape) : model_decode(&shape);

        check_model("random", model, &options, NULL);
        plb_graph_destroy(model.graph);
    }
}

static void check_same_cells(const plb_graph_t *a, const plb_graph_t *cut_a, const plb_graph_t *b,
                             const plb_graph_t *cut_b)
{
    int compared = 0;

    for (plb_value value = 0; value < plb_graph_values(a); value++) {
        const struct plb_value_info *info = plb_graph_value(a, value);
        plb_value other = plb_graph_find(b, info->name);
        struct plb_cells x, y;

        if (info->role != PLB_ROLE_PARAMETER || info->producer != PLB_NONE || other == PLB_NONE)
            continue;
        x = plb_graph_cells(cut_a, value);
        y = plb_graph_cells(cut_b, other);
        PLB_CHECK_EQ(x.rows, y.rows);
        PLB_CHECK_EQ(x.cols, y.cols);
        for (int i = 0; i < x.rows && i < y.rows; i++)
            PLB_CHECK_EQ(plb_graph_value(cut_a, x.cells[i])->row0,
                         plb_graph_value(cut_b, y.cells[i])->row0);
        compared++;
    }
    PLB_CHECK(compared > 100);
}

/* Graphs of one model share its parameters, so these are cut alike whatever the graph is. */
static void parameters_are_cut_by_their_shape(void)
{
    const struct plb_cut_options coarse = {.target_seconds = 0.1, .rows_min = 7};
    struct model_shape shape = gpt2;

    struct model training = model_gpt(&shape);
    shape.batch = 2;
    struct model decode = model_decode(&shape);
    plb_graph_t *a = cut_of(training.graph, NULL), *b = cut_of(decode.graph, NULL);
    plb_graph_t *c = cut_of(training.graph, &coarse);

    check_same_cells(training.graph, a, decode.graph, b);
    check_same_cells(training.graph, a, training.graph, c);
    plb_graph_destroy(a);
    plb_graph_destroy(b);
    plb_graph_destroy(c);
    plb_graph_destroy(training.graph);
    plb_graph_destroy(decode.graph);
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
    cost_out->flops = 1e9 * (double)plb_shape_elements(&types->in[0].shape);
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

static void memory_runs_out(void)
{
    const struct plb_cut_options options = {
        .target_seconds = 1e-9, .bytes_per_second = 1e18, .block_elements = 64, .rows_min = 2};
    const struct model_shape shape = {
        .batch = 1, .sequence = 4, .width = 16, .heads = 2, .layers = 1, .vocabulary = 20};
    struct model model = model_gpt(&shape);
    long n = 1;

    for (; plb_test_alloc_available(); n++) {
        plb_graph_t *cut = NULL;

        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_graph_cut(model.graph, &options, &cut);
        if (!plb_test_alloc_stop()) {
            PLB_CHECK_EQ(status, PLB_OK);
            plb_graph_destroy(cut);
            break;
        }
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        PLB_CHECK(cut == NULL);
    }
    PLB_CHECK(n > 10 || !plb_test_alloc_available());
    plb_graph_destroy(model.graph);
}

PLB_TEST_MAIN("runtime/graph/cut", NULL, NULL, PLB_TEST(training_of_gpt2),
              PLB_TEST(one_long_sequence), PLB_TEST(large_model), PLB_TEST(working_copies_in_bf16),
              PLB_TEST(decoding), PLB_TEST(decoding_with_a_small_target), PLB_TEST(images),
              PLB_TEST(small_models_stay_whole), PLB_TEST(everything_is_cut),
              PLB_TEST(shapes_at_random), PLB_TEST(parameters_are_cut_by_their_shape),
              PLB_TEST(rows_follow_the_axis), PLB_TEST(what_is_made_whole_stays_whole),
              PLB_TEST(all_outputs_need_the_axis), PLB_TEST(state_made_whole_stays_whole),
              PLB_TEST(parameters_keep_their_cut), PLB_TEST(blocks_of_parameters),
              PLB_TEST(options_are_checked), PLB_TEST(graphs_are_checked),
              PLB_TEST(memory_runs_out))
