/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Learns the merges of a byte-level BPE: see plb_tokenizer_train().
 *
 * The text is reduced to its distinct words with their counts. Each pair of neighbouring tokens
 * knows how often it occurs and in which words. The most frequent pair is merged in its words,
 * which changes only the pairs beside it. The heap of pairs holds counts as they were when they
 * were pushed: an entry whose count has become smaller goes back with the new one when it comes up.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/formats/tokenizer_internal.h"
#include "runtime/base/hash.h"

enum {
    BYTES = 256,
    VOCAB_MIN = BYTES + 1,
    VOCAB_MAX = 65536,
    COUNT_MIN = 2, /* a pair that occurs once is not worth a token */
    TABLE_MIN = 1024,
};

/* Open addressing: numbers of things that live elsewhere, with their hashes. */
struct table {
    uint64_t *hashes;
    uint32_t *numbers; /* UINT32_MAX: empty */
    size_t slots;
    size_t count;
};

struct word {
    int32_t *symbols;
    uint32_t count;
    int64_t frequency;
    const unsigned char *text; /* in the caller's text */
    size_t bytes;
};

struct pair {
    int32_t left, right;
    int64_t count;
    uint32_t *words;
    uint32_t word_count, word_capacity;
    uint32_t stamp; /* the merge that made it more frequent last */
    bool merged;    /* it is in the list of merges already */
};

struct entry {
    int64_t count;
    uint32_t pair;
};

struct trainer {
    int32_t byte_token[BYTES];
    struct word *words;
    size_t word_count, word_capacity;
    struct table word_table;
    struct pair *pairs;
    size_t pair_count, pair_capacity;
    struct table pair_table;
    struct entry *heap;
    size_t heap_count, heap_capacity;
    struct plb__token_list fresh; /* pairs that the merge under way made more frequent */
    unsigned char **token_text;   /* of tokens 256 and up */
    size_t *token_bytes;
    int32_t token_count;
    struct table token_table;
    struct plb__made_merge *merges;
    size_t merge_count, merge_capacity;
};

static enum plb_status no_memory(void)
{
    return plb_fail(PLB_ERROR_MEMORY, "no memory to train a tokenizer");
}

/* Makes `*array` hold at least `count` items. */
static enum plb_status grow(void *array, size_t *capacity, size_t count, size_t item)
{
    void **pointer = array;
    if (count <= *capacity)
        return PLB_OK;
    size_t wanted = *capacity > 0 ? 2 * *capacity : TABLE_MIN;
    void *grown = realloc(*pointer, wanted * item);
    if (grown == NULL)
        return no_memory();
    *pointer = grown;
    *capacity = wanted;
    return PLB_OK;
}

/* --- tables -------------------------------------------------------------------------------------
 */

static void table_put(struct table *table, uint64_t hash, uint32_t number)
{
    size_t slot = (size_t)hash & (table->slots - 1);
    while (table->numbers[slot] != UINT32_MAX)
        slot = (slot + 1) & (table->slots - 1);
    table->hashes[slot] = hash;
    table->numbers[slot] = number;
}

static enum plb_status table_resize(struct table *table, size_t slots)
{
    struct table old = *table;
    table->hashes = malloc(slots * sizeof *table->hashes);
    table->numbers = malloc(slots * sizeof *table->numbers);
    if (table->hashes == NULL || table->numbers == NULL) {
        free(table->hashes);
        free(table->numbers);
        *table = old;
        return no_memory();
    }
    memset(table->numbers, 0xff, slots * sizeof *table->numbers);
    table->slots = slots;
    for (size_t i = 0; i < old.slots; i++) {
        if (old.numbers[i] != UINT32_MAX)
            table_put(table, old.hashes[i], old.numbers[i]);
    }
    free(old.hashes);
    free(old.numbers);
    return PLB_OK;
}

static enum plb_status table_add(struct table *table, uint64_t hash, uint32_t number)
{
    if (table->count * 2 >= table->slots)
        PLB_TRY(table_resize(table, table->slots > 0 ? 2 * table->slots : TABLE_MIN));
    table_put(table, hash, number);
    table->count++;
    return PLB_OK;
}

/* Walks the numbers that have this hash: start with `*slot` = SIZE_MAX. UINT32_MAX at the end. */
static uint32_t table_next(const struct table *table, uint64_t hash, size_t *slot)
{
    if (table->slots == 0)
        return UINT32_MAX;
    size_t at =
        *slot == SIZE_MAX ? (size_t)hash & (table->slots - 1) : (*slot + 1) & (table->slots - 1);
    while (table->numbers[at] != UINT32_MAX && table->hashes[at] != hash)
        at = (at + 1) & (table->slots - 1);
    *slot = at;
    return table->numbers[at];
}

static void table_free(struct table *table)
{
    free(table->hashes);
    free(table->numbers);
}

/* --- words --------------------------------------------------------------------------------------
 */

static enum plb_status add_word(struct trainer *trainer, uint64_t hash, const unsigned char *text,
                                size_t bytes)
{
    PLB_TRY(grow(&trainer->words, &trainer->word_capacity, trainer->word_count + 1,
                 sizeof *trainer->words));
    struct word *word = &trainer->words[trainer->word_count];
    *word = (struct word){.count = (uint32_t)bytes, .frequency = 1, .text = text, .bytes = bytes};
    word->symbols = malloc(bytes * sizeof *word->symbols);
    if (word->symbols == NULL)
        return no_memory();
    for (size_t i = 0; i < bytes; i++)
        word->symbols[i] = trainer->byte_token[text[i]];
    trainer->word_count++;
    return table_add(&trainer->word_table, hash, (uint32_t)(trainer->word_count - 1));
}

static enum plb_status count_word(void *user, const unsigned char *text, size_t bytes)
{
    struct trainer *trainer = user;
    uint64_t hash = plb_hash_bytes(text, bytes);
    size_t slot = SIZE_MAX;
    for (uint32_t i; (i = table_next(&trainer->word_table, hash, &slot)) != UINT32_MAX;) {
        struct word *word = &trainer->words[i];
        if (word->bytes == bytes && memcmp(word->text, text, bytes) == 0) {
            word->frequency++;
            return PLB_OK;
        }
    }
    return add_word(trainer, hash, text, bytes);
}

static enum plb_status count_words(struct trainer *trainer, const char *text, size_t bytes)
{
    struct plb__splitter splitter = {0};
    struct plb__split_scratch scratch;
    PLB_TRY(plb__splitter_add_gpt2(&splitter));
    enum plb_status status = plb__split_scratch_make(&splitter, &scratch);
    if (status == PLB_OK) {
        status = plb__splitter_run(&splitter, &scratch, (const unsigned char *)text, bytes,
                                   count_word, trainer);
        plb__split_scratch_free(&scratch);
    }
    plb__splitter_free(&splitter);
    return status;
}

/* --- pairs --------------------------------------------------------------------------------------
 */

static enum plb_status find_pair(struct trainer *trainer, int32_t left, int32_t right,
                                 uint32_t *pair_out)
{
    int32_t key[2] = {left, right};
    uint64_t hash = plb_hash_bytes(key, sizeof key);
    size_t slot = SIZE_MAX;
    for (uint32_t i; (i = table_next(&trainer->pair_table, hash, &slot)) != UINT32_MAX;) {
        if (trainer->pairs[i].left == left && trainer->pairs[i].right == right) {
            *pair_out = i;
            return PLB_OK;
        }
    }
    PLB_TRY(grow(&trainer->pairs, &trainer->pair_capacity, trainer->pair_count + 1,
                 sizeof *trainer->pairs));
    *pair_out = (uint32_t)trainer->pair_count;
    trainer->pairs[trainer->pair_count++] = (struct pair){.left = left, .right = right};
    return table_add(&trainer->pair_table, hash, *pair_out);
}

/* Notes `more` occurrences (fewer, when negative) of a pair in a word. */
static enum plb_status change_pair(struct trainer *trainer, int32_t left, int32_t right,
                                   uint32_t word, int64_t more)
{
    uint32_t number = 0;
    PLB_TRY(find_pair(trainer, left, right, &number));
    struct pair *pair = &trainer->pairs[number];
    pair->count += more;
    if (more < 0)
        return PLB_OK;
    uint32_t stamp = (uint32_t)trainer->merge_count + 1;
    if (pair->stamp != stamp) {
        pair->stamp = stamp;
        PLB_TRY(plb__token_list_append(&trainer->fresh, (int32_t)number));
    }
    if (pair->word_count > 0 && pair->words[pair->word_count - 1] == word)
        return PLB_OK;
    if (pair->word_count == pair->word_capacity) {
        uint32_t capacity = pair->word_capacity > 0 ? 2 * pair->word_capacity : 2;
        uint32_t *grown = realloc(pair->words, capacity * sizeof *grown);
        if (grown == NULL)
            return no_memory();
        pair->words = grown;
        pair->word_capacity = capacity;
    }
    pair->words[pair->word_count++] = word;
    return PLB_OK;
}

static enum plb_status count_pairs(struct trainer *trainer)
{
    for (size_t w = 0; w < trainer->word_count; w++) {
        const struct word *word = &trainer->words[w];
        for (uint32_t i = 0; i + 1 < word->count; i++)
            PLB_TRY(change_pair(trainer, word->symbols[i], word->symbols[i + 1], (uint32_t)w,
                                word->frequency));
    }
    return PLB_OK;
}

/* The more frequent first, then the one of the lower tokens. */
static bool comes_first(const struct trainer *trainer, struct entry a, struct entry b)
{
    const struct pair *x = &trainer->pairs[a.pair], *y = &trainer->pairs[b.pair];
    if (a.count != b.count)
        return a.count > b.count;
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static enum plb_status heap_push(struct trainer *trainer, struct entry entry)
{
    PLB_TRY(grow(&trainer->heap, &trainer->heap_capacity, trainer->heap_count + 1,
                 sizeof *trainer->heap));
    struct entry *heap = trainer->heap;
    size_t i = trainer->heap_count++;
    for (; i > 0 && comes_first(trainer, entry, heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = entry;
    return PLB_OK;
}

static struct entry heap_pop(struct trainer *trainer)
{
    struct entry *heap = trainer->heap, top = heap[0];
    struct entry last = heap[--trainer->heap_count];
    size_t i = 0, count = trainer->heap_count;
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && comes_first(trainer, heap[child + 1], heap[child]))
            child++;
        if (!comes_first(trainer, heap[child], last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static enum plb_status push_fresh(struct trainer *trainer)
{
    for (size_t i = 0; i < trainer->fresh.count; i++) {
        uint32_t pair = (uint32_t)trainer->fresh.tokens[i];
        if (trainer->pairs[pair].count >= COUNT_MIN)
            PLB_TRY(heap_push(trainer, (struct entry){trainer->pairs[pair].count, pair}));
    }
    trainer->fresh.count = 0;
    return PLB_OK;
}

/* The most frequent pair in `pair_out`; false when none is frequent enough. */
static enum plb_status best_pair(struct trainer *trainer, uint32_t *pair_out, bool *found_out)
{
    *found_out = false;
    while (trainer->heap_count > 0) {
        struct entry top = heap_pop(trainer);
        int64_t count = trainer->pairs[top.pair].count;
        if (count == top.count) {
            *pair_out = top.pair;
            *found_out = true;
            return PLB_OK;
        }
        /* One whose count has grown since has an entry of its own. */
        if (count < top.count && count >= COUNT_MIN)
            PLB_TRY(heap_push(trainer, (struct entry){count, top.pair}));
    }
    return PLB_OK;
}

/* --- merging ------------------------------------------------------------------------------------
 */

/* The pairs around a merge at symbol `i` change: those with `before`, what stands before it (-1:
 * nothing), and with what stands after it. */
static enum plb_status change_neighbours(struct trainer *trainer, uint32_t w, uint32_t i,
                                         int32_t before, int32_t token)
{
    struct word word = trainer->words[w];
    int32_t left = word.symbols[i], right = word.symbols[i + 1];
    if (before >= 0) {
        PLB_TRY(change_pair(trainer, before, left, w, -word.frequency));
        PLB_TRY(change_pair(trainer, before, token, w, word.frequency));
    }
    if (i + 2 < word.count) {
        PLB_TRY(change_pair(trainer, right, word.symbols[i + 2], w, -word.frequency));
        PLB_TRY(change_pair(trainer, token, word.symbols[i + 2], w, word.frequency));
    }
    return PLB_OK;
}

static enum plb_status merge_in_word(struct trainer *trainer, uint32_t w, int32_t left,
                                     int32_t right, int32_t token)
{
    struct word *word = &trainer->words[w];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < word->count; kept++) {
        int32_t *symbols = word->symbols;
        if (symbols[i] != left || i + 1 == word->count || symbols[i + 1] != right) {
            symbols[kept] = symbols[i++];
            continue;
        }
        PLB_TRY(change_neighbours(trainer, w, i, kept > 0 ? symbols[kept - 1] : -1, token));
        symbols[kept] = token;
        i += 2;
    }
    word->count = kept;
    return PLB_OK;
}

/* The bytes of a token: its own for 256 and up, else the one byte in `one`. */
static const unsigned char *bytes_of(const struct trainer *trainer, int32_t token,
                                     unsigned char *one, size_t *count_out)
{
    if (token >= BYTES) {
        *count_out = trainer->token_bytes[token - BYTES];
        return trainer->token_text[token - BYTES];
    }
    int byte = 0;
    while (trainer->byte_token[byte] != token)
        byte++;
    *one = (unsigned char)byte;
    *count_out = 1;
    return one;
}

/* The token with the bytes of both, an older one or a new one. */
static enum plb_status token_for(struct trainer *trainer, int32_t left, int32_t right,
                                 int32_t *token_out)
{
    unsigned char one[2];
    size_t a = 0, b = 0;
    const unsigned char *left_text = bytes_of(trainer, left, &one[0], &a);
    const unsigned char *right_text = bytes_of(trainer, right, &one[1], &b);
    unsigned char *text = malloc(a + b);
    if (text == NULL)
        return no_memory();
    memcpy(text, left_text, a);
    memcpy(text + a, right_text, b);
    uint64_t hash = plb_hash_bytes(text, a + b);
    size_t slot = SIZE_MAX;
    for (uint32_t i; (i = table_next(&trainer->token_table, hash, &slot)) != UINT32_MAX;) {
        if (trainer->token_bytes[i] == a + b && memcmp(trainer->token_text[i], text, a + b) == 0) {
            free(text);
            *token_out = (int32_t)i + BYTES;
            return PLB_OK;
        }
    }
    int32_t number = trainer->token_count - BYTES;
    trainer->token_text[number] = text;
    trainer->token_bytes[number] = a + b;
    *token_out = trainer->token_count++;
    return table_add(&trainer->token_table, hash, (uint32_t)number);
}

static enum plb_status record_merge(struct trainer *trainer, struct pair *pair, int32_t token)
{
    if (pair->merged) /* again, where an older token made new neighbours: its first rank counts */
        return PLB_OK;
    pair->merged = true;
    PLB_TRY(grow(&trainer->merges, &trainer->merge_capacity, trainer->merge_count + 1,
                 sizeof *trainer->merges));
    trainer->merges[trainer->merge_count++] =
        (struct plb__made_merge){pair->left, pair->right, token};
    return PLB_OK;
}

static enum plb_status merge_pair(struct trainer *trainer, uint32_t number)
{
    int32_t token = 0;
    struct pair pair = trainer->pairs[number];
    PLB_TRY(token_for(trainer, pair.left, pair.right, &token));
    PLB_TRY(record_merge(trainer, &trainer->pairs[number], token));
    trainer->pairs[number].words = NULL;
    trainer->pairs[number].word_count = trainer->pairs[number].word_capacity = 0;
    enum plb_status status = PLB_OK;
    for (uint32_t i = 0; status == PLB_OK && i < pair.word_count; i++)
        status = merge_in_word(trainer, pair.words[i], pair.left, pair.right, token);
    free(pair.words);
    trainer->pairs[number].count = 0;
    return status == PLB_OK ? push_fresh(trainer) : status;
}

static enum plb_status learn(struct trainer *trainer, int32_t vocab)
{
    PLB_TRY(count_pairs(trainer));
    PLB_TRY(push_fresh(trainer));
    bool found = true;
    while (trainer->token_count + 1 < vocab) {
        uint32_t pair = 0;
        PLB_TRY(best_pair(trainer, &pair, &found));
        if (!found)
            break;
        PLB_TRY(merge_pair(trainer, pair));
    }
    return PLB_OK;
}

static void free_trainer(struct trainer *trainer)
{
    for (size_t i = 0; i < trainer->word_count; i++)
        free(trainer->words[i].symbols);
    for (size_t i = 0; i < trainer->pair_count; i++)
        free(trainer->pairs[i].words);
    for (int32_t i = BYTES; i < trainer->token_count; i++)
        free(trainer->token_text[i - BYTES]);
    free(trainer->words);
    free(trainer->pairs);
    free(trainer->heap);
    free(trainer->fresh.tokens);
    free(trainer->token_text);
    free(trainer->token_bytes);
    free(trainer->merges);
    table_free(&trainer->word_table);
    table_free(&trainer->pair_table);
    table_free(&trainer->token_table);
}

/* GPT-2's order of bytes: that of the characters which stand for them. */
static void order_bytes(unsigned char order[BYTES], int32_t token[BYTES])
{
    int32_t next = 0;
    for (int own = 1; own >= 0; own--) {
        for (int byte = 0; byte < BYTES; byte++) {
            bool is_own = plb__byte_character((unsigned char)byte) == (uint32_t)byte;
            if (is_own != own)
                continue;
            order[next] = (unsigned char)byte;
            token[byte] = next++;
        }
    }
}

enum plb_status plb_tokenizer_train(const char *text, size_t bytes, int32_t vocab,
                                    plb_tokenizer_t **tokenizer_out)
{
    if (vocab < VOCAB_MIN || vocab > VOCAB_MAX)
        return plb_fail(PLB_ERROR_INVALID, "a vocabulary of %d tokens is outside of %d to %d",
                        vocab, VOCAB_MIN, VOCAB_MAX);
    if (bytes > PLB_TOKENIZER_TEXT_MAX)
        return plb_fail(PLB_ERROR_INVALID, "a text of %zu bytes is too long to train a tokenizer",
                        bytes);
    struct trainer trainer = {.token_count = BYTES};
    unsigned char order[BYTES];
    order_bytes(order, trainer.byte_token);
    trainer.token_text = calloc((size_t)vocab, sizeof *trainer.token_text);
    trainer.token_bytes = calloc((size_t)vocab, sizeof *trainer.token_bytes);
    enum plb_status status = PLB_OK;
    if (trainer.token_text == NULL || trainer.token_bytes == NULL)
        status = no_memory();
    if (status == PLB_OK)
        status = count_words(&trainer, text, bytes);
    if (status == PLB_OK)
        status = learn(&trainer, vocab);
    if (status == PLB_OK)
        status =
            plb__tokenizer_build(order, trainer.merges, trainer.merge_count, true, tokenizer_out);
    free_trainer(&trainer);
    return status;
}
