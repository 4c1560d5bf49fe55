/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan in virtual time: one program, whose events are played (play.c), and what they sum up to.
 */
#include "config.h"

#include "runtime/plan/play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const struct plb_problem *problem,
                       const struct plb_instruction *instruction)
{
    return plb_type_bytes(&plb_graph_value(problem->graph, instruction->subject)->type);
}

static void sum_run(const struct plb_problem *problem, plb_task_id id, bool *run,
                    struct plb_simulation *result)
{
    struct plb_cost cost;

    result->compute_seconds += problem->seconds[id];
    if (run[id]) {
        plb_task_get_cost(problem->graph, plb_graph_task(problem->graph, id), &cost);
        result->again_tasks++;
        result->again_seconds += problem->seconds[id];
        result->again_flops += cost.flops;
    }
    run[id] = true;
}

static enum plb_status sum_all(const struct plb_plan *plan, const struct plb_layout *layout,
                               const struct plb_problem *problem, struct plb_simulation *result)
{
    bool *run = calloc((size_t)plb_graph_tasks(problem->graph) + 1, sizeof *run);

    if (!run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u tasks",
                        plb_graph_tasks(problem->graph));
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_instruction *instruction = &plan->instruction[i];

        if (instruction->code == PLB_RUN && instruction->tier == PLB_DEVICE)
            sum_run(problem, instruction->subject, run, result);
        else if (instruction->code == PLB_RUN)
            result->beside_seconds += problem->seconds[instruction->subject];
        else if (instruction->code == PLB_OFFLOAD)
            result->moved_out[instruction->tier] += bytes_of(problem, instruction);
        else if (instruction->code == PLB_FETCH)
            result->moved_in[instruction->tier] += bytes_of(problem, instruction);
    }
    free(run);
    result->waited_seconds =
        fmax(problem->platform->workers * result->seconds - result->compute_seconds, 0);
    memcpy(result->peak, layout->arena, sizeof result->peak);
    result->peak[PLB_DEVICE] = plb_layout_device_bytes(layout);
    return PLB_OK;
}

enum plb_status plb_simulate(const struct plb_plan *plan, const struct plb_layout *layout,
                             const struct plb_problem *problem, struct plb_simulation *result_out)
{
    struct plb_simulation result = {.n = plan->n};
    struct plb__program program = {.plan = plan,
                                   .graph = problem->graph,
                                   .platform = problem->platform,
                                   .seconds = problem->seconds,
                                   .storage = plb__storage_of(layout)};
    const struct plb__cast cast = {.program = &program, .n_programs = 1};
    enum plb_status status;

    result.timeline = program.timeline = calloc((size_t)plan->n + 1, sizeof *result.timeline);
    if (!result.timeline)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u instructions", plan->n);
    status = plb__play(&cast, &result.seconds);
    if (status == PLB_OK)
        status = sum_all(plan, layout, problem, &result);
    if (status == PLB_OK)
        *result_out = result;
    else
        plb_simulation_clear(&result);
    return status;
}

void plb_simulation_clear(struct plb_simulation *simulation)
{
    free(simulation->timeline);
    *simulation = (struct plb_simulation){0};
}
