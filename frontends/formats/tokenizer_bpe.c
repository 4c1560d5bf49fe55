/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Byte-pair encoding of one word: its bytes become tokens, and while two neighbours have a merge,
 * the pair with the lowest rank, the leftmost among equals, becomes one token.
 *
 * The symbols of a word are a linked list in an array and the possible merges a heap, so that a
 * word of n bytes takes n log n steps: a text without spaces must not take n^2. A candidate is not
 * removed when one of its symbols is merged otherwise; it is seen to be stale when it comes up.
 */
#include "config.h"

#include <stdlib.h>

#include "frontends/formats/tokenizer_internal.h"

struct plb__symbol {
    int32_t token; /* -1: merged into the one before */
    int32_t before;
    int32_t next; /* -1 at the ends */
};

struct plb__candidate {
    uint32_t rank;
    int32_t at;    /* the left symbol */
    int32_t token; /* what the pair becomes */
    uint64_t pair;
};

static const uint64_t NO_PAIR = UINT64_MAX;

enum { FIRST_CAPACITY = 64 };

enum plb_status plb__token_list_append(struct plb__token_list *list, int32_t token)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : FIRST_CAPACITY;
        int32_t *grown = realloc(list->tokens, capacity * sizeof *grown);
        if (grown == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu tokens", capacity);
        list->tokens = grown;
        list->capacity = capacity;
    }
    list->tokens[list->count++] = token;
    return PLB_OK;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* Mixes all bits of a pair into the low ones (the finaliser of MurmurHash3). */
static size_t slot_of(const struct plb__bpe *bpe, uint64_t pair)
{
    pair ^= pair >> 33;
    pair *= UINT64_C(0xff51afd7ed558ccd);
    pair ^= pair >> 33;
    pair *= UINT64_C(0xc4ceb9fe1a85ec53);
    pair ^= pair >> 33;
    return (size_t)pair & (bpe->merge_slots - 1);
}

/* The slot of the pair, or the empty one where it would go. There is always an empty one. */
static struct plb__merge *find_slot(const struct plb__bpe *bpe, uint64_t pair)
{
    size_t slot = slot_of(bpe, pair);
    while (bpe->merges[slot].pair != pair && bpe->merges[slot].pair != NO_PAIR)
        slot = (slot + 1) & (bpe->merge_slots - 1);
    return &bpe->merges[slot];
}

enum plb_status plb__bpe_reserve(struct plb__bpe *bpe, size_t count)
{
    size_t slots = 2;
    while (slots < 2 * count)
        slots *= 2;
    bpe->merges = malloc(slots * sizeof *bpe->merges);
    if (bpe->merges == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu merges", count);
    bpe->merge_slots = slots;
    for (size_t i = 0; i < slots; i++)
        bpe->merges[i].pair = NO_PAIR;
    return PLB_OK;
}

void plb__bpe_add(struct plb__bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t token)
{
    uint64_t pair = pair_of(left, right);
    *find_slot(bpe, pair) = (struct plb__merge){pair, rank, token};
}

static bool comes_first(const struct plb__candidate *a, const struct plb__candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

/* The heap has room: a word of n symbols has n - 1 pairs at first, and each of its at most n - 1
 * merges adds two, so 3 n is enough. */
static void heap_push(struct plb__bpe_scratch *scratch, struct plb__candidate entry)
{
    size_t i = scratch->heap_count++;
    while (i > 0 && comes_first(&entry, &scratch->heap[(i - 1) / 2])) {
        scratch->heap[i] = scratch->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    scratch->heap[i] = entry;
}

static struct plb__candidate heap_pop(struct plb__bpe_scratch *scratch)
{
    struct plb__candidate top = scratch->heap[0];
    struct plb__candidate last = scratch->heap[--scratch->heap_count];
    size_t i = 0, count = scratch->heap_count;
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && comes_first(&scratch->heap[child + 1], &scratch->heap[child]))
            child++;
        if (!comes_first(&scratch->heap[child], &last))
            break;
        scratch->heap[i] = scratch->heap[child];
    }
    scratch->heap[i] = last;
    return top;
}

/* Puts the pair that begins at symbol `at` on the heap, if it has a merge. */
static void offer(const struct plb__bpe *bpe, struct plb__bpe_scratch *scratch, int32_t at)
{
    const struct plb__symbol *left = &scratch->symbols[at];
    if (left->next < 0)
        return;
    uint64_t pair = pair_of(left->token, scratch->symbols[left->next].token);
    const struct plb__merge *merge = find_slot(bpe, pair);
    if (merge->pair == pair)
        heap_push(scratch, (struct plb__candidate){merge->rank, at, merge->token, pair});
}

static enum plb_status reserve(struct plb__bpe_scratch *scratch, size_t symbols)
{
    if (symbols <= scratch->symbol_capacity)
        return PLB_OK;
    size_t wanted = symbols > FIRST_CAPACITY ? symbols : FIRST_CAPACITY;
    struct plb__symbol *grown = realloc(scratch->symbols, wanted * sizeof *grown);
    if (grown == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a word of %zu bytes", symbols);
    scratch->symbols = grown;
    struct plb__candidate *heap = realloc(scratch->heap, 3 * wanted * sizeof *heap);
    if (heap == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a word of %zu bytes", symbols);
    scratch->heap = heap;
    scratch->symbol_capacity = wanted;
    return PLB_OK;
}

/* One symbol a byte, without the bytes that are not in the vocabulary. Returns how many. */
static size_t fill_symbols(const struct plb__bpe *bpe, const unsigned char *word, size_t bytes,
                           struct plb__symbol *symbols)
{
    size_t count = 0;
    bool after_unknown = false;
    for (size_t i = 0; i < bytes; i++) {
        int32_t token = bpe->byte_token[word[i]];
        bool unknown = token < 0;
        if (unknown)
            token = bpe->unknown;
        if (token < 0 || (unknown && after_unknown && bpe->fuse_unknown))
            continue;
        after_unknown = unknown;
        symbols[count] = (struct plb__symbol){token, (int32_t)count - 1, (int32_t)count + 1};
        count++;
    }
    if (count > 0)
        symbols[count - 1].next = -1;
    return count;
}

/* Merges symbol `at` with the one after it. */
static void join(struct plb__symbol *symbols, int32_t at, int32_t token)
{
    int32_t right = symbols[at].next;
    symbols[at].token = token;
    symbols[at].next = symbols[right].next;
    symbols[right].token = -1;
    if (symbols[at].next >= 0)
        symbols[symbols[at].next].before = at;
}

static void merge_symbols(const struct plb__bpe *bpe, struct plb__bpe_scratch *scratch,
                          size_t count)
{
    struct plb__symbol *symbols = scratch->symbols;
    scratch->heap_count = 0;
    for (size_t i = 0; i + 1 < count; i++)
        offer(bpe, scratch, (int32_t)i);
    while (scratch->heap_count > 0) {
        struct plb__candidate best = heap_pop(scratch);
        int32_t right = symbols[best.at].next;
        if (symbols[best.at].token < 0 || right < 0 ||
            pair_of(symbols[best.at].token, symbols[right].token) != best.pair)
            continue; /* stale */
        join(symbols, best.at, best.token);
        if (symbols[best.at].before >= 0)
            offer(bpe, scratch, symbols[best.at].before);
        offer(bpe, scratch, best.at);
    }
}

enum plb_status plb__bpe_encode(const struct plb__bpe *bpe, const unsigned char *word, size_t bytes,
                                struct plb__bpe_scratch *scratch, struct plb__token_list *list)
{
    PLB_TRY(reserve(scratch, bytes));
    size_t count = fill_symbols(bpe, word, bytes, scratch->symbols);
    if (count == 0)
        return PLB_OK;
    if (bpe->merge_slots > 0)
        merge_symbols(bpe, scratch, count);
    for (int32_t at = 0; at >= 0; at = scratch->symbols[at].next)
        PLB_TRY(plb__token_list_append(list, scratch->symbols[at].token));
    return PLB_OK;
}

void plb__bpe_scratch_free(struct plb__bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
}

void plb__bpe_free(struct plb__bpe *bpe)
{
    free(bpe->merges);
}
