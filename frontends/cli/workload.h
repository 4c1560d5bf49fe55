/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmarks and the planner train: a model, its loss, and inputs that are good enough to
 * measure with.
 */
#ifndef PLB_CLI_WORKLOAD_H
#define PLB_CLI_WORKLOAD_H

#include "frontends/cli/cli.h"
#include "frontends/nn/language.h"
#include "frontends/nn/model.h"
#include "frontends/nn/trainer.h"

/* Positions, and tokens and targets of each micro-batch. */
#define CLI_INPUTS_MAX (1 + 2 * PLB_MICRO_BATCHES_MAX)

struct cli_workload {
    char title[128]; /* "gpt2, 12 layers of 768, 4 x 64 tokens, f32" */
    plb_model_t *model;
    plb_value loss;        /* PLB_NONE with several micro-batches: backward passes are there */
    int64_t micro_batches;
    enum plb_dtype dtype;
    int64_t samples;  /* tokens or images of a step */
    const char *unit; /* "tokens", "images" */
    int n_inputs;
    struct {
        plb_value value;
        void *data; /* owned */
        size_t bytes;
    } input[CLI_INPUTS_MAX];
};

/* Builds the forward pass of --workload in the sizes of --model, --layers, --hidden, --heads,
 * --batch, --sequence, --micro-batches, --dtype. Without dropout; everything random follows from
 * `seed`. */
enum plb_status cli_workload_build(const struct plb_settings *settings, uint64_t seed,
                                   struct cli_workload *workload_out);
/* Frees the inputs, and the model unless something else has taken it over (then set it to NULL). */
void cli_workload_clear(struct cli_workload *workload);

/* Appends the backward passes that are missing, and the update. */
enum plb_status cli_workload_train(struct cli_workload *workload,
                                   const struct plb_optimizer *optimizer);

/* A trainer (AdamW, learning rate 1e-4) with fresh parameters and the inputs written; it takes the
 * model over. */
enum plb_status cli_workload_trainer(struct cli_workload *workload,
                                     const struct plb_session_options *session,
                                     plb_trainer_t **trainer_out);

#endif
