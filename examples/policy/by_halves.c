/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A parallel policy outside the tree: the first half of a model's blocks at the first place, the
 * rest at the second. What comes before the first block goes with it; all that belongs to no
 * forward task (sums of gradients, the update) is done at the first place.
 *
 *   make
 *   PALOMBE_POLICY_PATH=$PWD palombe simulate --parallel by-halves ...
 *
 * It says where each task is done, in the graph's own order; what must be sent from one place to
 * the other follows from that (runtime/plan/hybrid.h).
 */
#include <palombe.h>

#include <stdlib.h>

/* Blocks of the model. */
static int count_blocks(const plb_graph_t *graph)
{
    int blocks = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        if (plb_graph_task(graph, t)->block >= blocks)
            blocks = plb_graph_task(graph, t)->block + 1;
    return blocks;
}

/* A task that belongs to no block stands where the task before it does. */
static uint32_t place_of(const struct plb_task *task, int blocks, uint32_t before)
{
    if (task->forward == PLB_NONE || task->phase == PLB_PHASE_UPDATE)
        return 0;
    if (task->block < 0)
        return before;
    return task->block < (blocks + 1) / 2 ? 0 : 1;
}

static void list_tasks(const plb_graph_t *graph, uint32_t place, plb_task_id *run, uint32_t *n)
{
    int blocks = count_blocks(graph);
    uint32_t at = 0;
    int micro_batch = -1;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        if (task->micro_batch != micro_batch && task->phase == PLB_PHASE_FORWARD)
            at = 0;
        micro_batch = task->micro_batch;
        at = place_of(task, blocks, at);
        if (at == place)
            run[(*n)++] = t;
    }
}

static enum plb_status plan_by_halves(const struct plb_parallel_problem *problem,
                                      struct plb_hybrid *hybrid_out)
{
    uint32_t places = plb_places_count(problem->places), n = 0;

    if (places < 2)
        return plb_fail(PLB_ERROR_INVALID, "by-halves wants two places, there is one");
    hybrid_out->n_places = places;
    hybrid_out->in_place = calloc((size_t)places + 1, sizeof *hybrid_out->in_place);
    hybrid_out->run = calloc((size_t)plb_graph_tasks(problem->graph) + 1, sizeof *hybrid_out->run);
    if (!hybrid_out->in_place || !hybrid_out->run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan");
    for (uint32_t p = 0; p < places; p++) {
        if (p < 2)
            list_tasks(problem->graph, p, hybrid_out->run, &n);
        hybrid_out->in_place[p + 1] = n;
    }
    return PLB_OK;
}

static const struct plb_parallel_policy by_halves = {
    .name = "by-halves",
    .help = "half of the blocks at each of two places",
    .plan = plan_by_halves,
};

static const struct plb_parallel_policy *const policies[] = {&by_halves};

extern const struct plb_policy_module plb_policy_module;
const struct plb_policy_module plb_policy_module = {
    .abi = PLB_POLICY_ABI,
    .record_parallel = sizeof(struct plb_parallel_policy),
    .n_parallel = 1,
    .parallel = policies,
};
