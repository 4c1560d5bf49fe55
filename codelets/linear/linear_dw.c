/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dw[O,K] = dy[N,O]^T x[N,K] and db[O] = sum over n of dy[n,O]: the gradients of linear's weights
 * and bias, in fp32 whatever the dtype of x and dy.
 *
 * N is a sum axis (A). dw is summed in chunks of ROWS rows from the start of the range on, wherever
 * cells begin and end, so that its bits do not depend on how x and dy are cut: chunks that lie in
 * several cells are copied together first.
 */
#include "config.h"

#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/linear/linear.h"

enum { X, DY, INPUTS };

/* Rows multiplied at a time: enough for the sums, which are read and written once per chunk. */
enum { ROWS = 256 };

static enum plb_status dw_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_linear_dw;
    const struct plb_type *x = &types->in[X], *dy = &types->in[DY];
    char text[96];

    PLB_TRY(plb__check_rank(op, types, X, 2));
    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_real(op, types, X));
    PLB_TRY(plb__check_dtype(op, types, DY, x->dtype));
    if (dy->shape.dim[0] != x->shape.dim[0])
        return plb_fail(PLB_ERROR_INVALID, "%s: dy is %s, but must have %lld rows, as x has",
                        op->name, plb_type_print(dy, text, sizeof text),
                        (long long)x->shape.dim[0]);
    types->out[0] = (struct plb_type){PLB_F32, plb_shape2(dy->shape.dim[1], x->shape.dim[1])};
    return PLB_OK;
}

static void dw_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 2.0 * plb__elements_out(types, 0) * (double)types->in[X].shape.dim[0];
    cost_out->bytes = plb__bytes_once(types);
}

/* Bytes of a chunk's copy. */
static size_t chunk_bytes(int64_t rows, int64_t cols, enum plb_dtype dtype)
{
    size_t bytes = (size_t)((rows < ROWS ? rows : ROWS) * cols) * plb_dtype_bytes(dtype);

    return (bytes + 63) / 64 * 64;
}

static size_t dw_scratch(const struct plb_task_types *types)
{
    enum plb_dtype dtype = types->in[X].dtype;
    int64_t rows = types->in[X].shape.dim[0];
    const struct plb_product whole = {
        .m = types->in[DY].shape.dim[1],
        .n = types->in[X].shape.dim[1],
        .k = rows < ROWS ? rows : ROWS,
        .a = {.dtype = dtype, .transposed = true},
        .b = {.dtype = dtype},
        .c_dtype = PLB_F32,
    };

    return chunk_bytes(rows, whole.n, dtype) + chunk_bytes(rows, whole.m, dtype) +
           plb_product_scratch(&whole);
}

/* Copies what a cell holds of rows x cols to its place in a dense chunk. */
static void cell_copy(const struct plb_tensor *cell, struct plb__span rows, struct plb__span cols,
                      char *chunk)
{
    struct plb__span r = plb__span_of(cell->row0, cell->shape.dim[0], rows.low, rows.high);
    struct plb__span c = plb__span_of(cell->col0, cell->shape.dim[1], cols.low, cols.high);
    size_t size = plb_dtype_bytes(cell->dtype), width = (size_t)(cols.high - cols.low) * size;

    if (c.high <= c.low)
        return;
    for (int64_t i = r.low; i < r.high; i++)
        memcpy(chunk + (size_t)(i - rows.low) * width + (size_t)(c.low - cols.low) * size,
               plb__cell_at(cell, i, c.low), (size_t)(c.high - c.low) * size);
}

/* Rows x cols of an operand as one matrix: in the one cell that holds them, or copied together. */
static struct plb_matrix chunk_of(const struct plb_operand *operand, struct plb__span rows,
                                  struct plb__span cols, void *chunk)
{
    struct plb_matrix matrix = {
        .data = chunk, .dtype = operand->part[0].dtype, .stride = cols.high - cols.low};

    for (int p = 0; p < operand->n_parts; p++) {
        const struct plb_tensor *cell = &operand->part[p];

        if (cell->row0 <= rows.low && cell->row0 + cell->shape.dim[0] >= rows.high &&
            cell->col0 <= cols.low && cell->col0 + cell->shape.dim[1] >= cols.high) {
            matrix.data = plb__cell_at(cell, rows.low, cols.low);
            matrix.stride = cell->shape.dim[1];
            return matrix;
        }
    }
    for (int p = 0; p < operand->n_parts; p++)
        cell_copy(&operand->part[p], rows, cols, chunk);
    return matrix;
}

static enum plb_status dw_cpu(const struct plb_call *call)
{
    const struct plb_tensor *dw = &call->out[0].part[0];
    enum plb_dtype dtype = call->in[X].part[0].dtype;
    struct plb__span o = {call->low[1], call->high[1]}, k = {0, dw->shape.dim[1]};
    int64_t low = call->low[0], high = call->high[0];
    char *x_chunk = call->scratch, *dy_chunk = x_chunk + chunk_bytes(high - low, k.high, dtype);
    char *scratch = dy_chunk + chunk_bytes(high - low, o.high - o.low, dtype);

    for (int64_t i = low; i < high; i += ROWS) {
        struct plb__span rows = plb__span_of(i, ROWS, low, high);
        struct plb_product product = {
            .m = o.high - o.low,
            .n = k.high,
            .k = rows.high - rows.low,
            .a = chunk_of(&call->in[DY], rows, o, dy_chunk),
            .b = chunk_of(&call->in[X], rows, k, x_chunk),
            .c = dw->data,
            .c_dtype = PLB_F32,
            .c_stride = k.high,
            .accumulate = i > low,
        };

        product.a.transposed = true;
        PLB_TRY(plb_product(&product, scratch));
    }
    return PLB_OK;
}

const struct plb_operator plb_op_linear_dw = {
    .name = "linear_dw",
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST},
           {.name = "dy", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B, .flags = PLB_LIST}},
    .out = {{.name = "dw", .rows = PLB_AXIS_B}},
    .shape = dw_shape,
    .cost = dw_cost,
    .scratch = dw_scratch,
    .cpu = dw_cpu,
};

/* --- the bias --------------------------------------------------------------------------------- */

static enum plb_status db_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_rank(&plb_op_linear_db, types, 0, 2));
    PLB_TRY(plb__check_real(&plb_op_linear_db, types, 0));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(types->in[0].shape.dim[1])};
    return PLB_OK;
}

static void db_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

PLB_KERNEL_CLONES static void add_f32(float *sum, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        sum[j] += x[j];
}

PLB_KERNEL_CLONES static void add_bf16(float *sum, const uint16_t *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        sum[j] += plb__from_bf16(x[j]);
}

/* Adds rows `n` of a cell, in order. */
static void db_cell(const struct plb_tensor *dy, struct plb__span n, float *sum)
{
    int64_t width = dy->shape.dim[1];

    for (int64_t i = n.low; i < n.high; i++) {
        const void *row = plb__cell_at(dy, i, dy->col0);

        if (dy->dtype == PLB_F32)
            add_f32(sum, row, width);
        else
            add_bf16(sum, row, width);
    }
}

static enum plb_status db_cpu(const struct plb_call *call)
{
    const struct plb_operand *dy = &call->in[0];
    float *db = call->out[0].part[0].data;

    memset(db, 0, (size_t)call->out[0].part[0].shape.dim[0] * sizeof *db);
    for (int p = 0; p < dy->n_parts; p++) {
        const struct plb_tensor *cell = &dy->part[p];

        db_cell(cell, plb__span_of(cell->row0, cell->shape.dim[0], call->low[0], call->high[0]),
                db + cell->col0);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_linear_db = {
    .name = "linear_db",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "db"}},
    .shape = db_shape,
    .cost = db_cost,
    .cpu = db_cpu,
};
