/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensor-parallel splits of language models, run: logits, losses and gradients against the unsplit
 * model, checkpoints across degrees, and the shards that tasks are numbered with.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/nn/weights.h"
#include "runtime/graph/cut.h"
#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

#define TOLERANCE 1e-5 /* relative, of f32 */

enum { STEPS = 20, SAVED = 6 };

static const struct {
    enum plb_model_family family;
    const char *split;
} splits[] = {
    {PLB_FAMILY_GPT2, "2"},
    {PLB_FAMILY_GPT2, "4,sequence"},
    {PLB_FAMILY_GPT2, "1,4,vocabulary:3"},
    {PLB_FAMILY_LLAMA, "2"},
    {PLB_FAMILY_LLAMA, "4,1,sequence"},
    {PLB_FAMILY_LLAMA, "2,4,vocabulary:7"},
};

#define SPLITS (sizeof splits / sizeof splits[0])

/* GPT-2 with tied tables and dropout, whose masks are those of the unsplit model; LLaMA with an own
 * head and biases. Four heads of keys, so that both can be split four ways. */
static struct plb_model_config config_of(enum plb_model_family family)
{
    struct plb_model_config config = fixture_config(family);

    config.kv_heads = 4;
    config.heads = family == PLB_FAMILY_LLAMA ? 8 : 4;
    config.head_dim = config.hidden / config.heads;
    config.initializer_range = 0.2;
    config.tied_embeddings = family == PLB_FAMILY_GPT2;
    if (family == PLB_FAMILY_GPT2)
        config.attention_dropout = config.embedding_dropout = config.residual_dropout = 0.1;
    else
        config.attention_bias = config.mlp_bias = true;
    return config;
}

static struct plb_split split_of(const struct plb_model_config *config, const char *text)
{
    struct plb_split split = {0};

    PLB_REQUIRE(text == NULL || plb_split_parse(text, config->layers, &split) == PLB_OK);
    return split;
}

/* A fresh run, split so; NULL: unsplit. LLaMA's batches go through it in two parts. */
static plb_pretrain_t *run_of(enum plb_model_family family, const char *split,
                              enum plb_optimizer_kind kind, const plb_corpus_t *corpus)
{
    struct plb_model_config config = config_of(family);
    struct plb_pretrain_options options = fixture_options(PLB_F32);

    options.split = split_of(&config, split);
    options.micro_batches = family == PLB_FAMILY_LLAMA ? 2 : 1;
    options.optimizer = plb_optimizer_default(kind);
    options.optimizer.clip = 0.0;
    if (kind == PLB_OPTIMIZER_SGD)
        options.optimizer.momentum = options.optimizer.weight_decay = 0.0;
    options.schedule.rate = kind == PLB_OPTIMIZER_SGD ? 1.0 : 1e-3;
    return fixture_pretrain(&config, corpus, &options);
}

static void check_losses(const float *split, const float *whole, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        bool ok = fabs((double)split[i] - (double)whole[i]) <= TOLERANCE * fabs((double)whole[i]);
        if (!ok)
            fprintf(stderr, "%s: step %d: loss %.9g, unsplit %.9g\n", name, i, (double)split[i],
                    (double)whole[i]);
        PLB_CHECK(ok);
    }
}

static void losses_are_those_of_the_unsplit_model(void)
{
    plb_corpus_t *corpus = fixture_corpus(1000);
    float whole[2][STEPS], split[STEPS];

    for (int f = 0; f < 2; f++) {
        enum plb_model_family family = f == 0 ? PLB_FAMILY_GPT2 : PLB_FAMILY_LLAMA;
        plb_pretrain_t *run = run_of(family, NULL, PLB_OPTIMIZER_ADAMW, corpus);
        fixture_train(run, STEPS, whole[f]);
        plb_pretrain_destroy(run);
    }
    for (size_t i = 0; i < SPLITS; i++) {
        plb_pretrain_t *run =
            run_of(splits[i].family, splits[i].split, PLB_OPTIMIZER_ADAMW, corpus);
        fixture_train(run, STEPS, split);
        check_losses(split, whole[splits[i].family == PLB_FAMILY_LLAMA], STEPS, splits[i].split);
        plb_pretrain_destroy(run);
    }
    plb_corpus_close(corpus);
}

/* ---- what stands in files ---- */

static void save(plb_pretrain_t *run, const char *name, char path[4200])
{
    const char *directory = plb_test_tmp(name);

    PLB_REQUIRE(plb_pretrain_save(run, directory) == PLB_OK);
    snprintf(path, 4200, "%s", directory);
}

/* The largest |a - b| of two files of the same tensors, in the order and shapes of `a`, by the
 * largest |a - c| of the same tensor. NULL c: by 1. */
static double difference(const char *a, const char *b, const char *c, const char *file)
{
    const char *directory[] = {a, b, c};
    plb_safetensors_t *set[3] = {NULL};
    double worst = 0;

    for (int k = 0; k < 3 && directory[k] != NULL; k++) {
        char path[4300];
        snprintf(path, sizeof path, "%s/%s", directory[k], file);
        PLB_REQUIRE(plb_safetensors_open(path, &set[k]) == PLB_OK);
    }
    PLB_CHECK_EQ(plb_safetensors_count(set[0]), plb_safetensors_count(set[1]));
    for (size_t i = 0; i < plb_safetensors_count(set[0]); i++) {
        const struct plb_stored_tensor *tensor = plb_safetensors_at(set[0], i);
        double apart = 0, moved = 0;
        const float *x[3] = {NULL};
        for (int k = 0; k < 3 && set[k] != NULL; k++) {
            const struct plb_stored_tensor *other = plb_safetensors_at(set[k], i);
            PLB_CHECK_STRING(other->name, tensor->name);
            PLB_REQUIRE(other->bytes == tensor->bytes && other->rank == tensor->rank);
            PLB_CHECK_MEMORY(other->dim, tensor->dim, (size_t)tensor->rank * sizeof tensor->dim[0]);
            PLB_REQUIRE(plb_safetensors_map(set[k], other, (const void **)&x[k]) == PLB_OK);
        }
        for (size_t e = 0; e < tensor->elements; e++) {
            apart = fmax(apart, fabs((double)x[0][e] - (double)x[1][e]));
            moved = fmax(moved, x[2] ? fabs((double)x[0][e] - (double)x[2][e]) : 1.0);
        }
        worst = fmax(worst, apart > 0.0 ? apart / moved : 0.0);
    }
    for (int k = 0; k < 3; k++)
        plb_safetensors_close(set[k]);
    return worst;
}

/* Fresh parameters have the same bits; after a step of plain descent at rate 1 they differ by the
 * gradients, which are alike. (Those of key biases are zero but for rounding, and small against
 * those of the same tensor.) */
static void check_files(enum plb_model_family family, const plb_corpus_t *corpus)
{
    plb_pretrain_t *whole = run_of(family, NULL, PLB_OPTIMIZER_SGD, corpus);
    char fresh[4200], stepped[4200], split[4200];
    float loss;

    save(whole, "fresh", fresh);
    fixture_train(whole, 1, &loss);
    save(whole, "stepped", stepped);
    plb_pretrain_destroy(whole);
    for (size_t i = 0; i < SPLITS; i++) {
        if (splits[i].family != family)
            continue;
        plb_pretrain_t *run = run_of(family, splits[i].split, PLB_OPTIMIZER_SGD, corpus);
        save(run, "split", split);
        PLB_CHECK(difference(fresh, split, NULL, "model.safetensors") == 0.0);
        PLB_CHECK(difference(fresh, split, NULL, "optimizer.safetensors") == 0.0);
        fixture_train(run, 1, &loss);
        save(run, "split", split);
        PLB_CHECK(difference(stepped, split, fresh, "model.safetensors") <= TOLERANCE);
        plb_pretrain_destroy(run);
    }
}

static void gradients_and_files_are_those_of_the_unsplit_model(void)
{
    plb_corpus_t *corpus = fixture_corpus(1000);

    check_files(PLB_FAMILY_GPT2, corpus);
    check_files(PLB_FAMILY_LLAMA, corpus);
    plb_corpus_close(corpus);
}

/* A run that was begun with one degree goes on with another. */
static void a_run_may_be_resumed_with_another_degree(void)
{
    static const char *const degrees[][2] = {{"2", "4"}, {"4", NULL}, {NULL, "1,2,vocabulary:3"}};
    plb_corpus_t *corpus = fixture_corpus(1000);
    float whole[STEPS], parts[STEPS];
    char directory[4200];

    plb_pretrain_t *run = run_of(PLB_FAMILY_GPT2, NULL, PLB_OPTIMIZER_ADAMW, corpus);
    fixture_train(run, STEPS, whole);
    plb_pretrain_destroy(run);
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++) {
        run = run_of(PLB_FAMILY_GPT2, degrees[i][0], PLB_OPTIMIZER_ADAMW, corpus);
        fixture_train(run, SAVED, parts);
        save(run, "degree", directory);
        plb_pretrain_destroy(run);
        run = run_of(PLB_FAMILY_GPT2, degrees[i][1], PLB_OPTIMIZER_ADAMW, corpus);
        PLB_REQUIRE(plb_trainer_resume(plb_pretrain_trainer(run), directory) == PLB_OK);
        fixture_train(run, STEPS - SAVED, parts + SAVED);
        check_losses(parts, whole, STEPS, "resumed");
        plb_pretrain_destroy(run);
    }
    plb_corpus_close(corpus);
}

/* What was trained in shards is read into other shards without loss: masters and moments too. */
static void checkpoints_pass_through_other_shards(void)
{
    static const char *const degrees[] = {"2", "4,vocabulary:3", NULL};
    struct plb_model_config config = config_of(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_BF16);
    plb_corpus_t *corpus = fixture_corpus(1000);
    char saved[2][4200];

    for (int i = 0; i < 3; i++) {
        plb_pretrain_t *run;
        float losses[2];
        options.split = split_of(&config, degrees[i]);
        if (i == 0) {
            run = fixture_pretrain(&config, corpus, &options);
            fixture_train(run, 2, losses);
        } else {
            PLB_REQUIRE(plb_pretrain_create(&config, corpus, NULL, &options, &run) == PLB_OK);
            PLB_REQUIRE(plb_trainer_resume(plb_pretrain_trainer(run), saved[i - 1 ? 1 : 0]) ==
                        PLB_OK);
        }
        save(run, i == 0 ? "first" : "other", saved[i ? 1 : 0]);
        plb_pretrain_destroy(run);
        if (i > 0)
            PLB_CHECK(difference(saved[0], saved[1], NULL, "optimizer.safetensors") == 0.0);
    }
    plb_corpus_close(corpus);
}

/* The same tasks with other numbers: the same bits. */
static void a_sequence_split_changes_no_bit(void)
{
    static const char *const split[] = {"4,2", "4,2,sequence"};
    plb_corpus_t *corpus = fixture_corpus(1000);
    uint64_t bits[2];

    for (int i = 0; i < 2; i++) {
        float losses[3];
        plb_pretrain_t *run = run_of(PLB_FAMILY_GPT2, split[i], PLB_OPTIMIZER_ADAMW, corpus);
        fixture_train(run, 3, losses);
        bits[i] = fixture_bits(run);
        plb_pretrain_destroy(run);
    }
    PLB_CHECK(bits[0] == bits[1]);
    plb_corpus_close(corpus);
}

/* ---- logits ---- */

enum { B = 2, T = 12, N = B * T, V = 50 };

/* Runs a model with fresh parameters on a batch, or token by token through the cache: logits[N, V].
 */
static void run_logits(enum plb_model_family family, const char *split, bool cached, float *logits)
{
    struct plb_model_config config = config_of(family);
    struct plb_language_options options = {
        .mode = cached ? PLB_LANGUAGE_CACHED : PLB_LANGUAGE_LOGITS,
        .batch = cached ? 1 : B,
        .sequence = cached ? 1 : T,
        .capacity = T,
        .seed = 3,
        .split = split_of(&config, split),
    };
    int32_t tokens[N], positions[N], none = 0;
    struct plb_language language;
    plb_session_t *session;
    plb_store_t *store;
    int rows = cached ? 1 : N;

    PLB_REQUIRE(plb_language_create(&config, &options, &language) == PLB_OK);
    PLB_REQUIRE(plb_store_create(&store) == PLB_OK);
    PLB_REQUIRE(plb_session_create(plb_model_graph(language.model), NULL, store, &session) ==
                PLB_OK);
    PLB_REQUIRE(plb_weights_initialize(language.model, store) == PLB_OK);
    plb_language_positions(B, T, positions);
    for (int i = 0; i < N; i++)
        tokens[i] = (i * 7 + i * i) % V;
    for (int at = 0; at < (cached ? T : N); at += rows) {
        size_t bytes = (size_t)rows * sizeof tokens[0];
        PLB_REQUIRE(plb_session_write(session, language.tokens, tokens + at, bytes) == PLB_OK);
        PLB_REQUIRE(plb_session_write(session, language.positions, positions + at, bytes) ==
                    PLB_OK);
        if (cached)
            PLB_REQUIRE(plb_session_write(session, language.index, &none, sizeof none) == PLB_OK);
        PLB_REQUIRE(plb_session_step(session, (uint64_t)at) == PLB_OK);
        for (int j = 0, first = 0; j < language.parts.n; j++) {
            plb_value part = language.parts.part[j];
            int width =
                (int)plb_graph_value(plb_model_graph(language.model), part)->type.shape.dim[1];
            float *data = malloc((size_t)(rows * width) * sizeof *data);
            PLB_REQUIRE(data != NULL);
            PLB_REQUIRE(plb_session_read(session, part, data,
                                         (size_t)(rows * width) * sizeof *data) == PLB_OK);
            for (int r = 0; r < rows; r++)
                memcpy(logits + (at + r) * V + first, data + r * width,
                       (size_t)width * sizeof *data);
            free(data);
            first += width;
        }
    }
    plb_session_destroy(session);
    plb_store_destroy(store);
    plb_model_destroy(language.model);
}

static void logits_are_those_of_the_unsplit_model(void)
{
    static float whole[N * V], split[N * V];

    for (size_t i = 0; i < SPLITS; i++) {
        for (int cached = 0; cached < 2; cached++) {
            size_t n = (size_t)(cached ? T : N) * V;
            run_logits(splits[i].family, NULL, cached, whole);
            memset(split, 0xff, sizeof split);
            run_logits(splits[i].family, splits[i].split, cached, split);
            PLB_CHECK_ARRAY_F32(split, whole, n, TOLERANCE, TOLERANCE);
        }
    }
}

/* ---- numbers of shards ---- */

/* The graph of a step, cut into slices of 32 rows. */
static plb_graph_t *cut_graph(const char *split, struct plb_language *language_out)
{
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    const struct plb_cut_options slices = {.target_seconds = 1e-5};
    struct plb_model_config config = config_of(PLB_FAMILY_GPT2);
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_TRAIN, .batch = 8, .sequence = 32, .split = split_of(&config, split)};
    struct plb_training training;
    plb_graph_t *cut;

    PLB_REQUIRE(plb_language_create(&config, &options, language_out) == PLB_OK);
    PLB_REQUIRE(plb_nn_train(language_out->model, language_out->loss, &optimizer, &training) ==
                PLB_OK);
    PLB_REQUIRE(plb_graph_cut(plb_model_graph(language_out->model), &slices, &cut) == PLB_OK);
    return cut;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* Which shards the tasks of these operators in a block have, as bits; -1 is bit 63. */
static uint64_t shards_of(const plb_graph_t *cut, int block, const char *const *names)
{
    uint64_t bits = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(cut); t++) {
        const struct plb_task *task = plb_graph_task(cut, t);
        PLB_CHECK(task->shard >= -1);
        if (task->block == block && is_one_of(task->op->name, names))
            bits |= UINT64_C(1) << (task->shard & 63);
    }
    return bits;
}

/* A shard's parameter is updated by that shard, others by none. */
static void check_updates(const plb_graph_t *cut)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(cut); t++) {
        const struct plb_task *task = plb_graph_task(cut, t);
        int shard = -1;
        if (strcmp(task->op->name, "adamw") != 0)
            continue;
        const char *mark = strchr(plb_graph_value(cut, task->in[0])->name, '#');
        if (mark != NULL)
            PLB_CHECK_EQ(sscanf(mark, "#%d", &shard), 1);
        PLB_CHECK_EQ(task->shard, shard);
    }
}

/* With the vocabulary in shards no value has a column for each token. */
static void check_widths(plb_model_t *model)
{
    const plb_graph_t *graph = plb_model_graph(model);

    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        const struct plb_shape *shape = &plb_graph_value(graph, v)->type.shape;
        PLB_CHECK(shape->rank != 2 || shape->dim[1] != V);
    }
}

static void tasks_have_the_numbers_of_their_shards(void)
{
    static const char *const inner[] = {"attention", "attention_dx", "gelu",      "gelu_dx",
                                        "linear",    "linear_dx",    "linear_dw", NULL};
    static const char *const norms[] = {"layer_norm", "layer_norm_dx", NULL};
    static const char *const dropout[] = {"dropout", NULL};
    static const char *const loss[] = {"cross_entropy_part", NULL};
    static const char *const gradient[] = {"cross_entropy_merge_dx", NULL};
    static const char *const merge[] = {"cross_entropy_merge", NULL};
    const uint64_t none = UINT64_C(1) << 63;
    struct plb_language language;
    plb_graph_t *cut = cut_graph("1,4,vocabulary:3", &language);

    check_widths(language.model);
    PLB_CHECK_EQ(shards_of(cut, 0, inner), none);
    PLB_CHECK_EQ(shards_of(cut, 1, inner), 0xf);
    PLB_CHECK_EQ(shards_of(cut, 1, norms), none);
    PLB_CHECK_EQ(shards_of(cut, -1, loss), 0x7);
    PLB_CHECK_EQ(shards_of(cut, -1, gradient), 0x7);
    PLB_CHECK_EQ(shards_of(cut, -1, merge), none);
    plb_graph_destroy(cut);
    plb_model_destroy(language.model);
    cut = cut_graph("1,4,vocabulary:2,sequence", &language);
    check_updates(cut);
    PLB_CHECK_EQ(shards_of(cut, 0, norms), none);
    PLB_CHECK_EQ(shards_of(cut, 1, norms), 0xf);
    PLB_CHECK_EQ(shards_of(cut, 1, dropout), 0xf);
    PLB_CHECK_EQ(shards_of(cut, -1, merge), 0x3);
    plb_graph_destroy(cut);
    plb_model_destroy(language.model);
}

PLB_TEST_MAIN("frontends/nn/tensor", fixture_start, fixture_stop,
              PLB_TEST(losses_are_those_of_the_unsplit_model),
              PLB_TEST(gradients_and_files_are_those_of_the_unsplit_model),
              PLB_TEST(a_run_may_be_resumed_with_another_degree),
              PLB_TEST(checkpoints_pass_through_other_shards),
              PLB_TEST(a_sequence_split_changes_no_bit),
              PLB_TEST(logits_are_those_of_the_unsplit_model),
              PLB_TEST(tasks_have_the_numbers_of_their_shards))
