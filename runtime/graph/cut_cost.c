/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a part of a task takes: windows and modelled time.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"

#include <math.h>

void plb__cut_window(const struct plb_task *task, const struct plb_operand_spec *spec,
                     int64_t extent, int64_t *low, int64_t *high)
{
    int64_t granule = task->op->granule > 0 ? task->attributes.i[task->op->granule - 1] : 0;

    if (!(spec->flags & (PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE)))
        return;
    if (granule < 1) {
        *low = 0;
        *high = extent;
        return;
    }
    *low -= *low % granule;
    if (spec->flags & PLB_WINDOW_SEQUENCE && *high % granule != 0) {
        int64_t rest = granule - *high % granule;

        *high = rest < extent - *high ? *high + rest : extent;
    }
}

double plb__cut_seconds(const struct plb__cut *cut, const struct plb_task *task,
                        const int64_t low[PLB_AXES], const int64_t high[PLB_AXES])
{
    struct plb_task part = *task;
    struct plb_task_types types;
    struct plb_cost cost = {0, 0};

    for (int a = 0; a < PLB_AXES; a++) {
        part.low[a] = low[a];
        part.high[a] = high[a];
    }
    plb_task_get_types(cut->whole, &part, &types);
    /* The whole graph has no cells to tell what a window sees. */
    for (int k = 0; k < task->n_in; k++) {
        const struct plb_operand_spec *spec = &task->op->in[k];

        if (types.in[k].shape.rank > 0 && spec->rows != PLB_AXIS_NONE) {
            int64_t from = low[spec->rows - 1], to = high[spec->rows - 1];

            plb__cut_window(task, spec, task->high[spec->rows - 1], &from, &to);
            types.in[k].shape.dim[0] = to - from;
        }
    }
    task->op->cost(&types, &cost);
    return fmax(cost.flops / cut->options.flops_per_second,
                cost.bytes / cut->options.bytes_per_second);
}
