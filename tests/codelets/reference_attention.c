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
#include <stdio.h>
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

static double size_of_dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += fabs(a[i] * b[i]);
    return sum;
}

/* Whether the probability of key position j for query row n and head h survives dropout, and by
 * what it is scaled. The element is that of the layer's matrix [N, H, T]. */
static double mask(const struct reference_call *call, const struct shape *s, int64_t n, int64_t h,
                   int64_t j)
{
    double p = reference_float(call, "dropout");
    int64_t all = reference_int(call, "all_heads"), first = reference_int(call, "first_head");
    uint64_t element = (uint64_t)((n * (all == 0 ? s->h : all) + first + h) * s->t + j);
    uint64_t seed = (uint64_t)reference_int(call, "seed");
    uint64_t stream = (uint64_t)reference_int(call, "stream");

    if (p == 0)
        return 1;
    return reference_keeps(p, seed, stream, call->step, element) ? 1 / (1 - p) : 0;
}

/* What one query and head makes of keys 0 to n - 1. */
struct view {
    double *score, *size; /* q k / sqrt(D), and the sum of the absolute values of its terms */
    double lse;
    double error; /* that of a probability relative to it, in units of the rounding of a score */
};

static struct view view_create(int64_t keys)
{
    struct view view = {.score = malloc((size_t)keys * sizeof(double)),
                        .size = malloc((size_t)keys * sizeof(double))};

    if (view.score == NULL || view.size == NULL) {
        fputs("no memory for a reference\n", stderr);
        abort();
    }
    return view;
}

static void view_destroy(struct view *view)
{
    free(view->score);
    free(view->size);
}

static void look(const double *q, const double *keys, int64_t stride, int64_t n, int64_t d,
                 struct view *view)
{
    double top = -INFINITY, sum = 0;

    view->error = 1;
    for (int64_t j = 0; j < n; j++) {
        view->score[j] = dot(q, keys + j * stride, d) / sqrt((double)d);
        view->size[j] = size_of_dot(q, keys + j * stride, d) / sqrt((double)d);
        top = view->score[j] > top || isnan(view->score[j]) ? view->score[j] : top;
        view->error = 1 + view->size[j] > view->error ? 1 + view->size[j] : view->error;
    }
    for (int64_t j = 0; j < n; j++)
        sum += exp(view->score[j] - top);
    view->lse = top + log(sum);
}

/* y[c] = sum over keys of P M v, for D features; `factor` holds M, or NULL for none. */
static void mix(const struct view *view, const double *factor, const double *values, int64_t stride,
                int64_t n, int64_t d, double *y, double *magnitude)
{
    for (int64_t c = 0; c < d; c++)
        y[c] = magnitude[c] = 0;
    for (int64_t j = 0; j < n; j++) {
        double p = exp(view->score[j] - view->lse) * (factor != NULL ? factor[j] : 1);

        for (int64_t c = 0; c < d; c++) {
            y[c] += p * values[j * stride + c];
            magnitude[c] += p * fabs(values[j * stride + c]) * view->error;
        }
    }
}

static void attend(const struct reference_call *call, const struct shape *s, int64_t n, int64_t h,
                   struct view *view)
{
    int64_t first = n - n % s->t, kv = h * s->g / s->h, at = n * s->h + h;
    const double *qkv = call->in[0].v;
    const double *keys = qkv + first * s->width + (s->h + kv) * s->d;

    look(qkv + n * s->width + h * s->d, keys, s->width, n - first + 1, s->d, view);
    for (int64_t j = 0; j <= n - first; j++)
        view->size[j] = mask(call, s, n, h, j); /* the sizes have been used */
    mix(view, view->size, keys + s->g * s->d, s->width, n - first + 1, s->d,
        call->out[0].v + at * s->d, call->out[0].magnitude + at * s->d);
    call->out[1].v[at] = view->lse;
    call->out[1].magnitude[at] = view->error;
}

void reference_attention(const struct reference_call *call)
{
    struct shape s = shape_of(call);
    struct view view = view_create(s.t);
    int64_t n = reference_dim(&call->in[0], 0);

    for (int64_t i = 0; i < n * s.h; i++)
        attend(call, &s, i / s.h, i % s.h, &view);
    view_destroy(&view);
}

/* Where one key's gradients go: offsets in a row of dqkv. */
struct pair {
    int64_t query_row, key_row; /* elements before these rows */
    int64_t q, k, v;            /* and in them */
};

/* One pair of a query and a key. With P the probability, M the scaled mask, dP = M (dy . v) and
 * delta = sum(P dP): dS = P (dP - delta), dq += dS k / sqrt(D), dk += dS q / sqrt(D),
 * dv += P M dy. What is dropped is zero, whatever it was. */
static void add_pair(const struct reference_call *call, const struct pair *at, int64_t d, double p,
                     double m, double delta, double size_delta, double error, const double *dy)
{
    const double *row = call->in[1].v + at->query_row, *key = call->in[1].v + at->key_row;
    double *to_row = call->out[0].v + at->query_row, *to_key = call->out[0].v + at->key_row;
    double *size_row = call->out[0].magnitude + at->query_row;
    double *size_key = call->out[0].magnitude + at->key_row;
    double dp = m > 0 ? m * dot(dy, key + at->v, d) : 0;
    double size_dp = m > 0 ? m * size_of_dot(dy, key + at->v, d) : 0;
    double ds = p * (dp - delta) / sqrt((double)d);
    double size = p * (size_dp + size_delta) / sqrt((double)d) * error;

    for (int64_t c = 0; c < d; c++) {
        to_row[at->q + c] += ds * key[at->k + c];
        to_key[at->k + c] += ds * row[at->q + c];
        to_key[at->v + c] += m > 0 ? p * m * dy[c] : 0;
        size_row[at->q + c] += size * fabs(key[at->k + c]);
        size_key[at->k + c] += size * fabs(row[at->q + c]);
        size_key[at->v + c] += m > 0 ? p * m * fabs(dy[c]) * error : 0;
    }
}

/* The operator's inputs y and lse are those of the forward pass: delta = dy . y, and
 * P = exp(S - lse). Both are used as given. */
static void attend_backward(const struct reference_call *call, const struct shape *s, int64_t n,
                            int64_t h, struct view *view)
{
    int64_t first = n - n % s->t, kv = h * s->g / s->h;
    struct pair at = {.query_row = n * s->width,
                      .q = h * s->d,
                      .k = (s->h + kv) * s->d,
                      .v = (s->h + s->g + kv) * s->d};
    const double *dy = call->in[0].v + (n * s->h + h) * s->d;
    const double *y = call->in[2].v + (n * s->h + h) * s->d;
    double lse = call->in[3].v[n * s->h + h];

    look(call->in[1].v + at.query_row + at.q, call->in[1].v + first * s->width + at.k, s->width,
         n - first + 1, s->d, view);
    for (int64_t j = 0; j <= n - first; j++) {
        at.key_row = (first + j) * s->width;
        add_pair(call, &at, s->d, exp(view->score[j] - lse), mask(call, s, n, h, j),
                 dot(dy, y, s->d), size_of_dot(dy, y, s->d), view->error, dy);
    }
}

void reference_attention_dx(const struct reference_call *call)
{
    struct shape s = shape_of(call);
    struct view view = view_create(s.t);
    int64_t n = reference_dim(&call->in[1], 0);

    for (int64_t i = 0; i < n * s.width; i++)
        call->out[0].v[i] = call->out[0].magnitude[i] = 0;
    for (int64_t i = 0; i < n * s.h; i++)
        attend_backward(call, &s, i / s.h, i % s.h, &view);
    view_destroy(&view);
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
    struct view view = view_create(capacity);

    for (int64_t i = 0; i < n * s.h; i++) {
        int64_t row = i / s.h, h = i % s.h, seen = (int64_t)call->in[2].v[row] + 1;
        const double *keys = call->in[1].v + row / s.t * capacity * width + h * s.g / s.h * s.d;

        look(call->in[0].v + row * s.width + h * s.d, keys, width, seen, s.d, &view);
        mix(&view, NULL, keys + s.g * s.d, width, seen, s.d, call->out[0].v + i * s.d,
            call->out[0].magnitude + i * s.d);
    }
    view_destroy(&view);
}
