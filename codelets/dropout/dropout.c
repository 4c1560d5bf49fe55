/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dropout (Srivastava et al. 2014, section 4, with the scaling done in training): each element
 * becomes zero with probability p, the others are multiplied by 1 / (1 - p). The mask is made again
 * wherever it is needed (codelets/common/mask.h), so the gradient is the same operator on dy.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/mask.h"
#include "codelets/common/operators.h"

enum { SEED, STREAM }; /* indices of the integer attributes */

static enum plb_status dropout_shape(struct plb_task_types *types)
{
    double p = types->attributes->f[0];

    PLB_TRY(plb__check_real(&plb_op_dropout, types, 0));
    if (!(p >= 0.0 && p < 1.0))
        return plb_fail(PLB_ERROR_INVALID, "dropout: p must be at least 0 and below 1, but is %g",
                        p);
    types->out[0] = types->in[0];
    return PLB_OK;
}

/* A counter of the generator costs about 80 operations and serves four elements. */
static void dropout_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 20.0 * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status dropout_gradient(struct plb_gradient *gradient)
{
    if (!gradient->needs[0])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_dropout, &gradient->task->attributes,
                              &gradient->d_out[0], 1, NULL, &gradient->d_in[0]);
}

static enum plb_status dropout_cpu(const struct plb_call *call)
{
    const struct plb_attributes *a = call->attributes;
    const struct plb_tensor *x = &call->in[0].part[0], *y = &call->out[0].part[0];
    struct plb__mask mask =
        plb__mask_of((uint64_t)a->i[SEED], (uint64_t)a->i[STREAM], call->step, a->f[0]);
    uint64_t first = (uint64_t)(call->low[0] * plb_shape_row_elements(&y->shape));
    int64_t elements = plb_shape_elements(&y->shape);
    float buffer[PLB_CHUNK];

    for (int64_t at = 0; at < elements; at += PLB_CHUNK) {
        int64_t n = elements - at < PLB_CHUNK ? elements - at : PLB_CHUNK;
        const float *from = plb__read(x, at, n, buffer);

        plb__mask_apply(&mask, plb__write(y, at, buffer), from, first + (uint64_t)at, n);
        plb__written(y, at, n, buffer);
    }
    return PLB_OK;
}

plb_value plb_dropout(plb_graph_t *g, plb_value x, double p, uint64_t seed, uint64_t stream)
{
    struct plb_attributes attributes = {{(int64_t)seed, (int64_t)stream}, {p}};
    plb_value y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_dropout, &attributes, &x, 1, NULL, &y);
    return y;
}

const struct plb_operator plb_op_dropout = {
    .name = "dropout",
    .attribute_i = {"seed", "stream"},
    .attribute_f = {"p"},
    .step_attribute = 1,
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = dropout_shape,
    .cost = dropout_cost,
    .gradient = dropout_gradient,
    .cpu = dropout_cpu,
};
