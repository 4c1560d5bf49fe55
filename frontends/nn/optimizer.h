/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a loss to a training step: the backward pass, the clipping of the gradient, the update, and
 * the learning rate of each step.
 *
 * Thread-safety: as model.h; the schedule's functions are pure.
 */
#ifndef PLB_NN_OPTIMIZER_H
#define PLB_NN_OPTIMIZER_H

#include "frontends/nn/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum plb_optimizer_kind {
    PLB_OPTIMIZER_ADAMW, /* Loshchilov, Hutter 2019, algorithm 2 */
    PLB_OPTIMIZER_SGD,   /* with momentum */
};

/* Defaults in brackets: plb_optimizer_default(). */
struct plb_optimizer {
    enum plb_optimizer_kind kind;
    double beta1, beta2, epsilon; /* AdamW [0.9, 0.999, 1e-8] */
    double momentum;              /* SGD [0.9] */
    int nesterov;                 /* SGD [0] */
    double weight_decay;          /* on parameters whose `decay` is set [0.01] */
    double clip;                  /* limit of the gradient's global norm; 0: none [1.0] */
};

/* The values in brackets above. */
struct plb_optimizer plb_optimizer_default(enum plb_optimizer_kind kind);

/* "adamw", "sgd". Never NULL. */
const char *plb_optimizer_name(enum plb_optimizer_kind kind);
/* PLB_ERROR_INVALID lists the known names. */
enum plb_status plb_optimizer_find(const char *name, enum plb_optimizer_kind *kind_out);

/* What a training step offers beside the model's own inputs. */
struct plb_training {
    plb_value loss;  /* f32[1], output */
    plb_value norm;  /* f32[1], output: the gradient's global norm before clipping */
    plb_value hyper; /* f32[4], input, see plb_optimizer_hyper() */
};

/* Appends backward pass and update to the model's graph; `loss` is f32[1]. Each parameter that the
 * loss depends on gets a next version, and state: "NAME.moment1" and, for AdamW, "NAME.moment2", in
 * f32, zero before the first step; "NAME.master" in f32 where the model's dtype is another. */
enum plb_status plb_nn_train(plb_model_t *model, plb_value loss,
                             const struct plb_optimizer *optimizer,
                             struct plb_training *training_out);

/* The two halves of it, for steps of several micro-batches: after each forward pass its backward
 * pass, then one update. The step's loss is the sum of the losses, each times its `weight` (1/n for
 * the mean of n), and the gradients are added in a fixed binary tree as they come. All parameters
 * must exist at the first pass; there can be PLB_PASSES_MAX. */
#define PLB_PASSES_MAX 1023
enum plb_status plb_nn_backward(plb_model_t *model, plb_value loss, double weight);
enum plb_status plb_nn_update(plb_model_t *model, const struct plb_optimizer *optimizer,
                              struct plb_training *training_out);

enum plb_schedule_kind {
    PLB_SCHEDULE_CONSTANT,
    PLB_SCHEDULE_COSINE, /* from `rate` down to `rate * floor` (Loshchilov, Hutter 2017, eq. 5) */
};

/* The learning rate: rises linearly over `warmup` steps, then as `kind` says until step `steps`. */
struct plb_schedule {
    enum plb_schedule_kind kind;
    double rate;     /* at the top */
    double floor;    /* fraction of it at the end */
    uint64_t warmup; /* steps */
    uint64_t steps;  /* in all; the rate stays at the floor beyond */
};

/* The rate of step 0, 1, ... */
double plb_schedule_rate(const struct plb_schedule *schedule, uint64_t step);

/* The values of plb_training.hyper for a step. */
void plb_optimizer_hyper(const struct plb_optimizer *optimizer, const struct plb_schedule *schedule,
                         uint64_t step, float hyper_out[4]);

#ifdef __cplusplus
}
#endif

#endif
