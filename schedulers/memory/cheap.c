/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "cheap": make again what takes less time to make than to move, and offload the
 * rest, both only as far as memory is short.
 *
 * A value is cheap when its task takes less than half the time in which the link would move it
 * (HiRemate's rule: Zhao et al. 2025, section 3; what Megatron calls selective recomputation is the
 * same idea with attention for the cheap part: Korthikanti et al. 2023). Norms, activation
 * functions and masks are, products are not. Where there is no link the rule asks for one that is
 * slower than memory by LINK_SLOWER, about the ratio between a card's memory and its host link.
 *
 * Cheap values are given up by seconds per byte, cheapest first. Then what was made first leaves
 * first: it has the longest time to come back.
 */
#include "config.h"

#include "schedulers/memory/common/fates.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/schedulers.h"

#include <stdlib.h>

#define CHEAP_FACTOR 2.0
#define LINK_SLOWER  32.0

struct candidate {
    uint32_t group;
    double seconds_per_byte;
};

struct cheap {
    struct plb__fates *fates;
    uint32_t n;
    struct candidate *candidate; /* cheap groups, cheapest first */
};

static double move_seconds(const struct plb_problem *problem, size_t bytes)
{
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        if (problem->limits.bytes[tier] > 0)
            return plb_transfer_seconds(problem->platform, (enum plb_tier)tier, true, bytes);
    return (double)bytes * LINK_SLOWER / problem->platform->bytes_per_second;
}

static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->seconds_per_byte != y->seconds_per_byte)
        return x->seconds_per_byte < y->seconds_per_byte ? -1 : 1;
    return x->group < y->group ? -1 : 1;
}

static enum plb_status find_candidates(struct cheap *cheap)
{
    struct plb__fates *fates = cheap->fates;

    cheap->candidate = malloc(((size_t)fates->n_groups + 1) * sizeof *cheap->candidate);
    if (!cheap->candidate)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to sort %u groups", fates->n_groups);
    for (uint32_t g = 0; g < fates->n_groups; g++) {
        size_t bytes = fates->group[g].saved_bytes;
        double seconds;

        PLB_TRY(plb__fates_remake_seconds(fates, g, &seconds));
        if (plb__fates_worth(fates, g) &&
            seconds * CHEAP_FACTOR < move_seconds(fates->problem, bytes))
            cheap->candidate[cheap->n++] = (struct candidate){g, seconds / (double)bytes};
    }
    qsort(cheap->candidate, cheap->n, sizeof *cheap->candidate, compare);
    return PLB_OK;
}

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    struct cheap *cheap = context;
    struct plb__fates *fates = cheap->fates;
    size_t kept, used[PLB_TIERS] = {0};

    for (uint32_t g = 0; g < fates->n_groups; g++)
        fates->group[g].fate = fates->group[g].saved ? PLB__KEEP : PLB__REMAKE;
    kept = plb__fates_kept_bytes(fates);
    for (uint32_t k = 0; k < cheap->n && kept > target; k++) {
        struct plb__group *group = &fates->group[cheap->candidate[k].group];

        group->fate = PLB__REMAKE;
        kept -= group->saved_bytes;
    }
    for (uint32_t g = 0; g < fates->n_groups && kept > target; g++) {
        struct plb__group *group = &fates->group[g];

        if (!plb__fates_worth(fates, g) || group->fate != PLB__KEEP)
            continue;
        group->tier = plb__offload_tier(&problem->limits, used, group->saved_bytes);
        if (group->tier == PLB_DEVICE)
            continue;
        group->fate = PLB__OFFLOAD;
        used[group->tier] += group->saved_bytes;
        kept -= group->saved_bytes;
    }
    return plb__fates_plan(fates, plan_out);
}

static enum plb_status plan_with(const struct plb_problem *problem, bool soon,
                                 struct plb_plan *plan_out)
{
    struct cheap cheap = {.n = 0};
    struct plb__fit fit = {
        .propose = propose, .context = &cheap, .offloads = true, .fetches_ahead = true};
    enum plb_status status = plb__fates_create(problem, &cheap.fates);

    if (status != PLB_OK)
        return status;
    fit.most = plb__fates_kept_bytes(cheap.fates);
    status = find_candidates(&cheap);
    if (status == PLB_OK)
        status = soon ? plb__fit_nearly(problem, &fit, plan_out)
                      : plb__fit_plan(problem, &fit, plan_out);
    free(cheap.candidate);
    plb__fates_destroy(cheap.fates);
    return status;
}

static enum plb_status plan_cheap(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return plan_with(problem, false, plan_out);
}

static enum plb_status replan_cheap(const struct plb_problem *problem, enum plb_event event,
                                    const struct plb_plan *current, struct plb_plan *plan_out)
{
    (void)event;
    (void)current;
    return plan_with(problem, true, plan_out);
}

const struct plb_memory_policy plb_memory_cheap = {
    .name = "cheap",
    .help = "make again what is cheaper than to move, offload the rest",
    .plan = plan_cheap,
    .replan = replan_cheap,
};
