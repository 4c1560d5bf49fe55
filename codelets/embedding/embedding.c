/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y[N,C] = table[tokens[N], :], and the gradient of the table.
 *
 * The table's gradient is cut over rows of the vocabulary (axis A of embedding_dw): each task goes
 * over all tokens in order and adds the rows of dy whose token is in its range, so that the sum of
 * a token's rows has one order, however dy is cut.
 *
 * A table may be a range of a larger one's rows, from `first` on of `vocabulary` in all: tokens of
 * other rows give zeros, so that the sum over all ranges is the whole table's y, bit for bit.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/cells.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { TOKENS, TABLE, INPUTS };
enum { FIRST, VOCABULARY }; /* integer attributes; vocabulary 0: the table has all rows */

static enum plb_status check_range(const struct plb_operator *op,
                                   const struct plb_task_types *types, int64_t rows)
{
    int64_t first = types->attributes->i[FIRST], all = types->attributes->i[VOCABULARY];

    if (all == 0 ? first == 0 : first >= 0 && all >= rows && first <= all - rows)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "%s: %lld rows of the table, first %lld, are not a range of a vocabulary of "
                    "%lld",
                    op->name, (long long)rows, (long long)first, (long long)all);
}

static enum plb_status embedding_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_embedding;
    const struct plb_type *tokens = &types->in[TOKENS], *table = &types->in[TABLE];

    PLB_TRY(plb__check_rank(op, types, TOKENS, 1));
    PLB_TRY(plb__check_dtype(op, types, TOKENS, PLB_I32));
    PLB_TRY(plb__check_rank(op, types, TABLE, 2));
    PLB_TRY(plb__check_real(op, types, TABLE));
    PLB_TRY(check_range(op, types, table->shape.dim[0]));
    types->out[0] =
        (struct plb_type){table->dtype, plb_shape2(tokens->shape.dim[0], table->shape.dim[1])};
    return PLB_OK;
}

/* Of the table only the rows that are copied are read. */
static void embedding_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 0.0;
    cost_out->bytes =
        (double)plb_type_bytes(&types->in[TOKENS]) + 2.0 * (double)plb_type_bytes(&types->out[0]);
}

static enum plb_status embedding_gradient(struct plb_gradient *g)
{
    const struct plb_value_info *table = plb_graph_value(g->graph, g->in[TABLE]);
    const struct plb_attributes attributes = {
        {table->type.shape.dim[0], g->task->attributes.i[FIRST]}, {0}};
    const plb_value in[] = {g->in[TOKENS], g->d_out[0]};

    if (!g->needs[TABLE])
        return PLB_OK;
    return plb_graph_add_task(g->graph, &plb_op_embedding_dw, &attributes, in, 2, NULL,
                              &g->d_in[TABLE]);
}

/* The cell with a row of the table, whose cells cover it without gaps. */
static const struct plb_tensor *table_cell(const struct plb_operand *table, int64_t row)
{
    int low = 0, high = table->n_parts;

    while (high - low > 1) {
        int middle = low + (high - low) / 2;

        if (table->part[middle].row0 <= row)
            low = middle;
        else
            high = middle;
    }
    return &table->part[low];
}

/* Row n of y: of the table, or zeros where the token is of another range. */
static enum plb_status take_row(const struct plb_call *call, int64_t n, size_t row_bytes)
{
    const struct plb_operand *table = &call->in[TABLE];
    const struct plb_attributes *a = call->attributes;
    int64_t all = a->i[VOCABULARY] > 0 ? a->i[VOCABULARY] : table->whole.dim[0];
    int64_t token = ((const int32_t *)call->in[TOKENS].part[0].data)[n], row = token - a->i[FIRST];
    char *y = (char *)call->out[0].part[0].data + (size_t)n * row_bytes;

    if (token < 0 || token >= all)
        return plb_fail(PLB_ERROR_INVALID,
                        "embedding: token %lld in row %lld is outside of the vocabulary 0..%lld",
                        (long long)token, (long long)(call->low[0] + n), (long long)all - 1);
    if (row < 0 || row >= table->whole.dim[0])
        memset(y, 0, row_bytes);
    else
        memcpy(y, plb__cell_at(table_cell(table, row), row, 0), row_bytes);
    return PLB_OK;
}

static enum plb_status embedding_cpu(const struct plb_call *call)
{
    const struct plb_tensor *y = &call->out[0].part[0];
    size_t row_bytes = (size_t)y->shape.dim[1] * plb_dtype_bytes(y->dtype);

    for (int64_t n = 0; n < y->shape.dim[0]; n++)
        PLB_TRY(take_row(call, n, row_bytes));
    return PLB_OK;
}

plb_value plb_embedding(plb_graph_t *g, plb_value tokens, plb_value table)
{
    return plb_embedding_part(g, tokens, table, 0, 0);
}

plb_value plb_embedding_part(plb_graph_t *g, plb_value tokens, plb_value table, int64_t first,
                             int64_t vocabulary)
{
    const struct plb_attributes attributes = {{first, vocabulary}, {0}};
    const plb_value in[INPUTS] = {tokens, table};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_embedding, &attributes, in, INPUTS, NULL, &y);
    return y;
}

const struct plb_operator plb_op_embedding = {
    .name = "embedding",
    .attribute_i = {"first", "vocabulary"},
    .n_in = INPUTS,
    .n_out = 1,
    .in = {{.name = "tokens", .rows = PLB_AXIS_A}, {.name = "table", .flags = PLB_LIST}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = embedding_shape,
    .cost = embedding_cost,
    .gradient = embedding_gradient,
    .cpu = embedding_cpu,
};

/* --- the table's gradient --------------------------------------------------------------------- */

enum { DY = 1 };
enum { ROWS, DW_FIRST }; /* integer attributes: of the table */

static enum plb_status dw_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_embedding_dw;
    const struct plb_type *tokens = &types->in[TOKENS], *dy = &types->in[DY];
    char text[96];

    PLB_TRY(plb__check_attribute(op, types, ROWS, 1));
    PLB_TRY(plb__check_attribute(op, types, DW_FIRST, 0));
    PLB_TRY(plb__check_rank(op, types, TOKENS, 1));
    PLB_TRY(plb__check_dtype(op, types, TOKENS, PLB_I32));
    PLB_TRY(plb__check_rank(op, types, DY, 2));
    PLB_TRY(plb__check_real(op, types, DY));
    if (dy->shape.dim[0] != tokens->shape.dim[0])
        return plb_fail(PLB_ERROR_INVALID, "%s: dy is %s, but must have %lld rows, one per token",
                        op->name, plb_type_print(dy, text, sizeof text),
                        (long long)tokens->shape.dim[0]);
    types->out[0] =
        (struct plb_type){PLB_F32, plb_shape2(types->attributes->i[ROWS], dy->shape.dim[1])};
    return PLB_OK;
}

/* A task reads its share of dy. */
static void dw_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    double share = (double)types->out[0].shape.dim[0] / (double)types->attributes->i[ROWS];

    cost_out->flops = share * (double)plb_shape_elements(&types->in[DY].shape);
    cost_out->bytes = (double)plb_type_bytes(&types->in[TOKENS]) +
                      share * (double)plb_type_bytes(&types->in[DY]) +
                      (double)plb_type_bytes(&types->out[0]);
}

PLB_KERNEL_CLONES static void add_to(float *sum, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        sum[j] += x[j];
}

/* Adds row `row` of a cell of dy to a row of the table's gradient. */
static void row_add(float *to, const struct plb_tensor *dy, int64_t row)
{
    float buffer[PLB_CHUNK];
    int64_t cols = dy->shape.dim[1], at = (row - dy->row0) * cols;

    for (int64_t j = 0; j < cols; j += PLB_CHUNK) {
        int64_t n = cols - j < PLB_CHUNK ? cols - j : PLB_CHUNK;

        add_to(to + j, plb__read(dy, at + j, n, buffer), n);
    }
}

static enum plb_status dw_cpu(const struct plb_call *call)
{
    const struct plb_operand *tokens = &call->in[TOKENS], *dy = &call->in[DY];
    const struct plb_tensor *out = &call->out[0].part[0];
    int64_t cols = out->shape.dim[1];
    int cell = 0;

    memset(out->data, 0, (size_t)(out->shape.dim[0] * cols) * sizeof(float));
    for (int p = 0; p < tokens->n_parts; p++) {
        const struct plb_tensor *part = &tokens->part[p];

        for (int64_t n = 0; n < part->shape.dim[0]; n++) {
            int64_t token = ((const int32_t *)part->data)[n] - call->attributes->i[DW_FIRST];

            if (token < call->low[0] || token >= call->high[0])
                continue;
            cell = plb__cell_of_row(dy, part->row0 + n, cell);
            row_add((float *)out->data + (token - call->low[0]) * cols, &dy->part[cell],
                    part->row0 + n);
        }
    }
    return PLB_OK;
}

const struct plb_operator plb_op_embedding_dw = {
    .name = "embedding_dw",
    .attribute_i = {"vocabulary", "first"},
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "tokens", .flags = PLB_LIST}, {.name = "dy", .flags = PLB_LIST}},
    .out = {{.name = "dtable", .rows = PLB_AXIS_A}},
    .shape = dw_shape,
    .cost = dw_cost,
    .cpu = dw_cpu,
};
