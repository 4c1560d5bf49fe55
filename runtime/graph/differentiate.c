/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reverse-mode differentiation: one sweep forwards to find what depends on the wanted values, one
 * backwards from the loss that calls the operators' gradient rules and adds up contributions.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include "runtime/graph/differentiate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sweep {
    plb_graph_t *graph;
    uint32_t values;      /* of the graph before the sweep */
    plb_task_id tasks;    /* likewise */
    bool *depends;        /* by value: does it depend on a wanted one? */
    plb_value *d;         /* by value: its gradient so far */
    plb_value *in, *d_in; /* operands of the task being visited, by entry */
    bool *needs;          /* likewise */
    uint32_t entries;     /* room in these three */
};

static void sweep_free(struct sweep *sweep)
{
    free(sweep->depends);
    free(sweep->d);
    free(sweep->in);
    free(sweep->d_in);
    free(sweep->needs);
}

/* Entries of a task's inputs: one per operand, a variadic last one goes on with one per value. */
static uint32_t entries_of(const struct plb_task *task)
{
    uint32_t last;

    if (task->n_in == 0 || !(task->op->in[task->n_in - 1].flags & PLB_VARIADIC))
        return (uint32_t)task->n_in;
    last = task->in_start[task->n_in] - task->in_start[task->n_in - 1];
    return (uint32_t)task->n_in - 1 + last;
}

static enum plb_status sweep_allocate(struct sweep *sweep)
{
    size_t values = (size_t)sweep->values + 1, entries;

    for (plb_task_id t = 0; t < sweep->tasks; t++) {
        uint32_t n = entries_of(plb__graph_task(sweep->graph, t));

        sweep->entries = n > sweep->entries ? n : sweep->entries;
    }
    entries = (size_t)sweep->entries + 1;
    sweep->depends = calloc(values, sizeof *sweep->depends);
    sweep->d = malloc(values * sizeof *sweep->d);
    sweep->in = malloc(entries * sizeof *sweep->in);
    sweep->d_in = malloc(entries * sizeof *sweep->d_in);
    sweep->needs = malloc(entries * sizeof *sweep->needs);
    if (sweep->depends == NULL || sweep->d == NULL || sweep->in == NULL || sweep->d_in == NULL ||
        sweep->needs == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to differentiate %" PRIu32 " tasks",
                        sweep->tasks);
    for (uint32_t v = 0; v < sweep->values; v++)
        sweep->d[v] = PLB_NONE;
    return PLB_OK;
}

/* Marks what depends on a wanted value through tasks that gradients flow through. */
static void mark_dependents(struct sweep *sweep, const plb_value *wanted, int n)
{
    for (int k = 0; k < n; k++)
        sweep->depends[wanted[k]] = true;
    for (plb_task_id t = 0; t < sweep->tasks; t++) {
        const struct plb_task *task = plb__graph_task(sweep->graph, t);
        bool depends = false;

        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++)
            depends = depends || sweep->depends[task->in[i]];
        if (!depends || task->op->gradient == NULL)
            continue;
        for (uint32_t i = 0; i < task->out_start[task->n_out]; i++)
            sweep->depends[task->out[i]] = true;
    }
}

/* --- one task --------------------------------------------------------------------------------- */

/* Tasks added from now on belong to the block and scope of `task`, and to it. */
static void follow(plb_graph_t *graph, const struct plb_task *task)
{
    const char *slash = strrchr(task->name, '/');
    int length = slash != NULL ? (int)(slash - task->name) : 0;

    plb_graph_set_block(graph, task->block);
    plb_graph_set_micro_batch(graph, task->micro_batch);
    plb_graph_set_shard(graph, task->shard);
    graph->forward = task->forward;
    snprintf(graph->scope, sizeof graph->scope, "%.*s", length, task->name);
}

/* Calls a value that a task from `first` on made "d(name)". */
static void name_gradient(plb_graph_t *graph, plb_value gradient, plb_value of, plb_task_id first)
{
    char name[PLB__NAME_MAX + 4];
    plb_task_id producer = plb_graph_value(graph, gradient)->producer;

    if (producer == PLB_NONE || producer < first)
        return;
    snprintf(name, sizeof name, "d(%.*s)", PLB__NAME_MAX - 3, plb_graph_value(graph, of)->name);
    plb_graph_set_name(graph, gradient, name);
}

static enum plb_status contribution_check(const struct sweep *sweep, const struct plb_task *task,
                                          plb_value of, plb_value gradient)
{
    const struct plb_value_info *value = plb_graph_value(sweep->graph, of);
    const struct plb_value_info *made = plb_graph_value(sweep->graph, gradient);
    char a[PLB__TYPE_TEXT], b[PLB__TYPE_TEXT];

    if (plb_shape_equal(&made->type.shape, &value->type.shape) &&
        (made->type.dtype == value->type.dtype || made->type.dtype == PLB_F32))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INTERNAL, "%s: the gradient of %s, %s, came as %s", task->op->name,
                    value->name, plb_type_print(&value->type, a, sizeof a),
                    plb_type_print(&made->type, b, sizeof b));
}

/* Adds a contribution to the gradient of a value, where that was made. */
static enum plb_status contribute(struct sweep *sweep, plb_value of, plb_value gradient,
                                  plb_task_id first)
{
    plb_value pair[2] = {sweep->d[of], gradient};
    const struct plb_operator *add;

    if (pair[0] == PLB_NONE) {
        sweep->d[of] = gradient;
    } else {
        plb_task_id maker = plb_graph_value(sweep->graph, of)->producer;

        add = plb_operator_find("add");
        if (add == NULL)
            return plb_fail(PLB_ERROR_INTERNAL, "there is no operator add");
        if (maker != PLB_NONE)
            plb_graph_set_shard(sweep->graph, plb__graph_task(sweep->graph, maker)->shard);
        PLB_TRY(plb_graph_add_task(sweep->graph, add, NULL, pair, 2, NULL, &sweep->d[of]));
    }
    name_gradient(sweep->graph, sweep->d[of], of, first);
    return plb_graph_status(sweep->graph);
}

/* Fills the entries of the task's operands; false when no gradient comes or none is needed. */
static bool operands_collect(struct sweep *sweep, const struct plb_task *task, plb_value *out,
                             plb_value *d_out)
{
    uint32_t n = entries_of(task);
    bool comes = false, needed = false;

    for (int k = 0; k < task->n_out; k++) {
        bool made = task->out_start[k + 1] > task->out_start[k];

        out[k] = made ? task->out[task->out_start[k]] : PLB_NONE;
        d_out[k] = made ? sweep->d[out[k]] : PLB_NONE;
        comes = comes || d_out[k] != PLB_NONE;
    }
    for (uint32_t e = 0; e < n; e++) {
        uint32_t k = e < (uint32_t)task->n_in ? e : (uint32_t)task->n_in - 1;
        bool present = task->in_start[k + 1] > task->in_start[k];

        sweep->in[e] = present ? task->in[task->in_start[k] + (e - k)] : PLB_NONE;
        sweep->needs[e] = present && sweep->depends[sweep->in[e]];
        sweep->d_in[e] = PLB_NONE;
        needed = needed || sweep->needs[e];
    }
    return comes && needed;
}

static enum plb_status visit(struct sweep *sweep, plb_task_id t)
{
    const struct plb_task *task = plb__graph_task(sweep->graph, t);
    plb_value out[PLB_OPERANDS_MAX], d_out[PLB_OPERANDS_MAX];
    struct plb_gradient gradient = {.graph = sweep->graph,
                                    .task = task,
                                    .in = sweep->in,
                                    .out = out,
                                    .d_out = d_out,
                                    .needs = sweep->needs,
                                    .d_in = sweep->d_in};
    plb_task_id first = plb_graph_tasks(sweep->graph);
    uint32_t n = entries_of(task);

    if (task->op->gradient == NULL || !operands_collect(sweep, task, out, d_out))
        return PLB_OK;
    follow(sweep->graph, task);
    PLB_TRY(task->op->gradient(&gradient));
    PLB_TRY(plb_graph_status(sweep->graph));
    for (uint32_t e = 0; e < n; e++) {
        if (!sweep->needs[e] || sweep->d_in[e] == PLB_NONE)
            continue;
        PLB_TRY(contribution_check(sweep, task, sweep->in[e], sweep->d_in[e]));
        PLB_TRY(contribute(sweep, sweep->in[e], sweep->d_in[e], first));
    }
    return PLB_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum plb_status arguments_check(const plb_graph_t *graph, plb_value loss,
                                       const plb_value *wanted, int n)
{
    const struct plb_value_info *info = plb_graph_value(graph, loss);
    char text[PLB__TYPE_TEXT];

    if (graph->kind == PLB__KIND_CELLS)
        return plb_fail(PLB_ERROR_INVALID, "a cut graph cannot be differentiated: do it before");
    if (info->producer == PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID, "the loss is not made by a task");
    if (info->type.dtype != PLB_F32 || info->type.shape.rank != 1 || info->type.shape.dim[0] != 1)
        return plb_fail(PLB_ERROR_INVALID, "the loss %s is %s, not f32[1]", info->name,
                        plb_type_print(&info->type, text, sizeof text));
    for (int k = 0; k < n; k++) {
        if (wanted[k] >= graph->values.n)
            return plb_fail(PLB_ERROR_INVALID,
                            "gradient %d is wanted of value %" PRIu32 ", the graph has %" PRIu32, k,
                            wanted[k], graph->values.n);
    }
    return PLB_OK;
}

/* d loss / d loss = 1. */
static enum plb_status seed(struct sweep *sweep, plb_value loss)
{
    const struct plb_operator *fill = plb_operator_find("fill");
    const struct plb_attributes one = {.f = {1.0}};
    plb_task_id first = plb_graph_tasks(sweep->graph);

    if (fill == NULL)
        return plb_fail(PLB_ERROR_INTERNAL, "there is no operator fill");
    follow(sweep->graph,
           plb__graph_task(sweep->graph, plb_graph_value(sweep->graph, loss)->producer));
    PLB_TRY(plb_graph_add_task(sweep->graph, fill, &one, NULL, 0, NULL, &sweep->d[loss]));
    name_gradient(sweep->graph, sweep->d[loss], loss, first);
    return plb_graph_status(sweep->graph);
}

static enum plb_status differentiate(struct sweep *sweep, plb_value loss, const plb_value *wanted,
                                     int n)
{
    PLB_TRY(arguments_check(sweep->graph, loss, wanted, n));
    PLB_TRY(sweep_allocate(sweep));
    mark_dependents(sweep, wanted, n);
    if (!sweep->depends[loss])
        return PLB_OK;
    PLB_TRY(seed(sweep, loss));
    for (plb_task_id t = sweep->tasks; t-- > 0;)
        PLB_TRY(visit(sweep, t));
    return PLB_OK;
}

enum plb_status plb_graph_differentiate(plb_graph_t *graph, plb_value loss, const plb_value *wanted,
                                        int n, plb_value *gradients_out)
{
    struct sweep sweep = {.graph = graph, .values = graph->values.n, .tasks = graph->tasks.n};
    enum plb_phase phase = graph->phase;
    int block = graph->block, micro_batch = graph->micro_batch, shard = graph->shard;
    char scope[sizeof graph->scope];
    enum plb_status status = plb_graph_status(graph);

    if (status != PLB_OK)
        return status;
    memcpy(scope, graph->scope, sizeof scope);
    graph->phase = PLB_PHASE_BACKWARD;
    status = plb_graph_fail(graph, differentiate(&sweep, loss, wanted, n));
    for (int k = 0; status == PLB_OK && k < n; k++)
        gradients_out[k] = sweep.d[wanted[k]];
    graph->phase = phase;
    graph->block = block;
    graph->micro_batch = micro_batch;
    graph->shard = shard;
    graph->forward = PLB_NONE;
    memcpy(graph->scope, scope, sizeof scope);
    sweep_free(&sweep);
    return status;
}
