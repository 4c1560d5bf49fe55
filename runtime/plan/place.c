/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Greedy by size: the largest block first, each in the tightest gap that those which were placed
 * before and exist at the same time leave.
 */
#include "config.h"

#include "runtime/plan/place.h"

#include <stdlib.h>
#include <string.h>

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

/* `placed` is in order of offset. */
static size_t tightest_gap(const struct plb__block *block, struct plb__block *const *placed,
                           uint32_t n)
{
    size_t top = 0, best = SIZE_MAX, offset = 0;

    for (uint32_t k = 0; k < n; k++) {
        const struct plb__block *other = placed[k];

        if (other->end <= block->begin || block->end <= other->begin)
            continue;
        if (other->offset > top && other->offset - top >= block->bytes &&
            other->offset - top < best) {
            best = other->offset - top;
            offset = top;
        }
        if (other->offset + other->bytes > top)
            top = other->offset + other->bytes;
    }
    return best == SIZE_MAX ? top : offset;
}

static void insert(struct plb__block *block, struct plb__block **placed, uint32_t n)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (placed[middle]->offset < block->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&placed[low + 1], &placed[low], (n - low) * sizeof *placed);
    placed[low] = block;
}

enum plb_status plb__place(struct plb__block *block, uint32_t n, size_t *bytes_out)
{
    struct plb__block **order = malloc(((size_t)n + 1) * sizeof *order);
    struct plb__block **placed = malloc(((size_t)n + 1) * sizeof *placed);
    enum plb_status status = PLB_OK;

    *bytes_out = 0;
    if (!order || !placed) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to place %u blocks", n);
        goto free_lists;
    }
    for (uint32_t k = 0; k < n; k++)
        order[k] = &block[k];
    qsort(order, n, sizeof *order, compare);
    for (uint32_t k = 0; k < n; k++) {
        order[k]->offset = tightest_gap(order[k], placed, k);
        insert(order[k], placed, k);
        if (order[k]->offset + order[k]->bytes > *bytes_out)
            *bytes_out = order[k]->offset + order[k]->bytes;
    }
free_lists:
    free(order);
    free(placed);
    return status;
}
