/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y[N,O] = x[N,K] w[O,K]^T + b[O], and its gradient rule. The gradients' own operators are in
 * linear_dx.c and linear_dw.c.
 *
 * A task has rows of y (axis A) and columns of y, which are rows of w (axis B).
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/linear/linear.h"

enum { X, W, B, INPUTS };

enum plb_status plb__linear_check_columns(const struct plb_operator *op,
                                          const struct plb_task_types *types, int k, int64_t cols,
                                          const char *reason)
{
    char text[96];

    if (types->in[k].shape.dim[1] == cols)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s is %s, but must have %lld columns, %s", op->name,
                    op->in[k].name, plb_type_print(&types->in[k], text, sizeof text),
                    (long long)cols, reason);
}

static enum plb_status linear_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_linear;
    const struct plb_type *x = &types->in[X], *w = &types->in[W];

    PLB_TRY(plb__check_rank(op, types, X, 2));
    PLB_TRY(plb__check_rank(op, types, W, 2));
    PLB_TRY(plb__check_real(op, types, X));
    PLB_TRY(plb__check_dtype(op, types, W, x->dtype));
    PLB_TRY(plb__linear_check_columns(op, types, W, x->shape.dim[1], "as x has"));
    if (types->in[B].shape.rank != 0)
        PLB_TRY(plb__check_type(op, types, B, x->dtype, plb_shape1(w->shape.dim[0])));
    types->out[0] = (struct plb_type){x->dtype, plb_shape2(x->shape.dim[0], w->shape.dim[0])};
    return PLB_OK;
}

static void linear_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    double outputs = plb__elements_out(types, 0);

    cost_out->flops = 2.0 * outputs * (double)types->in[X].shape.dim[1];
    if (types->in[B].shape.rank != 0)
        cost_out->flops += outputs;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status linear_gradient(struct plb_gradient *g)
{
    const struct plb_attributes none = {{0}, {0}};
    plb_value dy = g->d_out[0];
    const plb_value for_dx[] = {dy, g->in[W]}, for_dw[] = {g->in[X], dy};

    if (g->needs[X])
        PLB_TRY(
            plb_graph_add_task(g->graph, &plb_op_linear_dx, &none, for_dx, 2, NULL, &g->d_in[X]));
    if (g->needs[W])
        PLB_TRY(
            plb_graph_add_task(g->graph, &plb_op_linear_dw, &none, for_dw, 2, NULL, &g->d_in[W]));
    if (g->needs[B])
        PLB_TRY(plb_graph_add_task(g->graph, &plb_op_linear_db, &none, &dy, 1, NULL, &g->d_in[B]));
    return PLB_OK;
}

static size_t linear_scratch(const struct plb_task_types *types)
{
    enum plb_dtype dtype = types->in[X].dtype;
    const struct plb_product whole = {
        .m = types->in[X].shape.dim[0],
        .n = types->in[W].shape.dim[0],
        .k = types->in[X].shape.dim[1],
        .a = {.dtype = dtype},
        .b = {.dtype = dtype, .transposed = true},
        .c_dtype = dtype,
    };

    return plb_product_scratch(&whole);
}

/* One cell of w makes the columns of y that are its rows. */
static enum plb_status linear_cell(const struct plb_call *call, const struct plb_tensor *w)
{
    const struct plb_tensor *x = &call->in[X].part[0], *y = &call->out[0].part[0];
    const struct plb_operand *b = &call->in[B];
    int64_t k = x->shape.dim[1], width = y->shape.dim[1], low = call->low[1];
    struct plb__span o = plb__span_of(w->row0, w->shape.dim[0], low, call->high[1]);
    size_t size = plb_dtype_bytes(y->dtype);
    struct plb_product product = {
        .m = x->shape.dim[0],
        .n = o.high - o.low,
        .k = k,
        .a = {.data = x->data, .dtype = x->dtype, .stride = k},
        .b = {.data = plb__cell_at(w, o.low, 0),
              .dtype = w->dtype,
              .stride = k,
              .transposed = true},
        .c = (char *)y->data + (size_t)(o.low - low) * size,
        .c_dtype = y->dtype,
        .c_stride = width,
    };

    if (b->n_parts > 0) {
        product.bias = (const char *)b->part[0].data + (size_t)(o.low - low) * size;
        product.bias_dtype = b->part[0].dtype;
    }
    return plb_product(&product, call->scratch);
}

static enum plb_status linear_cpu(const struct plb_call *call)
{
    for (int p = 0; p < call->in[W].n_parts; p++)
        PLB_TRY(linear_cell(call, &call->in[W].part[p]));
    return PLB_OK;
}

plb_value plb_linear(plb_graph_t *g, plb_value x, plb_value w, plb_value b)
{
    const struct plb_attributes none = {{0}, {0}};
    const plb_value in[INPUTS] = {x, w, b};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_linear, &none, in, INPUTS, NULL, &y);
    return y;
}

const struct plb_operator plb_op_linear = {
    .name = "linear",
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A},
           {.name = "w", .rows = PLB_AXIS_B, .flags = PLB_LIST},
           {.name = "b", .rows = PLB_AXIS_B, .flags = PLB_OPTIONAL}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .cols = PLB_AXIS_B}},
    .shape = linear_shape,
    .cost = linear_cost,
    .gradient = linear_gradient,
    .scratch = linear_scratch,
    .cpu = linear_cpu,
};
