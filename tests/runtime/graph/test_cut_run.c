/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What cut graphs compute: the same as the whole graph, with the real kernels. Exactly the same
 * where rows are only sliced; within rounding where a cut changes the order of a sum or the shape
 * of a matrix product.
 */
#include "config.h"

#include "runtime/graph/cut.h"

#include "codelets/codelets.h"
#include "runtime/base/random.h"
#include "tests/runtime/graph/cut_check.h"
#include "tests/runtime/graph/models.h"
#include "tests/support/interpreter.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 2
#define SEED  11

/* Everything that can be cut is cut: products, sums, sequences. */
static const struct plb_cut_options crumbs = {
    .target_seconds = 1e-9, .bytes_per_second = 1e18, .block_elements = 64, .rows_min = 2};

/* --- numbers -------------------------------------------------------------------------------- */

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static void store(void *data, enum plb_dtype dtype, int64_t i, float x)
{
    if (dtype == PLB_F32)
        ((float *)data)[i] = x;
    else if (dtype == PLB_BF16)
        ((uint16_t *)data)[i] = (uint16_t)(bits_of(x) >> 16);
    else
        ((int32_t *)data)[i] = (int32_t)x;
}

static double load(const void *data, enum plb_dtype dtype, int64_t i)
{
    switch (dtype) {
    case PLB_F32:
        return ((const float *)data)[i];
    case PLB_BF16:
        return float_of((uint32_t)((const uint16_t *)data)[i] << 16);
    case PLB_F64:
        return ((const double *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What element i of a value is before the first step. Second moments are not negative; one target
 * in five is to be ignored. */
static float initial(const struct plb_value_info *info, uint64_t stream, int64_t i,
                     const struct model_shape *shape, int64_t first_position)
{
    static const float hyper[4] = {1e-2f, 10.0f, 20.0f, 0.0f};
    float x = plb_random_normal(SEED, stream, (uint64_t)i);
    uint32_t words[4];

    plb_random_words(SEED, stream, (uint64_t)i, words);
    if (strcmp(info->name, "hyper") == 0)
        return hyper[i];
    if (strcmp(info->name, "tokens") == 0)
        return (float)(words[0] % (uint32_t)shape->vocabulary);
    if (strcmp(info->name, "targets") == 0)
        return words[1] % 5 == 0 ? -1.0f : (float)(words[0] % (uint32_t)shape->vocabulary);
    if (strcmp(info->name, "places") == 0)
        return (float)(first_position >= 0 ? (first_position + i) % shape->sequence
                                           : i % shape->sequence);
    if (strcmp(info->name, "images") == 0)
        return x;
    if (ends(info->name, ".g"))
        return 1.0f + 0.1f * x;
    if (ends(info->name, ".v"))
        return fabsf(1e-3f * x);
    return 0.2f * x;
}

static plb_interpreter_t *interpreter_of(const struct model *model, const plb_graph_t *cut,
                                         const struct model_shape *shape, int64_t first_position)
{
    plb_interpreter_t *interpreter = NULL;

    PLB_CHECK_EQ(plb_interpreter_create(model->graph, cut, &interpreter), PLB_OK);
    PLB_REQUIRE(interpreter != NULL);
    for (plb_value value = 0; value < plb_graph_values(model->graph); value++) {
        const struct plb_value_info *info = plb_graph_value(model->graph, value);
        size_t bytes = plb_type_bytes(&info->type);
        void *data;

        if (info->producer != PLB_NONE)
            continue;
        data = malloc(bytes);
        PLB_REQUIRE(data != NULL);
        for (int64_t i = 0; i < plb_shape_elements(&info->type.shape); i++)
            store(data, info->type.dtype, i, initial(info, value, i, shape, first_position));
        PLB_CHECK_EQ(plb_interpreter_write(interpreter, value, data, bytes), PLB_OK);
        free(data);
    }
    return interpreter;
}

/* --- comparisons ---------------------------------------------------------------------------- */

/* The largest difference of a value, relative to its largest element and at least 1e-3. */
static double difference(const struct plb_value_info *info, const void *a, const void *b)
{
    double worst = 0, scale = 1e-3;

    for (int64_t i = 0; i < plb_shape_elements(&info->type.shape); i++) {
        double x = load(a, info->type.dtype, i), y = load(b, info->type.dtype, i);

        scale = fmax(scale, fabs(x));
        if (!(fabs(x - y) <= worst))
            worst = fabs(x - y);
    }
    return worst / scale;
}

/* Compares a value after a step; tolerance 0: bit by bit. */
static void compare(const struct model *model, const plb_interpreter_t *a,
                    const plb_interpreter_t *b, plb_value value, double tolerance)
{
    const struct plb_value_info *info = plb_graph_value(model->graph, value);
    size_t bytes = plb_type_bytes(&info->type);
    void *x = malloc(bytes), *y = malloc(bytes);
    double worst;

    PLB_REQUIRE(x != NULL && y != NULL);
    PLB_CHECK_EQ(plb_interpreter_read(a, value, x, bytes), PLB_OK);
    PLB_CHECK_EQ(plb_interpreter_read(b, value, y, bytes), PLB_OK);
    worst = difference(info, x, y);
    if (!PLB_CHECK_NEAR(worst, 0, tolerance) || (tolerance == 0 && memcmp(x, y, bytes) != 0)) {
        printf("%s of %s: off by %g\n", info->name,
               info->producer == PLB_NONE ? "the beginning"
                                          : plb_graph_task(model->graph, info->producer)->op->name,
               worst);
        if (tolerance == 0)
            PLB_CHECK_MEMORY(y, x, bytes);
    }
    free(x);
    free(y);
}

static enum plb_status step(plb_interpreter_t *interpreter, uint64_t number)
{
    enum plb_status status = plb_interpreter_step(interpreter, number);

    if (status != PLB_OK)
        printf("%s\n", plb_error_message());
    PLB_CHECK_EQ(status, PLB_OK);
    return status;
}

/* Runs a model whole and cut and compares every value of every step. */
static void check_run(struct model model, const struct model_shape *shape, int64_t first_position,
                      const struct plb_cut_options *options, double tolerance)
{
    plb_graph_t *cut = NULL;
    plb_interpreter_t *a, *b;

    PLB_CHECK_EQ(plb_graph_cut(model.graph, options, &cut), PLB_OK);
    PLB_REQUIRE(cut != NULL);
    cut_check(model.graph, cut);
    a = interpreter_of(&model, NULL, shape, first_position);
    b = interpreter_of(&model, cut, shape, first_position);
    for (uint64_t number = 1; number <= STEPS; number++) {
        if (step(a, number) != PLB_OK || step(b, number) != PLB_OK)
            break;
        for (plb_value value = 0; value < plb_graph_values(model.graph); value++)
            compare(&model, a, b, value, tolerance);
    }
    plb_interpreter_destroy(a);
    plb_interpreter_destroy(b);
    plb_graph_destroy(cut);
    plb_graph_destroy(model.graph);
}

/* --- models --------------------------------------------------------------------------------- */

static const struct model_shape tiny = {.batch = 3,
                                        .sequence = 10,
                                        .width = 16,
                                        .heads = 2,
                                        .layers = 2,
                                        .vocabulary = 50,
                                        .clip = true};

static void training_in_crumbs(void)
{
    check_run(model_gpt(&tiny), &tiny, -1, &crumbs, 5e-5);
}

static void training_with_dropout(void)
{
    struct model_shape shape = tiny;

    shape.dropout = 0.25;
    check_run(model_gpt(&shape), &shape, -1, &crumbs, 5e-5);
}

/* Results in bf16 may fall to either side. */
static void training_in_bf16(void)
{
    struct model_shape shape = tiny;

    shape.working = true;
    check_run(model_gpt(&shape), &shape, -1, &crumbs, 0.03);
}

static void training_by_sequences(void)
{
    const struct plb_cut_options options = {
        .target_seconds = 2e-6, .bytes_per_second = 1e18, .block_elements = 256};

    check_run(model_gpt(&tiny), &tiny, -1, &options, 5e-5);
}

static void decoding_by_columns(void)
{
    check_run(model_decode(&tiny), &tiny, 3, &crumbs, 1e-5);
}

static void training_on_images(void)
{
    const struct model_shape shape = {.batch = 5, .width = 8, .vocabulary = 10};
    const struct plb_cut_options options = {
        .target_seconds = 1e-7, .bytes_per_second = 1e18, .block_elements = 256, .rows_min = 2};

    check_run(model_images(&shape), &shape, -1, &options, 5e-5);
}

/* Shapes and options that fit nothing. */
static void shapes_at_random(void)
{
    uint32_t r[4];

    for (uint64_t i = 0; i < 12; i++) {
        plb_random_words(SEED, 99, i, r);
        const struct plb_cut_options options = {.target_seconds = r[0] % 3 ? 1e-9 : 1e-7,
                                                .bytes_per_second = 1e18,
                                                .block_elements = 1 + r[1] % 90,
                                                .rows_min = 1 + r[2] % 3};
        const struct model_shape shape = {.batch = 2 + r[0] / 3 % 3,
                                          .sequence = 2 + r[1] / 90 % 7,
                                          .width = 8 * (1 + r[2] / 3 % 3),
                                          .heads = 2,
                                          .layers = 1,
                                          .vocabulary = 3 + r[3] % 40};

        if (i % 4 == 3)
            check_run(model_decode(&shape), &shape, 1, &options, 5e-5);
        else
            check_run(model_gpt(&shape), &shape, -1, &options, 5e-5);
    }
}

/* Without sums in groups and without matrix products not a bit may change. */
static void slices_change_no_bits(void)
{
    const struct model_shape shape = {
        .batch = 2, .sequence = 12, .width = 18, .heads = 3, .layers = 0, .vocabulary = 30};
    const struct plb_attention attention = {.heads = 3,
                                            .kv_heads = 1,
                                            .head_dim = 6,
                                            .sequence = 12,
                                            .dropout = 0.1,
                                            .seed = 3,
                                            .stream = 1};
    const struct plb_rope rope = {.heads = 4, .head_dim = 6, .theta = 1e4, .factor = 1};
    plb_graph_t *g = plb_graph_create();
    plb_value tokens = plb_graph_add_value(g, "tokens", PLB_ROLE_INPUT, PLB_I32, plb_shape1(24));
    plb_value places = plb_graph_add_value(g, "places", PLB_ROLE_INPUT, PLB_I32, plb_shape1(24));
    plb_value table =
        plb_graph_add_value(g, "table", PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(30, 30));
    plb_value gamma = plb_graph_add_value(g, "g", PLB_ROLE_PARAMETER, PLB_F32, plb_shape1(30));
    plb_value x = plb_embedding(g, tokens, table);

    x = plb_rms_norm(g, plb_add(g, x, plb_gelu(g, x, PLB_GELU_ERF)), gamma, 1e-5);
    x = plb_dropout(g, plb_rope(g, x, places, &rope), 0.3, 5, 2);
    x = plb_swiglu(g, plb_attention(g, x, &attention));
    plb_graph_output(g, plb_cast(g, plb_silu(g, plb_relu(g, x)), PLB_BF16));
    check_run((struct model){.graph = g}, &shape, -1, &crumbs, 0);
}

PLB_TEST_MAIN("runtime/graph/cut_run", NULL, NULL, PLB_TEST(training_in_crumbs),
              PLB_TEST(training_with_dropout), PLB_TEST(training_in_bf16),
              PLB_TEST(training_by_sequences), PLB_TEST(decoding_by_columns),
              PLB_TEST(training_on_images), PLB_TEST(shapes_at_random),
              PLB_TEST(slices_change_no_bits))
