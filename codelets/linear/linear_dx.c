/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dx[N,K] = dy[N,O] w[O,K]: the gradient of linear's input.
 *
 * O is a sum axis (B): a task goes over the cells of dy and w in its range in order, adding in
 * fp32. dx is of dy's dtype, or fp32 where it is one of several partial sums.
 */
#include "config.h"

#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/linear/linear.h"

enum { DY, W, INPUTS };

/* Rows of dx whose fp32 sums are kept at a time where dx is bf16, and columns of dy that are
 * multiplied at a time, so that scratch does not grow with a vocabulary. */
enum { ROWS = 128, DEPTH = 4096 };

static enum plb_status dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_linear_dx;
    const struct plb_type *dy = &types->in[DY], *w = &types->in[W];

    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_rank(op, types, W, 2));
    PLB_TRY(plb__check_real(op, types, DY));
    PLB_TRY(plb__check_dtype(op, types, W, dy->dtype));
    PLB_TRY(plb__linear_check_columns(op, types, DY, w->shape.dim[0], "as w has rows"));
    types->out[0] = (struct plb_type){dy->dtype, plb_shape2(dy->shape.dim[0], w->shape.dim[1])};
    return PLB_OK;
}

static void dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 2.0 * plb__elements_out(types, 0) * (double)types->in[W].shape.dim[0];
    cost_out->bytes = plb__bytes_once(types);
}

static size_t sums_bytes(int64_t rows, int64_t cols)
{
    size_t bytes = (size_t)((rows < ROWS ? rows : ROWS) * cols) * sizeof(float);

    return (bytes + 63) / 64 * 64;
}

static size_t dx_scratch(const struct plb_task_types *types)
{
    enum plb_dtype dtype = types->in[DY].dtype;
    const struct plb_product whole = {
        .m = types->in[DY].shape.dim[0],
        .n = types->in[W].shape.dim[1],
        .k = types->in[W].shape.dim[0] < DEPTH ? types->in[W].shape.dim[0] : DEPTH,
        .a = {.dtype = dtype},
        .b = {.dtype = dtype},
        .c_dtype = PLB_F32,
    };

    return sums_bytes(whole.m, whole.n) + plb_product_scratch(&whole);
}

/* Where fp32 sums of some rows of dx are made, and what the library may use beside them. */
struct sums {
    struct plb__span rows;
    float *data;
    int64_t stride;
    void *scratch;
};

/* Adds what columns `o` of a cell of dy and the same rows of one of w give for rows `n`. */
static enum plb_status dx_piece(const struct plb_call *call, const struct plb_tensor *dy,
                                const struct plb_tensor *w, struct plb__span n, struct plb__span o,
                                const struct sums *sums)
{
    const struct plb_product product = {
        .m = n.high - n.low,
        .n = w->shape.dim[1],
        .k = o.high - o.low,
        .a = {.data = plb__cell_at(dy, n.low, o.low),
              .dtype = dy->dtype,
              .stride = dy->shape.dim[1]},
        .b = {.data = plb__cell_at(w, o.low, 0), .dtype = w->dtype, .stride = w->shape.dim[1]},
        .c = sums->data + (n.low - sums->rows.low) * sums->stride,
        .c_dtype = PLB_F32,
        .c_stride = sums->stride,
        .accumulate = o.low > call->low[1], /* the first of the row, cells being in order */
    };

    return plb_product(&product, sums->scratch);
}

/* Adds what one cell of dy and one of w give together. */
static enum plb_status dx_cells(const struct plb_call *call, const struct plb_tensor *dy,
                                const struct plb_tensor *w, const struct sums *sums)
{
    struct plb__span n = plb__span_of(dy->row0, dy->shape.dim[0], sums->rows.low, sums->rows.high);
    struct plb__span o = plb__span_of(dy->col0, dy->shape.dim[1], call->low[1], call->high[1]);

    o = plb__span_of(w->row0, w->shape.dim[0], o.low, o.high);
    if (n.high <= n.low)
        return PLB_OK;
    for (int64_t low = o.low; low < o.high; low += DEPTH)
        PLB_TRY(dx_piece(call, dy, w, n, plb__span_of(low, DEPTH, low, o.high), sums));
    return PLB_OK;
}

static enum plb_status dx_rows(const struct plb_call *call, const struct sums *sums)
{
    const struct plb_operand *dy = &call->in[DY], *w = &call->in[W];

    for (int p = 0; p < dy->n_parts; p++) {
        for (int q = 0; q < w->n_parts; q++)
            PLB_TRY(dx_cells(call, &dy->part[p], &w->part[q], sums));
    }
    return PLB_OK;
}

static enum plb_status dx_cpu(const struct plb_call *call)
{
    const struct plb_tensor *dx = &call->out[0].part[0];
    int64_t low = call->low[0], high = call->high[0], cols = dx->shape.dim[1];
    struct sums sums = {.rows = {low, high}, .stride = cols};

    sums.data = call->scratch;
    sums.scratch = (char *)call->scratch + sums_bytes(high - low, cols);
    if (dx->dtype == PLB_F32) {
        sums.data = dx->data;
        return dx_rows(call, &sums);
    }
    for (int64_t i = low; i < high; i += ROWS) {
        sums.rows = plb__span_of(i, ROWS, low, high);
        PLB_TRY(dx_rows(call, &sums));
        plb__store(dx, (i - low) * cols, sums.data, (sums.rows.high - i) * cols);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_linear_dx = {
    .name = "linear_dx",
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B, .flags = PLB_LIST},
           {.name = "w", .rows = PLB_AXIS_B, .flags = PLB_LIST}},
    .out = {{.name = "dx", .rows = PLB_AXIS_A}},
    .shape = dx_shape,
    .cost = dx_cost,
    .scratch = dx_scratch,
    .cpu = dx_cpu,
};
