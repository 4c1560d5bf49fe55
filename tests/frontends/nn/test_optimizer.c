/* SPDX-License-Identifier: BSD-3-Clause */
/* Learning rates, bias corrections, and the shape of the training step's graph. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "frontends/nn/layers.h"
#include "frontends/nn/optimizer.h"
#include "tests/support/plb_test.h"

static void cosine_rises_and_falls(void)
{
    struct plb_schedule schedule = {PLB_SCHEDULE_COSINE, 2.0, 0.1, 4, 104};
    double before = INFINITY;

    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 0), 0.5, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 3), 2.0, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 4), 2.0, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 54), 0.5 * (2.0 + 0.2), 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 104), 0.2, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 100000), 0.2, 1e-12);
    for (uint64_t step = 4; step <= 104; step++) {
        double rate = plb_schedule_rate(&schedule, step);
        PLB_CHECK(rate < before);
        before = rate;
    }
}

static void constant_stays(void)
{
    struct plb_schedule schedule = {PLB_SCHEDULE_CONSTANT, 3.0, 0.0, 2, 10};

    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 0), 1.5, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 2), 3.0, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 1000), 3.0, 1e-12);
}

/* A run shorter than its warm-up never divides by nothing. */
static void warm_up_longer_than_the_run(void)
{
    struct plb_schedule schedule = {PLB_SCHEDULE_COSINE, 1.0, 0.5, 10, 10};

    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 9), 1.0, 1e-12);
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 10), 0.5, 1e-12);
    schedule.steps = 3;
    PLB_CHECK_NEAR(plb_schedule_rate(&schedule, 12), 0.5, 1e-12);
}

static void corrections_undo_the_bias(void)
{
    struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    struct plb_schedule schedule = {PLB_SCHEDULE_CONSTANT, 1e-3, 0, 0, 0};
    float hyper[4];

    plb_optimizer_hyper(&optimizer, &schedule, 0, hyper);
    PLB_CHECK_NEAR((double)hyper[0], 1e-3, 1e-9);
    PLB_CHECK_NEAR((double)hyper[1], 10.0, 1e-5);
    PLB_CHECK_NEAR((double)hyper[2], 1000.0, 1e-2);
    plb_optimizer_hyper(&optimizer, &schedule, 100000, hyper);
    PLB_CHECK_NEAR((double)hyper[1], 1.0, 1e-6);
    PLB_CHECK_NEAR((double)hyper[2], 1.0, 1e-6);
}

static void names_go_both_ways(void)
{
    enum plb_optimizer_kind kind = PLB_OPTIMIZER_ADAMW;

    PLB_CHECK_EQ(plb_optimizer_find("sgd", &kind), PLB_OK);
    PLB_CHECK_EQ(kind, PLB_OPTIMIZER_SGD);
    PLB_CHECK_STRING(plb_optimizer_name(kind), "sgd");
    PLB_CHECK_EQ(plb_optimizer_find("adam", &kind), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "adamw, sgd");
}

/* A linear layer with its loss; what the step carries from one to the next. */
static void check_step(enum plb_dtype dtype, enum plb_optimizer_kind kind)
{
    struct plb_model_options options = {dtype, 0, true};
    struct plb_optimizer optimizer = plb_optimizer_default(kind);
    struct plb_training training;
    plb_model_t *m;

    PLB_REQUIRE(plb_model_create(&options, &m) == PLB_OK);
    plb_graph_t *g = plb_model_graph(m);
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape2(4, 6), NULL);
    plb_value classes = plb_nn_input(m, "classes", PLB_I32, plb_shape1(4), NULL);
    plb_value loss = plb_nn_loss(m, plb_nn_linear(m, x, 3, true, "fc"), classes);
    PLB_REQUIRE(plb_nn_train(m, loss, &optimizer, &training) == PLB_OK);
    for (int i = 0; i < plb_model_parameters(m); i++) {
        const struct plb_parameter *p = plb_model_parameter_at(m, i);
        const struct plb_value_info *value = plb_graph_value(g, p->value);
        PLB_CHECK(value->next != PLB_NONE && value->next != p->value);
        PLB_CHECK_EQ(plb_graph_value(g, value->next)->role, PLB_ROLE_PARAMETER);
        PLB_CHECK_EQ(plb_graph_value(g, value->next)->type.dtype, dtype);
        PLB_CHECK((p->master == p->value) == (dtype == PLB_F32));
        PLB_CHECK(plb_graph_value(g, p->master)->next != PLB_NONE);
    }
    PLB_CHECK(plb_graph_find(g, "fc.weight.moment1") != PLB_NONE);
    PLB_CHECK((plb_graph_find(g, "fc.weight.moment2") != PLB_NONE) ==
              (kind == PLB_OPTIMIZER_ADAMW));
    PLB_CHECK(plb_graph_value(g, training.loss)->output);
    PLB_CHECK(plb_graph_value(g, training.norm)->output);
    plb_model_destroy(m);
}

static void steps_carry_parameters_and_state(void)
{
    check_step(PLB_F32, PLB_OPTIMIZER_ADAMW);
    check_step(PLB_F32, PLB_OPTIMIZER_SGD);
    check_step(PLB_BF16, PLB_OPTIMIZER_ADAMW);
    check_step(PLB_BF16, PLB_OPTIMIZER_SGD);
}

/* Decay is an attribute of each update: on matrices, not on biases. */
static void decay_is_for_matrices(void)
{
    struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    struct plb_training training;
    plb_model_t *m;
    int decayed = 0, plain = 0;

    optimizer.weight_decay = 0.25;
    PLB_REQUIRE(plb_model_create(NULL, &m) == PLB_OK);
    plb_graph_t *g = plb_model_graph(m);
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape2(4, 6), NULL);
    plb_value classes = plb_nn_input(m, "classes", PLB_I32, plb_shape1(4), NULL);
    plb_value y = plb_nn_linear(m, plb_nn_layer_norm(m, x, 1e-5, true, "norm"), 3, true, "fc");
    PLB_REQUIRE(plb_nn_train(m, plb_nn_loss(m, y, classes), &optimizer, &training) == PLB_OK);
    for (plb_task_id t = 0; t < plb_graph_tasks(g); t++) {
        const struct plb_task *task = plb_graph_task(g, t);
        if (strcmp(task->op->name, "adamw") != 0)
            continue;
        decayed += task->attributes.f[3] == 0.25;
        plain += task->attributes.f[3] == 0.0;
    }
    PLB_CHECK_EQ(decayed, 1);
    PLB_CHECK_EQ(plain, 3);
    plb_model_destroy(m);
}

static void a_loss_of_nothing_is_refused(void)
{
    struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_SGD);
    struct plb_training training;
    plb_model_t *m;

    PLB_REQUIRE(plb_model_create(NULL, &m) == PLB_OK);
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape2(4, 3), NULL);
    plb_value classes = plb_nn_input(m, "classes", PLB_I32, plb_shape1(4), NULL);
    plb_value loss = plb_nn_loss(m, x, classes);
    PLB_CHECK_EQ(plb_nn_train(m, loss, &optimizer, &training), PLB_ERROR_INVALID);
    plb_model_destroy(m);
    PLB_REQUIRE(plb_model_create(NULL, &m) == PLB_OK);
    x = plb_nn_input(m, "x", PLB_F32, plb_shape2(4, 3), NULL);
    classes = plb_nn_input(m, "classes", PLB_I32, plb_shape1(4), NULL);
    plb_nn_linear(m, x, 3, true, "unused");
    loss = plb_nn_loss(m, x, classes);
    PLB_CHECK_EQ(plb_nn_train(m, loss, &optimizer, &training), PLB_ERROR_INVALID);
    plb_model_destroy(m);
}

PLB_TEST_MAIN("frontends/nn/optimizer", NULL, NULL, PLB_TEST(cosine_rises_and_falls),
              PLB_TEST(constant_stays), PLB_TEST(warm_up_longer_than_the_run),
              PLB_TEST(corrections_undo_the_bias), PLB_TEST(names_go_both_ways),
              PLB_TEST(steps_carry_parameters_and_state), PLB_TEST(decay_is_for_matrices),
              PLB_TEST(a_loss_of_nothing_is_refused))
