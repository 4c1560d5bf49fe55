/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A convolutional network that learns to name shapes in noisy images of 16 x 16 points.
 *
 *   cc cnn.c $(pkg-config --cflags --libs palombe) -o cnn && ./cnn
 */
#include <stdio.h>
#include <stdlib.h>

#include "palombe.h"

enum { IMAGES = 64, SIDE = 16, STEPS = 150, SEED = 1 };
static const float noise = 0.5f;

/* The model: two convolutions, each halving the image, and two plain layers. */
static plb_value network(plb_model_t *m, plb_value x)
{
    plb_graph_t *g = plb_model_graph(m);

    x = plb_relu(g, plb_nn_conv2d(m, x, 8, 3, 1, 1, true, "conv.0"));
    x = plb_max_pool2d(g, x, 2, 2);
    x = plb_relu(g, plb_nn_conv2d(m, x, 16, 3, 1, 1, true, "conv.1"));
    x = plb_max_pool2d(g, x, 2, 2);
    x = plb_relu(g, plb_nn_linear(m, plb_nn_flatten(m, x), 64, true, "hidden"));
    return plb_nn_linear(m, x, PLB_SHAPES, true, "head");
}

/* One image as characters. */
static void show(const float *pixels, int32_t class_number)
{
    printf("a %s:\n", plb_shapes_class_name(class_number));
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++)
            printf("%s", pixels[y * SIDE + x] > 0.0f ? "##" : "  ");
        printf("\n");
    }
}

static enum plb_status train(plb_trainer_t *trainer, plb_value input, plb_value classes)
{
    static float x[IMAGES * SIDE * SIDE];
    int32_t class_numbers[IMAGES];
    float loss;

    PLB_TRY(plb_trainer_initialize(trainer));
    for (int step = 0; step < STEPS; step++) {
        plb_shapes_draw(SEED, (uint64_t)step * IMAGES, IMAGES, SIDE, noise, x, class_numbers);
        if (step == 0)
            show(x, class_numbers[0]);
        PLB_TRY(plb_trainer_write(trainer, input, x, sizeof x));
        PLB_TRY(plb_trainer_write(trainer, classes, class_numbers, sizeof class_numbers));
        PLB_TRY(plb_trainer_step(trainer));
        if (step % 30 == 0 || step == STEPS - 1) {
            PLB_TRY(plb_trainer_read(trainer, &loss, NULL));
            printf("step %4d  loss %.4f\n", step, (double)loss);
        }
    }
    return PLB_OK;
}

/* The share of right answers on images that were not trained on. */
static enum plb_status test(plb_trainer_t *trainer)
{
    static float x[IMAGES * SIDE * SIDE], logits[IMAGES][PLB_SHAPES];
    int32_t class_numbers[IMAGES];
    int right = 0;
    plb_model_t *m;
    plb_session_t *session;
    plb_value input;

    PLB_TRY(plb_model_create(NULL, &m));
    plb_value y =
        network(m, plb_nn_input(m, "images", PLB_F32, plb_shape4(IMAGES, 1, SIDE, SIDE), &input));
    plb_graph_output(plb_model_graph(m), y);
    PLB_TRY(plb_session_create(plb_model_graph(m), NULL, plb_trainer_store(trainer), &session));
    plb_shapes_draw(SEED + 1, 0, IMAGES, SIDE, noise, x, class_numbers);
    PLB_TRY(plb_session_write(session, input, x, sizeof x));
    PLB_TRY(plb_session_step(session, 0));
    PLB_TRY(plb_session_read(session, y, logits, sizeof logits));
    plb_session_destroy(session);
    plb_model_destroy(m);
    for (int i = 0; i < IMAGES; i++) {
        int best = 0;
        for (int c = 1; c < PLB_SHAPES; c++)
            best = logits[i][c] > logits[i][best] ? c : best;
        right += best == class_numbers[i];
    }
    printf("%d of %d new images named right\n", right, IMAGES);
    return PLB_OK;
}

static enum plb_status run(void)
{
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_COSINE, .rate = 0.003, .warmup = 10, .steps = STEPS},
    };
    plb_model_t *m;
    plb_trainer_t *trainer;
    plb_value input;

    PLB_TRY(plb_model_create(NULL, &m));
    plb_value x = plb_nn_input(m, "images", PLB_F32, plb_shape4(IMAGES, 1, SIDE, SIDE), &input);
    plb_value classes = plb_nn_input(m, "classes", PLB_I32, plb_shape1(IMAGES), NULL);
    plb_value loss = plb_nn_loss(m, network(m, x), classes);
    PLB_TRY(plb_trainer_create(m, loss, &options, &trainer));
    PLB_TRY(train(trainer, input, classes));
    PLB_TRY(test(trainer));
    plb_trainer_destroy(trainer);
    return PLB_OK;
}

int main(void)
{
    if (plb_runtime_start(NULL) != PLB_OK || run() != PLB_OK) {
        fprintf(stderr, "cnn: %s\n", plb_error_message());
        return EXIT_FAILURE;
    }
    plb_runtime_stop();
    return EXIT_SUCCESS;
}
