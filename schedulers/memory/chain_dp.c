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
 * What skip connections carry over many blocks the table only knows as there all the time. So for
 * graphs that have such values, and for parts of pipelines, in which values of several micro-batches
 * are there at once, its plans for more memory than there is are squeezed as well
 * (chain_skips.h), "online" is asked, and the plan with the fewest seconds is taken. It is asked,
 * too, where no plan of the table fits because of what comes from another tier for the update.
 *
 * Beaumont et al. 2024, "Optimal re-materialization strategies for heterogeneous chains: how to
 * train deep neural networks with limited memory" (Rotor); Zhao et al. 2023, "Rockmate: an
 * efficient, fast, automatic and generic tool for re-materialization in PyTorch".
 */
#include "config.h"

#include "runtime/plan/page.h"
#include "schedulers/memory/chain/chain_skips.h"
#include "schedulers/schedulers.h"

#include <math.h>

/* Up to so many tasks the chain is tried at every grain; beyond, blocks of the model are enough. */
enum { TASKS_FOR_ALL_GRAINS = 400 };

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    return plb__chains_write(context, problem, target, plan_out);
}

static double seconds_of(const struct plb_problem *problem, const struct plb_plan *plan)
{
    double seconds = 0.0;

    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->instruction[i].code == PLB_RUN)
            seconds += problem->seconds[plan->instruction[i].subject];
    return seconds;
}

/* The plan with the fewest seconds so far. */
struct best {
    const struct plb_problem *problem;
    struct plb_plan plan;
    double seconds;
};

/* Takes over the plan if it is faster. */
static void judge(struct best *best, struct plb_plan *plan)
{
    double seconds = seconds_of(best->problem, plan);

    if (seconds < best->seconds) {
        plb_plan_clear(&best->plan);
        best->plan = *plan;
        best->seconds = seconds;
    } else {
        plb_plan_clear(plan);
    }
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

/* ---- values that skip blocks ---- */

static enum plb_status look_at_squeezed(struct plb_plan *plan, size_t bytes, void *context)
{
    struct best *best = context;
    struct plb_layout layout;

    (void)bytes;
    PLB_TRY(plb_layout_assign(plan, best->problem->graph, &best->problem->limits, &layout));
    plb_layout_clear(&layout);
    judge(best, plan);
    *plan = (struct plb_plan){.n = 0};
    return PLB_OK;
}

/* Only values whose home is another tier come and go: these are not the policy's affair. */
static struct plb_problem without_tiers(const struct plb_problem *problem)
{
    struct plb_problem alone = *problem;

    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        if (!plb__pages(problem->graph))
            alone.limits.bytes[tier] = 0;
    return alone;
}

/* What goes through the graph as a cache would does not know blocks at all; where several ways lead
 * to a plan it is seldom the fastest, but finds one where others do not. */
static enum plb_status try_online(const struct plb_problem *problem, struct best *best)
{
    struct plb_plan plan = {.n = 0};
    enum plb_status status;
    struct plb_problem alone = without_tiers(problem);

    status = plb_memory_online.plan(&alone, &plan);
    if (status == PLB_OK)
        judge(best, &plan);
    else
        plb_plan_clear(&plan);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

static enum plb_status try_squeezed(const struct plb_problem *problem, struct plb__chains *chains,
                                    struct best *best)
{
    /* Parts of the room, in hundredths: gaps between copies may take some of it. */
    static const size_t parts[] = {100, 99, 98, 96, 93, 89};
    enum { N = sizeof parts / sizeof parts[0] };
    enum plb_status status;
    size_t bytes[N];

    for (int k = 0; k < N; k++)
        bytes[k] = plb__device_room(problem) / 100 * parts[k];
    PLB_TRY(plb__chains_solve(chains, NULL));
    status = plb__chains_squeeze(chains, problem, bytes, N, look_at_squeezed, best);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

static enum plb_status try_skips(const struct plb_problem *problem, struct best *best)
{
    struct plb__chains *chains;
    enum plb_status status = PLB_OK;

    PLB_TRY(plb__chains_take(problem, PLB__GRAIN_BLOCKS, &chains));
    if (plb__chains_have_skips(chains, problem)) {
        status = try_squeezed(problem, chains, best);
        if (status == PLB_OK)
            status = try_online(problem, best);
    }
    plb__chains_give(chains);
    return status;
}

/* ---- the policy ---- */

static enum plb_status try_grains(const struct plb_problem *problem, struct best *best)
{
    int grains =
        plb_graph_tasks(problem->graph) <= TASKS_FOR_ALL_GRAINS ? (int)PLB__GRAINS : 1;

    for (int grain = grains; grain-- > 0;) {
        struct plb_plan plan = {.n = 0};
        enum plb_status made = plan_grain(problem, (enum plb__grain)grain, &plan);

        if (made != PLB_OK && made != PLB_ERROR_MEMORY)
            return made;
        if (made == PLB_OK)
            judge(best, &plan);
    }
    return PLB_OK;
}

static enum plb_status plan_chain_dp(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    struct best best = {.problem = problem, .seconds = INFINITY};
    enum plb_status status = try_grains(problem, &best);

    if (status == PLB_OK && problem->limits.bytes[PLB_DEVICE] != SIZE_MAX)
        status = try_skips(problem, &best);
    if (status == PLB_OK && isinf(best.seconds) && plb__pages(problem->graph))
        status = try_online(problem, &best);
    if (status == PLB_OK && isinf(best.seconds))
        status = PLB_ERROR_MEMORY; /* with the message of the last try */
    if (status == PLB_OK)
        *plan_out = best.plan;
    else
        plb_plan_clear(&best.plan);
    return status;
}

static enum plb_status replan_chains(const struct plb_problem *problem, struct plb__chains *chains,
                                     struct plb_plan *plan_out)
{
    PLB_TRY(plb__chains_solve(chains, NULL));
    return plb__chain_refit(problem,
                            &(struct plb__fit){.propose = propose,
                                               .context = chains,
                                               .most = plb__chains_most(chains)},
                            &chains->sizes, &chains->kept, plan_out);
}

/* What walks through the graph have found stays, so that all there is to do is to fill the table
 * for the new costs and to come near the bytes that the last plan took. Where the table has no plan
 * to begin with, or is not all there is to it, a walk of "online" is what can be had soon. */
static enum plb_status replan_chain_dp(const struct plb_problem *problem, enum plb_event event,
                                       const struct plb_plan *current, struct plb_plan *plan_out)
{
    struct plb_problem alone = without_tiers(problem);
    struct plb__chains *chains;
    enum plb_status status = PLB_ERROR_MEMORY;

    PLB_TRY(plb__chains_take(problem, PLB__GRAIN_BLOCKS, &chains));
    if (chains->kept.used > 0 && !plb__chains_have_skips(chains, problem))
        status = replan_chains(problem, chains, plan_out);
    plb__chains_give(chains);
    if (status == PLB_ERROR_MEMORY)
        status = plb_memory_online.replan(&alone, event, current, plan_out);
    return status;
}

const struct plb_memory_policy plb_memory_chain_dp = {
    .name = "chain-dp",
    .help = "run again what costs least time, by dynamic programming over blocks",
    .plan = plan_chain_dp,
    .replan = replan_chain_dp,
};
