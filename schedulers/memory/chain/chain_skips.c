/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See chain_skips.h.
 */
#include "config.h"

#include "schedulers/memory/chain/chain_skips.h"

#include "schedulers/memory/chain/squeeze.h"

/* Values that skip blocks count from this part of all on. */
enum { SKIPS_PARTS = 64 };

/* Beyond so many tasks fewer targets are tried. */
enum { TASKS_FOR_ALL_TARGETS = 1000, TARGETS_APART = 4 };

/* Parts of the memory that makes a difference, in hundredths: the table's plan for much of it leaves
 * most to squeezing, that for little most to the table. */
static const size_t targets[] = {100, 90, 80, 72, 65, 57, 50, 42, 35};

/* Of a pipeline a place has one part, and goes on with the next micro-batch before it comes back to
 * the last one. */
static bool is_part(const plb_graph_t *graph)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        if (plb_graph_task(graph, t)->op->once)
            return true;
    return false;
}

bool plb__chains_have_skips(const struct plb__chains *chains,
                            const struct plb_problem *problem)
{
    size_t all = 0, skipping = 0;

    for (uint32_t i = 0; i < chains->n; i++) {
        const struct plb__chain *chain = &chains->pass[i].chain;

        for (plb_value v = 0; v < plb_graph_values(problem->graph); v++) {
            if (chain->born[v] == PLB_NONE)
                continue;
            all += chains->sizes.bytes[v];
            if (chain->crosses[v] > chain->born[v] + 1 && chain->crosses[v] < chain->n)
                skipping += chains->sizes.bytes[v];
        }
    }
    return skipping > all / SKIPS_PARTS || is_part(problem->graph);
}

enum plb_status plb__chains_squeeze(const struct plb__chains *chains,
                                    const struct plb_problem *problem, const size_t *bytes,
                                    uint32_t n, plb__squeezed look, void *context)
{
    size_t most = plb__chains_most(chains);
    size_t apart =
        plb_graph_tasks(problem->graph) > TASKS_FOR_ALL_TARGETS ? (size_t)TARGETS_APART : 1;
    bool any = false;

    for (size_t k = 0; k < sizeof targets / sizeof targets[0]; k += apart) {
        struct plb_plan plan = {.n = 0};
        enum plb_status status =
            plb__chains_write(chains, problem, most / 100 * targets[k], &plan);

        for (uint32_t i = 0; i < n && status == PLB_OK; i++) {
            status = plb__squeeze(problem, &chains->sizes, bytes[i], &plan);
            if (status != PLB_OK)
                break;
            status = look(&plan, bytes[i], context);
            any |= status == PLB_OK;
            if (status != PLB_ERROR_MEMORY)
                break;
            status = PLB_OK;
        }
        plb_plan_clear(&plan);
        if (status != PLB_OK && status != PLB_ERROR_MEMORY)
            return status;
    }
    return any ? PLB_OK
               : plb_fail(PLB_ERROR_MEMORY, "no plan of the chain can be squeezed into the limits");
}
