/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A walk from the last RUN to the first: see levels.h.
 */
#include "config.h"

#include "schedulers/memory/chain/levels.h"

/* Bytes of inputs that end at the RUN and whose storage its outputs take over. */
static size_t taken_over(const plb_graph_t *graph, const struct plb__sizes *sizes,
                         const struct plb_task *task, const uint32_t *wanted_from, uint32_t i)
{
    size_t taken = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;
        uint32_t cells = task->out_start[k + 1] - task->out_start[k];

        if (from < 0 || task->in_start[from + 1] - task->in_start[from] != cells)
            continue;
        for (uint32_t j = 0; j < cells; j++) {
            plb_value in = task->in[task->in_start[from] + j];
            plb_value out = task->out[task->out_start[k] + j];
            bool replaces = plb_graph_value(graph, in)->next == out; /* an initial value */

            if (replaces || (wanted_from[in] == i && !sizes->free[in] &&
                             sizes->bytes[in] == sizes->bytes[out]))
                taken += sizes->free[out] ? 0 : sizes->bytes[out];
        }
    }
    return taken;
}

/* From last to first: a value is wanted from its last use (entry of `wanted_from`) up to where it is
 * made. */
void plb__levels_measure(const plb_graph_t *graph, const struct plb__sizes *sizes,
                         const plb_task_id *run, uint32_t n, uint32_t *wanted_from, size_t *level)
{
    size_t alive = 0;

    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        bool stays = plb_graph_value(graph, v)->output;

        wanted_from[v] = stays ? n : PLB_NONE;
        alive += stays && !sizes->free[v] ? sizes->bytes[v] : 0;
    }
    for (uint32_t i = n; i-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, run[i]);
        size_t made = 0;

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
            plb_value v = task->out[j];

            if (sizes->free[v])
                continue;
            made += sizes->bytes[v];
            alive -= wanted_from[v] != PLB_NONE ? sizes->bytes[v] : 0;
            wanted_from[v] = PLB_NONE;
        }
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value v = task->in[j];

            if (sizes->free[v] || wanted_from[v] != PLB_NONE)
                continue;
            alive += sizes->bytes[v];
            wanted_from[v] = i;
        }
        level[i] = alive + made - taken_over(graph, sizes, task, wanted_from, i);
    }
}
