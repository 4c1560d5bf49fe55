/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three ways of placing blocks.
 *
 * By class: a block that ends leaves a place of its size behind, which serves blocks of nearly that
 * size, in turn. Workers do not take tasks in the order of the program, so it helps them much that
 * the place which has been free for longest comes first.
 *
 * By time: a list of gaps; a block that begins takes the tightest one, a block that ends gives its
 * bytes back. A gap of exactly the right size, the lowest of several, comes first, so that blocks
 * of one size follow each other in one place.
 *
 * By size: the largest first, each in the tightest gap that those which were placed before and
 * exist at the same time leave.
 */
#include "config.h"

#include "runtime/plan/place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- by class ---- */

/* A place may be larger than its block by an eighth and a page: more waste would not pay. */
#define WASTE_SHIFT 3
#define WASTE_BYTES 4096u

struct spots {
    uint32_t n_free;
    size_t *bytes;     /* per block: of the place that it lies in */
    uint32_t *leaving; /* blocks that left free places, in order */
};

/* Number of the free place for a block, or that of none. */
static uint32_t find_spot(const struct spots *spots, size_t bytes)
{
    size_t most = bytes + (bytes >> WASTE_SHIFT) + WASTE_BYTES, best = SIZE_MAX;
    uint32_t found = spots->n_free;

    for (uint32_t f = 0; f < spots->n_free; f++) {
        size_t have = spots->bytes[spots->leaving[f]];

        if (have < bytes || have > most || have >= best)
            continue;
        best = have;
        found = f;
    }
    return found;
}

/* Block k takes over a free place, or a new one at the top. */
static void settle(const struct plb__blocks *blocks, struct spots *spots, uint32_t k, size_t *top)
{
    struct plb__block *block = &blocks->block[k];
    uint32_t f = find_spot(spots, block->bytes);

    if (f == spots->n_free) {
        block->offset = *top;
        spots->bytes[k] = block->bytes;
        *top += block->bytes;
        return;
    }
    block->offset = blocks->block[spots->leaving[f]].offset;
    spots->bytes[k] = spots->bytes[spots->leaving[f]];
    spots->n_free--;
    memmove(&spots->leaving[f], &spots->leaving[f + 1],
            (spots->n_free - f) * sizeof *spots->leaving);
}

enum plb_status plb__place_by_class(const struct plb__blocks *blocks, size_t capacity,
                                    size_t *bytes_out)
{
    size_t n = (size_t)blocks->n + 1, top = 0;
    struct spots spots = {0, malloc(n * sizeof *spots.bytes), malloc(n * sizeof *spots.leaving)};
    enum plb_status status = PLB_OK;
    uint32_t ended = 0;

    if (!spots.bytes || !spots.leaving) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to place %u blocks", blocks->n);
        goto free_lists;
    }
    for (uint32_t k = 0; k < blocks->n && top <= capacity; k++) {
        for (; ended < blocks->n; ended++) {
            if (blocks->block[blocks->by_end[ended]].end > blocks->block[k].begin)
                break;
            spots.leaving[spots.n_free++] = blocks->by_end[ended];
        }
        settle(blocks, &spots, k, &top);
    }
    *bytes_out = top > capacity ? SIZE_MAX : top;
free_lists:
    free(spots.bytes);
    free(spots.leaving);
    return status;
}

/* ---- by time ---- */

struct gap {
    size_t offset, bytes;
};

struct gaps {
    uint32_t n;
    struct gap *gap; /* in order of offset; never two that touch */
};

static void remove_gap(struct gaps *gaps, uint32_t k)
{
    gaps->n--;
    memmove(&gaps->gap[k], &gaps->gap[k + 1], (gaps->n - k) * sizeof *gaps->gap);
}

/* Number of the tightest gap. The last one reaches to the end of all memory. */
static uint32_t find_gap(const struct gaps *gaps, size_t bytes)
{
    uint32_t best = gaps->n - 1;

    for (uint32_t k = 0; k < gaps->n; k++) {
        if (gaps->gap[k].bytes == bytes)
            return k;
        if (gaps->gap[k].bytes > bytes && gaps->gap[k].bytes < gaps->gap[best].bytes)
            best = k;
    }
    return best;
}

static size_t take(struct gaps *gaps, uint32_t k, size_t bytes)
{
    size_t offset = gaps->gap[k].offset;

    gaps->gap[k].offset += bytes;
    gaps->gap[k].bytes -= bytes;
    if (gaps->gap[k].bytes == 0)
        remove_gap(gaps, k);
    return offset;
}

static void give_back(struct gaps *gaps, size_t offset, size_t bytes)
{
    uint32_t low = 0, high = gaps->n;
    bool joins_left, joins_right;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (gaps->gap[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    joins_left = low > 0 && gaps->gap[low - 1].offset + gaps->gap[low - 1].bytes == offset;
    joins_right = low < gaps->n && offset + bytes == gaps->gap[low].offset;
    if (joins_left && joins_right) {
        gaps->gap[low - 1].bytes += bytes + gaps->gap[low].bytes;
        remove_gap(gaps, low);
    } else if (joins_left) {
        gaps->gap[low - 1].bytes += bytes;
    } else if (joins_right) {
        gaps->gap[low].offset = offset;
        gaps->gap[low].bytes += bytes;
    } else {
        memmove(&gaps->gap[low + 1], &gaps->gap[low], (gaps->n - low) * sizeof *gaps->gap);
        gaps->gap[low] = (struct gap){offset, bytes};
        gaps->n++;
    }
}

enum plb_status plb__place_by_time(const struct plb__blocks *blocks, size_t capacity,
                                   size_t *bytes_out)
{
    struct gaps gaps = {.n = 1, .gap = malloc(((size_t)blocks->n + 2) * sizeof *gaps.gap)};
    size_t top = 0;
    uint32_t ended = 0;

    if (!gaps.gap)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place %u blocks", blocks->n);
    gaps.gap[0] = (struct gap){0, SIZE_MAX}; /* the widest: chosen when no other does */
    for (uint32_t k = 0; k < blocks->n; k++) {
        struct plb__block *block = &blocks->block[k];

        for (; ended < blocks->n; ended++) {
            const struct plb__block *old = &blocks->block[blocks->by_end[ended]];

            if (old->end > block->begin)
                break;
            give_back(&gaps, old->offset, old->bytes);
        }
        block->offset = take(&gaps, find_gap(&gaps, block->bytes), block->bytes);
        if (block->offset + block->bytes > top)
            top = block->offset + block->bytes;
        if (top > capacity)
            break;
    }
    free(gaps.gap);
    *bytes_out = top > capacity ? SIZE_MAX : top;
    return PLB_OK;
}

/* ---- by size ---- */

static int compare(const void *left, const void *right)
{
    const struct plb__block *a = *(struct plb__block *const *)left;
    const struct plb__block *b = *(struct plb__block *const *)right;

    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The time of all blocks is divided into parts. Each knows the blocks placed so far that exist in
 * it, in order of offset, so that one that exists but a short time need not look at all others. */
#define PARTS 64u
/* One that is there for more parts than that looks at all. */
#define PARTS_MOST 3u

struct placed {
    uint32_t n;
    struct plb__block **block;
};

struct parts {
    uint32_t length; /* instructions of a part */
    struct placed part[PARTS], all;
    struct plb__block **storage; /* of the parts */
};

static void find_parts(const struct parts *parts, const struct plb__block *block, uint32_t *first,
                       uint32_t *last)
{
    *first = block->begin / parts->length;
    *last = block->end > block->begin ? (block->end - 1) / parts->length : *first;
}

/* The gap that is tightest so far, while others are gone through by offset. */
struct fitting {
    size_t top, best, offset;
};

static void pass(struct fitting *f, const struct plb__block *block, const struct plb__block *other)
{
    if (other->end <= block->begin || block->end <= other->begin)
        return;
    if (other->offset > f->top && other->offset - f->top >= block->bytes &&
        other->offset - f->top < f->best) {
        f->best = other->offset - f->top;
        f->offset = f->top;
    }
    if (other->offset + other->bytes > f->top)
        f->top = other->offset + other->bytes;
}

/* Goes through the blocks of n lists together, by offset; one may come by twice. */
static size_t tightest_gap(const struct plb__block *block, const struct placed *list, uint32_t n)
{
    struct fitting f = {0, SIZE_MAX, 0};
    uint32_t at[PARTS_MOST] = {0};

    while (f.best != block->bytes) {
        uint32_t least = n;

        for (uint32_t k = 0; k < n; k++)
            if (at[k] < list[k].n &&
                (least == n ||
                 list[k].block[at[k]]->offset < list[least].block[at[least]]->offset))
                least = k;
        if (least == n)
            break;
        pass(&f, block, list[least].block[at[least]++]);
    }
    return f.best == SIZE_MAX ? f.top : f.offset;
}

static size_t find_offset(const struct parts *parts, const struct plb__block *block)
{
    uint32_t first, last;

    find_parts(parts, block, &first, &last);
    if (last - first < PARTS_MOST)
        return tightest_gap(block, &parts->part[first], last - first + 1);
    return tightest_gap(block, &parts->all, 1);
}

static void insert(struct plb__block *block, struct placed *list)
{
    uint32_t low = 0, high = list->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (list->block[middle]->offset < block->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&list->block[low + 1], &list->block[low], (list->n - low) * sizeof *list->block);
    list->block[low] = block;
    list->n++;
}

static void put(struct parts *parts, struct plb__block *block)
{
    uint32_t first, last;

    find_parts(parts, block, &first, &last);
    for (uint32_t k = first; k <= last; k++)
        insert(block, &parts->part[k]);
    insert(block, &parts->all);
}

/* Room in each part for the blocks that exist in it. */
static enum plb_status make_parts(const struct plb__blocks *blocks, struct parts *parts)
{
    uint32_t n[PARTS] = {0}, end = 1, first, last;
    size_t sum = 0;

    for (uint32_t k = 0; k < blocks->n; k++)
        if (blocks->block[k].end > end)
            end = blocks->block[k].end;
    parts->length = (end + PARTS - 1) / PARTS;
    for (uint32_t k = 0; k < blocks->n; k++) {
        find_parts(parts, &blocks->block[k], &first, &last);
        for (uint32_t part = first; part <= last; part++, sum++)
            n[part]++;
    }
    parts->storage = malloc((sum + blocks->n + 1) * sizeof(*parts->storage));
    if (!parts->storage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place %u blocks", blocks->n);
    parts->all.block = parts->storage + sum;
    sum = 0;
    for (uint32_t part = 0; part < PARTS; sum += n[part++])
        parts->part[part].block = parts->storage + sum;
    return PLB_OK;
}

enum plb_status plb__place_by_size(const struct plb__blocks *blocks, size_t *bytes_out)
{
    uint32_t n = blocks->n;
    struct plb__block **order = malloc(((size_t)n + 1) * sizeof *order);
    struct parts parts = {.length = 1};
    enum plb_status status;
    size_t top = 0;

    if (!order)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place %u blocks", n);
    for (uint32_t k = 0; k < n; k++)
        order[k] = &blocks->block[k];
    qsort(order, n, sizeof *order, compare);
    status = make_parts(blocks, &parts);
    for (uint32_t k = 0; k < n && status == PLB_OK; k++) {
        order[k]->offset = find_offset(&parts, order[k]);
        put(&parts, order[k]);
        if (order[k]->offset + order[k]->bytes > top)
            top = order[k]->offset + order[k]->bytes;
    }
    *bytes_out = top;
    free(parts.storage);
    free(order);
    return status;
}
