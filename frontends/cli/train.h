/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of `palombe train` share.
 */
#ifndef PLB_CLI_TRAIN_H
#define PLB_CLI_TRAIN_H

#include "frontends/cli/cli.h"
#include "frontends/data/corpus.h"
#include "frontends/nn/pretrain.h"

/* One run of `palombe train`. */
struct cli_run {
    const struct plb_settings *settings;
    const char *out;
    bool resumed;
    bool made_out; /* the directory was not there before */
    struct plb_model_config config;
    struct plb_pretrain_options options;
    double validation; /* share of the corpus */
    plb_tokenizer_t *tokenizer;
    plb_corpus_t *corpus;
    plb_costs_t *costs;           /* of --costs, or NULL */
    plb_pretrain_t *pretrain;
    plb_trainer_t *trainer;       /* the pretrain's */
    bool validates;               /* a part of the corpus is kept for it */
    uint64_t last;                /* the step to end at */
    struct cli_point *point;      /* the loss curve */
    size_t n_points, points_capacity;
    double seconds;               /* of the steps of this run */
    uint64_t steps;               /* made by this run */
    float loss;
    double validation_loss;
};

/* train_setup.c: from the settings (or, to resume, from the checkpoint) to a trainer with its
 * parameters; the runtime is started. cli_run_clear() is due also after a failure. */
enum plb_status cli_run_prepare(struct cli_run *run);
void cli_run_clear(struct cli_run *run);

/* train_report.c: the loss curve and the pictures. */
enum plb_status cli_run_add_point(struct cli_run *run, double step, double loss, double validation);
/* Reads the points of an earlier part of the run; a file that is not there is no error. */
enum plb_status cli_run_load_points(struct cli_run *run);
enum plb_status cli_run_save_points(const struct cli_run *run);
/* Loss curve, timeline of the latest step (which must have been traced), graph. */
enum plb_status cli_run_draw(struct cli_run *run);
enum plb_status cli_run_report(const struct cli_run *run);

#endif
