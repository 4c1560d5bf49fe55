/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dx[B,C,H,W] of conv2d: a product of the transposed weights with dy gives the gradients of all
 * windows, which are added into the image they overlap in, in fp32.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/conv2d/conv2d.h"

enum { DY, W, INPUTS };
enum { STRIDE, PADDING, HEIGHT, WIDTH };

static struct plb__windows windows_of(const struct plb_attributes *attributes,
                                      const struct plb_shape *w)
{
    const struct plb_shape x =
        plb_shape4(1, w->dim[1], attributes->i[HEIGHT], attributes->i[WIDTH]);

    return plb__conv2d_windows(&x, w, attributes->i[STRIDE], attributes->i[PADDING]);
}

static enum plb_status dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_conv2d_dx;
    const struct plb_type *dy = &types->in[DY], *w = &types->in[W];
    struct plb__windows windows;
    struct plb_shape expected;

    PLB_TRY(plb__check_rank(op, types, DY, 4));
    PLB_TRY(plb__check_rank(op, types, W, 4));
    PLB_TRY(plb__check_real(op, types, DY));
    PLB_TRY(plb__check_dtype(op, types, W, dy->dtype));
    PLB_TRY(plb__check_attribute(op, types, HEIGHT, 1));
    PLB_TRY(plb__check_attribute(op, types, WIDTH, 1));
    windows = windows_of(types->attributes, &w->shape);
    PLB_TRY(plb__windows_fit(op, &windows));
    expected = plb_shape4(dy->shape.dim[0], w->shape.dim[0], windows.out_h, windows.out_w);
    PLB_TRY(plb__check_type(op, types, DY, dy->dtype, expected));
    types->out[0] = (struct plb_type){
        dy->dtype, plb_shape4(dy->shape.dim[0], windows.channels, windows.height, windows.width)};
    return PLB_OK;
}

static void dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__windows windows = windows_of(types->attributes, &types->in[W].shape);

    windows.out_h = types->in[DY].shape.dim[2];
    windows.out_w = types->in[DY].shape.dim[3];
    cost_out->flops =
        plb__conv2d_flops(&windows, types->in[DY].shape.dim[0], types->in[W].shape.dim[0]);
    cost_out->bytes = plb__bytes_once(types);
}

/* Scratch: the gradients of a block of windows, weights and a block of dy as floats, an image. */
struct scratch {
    float *col, *weights, *dy, *image;
    size_t bytes;
};

static struct scratch scratch_of(const struct plb__windows *w, int64_t outputs, void *base)
{
    size_t col = plb__floats_bytes(plb__windows_taps(w) * plb__windows_block(w));
    size_t weights = plb__floats_bytes(outputs * plb__windows_taps(w));
    size_t dy = plb__floats_bytes(outputs * plb__windows_block(w));
    size_t image = plb__floats_bytes(w->channels * w->height * w->width);
    struct scratch scratch = {.bytes = col + weights + dy + image};

    if (base == NULL)
        return scratch;
    scratch.col = base;
    scratch.weights = (float *)(void *)((char *)base + col);
    scratch.dy = (float *)(void *)((char *)base + col + weights);
    scratch.image = (float *)(void *)((char *)base + col + weights + dy);
    return scratch;
}

static size_t dx_scratch(const struct plb_task_types *types)
{
    struct plb__windows windows = windows_of(types->attributes, &types->in[W].shape);

    windows.out_h = types->in[DY].shape.dim[2];
    windows.out_w = types->in[DY].shape.dim[3];
    return scratch_of(&windows, types->in[W].shape.dim[0], NULL).bytes;
}

/* dy[O, first..first+count-1] of the image at `at`: as it lies, or widened. */
static void dy_block(const struct plb_tensor *dy, int64_t at, int64_t first, int64_t count,
                     float *buffer, struct plb__sgemm *product)
{
    int64_t positions = dy->shape.dim[2] * dy->shape.dim[3];

    product->b = buffer;
    product->ldb = count;
    if (dy->dtype == PLB_F32) {
        product->b = (const float *)dy->data + at + first;
        product->ldb = positions;
        return;
    }
    for (int64_t o = 0; o < dy->shape.dim[1]; o++)
        plb__load(buffer + o * count, dy, at + o * positions + first, count);
}

static enum plb_status dx_image(const struct plb_call *call, const struct plb__windows *w,
                                const struct scratch *scratch, const float *weights, int64_t image)
{
    const struct plb_tensor *dy = &call->in[DY].part[0], *dx = &call->out[0].part[0];
    int64_t taps = plb__windows_taps(w), positions = plb__windows_positions(w);
    int64_t block = plb__windows_block(w), elements = w->channels * w->height * w->width;
    int64_t dy_at = image * plb_shape_row_elements(&dy->shape);
    float *sums = plb__write(dx, image * elements, scratch->image);

    memset(sums, 0, (size_t)elements * sizeof *sums);
    for (int64_t p = 0; p < positions; p += block) {
        int64_t count = positions - p < block ? positions - p : block;
        struct plb__sgemm product = {
            .ta = true,
            .m = taps,
            .n = count,
            .k = dy->shape.dim[1],
            .a = weights,
            .lda = taps,
            .c = scratch->col,
            .ldc = count,
        };

        dy_block(dy, dy_at, p, count, scratch->dy, &product);
        PLB_TRY(plb__sgemm(&product));
        plb__windows_scatter(w, scratch->col, p, count, sums);
    }
    plb__written(dx, image * elements, elements, sums);
    return PLB_OK;
}

static enum plb_status dx_cpu(const struct plb_call *call)
{
    const struct plb_shape *shape = &call->in[W].whole;
    struct plb__windows windows = windows_of(call->attributes, shape);
    struct scratch scratch;
    const float *weights;

    PLB_TRY(plb__windows_fit(&plb_op_conv2d_dx, &windows));
    scratch = scratch_of(&windows, shape->dim[0], call->scratch);
    weights = plb__conv2d_weights(&call->in[W], scratch.weights);
    for (int64_t b = 0; b < call->out[0].part[0].shape.dim[0]; b++)
        PLB_TRY(dx_image(call, &windows, &scratch, weights, b));
    return PLB_OK;
}

const struct plb_operator plb_op_conv2d_dx = {
    .name = "conv2d_dx",
    .attribute_i = {"stride", "padding", "height", "width"},
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A}, {.name = "w", .flags = PLB_LIST}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = dx_shape,
    .cost = dx_cost,
    .scratch = dx_scratch,
    .cpu = dx_cpu,
};
