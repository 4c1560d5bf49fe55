/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y = a + b, element-wise. (The sum of many values is codelets/sum.)
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

static enum plb_status add_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_real(&plb_op_add, types, 0));
    PLB_TRY(plb__check_same(&plb_op_add, types, 1, 0));
    types->out[0] = types->in[0];
    return PLB_OK;
}

static void add_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status add_gradient(struct plb_gradient *gradient)
{
    for (int k = 0; k < 2; k++) {
        if (gradient->needs[k])
            gradient->d_in[k] = gradient->d_out[0];
    }
    return PLB_OK;
}

PLB_KERNEL_CLONES static void add(float *y, const float *a, const float *b, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void add_leaf(float *y, const float *const x[2], int64_t n, const struct plb_attributes *a)
{
    (void)a;
    add(y, x[0], x[1], n);
}

static enum plb_status add_cpu(const struct plb_call *call)
{
    return plb__map(call, 2, add_leaf);
}

plb_value plb_add(plb_graph_t *g, plb_value a, plb_value b)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value in[] = {a, b}, y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_add, &attributes, in, 2, NULL, &y);
    return y;
}

const struct plb_operator plb_op_add = {
    .name = "add",
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "a", .rows = PLB_AXIS_A}, {.name = "b", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = add_shape,
    .cost = add_cost,
    .gradient = add_gradient,
    .cpu = add_cpu,
};
