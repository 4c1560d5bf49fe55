/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waits. The bytes of a tier are a list of ranges, each with its latest occupant; a slot that
 * begins waits for the occupants of its bytes and takes their place. Those before them need no
 * mention: the occupants waited for them. The program is gone through twice, so that the first
 * slots find the last ones of the step before; that a slot waits for its own users of the step
 * before goes without saying.
 */
#include "config.h"

#include "runtime/plan/waits.h"

#include <stdlib.h>
#include <string.h>

/* Bytes from `start` to the next range's. */
struct range {
    size_t start;
    uint32_t occupant; /* a slot, or PLB_NONE */
};

struct ranges {
    uint32_t n;
    struct range *range;
};

struct finder {
    struct plb_layout *layout;
    struct ranges tier[PLB_TIERS];
    uint32_t *occupant; /* room for those of one slot */
    uint32_t n_waits, capacity;
};

static uint32_t find_range(const struct ranges *ranges, size_t at)
{
    uint32_t low = 0, high = ranges->n;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (ranges->range[middle].start <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Makes a range start at `at` and returns its number. */
static uint32_t split(struct ranges *ranges, size_t at)
{
    uint32_t k = find_range(ranges, at);

    if (ranges->range[k].start == at)
        return k;
    memmove(&ranges->range[k + 2], &ranges->range[k + 1],
            (ranges->n - k - 1) * sizeof *ranges->range);
    ranges->range[k + 1] = (struct range){at, ranges->range[k].occupant};
    ranges->n++;
    return k + 1;
}

/* Puts the slot where it lies; `occupant_out` gets those that it replaces, each once. */
static uint32_t occupy(struct ranges *ranges, const struct plb_slot *slot, uint32_t number,
                       uint32_t *occupant_out)
{
    uint32_t first = split(ranges, slot->offset);
    uint32_t last = split(ranges, slot->offset + slot->bytes);
    uint32_t n = 0;

    for (uint32_t k = first; k < last; k++) {
        uint32_t occupant = ranges->range[k].occupant;
        bool known = occupant == PLB_NONE || occupant == number;

        for (uint32_t j = 0; j < n && !known; j++)
            known = occupant_out[j] == occupant;
        if (!known)
            occupant_out[n++] = occupant;
    }
    ranges->range[first].occupant = number;
    memmove(&ranges->range[first + 1], &ranges->range[last],
            (ranges->n - last) * sizeof *ranges->range);
    ranges->n -= last - first - 1;
    return n;
}

static enum plb_status push_waits(struct finder *f, const uint32_t *slot, uint32_t n)
{
    if (n == 0)
        return PLB_OK;
    if (f->n_waits + n > f->capacity) {
        uint32_t capacity = 2 * f->capacity + n + 256;
        uint32_t *grown = realloc(f->layout->wait, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u waits", capacity);
        f->layout->wait = grown;
        f->capacity = capacity;
    }
    memcpy(&f->layout->wait[f->n_waits], slot, n * sizeof *slot);
    f->n_waits += n;
    return PLB_OK;
}

/* The outputs of one instruction may wait for one slot. */
static uint32_t without_known(const struct finder *f, uint32_t from, uint32_t *slot, uint32_t n)
{
    uint32_t kept = 0;

    for (uint32_t j = 0; j < n; j++) {
        bool known = false;

        for (uint32_t k = from; k < f->n_waits && !known; k++)
            known = f->layout->wait[k] == slot[j];
        if (!known)
            slot[kept++] = slot[j];
    }
    return kept;
}

static enum plb_status go_through(struct finder *f, uint32_t n_instructions, bool keep)
{
    struct plb_layout *layout = f->layout;
    uint32_t next = 0;

    while (next < layout->n_slots && layout->slot[next].initial != PLB_NONE)
        next++;
    for (uint32_t i = 0; i < n_instructions; i++) {
        layout->in_wait[i] = f->n_waits;
        for (; next < layout->n_slots && layout->slot[next].begin == i; next++) {
            const struct plb_slot *slot = &layout->slot[next];
            uint32_t n = occupy(&f->tier[slot->tier], slot, next, f->occupant);

            if (!keep)
                continue;
            n = without_known(f, layout->in_wait[i], f->occupant, n);
            PLB_TRY(push_waits(f, f->occupant, n));
        }
    }
    layout->in_wait[n_instructions] = f->n_waits;
    return PLB_OK;
}

enum plb_status plb__layout_find_waits(struct plb_layout *layout, uint32_t n_instructions)
{
    struct finder f = {.layout = layout};
    enum plb_status status = PLB_OK;
    /* Each slot makes at most two new ranges, and splits before it joins. */
    size_t room = 2 * (size_t)layout->n_slots + 4;
    bool ok;

    f.occupant = malloc(room * sizeof *f.occupant);
    layout->in_wait = malloc(((size_t)n_instructions + 1) * sizeof *layout->in_wait);
    ok = f.occupant && layout->in_wait;
    for (int tier = 0; tier < PLB_TIERS; tier++) {
        f.tier[tier].range = malloc(room * sizeof *f.tier[tier].range);
        if (!f.tier[tier].range) {
            ok = false;
            continue;
        }
        f.tier[tier].n = 1;
        f.tier[tier].range[0] = (struct range){0, PLB_NONE};
    }
    if (!ok)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the waits of %u slots", layout->n_slots);
    if (status == PLB_OK)
        status = go_through(&f, n_instructions, false);
    if (status == PLB_OK)
        status = go_through(&f, n_instructions, true);
    free(f.occupant);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        free(f.tier[tier].range);
    return status;
}
