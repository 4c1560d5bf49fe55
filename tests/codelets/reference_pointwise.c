/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of the operators that go element by element.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>

#define PI 3.14159265358979323846

static int64_t elements(const struct reference_call *call)
{
    return plb_shape_elements(&call->out[0].type.shape);
}

/* GELU (Hendrycks, Gimpel 2016, section 2): kind 0 x Phi(x), kind 1 its approximation by tanh.
 * The argument of tanh is u = sqrt(2/pi) (x + 0.044715 x^3). */
static double tanh_argument(double x)
{
    return sqrt(2 / PI) * (x + 0.044715 * x * x * x);
}

static double gelu(double x, int64_t kind)
{
    if (kind == 0)
        return 0.5 * x * erfc(-x / sqrt(2));
    return 0.5 * x * (1 + tanh(tanh_argument(x)));
}

static double gelu_slope(double x, int64_t kind)
{
    double t = tanh(tanh_argument(x));

    if (kind == 0)
        return 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) / sqrt(2 * PI);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / PI) * (1 + 3 * 0.044715 * x * x);
}

void reference_gelu(const struct reference_call *call)
{
    int64_t kind = reference_int(call, "kind");

    for (int64_t i = 0; i < elements(call); i++) {
        call->out[0].v[i] = gelu(call->in[0].v[i], kind);
        call->out[0].magnitude[i] = fabs(call->in[0].v[i]); /* 1 + erf cancels far below zero */
    }
}

void reference_gelu_dx(const struct reference_call *call)
{
    int64_t kind = reference_int(call, "kind");

    for (int64_t i = 0; i < elements(call); i++) {
        call->out[0].v[i] = call->in[0].v[i] * gelu_slope(call->in[1].v[i], kind);
        call->out[0].magnitude[i] = fabs(call->in[0].v[i]) * (1 + fabs(call->in[1].v[i]));
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double silu_slope(double x)
{
    return sigmoid(x) + x * sigmoid(x) * sigmoid(-x);
}

void reference_silu(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++)
        call->out[0].v[i] = call->in[0].v[i] * sigmoid(call->in[0].v[i]);
}

void reference_silu_dx(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++)
        call->out[0].v[i] = call->in[0].v[i] * silu_slope(call->in[1].v[i]);
}

/* y = silu(gate) up (Shazeer 2020, eq. 5); a row of x is [gate | up]. */
void reference_swiglu(const struct reference_call *call)
{
    int64_t f = reference_dim(&call->out[0], 1);

    for (int64_t i = 0; i < elements(call); i++) {
        const double *x = call->in[0].v + i / f * 2 * f;
        double gate = x[i % f], up = x[f + i % f];

        call->out[0].v[i] = gate * sigmoid(gate) * up;
    }
}

void reference_swiglu_dx(const struct reference_call *call)
{
    int64_t f = reference_dim(&call->in[0], 1), n = reference_dim(&call->in[0], 0);

    for (int64_t i = 0; i < n * f; i++) {
        int64_t k = i / f * 2 * f + i % f;
        double gate = call->in[1].v[k], up = call->in[1].v[k + f];

        call->out[0].v[k] = call->in[0].v[i] * up * silu_slope(gate);
        call->out[0].v[k + f] = call->in[0].v[i] * gate * sigmoid(gate);
    }
}

void reference_relu(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++)
        call->out[0].v[i] = call->in[0].v[i] < 0 ? 0 : call->in[0].v[i];
}

void reference_relu_dx(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++)
        call->out[0].v[i] = call->in[1].v[i] > 0 ? call->in[0].v[i] : 0;
}

void reference_add(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++) {
        call->out[0].v[i] = call->in[0].v[i] + call->in[1].v[i];
        call->out[0].magnitude[i] = fabs(call->in[0].v[i]) + fabs(call->in[1].v[i]);
    }
}

void reference_sum(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++) {
        call->out[0].v[i] = call->out[0].magnitude[i] = 0;
        for (int k = 0; k < call->n_in; k++) {
            call->out[0].v[i] += call->in[k].v[i];
            call->out[0].magnitude[i] += fabs(call->in[k].v[i]);
        }
    }
}

void reference_dropout(const struct reference_call *call)
{
    double p = reference_float(call, "p");
    uint64_t seed = (uint64_t)reference_int(call, "seed");
    uint64_t stream = (uint64_t)reference_int(call, "stream");

    for (int64_t i = 0; i < elements(call); i++) {
        bool keep = reference_keeps(p, seed, stream, call->step, (uint64_t)i);

        call->out[0].v[i] = keep ? call->in[0].v[i] / (1 - p) : 0;
    }
}

static void copy(const struct reference_call *call)
{
    for (int64_t i = 0; i < elements(call); i++)
        call->out[0].v[i] = call->in[0].v[i];
}

void reference_cast(const struct reference_call *call)
{
    copy(call);
}

void reference_reshape(const struct reference_call *call)
{
    copy(call);
}

void reference_fill(const struct reference_call *call)
{
    call->out[0].v[0] = reference_float(call, "value");
}
