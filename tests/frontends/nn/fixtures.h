/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests that run models share. */
#ifndef PLB_TESTS_NN_FIXTURES_H
#define PLB_TESTS_NN_FIXTURES_H

#include "frontends/nn/pretrain.h"

/* For PLB_TEST_MAIN: starts the runtime with two workers, and stops it. */
int fixture_start(void);
int fixture_stop(void);

/* A model of two blocks and some ten thousand parameters; dropout 0. */
struct plb_model_config fixture_config(enum plb_model_family family);

/* AdamW at a constant rate, batch 2, sequence 16, seed 5. */
struct plb_pretrain_options fixture_options(enum plb_dtype dtype);

/* A corpus of `count` tokens below 50, a fifth of it for validation. */
plb_corpus_t *fixture_corpus(int64_t count);

/* A trainer with fresh parameters. */
plb_pretrain_t *fixture_pretrain(const struct plb_model_config *config, const plb_corpus_t *corpus,
                                 const struct plb_pretrain_options *options);

/* Makes `steps` steps and keeps their losses. */
void fixture_train(plb_pretrain_t *pretrain, int steps, float *losses);

/* A hash of the bits of all tensors of the trainer's store. */
uint64_t fixture_bits(plb_pretrain_t *pretrain);

#endif
