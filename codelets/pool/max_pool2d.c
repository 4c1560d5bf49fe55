/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The largest element of each window of each channel, and which one it was.
 *
 * y[B,C,OH,OW], index[B,C,OH,OW]: the element's place h * W + w in its channel, the first one of
 * equals in order of rows; a NaN counts as larger than any number. Windows do not reach beyond the
 * image.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/pool/pool.h"

enum { WINDOW, STRIDE, HEIGHT, WIDTH };
enum { Y, INDEX };

static enum plb_status max_shape(struct plb_task_types *types)
{
    const struct plb_type *x = &types->in[0];

    PLB_TRY(plb__pool_shape(&plb_op_max_pool2d, types, &types->out[Y]));
    if (x->shape.dim[2] * x->shape.dim[3] > INT32_MAX)
        return plb_fail(PLB_ERROR_INVALID,
                        "max_pool2d: an image of %lld x %lld has more places than an i32 can name",
                        (long long)x->shape.dim[2], (long long)x->shape.dim[3]);
    types->out[INDEX] = (struct plb_type){PLB_I32, types->out[Y].shape};
    return PLB_OK;
}

static void max_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    double window = (double)types->attributes->i[WINDOW];

    cost_out->flops = plb__elements_out(types, Y) * window * window;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status max_gradient(struct plb_gradient *g)
{
    const struct plb_attributes *own = &g->task->attributes;
    struct plb_shape x = plb_graph_value(g->graph, g->in[0])->type.shape;
    const struct plb_attributes attributes = {{own->i[WINDOW], own->i[STRIDE], x.dim[2], x.dim[3]},
                                              {0}};
    const plb_value in[] = {g->d_out[Y], g->out[INDEX]};

    if (!g->needs[0])
        return PLB_OK;
    return plb_graph_add_task(g->graph, &plb_op_max_pool2d_dx, &attributes, in, 2, NULL,
                              &g->d_in[0]);
}

/* The place of the largest element of a window that begins at (h, w) of a channel. */
static int64_t largest(const float *channel, const struct plb__pool *pool, int64_t h, int64_t w)
{
    int64_t best = h * pool->width + w;

    for (int64_t r = h; r < h + pool->window; r++) {
        for (int64_t s = w; s < w + pool->window; s++) {
            float x = channel[r * pool->width + s], top = channel[best];

            if (x > top || (x != x && top == top))
                best = r * pool->width + s;
        }
    }
    return best;
}

static void max_channel(const float *channel, const struct plb__pool *pool, float *y,
                        int32_t *index)
{
    for (int64_t oh = 0; oh < pool->out_h; oh++) {
        for (int64_t ow = 0; ow < pool->out_w; ow++) {
            int64_t best = largest(channel, pool, oh * pool->stride, ow * pool->stride);

            *index++ = (int32_t)best;
            *y++ = channel[best];
        }
    }
}

static enum plb_status max_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[Y].part[0];
    struct plb__pool pool = plb__pool_of(&x->shape, call->attributes);
    int64_t positions = pool.out_h * pool.out_w, places = pool.height * pool.width;
    float *buffer = call->scratch, *sums = buffer + places;
    int32_t *index = call->out[INDEX].part[0].data;

    for (int64_t c = 0; c < x->shape.dim[0] * x->shape.dim[1]; c++) {
        max_channel(plb__read(x, c * places, places, buffer), &pool,
                    plb__write(y, c * positions, sums), index + c * positions);
        plb__written(y, c * positions, positions, sums);
    }
    return PLB_OK;
}

plb_value plb_max_pool2d(plb_graph_t *g, plb_value x, int64_t window, int64_t stride)
{
    const struct plb_attributes attributes = {{window, stride}, {0}};
    plb_value out[] = {PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_max_pool2d, &attributes, &x, 1, NULL, out);
    return out[Y];
}

const struct plb_operator plb_op_max_pool2d = {
    .name = "max_pool2d",
    .attribute_i = {"window", "stride"},
    .n_in = 1,
    .n_out = 2,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}, {.name = "index", .rows = PLB_AXIS_A}},
    .shape = max_shape,
    .cost = max_cost,
    .gradient = max_gradient,
    .scratch = plb__pool_scratch,
    .cpu = max_cpu,
};

/* --- gradient: dy goes to where the largest element was --------------------------------------- */

static enum plb_status max_dx_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__pool_dx_shape(&plb_op_max_pool2d_dx, types, &types->out[0]));
    return plb__check_type(&plb_op_max_pool2d_dx, types, INDEX, PLB_I32, types->in[0].shape);
}

static void max_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

/* An index can only be wrong through our own fault, but a write outside of dx is worth a check. */
static enum plb_status max_dx_channel(const float *dy, const int32_t *index, int64_t positions,
                                      float *dx, int64_t places)
{
    memset(dx, 0, (size_t)places * sizeof *dx);
    for (int64_t p = 0; p < positions; p++) {
        if (index[p] < 0 || index[p] >= places)
            return plb_fail(PLB_ERROR_INVALID,
                            "max_pool2d_dx: index %d is outside of a channel of %lld elements",
                            index[p], (long long)places);
        dx[index[p]] += dy[p];
    }
    return PLB_OK;
}

static enum plb_status max_dx_cpu(const struct plb_call *call)
{
    const struct plb_tensor *dy = &call->in[0].part[0], *dx = &call->out[0].part[0];
    const int32_t *index = call->in[INDEX].part[0].data;
    int64_t positions = dy->shape.dim[2] * dy->shape.dim[3];
    int64_t places = dx->shape.dim[2] * dx->shape.dim[3];
    float *sums = call->scratch, *buffer = sums + places;

    for (int64_t c = 0; c < dx->shape.dim[0] * dx->shape.dim[1]; c++) {
        PLB_TRY(max_dx_channel(plb__read(dy, c * positions, positions, buffer),
                               index + c * positions, positions, plb__write(dx, c * places, sums),
                               places));
        plb__written(dx, c * places, places, sums);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_max_pool2d_dx = {
    .name = "max_pool2d_dx",
    .attribute_i = {"window", "stride", "height", "width"},
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "index", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = max_dx_shape,
    .cost = max_dx_cost,
    .scratch = plb__pool_scratch,
    .cpu = max_dx_cpu,
};
