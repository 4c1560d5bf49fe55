/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of rotary embedding, causal attention and the key-value cache.
 *
 * H heads, G key-value heads (head h reads key-value head h G / H), D features of a head, T
 * positions of a sequence. A packed row is [queries H D | keys G D | values G D]; row n is position
 * n % T of sequence n / T. These make the whole matrix of probabilities of a head at a time.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>
#include <stdlib.h>

#define PI 3.14159265358979323846

/* Su et al. 2021, section 3.4, in the half-split layout; frequency scaling of Llama 3.1. */
static double frequency(const struct reference_call *call, int64_t j, int64_t d)
{
    double f = pow(reference_float(call, "theta"), -2.0 * (double)j / (double)d);
    double factor = reference_float(call, "factor");
    double original = (double)reference_int(call, "original_positions");
    double low = reference_float(call, "low_frequency");
    double high = reference_float(call, "high_frequency");
    double turns = original * f / (2 * PI), smooth;

    if (factor == 1)
        return f;
    if (reference_int(call, "linear"))
        return f / factor;
    if (turns < low)
        return f / factor;
    if (turns > high)
        return f;
    smooth = (turns - low) / (high - low);
    return (1 - smooth) * f / factor + smooth * f;
}

static void rotate(const struct reference_call *call, int64_t row, int64_t head, int64_t d)
{
    int64_t width = reference_dim(&call->in[0], 1);
    const double *x = call->in[0].v + row * width + head * d;
    double *y = call->out[0].v + row * width + head * d;
    double *magnitude = call->out[0].magnitude + row * width + head * d;
    double sign = reference_int(call, "inverse") ? -1 : 1;

    for (int64_t j = 0; j < d / 2; j++) {
        double angle = sign * call->in[1].v[row] * frequency(call, j, d);
        double a = x[j], b = x[j + d / 2];

        y[j] = a * cos(angle) - b * sin(angle);
        y[j + d / 2] = b * cos(angle) + a * sin(angle);
        magnitude[j] = magnitude[j + d / 2] = (1 + fabs(angle)) * (fabs(a) + fabs(b));
    }
}

void reference_rope(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), width = reference_dim(&call->in[0], 1);
    int64_t heads = reference_int(call, "heads"), d = reference_int(call, "head_dim");

    for (int64_t i = 0; i < n * width; i++) {
        call->out[0].v[i] = call->in[0].v[i];
        call->out[0].magnitude[i] = fabs(call->in[0].v[i]);
    }
    for (int64_t i = 0; i < n * heads; i++)
        rotate(call, i / heads, i % heads, d);
}

struct shape {
    int64_t h, g, d, t, width;
};

static struct shape shape_of(const struct reference_call *call)
{
    struct shape s = {
        .h = reference_int(call, "heads"),
        .g = reference_int(call, "kv_heads"),
        .d = reference_int(call, "head_dim"),
        .t = reference_int(call, "sequence"),
    };

    s.width = (s.h + 2 * s.g) * s.d;
    return s;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Whether the probability of key position j for query row n and head h survives dropout, and by
 * what it is scaled. The element is that of the matrix [N, H, T]. */
static double mask(const struct reference_call *call, const struct shape *s, int64_t n, int64_t h,
                   int64_t j)
{
    double p = reference_float(call, "dropout");
    uint64_t element = (uint64_t)((n * s->h + h) * s->t + j);
    uint64_t seed = (uint64_t)reference_int(call, "seed");
    uint64_t stream = (uint64_t)reference_int(call, "stream");

    if (p == 0)
        return 1;
    return reference_keeps(p, seed, stream, call->step, element) ? 1 / (1 - p) : 0;
}

/* Scores q k / sqrt(D) of one query with keys 0..t, `stride` apart; returns their log-sum-exp. */
static double scores(const double *q, const double *keys, int64_t stride, int64_t t, int64_t d,
                     double *out)
{
    double top = -INFINITY, sum = 0;

    for (int64_t j = 0; j <= t; j++) {
        out[j] = dot(q, keys + j * stride, d) / sqrt((double)d);
        top = out[j] > top || isnan(out[j]) ? out[j] : top;
    }
    for (int64_t j = 0; j <= t; j++)
        sum += exp(out[j] - top);
    return top + log(sum);
}

static void attend(const struct reference_call *call, const struct shape *s, int64_t n, int64_t h,
                   double *score)
{
    int64_t first = n - n % s->t, kv = h * s->g / s->h;
    const double *qkv = call->in[0].v;
    const double *keys = qkv + first * s->width + (s->h + kv) * s->d;
    const double *values = keys + s->g * s->d;
    double *y = call->out[0].v + (n * s->h + h) * s->d;
    double lse = scores(qkv + n * s->width + h * s->d, keys, s->width, n - first, s->d, score);

    for (int64_t c = 0; c < s->d; c++) {
        y[c] = 0;
        for (int64_t j = 0; j <= n - first; j++)
            y[c] += exp(score[j] - lse) * mask(call, s, n, h, j) * values[j * s->width + c];
    }
    call->out[1].v[n * s->h + h] = lse;
    call->out[1].magnitude[n * s->h + h] = 1 + fabs(lse);
}

void reference_attention(const struct reference_call *call)
{
    struct shape s = shape_of(call);
    double *score = malloc((size_t)s.t * sizeof *score);
    int64_t n = reference_dim(&call->in[0], 0);

    for (int64_t i = 0; i < n * s.h; i++)
        attend(call, &s, i / s.h, i % s.h, score);
    free(score);
}

/* One query row and head: with P the probabilities, M the scaled mask, dP = M (dy . v_j), and
 * dS = P (dP - sum(P dP)); then dq += dS k / sqrt(D), dk += dS q / sqrt(D), dv += P M dy.
 * The operator's inputs y and lse are those of the forward pass: sum(P dP) = dy . y, and
 * P = exp(S - lse). Both are used as given. */
static void attend_backward(const struct reference_call *call, const struct shape *s, int64_t n,
                            int64_t h, double *score)
{
    int64_t first = n - n % s->t, kv = h * s->g / s->h;
    const double *q = call->in[1].v + n * s->width + h * s->d;
    const double *keys = call->in[1].v + first * s->width + (s->h + kv) * s->d;
    const double *dy = call->in[0].v + (n * s->h + h) * s->d;
    double *dq = call->out[0].v + n * s->width + h * s->d;
    double *dkeys = call->out[0].v + first * s->width + (s->h + kv) * s->d;
    double delta = dot(dy, call->in[2].v + (n * s->h + h) * s->d, s->d);
    double lse = call->in[3].v[n * s->h + h], scale = 1 / sqrt((double)s->d);

    scores(q, keys, s->width, n - first, s->d, score);
    for (int64_t j = 0; j <= n - first; j++) {
        const double *k = keys + j * s->width, *v = k + s->g * s->d;
        double *dk = dkeys + j * s->width, *dv = dk + s->g * s->d;
        double p = exp(score[j] - lse), m = mask(call, s, n, h, j);
        double dp = m > 0 ? m * dot(dy, v, s->d) : 0; /* what is dropped is zero, whatever it was */
        double ds = p * (dp - delta) * scale;

        for (int64_t c = 0; c < s->d; c++) {
            dq[c] += ds * k[c];
            dk[c] += ds * q[c];
            dv[c] += m > 0 ? p * m * dy[c] : 0;
        }
    }
}

void reference_attention_dx(const struct reference_call *call)
{
    struct shape s = shape_of(call);
    double *score = malloc((size_t)s.t * sizeof *score);
    int64_t n = reference_dim(&call->in[1], 0);

    for (int64_t i = 0; i < n * s.width; i++)
        call->out[0].v[i] = 0;
    for (int64_t i = 0; i < n * s.h; i++)
        attend_backward(call, &s, i / s.h, i % s.h, score);
    free(score);
}

void reference_cache_write(const struct reference_call *call)
{
    struct shape s = shape_of(call);
    int64_t capacity = reference_int(call, "capacity"), width = 2 * s.g * s.d;
    int64_t n = reference_dim(&call->in[1], 0);

    for (int64_t i = 0; i < plb_shape_elements(&call->in[0].type.shape); i++)
        call->out[0].v[i] = call->in[0].v[i];
    for (int64_t i = 0; i < n; i++) {
        int64_t row = i / s.t * capacity + (int64_t)call->in[2].v[i];

        for (int64_t c = 0; c < width; c++)
            call->out[0].v[row * width + c] = call->in[1].v[i * s.width + s.h * s.d + c];
    }
}

void reference_attention_cached(const struct reference_call *call)
{
    struct shape s = shape_of(call);
    int64_t capacity = reference_int(call, "capacity"), width = 2 * s.g * s.d;
    int64_t n = reference_dim(&call->in[0], 0);
    double *score = malloc((size_t)capacity * sizeof *score);

    for (int64_t i = 0; i < n * s.h; i++) {
        int64_t row = i / s.h, h = i % s.h, last = (int64_t)call->in[2].v[row];
        const double *keys = call->in[1].v + row / s.t * capacity * width + h * s.g / s.h * s.d;
        const double *values = keys + s.g * s.d;
        const double *q = call->in[0].v + row * s.width + h * s.d;
        double lse = scores(q, keys, width, last, s.d, score);

        for (int64_t c = 0; c < s.d; c++) {
            call->out[0].v[i * s.d + c] = 0;
            for (int64_t j = 0; j <= last; j++)
                call->out[0].v[i * s.d + c] += exp(score[j] - lse) * values[j * width + c];
        }
    }
    free(score);
}
