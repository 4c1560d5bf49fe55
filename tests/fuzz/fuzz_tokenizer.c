/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target. An input that begins with '{' is a tokenizer.json, a zero byte, and a text that it
 * is to encode; decoding its tokens must succeed. Any other input is a text for tokenizers made
 * here, which must give it back byte by byte, also token by token.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frontends/formats/tokenizer.h"
#include "frontends/formats/utf8.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "tokenizer";

enum { LEARNED_BYTES_MAX = 200 }; /* learning takes most of the time */

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* What a stream gives out is valid UTF-8 at every step. */
static void stream(const plb_tokenizer_t *tokenizer, const int32_t *tokens, size_t count)
{
    plb_token_stream_t *stream = NULL;
    const char *text = NULL;
    demand(plb_token_stream_create(tokenizer, false, &stream) == PLB_OK);
    for (size_t i = 0; i <= count; i++) {
        demand((i < count ? plb_token_stream_push(stream, tokens[i], &text)
                          : plb_token_stream_finish(stream, &text)) == PLB_OK);
        size_t bytes = strlen(text);
        demand(plb__utf8_valid_prefix((const unsigned char *)text, bytes) == bytes);
    }
    plb_token_stream_free(stream);
}

static void encode(const plb_tokenizer_t *tokenizer, const uint8_t *text, size_t bytes,
                   unsigned flags, int lossless)
{
    int32_t *tokens = NULL;
    char *decoded = NULL;
    size_t count = 0, length = 0;
    if (plb_tokenizer_encode(tokenizer, (const char *)text, bytes, flags, &tokens, &count) !=
        PLB_OK) {
        demand(!lossless);
        return;
    }
    demand(plb_tokenizer_decode(tokenizer, tokens, count, false, &decoded, &length) == PLB_OK);
    demand(!lossless || (length == bytes && memcmp(decoded, text, bytes) == 0));
    stream(tokenizer, tokens, count);
    free(decoded);
    free(tokens);
}

static void encode_with_ours(const uint8_t *text, size_t bytes)
{
    static const char sample[] =
        "It's the same book that their grandfathers wrote in; they've kept "
        "it since 1887, and they'd say:  the wind does what the wind does.";
    static plb_tokenizer_t *trained, *plain;
    if (trained == NULL) {
        demand(plb_tokenizer_train(sample, strlen(sample), 300, &trained) == PLB_OK);
        demand(plb_tokenizer_make_bytes(&plain) == PLB_OK);
    }
    encode(trained, text, bytes, 0, 1);
    encode(trained, text, bytes, PLB_ENCODE_PLAIN, 1);
    encode(plain, text, bytes, 0, 1);
    if (bytes > LEARNED_BYTES_MAX)
        return;
    plb_tokenizer_t *learned = NULL;
    demand(plb_tokenizer_train((const char *)text, bytes, 270, &learned) == PLB_OK);
    encode(learned, text, bytes, 0, 1);
    plb_tokenizer_free(learned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != '{') {
        encode_with_ours(data, size);
        return 0;
    }
    plb_tokenizer_t *tokenizer = NULL;
    const uint8_t *zero = memchr(data, 0, size);
    size_t json = zero != NULL ? (size_t)(zero - data) : size;
    size_t text = json < size ? json + 1 : size;
    if (plb_tokenizer_parse((const char *)data, json, "fuzz", &tokenizer) == PLB_OK) {
        encode(tokenizer, data + text, size - text, 0, 0);
        encode(tokenizer, data + text, size - text, PLB_ENCODE_TEMPLATE | PLB_ENCODE_PLAIN, 0);
        plb_tokenizer_free(tokenizer);
    }
    return 0;
}
