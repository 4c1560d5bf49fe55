/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text to tokens and back: byte-level byte-pair encoding, as tokenizer.json of a Hugging Face
 * directory describes it, and tokens that are the bytes themselves.
 *
 * What of tokenizer.json is understood: model "BPE" with merges in both notations and
 * ignore_merges; no normalizer; pre-tokenizers "ByteLevel" (with the pattern of GPT-2 or without)
 * and "Split" with the pattern that the file gives (Llama 3 and others), alone or in a "Sequence";
 * added and special tokens with lstrip and rstrip; post-processors "ByteLevel" and
 * "TemplateProcessing"; decoder "ByteLevel". Anything else that would change the tokens is refused
 * with its name. Truncation and padding in the file are not applied.
 *
 * Tokens equal those of the reference implementation (https://github.com/huggingface/tokenizers),
 * except for characters that one Unicode version knows as a letter or number and the other does
 * not. A text need not be valid UTF-8: a stretch of bytes that is not becomes a word of its own, so
 * that decoding gives back exactly the bytes that were encoded.
 *
 * Thread-safety: a tokenizer does not change once it is made and may be used by several threads; a
 * stream belongs to one thread at a time.
 */
#ifndef PLB_FORMATS_TOKENIZER_H
#define PLB_FORMATS_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The token that ends a text in the tokenizers made here. */
#define PLB_END_OF_TEXT "<|endoftext|>"

/* The largest text that one call encodes. */
#define PLB_TOKENIZER_TEXT_MAX ((size_t)INT32_MAX)

typedef struct plb_tokenizer plb_tokenizer_t;

/* Reads `path`, a tokenizer.json or a directory that holds one (whose tokenizer_config.json and
 * special_tokens_map.json are then kept for plb_tokenizer_save()).
 * PLB_ERROR_IO, PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_tokenizer_load(const char *path, plb_tokenizer_t **tokenizer_out);

/* The same from the text of a tokenizer.json; `name` is what errors call it. */
enum plb_status plb_tokenizer_parse(const char *text, size_t bytes, const char *name,
                                    plb_tokenizer_t **tokenizer_out);

/* Tokens that are bytes: byte b is token b, and token 256 is PLB_END_OF_TEXT. PLB_ERROR_MEMORY. */
enum plb_status plb_tokenizer_make_bytes(plb_tokenizer_t **tokenizer_out);

/* Learns a byte-level BPE with GPT-2's pattern from a text: the 256 bytes, then the merges of the
 * most frequent pairs (ties: the pair of the lower tokens; a pair must occur twice) until there are
 * `vocab` tokens with PLB_END_OF_TEXT, the last one, counted in. A small text may give fewer. The
 * same text gives the same tokenizer on every machine. `vocab` is 257 to 65536.
 * Algorithm: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
 * with counts of pairs that are updated and not recounted.
 * PLB_ERROR_INVALID, PLB_ERROR_MEMORY. */
enum plb_status plb_tokenizer_train(const char *text, size_t bytes, int32_t vocab,
                                    plb_tokenizer_t **tokenizer_out);

/* NULL does nothing. */
void plb_tokenizer_free(plb_tokenizer_t *tokenizer);

/* Writes DIRECTORY/tokenizer.json, byte for byte as it was read or made, and a
 * tokenizer_config.json with which transformers loads it. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_tokenizer_save(const plb_tokenizer_t *tokenizer, const char *directory);

/* One more than the largest token. A model's vocabulary must be at least this. */
int32_t plb_tokenizer_vocab(const plb_tokenizer_t *tokenizer);

/* The added token with this text, else the token of exactly these bytes; -1 when there is none. */
int32_t plb_tokenizer_find(const plb_tokenizer_t *tokenizer, const char *text);

/* Whether it is a token that stands for something else than text (the end of a text, a role, ...).
 */
bool plb_tokenizer_is_special(const plb_tokenizer_t *tokenizer, int32_t token);

/* The bytes of a token, not terminated, valid as long as the tokenizer; false, and no bytes, for a
 * number that is no token. */
bool plb_tokenizer_token_bytes(const plb_tokenizer_t *tokenizer, int32_t token,
                               const char **bytes_out, size_t *count_out);

enum plb_encode_flags {
    PLB_ENCODE_TEMPLATE = 1, /* with what the file puts around a text, such as <|begin_of_text|> */
    PLB_ENCODE_PLAIN = 2 /* the names of special tokens in the text are text: for text of others */
};

/* Encodes a text into tokens that the caller frees with free() (NULL when there are none). Takes
 * time in proportion to the text, a word of n bytes n log n. PLB_ERROR_INVALID for a text of more
 * than PLB_TOKENIZER_TEXT_MAX bytes; PLB_ERROR_FORMAT when the file's pattern needs too many steps
 * on this text; PLB_ERROR_MEMORY. */
enum plb_status plb_tokenizer_encode(const plb_tokenizer_t *tokenizer, const char *text,
                                     size_t bytes, unsigned flags, int32_t **tokens_out,
                                     size_t *count_out);

/* Decodes tokens into bytes that the caller frees with free(); a zero byte follows them (not
 * counted). The bytes are what was encoded, which need not be valid UTF-8.
 * PLB_ERROR_INVALID for a number that is no token; PLB_ERROR_MEMORY. */
enum plb_status plb_tokenizer_decode(const plb_tokenizer_t *tokenizer, const int32_t *tokens,
                                     size_t count, bool skip_special, char **text_out,
                                     size_t *bytes_out);

/* Decoding token by token, for text that appears as it is generated: a character is given out once
 * all its bytes are there, and U+FFFD for bytes that are no character. */
typedef struct plb_token_stream plb_token_stream_t;

/* The tokenizer must live as long as the stream. PLB_ERROR_MEMORY. */
enum plb_status plb_token_stream_create(const plb_tokenizer_t *tokenizer, bool skip_special,
                                        plb_token_stream_t **stream_out);

/* What can be shown now that `token` is known: valid UTF-8, maybe empty, terminated, valid until
 * the next call. PLB_ERROR_INVALID for a number that is no token; PLB_ERROR_MEMORY. */
enum plb_status plb_token_stream_push(plb_token_stream_t *stream, int32_t token,
                                      const char **text_out);

/* What is left at the end: empty, or U+FFFD for a character that was never completed. */
enum plb_status plb_token_stream_finish(plb_token_stream_t *stream, const char **text_out);

void plb_token_stream_free(plb_token_stream_t *stream);

#ifdef __cplusplus
}
#endif

#endif
