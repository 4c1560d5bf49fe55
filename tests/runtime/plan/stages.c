/* SPDX-License-Identifier: BSD-3-Clause */
/* Stages by blocks: see stages.h. */
#include "config.h"

#include "tests/runtime/plan/stages.h"

#include <stdlib.h>
#include <string.h>

static int count_blocks(const plb_graph_t *graph)
{
    int most = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        if (plb_graph_task(graph, t)->block >= most)
            most = plb_graph_task(graph, t)->block + 1;
    return most > 0 ? most : 1;
}

/* What belongs to no block is where the latest of what it reads is made, if it is of the forward
 * pass, and where the first of it is made otherwise. */
static uint32_t stage_by_inputs(const plb_graph_t *graph, const struct plb_task *task,
                                const uint32_t *stage)
{
    bool forward = task->phase == PLB_PHASE_FORWARD;
    uint32_t found = PLB_NONE;

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_task_id producer = plb_graph_value(graph, task->in[j])->producer;

        if (producer == PLB_NONE)
            continue;
        if (found == PLB_NONE || (forward && stage[producer] > found))
            found = stage[producer];
    }
    return found == PLB_NONE ? 0 : found;
}

static void find_stages(const plb_graph_t *graph, uint32_t n_places, uint32_t *stage,
                        uint32_t *of_forward, plb_task_id n_forward)
{
    int blocks = count_blocks(graph);

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);
        bool known = task->forward != PLB_NONE && task->forward < n_forward;

        if (task->phase != PLB_PHASE_FORWARD && known && of_forward[task->forward] != PLB_NONE)
            stage[t] = of_forward[task->forward];
        else if (task->block >= 0)
            stage[t] = (uint32_t)task->block * n_places / (uint32_t)blocks;
        else
            stage[t] = stage_by_inputs(graph, task, stage);
        if (task->phase == PLB_PHASE_FORWARD && known)
            of_forward[task->forward] = stage[t];
    }
}

static plb_task_id count_forward(const plb_graph_t *graph)
{
    plb_task_id most = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        plb_task_id forward = plb_graph_task(graph, t)->forward;

        if (forward != PLB_NONE && forward >= most)
            most = forward + 1;
    }
    return most;
}

static void list_tasks(const plb_graph_t *graph, const uint32_t *stage, struct plb_hybrid *hybrid)
{
    uint32_t n = 0;

    for (uint32_t p = 0; p < hybrid->n_places; p++) {
        hybrid->in_place[p] = n;
        for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
            if (stage[t] == p)
                hybrid->run[n++] = t;
    }
    hybrid->in_place[hybrid->n_places] = n;
}

enum plb_status stages_make(const plb_graph_t *graph, uint32_t n_places,
                            struct plb_hybrid *hybrid_out)
{
    struct plb_hybrid hybrid = {
        .policy = "stages", .fingerprint = plb_graph_fingerprint(graph), .n_places = n_places};
    size_t tasks = (size_t)plb_graph_tasks(graph) + 1, forwards = (size_t)count_forward(graph) + 1;
    uint32_t *stage = malloc(tasks * sizeof *stage);
    uint32_t *of_forward = malloc(forwards * sizeof *of_forward);
    enum plb_status status = PLB_OK;

    hybrid.in_place = malloc(((size_t)n_places + 1) * sizeof *hybrid.in_place);
    hybrid.run = malloc(tasks * sizeof *hybrid.run);
    if (stage && of_forward && hybrid.in_place && hybrid.run) {
        memset(of_forward, 0xff, forwards * sizeof *of_forward);
        find_stages(graph, n_places, stage, of_forward, (plb_task_id)(forwards - 1));
        list_tasks(graph, stage, &hybrid);
        *hybrid_out = hybrid;
    } else {
        plb_hybrid_clear(&hybrid);
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %zu tasks in stages", tasks - 1);
    }
    free(stage);
    free(of_forward);
    return status;
}

plb_places_t *stages_places(uint32_t n)
{
    struct plb_platform platform = plb_platform_nominal(1);
    plb_costs_t *costs = NULL;
    plb_places_t *places = NULL;

    if (plb_costs_create(&platform, &costs) == PLB_OK)
        plb_places_uniform(n, costs, 1e9, 1e-6, &places);
    plb_costs_destroy(costs);
    return places;
}
