/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mean of each window of each channel, y[B,C,OH,OW] of x[B,C,H,W], and its gradient. Windows do
 * not reach beyond the image.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/pool/pool.h"

enum { WINDOW, STRIDE };

static enum plb_status avg_shape(struct plb_task_types *types)
{
    return plb__pool_shape(&plb_op_avg_pool2d, types, &types->out[0]);
}

static void avg_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    double window = (double)types->attributes->i[WINDOW];

    cost_out->flops = plb__elements_out(types, 0) * window * window;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status avg_gradient(struct plb_gradient *g)
{
    const struct plb_attributes *own = &g->task->attributes;
    struct plb_shape x = plb_graph_value(g->graph, g->in[0])->type.shape;
    const struct plb_attributes attributes = {{own->i[WINDOW], own->i[STRIDE], x.dim[2], x.dim[3]},
                                              {0}};

    if (!g->needs[0])
        return PLB_OK;
    return plb_graph_add_task(g->graph, &plb_op_avg_pool2d_dx, &attributes, g->d_out, 1, NULL,
                              &g->d_in[0]);
}

/* The first element of the window at (oh, ow). */
static int64_t corner(const struct plb__pool *pool, int64_t oh, int64_t ow)
{
    return oh * pool->stride * pool->width + ow * pool->stride;
}

static void avg_channel(const float *channel, const struct plb__pool *pool, float *y)
{
    float scale = 1.0f / (float)(pool->window * pool->window);

    for (int64_t p = 0; p < pool->out_h * pool->out_w; p++) {
        const float *x = channel + corner(pool, p / pool->out_w, p % pool->out_w);
        float sum = 0.0f;

        for (int64_t r = 0; r < pool->window; r++) {
            for (int64_t s = 0; s < pool->window; s++)
                sum += x[r * pool->width + s];
        }
        y[p] = sum * scale;
    }
}

static enum plb_status avg_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    struct plb__pool pool = plb__pool_of(&x->shape, call->attributes);
    int64_t positions = pool.out_h * pool.out_w, places = pool.height * pool.width;
    float *buffer = call->scratch, *sums = buffer + places;

    for (int64_t c = 0; c < x->shape.dim[0] * x->shape.dim[1]; c++) {
        avg_channel(plb__read(x, c * places, places, buffer), &pool,
                    plb__write(y, c * positions, sums));
        plb__written(y, c * positions, positions, sums);
    }
    return PLB_OK;
}

plb_value plb_avg_pool2d(plb_graph_t *g, plb_value x, int64_t window, int64_t stride)
{
    const struct plb_attributes attributes = {{window, stride}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_avg_pool2d, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_avg_pool2d = {
    .name = "avg_pool2d",
    .attribute_i = {"window", "stride"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = avg_shape,
    .cost = avg_cost,
    .gradient = avg_gradient,
    .scratch = plb__pool_scratch,
    .cpu = avg_cpu,
};

/* --- gradient --------------------------------------------------------------------------------- */

static enum plb_status avg_dx_shape(struct plb_task_types *types)
{
    return plb__pool_dx_shape(&plb_op_avg_pool2d_dx, types, &types->out[0]);
}

static void avg_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    double window = (double)types->attributes->i[WINDOW];

    cost_out->flops = (double)plb_shape_elements(&types->in[0].shape) * window * window;
    cost_out->bytes = plb__bytes_once(types);
}

static void avg_dx_channel(const float *dy, const struct plb__pool *pool, float *dx)
{
    float scale = 1.0f / (float)(pool->window * pool->window);

    memset(dx, 0, (size_t)(pool->height * pool->width) * sizeof *dx);
    for (int64_t p = 0; p < pool->out_h * pool->out_w; p++) {
        float *to = dx + corner(pool, p / pool->out_w, p % pool->out_w), share = dy[p] * scale;

        for (int64_t r = 0; r < pool->window; r++) {
            for (int64_t s = 0; s < pool->window; s++)
                to[r * pool->width + s] += share;
        }
    }
}

static enum plb_status avg_dx_cpu(const struct plb_call *call)
{
    const struct plb_tensor *dy = &call->in[0].part[0], *dx = &call->out[0].part[0];
    struct plb__pool pool = plb__pool_of(&dx->shape, call->attributes);
    int64_t positions = pool.out_h * pool.out_w, places = pool.height * pool.width;
    float *sums = call->scratch, *buffer = sums + places;

    for (int64_t c = 0; c < dx->shape.dim[0] * dx->shape.dim[1]; c++) {
        avg_dx_channel(plb__read(dy, c * positions, positions, buffer), &pool,
                       plb__write(dx, c * places, sums));
        plb__written(dx, c * places, places, sums);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_avg_pool2d_dx = {
    .name = "avg_pool2d_dx",
    .attribute_i = {"window", "stride", "height", "width"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = avg_dx_shape,
    .cost = avg_dx_cost,
    .scratch = plb__pool_scratch,
    .cpu = avg_dx_cpu,
};
