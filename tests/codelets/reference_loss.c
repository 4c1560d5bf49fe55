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

/* part = (lse of the columns, logit of the target or 0 where it is none of them), zeros where the
 * row is ignored. */
void reference_cross_entropy_part(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), v = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < n; i++) {
        const double *x = call->in[0].v + i * v;
        int64_t target = (int64_t)call->in[1].v[i], at = target - reference_int(call, "first");

        call->out[0].v[2 * i] = target < 0 ? 0 : log_sum_exp(x, v);
        call->out[0].magnitude[2 * i] = target >= 0;
        call->out[0].v[2 * i + 1] = at >= 0 && at < v ? x[at] : 0;
    }
}

void reference_cross_entropy_part_dx(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), v = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < n; i++) {
        int64_t target = (int64_t)call->in[1].v[i], at = target - reference_int(call, "first");
        const double *d = call->in[3].v + 2 * i;

        for (int64_t j = 0; j < v && target >= 0; j++) {
            double argument = call->in[0].v[i * v + j] - call->in[2].v[2 * i], p = exp(argument);

            call->out[0].v[i * v + j] = d[0] * p + (j == at ? d[1] : 0);
            call->out[0].magnitude[i * v + j] =
                fabs(d[0]) * p * (1 + fabs(argument)) + (j == at ? fabs(d[1]) : 0);
        }
        for (int64_t j = 0; j < v && target < 0; j++)
            call->out[0].v[i * v + j] = 0;
    }
}

/* lse = log sum_j exp(lse_j), loss = lse - sum_j logit_j. */
void reference_cross_entropy_merge(const struct reference_call *call)
{
    for (int64_t i = 0; i < reference_dim(&call->in[0], 0); i++) {
        double top = -INFINITY, sum = 0, logit = 0, size = 0, lse;

        for (int k = 1; k < call->n_in; k++) {
            double x = call->in[k].v[2 * i];

            top = x > top || isnan(x) ? x : top;
            logit += call->in[k].v[2 * i + 1];
            size += fabs(call->in[k].v[2 * i + 1]);
        }
        for (int k = 1; k < call->n_in; k++)
            sum += exp(call->in[k].v[2 * i] - top);
        lse = top + log(sum);
        call->out[0].v[i] = call->in[0].v[i] < 0 ? 0 : lse - logit;
        call->out[0].magnitude[i] = call->in[0].v[i] < 0 ? 0 : fabs(lse) + size;
        call->out[1].v[i] = lse;
        call->out[1].magnitude[i] = 1;
    }
}

void reference_cross_entropy_merge_dx(const struct reference_call *call)
{
    for (int64_t i = 0; i < reference_dim(&call->in[0], 0); i++) {
        double argument = call->in[1].v[2 * i] - call->in[2].v[i], d = call->in[3].v[i];
        bool counts = call->in[0].v[i] >= 0;

        call->out[0].v[2 * i] = counts ? d * exp(argument) : 0;
        call->out[0].magnitude[2 * i] = counts ? fabs(d) * exp(argument) * (1 + fabs(argument)) : 0;
        call->out[0].v[2 * i + 1] = counts ? -d : 0;
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
