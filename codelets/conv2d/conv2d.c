/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y[B,O,OH,OW] = cross-correlation of x[B,C,H,W] with w[O,C,R,S], plus b[O]; its gradient rule.
 *
 * A task has images (axis A). Each image is gone through in blocks of positions: windows become
 * columns (image.h), a product with the weights makes the outputs.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/blas.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/conv2d/conv2d.h"

enum { X, W, B, INPUTS };
enum { STRIDE, PADDING };

/* --- shared with the gradients ---------------------------------------------------------------- */

struct plb__windows plb__conv2d_windows(const struct plb_shape *x, const struct plb_shape *w,
                                        int64_t stride, int64_t padding)
{
    struct plb__windows windows = {
        .channels = x->dim[1],
        .height = x->dim[2],
        .width = x->dim[3],
        .window_h = w->dim[2],
        .window_w = w->dim[3],
        .stride = stride,
        .padding = padding,
    };

    return windows;
}

const float *plb__conv2d_weights(const struct plb_operand *w, float *buffer)
{
    const struct plb_tensor *cell = w->part;

    if (w->n_parts == 1 && cell->dtype == PLB_F32)
        return cell->data;
    for (int p = 0; p < w->n_parts; p++, cell++)
        plb__load(buffer + cell->row0 * plb_shape_row_elements(&cell->shape), cell, 0,
                  plb_shape_elements(&cell->shape));
    return buffer;
}

double plb__conv2d_flops(const struct plb__windows *w, int64_t images, int64_t outputs)
{
    return 2.0 * (double)images * (double)outputs * (double)plb__windows_positions(w) *
           (double)plb__windows_taps(w);
}

/* --- conv2d ----------------------------------------------------------------------------------- */

static struct plb__windows windows_of(const struct plb_task_types *types)
{
    return plb__conv2d_windows(&types->in[X].shape, &types->in[W].shape,
                               types->attributes->i[STRIDE], types->attributes->i[PADDING]);
}

static enum plb_status conv2d_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_conv2d;
    const struct plb_type *x = &types->in[X], *w = &types->in[W];
    struct plb__windows windows;
    char a[96], b[96];

    PLB_TRY(plb__check_rank(op, types, X, 4));
    PLB_TRY(plb__check_rank(op, types, W, 4));
    PLB_TRY(plb__check_real(op, types, X));
    PLB_TRY(plb__check_dtype(op, types, W, x->dtype));
    if (w->shape.dim[1] != x->shape.dim[1])
        return plb_fail(PLB_ERROR_INVALID, "%s: w is %s, which has not the channels of x %s",
                        op->name, plb_type_print(w, a, sizeof a), plb_type_print(x, b, sizeof b));
    if (types->in[B].shape.rank != 0)
        PLB_TRY(plb__check_type(op, types, B, x->dtype, plb_shape1(w->shape.dim[0])));
    windows = windows_of(types);
    PLB_TRY(plb__windows_fit(op, &windows));
    types->out[0] = (struct plb_type){
        x->dtype, plb_shape4(x->shape.dim[0], w->shape.dim[0], windows.out_h, windows.out_w)};
    return PLB_OK;
}

static void conv2d_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__windows windows = windows_of(types);

    windows.out_h = types->out[0].shape.dim[2];
    windows.out_w = types->out[0].shape.dim[3];
    cost_out->flops =
        plb__conv2d_flops(&windows, types->in[X].shape.dim[0], types->in[W].shape.dim[0]);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status conv2d_gradient(struct plb_gradient *g)
{
    const struct plb_attributes *own = &g->task->attributes;
    struct plb_shape x = plb_graph_value(g->graph, g->in[X])->type.shape;
    struct plb_shape w = plb_graph_value(g->graph, g->in[W])->type.shape;
    const struct plb_attributes for_dx = {{own->i[STRIDE], own->i[PADDING], x.dim[2], x.dim[3]},
                                          {0}};
    const struct plb_attributes for_dw = {{own->i[STRIDE], own->i[PADDING], w.dim[2], w.dim[3]},
                                          {0}};
    const struct plb_attributes none = {{0}, {0}};
    const plb_value dx_in[] = {g->d_out[0], g->in[W]}, dw_in[] = {g->in[X], g->d_out[0]};

    if (g->needs[X])
        PLB_TRY(
            plb_graph_add_task(g->graph, &plb_op_conv2d_dx, &for_dx, dx_in, 2, NULL, &g->d_in[X]));
    if (g->needs[W])
        PLB_TRY(
            plb_graph_add_task(g->graph, &plb_op_conv2d_dw, &for_dw, dw_in, 2, NULL, &g->d_in[W]));
    if (g->needs[B])
        PLB_TRY(
            plb_graph_add_task(g->graph, &plb_op_conv2d_db, &none, g->d_out, 1, NULL, &g->d_in[B]));
    return PLB_OK;
}

/* Scratch: the block of windows, weights as floats, sums of a block. */
struct scratch {
    float *col, *weights, *sums;
    size_t bytes;
};

static struct scratch scratch_of(const struct plb__windows *w, int64_t outputs, void *base)
{
    size_t col = plb__floats_bytes(plb__windows_taps(w) * plb__windows_block(w));
    size_t weights = plb__floats_bytes(outputs * plb__windows_taps(w));
    size_t sums = plb__floats_bytes(outputs * plb__windows_block(w));
    struct scratch scratch = {.bytes = col + weights + sums};

    if (base == NULL)
        return scratch;
    scratch.col = base;
    scratch.weights = (float *)(void *)((char *)base + col);
    scratch.sums = (float *)(void *)((char *)base + col + weights);
    return scratch;
}

static size_t conv2d_scratch(const struct plb_task_types *types)
{
    struct plb__windows windows = windows_of(types);

    windows.out_h = types->out[0].shape.dim[2];
    windows.out_w = types->out[0].shape.dim[3];
    return scratch_of(&windows, types->in[W].shape.dim[0], NULL).bytes;
}

PLB_KERNEL_CLONES static void add_constant(float *y, const float *x, float b, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] + b;
}

/* Adds biases to sums[O, count] and puts them where they belong in the image at `at` of y. */
static void block_store(const struct plb_call *call, float *sums, int64_t stride, int64_t at,
                        int64_t count)
{
    const struct plb_operand *bias = &call->in[B];
    const struct plb_tensor *y = &call->out[0].part[0];
    int64_t positions = y->shape.dim[2] * y->shape.dim[3];

    for (int64_t o = 0; o < y->shape.dim[1]; o++) {
        float b = 0.0f, *from = sums + o * stride;

        if (bias->n_parts > 0) {
            plb__load(&b, &bias->part[0], o, 1);
            add_constant(from, from, b, count);
        }
        if (y->dtype == PLB_BF16)
            plb__store(y, at + o * positions, from, count);
    }
}

static enum plb_status conv2d_image(const struct plb_call *call, const struct plb__windows *w,
                                    const struct scratch *scratch, const float *weights,
                                    int64_t image)
{
    const struct plb_tensor *x = &call->in[X].part[0], *y = &call->out[0].part[0];
    int64_t taps = plb__windows_taps(w), positions = plb__windows_positions(w);
    int64_t block = plb__windows_block(w);
    int64_t x_at = image * plb_shape_row_elements(&x->shape);
    int64_t y_at = image * plb_shape_row_elements(&y->shape);

    for (int64_t p = 0; p < positions; p += block) {
        int64_t count = positions - p < block ? positions - p : block;
        struct plb__sgemm product = {
            .m = y->shape.dim[1],
            .n = count,
            .k = taps,
            .a = weights,
            .lda = taps,
            .b = scratch->col,
            .ldb = count,
            .c = scratch->sums,
            .ldc = count,
        };

        if (y->dtype == PLB_F32) {
            product.c = (float *)y->data + y_at + p;
            product.ldc = positions;
        }
        plb__windows_gather(w, x, x_at, p, count, scratch->col);
        PLB_TRY(plb__sgemm(&product));
        block_store(call, product.c, product.ldc, y_at + p, count);
    }
    return PLB_OK;
}

static enum plb_status conv2d_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[X].part[0];
    struct plb__windows windows = plb__conv2d_windows(
        &x->shape, &call->in[W].whole, call->attributes->i[STRIDE], call->attributes->i[PADDING]);
    struct scratch scratch;
    const float *weights;

    PLB_TRY(plb__windows_fit(&plb_op_conv2d, &windows));
    scratch = scratch_of(&windows, call->in[W].whole.dim[0], call->scratch);
    weights = plb__conv2d_weights(&call->in[W], scratch.weights);
    for (int64_t b = 0; b < x->shape.dim[0]; b++)
        PLB_TRY(conv2d_image(call, &windows, &scratch, weights, b));
    return PLB_OK;
}

plb_value plb_conv2d(plb_graph_t *g, plb_value x, plb_value w, plb_value b, int64_t stride,
                     int64_t padding)
{
    const struct plb_attributes attributes = {{stride, padding}, {0}};
    const plb_value in[INPUTS] = {x, w, b};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_conv2d, &attributes, in, INPUTS, NULL, &y);
    return y;
}

const struct plb_operator plb_op_conv2d = {
    .name = "conv2d",
    .attribute_i = {"stride", "padding"},
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A},
           {.name = "w", .flags = PLB_LIST},
           {.name = "b", .flags = PLB_OPTIONAL}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = conv2d_shape,
    .cost = conv2d_cost,
    .gradient = conv2d_gradient,
    .scratch = conv2d_scratch,
    .cpu = conv2d_cpu,
};
