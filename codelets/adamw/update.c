/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shape rule and cost of the parameter updates.
 */
#include "config.h"

#include "codelets/adamw/update.h"
#include "codelets/common/check.h"

enum plb_status plb__update_check_attribute(const struct plb_operator *op,
                                            const struct plb_task_types *types, int i, double end)
{
    double value = types->attributes->f[i];

    if (value >= 0 && value < end)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must be at least 0 and below %g, but is %g",
                    op->name, op->attribute_f[i], end, value);
}

enum plb_status plb__update_shape(const struct plb_operator *op, struct plb_task_types *types,
                                  int moments)
{
    int hyper = 2 + moments, scale = hyper + 1, working = hyper + 2;
    struct plb_shape shape = types->in[0].shape;

    PLB_TRY(plb__check_dtype(op, types, 0, PLB_F32));
    for (int k = 1; k < hyper; k++)
        PLB_TRY(plb__check_same(op, types, k, 0));
    PLB_TRY(plb__check_type(op, types, hyper, PLB_F32, plb_shape1(PLB__HYPER)));
    if (types->in[scale].shape.rank > 0)
        PLB_TRY(plb__check_type(op, types, scale, PLB_F32, plb_shape1(1)));
    if (types->in[working].shape.rank > 0)
        PLB_TRY(plb__check_type(op, types, working, PLB_BF16, shape));
    for (int k = 0; k <= moments; k++)
        types->out[k] = types->in[0];
    types->out[moments + 1] = types->in[working];
    return PLB_OK;
}

void plb__update_cost(const struct plb_task_types *types, int moments, double flops,
                      struct plb_cost *cost_out)
{
    cost_out->flops = flops * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types) - (double)plb_type_bytes(&types->in[moments + 4]);
}

float plb__update_scale(const struct plb_call *call, int k)
{
    return call->in[k].n_parts > 0 ? *(const float *)call->in[k].part[0].data : 1.0f;
}
