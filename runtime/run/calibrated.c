/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What StarPU has measured in earlier runs on this machine: where its performance models are
 * calibrated they give a first sample to each kind of task of which the table of costs knows
 * nothing.
 *
 * StarPU keeps a model once a scheduler that uses it (dmda, dmdas) or STARPU_CALIBRATE=1 has run
 * the task often enough (ten times), under the same footprint as the table's.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/run/run_internal.h"

#include <math.h>
#include <string.h>

#define PATH_BYTES 4096

/* The file of an operator's model, loaded apart from the one that StarPU goes on with. */
static bool load_model(const struct plb_operator *op, struct starpu_perfmodel *model)
{
    const struct starpu_codelet *codelet = plb__runtime_codelet(op, false);
    char path[PATH_BYTES] = "";

    if (!codelet)
        return false;
    starpu_perfmodel_get_model_path(codelet->model->symbol, path, sizeof path);
    if (!path[0])
        return false;
    memset(model, 0, sizeof *model);
    model->type = STARPU_HISTORY_BASED;
    return starpu_perfmodel_load_file(path, model) == 0;
}

static struct starpu_perfmodel_arch *find_arch(void)
{
    int worker = plb__runtime_first_worker();

    return worker < 0 ? NULL : starpu_worker_get_perf_archtype(worker, STARPU_NMAX_SCHED_CTXS);
}

/* Tasks of one operator, from task `t`, the first of them, on. */
static void record_operator(const plb_graph_t *graph, plb_task_id t, plb_costs_t *costs,
                            struct starpu_perfmodel *model, struct starpu_perfmodel_arch *arch)
{
    const struct plb_operator *op = plb_graph_task(graph, t)->op;

    for (; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);
        uint32_t footprint;
        double microseconds;

        if (task->op != op)
            continue;
        footprint = plb_task_footprint(graph, task);
        if (plb_costs_measured(costs, op->name, footprint) > 0)
            continue;
        microseconds = starpu_perfmodel_history_based_expected_perf(model, arch, footprint);
        if (!isnan(microseconds))
            plb_costs_record(costs, op->name, footprint, 1e-6 * microseconds);
    }
}

static plb_task_id find_first(const plb_graph_t *graph, const struct plb_operator *op)
{
    plb_task_id t = 0;

    while (t < plb_graph_tasks(graph) && plb_graph_task(graph, t)->op != op)
        t++;
    return t;
}

void plb__calibrated_record(const plb_graph_t *graph, plb_costs_t *costs)
{
    struct starpu_perfmodel_arch *arch = find_arch();
    const struct plb_operator *const *ops;
    struct starpu_perfmodel model;
    int n;

    ops = plb_operators(&n);
    for (int k = 0; arch && k < n; k++) {
        plb_task_id first = find_first(graph, ops[k]);

        if (first == plb_graph_tasks(graph) || !load_model(ops[k], &model))
            continue;
        record_operator(graph, first, costs, &model, arch);
        starpu_perfmodel_unload_model(&model);
    }
}
