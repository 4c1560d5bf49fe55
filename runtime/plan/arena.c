/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arenas of a layout: which blocks there are, and how long memory rests between two of them: as
 * long as there is room for.
 */
#include "config.h"

#include "runtime/plan/arena.h"

#include "runtime/plan/place.h"

#include <stdlib.h>
#include <string.h>

/* What may be spent on rest: this part of the least that the copies need. */
#define SPARE_PART 8
/* Placing so many blocks by size takes some ten milliseconds; more is not worth it unless a limit
 * asks for it. */
#define BY_SIZE_BLOCKS 6000u

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
    sort_by_end(p);
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
    static const uint32_t rest[] = {512, 128, 32, 8, 0};

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

/* Without rest: by size, which is tightest but for rare cases. */
static enum plb_status place_tightly(struct placing *p, size_t *bytes_out)
{
    size_t bytes;

    PLB_TRY(plb__place_by_time(&p->blocks, 0, SIZE_MAX, &bytes));
    if (p->blocks.n <= BY_SIZE_BLOCKS || p->limits->bytes[p->tier] != SIZE_MAX) {
        PLB_TRY(plb__place_by_size(&p->blocks, bytes_out));
        if (*bytes_out <= bytes)
            return PLB_OK;
    }
    return plb__place_by_time(&p->blocks, 0, SIZE_MAX, bytes_out);
}

static enum plb_status place_blocks(struct placing *p, size_t *arena_out)
{
    size_t limit = p->limits->bytes[p->tier], least = least_bytes(p);
    size_t room = limit == SIZE_MAX ? SIZE_MAX : limit - other_bytes(p);
    size_t spare = least / SPARE_PART;

    if (other_bytes(p) > limit || least > room)
        return refuse(p, least);
    PLB_TRY(place_resting(p, spare < room - least ? least + spare : room, arena_out));
    if (*arena_out != SIZE_MAX)
        return PLB_OK;
    PLB_TRY(place_tightly(p, arena_out));
    return *arena_out <= room ? PLB_OK : refuse(p, *arena_out);
}

/* ---- from outside ---- */

static void clear(struct placing *p)
{
    free(p->slot);
    free(p->blocks.block);
    free(p->blocks.by_end);
    free(p->count);
}

static enum plb_status prepare(struct placing *p, const struct plb__walk *walk,
                               uint32_t n_instructions, const struct plb_limits *limits)
{
    size_t room = (size_t)walk->n_slots + 1;

    *p = (struct placing){.walk = walk, .limits = limits, .n_instructions = n_instructions};
    p->slot = malloc(room * sizeof *p->slot);
    p->blocks.block = malloc(room * sizeof *p->blocks.block);
    p->blocks.by_end = malloc(room * sizeof *p->blocks.by_end);
    p->count = malloc(((size_t)n_instructions + 2) * sizeof *p->count);
    if (p->slot && p->blocks.block && p->blocks.by_end && p->count)
        return PLB_OK;
    clear(p);
    return plb_fail(PLB_ERROR_MEMORY, "no memory to place %u slots", walk->n_slots);
}

static enum plb_status place_tier(struct placing *p, enum plb_tier tier, size_t *arena_out)
{
    p->tier = tier;
    choose_slots(p);
    PLB_TRY(place_blocks(p, arena_out));
    for (uint32_t j = 0; j < p->blocks.n; j++)
        p->walk->slot[p->slot[j]].offset = p->blocks.block[j].offset;
    return PLB_OK;
}

enum plb_status plb__arena_place(const struct plb__walk *walk, uint32_t n_instructions,
                                 const struct plb_limits *limits, size_t arena_out[PLB_TIERS])
{
    struct placing p;
    enum plb_status status;

    PLB_TRY(prepare(&p, walk, n_instructions, limits));
    status = place_tier(&p, PLB_DEVICE, &arena_out[PLB_DEVICE]);
    for (int tier = PLB_DEVICE + 1; status == PLB_OK && tier < PLB_TIERS; tier++)
        status = place_tier(&p, (enum plb_tier)tier, &arena_out[tier]);
    clear(&p);
    if (status != PLB_OK)
        return status;
    for (uint32_t k = 0; k < walk->n_slots; k++)
        if (walk->keeper[k] != PLB_NONE)
            walk->slot[k].offset = walk->slot[walk->keeper[k]].offset;
    return PLB_OK;
}

enum plb_status plb__arena_least(const struct plb__walk *walk, uint32_t n_instructions,
                                 size_t *bytes_out)
{
    const struct plb_limits none = plb_limits_none();
    struct placing p;
    enum plb_status status;

    PLB_TRY(prepare(&p, walk, n_instructions, &none));
    p.tier = PLB_DEVICE;
    choose_slots(&p);
    status = place_tightly(&p, bytes_out);
    clear(&p);
    return status;
}
