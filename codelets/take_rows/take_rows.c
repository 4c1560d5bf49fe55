/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of x[N,C] by index: y[m,:] = x[index[m],:]. Any dtype. No gradient: it serves to look at the
 * last positions of prompts.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

#include <inttypes.h>

enum { X, INDEX };

static enum plb_status take_rows_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_take_rows;

    PLB_TRY(plb__check_rank(op, types, X, 2));
    PLB_TRY(plb__check_rank(op, types, INDEX, 1));
    PLB_TRY(plb__check_dtype(op, types, INDEX, PLB_I32));
    types->out[0] = types->in[X];
    types->out[0].shape.dim[0] = types->in[INDEX].shape.dim[0];
    return PLB_OK;
}

/* Of x only the rows taken are read. */
static void take_rows_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 0.0;
    cost_out->bytes =
        2.0 * (double)plb_type_bytes(&types->out[0]) + (double)plb_type_bytes(&types->in[INDEX]);
}

static enum plb_status take_rows_cpu(const struct plb_call *call)
{
    const struct plb_operand *x = &call->in[X];
    const struct plb_tensor *y = &call->out[0].part[0];
    const int32_t *index = call->in[INDEX].part[0].data;
    size_t bytes = (size_t)x->whole.dim[1] * plb_dtype_bytes(y->dtype);

    for (int64_t m = 0; m < y->shape.dim[0]; m++) {
        const struct plb_tensor *part;

        if (index[m] < 0 || index[m] >= x->whole.dim[0])
            return plb_fail(PLB_ERROR_INVALID,
                            "take_rows: index %" PRId32 " is not one of %" PRId64 " rows", index[m],
                            x->whole.dim[0]);
        part = &x->part[plb__cell_of_row(x, index[m], 0)];
        memcpy((char *)y->data + (size_t)m * bytes,
               (const char *)part->data + (size_t)(index[m] - part->row0) * bytes, bytes);
    }
    return PLB_OK;
}

plb_value plb_take_rows(plb_graph_t *g, plb_value x, plb_value index)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value in[] = {x, index}, y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_take_rows, &attributes, in, 2, NULL, &y);
    return y;
}

const struct plb_operator plb_op_take_rows = {
    .name = "take_rows",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "x", .flags = PLB_LIST}, {.name = "index"}},
    .out = {{.name = "y"}},
    .shape = take_rows_shape,
    .cost = take_rows_cost,
    .cpu = take_rows_cpu,
};
