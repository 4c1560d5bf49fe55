/* SPDX-License-Identifier: BSD-3-Clause */
/* The U-Net: its shape, its gradients by finite differences, that it learns to find a point. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontends/nn/layers.h"
#include "frontends/nn/trainer.h"
#include "frontends/nn/unet.h"
#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

enum { IMAGES = 2, COLOURS = 2, SIDE = 8, PIXELS = SIDE * SIDE };

static const struct plb_unet_config config = {2, 3};

/* A model with its inputs and its loss. */
struct net {
    plb_model_t *model;
    plb_value images, points, logits, loss;
};

static struct net make(enum plb_dtype dtype, int images)
{
    const struct plb_model_options options = {dtype, 11, true};
    struct net net;
    plb_value x;

    PLB_REQUIRE(plb_model_create(&options, &net.model) == PLB_OK);
    x = plb_nn_input(net.model, "images", PLB_F32, plb_shape4(images, COLOURS, SIDE, SIDE),
                     &net.images);
    net.points = plb_nn_input(net.model, "points", PLB_I32, plb_shape1(images), NULL);
    net.logits = plb_unet(net.model, x, &config);
    net.loss = plb_nn_loss(net.model, net.logits, net.points);
    plb_graph_output(plb_model_graph(net.model), net.loss);
    PLB_REQUIRE(plb_model_status(net.model) == PLB_OK);
    return net;
}

/* Noise with a bright point per image. */
static void fill(float *image, int32_t *point, int images)
{
    uint32_t state = 5;

    for (int k = 0; k < images * COLOURS * PIXELS; k++) {
        state = state * 1664525u + 1013904223u;
        image[k] = (float)(state >> 8) * 0x1p-24f;
    }
    for (int i = 0; i < images; i++) {
        point[i] = (i * 29 + 13) % PIXELS;
        for (int c = 0; c < COLOURS; c++)
            image[(i * COLOURS + c) * PIXELS + point[i]] = 3.0f;
    }
}

static void write_inputs(plb_session_t *session, const struct net *net)
{
    float image[IMAGES * COLOURS * PIXELS];
    int32_t point[IMAGES];

    fill(image, point, IMAGES);
    PLB_REQUIRE(plb_session_write(session, net->images, image, sizeof image) == PLB_OK);
    PLB_REQUIRE(plb_session_write(session, net->points, point, sizeof point) == PLB_OK);
}

static void shapes(void)
{
    struct net net = make(PLB_F32, IMAGES);
    const struct plb_shape logits =
        plb_graph_value(plb_model_graph(net.model), net.logits)->type.shape;
    const struct plb_shape expected = plb_shape2(IMAGES, PIXELS);

    PLB_CHECK(plb_shape_equal(&logits, &expected));
    PLB_CHECK(plb_model_parameter_find(net.model, "down.1.B.weight") != NULL);
    PLB_CHECK(plb_model_parameter_find(net.model, "bottom.A.bias") != NULL);
    PLB_CHECK(plb_model_parameter_find(net.model, "up.0.join.weight") != NULL);
    plb_model_destroy(net.model);
}

/* What the first level leaves is read again at the very end. */
static void the_first_level_waits(void)
{
    struct net net = make(PLB_F32, IMAGES);
    const plb_graph_t *graph = plb_model_graph(net.model);
    int longest = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t k = 0; k < task->in_start[task->n_in]; k++) {
            plb_task_id from = plb_graph_value(graph, task->in[k])->producer;

            if (from == PLB_NONE || task->block < 0 || plb_graph_task(graph, from)->block < 0)
                continue;
            int distance = task->block - plb_graph_task(graph, from)->block;
            longest = distance > longest ? distance : longest;
        }
    }
    PLB_CHECK_EQ(longest, 2 * config.levels);
    plb_model_destroy(net.model);
}

static void wrong_sizes(void)
{
    static const struct plb_unet_config wrong[] = {{0, 4}, {9, 4}, {2, 0}, {2, 65537}};

    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        plb_model_t *model;
        plb_value x;

        PLB_REQUIRE(plb_model_create(NULL, &model) == PLB_OK);
        x = plb_nn_input(model, "x", PLB_F32, plb_shape4(1, 1, SIDE, SIDE), NULL);
        PLB_CHECK_EQ(plb_unet(model, x, &wrong[k]), PLB_NONE);
        PLB_CHECK_EQ(plb_model_status(model), PLB_ERROR_INVALID);
        plb_model_destroy(model);
    }
}

/* ---- gradients ---- */

/* A trainer that descends at rate 1, and a session that gives the loss, on one store. */
struct pair {
    struct net train, evaluate;
    plb_trainer_t *trainer;
    plb_session_t *session;
    plb_store_t *store;
};

static struct pair make_pair(void)
{
    const struct plb_trainer_options descent = {
        .optimizer = {.kind = PLB_OPTIMIZER_SGD},
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 1.0},
    };
    struct pair pair = {.train = make(PLB_F32, IMAGES), .evaluate = make(PLB_F32, IMAGES)};

    PLB_REQUIRE(plb_trainer_create(pair.train.model, pair.train.loss, &descent, &pair.trainer) ==
                PLB_OK);
    PLB_REQUIRE(plb_trainer_initialize(pair.trainer) == PLB_OK);
    pair.store = plb_trainer_store(pair.trainer);
    PLB_REQUIRE(plb_session_create(plb_model_graph(pair.evaluate.model), NULL, pair.store,
                                   &pair.session) == PLB_OK);
    write_inputs(plb_trainer_session(pair.trainer), &pair.train);
    write_inputs(pair.session, &pair.evaluate);
    return pair;
}

static size_t elements(const struct plb_parameter *p)
{
    return (size_t)plb_shape_elements(&p->shape);
}

static float *read_parameter(const struct pair *pair, const struct plb_parameter *p)
{
    float *data = malloc(elements(p) * sizeof *data);

    PLB_REQUIRE(data != NULL);
    PLB_REQUIRE(plb_store_read(pair->store, p->name, data, elements(p) * sizeof *data) == PLB_OK);
    return data;
}

/* The loss where the parameter is `data` and `distance` away from it along `direction`. */
static double loss_along(const struct pair *pair, const struct plb_parameter *p, const float *data,
                         const float *direction, double distance)
{
    float *moved = malloc(elements(p) * sizeof *moved), loss = NAN;

    PLB_REQUIRE(moved != NULL);
    for (size_t e = 0; e < elements(p); e++)
        moved[e] = (float)((double)data[e] + distance * (double)direction[e]);
    PLB_REQUIRE(plb_store_write(pair->store, p->name, moved, elements(p) * sizeof *moved) ==
                PLB_OK);
    PLB_REQUIRE(plb_session_step(pair->session, 0) == PLB_OK);
    PLB_REQUIRE(plb_session_read(pair->session, pair->evaluate.loss, &loss, sizeof loss) == PLB_OK);
    PLB_REQUIRE(plb_store_write(pair->store, p->name, data, elements(p) * sizeof *data) == PLB_OK);
    free(moved);
    return (double)loss;
}

/* `after` becomes the direction of the gradient, of length 1; its length before that. */
static double normalize(float *after, const float *before, size_t n)
{
    double length = 0.0;

    for (size_t e = 0; e < n; e++) {
        after[e] = before[e] - after[e];
        length += (double)after[e] * (double)after[e];
    }
    length = sqrt(length);
    for (size_t e = 0; e < n && length > 0.0; e++)
        after[e] = (float)((double)after[e] / length);
    return length;
}

/* Along its gradient the loss rises by the gradient's length. ReLU and the maximum have kinks, so
 * the step is small. */
static void gradients_by_finite_differences(void)
{
    const double h = 2e-3;
    struct pair pair = make_pair();
    int n = plb_model_parameters(pair.train.model);
    float **before = calloc(2 * (size_t)n, sizeof *before), **after = before + n;

    PLB_REQUIRE(before != NULL);
    for (int i = 0; i < n; i++)
        before[i] = read_parameter(&pair, plb_model_parameter_at(pair.train.model, i));
    PLB_REQUIRE(plb_trainer_step(pair.trainer) == PLB_OK);
    for (int i = 0; i < n; i++)
        after[i] = read_parameter(&pair, plb_model_parameter_at(pair.train.model, i));
    for (int i = 0; i < n; i++) {
        const struct plb_parameter *p = plb_model_parameter_at(pair.train.model, i);

        PLB_REQUIRE(plb_store_write(pair.store, p->name, before[i],
                                    elements(p) * sizeof **before) == PLB_OK);
    }
    for (int i = 0; i < n; i++) {
        const struct plb_parameter *p = plb_model_parameter_at(pair.train.model, i);
        double length = normalize(after[i], before[i], elements(p));
        double up = loss_along(&pair, p, before[i], after[i], h);
        double down = loss_along(&pair, p, before[i], after[i], -h);

        if (!PLB_CHECK_NEAR((up - down) / (2 * h), length, 0.03 * length + 1e-3))
            fprintf(stderr, "gradient of %s\n", p->name);
        free(before[i]);
        free(after[i]);
    }
    free(before);
    plb_session_destroy(pair.session);
    plb_trainer_destroy(pair.trainer);
    plb_model_destroy(pair.evaluate.model);
}

static void check_learning(enum plb_dtype dtype)
{
    enum { MANY = 8, STEPS = 80 };
    static float image[MANY * COLOURS * PIXELS];
    int32_t point[MANY];
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 1e-2},
    };
    struct net net = make(dtype, MANY);
    plb_trainer_t *trainer;
    float first = NAN, last = NAN;

    fill(image, point, MANY);
    PLB_REQUIRE(plb_trainer_create(net.model, net.loss, &options, &trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_initialize(trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_write(trainer, net.images, image, sizeof image) == PLB_OK);
    PLB_REQUIRE(plb_trainer_write(trainer, net.points, point, sizeof point) == PLB_OK);
    for (int k = 0; k < STEPS; k++) {
        PLB_REQUIRE(plb_trainer_step(trainer) == PLB_OK);
        if (k == 0)
            PLB_REQUIRE(plb_trainer_read(trainer, &first, NULL) == PLB_OK);
    }
    PLB_REQUIRE(plb_trainer_read(trainer, &last, NULL) == PLB_OK);
    PLB_CHECK(first > 2.0f); /* of log 64 = 4.2 */
    PLB_CHECK(last < 0.1f);
    plb_trainer_destroy(trainer);
}

static void it_finds_points(void)
{
    check_learning(PLB_F32);
    check_learning(PLB_BF16);
}

PLB_TEST_MAIN("frontends/nn/unet", fixture_start, fixture_stop, PLB_TEST(shapes),
              PLB_TEST(the_first_level_waits), PLB_TEST(wrong_sizes),
              PLB_TEST(gradients_by_finite_differences), PLB_TEST(it_finds_points))
