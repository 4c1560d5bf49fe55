/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a program: how much its slots take in each tier at every instruction, the most of
 * it, and where a limit is passed first.
 */
#include "config.h"

#include "runtime/plan/walk.h"

#include <string.h>

struct meter {
    size_t live[PLB_TIERS], by_role[PLB_ROLES];
};

static void note_peak(struct plb__walk *walk, const struct meter *meter, uint32_t position)
{
    for (int tier = 0; tier < PLB_TIERS; tier++) {
        if (meter->live[tier] <= walk->peak[tier])
            continue;
        walk->peak[tier] = meter->live[tier];
        if (tier == PLB_DEVICE) {
            walk->peak_at = position;
            memcpy(walk->peak_by_role, meter->by_role, sizeof meter->by_role);
        }
    }
}

static void note_limits(struct plb__walk *walk, const struct meter *meter,
                        const struct plb_limits *limits, uint32_t position)
{
    for (int tier = 0; tier < PLB_TIERS; tier++) {
        size_t limit = limits->bytes[tier];
        size_t reserved = tier == PLB_DEVICE ? limits->reserved : 0;

        if (walk->over_at[tier] != PLB_NONE || limit == SIZE_MAX ||
            (meter->live[tier] <= limit && reserved <= limit - meter->live[tier]))
            continue;
        walk->over_at[tier] = position;
        walk->over_bytes[tier] = meter->live[tier] + reserved;
    }
}

static void count(struct meter *meter, const struct plb_slot *slot, bool begins)
{
    size_t change = begins ? slot->bytes : (size_t)0 - slot->bytes;

    meter->live[slot->tier] += change;
    if (slot->tier == PLB_DEVICE)
        meter->by_role[slot->role] += change;
}

/* Initial values and what is held are there from the first instruction on. */
static uint32_t count_lasting(struct plb__walk *walk, struct meter *meter)
{
    uint32_t first = 0;

    for (; first < walk->n_slots && walk->slot[first].initial != PLB_NONE; first++) {
        if (walk->slot[first].tier == PLB_DEVICE)
            walk->initial_bytes += walk->slot[first].bytes;
        else
            walk->away_bytes[walk->slot[first].tier] += walk->slot[first].bytes;
        count(meter, &walk->slot[first], true);
    }
    for (uint32_t k = first; k < walk->n_slots; k++)
        if (walk->keeper[k] == k)
            count(meter, &walk->slot[k], true);
    return first;
}

void plb__walk_count(struct plb__walk *walk, const struct plb_plan *plan,
                     const struct plb_limits *limits)
{
    struct meter meter = {{0}, {0}};
    uint32_t next = count_lasting(walk, &meter);

    memset(walk->over_at, 0xff, sizeof walk->over_at);
    note_peak(walk, &meter, 0);
    note_limits(walk, &meter, limits, plan->n);
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->instruction[i].code == PLB_DROP) {
            uint32_t k = walk->operand[walk->in_operand[i]];

            if (walk->keeper[k] == PLB_NONE)
                count(&meter, &walk->slot[k], false);
            continue;
        }
        for (; next < walk->n_slots && walk->slot[next].begin == i; next++)
            if (walk->keeper[next] == PLB_NONE)
                count(&meter, &walk->slot[next], true);
        note_peak(walk, &meter, i);
        note_limits(walk, &meter, limits, i);
    }
}
