/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Models to measure with: the language models of presets.c, and a U-Net that finds points.
 */
#include "config.h"

#include "frontends/cli/workload.h"

#include "frontends/nn/layers.h"
#include "frontends/nn/unet.h"
#include "runtime/base/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The U-Net's sizes unless options say otherwise. */
#define UNET_LEVELS   4
#define UNET_CHANNELS 16
#define UNET_COLOURS  3
#define UNET_SIDE_MAX 4096
#define RATE          1e-4

/* Random words stand in for data. */
static uint32_t word_of(uint64_t seed, uint64_t stream, uint64_t k)
{
    uint32_t word[4];

    plb_random_words(seed, stream, k, word);
    return word[0];
}

static enum plb_status add_input(struct cli_workload *w, plb_value value, size_t bytes,
                                 void **data_out)
{
    void *data = malloc(bytes);

    if (!data)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a batch of %zu bytes", bytes);
    w->input[w->n_inputs].value = value;
    w->input[w->n_inputs].data = data;
    w->input[w->n_inputs].bytes = bytes;
    w->n_inputs++;
    *data_out = data;
    return PLB_OK;
}

/* ---- a language model ---- */

/* Tokens and targets of one micro-batch, of which `before` rows stand before it. */
static enum plb_status fill_micro_batch(struct cli_workload *w, const struct plb_micro_batch *micro,
                                        size_t before, size_t rows, uint64_t seed,
                                        int64_t vocabulary)
{
    void *tokens = NULL, *targets = NULL;

    PLB_TRY(add_input(w, micro->tokens, rows * sizeof(int32_t), &tokens));
    PLB_TRY(add_input(w, micro->targets, rows * sizeof(int32_t), &targets));
    for (size_t r = 0; r < rows; r++)
        ((int32_t *)tokens)[r] = (int32_t)(word_of(seed, 0, before + r) % (uint32_t)vocabulary);
    memcpy(targets, tokens, rows * sizeof(int32_t));
    return PLB_OK;
}

static enum plb_status fill_language(struct cli_workload *w, const struct plb_language *language,
                                     const struct plb_language_options *shape, int64_t vocabulary)
{
    int64_t batch = shape->batch / language->micro_batches;
    size_t rows = (size_t)(batch * shape->sequence);
    void *positions = NULL;

    PLB_TRY(add_input(w, language->positions, rows * sizeof(int32_t), &positions));
    plb_language_positions(batch, shape->sequence, positions);
    for (int64_t k = 0; k < language->micro_batches; k++)
        PLB_TRY(fill_micro_batch(w, &language->micro[k], (size_t)k * rows, rows, shape->seed,
                                 vocabulary));
    return PLB_OK;
}

/* As asked for; simulated pipelines want many, so there it is a sequence each unless it is said
 * otherwise. */
static int64_t micro_batches_of(const struct plb_settings *s)
{
    int64_t batch = plb_settings_integer(s, OPTION_BATCH), most;

    if (!plb_option_belongs(&s->program->option[OPTION_PARTS], s->command))
        return plb_settings_integer(s, OPTION_MICRO_BATCHES);
    if (plb_settings_given(s, OPTION_PARTS))
        return plb_settings_integer(s, OPTION_PARTS);
    for (most = batch < PLB_MICRO_BATCHES_MAX ? batch : PLB_MICRO_BATCHES_MAX; batch % most != 0;)
        most--;
    return most;
}

/* " in 8 micro-batches", where there are several. */
static char *print_micro_batches(int64_t n, char *text, size_t size)
{
    text[0] = '\0';
    if (n > 1)
        snprintf(text, size, " in %" PRId64 " micro-batches", n);
    return text;
}

/* A preset has no weights yet, so its sequences may be as long as one likes. */
static enum plb_status configure(const struct plb_settings *s, struct plb_model_config *config_out)
{
    int64_t sequence = plb_settings_integer(s, OPTION_SEQUENCE);

    PLB_TRY(cli_model_config(s, config_out));
    if (config_out->max_positions < sequence)
        config_out->max_positions = sequence;
    config_out->embedding_dropout = 0.0;
    config_out->residual_dropout = 0.0;
    config_out->attention_dropout = 0.0;
    return PLB_OK;
}

static enum plb_status build_language(const struct plb_settings *s, uint64_t seed,
                                      struct cli_workload *w)
{
    struct plb_language_options shape = {.mode = PLB_LANGUAGE_TRAIN,
                                         .dtype = w->dtype,
                                         .batch = plb_settings_integer(s, OPTION_BATCH),
                                         .sequence = plb_settings_integer(s, OPTION_SEQUENCE),
                                         .micro_batches = micro_batches_of(s),
                                         .seed = seed};
    struct plb_model_config config;
    struct plb_language language;
    char micro[40];

    PLB_TRY(configure(s, &config));
    PLB_TRY(cli_split(s, &config, &shape.split));
    PLB_TRY(plb_language_create(&config, &shape, &language));
    w->model = language.model;
    w->loss = language.loss;
    w->micro_batches = language.micro_batches;
    w->samples = shape.batch * shape.sequence;
    w->unit = "tokens";
    snprintf(w->title, sizeof w->title,
             "%s, %" PRId64 " layers of %" PRId64 ", %" PRId64 " x %" PRId64 " tokens%s, %s",
             plb_settings_text(s, OPTION_MODEL), config.layers, config.hidden, shape.batch,
             shape.sequence, print_micro_batches(w->micro_batches, micro, sizeof micro),
             plb_dtype_name(w->dtype));
    return fill_language(w, &language, &shape, config.vocab);
}

/* ---- the U-Net ---- */

/* Noise with a bright point, which is the target. */
static enum plb_status fill_images(struct cli_workload *w, plb_value x, plb_value target,
                                   int64_t images, int64_t side, uint64_t seed)
{
    size_t pixels = (size_t)(side * side), of_image = UNET_COLOURS * pixels;
    void *data = NULL, *points = NULL;

    PLB_TRY(add_input(w, x, (size_t)images * of_image * sizeof(float), &data));
    PLB_TRY(add_input(w, target, (size_t)images * sizeof(int32_t), &points));
    for (size_t k = 0; k < (size_t)images * of_image; k++)
        ((float *)data)[k] = (float)word_of(seed, 1, k) * 0x1p-32f;
    for (size_t i = 0; i < (size_t)images; i++) {
        uint32_t point = word_of(seed, 2, i) % (uint32_t)pixels;

        ((int32_t *)points)[i] = (int32_t)point;
        for (size_t c = 0; c < UNET_COLOURS; c++)
            ((float *)data)[i * of_image + c * pixels + point] = 4.0f;
    }
    return PLB_OK;
}

static enum plb_status check_unet(const struct plb_settings *s, int64_t side, int64_t levels)
{
    if (plb_settings_given(s, OPTION_MICRO_BATCHES) || plb_settings_given(s, OPTION_PARTS))
        return plb_fail(PLB_ERROR_INVALID,
                        "--workload unet goes through the model as a whole: its losses cannot be "
                        "added over --micro-batches");
    if (levels < 1 || levels > PLB_UNET_LEVELS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "--workload unet takes --layers 1 to %d, not %" PRId64,
                        PLB_UNET_LEVELS_MAX, levels);
    if (side > UNET_SIDE_MAX || side % (INT64_C(1) << levels) != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "--workload unet of %" PRId64 " levels takes as --sequence a multiple of "
                        "%" PRId64 " up to %d, not %" PRId64,
                        levels, INT64_C(1) << levels, UNET_SIDE_MAX, side);
    return PLB_OK;
}

static enum plb_status build_unet(const struct plb_settings *s, uint64_t seed,
                                  struct cli_workload *w)
{
    const struct plb_model_options options = {w->dtype, seed, true};
    int64_t images = plb_settings_integer(s, OPTION_BATCH);
    int64_t side = plb_settings_integer(s, OPTION_SEQUENCE);
    int64_t levels =
        plb_settings_given(s, OPTION_LAYERS) ? plb_settings_integer(s, OPTION_LAYERS) : UNET_LEVELS;
    int64_t channels = plb_settings_given(s, OPTION_HIDDEN) ? plb_settings_integer(s, OPTION_HIDDEN)
                                                            : UNET_CHANNELS;
    plb_value image, x, target;

    PLB_TRY(check_unet(s, side, levels));
    if (plb_settings_given(s, OPTION_TENSOR))
        return plb_fail(PLB_ERROR_INVALID, "--tensor splits language models, not --workload unet");
    PLB_TRY(plb_model_create(&options, &w->model));
    x = plb_nn_input(w->model, "images", PLB_F32, plb_shape4(images, UNET_COLOURS, side, side),
                     &image);
    target = plb_nn_input(w->model, "points", PLB_I32, plb_shape1(images), NULL);
    x = plb_unet(w->model, x, &(struct plb_unet_config){(int)levels, channels});
    w->loss = plb_nn_loss(w->model, x, target);
    plb_graph_output(plb_model_graph(w->model), w->loss);
    w->samples = images;
    w->micro_batches = 1;
    w->unit = "images";
    snprintf(w->title, sizeof w->title,
             "unet, %" PRId64 " levels from %" PRId64 " channels, %" PRId64 " images of %" PRId64
             " x %" PRId64 ", %s",
             levels, channels, images, side, side, plb_dtype_name(w->dtype));
    PLB_TRY(plb_model_status(w->model));
    return fill_images(w, image, target, images, side, seed);
}

/* ---- all ---- */

enum plb_status cli_workload_build(const struct plb_settings *settings, uint64_t seed,
                                   struct cli_workload *workload_out)
{
    struct cli_workload w = {.dtype = cli_dtype(settings)};
    bool unet = strcmp(plb_settings_text(settings, OPTION_WORKLOAD), "unet") == 0;
    enum plb_status status =
        unet ? build_unet(settings, seed, &w) : build_language(settings, seed, &w);

    if (status != PLB_OK) {
        cli_workload_clear(&w);
        return status;
    }
    *workload_out = w;
    return PLB_OK;
}

void cli_workload_clear(struct cli_workload *workload)
{
    for (int k = 0; k < workload->n_inputs; k++)
        free(workload->input[k].data);
    plb_model_destroy(workload->model);
    *workload = (struct cli_workload){0};
}

enum plb_status cli_workload_train(struct cli_workload *workload,
                                   const struct plb_optimizer *optimizer)
{
    struct plb_training training;

    if (workload->loss == PLB_NONE)
        return plb_nn_update(workload->model, optimizer, &training);
    return plb_nn_train(workload->model, workload->loss, optimizer, &training);
}

enum plb_status cli_workload_trainer(struct cli_workload *workload,
                                     const struct plb_session_options *session,
                                     plb_trainer_t **trainer_out)
{
    const struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {.kind = PLB_SCHEDULE_CONSTANT, .rate = RATE, .steps = 1},
        .session = *session,
        .batch = workload->samples,
        .sequence = 1,
        .micro_batches = workload->micro_batches};
    plb_trainer_t *trainer;
    enum plb_status status;

    PLB_TRY(plb_trainer_create(workload->model, workload->loss, &options, &trainer));
    workload->model = NULL;
    status = plb_trainer_initialize(trainer);
    for (int k = 0; k < workload->n_inputs && status == PLB_OK; k++)
        status = plb_trainer_write(trainer, workload->input[k].value, workload->input[k].data,
                                   workload->input[k].bytes);
    if (status != PLB_OK) {
        plb_trainer_destroy(trainer);
        return status;
    }
    *trainer_out = trainer;
    return PLB_OK;
}
