/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arenas of a layout: which blocks there are, and how long memory rests between two of them: as
 * long as there is room for. Blocks are placed by class where that fits, else in the order of time
 * with as much rest as does, else by size.
 */
#include "config.h"

#include "runtime/plan/arena.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/place.h"

#include <stdlib.h>
#include <string.h>

/* What may be spent on rest in the order of time: this part of the least that the copies need. */
#define SPARE_PART 8
/* ... and on places by class where there is no limit: values of very different sizes, none of which
 * fits where another was, would otherwise take several times what exists at once. */
#define SPARE_PART_BY_CLASS 2
/* or this part of all that the device holds. */
#define SPARE_PART_OF_ALL 4
/* Placing so many blocks by size takes some ten milliseconds; more is not worth it unless a limit
 * asks for it. */
#define BY_SIZE_BLOCKS 6000u
/* Instructions that memory rests: in steps of four times as long. */
#define SHORTEST_REST 8u
#define LONGEST_REST  128u

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
    uint32_t *end;   /* of each block: when it ends if it does not rest */
    size_t *live;    /* per instruction: bytes of all blocks, at rest or not */
    uint32_t *count; /* room to sort by end */
    size_t *kept;    /* room for offsets of all blocks */
};

static void add_block(struct placing *p, uint32_t k)
{
    const struct plb_slot *slot = &p->walk->slot[k];
    uint32_t last = p->n_instructions + 1;
    bool held = p->walk->keeper[k] == k;

    p->slot[p->blocks.n] = k;
    p->end[p->blocks.n] = held || slot->end == p->n_instructions ? last : slot->end;
    p->blocks.block[p->blocks.n] = (struct plb__block){
        .bytes = aligned(slot->bytes), .begin = held ? 0 : slot->begin, .end = p->end[p->blocks.n]};
    p->blocks.n++;
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
}

/* ---- how long memory rests ---- */

static void count_live(struct placing *p)
{
    size_t live = 0;

    memset(p->live, 0, ((size_t)p->n_instructions + 2) * sizeof *p->live);
    for (uint32_t j = 0; j < p->blocks.n; j++) {
        p->live[p->blocks.block[j].begin] += p->blocks.block[j].bytes;
        p->live[p->end[j]] -= p->blocks.block[j].bytes; /* modulo, until they are summed up */
    }
    for (uint32_t i = 0; i < p->n_instructions + 2; i++)
        p->live[i] = live += p->live[i];
}

/* Lets block j rest until `until`, as long as no more than `most` bytes are taken. */
static void rest_block(struct placing *p, uint32_t j, uint32_t until, size_t most)
{
    struct plb__block *block = &p->blocks.block[j];

    for (; block->end < until && p->live[block->end] + block->bytes <= most; block->end++)
        p->live[block->end] += block->bytes;
}

/* Lets blocks rest where that takes no more than `most` bytes in all: each a little, then those
 * that could, more, up to `longest` instructions. */
static void rest(struct placing *p, uint32_t longest, size_t most)
{
    uint32_t last = p->n_instructions + 1;

    for (uint32_t j = 0; j < p->blocks.n; j++)
        p->blocks.block[j].end = p->end[j];
    sort_by_end(p);
    if (longest == 0)
        return;
    count_live(p);
    for (uint32_t longer = SHORTEST_REST; longer <= longest; longer *= 4)
        for (uint32_t b = 0; b < p->blocks.n; b++) {
            uint32_t j = p->blocks.by_end[b], until = p->end[j] + longer;

            if (longer == SHORTEST_REST || p->blocks.block[j].end == p->end[j] + longer / 4)
                rest_block(p, j, until < last ? until : last, most);
        }
    sort_by_end(p);
}

/* Bytes of the tier that are not the arena's. */
static size_t other_bytes(const struct placing *p)
{
    size_t reserved = p->limits->reserved;

    if (p->tier != PLB_DEVICE)
        return p->walk->away_bytes[p->tier];
    return reserved > SIZE_MAX - p->walk->initial_bytes ? SIZE_MAX
                                                        : p->walk->initial_bytes + reserved;
}

/* The arena takes no less than the copies at the peak. */
static size_t least_bytes(const struct placing *p)
{
    return p->walk->peak[p->tier] - (p->tier == PLB_DEVICE ? p->walk->initial_bytes
                                                           : p->walk->away_bytes[p->tier]);
}

/* With as much rest as there is room for. Placed in the order of time, some percent are lost
 * between the blocks, more when they rest long. SIZE_MAX when the capacity does not do for any
 * rest. */
static enum plb_status place_resting(struct placing *p, size_t capacity, size_t *bytes_out)
{
    static const struct {
        uint32_t longest;
        uint32_t part; /* of the capacity that is left for what is lost */
    } tries[] = {{LONGEST_REST, 32},     {LONGEST_REST, 16},  {LONGEST_REST / 4, 32},
                 {LONGEST_REST / 4, 16}, {SHORTEST_REST, 64}, {SHORTEST_REST, 16}};

    for (size_t k = 0; k < sizeof tries / sizeof tries[0]; k++) {
        rest(p, tries[k].longest, capacity - capacity / tries[k].part);
        PLB_TRY(plb__place_by_time(&p->blocks, capacity, bytes_out));
        if (*bytes_out != SIZE_MAX)
            return PLB_OK;
    }
    return PLB_OK;
}

static enum plb_status refuse(const struct placing *p, size_t arena)
{
    size_t bytes = arena + other_bytes(p), limit = p->limits->bytes[p->tier];

    return plb_fail(
        PLB_ERROR_MEMORY, "the plan takes %s (%zu bytes) of the %s, %s more than the limit of %s",
        plb_bytes_text((double)bytes).text, bytes, plb_tier_name(p->tier),
        plb_bytes_text((double)(bytes - limit)).text, plb_bytes_text((double)limit).text);
}

/* Without rest: by size, which is tightest but for rare cases. */
static enum plb_status place_tightly(struct placing *p, size_t *bytes_out)
{
    size_t bytes;

    rest(p, 0, 0);
    PLB_TRY(plb__place_by_time(&p->blocks, SIZE_MAX, &bytes));
    if (p->blocks.n <= BY_SIZE_BLOCKS || p->limits->bytes[p->tier] != SIZE_MAX) {
        PLB_TRY(plb__place_by_size(&p->blocks, bytes_out));
        if (*bytes_out <= bytes)
            return PLB_OK;
    }
    return plb__place_by_time(&p->blocks, SIZE_MAX, bytes_out);
}

/* What places by class may take where there is no limit. */
static size_t generous(const struct placing *p, size_t least)
{
    size_t spare = least / SPARE_PART_BY_CLASS;
    size_t of_all = (least + other_bytes(p)) / SPARE_PART_OF_ALL;

    return least + (spare > of_all ? spare : of_all);
}

/* By size with rest at times when fewer copies exist, if the capacity does for that. */
static enum plb_status place_resting_by_size(struct placing *p, size_t least, size_t capacity,
                                             size_t *bytes_out)
{
    *bytes_out = SIZE_MAX;
    if (p->blocks.n > BY_SIZE_BLOCKS)
        return PLB_OK;
    rest(p, LONGEST_REST, least - least / 32);
    PLB_TRY(plb__place_by_size(&p->blocks, bytes_out));
    if (*bytes_out > capacity)
        *bytes_out = SIZE_MAX;
    return PLB_OK;
}

static void copy_offsets(struct placing *p, bool back)
{
    for (uint32_t j = 0; j < p->blocks.n; j++)
        if (back)
            p->blocks.block[j].offset = p->kept[j];
        else
            p->kept[j] = p->blocks.block[j].offset;
}

/* Where the order of time without rest takes too much, it does so with rest: what remains is by
 * size. */
static enum plb_status place_tight_blocks(struct placing *p, size_t least, size_t capacity,
                                          size_t room, size_t *arena_out)
{
    size_t resting;

    PLB_TRY(place_tightly(p, arena_out));
    if (*arena_out > room)
        return refuse(p, *arena_out);
    if (*arena_out > capacity)
        return PLB_OK;
    copy_offsets(p, false);
    PLB_TRY(place_resting_by_size(p, least, capacity, &resting));
    if (resting == SIZE_MAX)
        copy_offsets(p, true);
    else
        *arena_out = resting;
    return PLB_OK;
}

static enum plb_status place_blocks(struct placing *p, size_t *arena_out)
{
    size_t limit = p->limits->bytes[p->tier], least = least_bytes(p);
    size_t room = limit == SIZE_MAX ? SIZE_MAX : limit - other_bytes(p);
    size_t spare = least / SPARE_PART;
    size_t capacity = spare < room - least ? least + spare : room, without_rest;

    if (other_bytes(p) > limit || least > room)
        return refuse(p, least);
    rest(p, 0, 0);
    PLB_TRY(plb__place_by_class(&p->blocks, limit == SIZE_MAX ? generous(p, least) : room,
                                arena_out));
    if (*arena_out != SIZE_MAX)
        return PLB_OK;
    PLB_TRY(plb__place_by_time(&p->blocks, capacity, &without_rest));
    if (without_rest == SIZE_MAX)
        return place_tight_blocks(p, least, capacity, room, arena_out);
    PLB_TRY(place_resting(p, capacity, arena_out));
    if (*arena_out == SIZE_MAX)
        PLB_TRY(place_resting_by_size(p, least, capacity, arena_out));
    if (*arena_out != SIZE_MAX)
        return PLB_OK;
    rest(p, 0, 0);
    return plb__place_by_time(&p->blocks, capacity, arena_out);
}

/* ---- from outside ---- */

static void clear(struct placing *p)
{
    free(p->slot);
    free(p->end);
    free(p->live);
    free(p->blocks.block);
    free(p->blocks.by_end);
    free(p->count);
    free(p->kept);
}

static enum plb_status prepare(struct placing *p, const struct plb__walk *walk,
                               uint32_t n_instructions, const struct plb_limits *limits)
{
    size_t room = (size_t)walk->n_slots + 1;

    *p = (struct placing){.walk = walk, .limits = limits, .n_instructions = n_instructions};
    p->slot = malloc(room * sizeof *p->slot);
    p->end = malloc(room * sizeof *p->end);
    p->live = malloc(((size_t)n_instructions + 2) * sizeof *p->live);
    p->blocks.block = malloc(room * sizeof *p->blocks.block);
    p->blocks.by_end = malloc(room * sizeof *p->blocks.by_end);
    p->count = malloc(((size_t)n_instructions + 2) * sizeof *p->count);
    p->kept = malloc(room * sizeof *p->kept);
    if (p->slot && p->end && p->live && p->blocks.block && p->blocks.by_end && p->count && p->kept)
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
