/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clip_scale: from sums of squares to the factor that clips gradients to a global norm (Pascanu,
 * Mikolov, Bengio 2013, algorithm 1). A NaN or infinite norm is not hidden: it reaches the update.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/operators.h"

#include <math.h>

static enum plb_status shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_type(&plb_op_clip_scale, types, 0, PLB_F64, plb_shape1(1)));
    types->out[0] = types->out[1] = (struct plb_type){PLB_F32, plb_shape1(1)};
    return PLB_OK;
}

static void cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = (double)types->variadic + 2;
    cost_out->bytes = (double)types->variadic * sizeof(double) + 2 * sizeof(float);
}

static enum plb_status cpu(const struct plb_call *call)
{
    double limit = call->attributes->f[0], sum = 0, norm;

    for (int k = 0; k < call->in[0].n_parts; k++)
        sum += *(const double *)call->in[0].part[k].data;
    norm = sqrt(sum);
    *(float *)call->out[0].part[0].data =
        limit <= 0 || norm <= limit ? 1.0f : (float)(limit / norm);
    if (call->out[1].n_parts > 0)
        *(float *)call->out[1].part[0].data = (float)norm;
    return PLB_OK;
}

const struct plb_operator plb_op_clip_scale = {
    .name = "clip_scale",
    .attribute_f = {"limit"},
    .n_in = 1,
    .n_out = 2,
    .in = {{.name = "sums", .flags = PLB_VARIADIC}},
    .out = {{.name = "scale"}, {.name = "norm", .flags = PLB_OPTIONAL}},
    .shape = shape,
    .cost = cost,
    .cpu = cpu,
};

plb_value plb_clip_scale(plb_graph_t *g, const plb_value *sums, int n, double limit,
                         plb_value *norm_out)
{
    struct plb_attributes attributes = {{0}, {limit}};
    bool want[2] = {true, norm_out != NULL};
    plb_value out[2] = {PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_clip_scale, &attributes, sums, n, want, out);
    if (norm_out != NULL)
        *norm_out = out[1];
    return out[0];
}
