/* SPDX-License-Identifier: BSD-3-Clause */
/* The training step as a graph. The arithmetic of the update is in codelets/adamw and codelets/sgd.
 */
#include "config.h"

#include "frontends/nn/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codelets/codelets.h"
#include "frontends/nn/model_internal.h"
#include "runtime/graph/differentiate.h"

#define STATE_NAME_BYTES 600

static const char *const names[] = {
    [PLB_OPTIMIZER_ADAMW] = "adamw",
    [PLB_OPTIMIZER_SGD] = "sgd",
};

struct plb_optimizer plb_optimizer_default(enum plb_optimizer_kind kind)
{
    struct plb_optimizer optimizer = {
        .kind = kind,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8,
        .momentum = 0.9,
        .weight_decay = 0.01,
        .clip = 1.0,
    };
    return optimizer;
}

const char *plb_optimizer_name(enum plb_optimizer_kind kind)
{
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

enum plb_status plb_optimizer_find(const char *name, enum plb_optimizer_kind *kind_out)
{
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind_out = (enum plb_optimizer_kind)i;
            return PLB_OK;
        }
    }
    return plb_fail(PLB_ERROR_INVALID, "unknown optimizer \"%s\"; known are adamw, sgd", name);
}

/* Tasks added from now on belong to the shard whose parameter this is; NULL: to none. */
static void follow(plb_graph_t *g, const struct plb_parameter *parameter)
{
    bool split = parameter && parameter->share.shards > 1;

    plb_graph_set_shard(g, split ? parameter->share.shard : -1);
}

static plb_value state(plb_graph_t *g, const struct plb_parameter *parameter, const char *kind)
{
    char name[STATE_NAME_BYTES];

    snprintf(name, sizeof name, "%s.%s", parameter->name, kind);
    return plb_graph_add_value(g, name, PLB_ROLE_STATE, PLB_F32, parameter->shape);
}

/* Makes `next` the version of `first` at the end of the step, in its role. */
static void carry(plb_graph_t *g, plb_value first, plb_value next)
{
    if (plb_graph_status(g) != PLB_OK)
        return;
    plb_graph_set_role(g, next, plb_graph_value(g, first)->role);
    plb_graph_carry(g, first, next);
}

static void update_adamw(plb_graph_t *g, const struct plb_optimizer *optimizer,
                         const struct plb_parameter *parameter, plb_value gradient, plb_value hyper,
                         plb_value scale)
{
    struct plb_adamw options = {optimizer->beta1, optimizer->beta2, optimizer->epsilon,
                                parameter->decay ? optimizer->weight_decay : 0.0};
    bool mixed = parameter->master != parameter->value;
    plb_value m = state(g, parameter, "moment1"), v = state(g, parameter, "moment2");
    struct plb_update next = plb_adamw(g, parameter->master, gradient, m, v, hyper, scale,
                                       mixed ? parameter->value : PLB_NONE, &options);

    carry(g, parameter->master, next.parameter);
    carry(g, m, next.moment1);
    carry(g, v, next.moment2);
    if (mixed)
        carry(g, parameter->value, next.working);
}

static void update_sgd(plb_graph_t *g, const struct plb_optimizer *optimizer,
                       const struct plb_parameter *parameter, plb_value gradient, plb_value hyper,
                       plb_value scale)
{
    struct plb_sgd options = {optimizer->momentum, parameter->decay ? optimizer->weight_decay : 0.0,
                              optimizer->nesterov};
    bool mixed = parameter->master != parameter->value;
    plb_value m = state(g, parameter, "moment1");
    struct plb_update next = plb_sgd(g, parameter->master, gradient, m, hyper, scale,
                                     mixed ? parameter->value : PLB_NONE, &options);

    carry(g, parameter->master, next.parameter);
    carry(g, m, next.moment1);
    if (mixed)
        carry(g, parameter->value, next.working);
}

/* The norm of all gradients and the factor that clips it. */
static plb_value clip(plb_model_t *model, const plb_value *gradients, int n, double limit,
                      plb_value *norm_out)
{
    plb_graph_t *g = plb_model_graph(model);
    plb_value *sums = malloc((size_t)n * sizeof *sums), scale = PLB_NONE;
    int made = 0;

    if (!sums) {
        plb_graph_fail(g, plb_fail(PLB_ERROR_MEMORY, "no memory for %d sums of squares", n));
        return PLB_NONE;
    }
    for (int i = 0; i < n; i++) {
        if (gradients[i] == PLB_NONE)
            continue;
        follow(g, plb_model_parameter_at(model, i));
        sums[made++] = plb_sum_squares(g, gradients[i]);
    }
    follow(g, NULL);
    if (made > 0)
        scale = plb_clip_scale(g, sums, made, limit, norm_out);
    else
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "the loss depends on no parameter"));
    free(sums);
    return scale;
}

static void update_all(plb_model_t *model, const struct plb_optimizer *optimizer,
                       const plb_value *gradients, struct plb_training *training)
{
    plb_graph_t *g = plb_model_graph(model);
    int n = plb_model_parameters(model);

    plb_graph_set_phase(g, PLB_PHASE_UPDATE);
    plb_graph_set_block(g, -1);
    training->hyper = plb_graph_add_value(g, "hyper", PLB_ROLE_INPUT, PLB_F32, plb_shape1(4));
    plb_value scale = clip(model, gradients, n, optimizer->clip, &training->norm);
    for (int i = 0; i < n && plb_graph_status(g) == PLB_OK; i++) {
        const struct plb_parameter *parameter = plb_model_parameter_at(model, i);
        if (gradients[i] == PLB_NONE)
            continue;
        follow(g, parameter);
        if (optimizer->kind == PLB_OPTIMIZER_ADAMW)
            update_adamw(g, optimizer, parameter, gradients[i], training->hyper, scale);
        else
            update_sgd(g, optimizer, parameter, gradients[i], training->hyper, scale);
    }
    follow(g, NULL);
}

/* loss[1] times a number: the product of two matrices of one element. */
static plb_value weighted(plb_graph_t *g, plb_value loss, double weight)
{
    if (weight == 1.0)
        return loss;
    plb_value x = plb_reshape(g, loss, plb_shape2(1, 1));
    plb_value w = plb_reshape(g, plb_fill(g, weight), plb_shape2(1, 1));
    return plb_reshape(g, plb_linear(g, x, w, PLB_NONE), plb_shape1(1));
}

static plb_value add_gradients(plb_graph_t *g, plb_value a, plb_value b)
{
    if (a == PLB_NONE || b == PLB_NONE)
        return a == PLB_NONE ? b : a;
    return plb_add(g, a, b);
}

static enum plb_status begin_passes(plb_model_t *model, struct plb__passes *passes)
{
    int n = plb_model_parameters(model);

    if (n == 0)
        return plb_fail(PLB_ERROR_INVALID, "the model has no parameters");
    passes->partial = malloc((size_t)n * sizeof *passes->partial);
    if (!passes->partial)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %d gradients", n);
    passes->parameters = n;
    passes->loss = PLB_NONE;
    return PLB_OK;
}

/* Adds the gradients of one pass to the partial sums: a binary counter goes one further. */
static void count_pass(plb_model_t *model, struct plb__passes *passes, const plb_value *gradients)
{
    plb_graph_t *g = plb_model_graph(model);

    for (int i = 0; i < passes->parameters; i++) {
        plb_value sum = gradients[i];
        int level = 0;
        follow(g, plb_model_parameter_at(model, i));
        for (; passes->count >> level & 1; level++)
            sum = add_gradients(g, passes->partial[i][level], sum);
        passes->partial[i][level] = sum;
    }
    passes->count++;
}

static enum plb_status backward(plb_model_t *model, plb_value loss, double weight)
{
    struct plb__passes *passes = plb__model_passes(model);
    plb_graph_t *g = plb_model_graph(model);
    int n = plb_model_parameters(model);

    if (passes->count == 0)
        PLB_TRY(begin_passes(model, passes));
    if (passes->count == PLB_PASSES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "a step has at most %d passes", PLB_PASSES_MAX);
    if (n != passes->parameters)
        return plb_fail(PLB_ERROR_INVALID, "%d parameters were added after the first pass",
                        n - passes->parameters);
    plb_value *wanted = malloc(2 * (size_t)n * sizeof *wanted);
    if (!wanted)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %d gradients", n);
    for (int i = 0; i < n; i++)
        wanted[i] = plb_model_parameter_at(model, i)->value;
    loss = weighted(g, loss, weight);
    enum plb_status status = plb_graph_differentiate(g, loss, wanted, n, wanted + n);
    if (status == PLB_OK) {
        plb_graph_set_phase(g, PLB_PHASE_BACKWARD);
        plb_graph_set_micro_batch(g, -1);
        count_pass(model, passes, wanted + n);
        follow(g, NULL);
        passes->loss = passes->loss == PLB_NONE ? loss : plb_add(g, passes->loss, loss);
        plb_graph_set_phase(g, PLB_PHASE_FORWARD);
        plb_model_set_shard(model, 1, -1);
        status = plb_graph_status(g);
    }
    free(wanted);
    return status;
}

enum plb_status plb_nn_backward(plb_model_t *model, plb_value loss, double weight)
{
    PLB_TRY(plb_model_status(model));
    enum plb_status status = backward(model, loss, weight);
    return status == PLB_OK ? PLB_OK : plb_graph_fail(plb_model_graph(model), status);
}

/* What is left of the tree: the partial sums of all levels, the latest first. */
static void sum_passes(plb_model_t *model, const struct plb__passes *passes, plb_value *gradients)
{
    plb_graph_t *g = plb_model_graph(model);

    plb_graph_set_phase(g, PLB_PHASE_BACKWARD);
    for (int i = 0; i < passes->parameters; i++) {
        gradients[i] = PLB_NONE;
        follow(g, plb_model_parameter_at(model, i));
        for (int level = 0; level < PLB__PASS_LEVELS; level++)
            if (passes->count >> level & 1)
                gradients[i] = add_gradients(g, passes->partial[i][level], gradients[i]);
    }
}

enum plb_status plb_nn_update(plb_model_t *model, const struct plb_optimizer *optimizer,
                              struct plb_training *training_out)
{
    const struct plb__passes *passes = plb__model_passes(model);
    struct plb_training training = {.loss = passes->loss, .norm = PLB_NONE, .hyper = PLB_NONE};
    plb_graph_t *g = plb_model_graph(model);

    PLB_TRY(plb_model_status(model));
    if (passes->count == 0)
        return plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "there was no backward pass"));
    PLB_TRY(plb_model_add_masters(model));
    plb_value *gradients = malloc((size_t)passes->parameters * sizeof *gradients);
    if (!gradients)
        return plb_graph_fail(g, plb_fail(PLB_ERROR_MEMORY, "no memory for gradients"));
    sum_passes(model, passes, gradients);
    follow(g, NULL);
    update_all(model, optimizer, gradients, &training);
    free(gradients);
    plb_graph_output(g, training.loss);
    plb_graph_output(g, training.norm);
    PLB_TRY(plb_graph_status(g));
    *training_out = training;
    return PLB_OK;
}

enum plb_status plb_nn_train(plb_model_t *model, plb_value loss,
                             const struct plb_optimizer *optimizer,
                             struct plb_training *training_out)
{
    PLB_TRY(plb_nn_backward(model, loss, 1.0));
    return plb_nn_update(model, optimizer, training_out);
}

double plb_schedule_rate(const struct plb_schedule *schedule, uint64_t step)
{
    if (step < schedule->warmup)
        return schedule->rate * (double)(step + 1) / (double)schedule->warmup;
    if (schedule->kind == PLB_SCHEDULE_CONSTANT)
        return schedule->rate;
    if (step >= schedule->steps)
        return schedule->rate * schedule->floor;
    double done = (double)(step - schedule->warmup) / (double)(schedule->steps - schedule->warmup);
    double fraction = 0.5 * (1.0 + cos(M_PI * done));
    return schedule->rate * (schedule->floor + (1.0 - schedule->floor) * fraction);
}

void plb_optimizer_hyper(const struct plb_optimizer *optimizer, const struct plb_schedule *schedule,
                         uint64_t step, float hyper_out[4])
{
    double t = (double)step + 1.0;

    hyper_out[0] = (float)plb_schedule_rate(schedule, step);
    hyper_out[1] = (float)(1.0 / (1.0 - pow(optimizer->beta1, t)));
    hyper_out[2] = (float)(1.0 / (1.0 - pow(optimizer->beta2, t)));
    hyper_out[3] = 0.0f;
}
