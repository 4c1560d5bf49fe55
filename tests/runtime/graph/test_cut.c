/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How models of several shapes are cut. The rules one by one are tested in test_cut_rules.c, what
 * cut graphs compute in test_cut_run.c.
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
              PLB_TEST(memory_runs_out))
