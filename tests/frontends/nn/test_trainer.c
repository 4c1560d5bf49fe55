/* SPDX-License-Identifier: BSD-3-Clause */
/* Training: gradients by finite differences, overfitting, the same bits again and after resuming,
 * checkpoints that are torn or foreign. */
#include "config.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "frontends/nn/classifiers.h"
#include "frontends/nn/layers.h"
#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

/* Values of a parameter; to be freed. */
static float *read_parameter(plb_store_t *store, const struct plb_parameter *p, size_t *count_out)
{
    size_t count = (size_t)plb_shape_elements(&p->shape);
    float *data = malloc(count * sizeof *data);

    PLB_REQUIRE(data != NULL);
    PLB_REQUIRE(plb_store_read(store, p->name, data, count * sizeof *data) == PLB_OK);
    *count_out = count;
    return data;
}

/* The loss of one graph, at parameters moved by `distance` along `direction` from `data`. */
static double loss_along(plb_session_t *session, plb_value loss, plb_store_t *store,
                         const char *name, const float *data, const double *direction, size_t count,
                         double distance)
{
    float *moved = malloc(count * sizeof *moved), result = NAN;

    PLB_REQUIRE(moved != NULL);
    for (size_t i = 0; i < count; i++)
        moved[i] = (float)((double)data[i] + distance * direction[i]);
    PLB_REQUIRE(plb_store_write(store, name, moved, count * sizeof *moved) == PLB_OK);
    PLB_REQUIRE(plb_session_step(session, 0) == PLB_OK);
    PLB_REQUIRE(plb_session_read(session, loss, &result, sizeof result) == PLB_OK);
    PLB_REQUIRE(plb_store_write(store, name, data, count * sizeof *data) == PLB_OK);
    free(moved);
    return (double)result;
}

/* A step of plain descent at rate 1 takes the gradient away from each parameter: along it, the loss
 * must rise by its length. An error in any of its elements makes the two differ. */
static void check_gradients(enum plb_model_family family)
{
    enum { B = 2, T = 12, N = B * T };
    struct plb_model_config config = fixture_config(family);
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_TRAIN, .dtype = PLB_F32, .batch = B, .sequence = T, .seed = 3};
    struct plb_trainer_options descent = {
        .optimizer = {.kind = PLB_OPTIMIZER_SGD},
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 1.0},
    };
    int32_t tokens[N], positions[N], targets[N];
    struct plb_language train, evaluate;
    plb_trainer_t *trainer;
    plb_session_t *session;

    config.initializer_range = 0.2;
    config.attention_bias = config.mlp_bias = true;
    config.tied_embeddings = family == PLB_FAMILY_GPT2;
    PLB_REQUIRE(plb_language_create(&config, &options, &train) == PLB_OK);
    options.mode = PLB_LANGUAGE_EVALUATE;
    PLB_REQUIRE(plb_language_create(&config, &options, &evaluate) == PLB_OK);
    PLB_REQUIRE(plb_trainer_create(train.model, train.loss, &descent, &trainer) == PLB_OK);
    PLB_REQUIRE(plb_trainer_initialize(trainer) == PLB_OK);
    plb_store_t *store = plb_trainer_store(trainer);
    PLB_REQUIRE(plb_session_create(plb_model_graph(evaluate.model), NULL, store, &session) ==
                PLB_OK);
    plb_language_positions(B, T, positions);
    for (int i = 0; i < N; i++) {
        tokens[i] = (i * 7 + i * i) % 50;
        targets[i] = i % 5 == 4 ? -1 : (i * 11 + 3) % 50;
    }
    PLB_CHECK_EQ(plb_trainer_write(trainer, train.tokens, tokens, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_trainer_write(trainer, train.positions, positions, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_trainer_write(trainer, train.targets, targets, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, evaluate.tokens, tokens, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, evaluate.positions, positions, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, evaluate.targets, targets, sizeof tokens), PLB_OK);

    int n = plb_model_parameters(train.model);
    float **before = calloc((size_t)n, sizeof *before);
    double **gradient = calloc((size_t)n, sizeof *gradient), squares = 0.0;
    PLB_REQUIRE(before && gradient);
    size_t count;
    for (int i = 0; i < n; i++)
        before[i] = read_parameter(store, plb_model_parameter_at(train.model, i), &count);
    PLB_REQUIRE(plb_trainer_step(trainer) == PLB_OK);
    float loss, norm = NAN;
    PLB_REQUIRE(plb_trainer_read(trainer, &loss, &norm) == PLB_OK);
    for (int i = 0; i < n; i++) {
        const struct plb_parameter *p = plb_model_parameter_at(train.model, i);
        float *after = read_parameter(store, p, &count);
        gradient[i] = malloc(count * sizeof *gradient[i]);
        PLB_REQUIRE(gradient[i] != NULL);
        for (size_t e = 0; e < count; e++) {
            gradient[i][e] = (double)before[i][e] - (double)after[e];
            squares += gradient[i][e] * gradient[i][e];
        }
        free(after);
    }
    PLB_CHECK_NEAR((double)norm, sqrt(squares), 1e-3 * sqrt(squares));
    for (int i = 0; i < n; i++) { /* back to where the gradient was taken */
        const struct plb_parameter *p = plb_model_parameter_at(train.model, i);
        PLB_REQUIRE(plb_store_write(store, p->name, before[i],
                                    (size_t)plb_shape_elements(&p->shape) * sizeof(float)) ==
                    PLB_OK);
    }
    for (int i = 0; i < n; i++) {
        const struct plb_parameter *p = plb_model_parameter_at(train.model, i);
        double length = 0.0, h = 0.02;
        count = (size_t)plb_shape_elements(&p->shape);
        for (size_t e = 0; e < count; e++)
            length += gradient[i][e] * gradient[i][e];
        length = sqrt(length);
        PLB_CHECK(length > 1e-5 || strstr(p->name, "bias") != NULL);
        for (size_t e = 0; e < count && length > 0; e++)
            gradient[i][e] /= length;
        double up =
            loss_along(session, evaluate.loss, store, p->name, before[i], gradient[i], count, h);
        double down =
            loss_along(session, evaluate.loss, store, p->name, before[i], gradient[i], count, -h);
        if (!PLB_CHECK_NEAR((up - down) / (2 * h), length, 0.02 * length + 1e-4))
            fprintf(stderr, "gradient of %s\n", p->name);
        free(gradient[i]);
        free(before[i]);
    }
    free(gradient);
    free(before);
    plb_session_destroy(session);
    plb_trainer_destroy(trainer);
    plb_model_destroy(evaluate.model);
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

/* Ten steps; with dropout, so that its randomness is part of it. */
static void check_resume(enum plb_model_family family, enum plb_dtype dtype,
                         enum plb_optimizer_kind kind)
{
    enum { STEPS = 10, SAVED = 6 };
    struct plb_model_config config = fixture_config(family);
    struct plb_pretrain_options options = fixture_options(dtype);
    plb_corpus_t *corpus = fixture_corpus(1000);
    const char *directory = plb_test_tmp("resume");
    float whole[STEPS], parts[STEPS];
    struct plb_trainer_record record;

    config.attention_dropout = 0.1;
    if (family == PLB_FAMILY_GPT2)
        config.embedding_dropout = config.residual_dropout = 0.1;
    options.optimizer = plb_optimizer_default(kind);
    options.optimizer.weight_decay = 0.1 / 3.0;
    options.schedule = (struct plb_schedule){PLB_SCHEDULE_COSINE, 1.0 / 300.0, 0.1, 2, 12};
    plb_pretrain_t *first = fixture_pretrain(&config, corpus, &options);
    fixture_train(first, STEPS, whole);
    uint64_t bits = fixture_bits(first);
    plb_pretrain_destroy(first);

    plb_pretrain_t *second = fixture_pretrain(&config, corpus, &options);
    fixture_train(second, SAVED, parts);
    PLB_REQUIRE(plb_pretrain_save(second, directory) == PLB_OK);
    plb_pretrain_destroy(second);
    PLB_REQUIRE(plb_trainer_record_load(directory, &record) == PLB_OK);
    PLB_CHECK_EQ(record.step, SAVED);
    PLB_CHECK_EQ(record.seed, options.seed);
    PLB_CHECK_EQ(record.dtype, dtype);
    PLB_CHECK_EQ(record.batch, options.batch);
    PLB_CHECK_EQ(record.sequence, options.sequence);
    PLB_CHECK_MEMORY(&record.schedule.rate, &options.schedule.rate, sizeof(double));
    PLB_CHECK_MEMORY(&record.optimizer.weight_decay, &options.optimizer.weight_decay,
                     sizeof(double));
    PLB_CHECK_EQ(record.schedule.kind, PLB_SCHEDULE_COSINE);
    PLB_CHECK_EQ(record.optimizer.kind, kind);

    plb_pretrain_t *third = NULL;
    PLB_REQUIRE(plb_pretrain_create(&config, corpus, NULL, &options, &third) == PLB_OK);
    PLB_REQUIRE(plb_trainer_resume(plb_pretrain_trainer(third), directory) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_steps(plb_pretrain_trainer(third)), SAVED);
    fixture_train(third, STEPS - SAVED, parts + SAVED);
    PLB_CHECK_MEMORY(parts, whole, sizeof whole);
    PLB_CHECK(fixture_bits(third) == bits);
    plb_pretrain_destroy(third);
    plb_corpus_close(corpus);
}

static void a_resumed_run_has_the_same_bits(void)
{
    check_resume(PLB_FAMILY_GPT2, PLB_F32, PLB_OPTIMIZER_ADAMW);
    check_resume(PLB_FAMILY_LLAMA, PLB_BF16, PLB_OPTIMIZER_ADAMW);
    check_resume(PLB_FAMILY_GPT2, PLB_BF16, PLB_OPTIMIZER_SGD);
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

/* Changes one byte of a file, or cuts it, or removes it. */
static void damage(const char *directory, const char *name, long at, long cut, bool gone)
{
    char path[4200];
    size_t bytes;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    char *data = plb_test_read_file(path, &bytes);
    PLB_REQUIRE(data != NULL && bytes > (size_t)(at + cut));
    if (gone) {
        PLB_REQUIRE(unlink(path) == 0);
    } else {
        data[bytes - 1 - (size_t)at] ^= 1;
        PLB_REQUIRE(plb_test_write_file(path, data, bytes - (size_t)cut));
    }
    free(data);
}

static void torn_checkpoints_are_refused(void)
{
    static const struct {
        const char *name;
        long at, cut;
        bool gone;
        enum plb_status status;
        const char *reason;
    } cases[] = {
        {"model.safetensors", 100, 0, false, PLB_ERROR_FORMAT, "another checksum"},
        {"optimizer.safetensors", 5, 0, false, PLB_ERROR_FORMAT, "another checksum"},
        {"model.safetensors", 0, 64, false, PLB_ERROR_FORMAT, "bytes where"},
        {"optimizer.safetensors", 0, 0, true, PLB_ERROR_FORMAT, "torn"},
        {"trainer.json", 0, 0, true, PLB_ERROR_IO, "trainer.json"},
        {"trainer.json", 0, 20, false, PLB_ERROR_FORMAT, "trainer.json"},
    };
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    plb_trainer_t *trainer = plb_pretrain_trainer(pretrain);
    uint64_t bits = fixture_bits(pretrain);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "torn-%zu", i);
        const char *directory = plb_test_tmp(name);
        PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
        damage(directory, cases[i].name, cases[i].at, cases[i].cut, cases[i].gone);
        PLB_CHECK_EQ(plb_trainer_resume(trainer, directory), cases[i].status);
        PLB_CHECK_CONTAINS(plb_error_message(), cases[i].reason);
        PLB_CHECK(fixture_bits(pretrain) == bits); /* untouched */
        PLB_CHECK_EQ(plb_pretrain_save(pretrain, directory), PLB_OK);
        PLB_CHECK_EQ(plb_trainer_resume(trainer, directory), PLB_OK);
    }
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
}

/* Any damage to trainer.json is refused, or harmless; never believed beyond its bounds. */
static void a_mangled_record_is_refused(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    const char *directory = plb_test_tmp("mangled");
    char path[4200];
    size_t bytes;
    int refused = 0;

    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
    snprintf(path, sizeof path, "%s/trainer.json", directory);
    char *text = plb_test_read_file(path, &bytes);
    PLB_REQUIRE(text != NULL);
    for (size_t at = 0; at / 2 + 2 < bytes; at += 3) { /* the last byte ends a line, no more */
        struct plb_trainer_record record = {.step = 777};
        char kept = text[at / 2];
        text[at / 2] = at % 2 ? '9' : '"';
        PLB_REQUIRE(plb_test_write_file(path, text, bytes));
        enum plb_status status = plb_trainer_record_load(directory, &record);
        PLB_CHECK(status == PLB_OK || status == PLB_ERROR_FORMAT);
        PLB_CHECK((status == PLB_OK) == (record.step != 777));
        refused += status != PLB_OK;
        text[at / 2] = kept;
        PLB_REQUIRE(plb_test_write_file(path, text, at / 2)); /* and cut there */
        PLB_CHECK_EQ(plb_trainer_record_load(directory, &record), PLB_ERROR_FORMAT);
    }
    PLB_CHECK(refused > (int)bytes / 4);
    free(text);
}

static void foreign_checkpoints_are_refused(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000), *other = fixture_corpus(1001);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    const char *directory = plb_test_tmp("foreign");
    static const char *const reasons[] = {"its model",
                                          "its dtype",
                                          "its optimizer",
                                          "its corpus",
                                          "its seed is 5 and not 6",
                                          "its batch is 2 and not 3",
                                          "its sequence is 16"};

    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    plb_pretrain_destroy(pretrain);
    for (int i = 0; i < 7; i++) {
        struct plb_model_config c = config;
        struct plb_pretrain_options o = options;
        c.layers += i == 0;
        o.dtype = i == 1 ? PLB_BF16 : PLB_F32;
        o.optimizer.kind = i == 2 ? PLB_OPTIMIZER_SGD : PLB_OPTIMIZER_ADAMW;
        o.seed += i == 4;
        o.batch += i == 5;
        o.sequence += i == 6;
        pretrain = fixture_pretrain(&c, i == 3 ? other : corpus, &o);
        PLB_CHECK_EQ(plb_trainer_resume(plb_pretrain_trainer(pretrain), directory),
                     PLB_ERROR_FORMAT);
        PLB_CHECK_CONTAINS(plb_error_message(), reasons[i]);
        plb_pretrain_destroy(pretrain);
    }
    plb_corpus_close(other);
    plb_corpus_close(corpus);
}

/* A limit on the size of files stands for a disk without room: the save fails, the old one stays.
 */
static void a_full_disk_leaves_the_old_checkpoint(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    plb_trainer_t *trainer = plb_pretrain_trainer(pretrain);
    const char *directory = plb_test_tmp("full");
    struct rlimit before, small;
    float loss;

    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    uint64_t bits = fixture_bits(pretrain);
    fixture_train(pretrain, 1, &loss);
    PLB_CHECK(fixture_bits(pretrain) != bits);
    PLB_REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 100000; limit = 4 * limit + 1000) {
        small = (struct rlimit){limit, before.rlim_max};
        PLB_REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
        enum plb_status status = plb_pretrain_save(pretrain, directory);
        PLB_REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
        PLB_CHECK_EQ(status, PLB_ERROR_IO);
        PLB_CHECK_CONTAINS(plb_error_message(), "File too large");
    }
    PLB_CHECK_EQ(plb_trainer_resume(trainer, directory), PLB_OK);
    PLB_CHECK_EQ(plb_trainer_steps(trainer), 0);
    PLB_CHECK(fixture_bits(pretrain) == bits);
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
    enum { B = 16, SIDE = 8, STEPS = 60 };
    struct plb_model_options model = {dtype, 1, true};
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = 1e-2},
    };
    struct plb_cnn_config config = {1, {4}, {16, 1, 2}};
    static float images[B * SIDE * SIDE];
    int32_t classes[B];
    plb_model_t *m;
    plb_trainer_t *trainer;
    plb_value input;
    float loss = NAN;

    for (int i = 0; i < B; i++) {
        classes[i] = i % 2;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                images[(i * SIDE + y) * SIDE + x] = (i % 2 ? x : y) == (i * 3) % SIDE ? 1.0f : 0.0f;
    }
    PLB_REQUIRE(plb_model_create(&model, &m) == PLB_OK);
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape4(B, 1, SIDE, SIDE), &input);
    plb_value y = plb_nn_input(m, "y", PLB_I32, plb_shape1(B), NULL);
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
              PLB_TEST(a_little_text_is_learnt_by_heart), PLB_TEST(a_resumed_run_has_the_same_bits),
              PLB_TEST(micro_batches_add_up), PLB_TEST(the_seed_decides),
              PLB_TEST(torn_checkpoints_are_refused), PLB_TEST(a_mangled_record_is_refused),
              PLB_TEST(foreign_checkpoints_are_refused),
              PLB_TEST(a_full_disk_leaves_the_old_checkpoint),
              PLB_TEST(sizes_that_do_not_fit_are_refused), PLB_TEST(classifiers_learn))
