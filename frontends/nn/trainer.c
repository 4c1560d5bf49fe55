/* SPDX-License-Identifier: BSD-3-Clause */
/* The trainer: a session of a training step, its counter, its checkpoints. */
#include "config.h"

#include "frontends/nn/trainer.h"

#include <stdlib.h>

#include "runtime/base/file.h"
#include "frontends/nn/checkpoint.h"
#include "frontends/nn/trainer_file.h"
#include "frontends/nn/weights.h"

struct plb_trainer {
    plb_model_t *model;
    struct plb_trainer_options options;
    struct plb_training training;
    plb_store_t *store;
    plb_session_t *session;
    uint64_t steps;
};

static enum plb_status prepare(plb_trainer_t *trainer, plb_model_t *model, plb_value loss)
{
    if (loss != PLB_NONE)
        PLB_TRY(plb_nn_backward(model, loss, 1.0));
    PLB_TRY(plb_nn_update(model, &trainer->options.optimizer, &trainer->training));
    PLB_TRY(plb_store_create(&trainer->store));
    return plb_session_create(plb_model_graph(model), &trainer->options.session, trainer->store,
                              &trainer->session);
}

enum plb_status plb_trainer_create(plb_model_t *model, plb_value loss,
                                   const struct plb_trainer_options *options,
                                   plb_trainer_t **trainer_out)
{
    plb_trainer_t *trainer = calloc(1, sizeof *trainer);

    if (!trainer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a trainer");
    trainer->options = *options;
    if (trainer->options.micro_batches == 0)
        trainer->options.micro_batches = 1;
    enum plb_status status = prepare(trainer, model, loss);
    if (status != PLB_OK) {
        plb_trainer_destroy(trainer);
        return status;
    }
    trainer->model = model;
    *trainer_out = trainer;
    return PLB_OK;
}

void plb_trainer_destroy(plb_trainer_t *trainer)
{
    if (!trainer)
        return;
    plb_session_destroy(trainer->session);
    plb_store_destroy(trainer->store);
    plb_model_destroy(trainer->model);
    free(trainer);
}

enum plb_status plb_trainer_initialize(plb_trainer_t *trainer)
{
    return plb_weights_initialize(trainer->model, trainer->store);
}

enum plb_status plb_trainer_load(plb_trainer_t *trainer, const char *path)
{
    plb_safetensors_t *set;

    PLB_TRY(plb_safetensors_open(path, &set));
    enum plb_status status = plb_weights_load(trainer->model, trainer->store, set);
    plb_safetensors_close(set);
    return status;
}

static struct plb_trainer_record record_of(const plb_trainer_t *trainer)
{
    struct plb_trainer_record record = {
        .step = trainer->steps,
        .seed = plb_model_options(trainer->model)->seed,
        .model = plb_model_fingerprint(trainer->model),
        .dtype = plb_model_options(trainer->model)->dtype,
        .optimizer = trainer->options.optimizer,
        .schedule = trainer->options.schedule,
        .batch = trainer->options.batch,
        .sequence = trainer->options.sequence,
        .micro_batches = trainer->options.micro_batches,
        .data = trainer->options.data,
        .validation = trainer->options.validation,
    };
    return record;
}

/* Opens a file of the checkpoint that counts. */
static enum plb_status open_set(const char *directory, const char *name,
                                plb_safetensors_t **set_out)
{
    char *path;

    PLB_TRY(plb_checkpoint_find(directory, name, &path));
    enum plb_status status = plb_safetensors_open(path, set_out);
    free(path);
    return status;
}

enum plb_status plb_trainer_resume(plb_trainer_t *trainer, const char *directory)
{
    struct plb_trainer_record saved, run = record_of(trainer);
    plb_safetensors_t *weights = NULL, *state = NULL;

    PLB_TRY(plb__record_load(directory, true, &saved));
    PLB_TRY(plb__record_compare(&saved, &run, directory));
    enum plb_status status = open_set(directory, PLB__MODEL_FILE, &weights);
    if (status == PLB_OK)
        status = open_set(directory, PLB__STATE_FILE, &state);
    if (status == PLB_OK)
        status = plb_weights_load(trainer->model, trainer->store, weights);
    /* After the weights: in bf16 these give the masters rounded values, the state the exact ones.
     */
    if (status == PLB_OK)
        status = plb_state_load(trainer->model, trainer->store, state);
    plb_safetensors_close(state);
    plb_safetensors_close(weights);
    if (status == PLB_OK)
        trainer->steps = saved.step;
    return status;
}

static enum plb_status write_files(plb_trainer_t *trainer, const char *folder,
                                   const struct plb_trainer_companion *companion)
{
    struct plb_trainer_record record = record_of(trainer);
    char *weights = NULL, *state = NULL;
    enum plb_status status = plb_file_join(folder, PLB__MODEL_FILE, &weights);

    if (status == PLB_OK)
        status = plb_file_join(folder, PLB__STATE_FILE, &state);
    if (status == PLB_OK)
        status = plb_weights_save(trainer->model, trainer->store, weights);
    if (status == PLB_OK)
        status = plb_state_save(trainer->model, trainer->store, state);
    free(state);
    free(weights);
    if (status == PLB_OK && companion)
        status = companion->write(companion->context, folder);
    return status == PLB_OK ? plb__record_save(&record, folder) : status;
}

enum plb_status plb_trainer_save(plb_trainer_t *trainer, const char *directory,
                                 const struct plb_trainer_companion *companion)
{
    plb_checkpoint_t *checkpoint;

    PLB_TRY(plb_session_wait(trainer->session));
    PLB_TRY(plb_checkpoint_begin(directory, &checkpoint));
    enum plb_status status = write_files(trainer, plb_checkpoint_folder(checkpoint), companion);
    if (status == PLB_OK)
        return plb_checkpoint_commit(checkpoint);
    plb_checkpoint_abort(checkpoint);
    return status;
}

enum plb_status plb_trainer_write(plb_trainer_t *trainer, plb_value input, const void *data,
                                  size_t bytes)
{
    return plb_session_write(trainer->session, input, data, bytes);
}

enum plb_status plb_trainer_step(plb_trainer_t *trainer)
{
    float hyper[4];

    plb_optimizer_hyper(&trainer->options.optimizer, &trainer->options.schedule, trainer->steps,
                        hyper);
    PLB_TRY(plb_session_write(trainer->session, trainer->training.hyper, hyper, sizeof hyper));
    PLB_TRY(plb_session_step(trainer->session, trainer->steps));
    trainer->steps++;
    return PLB_OK;
}

enum plb_status plb_trainer_read(plb_trainer_t *trainer, float *loss_out, float *norm_out)
{
    float loss, norm;

    PLB_TRY(plb_session_read(trainer->session, trainer->training.loss, &loss, sizeof loss));
    if (norm_out) {
        PLB_TRY(plb_session_read(trainer->session, trainer->training.norm, &norm, sizeof norm));
        *norm_out = norm;
    }
    *loss_out = loss;
    return PLB_OK;
}

enum plb_status plb_trainer_wait(plb_trainer_t *trainer)
{
    return plb_session_wait(trainer->session);
}

uint64_t plb_trainer_steps(const plb_trainer_t *trainer)
{
    return trainer->steps;
}

double plb_trainer_rate(const plb_trainer_t *trainer)
{
    return plb_schedule_rate(&trainer->options.schedule, trainer->steps);
}

const plb_model_t *plb_trainer_model(const plb_trainer_t *trainer)
{
    return trainer->model;
}

plb_session_t *plb_trainer_session(plb_trainer_t *trainer)
{
    return trainer->session;
}

plb_store_t *plb_trainer_store(plb_trainer_t *trainer)
{
    return trainer->store;
}
