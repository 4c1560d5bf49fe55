/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A value of f32[1] that holds a constant: where differentiation begins.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/operators.h"

static enum plb_status fill_shape(struct plb_task_types *types)
{
    types->out[0] = (struct plb_type){PLB_F32, plb_shape1(1)};
    return PLB_OK;
}

static void fill_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 0.0;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status fill_cpu(const struct plb_call *call)
{
    *(float *)call->out[0].part[0].data = (float)call->attributes->f[0];
    return PLB_OK;
}

plb_value plb_fill(plb_graph_t *g, double value)
{
    struct plb_attributes attributes = {{0}, {value}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_fill, &attributes, NULL, 0, NULL, &y);
    return y;
}

const struct plb_operator plb_op_fill = {
    .name = "fill",
    .attribute_f = {"value"},
    .n_in = 0,
    .n_out = 1,
    .out = {{.name = "y"}},
    .shape = fill_shape,
    .cost = fill_cost,
    .cpu = fill_cpu,
};
