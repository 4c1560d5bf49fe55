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

/* What may be spent on rest: this part of the least that the copies need. */
#define UNLIMITED_SPARE 32
#define LIMITED_SPARE   8
/* Placing so many blocks by size takes some ten milliseconds; without a limit more is not worth it. */
#define BY_SIZE_BLOCKS  6000u

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

/* ---- the slots of one tier ---- */

struct placing {
    const struct plb__walk *walk;
    const struct plb_limits *limits;
    uint32_t n_instructions;
    enum plb_tier tier;
    struct plb__blocks blocks;
    uint32_t *slot;  /* of each block */
    uint32_t *count; /* room to sort by end */
};

static void add_block(struct placing *p, uint32_t k)
{
    const struct plb_slot *slot = &p->walk->slot[k];
    uint32_t last = p->n_instructions + 1;
    bool held = p->walk->keeper[k] == k;

    p->slot[p->blocks.n] = k;
    p->blocks.block[p->blocks.n++] =
        (struct plb__block){.bytes = aligned(slot->bytes),
                            .begin = held ? 0 : slot->begin,
                            .end = held || slot->end == p->n_instructions ? last : slot->end};
}

/* All but those of initial values, and those that lie where another one of the same gradient did.
 * What is held comes first: it begins first. */
static void choose_slots(struct placing *p)
{
    p->blocks.n = 0;
    for (uint32_t k = 0; k < p->walk->n_slots; k++)
        if (p->walk->slot[k].tier == p->tier && p->walk->keeper[k] == k)
            add_block(p, k);
    for (uint32_t k = 0; k < p->walk->n_slots; k++)
        if (p->walk->slot[k].tier == p->tier && p->walk->keeper[k] == PLB_NONE &&
            p->walk->slot[k].initial == PLB_NONE)
            add_block(p, k);
}

static void sort_by_end(struct placing *p)
{
    uint32_t sum = 0;

    memset(p->count, 0, ((size_t)p->n_instructions + 2) * sizeof *p->count);
    for (uint32_t j = 0; j < p->blocks.n; j++)
        p->count[p->blocks.block[j].end]++;
    for (uint32_t i = 0; i < p->n_instructions + 2; i++) {
        uint32_t here = p->count[i];

        p->count[i] = sum;
        sum += here;
    }
    for (uint32_t j = 0; j < p->blocks.n; j++)
        p->blocks.by_end[p->count[p->blocks.block[j].end]++] = j;
}

/* ---- how long memory rests ---- */

/* Bytes of the tier that are not the arena's. */
static size_t other_bytes(const struct placing *p)
{
    return p->tier == PLB_DEVICE ? p->walk->initial_bytes + p->limits->reserved : 0;
}

/* The arena takes no less than the copies at the peak. */
static size_t least_bytes(const struct placing *p)
{
    return p->walk->peak[p->tier] - (p->tier == PLB_DEVICE ? p->walk->initial_bytes : 0);
}

/* The longest rest that the bytes allow; SIZE_MAX when even none is too much. */
static enum plb_status place_resting(struct placing *p, size_t capacity, size_t *bytes_out)
{
    static const uint32_t rest[] = {64, 16, 4, 0};

    for (size_t k = 0; k < sizeof rest / sizeof rest[0]; k++) {
        PLB_TRY(plb__place_by_time(&p->blocks, rest[k], capacity, bytes_out));
        if (*bytes_out != SIZE_MAX)
            return PLB_OK;
    }
    return PLB_OK;
}

static enum plb_status refuse(const struct placing *p, size_t arena)
{
    return plb_fail(PLB_ERROR_MEMORY, "the plan takes %zu bytes of the %s, the limit is %zu",
                    arena + other_bytes(p), plb_tier_name(p->tier), p->limits->bytes[p->tier]);
}

static enum plb_status place_blocks(struct placing *p, size_t *arena_out)
{
    size_t limit = p->limits->bytes[p->tier], least = least_bytes(p);
    size_t room = limit == SIZE_MAX ? SIZE_MAX : limit - other_bytes(p);
    size_t spare = limit == SIZE_MAX ? least / UNLIMITED_SPARE : least / LIMITED_SPARE;
    size_t capacity = least + spare < room ? least + spare : room;

    if (other_bytes(p) > limit || least > room)
        return refuse(p, least);
    PLB_TRY(place_resting(p, capacity, arena_out));
    if (*arena_out != SIZE_MAX)
        return PLB_OK;
    if (limit == SIZE_MAX && p->blocks.n > BY_SIZE_BLOCKS)
        return plb__place_by_time(&p->blocks, 0, SIZE_MAX, arena_out);
    PLB_TRY(plb__place_by_size(&p->blocks, arena_out));
    return *arena_out <= room ? PLB_OK : refuse(p, *arena_out);
}

static enum plb_status place_tier(struct placing *p, size_t *arena_out)
{
    choose_slots(p);
    sort_by_end(p);
    PLB_TRY(place_blocks(p, arena_out));
    for (uint32_t j = 0; j < p->blocks.n; j++)
        p->walk->slot[p->slot[j]].offset = p->blocks.block[j].offset;
    return PLB_OK;
}

static enum plb_status place_all(const struct plb__walk *walk, uint32_t n_instructions,
                                 const struct plb_limits *limits, size_t arena_out[PLB_TIERS])
{
    struct placing p = {.walk = walk, .limits = limits, .n_instructions = n_instructions};
    size_t room = (size_t)walk->n_slots + 1;
    enum plb_status status = PLB_OK;

    p.slot = malloc(room * sizeof *p.slot);
    p.blocks.block = malloc(room * sizeof *p.blocks.block);
    p.blocks.by_end = malloc(room * sizeof *p.blocks.by_end);
    p.count = malloc(((size_t)n_instructions + 2) * sizeof *p.count);
    if (!p.slot || !p.blocks.block || !p.blocks.by_end || !p.count)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to place %u slots", walk->n_slots);
    for (int tier = 0; status == PLB_OK && tier < PLB_TIERS; tier++) {
        p.tier = (enum plb_tier)tier;
        status = place_tier(&p, &arena_out[tier]);
    }
    free(p.slot);
    free(p.blocks.block);
    free(p.blocks.by_end);
    free(p.count);
    for (uint32_t k = 0; k < walk->n_slots; k++)
        if (walk->keeper[k] != PLB_NONE)
            walk->slot[k].offset = walk->slot[walk->keeper[k]].offset;
    return status;
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
    status = place_all(&walk, plan->n, limits, layout.arena);
    take_walk(&walk, &layout);
    if (status == PLB_OK)
        status = plb__layout_find_waits(&layout, plan->n);
    if (status == PLB_OK)
        *layout_out = layout;
    else
        plb_layout_clear(&layout);
    return status;
}
