/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of softmax cross-entropy. N rows, V classes; rows with a negative target are ignored.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>

static double log_sum_exp(const double *x, int64_t n)
{
    double top = -INFINITY, sum = 0;

    for (int64_t j = 0; j < n; j++)
        top = x[j] > top || isnan(x[j]) ? x[j] : top;
    for (int64_t j = 0; j < n; j++)
        sum += exp(x[j] - top);
    return top + log(sum);
}

void reference_cross_entropy(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), v = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < n; i++) {
        const double *x = call->in[0].v + i * v;
        int64_t target = (int64_t)call->in[1].v[i];
        double lse = log_sum_exp(x, v);

        call->out[0].v[i] = target < 0 ? 0 : lse - x[target];
        call->out[0].magnitude[i] = target < 0 ? 0 : fabs(lse) + fabs(x[target]);
        call->out[1].v[i] = lse;
        call->out[1].magnitude[i] = 1; /* the logarithm of a sum: an absolute error */
    }
}

void reference_cross_entropy_dx(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), v = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < n; i++) {
        int64_t target = (int64_t)call->in[1].v[i];

        for (int64_t j = 0; j < v; j++) {
            double argument = call->in[0].v[i * v + j] - call->in[2].v[i], p = exp(argument);
            double slope = target < 0 ? 0 : p - (j == target), size;

            call->out[0].v[i * v + j] = target < 0 ? 0 : slope * call->in[3].v[i];
            size = (p * (1 + fabs(argument)) + (j == target)) * fabs(call->in[3].v[i]);
            call->out[0].magnitude[i * v + j] = target < 0 ? 0 : size;
        }
    }
}

static int64_t counted(const struct reference_value *targets)
{
    int64_t count = 0;

    for (int64_t i = 0; i < reference_dim(targets, 0); i++)
        count += targets->v[i] >= 0;
    return count;
}

void reference_mean_loss(const struct reference_call *call)
{
    int64_t count = counted(&call->in[1]);
    double sum = 0;

    for (int64_t i = 0; i < reference_dim(&call->in[0], 0); i++)
        sum += call->in[1].v[i] >= 0 ? call->in[0].v[i] : 0;
    call->out[0].v[0] = count > 0 ? sum / (double)count : 0;
}

void reference_mean_loss_dx(const struct reference_call *call)
{
    int64_t count = counted(&call->in[1]);

    for (int64_t i = 0; i < reference_dim(&call->in[1], 0); i++)
        call->out[0].v[i] = call->in[1].v[i] >= 0 ? call->in[0].v[0] / (double)count : 0;
}
