/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lineage by one sweep backwards over the tasks.
 *
 * A value has one producer, so the least set is unique: whatever is needed and not there needs its
 * producer, which needs its inputs. Tasks are kept in topological order, so when the sweep comes to
 * a task, all tasks that could ask for its outputs have spoken.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include "runtime/graph/lineage.h"

#include <inttypes.h>
#include <stdlib.h>

static bool makes_needed(const struct plb_task *task, const bool *needed)
{
    uint32_t n = task->out_start[task->n_out];

    for (uint32_t i = 0; i < n; i++) {
        if (needed[task->out[i]])
            return true;
    }
    return false;
}

/* Marks a value that is not there as needed. */
static enum plb_status need(const plb_graph_t *graph, plb_value value, const char *reader,
                            const bool *have, bool *needed)
{
    const struct plb_value_info *info = plb_graph_value(graph, value);

    if (have[value])
        return PLB_OK;
    if (info->producer == PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID, "%s is lost and no task makes it (%s%s)", info->name,
                        reader != NULL ? "needed by " : "wanted", reader != NULL ? reader : "");
    needed[value] = true;
    return PLB_OK;
}

static enum plb_status need_inputs(const plb_graph_t *graph, const struct plb_task *task,
                                   const bool *have, bool *needed)
{
    uint32_t n = task->in_start[task->n_in];

    for (uint32_t i = 0; i < n; i++)
        PLB_TRY(need(graph, task->in[i], task->name, have, needed));
    return PLB_OK;
}

static enum plb_status sweep(const plb_graph_t *graph, const plb_value *wanted, uint32_t n,
                             const bool *have, bool *needed)
{
    for (uint32_t i = 0; i < n; i++) {
        if (wanted[i] >= graph->values.n)
            return plb_fail(PLB_ERROR_INVALID, "lineage: the graph has no value %" PRIu32,
                            wanted[i]);
        PLB_TRY(need(graph, wanted[i], NULL, have, needed));
    }
    for (plb_task_id t = graph->tasks.n; t-- > 0;) {
        const struct plb_task *task = plb__graph_task(graph, t);

        if (makes_needed(task, needed))
            PLB_TRY(need_inputs(graph, task, have, needed));
    }
    return PLB_OK;
}

enum plb_status plb_lineage(const plb_graph_t *graph, const plb_value *wanted, uint32_t n,
                            const bool *have, bool *tasks_out, uint32_t *count_out)
{
    bool *needed = calloc((size_t)graph->values.n + 1, sizeof *needed);
    enum plb_status status;
    uint32_t count = 0;

    if (needed == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the lineage of %" PRIu32 " values",
                        graph->values.n);
    status = sweep(graph, wanted, n, have, needed);
    if (status == PLB_OK) {
        for (plb_task_id t = 0; t < graph->tasks.n; t++) {
            tasks_out[t] = makes_needed(plb__graph_task(graph, t), needed);
            count += tasks_out[t];
        }
        *count_out = count;
    }
    free(needed);
    return status;
}
