/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Held gradients and what they take over: see held.h.
 */
#include "config.h"

#include "schedulers/memory/common/held.h"

#include "runtime/plan/walk.h"

#include <stdlib.h>
#include <string.h>

static bool may_lie_there(const plb_graph_t *graph, plb_value in, plb_value out)
{
    const struct plb_value_info *from = plb_graph_value(graph, in);

    return from->producer != PLB_NONE && !from->output &&
           plb_graph_task(graph, from->producer)->phase == PLB_PHASE_BACKWARD &&
           plb_type_bytes(&from->type) == plb_type_bytes(&plb_graph_value(graph, out)->type);
}

/* Where all cells of output k are held and the task is the last reader of what the output takes
 * over, that lies in held storage too. */
static void hold_taken(const plb_graph_t *graph, const struct plb_task *task, int k,
                       const bool *read_later, bool *held)
{
    int from = task->op->out[k].shares - 1;
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];
    const plb_value *in, *out = &task->out[task->out_start[k]];

    if (from < 0 || task->in_start[from + 1] - task->in_start[from] != cells)
        return;
    in = &task->in[task->in_start[from]];
    for (uint32_t j = 0; j < cells; j++)
        if (!held[out[j]] || read_later[in[j]] || !may_lie_there(graph, in[j], out[j]))
            return;
    for (uint32_t j = 0; j < cells; j++)
        held[in[j]] = true;
}

enum plb_status plb__held_storage(const struct plb_problem *problem, bool *held_out)
{
    const plb_graph_t *graph = problem->graph;
    size_t values = (size_t)plb_graph_values(graph) + 1;
    bool *read_later;

    memset(held_out, 0, (values - 1) * sizeof *held_out);
    if (!problem->limits.hold_gradients)
        return PLB_OK;
    read_later = calloc(values, sizeof *read_later);
    if (!read_later)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to look at %zu values", values - 1);
    plb__held_values(graph, held_out);
    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (int k = 0; k < task->n_out && task->phase == PLB_PHASE_BACKWARD; k++)
            hold_taken(graph, task, k, read_later, held_out);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            read_later[task->in[j]] = true;
    }
    free(read_later);
    return PLB_OK;
}
