/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same elements in another shape, dimension 0 (the rows) kept, so that a cell stays a cell.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/operators.h"

#include <string.h>

/* The shape wanted stands in the integer attributes, unused dimensions as zero. */
static struct plb_shape wanted_shape(const struct plb_attributes *attributes)
{
    struct plb_shape shape = {0, {0, 0, 0, 0}};

    while (shape.rank < PLB_RANK_MAX && attributes->i[shape.rank] != 0) {
        shape.dim[shape.rank] = attributes->i[shape.rank];
        shape.rank++;
    }
    return shape;
}

static enum plb_status reshape_shape(struct plb_task_types *types)
{
    struct plb_type wanted = {types->in[0].dtype, wanted_shape(types->attributes)};
    char from[96], to[96];

    if (wanted.shape.rank == 0 || wanted.shape.dim[0] != types->in[0].shape.dim[0] ||
        plb_shape_elements(&wanted.shape) != plb_shape_elements(&types->in[0].shape))
        return plb_fail(PLB_ERROR_INVALID,
                        "reshape: %s cannot become %s: rows and elements must stay the same",
                        plb_type_print(&types->in[0], from, sizeof from),
                        plb_type_print(&wanted, to, sizeof to));
    types->out[0] = wanted;
    return PLB_OK;
}

static void reshape_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 0.0;
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status reshape_gradient(struct plb_gradient *gradient)
{
    struct plb_shape shape = plb_graph_value(gradient->graph, gradient->in[0])->type.shape;

    if (!gradient->needs[0])
        return PLB_OK;
    gradient->d_in[0] = plb_reshape(gradient->graph, gradient->d_out[0], shape);
    return plb_graph_status(gradient->graph);
}

static enum plb_status reshape_cpu(const struct plb_call *call)
{
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    struct plb_type type = {y->dtype, y->shape};

    if (y->data != x->data)
        memcpy(y->data, x->data, plb_type_bytes(&type));
    return PLB_OK;
}

plb_value plb_reshape(plb_graph_t *g, plb_value x, struct plb_shape shape)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value y = PLB_NONE;

    for (int d = 0; d < shape.rank && d < PLB_RANK_MAX; d++)
        attributes.i[d] = shape.dim[d];
    plb_graph_add_task(g, &plb_op_reshape, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_reshape = {
    .name = "reshape",
    .attribute_i = {"dim0", "dim1", "dim2", "dim3"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = reshape_shape,
    .cost = reshape_cost,
    .gradient = reshape_gradient,
    .cpu = reshape_cpu,
};
