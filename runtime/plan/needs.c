/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a graph needs of memory, whatever the plan; and budgets as shares of it.
 */
#include "config.h"

#include "runtime/plan/arena.h"
#include "runtime/plan/writer.h"

#include <stdlib.h>
#include <string.h>

/* ---- activations and gradients: by the plan that keeps everything, laid out ---- */

static enum plb_status plan_kept(const plb_graph_t *graph, struct plb_plan *plan_out)
{
    struct plb_plan draft = {0};
    enum plb_status status = PLB_OK;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph) && status == PLB_OK; t++)
        status = plb_plan_append(&draft, (struct plb_instruction){PLB_RUN, t, 0, PLB_DEVICE});
    if (status == PLB_OK)
        status = plb_plan_finish(graph, &draft, plan_out);
    plb_plan_clear(&draft);
    plan_out->fingerprint = plb_graph_fingerprint(graph);
    return status;
}

static enum plb_status count_kept(const plb_graph_t *graph, struct plb_needs *needs)
{
    struct plb_limits limits = plb_limits_none();
    struct plb_plan plan = {0};
    struct plb__walk walk;
    size_t arena = 0;
    enum plb_status status = plan_kept(graph, &plan);

    limits.hold_gradients = true;
    if (status == PLB_OK)
        status = plb__walk(&plan, graph, &limits, &walk);
    if (status == PLB_OK) {
        status = plb__arena_least(&walk, plan.n, &arena);
        needs->initial = walk.initial_bytes;
        for (uint32_t k = 0; k < walk.n_slots; k++)
            if (walk.keeper[k] == k)
                needs->gradients += walk.slot[k].bytes;
        needs->activations = arena - needs->gradients;
        plb__walk_clear(&walk);
    }
    plb_plan_clear(&plan);
    return status;
}

/* ---- what crosses from the forward to the backward pass ---- */

static enum plb_status count_saved(const plb_graph_t *graph, struct plb_needs *needs)
{
    bool *counted = calloc((size_t)plb_graph_values(graph) + 1, sizeof *counted);

    if (!counted)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to count %u values", plb_graph_values(graph));
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        if (task->phase != PLB_PHASE_BACKWARD)
            continue;
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            const struct plb_value_info *info = plb_graph_value(graph, task->in[j]);

            if (counted[task->in[j]] || info->producer == PLB_NONE ||
                plb_graph_task(graph, info->producer)->phase != PLB_PHASE_FORWARD)
                continue;
            counted[task->in[j]] = true;
            needs->saved += plb_type_bytes(&info->type);
        }
    }
    free(counted);
    return PLB_OK;
}

/* ---- the largest task ---- */

/* `held`: values that are not counted, or NULL. */
static size_t input_bytes(const plb_graph_t *graph, const struct plb_task *task, const bool *held)
{
    size_t bytes = 0;

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        const struct plb_value_info *info = plb_graph_value(graph, task->in[j]);
        bool again = (info->producer == PLB_NONE && info->home == PLB_DEVICE) ||
                     (held && held[task->in[j]]);

        for (uint32_t i = 0; i < j && !again; i++)
            again = task->in[i] == task->in[j];
        bytes += again ? 0 : plb_type_bytes(&info->type);
    }
    return bytes;
}

/* Could output k lie where an input does? Then it may need no bytes of its own. */
static bool may_take_over(const plb_graph_t *graph, const struct plb_task *task, int k)
{
    int from = task->op->out[k].shares - 1;
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];

    if (from < 0 || task->in_start[from + 1] - task->in_start[from] != cells)
        return false;
    for (uint32_t j = 0; j < cells; j++) {
        plb_value out = task->out[task->out_start[k] + j];
        const struct plb_value_info *in =
            plb_graph_value(graph, task->in[task->in_start[from] + j]);

        if (plb_type_bytes(&in->type) != plb_type_bytes(&plb_graph_value(graph, out)->type) ||
            (in->producer == PLB_NONE && in->home == PLB_DEVICE && in->next != out))
            return false;
    }
    return true;
}

static size_t task_bytes(const plb_graph_t *graph, const struct plb_task *task, const bool *held)
{
    size_t bytes = input_bytes(graph, task, held);

    for (int k = 0; k < task->n_out; k++) {
        if (may_take_over(graph, task, k))
            continue;
        for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++)
            if (!held || !held[task->out[j]])
                bytes += plb_type_bytes(&plb_graph_value(graph, task->out[j])->type);
    }
    return bytes;
}

static void find_largest(const plb_graph_t *graph, struct plb_needs *needs)
{
    needs->largest = PLB_NONE;
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        size_t bytes = task_bytes(graph, plb_graph_task(graph, t), NULL);

        if (needs->largest != PLB_NONE && bytes <= needs->largest_task)
            continue;
        needs->largest_task = bytes;
        needs->largest = t;
    }
}

/* What may lie in a gradient's storage: the gradient, and what an output that lies there could take
 * over. */
static void find_held(const plb_graph_t *graph, bool *held)
{
    plb__held_values(graph, held);
    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (int k = 0; k < task->n_out; k++) {
            if (!may_take_over(graph, task, k))
                continue;
            for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++)
                if (held[task->out[j]])
                    held[task->in[task->in_start[task->op->out[k].shares - 1] + j -
                                  task->out_start[k]]] = true;
        }
    }
}

/* ---- from outside ---- */

size_t plb__needs_beside_gradients(const plb_graph_t *graph)
{
    bool *held = malloc(((size_t)plb_graph_values(graph) + 1) * sizeof *held);
    size_t most = 0;

    if (!held)
        return 0;
    find_held(graph, held);
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        size_t bytes = task_bytes(graph, plb_graph_task(graph, t), held);

        most = bytes > most ? bytes : most;
    }
    free(held);
    return most;
}

enum plb_status plb_needs_find(const plb_graph_t *graph, struct plb_needs *needs_out)
{
    struct plb_needs needs = {0};

    PLB_TRY(count_kept(graph, &needs));
    PLB_TRY(count_saved(graph, &needs));
    find_largest(graph, &needs);
    *needs_out = needs;
    return PLB_OK;
}

size_t plb_budget_of_share(const struct plb_needs *needs, double share, size_t reserved)
{
    return needs->initial + needs->gradients + reserved +
           (size_t)(share * (double)needs->activations);
}
