/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "chain-dp": run again what costs least time for the memory that there is.
 *
 * The graph is seen as a chain of blocks (chain.h), each with several ways to be kept until its
 * backward tasks (options.h); a dynamic programme over the chain says which way each block is kept
 * and which stretches of blocks are run twice (chain_table.h). The programme's memory is counted in
 * slots and by block. What it says is written as a plan and laid out exactly, and its memory is
 * raised as far as the layout keeps the limits.
 *
 * Beaumont et al. 2024, "Optimal re-materialization strategies for heterogeneous chains: how to
 * train deep neural networks with limited memory" (Rotor); Zhao et al. 2023, "Rockmate: an
 * efficient, fast, automatic and generic tool for re-materialization in PyTorch".
 */
#include "config.h"

#include "schedulers/memory/chain/chain_fit.h"
#include "schedulers/memory/chain/chain_write.h"
#include "schedulers/schedulers.h"

#include <math.h>

/* Up to so many tasks the chain is tried at every grain; beyond, blocks of the model are enough. */
enum { TASKS_FOR_ALL_GRAINS = 400 };

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    return plb__chains_write(context, problem, target, plan_out);
}

static enum plb_status plan_grain(const struct plb_problem *problem, enum plb__grain grain,
                                  struct plb_plan *plan_out)
{
    struct plb__chains *chains;
    enum plb_status status;

    PLB_TRY(plb__chains_take(problem, grain, &chains));
    status = plb__chains_solve(chains, NULL);
    if (status == PLB_OK)
        status = plb__chain_fit(problem,
                                &(struct plb__fit){.propose = propose,
                                                   .context = chains,
                                                   .most = plb__chains_most(chains)},
                                &chains->sizes, plan_out);
    if (status == PLB_OK)
        status = plb__chain_note(problem, plan_out, &chains->sizes, &chains->kept);
    plb__chains_give(chains);
    return status;
}

static double seconds_of(const struct plb_problem *problem, const struct plb_plan *plan)
{
    double seconds = 0.0;

    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->instruction[i].code == PLB_RUN)
            seconds += problem->seconds[plan->instruction[i].subject];
    return seconds;
}

static enum plb_status plan_chain_dp(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    int grains =
        plb_graph_tasks(problem->graph) <= TASKS_FOR_ALL_GRAINS ? (int)PLB__GRAINS : 1;
    enum plb_status status = PLB_ERROR_MEMORY;
    double least = INFINITY;

    for (int grain = grains; grain-- > 0;) {
        struct plb_plan plan = {.n = 0};
        enum plb_status made = plan_grain(problem, (enum plb__grain)grain, &plan);

        if (made != PLB_OK && made != PLB_ERROR_MEMORY)
            return made;
        if (made != PLB_OK)
            continue;
        status = PLB_OK;
        if (seconds_of(problem, &plan) < least) {
            least = seconds_of(problem, &plan);
            plb_plan_clear(plan_out);
            *plan_out = plan;
        } else {
            plb_plan_clear(&plan);
        }
    }
    return status;
}

static enum plb_status replan_chains(const struct plb_problem *problem, struct plb__chains *chains,
                                     struct plb_plan *plan_out)
{
    if (chains->kept.used == 0)
        return plb_fail(PLB_ERROR_MEMORY, "there was no plan of this graph before");
    PLB_TRY(plb__chains_solve(chains, NULL));
    return plb__chain_refit(problem,
                            &(struct plb__fit){.propose = propose,
                                               .context = chains,
                                               .most = plb__chains_most(chains)},
                            &chains->sizes, &chains->kept, plan_out);
}

/* What walks through the graph have found stays, so that all there is to do is to fill the table for
 * the new costs and to come near the bytes that the last plan took. A graph for which several grains
 * are tried is small. */
static enum plb_status replan_chain_dp(const struct plb_problem *problem, enum plb_event event,
                                       const struct plb_plan *current, struct plb_plan *plan_out)
{
    struct plb__chains *chains;
    enum plb_status status;

    (void)event;
    (void)current;
    if (plb_graph_tasks(problem->graph) <= TASKS_FOR_ALL_GRAINS)
        return plan_chain_dp(problem, plan_out);
    PLB_TRY(plb__chains_take(problem, PLB__GRAIN_BLOCKS, &chains));
    status = replan_chains(problem, chains, plan_out);
    plb__chains_give(chains);
    return status;
}

const struct plb_memory_policy plb_memory_chain_dp = {
    .name = "chain-dp",
    .help = "run again what costs least time, by dynamic programming over blocks",
    .plan = plan_chain_dp,
    .replan = replan_chain_dp,
};
