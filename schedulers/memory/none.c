/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "none": keep every value until its last reader has run.
 *
 * Tasks run once, in the order of the graph; a value is dropped right after its last use, and an
 * output takes over the storage of an input wherever the operator permits it and the input ends
 * there. This is the least memory without running a task twice or moving a value.
 */
#include "runtime/plan/policy.h"
#include "schedulers/schedulers.h"

#include <stdlib.h>

struct lives {
    const plb_graph_t *graph;
    plb_task_id *last_use; /* per value: the last task that reads or makes it */
    bool *kept;            /* per value: exists at the end of the step */
    plb_value *home;       /* per value: the initial value in whose storage it lies, or PLB_NONE */
};

static void find_last_uses(struct lives *lives)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(lives->graph); t++) {
        const struct plb_task *task = plb_graph_task(lives->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            lives->last_use[task->in[j]] = t;
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            lives->last_use[task->out[j]] = t;
    }
}

static void find_kept(struct lives *lives)
{
    for (plb_value v = 0; v < plb_graph_values(lives->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(lives->graph, v);

        lives->home[v] = PLB_NONE;
        lives->kept[v] |= info->output;
        if (info->producer != PLB_NONE)
            continue;
        lives->home[v] = v;
        lives->kept[info->next == PLB_NONE ? v : info->next] = true;
    }
}

/* May `out` be put where `in` lies, once task t has read it? The storage of an initial value is
 * only for a version that is carried into it, or on the way there. */
static bool may_take(const struct lives *lives, plb_task_id t, plb_value in, plb_value out)
{
    const struct plb_value_info *to = plb_graph_value(lives->graph, out);
    plb_value home = lives->home[in];

    if (lives->last_use[in] != t || lives->kept[in])
        return false;
    if (plb_type_bytes(&plb_graph_value(lives->graph, in)->type) != plb_type_bytes(&to->type))
        return false;
    return home == PLB_NONE ? true : plb_graph_value(lives->graph, home)->next == out;
}

static bool takes(struct lives *lives, plb_task_id t, const struct plb_task *task, int k)
{
    int from = task->op->out[k].shares - 1;
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];

    if (from < 0 || cells == 0 || task->in_start[from + 1] - task->in_start[from] != cells)
        return false;
    for (uint32_t j = 0; j < cells; j++)
        if (!may_take(lives, t, task->in[task->in_start[from] + j],
                      task->out[task->out_start[k] + j]))
            return false;
    for (uint32_t j = 0; j < cells; j++)
        lives->home[task->out[task->out_start[k] + j]] =
            lives->home[task->in[task->in_start[from] + j]];
    return true;
}

/* Two outputs may not take one input: the lowest wins; and a value listed twice stays. */
static bool is_taken_twice(const struct plb_task *task, int k, uint32_t taken)
{
    int from = task->op->out[k].shares - 1;

    for (int other = 0; other < k; other++)
        if ((taken & (1u << other)) && task->op->out[other].shares - 1 == from)
            return true;
    for (uint32_t a = task->in_start[from]; a < task->in_start[from + 1]; a++)
        for (uint32_t b = 0; b < task->in_start[task->n_in]; b++)
            if (b != a && task->in[b] == task->in[a])
                return true;
    return false;
}

static enum plb_status drop_dead(const struct lives *lives, plb_task_id t, const plb_value *values,
                                 uint32_t n, const bool *gone, struct plb_plan *plan)
{
    for (uint32_t j = 0; j < n; j++) {
        plb_value v = values[j];
        bool again = false;

        for (uint32_t i = 0; i < j; i++)
            again |= values[i] == v;
        if (again || gone[v] || lives->kept[v] || lives->last_use[v] != t ||
            lives->home[v] != PLB_NONE)
            continue;
        PLB_TRY(plb_plan_append(plan, (struct plb_instruction){PLB_DROP, v, 0, PLB_DEVICE}));
    }
    return PLB_OK;
}

static enum plb_status plan_task(struct lives *lives, plb_task_id t, bool *gone,
                                 struct plb_plan *plan)
{
    const struct plb_task *task = plb_graph_task(lives->graph, t);
    uint32_t taken = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;

        if (from < 0 || is_taken_twice(task, k, taken) || !takes(lives, t, task, k))
            continue;
        taken |= 1u << k;
        for (uint32_t j = task->in_start[from]; j < task->in_start[from + 1]; j++)
            gone[task->in[j]] = true;
    }
    PLB_TRY(plb_plan_append(plan, (struct plb_instruction){PLB_RUN, t, taken, PLB_DEVICE}));
    PLB_TRY(drop_dead(lives, t, task->in, task->in_start[task->n_in], gone, plan));
    return drop_dead(lives, t, task->out, task->out_start[task->n_out], gone, plan);
}

static enum plb_status plan_none(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    const plb_graph_t *graph = problem->graph;
    size_t n = plb_graph_values(graph) + 1;
    struct lives lives = {.graph = graph,
                          .last_use = calloc(n, sizeof *lives.last_use),
                          .kept = calloc(n, sizeof *lives.kept),
                          .home = calloc(n, sizeof *lives.home)};
    bool *gone = calloc(n, sizeof *gone);
    enum plb_status status = PLB_OK;

    if (!lives.last_use || !lives.kept || !lives.home || !gone) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to plan %zu values", n);
        goto free_lives;
    }
    find_last_uses(&lives);
    find_kept(&lives);
    for (plb_task_id t = 0; t < plb_graph_tasks(graph) && status == PLB_OK; t++)
        status = plan_task(&lives, t, gone, plan_out);
    plan_out->fingerprint = plb_graph_fingerprint(graph);
free_lives:
    free(lives.last_use);
    free(lives.kept);
    free(lives.home);
    free(gone);
    return status;
}

const struct plb_memory_policy plb_memory_none = {
    .name = "none",
    .help = "keep every value until its last use",
    .plan = plan_none,
};
