/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same elements in another dtype: f32 and bf16, each to each. To bf16 it rounds to nearest
 * even.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { DTYPE }; /* index of the integer attribute */

static enum plb_status cast_shape(struct plb_task_types *types)
{
    int64_t dtype = types->attributes->i[DTYPE];

    PLB_TRY(plb__check_real(&plb_op_cast, types, 0));
    if (dtype != PLB_F32 && dtype != PLB_BF16)
        return plb_fail(PLB_ERROR_INVALID, "cast: dtype must be f32 or bf16, but is %s",
                        dtype >= 0 && dtype < PLB_DTYPES ? plb_dtype_name((enum plb_dtype)dtype)
                                                         : "no dtype");
    types->out[0] = types->in[0];
    types->out[0].dtype = (enum plb_dtype)dtype;
    return PLB_OK;
}

static void cast_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 0.0;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status cast_gradient(struct plb_gradient *gradient)
{
    enum plb_dtype dtype = plb_graph_value(gradient->graph, gradient->in[0])->type.dtype;

    if (!gradient->needs[0])
        return PLB_OK;
    gradient->d_in[0] = plb_cast(gradient->graph, gradient->d_out[0], dtype);
    return plb_graph_status(gradient->graph);
}

static enum plb_status cast_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    int64_t elements = plb_shape_elements(&y->shape);

    if (y->dtype == PLB_F32)
        plb__load(y->data, x, 0, elements);
    else if (x->dtype == PLB_F32)
        plb__store(y, 0, x->data, elements);
    else
        memcpy(y->data, x->data, (size_t)elements * sizeof(uint16_t));
    return PLB_OK;
}

plb_value plb_cast(plb_graph_t *g, plb_value x, enum plb_dtype dtype)
{
    struct plb_attributes attributes = {{dtype}, {0}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_cast, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_cast = {
    .name = "cast",
    .attribute_i = {"dtype"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = cast_shape,
    .cost = cast_cost,
    .gradient = cast_gradient,
    .cpu = cast_cpu,
};
