/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of the optimizers and of clipping by the global norm.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>

static bool given(const struct reference_call *call, int k)
{
    return k < call->n_in && call->in[k].type.shape.rank > 0;
}

static double scaled_gradient(const struct reference_call *call, int scale, int64_t i)
{
    return call->in[1].v[i] * (given(call, scale) ? call->in[scale].v[0] : 1);
}

/* Loshchilov, Hutter 2019, algorithm 2, with the decay scaled by the learning rate (as all
 * implementations do). */
void reference_adamw(const struct reference_call *call)
{
    double beta1 = reference_float(call, "beta1"), beta2 = reference_float(call, "beta2");
    double epsilon = reference_float(call, "epsilon");
    double decay = reference_float(call, "weight_decay");
    const double *hyper = call->in[4].v;

    for (int64_t i = 0; i < plb_shape_elements(&call->in[0].type.shape); i++) {
        double p = call->in[0].v[i], g = scaled_gradient(call, 5, i);
        double m = beta1 * call->in[2].v[i] + (1 - beta1) * g;
        double v = beta2 * call->in[3].v[i] + (1 - beta2) * g * g;
        double factor = hyper[1] / (sqrt(v * hyper[2]) + epsilon), step = m * factor;
        double size = beta1 * fabs(call->in[2].v[i]) + (1 - beta1) * fabs(g);
        double next = p - hyper[0] * (step + decay * p);

        call->out[0].v[i] = next;
        call->out[0].magnitude[i] = fabs(p) + hyper[0] * (size * factor + decay * fabs(p));
        call->out[1].v[i] = m;
        call->out[1].magnitude[i] = size;
        call->out[2].v[i] = v;
        if (call->out[3].type.shape.rank > 0) {
            call->out[3].v[i] = next;
            call->out[3].magnitude[i] = call->out[0].magnitude[i];
        }
    }
}

void reference_sgd(const struct reference_call *call)
{
    double momentum = reference_float(call, "momentum");
    double decay = reference_float(call, "weight_decay");
    bool nesterov = reference_int(call, "nesterov") != 0;
    double rate = call->in[3].v[0];

    for (int64_t i = 0; i < plb_shape_elements(&call->in[0].type.shape); i++) {
        double p = call->in[0].v[i], old = call->in[2].v[i];
        double g = scaled_gradient(call, 4, i) + decay * p;
        double v = momentum * old + g;
        double next = p - rate * (nesterov ? g + momentum * v : v);
        double scale = fabs(p) * (1 + decay) + fabs(scaled_gradient(call, 4, i)) + fabs(old);

        call->out[0].v[i] = next;
        call->out[1].v[i] = v;
        call->out[0].magnitude[i] = call->out[1].magnitude[i] = scale;
        if (call->out[2].type.shape.rank > 0) {
            call->out[2].v[i] = next;
            call->out[2].magnitude[i] = scale;
        }
    }
}

void reference_sum_squares(const struct reference_call *call)
{
    double sum = 0;

    for (int64_t i = 0; i < plb_shape_elements(&call->in[0].type.shape); i++)
        sum += call->in[0].v[i] * call->in[0].v[i];
    call->out[0].v[0] = sum;
}

/* Pascanu, Mikolov, Bengio 2013, algorithm 1. */
void reference_clip_scale(const struct reference_call *call)
{
    double limit = reference_float(call, "limit"), sum = 0, norm;

    for (int k = 0; k < call->n_in; k++)
        sum += call->in[k].v[0];
    norm = sqrt(sum);
    call->out[0].v[0] = limit <= 0 || norm <= limit ? 1 : limit / norm;
    if (call->out[1].type.shape.rank > 0)
        call->out[1].v[0] = norm;
}
