/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training any model: the step's graph, its session, its optimizer, its checkpoints.
 *
 *   plb_trainer_create(model, loss, &options, &trainer);   the trainer takes the model over
 *   plb_trainer_initialize(trainer);                       or _load(), or _resume()
 *   for (...) {
 *       plb_trainer_write(trainer, tokens, ...);           the model's inputs
 *       plb_trainer_step(trainer);                         submits; does not wait
 *       plb_trainer_read(trainer, &loss, NULL);            waits for the loss only
 *   }
 *   plb_trainer_save(trainer, "run", NULL);
 *
 * A checkpoint is a directory (see checkpoint.h) with model.safetensors, in the layout of the
 * model's family; optimizer.safetensors, the optimizer's state and f32 masters; and trainer.json,
 * the record of the run with the checksums of the others. A resumed run has the same bits as one
 * that was never stopped, because everything random is a function of (seed, step).
 *
 * Thread-safety: as session.h.
 */
#ifndef PLB_NN_TRAINER_H
#define PLB_NN_TRAINER_H

#include "frontends/nn/model.h"
#include "frontends/nn/optimizer.h"
#include "runtime/run/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_trainer plb_trainer_t;

struct plb_trainer_options {
    struct plb_optimizer optimizer;
    struct plb_schedule schedule;
    struct plb_session_options session;
    /* What the data are. Recorded; a resumed run must have the same again. */
    int64_t batch, sequence;
    int64_t micro_batches; /* that a step's batch is divided into; 0 counts as 1 */
    uint64_t data;         /* a fingerprint of the corpus, or 0 */
    double validation;     /* its share that is kept for measuring; for whoever opens it again */
};

/* What trainer.json says about a run. */
struct plb_trainer_record {
    uint64_t step;  /* steps done: the number of the next one */
    uint64_t seed;  /* of the model's options */
    uint64_t model; /* plb_model_fingerprint() */
    enum plb_dtype dtype;
    struct plb_optimizer optimizer;
    struct plb_schedule schedule;
    int64_t batch, sequence, micro_batches;
    uint64_t data;
    double validation;
};

/* Adds files to a checkpoint being written (config.json, tokenizer.json). */
struct plb_trainer_companion {
    enum plb_status (*write)(void *context, const char *folder);
    void *context;
};

/* Appends backward pass and update to the model's graph and makes the session; the trainer owns the
 * model from then on (on failure the caller still does). `loss` is f32[1], or PLB_NONE when the
 * backward passes were appended already, with plb_nn_backward(). Parameters are zero. */
enum plb_status plb_trainer_create(plb_model_t *model, plb_value loss,
                                   const struct plb_trainer_options *options,
                                   plb_trainer_t **trainer_out);
void plb_trainer_destroy(plb_trainer_t *trainer); /* waits; NULL is allowed */

/* Fresh parameters. */
enum plb_status plb_trainer_initialize(plb_trainer_t *trainer);
/* Parameters of a model file or directory, with a fresh optimizer. */
enum plb_status plb_trainer_load(plb_trainer_t *trainer, const char *path);
/* Everything of a checkpoint. PLB_ERROR_FORMAT for one that is torn (a file is missing or has
 * another size or checksum), or foreign (another model, dtype, seed, batch, data or optimizer); the
 * trainer is then as before. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_trainer_resume(plb_trainer_t *trainer, const char *directory);
/* Saves; the previous checkpoint counts until the new one is complete. Waits for the step.
 * `companion` may be NULL. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_trainer_save(plb_trainer_t *trainer, const char *directory,
                                 const struct plb_trainer_companion *companion);

/* Reads the record of a checkpoint, for the options of a run that resumes it. PLB_ERROR_IO when
 * there is none, PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_trainer_record_load(const char *directory,
                                        struct plb_trainer_record *record_out);

/* Sets an input of the model; the data are copied. */
enum plb_status plb_trainer_write(plb_trainer_t *trainer, plb_value input, const void *data,
                                  size_t bytes);
/* Submits the next step. */
enum plb_status plb_trainer_step(plb_trainer_t *trainer);
/* Waits for the loss of the latest step and, if norm_out is not NULL, its gradient's norm. A loss
 * that is not finite is not an error here. */
enum plb_status plb_trainer_read(plb_trainer_t *trainer, float *loss_out, float *norm_out);
enum plb_status plb_trainer_wait(plb_trainer_t *trainer);

uint64_t plb_trainer_steps(const plb_trainer_t *trainer); /* done, resumed ones counted in */
double plb_trainer_rate(const plb_trainer_t *trainer);    /* learning rate of the next step */
const plb_model_t *plb_trainer_model(const plb_trainer_t *trainer);
plb_session_t *plb_trainer_session(plb_trainer_t *trainer);
plb_store_t *plb_trainer_store(plb_trainer_t *trainer); /* for other sessions of the model */

#ifdef __cplusplus
}
#endif

#endif
