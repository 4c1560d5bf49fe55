/* SPDX-License-Identifier: BSD-3-Clause */
/* Encodes and decodes with a tokenizer that has been made: see tokenizer.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/formats/tokenizer_internal.h"
#include "frontends/formats/utf8.h"

int32_t plb_tokenizer_vocab(const plb_tokenizer_t *tokenizer)
{
    return (int32_t)tokenizer->vocab;
}

static const struct plb__token *token_of(const plb_tokenizer_t *tokenizer, int32_t token)
{
    if (token < 0 || (size_t)token >= tokenizer->vocab || !tokenizer->tokens[token].present)
        return NULL;
    return &tokenizer->tokens[token];
}

int32_t plb_tokenizer_find(const plb_tokenizer_t *tokenizer, const char *text)
{
    for (int set = 0; set < 2; set++) {
        for (size_t i = 0; i < tokenizer->added[set].count; i++) {
            if (strcmp(tokenizer->added[set].tokens[i].text, text) == 0)
                return tokenizer->added[set].tokens[i].token;
        }
    }
    return plb__tokenizer_word(tokenizer, (const unsigned char *)text, strlen(text));
}

bool plb_tokenizer_is_special(const plb_tokenizer_t *tokenizer, int32_t token)
{
    const struct plb__token *found = token_of(tokenizer, token);
    return found != NULL && found->special;
}

bool plb_tokenizer_token_bytes(const plb_tokenizer_t *tokenizer, int32_t token,
                               const char **bytes_out, size_t *count_out)
{
    const struct plb__token *found = token_of(tokenizer, token);
    *bytes_out = found != NULL ? (const char *)tokenizer->bytes + found->offset : "";
    *count_out = found != NULL ? found->count : 0;
    return found != NULL;
}

/* --- encoding -----------------------------------------------------------------------------------
 */

struct encoding {
    const plb_tokenizer_t *tokenizer;
    bool plain;
    struct plb__split_scratch split;
    struct plb__bpe_scratch bpe;
    struct plb__token_list list;
};

static enum plb_status take_word(void *user, const unsigned char *word, size_t bytes)
{
    struct encoding *encoding = user;
    const struct plb__bpe *bpe = &encoding->tokenizer->bpe;
    if (bpe->ignore_merges) {
        int32_t token = plb__tokenizer_word(encoding->tokenizer, word, bytes);
        if (token >= 0)
            return plb__token_list_append(&encoding->list, token);
    }
    return plb__bpe_encode(bpe, word, bytes, &encoding->bpe, &encoding->list);
}

static enum plb_status take_token(void *user, int32_t token)
{
    struct encoding *encoding = user;
    return plb__token_list_append(&encoding->list, token);
}

/* Text without any added token. */
static enum plb_status take_plain_text(void *user, const unsigned char *text, size_t bytes)
{
    struct encoding *encoding = user;
    return plb__splitter_run(&encoding->tokenizer->splitter, &encoding->split, text, bytes,
                             take_word, encoding);
}

/* Text without the added tokens that are looked for first. */
static enum plb_status take_text(void *user, const unsigned char *text, size_t bytes)
{
    struct encoding *encoding = user;
    const struct plb__added_sink sink = {take_plain_text, take_token, encoding};
    return plb__added_scan(&encoding->tokenizer->added[1], text, bytes, encoding->plain, &sink);
}

static enum plb_status append_all(struct plb__token_list *list, const int32_t *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        PLB_TRY(plb__token_list_append(list, tokens[i]));
    return PLB_OK;
}

static enum plb_status encode(struct encoding *encoding, const char *text, size_t bytes,
                              bool with_template)
{
    const plb_tokenizer_t *tokenizer = encoding->tokenizer;
    const struct plb__added_sink sink = {take_text, take_token, encoding};
    if (with_template)
        PLB_TRY(append_all(&encoding->list, tokenizer->before, tokenizer->before_count));
    PLB_TRY(plb__added_scan(&tokenizer->added[0], (const unsigned char *)text, bytes,
                            encoding->plain, &sink));
    if (with_template)
        PLB_TRY(append_all(&encoding->list, tokenizer->after, tokenizer->after_count));
    return PLB_OK;
}

enum plb_status plb_tokenizer_encode(const plb_tokenizer_t *tokenizer, const char *text,
                                     size_t bytes, unsigned flags, int32_t **tokens_out,
                                     size_t *count_out)
{
    if (bytes > PLB_TOKENIZER_TEXT_MAX)
        return plb_fail(PLB_ERROR_INVALID, "a text of %zu bytes is too long to encode at once",
                        bytes);
    struct encoding encoding = {.tokenizer = tokenizer, .plain = (flags & PLB_ENCODE_PLAIN) != 0};
    PLB_TRY(plb__split_scratch_make(&tokenizer->splitter, &encoding.split));
    enum plb_status status = encode(&encoding, text, bytes, (flags & PLB_ENCODE_TEMPLATE) != 0);
    plb__split_scratch_free(&encoding.split);
    plb__bpe_scratch_free(&encoding.bpe);
    if (status != PLB_OK) {
        free(encoding.list.tokens);
        return status;
    }
    *tokens_out = encoding.list.tokens;
    *count_out = encoding.list.count;
    return PLB_OK;
}

/* --- decoding -----------------------------------------------------------------------------------
 */

static enum plb_status no_token(const plb_tokenizer_t *tokenizer, int32_t token)
{
    return plb_fail(PLB_ERROR_INVALID, "%d is no token of this tokenizer, whose largest is %zu",
                    token, tokenizer->vocab - 1);
}

enum plb_status plb_tokenizer_decode(const plb_tokenizer_t *tokenizer, const int32_t *tokens,
                                     size_t count, bool skip_special, char **text_out,
                                     size_t *bytes_out)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct plb__token *token = token_of(tokenizer, tokens[i]);
        if (token == NULL)
            return no_token(tokenizer, tokens[i]);
        bytes += skip_special && token->special ? 0 : token->count;
    }
    char *text = malloc(bytes + 1);
    if (text == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a text of %zu bytes", bytes);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct plb__token *token = token_of(tokenizer, tokens[i]);
        if (skip_special && token->special)
            continue;
        memcpy(text + at, tokenizer->bytes + token->offset, token->count);
        at += token->count;
    }
    text[at] = '\0';
    *text_out = text;
    *bytes_out = at;
    return PLB_OK;
}

enum { CHARACTER_BYTES_MAX = 4, REPLACEMENT_BYTES = 3 };

struct plb_token_stream {
    const plb_tokenizer_t *tokenizer;
    bool skip_special;
    unsigned char waiting[CHARACTER_BYTES_MAX]; /* the start of a character */
    size_t waiting_count;
    char *text; /* what the latest call gave out */
    size_t capacity;
};

enum plb_status plb_token_stream_create(const plb_tokenizer_t *tokenizer, bool skip_special,
                                        plb_token_stream_t **stream_out)
{
    plb_token_stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to decode");
    stream->tokenizer = tokenizer;
    stream->skip_special = skip_special;
    *stream_out = stream;
    return PLB_OK;
}

/* Room for `bytes` bytes, each of which may become U+FFFD, and the zero. */
static enum plb_status reserve_text(plb_token_stream_t *stream, size_t bytes)
{
    size_t wanted = REPLACEMENT_BYTES * bytes + 1;
    if (wanted <= stream->capacity)
        return PLB_OK;
    char *grown = realloc(stream->text, wanted);
    if (grown == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to decode %zu bytes", bytes);
    stream->text = grown;
    stream->capacity = wanted;
    return PLB_OK;
}

/* Copies what is complete to the text and keeps the start of a character for the next time. */
static void give_out(plb_token_stream_t *stream, const unsigned char *bytes, size_t count)
{
    size_t at = 0, used = 0, length = 0;
    for (; at < count; at += length) {
        enum plb__utf8_kind kind = plb__utf8_next(bytes + at, count - at, &length);
        if (kind == PLB__UTF8_INCOMPLETE)
            break;
        if (kind == PLB__UTF8_VALID) {
            memcpy(stream->text + used, bytes + at, length);
            used += length;
        } else {
            used += plb__utf8_encode(0xfffd, (unsigned char *)stream->text + used);
        }
    }
    stream->text[used] = '\0';
    stream->waiting_count = count - at;
    memcpy(stream->waiting, bytes + at, count - at);
}

enum plb_status plb_token_stream_push(plb_token_stream_t *stream, int32_t token,
                                      const char **text_out)
{
    const struct plb__token *found = token_of(stream->tokenizer, token);
    if (found == NULL)
        return no_token(stream->tokenizer, token);
    size_t fresh = stream->skip_special && found->special ? 0 : found->count;
    size_t count = stream->waiting_count + fresh;
    PLB_TRY(reserve_text(stream, count));
    unsigned char *joined = malloc(count + 1);
    if (joined == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to decode %zu bytes", count);
    memcpy(joined, stream->waiting, stream->waiting_count);
    memcpy(joined + stream->waiting_count, stream->tokenizer->bytes + found->offset, fresh);
    give_out(stream, joined, count);
    free(joined);
    *text_out = stream->text;
    return PLB_OK;
}

enum plb_status plb_token_stream_finish(plb_token_stream_t *stream, const char **text_out)
{
    PLB_TRY(reserve_text(stream, 1));
    size_t used = 0;
    if (stream->waiting_count > 0)
        used = plb__utf8_encode(0xfffd, (unsigned char *)stream->text);
    stream->text[used] = '\0';
    stream->waiting_count = 0;
    *text_out = stream->text;
    return PLB_OK;
}

void plb_token_stream_free(plb_token_stream_t *stream)
{
    if (stream == NULL)
        return;
    free(stream->text);
    free(stream);
}
