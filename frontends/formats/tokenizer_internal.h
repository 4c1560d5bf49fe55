/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of a tokenizer. A text goes through them in this order: added tokens are cut out
 * (tokenizer_added.c); what is between them is split into words (tokenizer_split.c); each word's
 * bytes are merged into tokens (tokenizer_bpe.c). Internal to the formats room.
 */
#ifndef PLB_FORMATS_TOKENIZER_INTERNAL_H
#define PLB_FORMATS_TOKENIZER_INTERNAL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "runtime/base/json.h"
#include "frontends/formats/tokenizer.h"

enum {
    PLB__SPLIT_STEPS_MAX = 8,      /* pre-tokenizers in a sequence */
    PLB__TEMPLATE_TOKENS_MAX = 16, /* tokens before, and after, a text */
};

/* --- byte alphabet: tokenizer_alphabet.c -------------------------------------------------------
 */

/* GPT-2 writes bytes as printable characters in its files. The character of a byte... */
uint32_t plb__byte_character(unsigned char byte);

/* ...and the bytes of a string of such characters (at most `strlen(text)`), with their number in
 * `count_out`; false when a character stands for no byte. */
bool plb__bytes_of_characters(const char *text, unsigned char *bytes, size_t *count_out);

/* The string for some bytes, terminated; `text` has room for 2 * count + 1. Returns its length. */
size_t plb__characters_of_bytes(const unsigned char *bytes, size_t count, char *text);

/* --- a growing list of tokens ------------------------------------------------------------------
 */

struct plb__token_list {
    int32_t *tokens;
    size_t count;
    size_t capacity;
};

enum plb_status plb__token_list_append(struct plb__token_list *list, int32_t token);

/* --- words to tokens: tokenizer_bpe.c ----------------------------------------------------------
 */

struct plb__merge {
    uint64_t pair; /* left token << 32 | right token */
    uint32_t rank;
    int32_t token; /* what the pair becomes */
};

struct plb__bpe {
    int32_t byte_token[256];   /* -1 for a byte that is not in the vocabulary */
    struct plb__merge *merges; /* open addressing */
    size_t merge_slots;        /* a power of two; 0 without merges */
    int32_t unknown;           /* for a byte that is not in the vocabulary; -1: it is left out */
    bool fuse_unknown;         /* neighbours of that kind become one */
    bool ignore_merges;        /* a word that is a token is not merged */
};

/* Room for one word; grows. Zero it before the first use. */
struct plb__bpe_scratch {
    struct plb__symbol *symbols;
    struct plb__candidate *heap;
    size_t symbol_capacity; /* the heap's is three times as much */
    size_t heap_count;
};

/* Makes the table for `count` merges. PLB_ERROR_MEMORY. */
enum plb_status plb__bpe_reserve(struct plb__bpe *bpe, size_t count);

/* Adds a merge; a later one of the same pair takes its place. */
void plb__bpe_add(struct plb__bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t token);

/* Appends the tokens of a word's bytes. PLB_ERROR_MEMORY. */
enum plb_status plb__bpe_encode(const struct plb__bpe *bpe, const unsigned char *word, size_t bytes,
                                struct plb__bpe_scratch *scratch, struct plb__token_list *list);

void plb__bpe_scratch_free(struct plb__bpe_scratch *scratch);
void plb__bpe_free(struct plb__bpe *bpe);

/* --- text to words: tokenizer_split.c ----------------------------------------------------------
 */

enum plb__split_keep { PLB__KEEP_ALL, PLB__KEEP_MATCHES, PLB__KEEP_GAPS };

struct plb__split_step {
    pcre2_code *pattern; /* NULL: the step does not split */
    enum plb__split_keep keep;
    bool prefix_space; /* a space is put before what does not begin with one */
};

struct plb__splitter {
    struct plb__split_step steps[PLB__SPLIT_STEPS_MAX];
    size_t count;
};

/* What matching needs, for one call. */
struct plb__split_scratch {
    pcre2_match_data *matches[PLB__SPLIT_STEPS_MAX];
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* Takes one word. */
typedef enum plb_status plb__word_function(void *user, const unsigned char *word, size_t bytes);

/* Adds the step of GPT-2: its pattern. PLB_ERROR_MEMORY. */
enum plb_status plb__splitter_add_gpt2(struct plb__splitter *splitter);

/* Reads the "pre_tokenizer" of a file. PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb__splitter_parse(const struct plb_json_object *file,
                                    struct plb__splitter *splitter);

enum plb_status plb__split_scratch_make(const struct plb__splitter *splitter,
                                        struct plb__split_scratch *scratch);
void plb__split_scratch_free(struct plb__split_scratch *scratch);

/* Calls `take` with each word of the text in turn, and stops at its first failure. */
enum plb_status plb__splitter_run(const struct plb__splitter *splitter,
                                  const struct plb__split_scratch *scratch,
                                  const unsigned char *text, size_t bytes, plb__word_function *take,
                                  void *user);

void plb__splitter_free(struct plb__splitter *splitter);

/* --- added tokens: tokenizer_added.c -----------------------------------------------------------
 */

struct plb__added_token {
    char *text;
    size_t bytes;
    int32_t token;
    bool special;
    bool strip_left;  /* takes the white space before it along */
    bool strip_right; /* ... after it */
};

/* Tokens that are looked for together, sorted by text. */
struct plb__added_set {
    struct plb__added_token *tokens;
    size_t count;
    size_t begin[256]; /* where those with this first byte begin */
    size_t end[256];   /* ... and end */
};

/* Takes one stretch of text, or a token. */
struct plb__added_sink {
    enum plb_status (*text)(void *user, const unsigned char *text, size_t bytes);
    enum plb_status (*token)(void *user, int32_t token);
    void *user;
};

/* Reads "added_tokens" into two sets: those that are looked for first and those that are looked for
 * in what is left. PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb__added_parse(const struct plb_json_object *file, struct plb__added_set sets[2]);

/* Cuts the set's tokens out of a text. With `plain`, not the special ones. */
enum plb_status plb__added_scan(const struct plb__added_set *set, const unsigned char *text,
                                size_t bytes, bool plain, const struct plb__added_sink *sink);

void plb__added_free(struct plb__added_set *set);

/* --- the whole ----------------------------------------------------------------------------------
 */

struct plb__token {
    size_t offset; /* into `bytes` of the tokenizer */
    uint32_t count;
    bool present;
    bool special;
};

struct plb_tokenizer {
    struct plb__token *tokens;
    size_t vocab;
    unsigned char *bytes;
    size_t byte_count;
    int32_t *words; /* open addressing: the tokens by their bytes; -1 is empty */
    size_t word_slots;
    struct plb__bpe bpe;
    struct plb__splitter splitter;
    struct plb__added_set added[2];
    int32_t before[PLB__TEMPLATE_TOKENS_MAX];
    int32_t after[PLB__TEMPLATE_TOKENS_MAX];
    size_t before_count;
    size_t after_count;
    char *source; /* the text of tokenizer.json */
    size_t source_bytes;
    char *config;      /* the text of tokenizer_config.json; NULL: one is made when saving */
    char *special_map; /* the text of special_tokens_map.json; NULL: none */
};

/* The token of exactly these bytes (not the added ones), or -1. */
int32_t plb__tokenizer_word(const plb_tokenizer_t *tokenizer, const unsigned char *bytes,
                            size_t count);

/* One merge of a tokenizer that is made here. `token` is the number of a new token, one more than
 * the largest so far, or of an older one with the same bytes. */
struct plb__made_merge {
    int32_t left;
    int32_t right;
    int32_t token;
};

/* Builds a tokenizer: tokens 0 to 255 are bytes, as `byte_order` lists them, then come those that
 * the merges make, the last one is PLB_END_OF_TEXT. `split`: whether words are split with GPT-2's
 * pattern. PLB_ERROR_MEMORY. */
enum plb_status plb__tokenizer_build(const unsigned char byte_order[256],
                                     const struct plb__made_merge *merges, size_t merge_count,
                                     bool split, plb_tokenizer_t **tokenizer_out);

#endif
