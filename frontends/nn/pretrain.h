/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training a language model on a corpus: trainer.h with the data of each step and the files of
 * Hugging Face's layout.
 *
 * Thread-safety: as session.h.
 */
#ifndef PLB_NN_PRETRAIN_H
#define PLB_NN_PRETRAIN_H

#include "frontends/data/corpus.h"
#include "frontends/nn/language.h"
#include "frontends/nn/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_pretrain plb_pretrain_t;

struct plb_pretrain_options {
    enum plb_dtype dtype;    /* PLB_F32, or PLB_BF16 with f32 masters */
    int64_t batch, sequence; /* of a step */
    int64_t micro_batches;   /* that the batch is divided into, which saves memory; 0 counts as 1 */
    uint64_t seed;           /* of initial values, dropout and the order of the data */
    struct plb_split split;  /* how the model is split; a resumed run may be split otherwise */
    struct plb_optimizer optimizer;
    struct plb_schedule schedule;
    struct plb_session_options session;
};

/* Makes the step's graph and session; parameters are zero until plb_trainer_initialize(), _load()
 * or _resume() of plb_pretrain_trainer(). `corpus` and `tokenizer` must outlive the result; the
 * tokenizer, saved along with the model, may be NULL. PLB_ERROR_INVALID for sizes that do not fit
 * the model or the corpus; what plb_session_create() says. Under a memory budget (or on a card) a part
 * of it is set aside for evaluations, where the corpus has windows for validation. */
enum plb_status plb_pretrain_create(const struct plb_model_config *config,
                                    const plb_corpus_t *corpus, const plb_tokenizer_t *tokenizer,
                                    const struct plb_pretrain_options *options,
                                    plb_pretrain_t **pretrain_out);
void plb_pretrain_destroy(plb_pretrain_t *pretrain); /* waits; NULL is allowed */

plb_trainer_t *plb_pretrain_trainer(plb_pretrain_t *pretrain);
/* The graph of a step, as captured. */
const plb_graph_t *plb_pretrain_graph(const plb_pretrain_t *pretrain);

/* Takes the next batch of the corpus and submits the step; plb_trainer_read() waits for its loss.
 */
enum plb_status plb_pretrain_step(plb_pretrain_t *pretrain);

/* Mean loss over the first `batches` batches of the part for validation, without dropout. */
enum plb_status plb_pretrain_evaluate(plb_pretrain_t *pretrain, int64_t batches, double *loss_out);

/* plb_trainer_save() with config.json and the tokenizer. */
enum plb_status plb_pretrain_save(plb_pretrain_t *pretrain, const char *directory);

#ifdef __cplusplus
}
#endif

#endif
