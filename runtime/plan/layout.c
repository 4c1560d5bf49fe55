/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layouts: the slots of a plan, put where they lie.
 *
 * The interpreter (walk.c) finds the slots, place.c their offsets, waits.c who waits for whom. What
 * is decided here is how long memory rests between two slots: as long as there is room for.
 */
#include "config.h"

#include "runtime/plan/layout.h"

#include "runtime/plan/place.h"
#include "runtime/plan/waits.h"
#include "runtime/plan/walk.h"

#include <stdlib.h>
#include <string.h>

size_t plb_layout_device_bytes(const struct plb_layout *layout)
{
    return layout->initial_bytes + layout->arena[PLB_DEVICE];
}

void plb_layout_clear(struct plb_layout *layout)
{
    free(layout->slot);
    free(layout->in_operand);
    free(layout->operand);
    free(layout->in_wait);
    free(layout->wait);
    *layout = (struct plb_layout){0};
}

static size_t aligned(size_t bytes)
{
    return (bytes + PLB_SLOT_ALIGNMENT - 1) / PLB_SLOT_ALIGNMENT * PLB_SLOT_ALIGNMENT;
}

/* The slots of one tier that need a place: not those of initial values, nor those that lie where
 * another one of the same gradient did. */
struct placing {
    const struct plb__walk *walk;
    uint32_t n_instructions;
    enum plb_tier tier;
    uint32_t n;
    uint32_t *slot;
    struct plb__block *block;
};

static void choose_slots(struct placing *p)
{
    p->n = 0;
    for (uint32_t k = 0; k < p->walk->n_slots; k++) {
        const struct plb_slot *slot = &p->walk->slot[k];
        uint32_t keeper = p->walk->keeper[k];

        if (slot->tier != p->tier || slot->initial != PLB_NONE ||
            (keeper != PLB_NONE && keeper != k))
            continue;
        p->slot[p->n] = k;
        p->block[p->n++] = (struct plb__block){
            .bytes = aligned(slot->bytes),
            .begin = keeper == k ? 0 : slot->begin,
            .end = keeper == k || slot->end >= p->n_instructions ? p->n_instructions + 1
                                                                 : slot->end};
    }
}

static enum plb_status place_tier(struct placing *p, size_t *arena_out)
{
    choose_slots(p);
    PLB_TRY(plb__place(p->block, p->n, arena_out));
    for (uint32_t j = 0; j < p->n; j++)
        p->walk->slot[p->slot[j]].offset = p->block[j].offset;
    return PLB_OK;
}

static enum plb_status place_all(const struct plb__walk *walk, uint32_t n_instructions,
                                 size_t arena_out[PLB_TIERS])
{
    struct placing p = {.walk = walk, .n_instructions = n_instructions};
    enum plb_status status = PLB_OK;

    p.slot = malloc(((size_t)walk->n_slots + 1) * sizeof *p.slot);
    p.block = malloc(((size_t)walk->n_slots + 1) * sizeof *p.block);
    if (!p.slot || !p.block)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to place %u slots", walk->n_slots);
    for (int tier = 0; status == PLB_OK && tier < PLB_TIERS; tier++) {
        p.tier = (enum plb_tier)tier;
        status = place_tier(&p, &arena_out[tier]);
    }
    free(p.slot);
    free(p.block);
    for (uint32_t k = 0; k < walk->n_slots; k++)
        if (walk->keeper[k] != PLB_NONE)
            walk->slot[k].offset = walk->slot[walk->keeper[k]].offset;
    return status;
}

static enum plb_status check_limits(const struct plb_layout *layout,
                                    const struct plb_limits *limits)
{
    for (int tier = 0; tier < PLB_TIERS; tier++) {
        size_t bytes = layout->arena[tier];

        if (tier == PLB_DEVICE)
            bytes += layout->initial_bytes + limits->reserved;
        if (bytes > limits->bytes[tier])
            return plb_fail(PLB_ERROR_MEMORY, "the plan takes %zu bytes of the %s, the limit is %zu",
                            bytes, plb_tier_name((enum plb_tier)tier), limits->bytes[tier]);
    }
    return PLB_OK;
}

/* What the walk found goes over into the layout. */
static void take_walk(struct plb__walk *walk, struct plb_layout *layout)
{
    layout->n_slots = walk->n_slots;
    layout->slot = walk->slot;
    layout->in_operand = walk->in_operand;
    layout->operand = walk->operand;
    layout->initial_bytes = walk->initial_bytes;
    memcpy(layout->peak, walk->peak, sizeof layout->peak);
    memcpy(layout->peak_by_role, walk->peak_by_role, sizeof layout->peak_by_role);
    layout->peak_at = walk->peak_at;
    walk->slot = NULL;
    walk->in_operand = walk->operand = NULL;
    plb__walk_clear(walk);
}

enum plb_status plb_layout_assign(const struct plb_plan *plan, const plb_graph_t *graph,
                                  const struct plb_limits *limits, struct plb_layout *layout_out)
{
    const struct plb_limits none = plb_limits_none();
    struct plb_layout layout = {0};
    struct plb__walk walk;
    enum plb_status status;

    if (!limits)
        limits = &none;
    PLB_TRY(plb__walk(plan, graph, limits, &walk));
    status = place_all(&walk, plan->n, layout.arena);
    take_walk(&walk, &layout);
    if (status == PLB_OK)
        status = check_limits(&layout, limits);
    if (status == PLB_OK)
        status = plb__layout_find_waits(&layout, plan->n);
    if (status == PLB_OK)
        *layout_out = layout;
    else
        plb_layout_clear(&layout);
    return status;
}
