/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of the normalisations (Ba, Kiros, Hinton 2016; Zhang, Sennrich 2019) and of their
 * gradients, for rows of C columns.
 *
 * With h = (x - mean) rstd and e = dy gamma:
 *   layer norm  dx = rstd (e - mean(e) - h mean(e h)),  dgamma = sum dy h,  dbeta = sum dy
 *   RMS norm    the same with mean 0 and without the term mean(e).
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>

static void forward(const struct reference_call *call, int64_t row, double mean, double rstd,
                    int64_t c)
{
    const double *x = call->in[0].v + row * c;
    double *y = call->out[0].v + row * c, *magnitude = call->out[0].magnitude + row * c;

    for (int64_t j = 0; j < c; j++) {
        double gamma = call->in[1].v[j], beta = 0;

        if (call->op->n_in > 2 && call->in[2].type.shape.rank > 0)
            beta = call->in[2].v[j];
        y[j] = (x[j] - mean) * rstd * gamma + beta;
        magnitude[j] = (fabs(x[j]) + fabs(mean)) * rstd * fabs(gamma) + fabs(beta);
    }
}

static double mean_square(const double *x, int64_t c, double mean)
{
    double sum = 0;

    for (int64_t j = 0; j < c; j++)
        sum += (x[j] - mean) * (x[j] - mean);
    return sum / (double)c;
}

void reference_layer_norm(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[0], 1);
    double eps = reference_float(call, "eps");

    for (int64_t i = 0; i < n; i++) {
        const double *x = call->in[0].v + i * c;
        double mean = 0, rstd;

        for (int64_t j = 0; j < c; j++)
            mean += x[j] / (double)c;
        rstd = 1 / sqrt(mean_square(x, c, mean) + eps);
        forward(call, i, mean, rstd, c);
        call->out[1].v[i] = mean;
        call->out[2].v[i] = rstd;
    }
}

void reference_rms_norm(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[0], 1);
    double eps = reference_float(call, "eps");

    for (int64_t i = 0; i < n; i++) {
        const double *x = call->in[0].v + i * c;
        double rstd = 1 / sqrt(mean_square(x, c, 0) + eps);

        forward(call, i, 0, rstd, c);
        call->out[1].v[i] = rstd;
    }
}

/* One row of dx; `centred` is 1 for layer norm, 0 for RMS norm. */
static void backward_row(const double *dy, const double *x, const double *gamma, double mean,
                         double rstd, int centred, int64_t c, double *dx, double *magnitude)
{
    double mean_e = 0, mean_eh = 0, size_e = 0, size_eh = 0;

    for (int64_t j = 0; j < c; j++) {
        double e = dy[j] * gamma[j], h = (x[j] - mean) * rstd;

        mean_e += centred * e / (double)c;
        mean_eh += e * h / (double)c;
        size_e += centred * fabs(e) / (double)c;
        size_eh += fabs(e * h) / (double)c;
    }
    for (int64_t j = 0; j < c; j++) {
        double e = dy[j] * gamma[j], h = (x[j] - mean) * rstd;

        dx[j] = rstd * (e - mean_e - h * mean_eh);
        magnitude[j] = rstd * (fabs(e) + size_e + fabs(h) * size_eh);
    }
}

void reference_layer_norm_dx(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < n; i++)
        backward_row(call->in[0].v + i * c, call->in[1].v + i * c, call->in[2].v, call->in[3].v[i],
                     call->in[4].v[i], 1, c, call->out[0].v + i * c,
                     call->out[0].magnitude + i * c);
}

void reference_rms_norm_dx(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < n; i++)
        backward_row(call->in[0].v + i * c, call->in[1].v + i * c, call->in[2].v, 0,
                     call->in[3].v[i], 0, c, call->out[0].v + i * c,
                     call->out[0].magnitude + i * c);
}

static void weights(const struct reference_call *call, const double *mean, const double *rstd)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[0], 1);
    struct reference_value *dgamma = &call->out[0];

    for (int64_t j = 0; j < c; j++) {
        dgamma->v[j] = dgamma->magnitude[j] = 0;
        for (int64_t i = 0; i < n; i++) {
            double x = call->in[1].v[i * c + j] - (mean != NULL ? mean[i] : 0);
            double term = call->in[0].v[i * c + j] * x * rstd[i];

            dgamma->v[j] += term;
            dgamma->magnitude[j] += fabs(term);
        }
    }
}

void reference_layer_norm_dw(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[0], 1);
    struct reference_value *dbeta = &call->out[1];

    weights(call, call->in[2].v, call->in[3].v);
    for (int64_t j = 0; j < c && dbeta->type.shape.rank > 0; j++) {
        dbeta->v[j] = dbeta->magnitude[j] = 0;
        for (int64_t i = 0; i < n; i++) {
            dbeta->v[j] += call->in[0].v[i * c + j];
            dbeta->magnitude[j] += fabs(call->in[0].v[i * c + j]);
        }
    }
}

void reference_rms_norm_dw(const struct reference_call *call)
{
    weights(call, NULL, call->in[2].v);
}
