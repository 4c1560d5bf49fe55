/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dw[O,C,R,S] and db[O] of conv2d, in fp32 whatever the dtype of x and dy.
 *
 * Images are a sum axis (A), gone through one by one in order; a task makes some output channels
 * (axis B of conv2d_dw).
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/conv2d/conv2d.h"

enum { X, DY, INPUTS };
enum { STRIDE, PADDING, WINDOW_H, WINDOW_W };

static struct plb__windows windows_of(const struct plb_attributes *attributes,
                                      const struct plb_shape *x)
{
    const struct plb_shape w =
        plb_shape4(1, x->dim[1], attributes->i[WINDOW_H], attributes->i[WINDOW_W]);

    return plb__conv2d_windows(x, &w, attributes->i[STRIDE], attributes->i[PADDING]);
}

static enum plb_status dw_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_conv2d_dw;
    const struct plb_type *x = &types->in[X], *dy = &types->in[DY];
    struct plb__windows windows;
    struct plb_shape expected;

    PLB_TRY(plb__check_rank(op, types, X, 4));
    PLB_TRY(plb__check_rank(op, types, DY, 4));
    PLB_TRY(plb__check_real(op, types, X));
    windows = windows_of(types->attributes, &x->shape);
    PLB_TRY(plb__windows_fit(op, &windows));
    expected = plb_shape4(x->shape.dim[0], dy->shape.dim[1], windows.out_h, windows.out_w);
    PLB_TRY(plb__check_type(op, types, DY, x->dtype, expected));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape4(dy->shape.dim[1], windows.channels,
                                                          windows.window_h, windows.window_w)};
    return PLB_OK;
}

static void dw_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__windows windows = windows_of(types->attributes, &types->in[X].shape);

    windows.out_h = types->in[DY].shape.dim[2];
    windows.out_w = types->in[DY].shape.dim[3];
    cost_out->flops =
        plb__conv2d_flops(&windows, types->in[X].shape.dim[0], types->out[0].shape.dim[0]);
    cost_out->bytes = plb__bytes_once(types);
}

/* Scratch: a block of windows, and of dy as floats. */
static size_t dw_scratch(const struct plb_task_types *types)
{
    struct plb__windows windows = windows_of(types->attributes, &types->in[X].shape);

    windows.out_h = types->in[DY].shape.dim[2];
    windows.out_w = types->in[DY].shape.dim[3];
    return plb__floats_bytes(plb__windows_taps(&windows) * plb__windows_block(&windows)) +
           plb__floats_bytes(types->out[0].shape.dim[0] * plb__windows_block(&windows));
}

/* dy[low.., first..first+count-1] of the image at `at`: as it lies, or widened. */
static void dy_block(const struct plb_call *call, const struct plb_tensor *dy, int64_t at,
                     int64_t first, int64_t count, float *buffer, struct plb__sgemm *product)
{
    int64_t positions = dy->shape.dim[2] * dy->shape.dim[3];
    int64_t start = at + call->low[1] * positions + first;

    product->a = buffer;
    product->lda = count;
    if (dy->dtype == PLB_F32) {
        product->a = (const float *)dy->data + start;
        product->lda = positions;
        return;
    }
    for (int64_t o = 0; o < product->m; o++)
        plb__load(buffer + o * count, dy, start + o * positions, count);
}

/* Adds what an image gives. The cells hold it from these elements on. */
static enum plb_status dw_image(const struct plb_call *call, const struct plb__windows *w,
                                const struct plb_tensor *x, int64_t x_at,
                                const struct plb_tensor *dy, int64_t dy_at, bool first)
{
    int64_t taps = plb__windows_taps(w), positions = plb__windows_positions(w);
    int64_t block = plb__windows_block(w);
    float *col = call->scratch;
    float *buffer = (float *)(void *)((char *)call->scratch + plb__floats_bytes(taps * block));

    for (int64_t p = 0; p < positions; p += block) {
        int64_t count = positions - p < block ? positions - p : block;
        struct plb__sgemm product = {
            .tb = true,
            .accumulate = !first || p > 0,
            .m = call->high[1] - call->low[1],
            .n = taps,
            .k = count,
            .b = col,
            .ldb = count,
            .c = call->out[0].part[0].data,
            .ldc = taps,
        };

        dy_block(call, dy, dy_at, p, count, buffer, &product);
        plb__windows_gather(w, x, x_at, p, count, col);
        PLB_TRY(plb__sgemm(&product));
    }
    return PLB_OK;
}

static enum plb_status dw_cpu(const struct plb_call *call)
{
    const struct plb_operand *x = &call->in[X], *dy = &call->in[DY];
    struct plb__windows windows = windows_of(call->attributes, &x->whole);
    int64_t x_row = plb_shape_row_elements(&x->whole), dy_row = plb_shape_row_elements(&dy->whole);
    int x_cell = 0, dy_cell = 0;

    PLB_TRY(plb__windows_fit(&plb_op_conv2d_dw, &windows));
    for (int64_t b = call->low[0]; b < call->high[0]; b++) {
        const struct plb_tensor *x_part, *dy_part;

        x_cell = plb__cell_of_row(x, b, x_cell);
        dy_cell = plb__cell_of_row(dy, b, dy_cell);
        x_part = &x->part[x_cell];
        dy_part = &dy->part[dy_cell];
        PLB_TRY(dw_image(call, &windows, x_part, (b - x_part->row0) * x_row, dy_part,
                         (b - dy_part->row0) * dy_row, b == call->low[0]));
    }
    return PLB_OK;
}

const struct plb_operator plb_op_conv2d_dw = {
    .name = "conv2d_dw",
    .attribute_i = {"stride", "padding", "window_h", "window_w"},
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "dy", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "dw", .rows = PLB_AXIS_B}},
    .shape = dw_shape,
    .cost = dw_cost,
    .scratch = dw_scratch,
    .cpu = dw_cpu,
};

/* --- the bias --------------------------------------------------------------------------------- */

static enum plb_status db_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_rank(&plb_op_conv2d_db, types, 0, 4));
    PLB_TRY(plb__check_real(&plb_op_conv2d_db, types, 0));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(types->in[0].shape.dim[1])};
    return PLB_OK;
}

static void db_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

PLB_KERNEL_CLONES static float piece_sum(const float *x, int64_t n)
{
    float lane[PLB_LANES] = {0};
    int64_t i;

    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++)
            lane[j] += x[i + j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += x[i + j];
    return plb__lanes_sum(lane);
}

static float plane_sum(const struct plb_tensor *dy, int64_t at, int64_t n)
{
    float buffer[PLB_CHUNK], sum = 0.0f;

    for (int64_t i = 0; i < n; i += PLB_CHUNK) {
        int64_t count = n - i < PLB_CHUNK ? n - i : PLB_CHUNK;

        sum += piece_sum(plb__read(dy, at + i, count, buffer), count);
    }
    return sum;
}

static enum plb_status db_cpu(const struct plb_call *call)
{
    const struct plb_operand *dy = &call->in[0];
    int64_t outputs = dy->whole.dim[1], positions = dy->whole.dim[2] * dy->whole.dim[3];
    float *db = call->out[0].part[0].data;
    int cell = 0;

    memset(db, 0, (size_t)outputs * sizeof *db);
    for (int64_t b = call->low[0]; b < call->high[0]; b++) {
        const struct plb_tensor *part;

        cell = plb__cell_of_row(dy, b, cell);
        part = &dy->part[cell];
        for (int64_t o = 0; o < outputs; o++)
            db[o] += plane_sum(part, ((b - part->row0) * outputs + o) * positions, positions);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_conv2d_db = {
    .name = "conv2d_db",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "db"}},
    .shape = db_shape,
    .cost = db_cost,
    .cpu = db_cpu,
};
