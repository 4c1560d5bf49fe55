/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parameters of a store: fresh ones, and those of safetensors files.
 *
 * A store has the tensors of a model once a session of it was created (runtime/run/session.h). All
 * functions go tensor by tensor, so they need room for two copies of the largest one. A tensor that
 * the model has in shards is one in a file: what a model split t ways has saved can be loaded by
 * one that is split otherwise, or not.
 *
 * Thread-safety: as session.h.
 */
#ifndef PLB_NN_WEIGHTS_H
#define PLB_NN_WEIGHTS_H

#include "frontends/formats/safetensors.h"
#include "frontends/nn/model.h"
#include "runtime/run/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes initial values, of the model's seed, to all parameters and masters. */
enum plb_status plb_weights_initialize(const plb_model_t *model, plb_store_t *store);

/* Reads all parameters (and masters) from a model file, converted to their dtype. Tensor names may
 * lack their first word ("wte.weight" for "transformer.wte.weight"), as in files that were saved
 * without the head; what the file holds beside is ignored. PLB_ERROR_FORMAT when a tensor is
 * missing or has another shape; PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_weights_load(const plb_model_t *model, plb_store_t *store,
                                 const plb_safetensors_t *set);

/* Writes all parameters, in the model's dtype, to the file `path`. PLB_ERROR_IO, PLB_ERROR_MEMORY.
 */
enum plb_status plb_weights_save(const plb_model_t *model, plb_store_t *store, const char *path);

/* The optimizer's state: all values of role STATE of the model's graph that exist before the step,
 * by their names. Loading refuses (PLB_ERROR_FORMAT) a file that lacks one or has one of another
 * shape. */
enum plb_status plb_state_save(plb_model_t *model, plb_store_t *store, const char *path);
enum plb_status plb_state_load(plb_model_t *model, plb_store_t *store,
                               const plb_safetensors_t *set);

#ifdef __cplusplus
}
#endif

#endif
