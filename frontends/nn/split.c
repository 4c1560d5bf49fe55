/* SPDX-License-Identifier: BSD-3-Clause */
/* Degrees of tensor parallelism: reading and checking. */
#include "config.h"

#include "frontends/nn/split.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BYTES 64
#define VOCABULARY "vocabulary:"

/* A number of at most 9 digits at the start of `text`, and what follows it. */
static bool read_number(const char *text, int64_t *number_out, const char **end_out)
{
    size_t digits = strspn(text, "0123456789");

    if (digits < 1 || digits > 9)
        return false;
    *number_out = strtoll(text, NULL, 10);
    *end_out = text + digits;
    return true;
}

static enum plb_status unreadable(const char *word)
{
    return plb_fail(PLB_ERROR_INVALID,
                    "\"%s\" is no degree of tensor parallelism: give one for all (2), one for each "
                    "block (1,2,2,1), ranges of blocks (0-3:2), vocabulary:2, sequence",
                    word);
}

static enum plb_status add_range(struct plb_split *split, int64_t first, int64_t last,
                                 int64_t degree)
{
    if (degree < 1 || degree > PLB_SHARDS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "a degree of tensor parallelism is 1 to %d, not %lld",
                        PLB_SHARDS_MAX, (long long)degree);
    struct plb_split_range *before = split->n > 0 ? &split->range[split->n - 1] : NULL;
    if (before && before->last + 1 == first && before->degree == degree) {
        before->last = last;
        return PLB_OK;
    }
    if (split->n == PLB_SPLIT_RANGES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "more than %d ranges of blocks", PLB_SPLIT_RANGES_MAX);
    split->range[split->n++] = (struct plb_split_range){first, last, (int)degree};
    return PLB_OK;
}

static enum plb_status read_vocabulary(struct plb_split *split, const char *word)
{
    const char *end;
    int64_t degree;

    if (!read_number(word + strlen(VOCABULARY), &degree, &end) || *end)
        return unreadable(word);
    if (degree < 1 || degree > PLB_SHARDS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "the vocabulary is split 1 to %d ways, not %lld",
                        PLB_SHARDS_MAX, (long long)degree);
    split->vocabulary = (int)degree;
    return PLB_OK;
}

/* "A:N", "A-B:N", or "N", which is the degree of block *next. */
static enum plb_status read_blocks(struct plb_split *split, const char *word, int64_t *next)
{
    int64_t first, last, degree;
    const char *end;

    if (!read_number(word, &first, &end))
        return unreadable(word);
    if (*end ? *next > 0 : *next == 0 && split->n > 0)
        return plb_fail(
            PLB_ERROR_INVALID,
            "\"%s\": degrees of tensor parallelism are given for each block in turn, or "
            "for ranges of blocks, not both",
            word);
    if (!*end) {
        PLB_TRY(add_range(split, *next, *next, first));
        *next += 1;
        return PLB_OK;
    }
    last = first;
    if (*end == '-' && !read_number(end + 1, &last, &end))
        return unreadable(word);
    if (*end != ':' || !read_number(end + 1, &degree, &end) || *end)
        return unreadable(word);
    return add_range(split, first, last, degree);
}

static enum plb_status read_word(struct plb_split *split, const char *word, int64_t *next)
{
    if (strcmp(word, "sequence") == 0) {
        split->sequence = true;
        return PLB_OK;
    }
    if (strncmp(word, VOCABULARY, strlen(VOCABULARY)) == 0)
        return read_vocabulary(split, word);
    return read_blocks(split, word, next);
}

/* Degrees in turn are one for all, or one for each block. */
static enum plb_status count_degrees(struct plb_split *split, int64_t given, int64_t blocks)
{
    if (given == 0 || given == blocks)
        return PLB_OK;
    if (given != 1)
        return plb_fail(PLB_ERROR_INVALID,
                        "%lld degrees of tensor parallelism were given for %lld blocks",
                        (long long)given, (long long)blocks);
    split->range[0].last = blocks - 1;
    return PLB_OK;
}

enum plb_status plb_split_parse(const char *text, int64_t blocks, struct plb_split *split_out)
{
    struct plb_split split = {0};
    int64_t next = 0;

    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        char word[WORD_BYTES];

        if (n >= sizeof word)
            return unreadable(at);
        memcpy(word, at, n);
        word[n] = '\0';
        PLB_TRY(read_word(&split, word, &next));
        at += n;
        if (!*at)
            break;
    }
    if (next == 1 && split.n > 0 && split.vocabulary == 0)
        split.vocabulary = split.range[0].degree;
    PLB_TRY(count_degrees(&split, next, blocks));
    *split_out = split;
    return PLB_OK;
}

static enum plb_status check_divides(const struct plb_split_range *range, const char *what,
                                     int64_t number)
{
    if (number % range->degree == 0)
        return PLB_OK;
    return plb_fail(
        PLB_ERROR_INVALID, "blocks %lld to %lld cannot be split %d ways: they have %lld %s",
        (long long)range->first, (long long)range->last, range->degree, (long long)number, what);
}

static enum plb_status check_range(const struct plb_split_range *range,
                                   const struct plb_model_config *config)
{
    if (range->first < 0 || range->last < range->first || range->last >= config->layers)
        return plb_fail(PLB_ERROR_INVALID,
                        "blocks %lld to %lld are to be split, but the model has blocks 0 to %lld",
                        (long long)range->first, (long long)range->last,
                        (long long)config->layers - 1);
    if (range->degree < 1 || range->degree > PLB_SHARDS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "blocks are split 1 to %d ways, not %d", PLB_SHARDS_MAX,
                        range->degree);
    PLB_TRY(check_divides(range, "heads", config->heads));
    PLB_TRY(check_divides(range, "key-value heads", config->kv_heads));
    return check_divides(range, "features in the MLP", config->ffn);
}

enum plb_status plb_split_check(const struct plb_split *split,
                                const struct plb_model_config *config)
{
    int vocabulary = plb_split_degree(split, -1);

    if (split->n < 0 || split->n > PLB_SPLIT_RANGES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%d ranges of blocks, at most %d", split->n,
                        PLB_SPLIT_RANGES_MAX);
    for (int i = 0; i < split->n; i++)
        PLB_TRY(check_range(&split->range[i], config));
    if (vocabulary < 1 || vocabulary > PLB_SHARDS_MAX || vocabulary > config->vocab)
        return plb_fail(PLB_ERROR_INVALID,
                        "a vocabulary of %lld tokens cannot be split %d ways (at most %d)",
                        (long long)config->vocab, vocabulary, PLB_SHARDS_MAX);
    return PLB_OK;
}

int plb_split_degree(const struct plb_split *split, int64_t block)
{
    int degree = 1;

    if (block < 0)
        return split->vocabulary != 0 ? split->vocabulary : 1;
    for (int i = 0; i < split->n; i++)
        if (block >= split->range[i].first && block <= split->range[i].last)
            degree = split->range[i].degree;
    return degree;
}
