/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sum: y = x_0 + x_1 + ... element by element, in that order, in fp32 (f64 for f64 values). The
 * nodes of the trees that add partial results are tasks of this operator.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { DTYPE = 0 }; /* integer attribute */

/* sum may be a or b. */
PLB_KERNEL_CLONES static void add(float *sum, const float *a, const float *b, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        sum[i] = a[i] + b[i];
}

static enum plb_status shape(struct plb_task_types *types)
{
    int64_t dtype = types->attributes->i[DTYPE];

    if (types->in[0].dtype == PLB_F64 && dtype == PLB_F64) {
        types->out[0] = types->in[0];
        return PLB_OK;
    }
    PLB_TRY(plb__check_real(&plb_op_sum, types, 0));
    if (dtype != PLB_F32 && dtype != PLB_BF16)
        return plb_fail(PLB_ERROR_INVALID, "sum: dtype must be f32 or bf16 for x of %s, but is %s",
                        plb_dtype_name(types->in[0].dtype),
                        dtype >= 0 && dtype < PLB_DTYPES ? plb_dtype_name((enum plb_dtype)dtype)
                                                         : "no dtype");
    types->out[0] = (struct plb_type){(enum plb_dtype)dtype, types->in[0].shape};
    return PLB_OK;
}

static void cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (types->variadic - 1) * plb__elements_out(types, 0);
    cost_out->bytes = types->variadic * (double)plb_type_bytes(&types->in[0]) +
                      (double)plb_type_bytes(&types->out[0]);
}

/* d x_k = dy for every k, in the dtype of x. */
static enum plb_status gradient(struct plb_gradient *g)
{
    const struct plb_task *task = g->task;
    enum plb_dtype dtype = plb_graph_value(g->graph, g->in[0])->type.dtype;
    plb_value dx = g->d_out[0];

    if (dx == PLB_NONE)
        return PLB_OK;
    if (plb_graph_value(g->graph, dx)->type.dtype != dtype)
        dx = plb_cast(g->graph, dx, dtype);
    for (uint32_t k = 0; k < task->in_start[task->n_in]; k++)
        g->d_in[k] = g->needs[k] ? dx : PLB_NONE;
    return plb_graph_status(g->graph);
}

static void add_doubles(const struct plb_call *call, int64_t elements)
{
    double *y = call->out[0].part[0].data;

    for (int64_t i = 0; i < elements; i++) {
        double sum = ((const double *)call->in[0].part[0].data)[i];

        for (int k = 1; k < call->in[0].n_parts; k++)
            sum += ((const double *)call->in[0].part[k].data)[i];
        y[i] = sum;
    }
}

static enum plb_status cpu(const struct plb_call *call)
{
    float sum[PLB_CHUNK], buffer[PLB_CHUNK];
    const struct plb_operand *x = &call->in[0];
    const struct plb_tensor *y = &call->out[0].part[0];
    int64_t elements = plb_shape_elements(&y->shape);

    if (y->dtype == PLB_F64) {
        add_doubles(call, elements);
        return PLB_OK;
    }
    for (int64_t at = 0; at < elements; at += PLB_CHUNK) {
        int64_t n = elements - at < PLB_CHUNK ? elements - at : PLB_CHUNK;
        const float *so_far = plb__read(&x->part[0], at, n, sum);

        for (int k = 1; k < x->n_parts; k++) {
            add(sum, so_far, plb__read(&x->part[k], at, n, buffer), n);
            so_far = sum;
        }
        plb__store(y, at, so_far, n);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_sum = {
    .name = "sum",
    .attribute_i = {"dtype"},
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_VARIADIC}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = shape,
    .cost = cost,
    .gradient = gradient,
    .cpu = cpu,
};

plb_value plb_sum(plb_graph_t *g, const plb_value *x, int n, enum plb_dtype dtype)
{
    struct plb_attributes attributes = {{(int64_t)dtype}, {0}};
    plb_value out[1] = {PLB_NONE};

    plb_graph_add_task(g, &plb_op_sum, &attributes, x, n, NULL, out);
    return out[0];
}
