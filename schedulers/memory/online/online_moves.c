/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policy "online" pays for sending a value away instead of making it again.
 *
 * A transfer costs what of it is seen: out, the seconds by which it ends later than now, when its
 * bytes are wanted (the link goes on in the order of the plan and may begin as soon as the value is
 * made, before the decision); in, those by which the link cannot bring back in time all that is due
 * until then. A small part of the transfer's own time is added, so that an idle link is not spent
 * on what is made again for next to nothing.
 */
#include "config.h"

#include "schedulers/memory/online/online_internal.h"

#include <math.h>

/* Seconds of the platform since the step began. */
static double clock_of(const struct plb__online *o, uint32_t at)
{
    return (o->time[at] + o->result.again_seconds) / o->problem->platform->workers;
}

/* ---- what is due, a tree of sums (Fenwick) over the turns that read it ---- */

static void add_due(struct plb__online *o, uint32_t at, double seconds)
{
    uint32_t n = plb_graph_tasks(o->graph);

    for (uint32_t k = at + 1; k <= n; k += k & -k)
        o->due[k] += seconds;
}

static double due_until(const struct plb__online *o, uint32_t at)
{
    double seconds = 0.0;

    for (uint32_t k = at + 1; k > 0; k -= k & -k)
        seconds += o->due[k];
    return seconds;
}

/* ---- transfers ---- */

static double transfer_seconds(const struct plb__online *o, enum plb_tier tier, bool out,
                               plb_value value)
{
    return plb_transfer_seconds(o->problem->platform, tier, out, o->bytes[value]);
}

/* A link that is not duplex is taken by what goes the other way. */
static void share_link(struct plb__online *o, enum plb_tier tier)
{
    if (!o->problem->platform->link[tier].duplex)
        o->back_free = o->link_free[tier] = fmax(o->back_free, o->link_free[tier]);
}

/* The nearest tier that has room for the value; PLB_DEVICE when none has. */
static enum plb_tier tier_for(const struct plb__online *o, plb_value value)
{
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++) {
        size_t limit = o->problem->limits.bytes[tier];

        if (limit >= o->bytes[value] && o->away[tier] <= limit - o->bytes[value] &&
            o->problem->platform->link[tier].out_bytes_per_second > 0.0 &&
            o->problem->platform->link[tier].in_bytes_per_second > 0.0)
            return (enum plb_tier)tier;
    }
    return PLB_DEVICE;
}

static double seconds_out_seen(const struct plb__online *o, enum plb_tier tier, plb_value value)
{
    double now = clock_of(o, o->now);
    double begin = fmax(o->made_at[value], o->link_free[tier]);

    return fmax(0.0, begin + transfer_seconds(o, tier, true, value) - now);
}

double plb__online_move_cost(const struct plb__online *o, plb_value value, enum plb_tier *tier_out)
{
    uint32_t at = plb__online_next(o, value);
    enum plb_tier tier = o->copy[value] != PLB_DEVICE ? o->copy[value] : tier_for(o, value);
    double left, in, cost;

    *tier_out = tier;
    if (tier == PLB_DEVICE)
        return INFINITY;
    in = transfer_seconds(o, tier, false, value);
    left = clock_of(o, at) - clock_of(o, o->now);
    cost = fmax(0.0, due_until(o, at) + in - left) + o->weights.link * in;
    if (o->copy[value] != PLB_DEVICE)
        return cost;
    return cost + seconds_out_seen(o, tier, value) +
           o->weights.link * transfer_seconds(o, tier, true, value);
}

double plb__online_fetch_cost(const struct plb__online *o, plb_value value)
{
    return o->weights.link * transfer_seconds(o, o->copy[value], false, value);
}

enum plb_status plb__online_send(struct plb__online *o, plb_value value, enum plb_tier tier)
{
    add_due(o, plb__online_next(o, value), transfer_seconds(o, tier, false, value));
    if (o->copy[value] != PLB_DEVICE)
        return PLB_OK;
    o->link_free[tier] =
        fmax(o->made_at[value], o->link_free[tier]) + transfer_seconds(o, tier, true, value);
    share_link(o, tier);
    o->copy[value] = tier;
    o->away[tier] += o->bytes[value];
    return plb_plan_append(&o->result.draft, (struct plb_instruction){PLB_OFFLOAD, value, 0, tier});
}

enum plb_status plb__online_fetch(struct plb__online *o, plb_value value)
{
    uint32_t at = plb__online_next(o, value);

    double seconds = transfer_seconds(o, o->copy[value], false, value);

    if (at != PLB_NONE)
        add_due(o, at, -seconds);
    o->back_free = fmax(o->back_free, clock_of(o, o->now)) + seconds;
    share_link(o, o->copy[value]);
    return plb_plan_append(&o->result.draft,
                           (struct plb_instruction){PLB_FETCH, value, 0, o->copy[value]});
}

bool plb__online_is_due(const struct plb__online *o, uint32_t at)
{
    double whole = o->time[plb_graph_tasks(o->graph)] / o->problem->platform->workers;
    double begin = fmax(o->back_free, clock_of(o, o->now));

    return clock_of(o, at) - begin <= o->weights.lead * whole;
}

void plb__online_made(struct plb__online *o, plb_value value)
{
    uint32_t at = plb__online_next(o, value);

    if (o->copy[value] != PLB_DEVICE && at != PLB_NONE)
        add_due(o, at, -transfer_seconds(o, o->copy[value], false, value));
    o->made_at[value] =
        clock_of(o, o->now) + o->problem->seconds[o->maker[value]] /
                                  o->problem->platform->workers;
}

void plb__online_end_copy(struct plb__online *o, plb_value value)
{
    if (o->copy[value] == PLB_DEVICE)
        return;
    o->away[o->copy[value]] -= o->bytes[value];
    o->copy[value] = PLB_DEVICE;
}
