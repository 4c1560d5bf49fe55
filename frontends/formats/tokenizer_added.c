/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Added tokens: names such as <|endoftext|> that are cut out of a text before it is split. At each
 * place the longest one counts, as in the reference implementation. They are sorted, and the search
 * at a place narrows the range of those that still agree byte by byte, so that thousands of them
 * cost no more than a few.
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/formats/tokenizer_internal.h"
#include "frontends/formats/utf8.h"

/* --- reading ------------------------------------------------------------------------------------
 */

struct added_flags {
    bool special, normalized, single_word, strip_left, strip_right;
};

static enum plb_status parse_flags(const struct plb_json_object *object, struct added_flags *flags)
{
    PLB_TRY(plb_json_boolean(object, "special", &flags->special));
    flags->normalized = !flags->special;
    PLB_TRY(plb_json_boolean(object, "normalized", &flags->normalized));
    PLB_TRY(plb_json_boolean(object, "single_word", &flags->single_word));
    PLB_TRY(plb_json_boolean(object, "lstrip", &flags->strip_left));
    PLB_TRY(plb_json_boolean(object, "rstrip", &flags->strip_right));
    return PLB_OK;
}

static enum plb_status parse_token(const struct plb_json_object *object,
                                   struct plb__added_set sets[2])
{
    const char *content = NULL;
    int64_t id = 0;
    struct added_flags flags = {0};
    PLB_TRY(plb_json_require(object, "content"));
    PLB_TRY(plb_json_string(object, "content", &content));
    PLB_TRY(plb_json_require(object, "id"));
    PLB_TRY(plb_json_integer(object, "id", 0, INT32_MAX, &id));
    PLB_TRY(parse_flags(object, &flags));
    if (content[0] == '\0')
        return plb_fail(PLB_ERROR_FORMAT, "%s: added token %" PRId64 " is empty", object->file, id);
    if (flags.single_word)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: added token \"%.100s\" with \"single_word\" is not supported",
                        object->file, content);
    struct plb__added_set *set = &sets[flags.normalized];
    struct plb__added_token *token = &set->tokens[set->count];
    *token = (struct plb__added_token){.text = strdup(content),
                                       .bytes = strlen(content),
                                       .token = (int32_t)id,
                                       .special = flags.special,
                                       .strip_left = flags.strip_left,
                                       .strip_right = flags.strip_right};
    if (token->text == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its added tokens", object->file);
    set->count++;
    return PLB_OK;
}

static int compare_texts(const void *a, const void *b)
{
    const struct plb__added_token *x = a, *y = b;
    return strcmp(x->text, y->text);
}

static enum plb_status sort_set(struct plb__added_set *set, const char *file)
{
    qsort(set->tokens, set->count, sizeof *set->tokens, compare_texts);
    for (size_t i = 0; i < set->count; i++) {
        unsigned char first = (unsigned char)set->tokens[i].text[0];
        if (i > 0 && strcmp(set->tokens[i - 1].text, set->tokens[i].text) == 0)
            return plb_fail(PLB_ERROR_FORMAT, "%s: added token \"%.100s\" is there twice", file,
                            set->tokens[i].text);
        if (set->end[first] == 0)
            set->begin[first] = i;
        set->end[first] = i + 1;
    }
    return PLB_OK;
}

enum plb_status plb__added_parse(const struct plb_json_object *file, struct plb__added_set sets[2])
{
    const json_t *list = NULL;
    PLB_TRY(plb_json_array(file, "added_tokens", &list));
    for (int i = 0; i < 2; i++) {
        sets[i].tokens = calloc(json_array_size(list) + 1, sizeof *sets[i].tokens);
        if (sets[i].tokens == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its added tokens", file->file);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct plb_json_object item = {json_array_get(list, i), file->file};
        PLB_TRY(parse_token(&item, sets));
    }
    for (int i = 0; i < 2; i++)
        PLB_TRY(sort_set(&sets[i], file->file));
    return PLB_OK;
}

void plb__added_free(struct plb__added_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->tokens[i].text);
    free(set->tokens);
}

/* --- looking for them ---------------------------------------------------------------------------
 */

/* The first token of a sorted range whose byte at `depth` is not below `byte`. A token that ends at
 * `depth` has a zero there. */
static size_t lower_bound(const struct plb__added_set *set, size_t low, size_t high, size_t depth,
                          unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)set->tokens[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that stands at the start of `text`, or NULL. */
static const struct plb__added_token *longest_at(const struct plb__added_set *set,
                                                 const unsigned char *text, size_t bytes)
{
    size_t low = set->begin[text[0]], high = set->end[text[0]];
    const struct plb__added_token *found = NULL;
    for (size_t depth = 1; low < high; depth++) {
        if (set->tokens[low].bytes == depth)
            found = &set->tokens[low++];
        if (depth == bytes || text[depth] == 0)
            break;
        low = lower_bound(set, low, high, depth, text[depth]);
        high = lower_bound(set, low, high, depth, text[depth] + 1u);
    }
    return found;
}

/* White space as the Unicode property White_Space has it. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

/* Moves `begin` back over white space, not before `floor`. */
static size_t strip_before(const unsigned char *text, size_t floor, size_t begin)
{
    while (begin > floor) {
        size_t start = begin - 1, length = 0;
        while (start > floor && (text[start] & 0xc0) == 0x80)
            start--;
        if (plb__utf8_next(text + start, begin - start, &length) != PLB__UTF8_VALID ||
            length != begin - start || !is_space(plb__utf8_decode(text + start, &length)))
            break;
        begin = start;
    }
    return begin;
}

/* Moves `end` on over white space. */
static size_t strip_after(const unsigned char *text, size_t bytes, size_t end)
{
    size_t length = 0;
    while (end < bytes && plb__utf8_next(text + end, bytes - end, &length) == PLB__UTF8_VALID &&
           is_space(plb__utf8_decode(text + end, &length)))
        end += length;
    return end;
}

enum plb_status plb__added_scan(const struct plb__added_set *set, const unsigned char *text,
                                size_t bytes, bool plain, const struct plb__added_sink *sink)
{
    size_t done = 0;
    for (size_t at = 0; set->count > 0 && at < bytes;) {
        const struct plb__added_token *token =
            set->end[text[at]] > 0 ? longest_at(set, text + at, bytes - at) : NULL;
        if (token == NULL || (plain && token->special)) {
            at += token == NULL ? 1 : token->bytes;
            continue;
        }
        size_t begin = token->strip_left ? strip_before(text, done, at) : at;
        size_t end = at + token->bytes;
        if (token->strip_right)
            end = strip_after(text, bytes, end);
        if (begin > done)
            PLB_TRY(sink->text(sink->user, text + done, begin - done));
        PLB_TRY(sink->token(sink->user, token->token));
        done = at = end;
    }
    return done < bytes ? sink->text(sink->user, text + done, bytes - done) : PLB_OK;
}
