/* SPDX-License-Identifier: BSD-3-Clause */
/* trainer.json: the record of a run and the seal of its checkpoint. Internal to this room. */
#ifndef PLB_NN_TRAINER_FILE_H
#define PLB_NN_TRAINER_FILE_H

#include "frontends/nn/trainer.h"

#define PLB__RECORD_FILE "trainer.json"
#define PLB__MODEL_FILE  "model.safetensors"
#define PLB__STATE_FILE  "optimizer.safetensors"

/* Writes FOLDER/trainer.json with the checksums of the two other files, which must be there. */
enum plb_status plb__record_save(const struct plb_trainer_record *record, const char *folder);

/* Reads the record of the checkpoint of `directory` that counts and, if `verify`, checks the files
 * against it. */
enum plb_status plb__record_load(const char *directory, bool verify,
                                 struct plb_trainer_record *record_out);

/* Refuses (PLB_ERROR_FORMAT) what a run like `run` cannot resume, naming the difference. */
enum plb_status plb__record_compare(const struct plb_trainer_record *saved,
                                    const struct plb_trainer_record *run, const char *directory);

#endif
