/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shapes of poolings and their gradients.
 */
#include "config.h"

#include "codelets/pool/pool.h"
#include "codelets/common/check.h"
#include "codelets/conv2d/image.h"

enum { WINDOW, STRIDE, HEIGHT, WIDTH };

static struct plb__windows windows_of(const struct plb_attributes *attributes, int64_t height,
                                      int64_t width)
{
    struct plb__windows windows = {
        .channels = 1,
        .height = height,
        .width = width,
        .window_h = attributes->i[WINDOW],
        .window_w = attributes->i[WINDOW],
        .stride = attributes->i[STRIDE],
    };

    return windows;
}

struct plb__pool plb__pool_of(const struct plb_shape *x, const struct plb_attributes *attributes)
{
    struct plb__pool pool = {.height = x->dim[2],
                             .width = x->dim[3],
                             .window = attributes->i[WINDOW],
                             .stride = attributes->i[STRIDE]};

    pool.out_h = (pool.height - pool.window) / pool.stride + 1;
    pool.out_w = (pool.width - pool.window) / pool.stride + 1;
    return pool;
}

enum plb_status plb__pool_shape(const struct plb_operator *op, const struct plb_task_types *types,
                                struct plb_type *y_out)
{
    const struct plb_shape *x = &types->in[0].shape;
    struct plb__windows windows;

    PLB_TRY(plb__check_rank(op, types, 0, 4));
    PLB_TRY(plb__check_real(op, types, 0));
    windows = windows_of(types->attributes, x->dim[2], x->dim[3]);
    PLB_TRY(plb__windows_fit(op, &windows));
    *y_out = (struct plb_type){types->in[0].dtype,
                               plb_shape4(x->dim[0], x->dim[1], windows.out_h, windows.out_w)};
    return PLB_OK;
}

enum plb_status plb__pool_dx_shape(const struct plb_operator *op,
                                   const struct plb_task_types *types, struct plb_type *dx_out)
{
    const struct plb_attributes *attributes = types->attributes;
    const struct plb_shape *dy = &types->in[0].shape;
    struct plb__windows windows;
    struct plb_shape expected;

    PLB_TRY(plb__check_rank(op, types, 0, 4));
    PLB_TRY(plb__check_real(op, types, 0));
    PLB_TRY(plb__check_attribute(op, types, HEIGHT, 1));
    PLB_TRY(plb__check_attribute(op, types, WIDTH, 1));
    windows = windows_of(attributes, attributes->i[HEIGHT], attributes->i[WIDTH]);
    PLB_TRY(plb__windows_fit(op, &windows));
    expected = plb_shape4(dy->dim[0], dy->dim[1], windows.out_h, windows.out_w);
    PLB_TRY(plb__check_type(op, types, 0, types->in[0].dtype, expected));
    *dx_out = (struct plb_type){types->in[0].dtype,
                                plb_shape4(dy->dim[0], dy->dim[1], windows.height, windows.width)};
    return PLB_OK;
}

size_t plb__pool_scratch(const struct plb_task_types *types)
{
    const struct plb_shape *in = &types->in[0].shape, *out = &types->out[0].shape;

    return plb__floats_bytes(in->dim[2] * in->dim[3] + out->dim[2] * out->dim[3]);
}
