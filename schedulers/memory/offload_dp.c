/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "offload-dp": run again or send away, whichever costs less time.
 *
 * After POFO (Beaumont et al. 2021, "Efficient combination of rematerialization and offloading for
 * training DNNs"). Its states hold, beside what is resident, what is still to be sent and what is
 * still to be fetched. Sending in the order of making makes the first a function of time: what the
 * link has carried off when a block begins. So the table of "chain-dp" serves with a memory that
 * grows during the first forward pass at the link's rate (chain_table.h), and options per block are
 * its own. The backward pass takes longer and needs last what was sent first, so fetching is not
 * part of the states; it is placed by time and room (away.h).
 *
 * How much to send, and whether to have tasks wait for the link, is found by trying: each try is a
 * whole plan, laid out exactly and played by the simulator. Without a tier to send to, or where
 * sending does not pay, what comes out is the plan of "chain-dp".
 */
#include "config.h"

#include "runtime/plan/page.h"
#include "runtime/plan/simulate.h"
#include "schedulers/memory/chain/away.h"
#include "schedulers/memory/chain/chain_skips.h"
#include "schedulers/schedulers.h"

#include <math.h>

/* What the link's rate is multiplied with: above 1 more is sent than goes without waiting, which is
 * for memories that are too small for anything else. */
static const double hastes[] = {1.0, 0.9, 1.5, 3.0};
enum { HASTES_WITHOUT_WAITING = 2 };

/* A plan that sends more must save this part of the time. */
#define WORTH_THE_WHILE 5e-4

struct offload {
    struct plb__chains *chains;
    struct plb__away away;
};

/* The best plan so far, and the haste with which it sends. */
struct best {
    struct plb_plan plan;
    double seconds, haste;
};

static enum plb_tier tier_of(const struct plb_problem *problem)
{
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        if (problem->limits.bytes[tier] > 0 && problem->platform->bytes[tier] > 0 &&
            problem->platform->link[tier].out_bytes_per_second > 0.0 &&
            problem->platform->link[tier].in_bytes_per_second > 0.0)
            return (enum plb_tier)tier;
    return PLB_DEVICE;
}

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    const struct offload *offload = context;
    struct plb_plan runs = {.n = 0};
    enum plb_status status;

    if (offload->away.bytes == 0)
        return plb__chains_write(offload->chains, problem, target, plan_out);
    PLB_TRY(plb__chains_write(offload->chains, problem, target + offload->away.bytes, &runs));
    status = plb__away_write(problem, &runs, &offload->away, plan_out);
    plb_plan_clear(&runs);
    return status;
}

/* Simulated seconds of a plan that fits. */
static enum plb_status time_of(const struct plb_problem *problem, const struct plb_plan *plan,
                               double *seconds_out)
{
    struct plb_layout layout = {.n_slots = 0};
    struct plb_simulation simulation = {.n = 0};
    enum plb_status status =
        plb_layout_assign(plan, problem->graph, &problem->limits, &layout);

    if (status != PLB_OK)
        return status;
    status = plb_simulate(plan, &layout, problem, &simulation);
    if (status == PLB_OK)
        *seconds_out = simulation.seconds;
    plb_simulation_clear(&simulation);
    plb_layout_clear(&layout);
    return status;
}

/* Takes over a plan that fits, if it is so much faster than the best one. */
static enum plb_status judge(const struct plb_problem *problem, struct plb_plan *plan,
                             double haste, struct best *best)
{
    double seconds;
    enum plb_status status = time_of(problem, plan, &seconds);

    if (status == PLB_OK &&
        (isinf(best->seconds) || seconds < (1.0 - WORTH_THE_WHILE) * best->seconds)) {
        plb_plan_clear(&best->plan);
        *best = (struct best){*plan, seconds, haste};
    } else {
        plb_plan_clear(plan);
    }
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

static enum plb_status try_without(const struct plb_problem *problem, struct best *best)
{
    struct plb_plan plan = {.n = 0};
    enum plb_status status = plb_memory_chain_dp.plan(problem, &plan);

    if (status == PLB_OK)
        return judge(problem, &plan, 0.0, best);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

static struct plb__fit fit_of(const struct plb_problem *problem, struct offload *offload)
{
    size_t device = plb__device_room(problem), most = plb__chains_most(offload->chains);

    return (struct plb__fit){
        .propose = propose, .context = offload, .most = most < device ? most : device};
}

static double forward_seconds(const struct plb__chains *chains)
{
    double most = 0.0;

    for (uint32_t i = 0; i < chains->n; i++) {
        double seconds = 0.0;

        for (uint32_t e = 0; e < chains->pass[i].chain.n; e++)
            seconds += chains->pass[i].chain.block[e].seconds;
        most = seconds > most ? seconds : most;
    }
    return most;
}

/* Solves the chains for what the link can take; haste 0: for nothing. */
static enum plb_status solve_for(const struct plb_problem *problem, double haste,
                                 struct offload *offload)
{
    const struct plb_link *link = &problem->platform->link[offload->away.tier];
    double rate = haste * link->out_bytes_per_second / problem->platform->workers;
    double bytes = rate * forward_seconds(offload->chains);
    double limit = (double)problem->limits.bytes[offload->away.tier];
    size_t most = offload->chains->whole;

    bytes = bytes < limit ? bytes : limit;
    offload->away.sizes = &offload->chains->sizes;
    offload->away.haste = haste > 1.0 ? haste : 1.0;
    offload->away.bytes = bytes < (double)most ? (size_t)bytes : most;
    offload->away.room = plb__device_room(problem);
    if (haste == 0.0)
        return plb__chains_solve(offload->chains, NULL);
    return plb__chains_solve(offload->chains,
                             &(struct plb__chain_away){.bytes = offload->away.bytes,
                                                       .rate = rate,
                                                       .device = offload->away.room});
}

static enum plb_status try_haste(const struct plb_problem *problem, struct offload *offload,
                                 double haste, struct best *best)
{
    struct plb_plan plan = {.n = 0};
    struct plb__fit fit;
    enum plb_status status;

    PLB_TRY(solve_for(problem, haste, offload));
    fit = fit_of(problem, offload);
    status = plb__chain_fit(problem, &fit, &offload->chains->sizes, &plan);
    if (status == PLB_OK)
        return judge(problem, &plan, haste, best);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

/* ---- values that skip blocks ---- */

struct squeezed {
    const struct plb_problem *problem;
    struct offload *offload;
    struct best *best;
};

/* Sends what is more than `part` of the room; true when what comes of it could be laid out. */
static enum plb_status send_squeezed(const struct squeezed *s, const struct plb_plan *runs,
                                     size_t bytes, double haste, double part, bool *fits_out)
{
    size_t room = plb__device_room(s->problem);
    struct plb__away away = s->offload->away;
    struct plb_plan plan = {.n = 0};
    struct plb_layout layout;
    enum plb_status status;

    away.haste = haste;
    away.room = (size_t)(part * (double)room);
    away.bytes = bytes > away.room ? 2 * (bytes - away.room) : 0;
    status = plb__away_write(s->problem, runs, &away, &plan);
    if (status == PLB_OK)
        status = plb_layout_assign(&plan, s->problem->graph, &s->problem->limits, &layout);
    *fits_out = status == PLB_OK;
    if (status != PLB_OK) {
        plb_plan_clear(&plan);
        return status == PLB_ERROR_MEMORY ? PLB_OK : status;
    }
    plb_layout_clear(&layout);
    return judge(s->problem, &plan, 0.0, s->best);
}

/* Asks for a smaller plan whatever comes of this one. */
static enum plb_status look_at_squeezed(struct plb_plan *plan, size_t bytes, void *context)
{
    static const double parts[] = {1.0, 0.97, 0.92};
    static const double some_hastes[] = {1.0, 2.0, 4.0};

    for (size_t h = 0; h < sizeof some_hastes / sizeof some_hastes[0]; h++) {
        bool fits = false;

        for (size_t k = 0; k < sizeof parts / sizeof parts[0] && !fits; k++)
            PLB_TRY(send_squeezed(context, plan, bytes, some_hastes[h], parts[k], &fits));
        if (fits)
            break;
    }
    return PLB_ERROR_MEMORY;
}

/* As "chain-dp" does for such graphs. */
static enum plb_status try_online(const struct plb_problem *problem, struct best *best)
{
    struct plb_plan plan = {.n = 0};
    enum plb_status status = plb_memory_online.plan(problem, &plan);

    if (status == PLB_OK)
        return judge(problem, &plan, 0.0, best);
    plb_plan_clear(&plan);
    return status == PLB_ERROR_MEMORY ? PLB_OK : status;
}

static enum plb_status try_skips(const struct plb_problem *problem, struct offload *offload,
                                 struct best *best)
{
    /* Bytes of the plan before anything is sent, in hundredths of the room. */
    static const size_t parts[] = {240, 200, 170, 145, 125, 110, 100};
    enum { N = sizeof parts / sizeof parts[0] };
    struct squeezed s = {problem, offload, best};
    size_t bytes[N];
    enum plb_status status;

    if (problem->limits.bytes[PLB_DEVICE] == SIZE_MAX ||
        !plb__chains_have_skips(offload->chains, problem))
        return PLB_OK;
    for (int k = 0; k < N; k++)
        bytes[k] = plb__device_room(problem) / 100 * parts[k];
    offload->away.sizes = &offload->chains->sizes;
    PLB_TRY(plb__chains_solve(offload->chains, NULL));
    status = plb__chains_squeeze(offload->chains, problem, bytes, N, look_at_squeezed, &s);
    return status == PLB_OK || status == PLB_ERROR_MEMORY ? try_online(problem, best) : status;
}

/* ---- all ways ---- */

static enum plb_status try_all(const struct plb_problem *problem, struct offload *offload,
                               struct best *best)
{
    PLB_TRY(plb__chains_solve(offload->chains, NULL));
    offload->chains->whole = plb__chains_most(offload->chains);
    for (size_t k = 0; k < sizeof hastes / sizeof hastes[0]; k++)
        if (k < HASTES_WITHOUT_WAITING || isinf(best->seconds))
            PLB_TRY(try_haste(problem, offload, hastes[k], best));
    PLB_TRY(try_skips(problem, offload, best));
    if (isinf(best->seconds))
        return PLB_OK;
    offload->chains->haste = best->haste;
    return plb__chain_note(problem, &best->plan, &offload->chains->sizes, &offload->chains->sent);
}

/* ---- the policy ---- */

static enum plb_status plan_offload_dp(const struct plb_problem *problem,
                                       struct plb_plan *plan_out)
{
    struct offload offload = {.chains = NULL, .away.tier = tier_of(problem)};
    struct best best = {.seconds = INFINITY};
    enum plb_status status = try_without(problem, &best);

    if (status == PLB_OK && offload.away.tier != PLB_DEVICE) {
        status = plb__chains_take(problem, PLB__GRAIN_BLOCKS, &offload.chains);
        if (status == PLB_OK && offload.chains->n > 0)
            status = try_all(problem, &offload, &best);
        plb__chains_give(offload.chains);
    }
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

static enum plb_status replan_chains(const struct plb_problem *problem, struct offload *offload,
                                     struct plb_plan *plan_out)
{
    const struct plb__chains *chains = offload->chains;
    struct plb__fit fit;

    PLB_TRY(solve_for(problem, chains->haste, offload));
    if (chains->haste == 0.0)
        offload->away.bytes = 0;
    fit = fit_of(problem, offload);
    return plb__chain_refit(problem, &fit, &chains->sizes, &chains->sent, plan_out);
}

/* As that of "chain-dp", with the haste that was best for the last plan. */
static enum plb_status replan_offload_dp(const struct plb_problem *problem, enum plb_event event,
                                         const struct plb_plan *current, struct plb_plan *plan_out)
{
    struct offload offload = {.chains = NULL, .away.tier = tier_of(problem)};
    enum plb_status status = PLB_ERROR_MEMORY;

    if (offload.away.tier == PLB_DEVICE)
        return plb_memory_chain_dp.replan(problem, event, current, plan_out);
    PLB_TRY(plb__chains_take(problem, PLB__GRAIN_BLOCKS, &offload.chains));
    if (offload.chains->sent.used > 0 && !plb__chains_have_skips(offload.chains, problem))
        status = replan_chains(problem, &offload, plan_out);
    plb__chains_give(offload.chains);
    if (status == PLB_ERROR_MEMORY)
        status = plb_memory_online.replan(problem, event, current, plan_out);
    return status;
}

const struct plb_memory_policy plb_memory_offload_dp = {
    .name = "offload-dp",
    .help = "run again or send away, by dynamic programming over blocks",
    .plan = plan_offload_dp,
    .replan = replan_offload_dp,
};
