/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks, scratch and the walk over rows that the norms and their gradients share.
 */
#include "config.h"

#include "codelets/norm/norm.h"
#include "codelets/common/elements.h"

enum plb_status plb__check_epsilon(const struct plb_operator *op,
                                   const struct plb_task_types *types)
{
    double epsilon = types->attributes->f[0];

    if (epsilon > 0.0 && epsilon < (double)INFINITY)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: eps must be a positive number, but is %g", op->name,
                    epsilon);
}

size_t plb__norm_scratch(const struct plb_task_types *types)
{
    return PLB__NORM_ROWS * (size_t)types->in[0].shape.dim[1] * sizeof(float);
}

void plb__norm_walk(const struct plb_call *call, float *buffer, plb__norm_visit *visit,
                    void *context)
{
    int64_t columns = call->in[0].whole.dim[1];
    struct plb__norm_row row = {.columns = columns};
    int cell[4] = {0, 0, 0, 0};

    for (int64_t r = call->low[0]; r < call->high[0]; r++) {
        const struct plb_tensor *part[4];

        for (int k = 0; k < call->n_in; k++) {
            cell[k] = plb__cell_of_row(&call->in[k], r, cell[k]);
            part[k] = &call->in[k].part[cell[k]];
        }
        row.dy = plb__read(part[0], (r - part[0]->row0) * columns, columns, buffer);
        row.x = plb__read(part[1], (r - part[1]->row0) * columns, columns, buffer + columns);
        for (int k = 2; k < call->n_in; k++)
            row.statistic[k - 2] = ((const float *)part[k]->data)[r - part[k]->row0];
        visit(&row, context);
    }
}
