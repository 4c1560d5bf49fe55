/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of the operators on images. B images, C input and O output channels, H x W pixels in,
 * P x Q out, an R x S filter.
 *
 * All of the convolutions are one set of products: y[b,o,p,q] gets w[o,c,r,s] x[b,c,h,w] for
 * h = p stride + r - padding, w = q stride + s - padding where that is inside the image; the
 * gradients send the same products to another of the three.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>

struct geometry {
    int64_t b, c, h, w, o, p, q, r, s, stride, padding;
};

typedef void visit_f(const struct geometry *g, int64_t y, int64_t x, int64_t w, void *argument);

/* Calls visit(offset in y, in x, in w) for each product of the convolution. */
static void products(const struct geometry *g, visit_f *visit, void *argument)
{
    for (int64_t i = 0; i < g->b * g->o * g->p * g->q; i++) {
        int64_t q = i % g->q, p = i / g->q % g->p, o = i / g->q / g->p % g->o;
        int64_t b = i / g->q / g->p / g->o;

        for (int64_t j = 0; j < g->c * g->r * g->s; j++) {
            int64_t s = j % g->s, r = j / g->s % g->r, c = j / g->s / g->r;
            int64_t h = p * g->stride + r - g->padding, w = q * g->stride + s - g->padding;

            if (h >= 0 && h < g->h && w >= 0 && w < g->w)
                visit(g, i, ((b * g->c + c) * g->h + h) * g->w + w, o * g->c * g->r * g->s + j,
                      argument);
        }
    }
}

static void clear(struct reference_value *out)
{
    int64_t n = plb_shape_elements(&out->type.shape);

    for (int64_t i = 0; i < n; i++)
        out->v[i] = out->magnitude[i] = 0;
}

static void accumulate(struct reference_value *out, int64_t i, double term)
{
    out->v[i] += term;
    out->magnitude[i] += fabs(term);
}

static struct geometry geometry_of(const struct reference_call *call,
                                   const struct reference_value *x, const struct reference_value *w,
                                   const struct reference_value *y)
{
    struct geometry g = {
        .b = reference_dim(x, 0),
        .c = reference_dim(x, 1),
        .h = reference_dim(x, 2),
        .w = reference_dim(x, 3),
        .o = reference_dim(y, 1),
        .p = reference_dim(y, 2),
        .q = reference_dim(y, 3),
        .r = reference_dim(w, 2),
        .s = reference_dim(w, 3),
        .stride = reference_int(call, "stride"),
        .padding = reference_int(call, "padding"),
    };
    return g;
}

static void to_y(const struct geometry *g, int64_t y, int64_t x, int64_t w, void *argument)
{
    const struct reference_call *call = argument;

    (void)g;
    accumulate(&call->out[0], y, call->in[0].v[x] * call->in[1].v[w]);
}

static void to_x(const struct geometry *g, int64_t y, int64_t x, int64_t w, void *argument)
{
    const struct reference_call *call = argument;

    (void)g;
    accumulate(&call->out[0], x, call->in[0].v[y] * call->in[1].v[w]);
}

static void to_w(const struct geometry *g, int64_t y, int64_t x, int64_t w, void *argument)
{
    const struct reference_call *call = argument;

    (void)g;
    accumulate(&call->out[0], w, call->in[0].v[x] * call->in[1].v[y]);
}

void reference_conv2d(const struct reference_call *call)
{
    struct geometry g = geometry_of(call, &call->in[0], &call->in[1], &call->out[0]);
    int64_t n = g.b * g.o * g.p * g.q;

    clear(&call->out[0]);
    products(&g, to_y, (void *)call);
    for (int64_t i = 0; i < n && call->in[2].type.shape.rank > 0; i++)
        accumulate(&call->out[0], i, call->in[2].v[i / (g.p * g.q) % g.o]);
}

void reference_conv2d_dx(const struct reference_call *call)
{
    struct geometry g = geometry_of(call, &call->out[0], &call->in[1], &call->in[0]);

    clear(&call->out[0]);
    products(&g, to_x, (void *)call);
}

void reference_conv2d_dw(const struct reference_call *call)
{
    struct geometry g = geometry_of(call, &call->in[0], &call->out[0], &call->in[1]);

    clear(&call->out[0]);
    products(&g, to_w, (void *)call);
}

void reference_conv2d_db(const struct reference_call *call)
{
    int64_t b = reference_dim(&call->in[0], 0), o = reference_dim(&call->in[0], 1);
    int64_t pixels = reference_dim(&call->in[0], 2) * reference_dim(&call->in[0], 3);

    clear(&call->out[0]);
    for (int64_t i = 0; i < b * o * pixels; i++)
        accumulate(&call->out[0], i / pixels % o, call->in[0].v[i]);
}

/* Pooling: the pixels of window (p, q) of a plane of H x W. */
static int64_t pooled_pixel(const struct reference_call *call, int64_t plane, int64_t h, int64_t w,
                            int64_t p, int64_t q, int64_t k)
{
    int64_t window = reference_int(call, "window"), stride = reference_int(call, "stride");

    return (plane * h + p * stride + k / window) * w + q * stride + k % window;
}

/* The index is the pixel's offset in its plane; of equal pixels the first. */
void reference_max_pool2d(const struct reference_call *call)
{
    const struct reference_value *x = &call->in[0];
    int64_t h = reference_dim(x, 2), w = reference_dim(x, 3);
    int64_t p = reference_dim(&call->out[0], 2), q = reference_dim(&call->out[0], 3);
    int64_t n = plb_shape_elements(&call->out[0].type.shape);
    int64_t window = reference_int(call, "window");

    for (int64_t i = 0; i < n; i++) {
        int64_t plane = i / (p * q);
        int64_t best = pooled_pixel(call, plane, h, w, i / q % p, i % q, 0);

        for (int64_t k = 1; k < window * window; k++) {
            int64_t pixel = pooled_pixel(call, plane, h, w, i / q % p, i % q, k);

            if (!isnan(x->v[best]) && !(x->v[pixel] <= x->v[best]))
                best = pixel;
        }
        call->out[0].v[i] = x->v[best];
        call->out[1].v[i] = (double)(best - plane * h * w);
    }
}

void reference_max_pool2d_dx(const struct reference_call *call)
{
    struct reference_value *dx = &call->out[0];
    int64_t plane = reference_dim(dx, 2) * reference_dim(dx, 3);
    int64_t pixels = reference_dim(&call->in[0], 2) * reference_dim(&call->in[0], 3);
    int64_t n = plb_shape_elements(&call->in[0].type.shape);

    clear(dx);
    for (int64_t i = 0; i < n; i++)
        accumulate(dx, i / pixels * plane + (int64_t)call->in[1].v[i], call->in[0].v[i]);
}

void reference_avg_pool2d(const struct reference_call *call)
{
    const struct reference_value *x = &call->in[0];
    int64_t h = reference_dim(x, 2), w = reference_dim(x, 3);
    int64_t p = reference_dim(&call->out[0], 2), q = reference_dim(&call->out[0], 3);
    int64_t n = plb_shape_elements(&call->out[0].type.shape);
    int64_t area = reference_int(call, "window") * reference_int(call, "window");

    clear(&call->out[0]);
    for (int64_t i = 0; i < n * area; i++) {
        int64_t j = i / area;
        int64_t pixel = pooled_pixel(call, j / (p * q), h, w, j / q % p, j % q, i % area);

        accumulate(&call->out[0], j, x->v[pixel] / (double)area);
    }
}

void reference_avg_pool2d_dx(const struct reference_call *call)
{
    struct reference_value *dx = &call->out[0];
    int64_t h = reference_dim(dx, 2), w = reference_dim(dx, 3);
    int64_t p = reference_dim(&call->in[0], 2), q = reference_dim(&call->in[0], 3);
    int64_t n = plb_shape_elements(&call->in[0].type.shape);
    int64_t area = reference_int(call, "window") * reference_int(call, "window");

    clear(dx);
    for (int64_t i = 0; i < n * area; i++) {
        int64_t j = i / area;
        int64_t pixel = pooled_pixel(call, j / (p * q), h, w, j / q % p, j % q, i % area);

        accumulate(dx, pixel, call->in[0].v[j] / (double)area);
    }
}

/* The element of a small image that element i of the large one repeats. */
static int64_t repeated(const struct reference_call *call, const struct reference_value *large,
                        int64_t i)
{
    int64_t factor = reference_int(call, "factor");
    int64_t h = reference_dim(large, 2), w = reference_dim(large, 3);
    int64_t plane = i / (h * w), row = i / w % h, column = i % w;

    return (plane * (h / factor) + row / factor) * (w / factor) + column / factor;
}

void reference_upsample2d(const struct reference_call *call)
{
    int64_t n = plb_shape_elements(&call->out[0].type.shape);

    for (int64_t i = 0; i < n; i++)
        call->out[0].v[i] = call->in[0].v[repeated(call, &call->out[0], i)];
}

void reference_upsample2d_dx(const struct reference_call *call)
{
    int64_t n = plb_shape_elements(&call->in[0].type.shape);

    clear(&call->out[0]);
    for (int64_t i = 0; i < n; i++)
        accumulate(&call->out[0], repeated(call, &call->in[0], i), call->in[0].v[i]);
}
