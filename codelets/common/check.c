/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of shape rules, and the bytes of a task.
 */
#include "config.h"

#include "codelets/common/check.h"

#include <inttypes.h>

enum { TYPE_TEXT = 96 };

enum plb_status plb__check_rank(const struct plb_operator *op, const struct plb_task_types *types,
                                int k, int rank)
{
    char came[TYPE_TEXT];

    if (types->in[k].shape.rank == rank)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must have rank %d, but is %s", op->name,
                    op->in[k].name, rank, plb_type_print(&types->in[k], came, sizeof came));
}

enum plb_status plb__check_dtype(const struct plb_operator *op, const struct plb_task_types *types,
                                 int k, enum plb_dtype dtype)
{
    char came[TYPE_TEXT];

    if (types->in[k].dtype == dtype)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must be of %s, but is %s", op->name, op->in[k].name,
                    plb_dtype_name(dtype), plb_type_print(&types->in[k], came, sizeof came));
}

enum plb_status plb__check_real(const struct plb_operator *op, const struct plb_task_types *types,
                                int k)
{
    char came[TYPE_TEXT];

    if (types->in[k].dtype == PLB_F32 || types->in[k].dtype == PLB_BF16)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must be of f32 or bf16, but is %s", op->name,
                    op->in[k].name, plb_type_print(&types->in[k], came, sizeof came));
}

enum plb_status plb__check_type(const struct plb_operator *op, const struct plb_task_types *types,
                                int k, enum plb_dtype dtype, struct plb_shape shape)
{
    struct plb_type wanted = {dtype, shape};
    char expected[TYPE_TEXT], came[TYPE_TEXT];

    if (types->in[k].dtype == dtype && plb_shape_equal(&types->in[k].shape, &shape))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must be %s, but is %s", op->name, op->in[k].name,
                    plb_type_print(&wanted, expected, sizeof expected),
                    plb_type_print(&types->in[k], came, sizeof came));
}

enum plb_status plb__check_same(const struct plb_operator *op, const struct plb_task_types *types,
                                int k, int j)
{
    char expected[TYPE_TEXT], came[TYPE_TEXT];

    if (types->in[k].dtype == types->in[j].dtype &&
        plb_shape_equal(&types->in[k].shape, &types->in[j].shape))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must be %s like %s, but is %s", op->name,
                    op->in[k].name, plb_type_print(&types->in[j], expected, sizeof expected),
                    op->in[j].name, plb_type_print(&types->in[k], came, sizeof came));
}

enum plb_status plb__check_attribute(const struct plb_operator *op,
                                     const struct plb_task_types *types, int i, int64_t low)
{
    if (types->attributes->i[i] >= low)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: %s must be at least %" PRId64 ", but is %" PRId64,
                    op->name, op->attribute_i[i], low, types->attributes->i[i]);
}

double plb__bytes_once(const struct plb_task_types *types)
{
    double bytes = 0.0;

    for (int k = 0; k < types->n_in; k++)
        bytes += (double)plb_type_bytes(&types->in[k]);
    for (int k = 0; k < types->n_out; k++)
        bytes += (double)plb_type_bytes(&types->out[k]);
    return bytes;
}

double plb__elements_out(const struct plb_task_types *types, int k)
{
    return types->out[k].shape.rank == 0 ? 0.0 : (double)plb_shape_elements(&types->out[k].shape);
}
