/* SPDX-License-Identifier: BSD-3-Clause */
/* Training: gradients by finite differences, overfitting, micro-batches, seeds. Checkpoints stand
 * in test_resume.c. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/nn/classifiers.h"
#include "frontends/nn/layers.h"
#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

/* A model with a session that trains it, and one that gives its loss. */
struct pair {
    struct plb_language train, evaluate;
    plb_trainer_t *trainer;
    plb_session_t *session;
    plb_store_t *store;
};

enum { B = 2, T = 12, N = B * T };

static void write_inputs(plb_session_t *session, const struct plb_language *language)
{
    int32_t tokens[N], positions[N], targets[N];

    plb_language_positions(B, T, positions);
    for (int i = 0; i < N; i++) {
        tokens[i] = (i * 7 + i * i) % 50;
        targets[i] = i % 5 == 4 ? -1 : (i * 11 + 3) % 50;
    }
    PLB_REQUIRE(plb_session_write(session, language->positions, positions, sizeof positions) ==
                PLB_OK);
    PLB_REQUIRE(plb_language_write(language, session, tokens, targets) == PLB_OK);
}

/* Weights large enough that no layer is near linear; plain descent at rate 1. */
static struct pair make_pair(enum plb_model_family family)
{
    struct plb_model_config config = fixture_config(family);
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_TRAIN, .dtype = PLB_F32, .batch = B, .sequence = T, .seed = 3};
    struct plb_trainer_options descent = {
        .optimizer = {.kind = PLB_OPTIMIZER_SGD},
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 1.0},
    };
    struct pair pair;

    config.initializer_range = 0.2;
    config.attention_bias = config.mlp_bias = true;
    config.tied_embeddings = family == PLB_FAMILY_GPT2;
    PLB_REQUIRE(plb_language_create(&config, &options, &pair.train) == PLB_OK);
    options.mode = PLB_LANGUAGE_EVALUATE;
    PLB_REQUIRE(plb_language_create(&config, &options, &pair.evaluate) == PLB_OK);
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

static void destroy_pair(struct pair *pair)
{
    plb_session_destroy(pair->session);
    plb_trainer_destroy(pair->trainer);
    plb_model_destroy(pair->evaluate.model);
}

static size_t elements(const struct plb_parameter *p)
{
    return (size_t)plb_shape_elements(&p->shape);
}

/* Values of a parameter; to be freed. */
static float *read_parameter(plb_store_t *store, const struct plb_parameter *p)
{
    float *data = malloc(elements(p) * sizeof *data);

    PLB_REQUIRE(data != NULL);
    PLB_REQUIRE(plb_store_read(store, p->name, data, elements(p) * sizeof *data) == PLB_OK);
    return data;
}

static void write_parameter(plb_store_t *store, const struct plb_parameter *p, const float *data)
{
    PLB_REQUIRE(plb_store_write(store, p->name, data, elements(p) * sizeof *data) == PLB_OK);
}

/* The loss where a parameter is moved from `data` by `distance` along `direction`. */
static double loss_along(struct pair *pair, const struct plb_parameter *p, const float *data,
                         const double *direction, double distance)
{
    float *moved = malloc(elements(p) * sizeof *moved), loss = NAN;

    PLB_REQUIRE(moved != NULL);
    for (size_t e = 0; e < elements(p); e++)
        moved[e] = (float)((double)data[e] + distance * direction[e]);
    write_parameter(pair->store, p, moved);
    PLB_REQUIRE(plb_session_step(pair->session, 0) == PLB_OK);
    PLB_REQUIRE(plb_session_read(pair->session, pair->evaluate.loss, &loss, sizeof loss) == PLB_OK);
    write_parameter(pair->store, p, data);
    free(moved);
    return (double)loss;
}

/* What a step took away from a parameter, as a direction of length 1; its length. */
static double take_gradient(const struct plb_parameter *p, const float *before, const float *after,
                            double *direction)
{
    double length = 0.0;

    for (size_t e = 0; e < elements(p); e++) {
        direction[e] = (double)before[e] - (double)after[e];
        length += direction[e] * direction[e];
    }
    length = sqrt(length);
    for (size_t e = 0; e < elements(p) && length > 0.0; e++)
        direction[e] /= length;
    return length;
}

/* Along its gradient, the loss must rise by the gradient's length. An error in any of its elements
 * makes the two differ. Returns the square of the length. */
static double check_gradient(struct pair *pair, const struct plb_parameter *p, const float *before,
                             const float *after)
{
    double *direction = malloc(elements(p) * sizeof *direction), h = 0.02;

    PLB_REQUIRE(direction != NULL);
    double length = take_gradient(p, before, after, direction);
    double up = loss_along(pair, p, before, direction, h);
    double down = loss_along(pair, p, before, direction, -h);
    PLB_CHECK(length > 1e-5);
    if (!PLB_CHECK_NEAR((up - down) / (2 * h), length, 0.02 * length + 1e-4))
        fprintf(stderr, "gradient of %s\n", p->name);
    free(direction);
    return length * length;
}

static void check_gradients(enum plb_model_family family)
{
    struct pair pair = make_pair(family);
    int n = plb_model_parameters(pair.train.model);
    float **before = calloc(2 * (size_t)n, sizeof *before), **after = before + n;
    float loss, norm = NAN;
    double squares = 0.0;

    PLB_REQUIRE(before != NULL);
    for (int i = 0; i < n; i++)
        before[i] = read_parameter(pair.store, plb_model_parameter_at(pair.train.model, i));
    PLB_REQUIRE(plb_trainer_step(pair.trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_read(pair.trainer, &loss, &norm) == PLB_OK);
    for (int i = 0; i < n; i++)
        after[i] = read_parameter(pair.store, plb_model_parameter_at(pair.train.model, i));
    for (int i = 0; i < n; i++) /* back to where the gradient was taken */
        write_parameter(pair.store, plb_model_parameter_at(pair.train.model, i), before[i]);
    for (int i = 0; i < n; i++) {
        const struct plb_parameter *p = plb_model_parameter_at(pair.train.model, i);
        squares += check_gradient(&pair, p, before[i], after[i]);
        free(before[i]);
        free(after[i]);
    }
    PLB_CHECK_NEAR((double)norm, sqrt(squares), 1e-3 * sqrt(squares));
    free(before);
    destroy_pair(&pair);
}

static void gradients_of_gpt2_by_finite_differences(void)
{
    check_gradients(PLB_FAMILY_GPT2);
}

static void gradients_of_llama_by_finite_differences(void)
{
    check_gradients(PLB_FAMILY_LLAMA);
}

/* Random tokens can only be learnt by heart. */
static void check_overfit(enum plb_model_family family, enum plb_dtype dtype)
{
    enum { STEPS = 200 };
    struct plb_model_config config = fixture_config(family);
    struct plb_pretrain_options options = fixture_options(dtype);
    plb_corpus_t *corpus = fixture_corpus(60);
    float losses[STEPS];
    double validation = NAN;

    options.schedule.rate = 1e-2;
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    fixture_train(pretrain, STEPS, losses);
    PLB_CHECK_NEAR((double)losses[0], log(50.0), 0.3);
    PLB_CHECK((double)losses[STEPS - 1] < 0.3);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
    corpus = fixture_corpus(1000);
    pretrain = fixture_pretrain(&config, corpus, &options);
    PLB_CHECK_EQ(plb_pretrain_evaluate(pretrain, 3, &validation), PLB_OK);
    PLB_CHECK_NEAR(validation, log(50.0), 0.3);
    PLB_CHECK_EQ(plb_pretrain_evaluate(pretrain, 0, &validation), PLB_ERROR_INVALID);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
}

static void a_little_text_is_learnt_by_heart(void)
{
    check_overfit(PLB_FAMILY_GPT2, PLB_F32);
    check_overfit(PLB_FAMILY_LLAMA, PLB_F32);
    check_overfit(PLB_FAMILY_GPT2, PLB_BF16);
    check_overfit(PLB_FAMILY_LLAMA, PLB_BF16);
}

/* The same batches in one piece and in micro-batches: the sums only differ in their order. Their
 * number belongs to the run. */
static void micro_batches_add_up(void)
{
    enum { STEPS = 6 };
    static const int64_t numbers[] = {1, 2, 3, 6};
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    const char *directory = plb_test_tmp("micro");
    float whole[STEPS], parts[STEPS], again[STEPS];

    options.batch = 6;
    for (int i = 0; i < 4; i++) {
        options.micro_batches = numbers[i];
        plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
        fixture_train(pretrain, STEPS, i == 0 ? whole : parts);
        plb_pretrain_destroy(pretrain);
        pretrain = fixture_pretrain(&config, corpus, &options);
        fixture_train(pretrain, STEPS, again);
        PLB_CHECK_MEMORY(i == 0 ? whole : parts, again, sizeof again);
        if (i > 0)
            PLB_CHECK_ARRAY_F32(parts, whole, STEPS, 2e-5, 0.0);
        PLB_CHECK_EQ(plb_pretrain_save(pretrain, directory), PLB_OK);
        plb_pretrain_destroy(pretrain);
    }
    options.micro_batches = 2;
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    PLB_CHECK_EQ(plb_trainer_resume(plb_pretrain_trainer(pretrain), directory), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "its number of micro-batches is 6 and not 2");
    plb_pretrain_destroy(pretrain);
    options.micro_batches = 4;
    PLB_CHECK_EQ(plb_pretrain_create(&config, corpus, NULL, &options, &pretrain),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "batch 6 cannot be divided into 4");
    plb_corpus_close(corpus);
}

/* Dropout differs from step to step, and a different seed gives another run. */
static void the_seed_decides(void)
{
    enum { STEPS = 4 };
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(17 * 5 / 4 + 1); /* one window: the same data each step */
    float a[STEPS], b[STEPS];

    options.batch = 1;
    options.schedule.rate = 0.0; /* nothing is learnt: only dropout can change the loss */
    config.residual_dropout = 0.3;
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    fixture_train(pretrain, STEPS, a);
    PLB_CHECK(a[0] != a[1] && a[1] != a[2]);
    plb_pretrain_destroy(pretrain);
    pretrain = fixture_pretrain(&config, corpus, &options);
    fixture_train(pretrain, STEPS, b);
    PLB_CHECK_MEMORY(a, b, sizeof a);
    plb_pretrain_destroy(pretrain);
    options.seed = 6;
    pretrain = fixture_pretrain(&config, corpus, &options);
    fixture_train(pretrain, STEPS, b);
    PLB_CHECK(memcmp(a, b, sizeof a) != 0);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
}

static void sizes_that_do_not_fit_are_refused(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = NULL;

    options.sequence = 49;
    PLB_CHECK_EQ(plb_pretrain_create(&config, corpus, NULL, &options, &pretrain),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "49 positions");
    options.sequence = 900;
    PLB_CHECK_EQ(plb_pretrain_create(&config, corpus, NULL, &options, &pretrain),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "the corpus has 800 tokens");
    PLB_CHECK(pretrain == NULL);
    plb_corpus_close(corpus);
}

/* A CNN and an MLP, each on bars that stand or lie. */
static void check_classifier(bool convolution, enum plb_dtype dtype)
{
    enum { IMAGES = 16, SIDE = 8, STEPS = 60 };
    struct plb_model_options model = {dtype, 1, true};
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 1e-2},
    };
    struct plb_cnn_config config = {1, {4}, {16, 1, 2}};
    static float images[IMAGES * SIDE * SIDE];
    int32_t classes[IMAGES];
    plb_model_t *m;
    plb_trainer_t *trainer;
    plb_value input;
    float loss = NAN;

    for (int i = 0; i < IMAGES; i++) {
        classes[i] = i % 2;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                images[(i * SIDE + y) * SIDE + x] = (i % 2 ? x : y) == (i * 3) % SIDE ? 1.0f : 0.0f;
    }
    PLB_REQUIRE(plb_model_create(&model, &m) == PLB_OK);
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape4(IMAGES, 1, SIDE, SIDE), &input);
    plb_value y = plb_nn_input(m, "y", PLB_I32, plb_shape1(IMAGES), NULL);
    plb_value logits =
        convolution ? plb_cnn(m, x, &config) : plb_mlp(m, plb_nn_flatten(m, x), &config.head);
    PLB_REQUIRE(plb_trainer_create(m, plb_nn_loss(m, logits, y), &options, &trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_initialize(trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_write(trainer, input, images, sizeof images) == PLB_OK);
    PLB_REQUIRE(plb_trainer_write(trainer, y, classes, sizeof classes) == PLB_OK);
    for (int i = 0; i < STEPS; i++)
        PLB_REQUIRE(plb_trainer_step(trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_read(trainer, &loss, NULL) == PLB_OK);
    PLB_CHECK(loss < 0.1f);
    plb_trainer_destroy(trainer);
}

static void classifiers_learn(void)
{
    check_classifier(false, PLB_F32);
    check_classifier(true, PLB_F32);
    check_classifier(false, PLB_BF16);
    check_classifier(true, PLB_BF16);
}

PLB_TEST_MAIN("frontends/nn/trainer", fixture_start, fixture_stop,
              PLB_TEST(gradients_of_gpt2_by_finite_differences),
              PLB_TEST(gradients_of_llama_by_finite_differences),
              PLB_TEST(a_little_text_is_learnt_by_heart), PLB_TEST(micro_batches_add_up),
              PLB_TEST(the_seed_decides), PLB_TEST(sizes_that_do_not_fit_are_refused),
              PLB_TEST(classifiers_learn))
