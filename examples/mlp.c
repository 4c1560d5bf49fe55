/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small network that learns to tell apart the three arms of a spiral.
 *
 *   cc mlp.c $(pkg-config --cflags --libs palombe) -lm -o mlp && ./mlp
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "palombe.h"

enum { POINTS = 256, ARMS = 3, STEPS = 400 };

/* The model: two hidden layers, logits of the three arms. */
static plb_value network(plb_model_t *m, plb_value x)
{
    plb_graph_t *g = plb_model_graph(m);

    x = plb_relu(g, plb_nn_linear(m, x, 64, true, "hidden.0"));
    x = plb_relu(g, plb_nn_linear(m, x, 64, true, "hidden.1"));
    return plb_nn_linear(m, x, ARMS, true, "head");
}

/* Point i of the data: on arm i % 3, at a random distance from the middle, a little off the arm. */
static void draw(uint64_t first, float x[POINTS][2], int32_t arm[POINTS])
{
    for (int i = 0; i < POINTS; i++) {
        uint32_t words[4];
        plb_random_words(1, 0, first + (uint64_t)i, words);
        arm[i] = i % ARMS;
        float t = plb_random_unit(words[0]);
        float angle =
            5.0f * t + (float)arm[i] * 2.0944f + 0.2f * (plb_random_unit(words[1]) - 0.5f);
        x[i][0] = t * cosf(angle);
        x[i][1] = t * sinf(angle);
    }
}

static enum plb_status train(plb_trainer_t *trainer, plb_value input, plb_value arms)
{
    float x[POINTS][2], loss;
    int32_t arm[POINTS];

    PLB_TRY(plb_trainer_initialize(trainer));
    for (int step = 0; step < STEPS; step++) {
        draw((uint64_t)step * POINTS, x, arm);
        PLB_TRY(plb_trainer_write(trainer, input, x, sizeof x));
        PLB_TRY(plb_trainer_write(trainer, arms, arm, sizeof arm));
        PLB_TRY(plb_trainer_step(trainer));
        if (step % 100 == 0 || step == STEPS - 1) {
            PLB_TRY(plb_trainer_read(trainer, &loss, NULL));
            printf("step %4d  loss %.4f\n", step, (double)loss);
        }
    }
    return PLB_OK;
}

/* The share of right answers on points that were not trained on. */
static enum plb_status test(plb_trainer_t *trainer)
{
    float x[POINTS][2], logits[POINTS][ARMS];
    int32_t arm[POINTS];
    int right = 0;
    plb_model_t *m;
    plb_session_t *session;
    plb_value input;

    PLB_TRY(plb_model_create(NULL, &m));
    plb_value y = network(m, plb_nn_input(m, "x", PLB_F32, plb_shape2(POINTS, 2), &input));
    plb_graph_output(plb_model_graph(m), y);
    PLB_TRY(plb_session_create(plb_model_graph(m), NULL, plb_trainer_store(trainer), &session));
    draw(1u << 30, x, arm);
    PLB_TRY(plb_session_write(session, input, x, sizeof x));
    PLB_TRY(plb_session_step(session, 0));
    PLB_TRY(plb_session_read(session, y, logits, sizeof logits));
    plb_session_destroy(session);
    plb_model_destroy(m);
    for (int i = 0; i < POINTS; i++) {
        int best = 0;
        for (int a = 1; a < ARMS; a++)
            best = logits[i][a] > logits[i][best] ? a : best;
        right += best == arm[i];
    }
    printf("%d of %d new points on the right arm\n", right, POINTS);
    return PLB_OK;
}

static enum plb_status run(void)
{
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_COSINE, .rate = 0.01, .warmup = 10, .steps = STEPS},
    };
    plb_model_t *m;
    plb_trainer_t *trainer;
    plb_value input, arms;

    PLB_TRY(plb_model_create(NULL, &m));
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape2(POINTS, 2), &input);
    arms = plb_nn_input(m, "arms", PLB_I32, plb_shape1(POINTS), NULL);
    plb_value loss = plb_nn_loss(m, network(m, x), arms);
    PLB_TRY(plb_trainer_create(m, loss, &options, &trainer));
    PLB_TRY(train(trainer, input, arms));
    PLB_TRY(test(trainer));
    plb_trainer_destroy(trainer);
    return PLB_OK;
}

int main(void)
{
    if (plb_runtime_start(NULL) != PLB_OK || run() != PLB_OK) {
        fprintf(stderr, "mlp: %s\n", plb_error_message());
        return EXIT_FAILURE;
    }
    plb_runtime_stop();
    return EXIT_SUCCESS;
}
