/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Priorities of tasks: the longest way from a task to the end of the step.
 *
 * Of two ready tasks that go first which keep the others waiting (the upward rank of Topcuoglu,
 * Hariri, Wu 2002, equation 12, with modelled times and free transfers). Policies of StarPU that
 * know priorities then put the gradient of inputs before that of weights by themselves. Results do
 * not depend on it.
 */
#include "config.h"

#include "runtime/run/run_internal.h"

#include <stdlib.h>

/* Priorities that every policy of StarPU takes. */
#define LEAST (-5)
#define MOST 5

static double modelled_seconds(const plb_graph_t *graph, const struct plb_task *task)
{
    struct plb_cost cost;
    double computing, moving;

    plb_task_get_cost(graph, task, &cost);
    computing = cost.flops / PLB_NOMINAL_FLOPS_PER_SECOND;
    moving = cost.bytes / PLB_NOMINAL_BYTES_PER_SECOND;
    return computing > moving ? computing : moving;
}

/* Seconds from the start of each task to the end of the step, by values: the greatest over the
 * tasks that read a value is known when its producer is reached, going backwards. */
static double find_ranks(const plb_graph_t *graph, double *of_task, double *of_value)
{
    double most = 0.0;

    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);
        double rest = 0.0;

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (of_value[task->out[j]] > rest)
                rest = of_value[task->out[j]];
        of_task[t] = rest + modelled_seconds(graph, task);
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            if (of_value[task->in[j]] < of_task[t])
                of_value[task->in[j]] = of_task[t];
        if (of_task[t] > most)
            most = of_task[t];
    }
    return most;
}

enum plb_status plb__priorities_find(const plb_graph_t *graph, int *priority_out)
{
    double *of_task = calloc((size_t)plb_graph_tasks(graph) + 1, sizeof *of_task);
    double *of_value = calloc((size_t)plb_graph_values(graph) + 1, sizeof *of_value);
    enum plb_status status = PLB_OK;
    double most;

    if (of_task && of_value) {
        most = find_ranks(graph, of_task, of_value);
        for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
            priority_out[t] =
                most > 0.0 ? LEAST + (int)((MOST - LEAST) * of_task[t] / most + 0.5) : 0;
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to rank %u tasks", plb_graph_tasks(graph));
    }
    free(of_task);
    free(of_value);
    return status;
}
