/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is the same for every run of a task: its call, its codelet, its costs. Prepared once, so
 * that a new plan is made ready in little time.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdlib.h>

/* StarPU is told that data are nowhere, so that it moves none. One array serves all codelets. */
static void place_nowhere(struct starpu_codelet *codelet)
{
    static int nowhere[PLB__TOKENS_MAX];

    if (codelet->specific_nodes)
        return;
    for (int k = 0; k < PLB__TOKENS_MAX && nowhere[k] != STARPU_SPECIFIC_NODE_NONE; k++)
        nowhere[k] = STARPU_SPECIFIC_NODE_NONE;
    codelet->specific_nodes = 1;
    codelet->dyn_nodes = nowhere;
}

static enum plb_status prepare_job(struct plb_session *s, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(s->cut, id);
    struct plb__job *job = &s->job[id];
    struct plb_cost cost;

    if (task->op->once) { /* a transfer has no kernel */
        s->n_jobs++;
        return PLB_OK;
    }
    job->codelet = plb__runtime_codelet(task->op, s->managed);
    if (!job->codelet)
        return plb_fail(PLB_ERROR_INVALID, "operator '%s' is not in the table of operators",
                        task->op->name);
    if (!s->managed)
        place_nowhere(job->codelet);
    PLB_TRY(plb__invocation_prepare(s->cut, id, s->device->card != NULL, &job->invocation));
    s->n_jobs++;
    if (s->device->card)
        PLB_TRY(plb__card_prepare(s->device->card, s->cut, id, job));
    plb_task_get_cost(s->cut, task, &cost);
    job->flops = cost.flops;
    job->footprint = plb_task_footprint(s->cut, task);
    return PLB_OK;
}

static enum plb_status prepare_priorities(struct plb_session *s)
{
    int *priority = malloc(((size_t)s->n_jobs + 1) * sizeof *priority);
    enum plb_status status;

    if (!priority)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to rank %u tasks", s->n_jobs);
    status = plb__priorities_find(s->cut, priority);
    for (uint32_t k = 0; k < s->n_jobs && status == PLB_OK; k++)
        s->job[k].priority = priority[k];
    free(priority);
    return status;
}

enum plb_status plb__jobs_prepare(struct plb_session *s)
{
    uint32_t n = plb_graph_tasks(s->cut);

    s->job = calloc((size_t)n + 1, sizeof *s->job);
    if (!s->job)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to prepare %u tasks", n);
    if (!s->managed)
        place_nowhere(plb__runtime_batch_codelet());
    for (plb_task_id id = 0; id < n; id++)
        PLB_TRY(prepare_job(s, id));
    PLB_TRY(plb__kinds_find(s));
    return prepare_priorities(s);
}

void plb__calls_clear(struct plb_session *s)
{
    for (uint32_t k = 0; k < s->n_jobs; k++)
        plb__invocation_clear(&s->job[k].invocation);
    free(s->job);
    free(s->kind);
}
