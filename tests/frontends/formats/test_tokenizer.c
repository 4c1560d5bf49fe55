/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokens of the golden tokenizers, decoding, and files that are no tokenizers. */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/json.h"
#include "frontends/formats/tokenizer.h"
#include "tests/support/plb_test.h"

static plb_tokenizer_t *golden(const char *name)
{
    char path[200];
    plb_tokenizer_t *tokenizer = NULL;
    snprintf(path, sizeof path, "tests/golden/%s/tokenizer.json", name);
    PLB_CHECK_EQ(plb_tokenizer_load(plb_test_source(path), &tokenizer), PLB_OK);
    return tokenizer;
}

static bool tokens_equal(const int32_t *tokens, size_t count, const json_t *expected)
{
    bool equal = count == json_array_size(expected);
    for (size_t i = 0; equal && i < count; i++)
        equal = tokens[i] == json_integer_value(json_array_get(expected, i));
    return equal;
}

static void check_case(const plb_tokenizer_t *tokenizer, const json_t *entry)
{
    const char *text = json_string_value(json_object_get(entry, "text"));
    size_t bytes = json_string_length(json_object_get(entry, "text"));
    int32_t *tokens = NULL;
    size_t count = 0, length = 0;
    char *decoded = NULL;
    PLB_REQUIRE(plb_tokenizer_encode(tokenizer, text, bytes, 0, &tokens, &count) == PLB_OK);
    if (!tokens_equal(tokens, count, json_object_get(entry, "tokens")))
        CU_FAIL(text);
    PLB_REQUIRE(plb_tokenizer_decode(tokenizer, tokens, count, false, &decoded, &length) == PLB_OK);
    PLB_CHECK_EQ(length, bytes);
    PLB_CHECK(memcmp(decoded, text, bytes) == 0);
    free(decoded);
    free(tokens);
    PLB_REQUIRE(plb_tokenizer_encode(tokenizer, text, bytes, PLB_ENCODE_TEMPLATE, &tokens,
                                     &count) == PLB_OK);
    PLB_CHECK(tokens_equal(tokens, count, json_object_get(entry, "with_template")));
    free(tokens);
}

/* jansson reads "\u0000" only when it is asked to. */
static void check_cases(const char *name)
{
    char path[200];
    json_error_t error;
    plb_tokenizer_t *tokenizer = golden(name);
    PLB_REQUIRE(tokenizer != NULL);
    snprintf(path, sizeof path, "tests/golden/%s/cases.json", name);
    json_t *root = json_load_file(plb_test_source(path), JSON_ALLOW_NUL, &error);
    const json_t *cases = json_object_get(root, "cases");
    PLB_CHECK(json_array_size(cases) >= 25);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(tokenizer, json_array_get(cases, i));
    json_decref(root);
    plb_tokenizer_free(tokenizer);
}

static void encodes_as_gpt2_does(void)
{
    check_cases("tokenizer_gpt2");
}

static void encodes_as_llama3_does(void)
{
    check_cases("tokenizer_llama3");
}

static void loads_what_transformers_saved(void)
{
    static const char *const names[] = {"gpt2", "gpt2_sharded", "llama_tied", "llama_untied",
                                        "llama_bf16"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        plb_tokenizer_t *tokenizer = golden(names[i]);
        PLB_REQUIRE(tokenizer != NULL);
        PLB_CHECK_EQ(plb_tokenizer_vocab(tokenizer), 384);
        PLB_CHECK(plb_tokenizer_find(tokenizer, PLB_END_OF_TEXT) >= 0);
        plb_tokenizer_free(tokenizer);
    }
}

static void check_lossless(const plb_tokenizer_t *tokenizer, const char *text, size_t bytes)
{
    int32_t *tokens = NULL;
    size_t count = 0, length = 0;
    char *decoded = NULL;
    PLB_REQUIRE(plb_tokenizer_encode(tokenizer, text, bytes, 0, &tokens, &count) == PLB_OK);
    PLB_REQUIRE(plb_tokenizer_decode(tokenizer, tokens, count, false, &decoded, &length) == PLB_OK);
    PLB_CHECK_EQ(length, bytes);
    PLB_CHECK(memcmp(decoded, text, bytes) == 0);
    free(tokens);
    free(decoded);
}

static void any_bytes_survive(void)
{
    static const char *const names[] = {"tokenizer_gpt2", "tokenizer_llama3"};
    char all[256], noise[4096];
    uint32_t state = 1;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1664525u + 1013904223u;
        noise[i] = (char)(state >> 24);
    }
    for (size_t n = 0; n < 2; n++) {
        plb_tokenizer_t *tokenizer = golden(names[n]);
        PLB_REQUIRE(tokenizer != NULL);
        check_lossless(tokenizer, all, sizeof all);
        check_lossless(tokenizer, noise, sizeof noise);
        check_lossless(tokenizer, "\xe2\x82", 2);
        check_lossless(tokenizer, "a\xed\xa0\x80z \xff\xfe", 8);
        check_lossless(tokenizer, "\xf4\x90\x80\x80 \xc0\x80", 7);
        plb_tokenizer_free(tokenizer);
    }
}

static size_t count_tokens(const plb_tokenizer_t *tokenizer, const char *text, unsigned flags)
{
    int32_t *tokens = NULL;
    size_t count = 0;
    PLB_CHECK_EQ(plb_tokenizer_encode(tokenizer, text, strlen(text), flags, &tokens, &count),
                 PLB_OK);
    free(tokens);
    return count;
}

static void plain_text_has_no_special_tokens(void)
{
    plb_tokenizer_t *tokenizer = golden("tokenizer_gpt2");
    PLB_REQUIRE(tokenizer != NULL);
    PLB_CHECK_EQ(count_tokens(tokenizer, "<|endoftext|>", 0), 1);
    PLB_CHECK(count_tokens(tokenizer, "<|endoftext|>", PLB_ENCODE_PLAIN) > 5);
    PLB_CHECK_EQ(count_tokens(tokenizer, "", PLB_ENCODE_TEMPLATE), 0);
    int32_t end = plb_tokenizer_find(tokenizer, PLB_END_OF_TEXT);
    PLB_CHECK(plb_tokenizer_is_special(tokenizer, end));
    PLB_CHECK(!plb_tokenizer_is_special(tokenizer, plb_tokenizer_find(tokenizer, "a")));
    PLB_CHECK(!plb_tokenizer_is_special(tokenizer, -1));
    PLB_CHECK_EQ(plb_tokenizer_find(tokenizer, "no such token"), -1);
    PLB_CHECK(plb_tokenizer_find(tokenizer, " ") >= 0);
    plb_tokenizer_free(tokenizer);
}

static void decoding_refuses_what_is_no_token(void)
{
    plb_tokenizer_t *tokenizer = golden("tokenizer_gpt2");
    PLB_REQUIRE(tokenizer != NULL);
    int32_t end = plb_tokenizer_find(tokenizer, PLB_END_OF_TEXT);
    int32_t bad[] = {0, plb_tokenizer_vocab(tokenizer)};
    int32_t good[] = {plb_tokenizer_find(tokenizer, "a"), end, plb_tokenizer_find(tokenizer, "b")};
    char *text = NULL;
    size_t bytes = 0;
    const char *of_token = NULL;
    PLB_CHECK_EQ(plb_tokenizer_decode(tokenizer, bad, 2, false, &text, &bytes), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "801 is no token of this tokenizer");
    bad[1] = -1;
    PLB_CHECK_EQ(plb_tokenizer_decode(tokenizer, bad, 2, false, &text, &bytes), PLB_ERROR_INVALID);
    PLB_CHECK(!plb_tokenizer_token_bytes(tokenizer, -1, &of_token, &bytes));
    PLB_REQUIRE(plb_tokenizer_decode(tokenizer, good, 3, true, &text, &bytes) == PLB_OK);
    PLB_CHECK_STRING(text, "ab");
    free(text);
    PLB_REQUIRE(plb_tokenizer_decode(tokenizer, good, 3, false, &text, &bytes) == PLB_OK);
    PLB_CHECK_STRING(text, "a<|endoftext|>b");
    free(text);
    plb_tokenizer_free(tokenizer);
}

/* --- streams ------------------------------------------------------------------------------------
 */

/* Pushes the bytes one token at a time and joins what comes out, with '|' between. */
static const char *stream_bytes(const char *bytes, size_t count)
{
    static char joined[256];
    plb_tokenizer_t *tokenizer = NULL;
    plb_token_stream_t *stream = NULL;
    const char *text = NULL;
    joined[0] = '\0';
    PLB_REQUIRE(plb_tokenizer_make_bytes(&tokenizer) == PLB_OK);
    PLB_REQUIRE(plb_token_stream_create(tokenizer, true, &stream) == PLB_OK);
    for (size_t i = 0; i < count; i++) {
        PLB_CHECK_EQ(plb_token_stream_push(stream, (unsigned char)bytes[i], &text), PLB_OK);
        strcat(strcat(joined, text), "|");
    }
    PLB_CHECK_EQ(plb_token_stream_push(stream, 256, &text), PLB_OK); /* special: skipped */
    PLB_CHECK_STRING(text, "");
    PLB_CHECK_EQ(plb_token_stream_push(stream, 257, &text), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_token_stream_finish(stream, &text), PLB_OK);
    strcat(joined, text);
    plb_token_stream_free(stream);
    plb_tokenizer_free(tokenizer);
    return joined;
}

#define REPLACED "\xef\xbf\xbd"

static void streams_never_give_half_a_character(void)
{
    PLB_CHECK_STRING(stream_bytes("ab", 2), "a|b|");
    PLB_CHECK_STRING(stream_bytes("\xc3\xa9x", 3), "|\xc3\xa9|x|");
    PLB_CHECK_STRING(stream_bytes("\xf0\x9f\x95\x8a", 4), "|||\xf0\x9f\x95\x8a|");
    PLB_CHECK_STRING(stream_bytes("\xf0\x9f\x95", 3), "|||" REPLACED);
    PLB_CHECK_STRING(stream_bytes("\xf0\x9fx", 3), "||" REPLACED "x|");
    PLB_CHECK_STRING(stream_bytes("\xff\x80", 2), REPLACED "|" REPLACED "|");
    PLB_CHECK_STRING(stream_bytes("\xed\xa0\x80", 3), "|" REPLACED REPLACED "|" REPLACED "|");
    PLB_CHECK_STRING(stream_bytes("\xc3\xc3\xa9", 3), "|" REPLACED "|\xc3\xa9|");
}

/* --- long words ---------------------------------------------------------------------------------
 */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A quadratic encoder would need days for the larger ones; here they take well under a second, and
 * the bound is far above that. */
static void long_words_take_no_quadratic_time(void)
{
    enum { BYTES = 2000000 };
    char *text = malloc(BYTES);
    plb_tokenizer_t *tokenizer = golden("tokenizer_llama3");
    PLB_REQUIRE(tokenizer != NULL && text != NULL);
    for (int kind = 0; kind < 4; kind++) {
        double begin = seconds();
        for (int i = 0; i < BYTES; i++)
            text[i] = kind == 3 ? "pigeons"[i % 7] : "a \n"[kind];
        check_lossless(tokenizer, text, BYTES);
        PLB_CHECK(seconds() - begin < 60.0);
    }
    plb_tokenizer_free(tokenizer);
    free(text);
}

/* --- threads ------------------------------------------------------------------------------------
 */

struct share {
    const plb_tokenizer_t *tokenizer;
    const char *text;
    int32_t *tokens;
    size_t count;
    enum plb_status status;
};

static void *encode_share(void *argument)
{
    struct share *share = argument;
    share->status = plb_tokenizer_encode(share->tokenizer, share->text, strlen(share->text), 0,
                                         &share->tokens, &share->count);
    return NULL;
}

static void threads_share_a_tokenizer(void)
{
    enum { THREADS = 4 };
    size_t bytes = 0;
    char *text = plb_test_read_file(plb_test_source("tests/golden/golden_text.py"), &bytes);
    plb_tokenizer_t *tokenizer = golden("tokenizer_llama3");
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    PLB_REQUIRE(tokenizer != NULL && text != NULL);
    for (int i = 0; i < THREADS; i++) {
        shares[i] = (struct share){.tokenizer = tokenizer, .text = text};
        PLB_REQUIRE(pthread_create(&threads[i], NULL, encode_share, &shares[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        PLB_CHECK_EQ(shares[i].status, PLB_OK);
        PLB_CHECK(shares[i].count > 100 && shares[i].count == shares[0].count);
        PLB_CHECK_MEMORY(shares[i].tokens, shares[0].tokens,
                         shares[0].count * sizeof shares[0].tokens[0]);
    }
    for (int i = 0; i < THREADS; i++)
        free(shares[i].tokens);
    plb_tokenizer_free(tokenizer);
    free(text);
}

/* --- files that are wrong -----------------------------------------------------------------------
 */

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define MODEL(vocab, merges, more)                                                                 \
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]" more "},"         \
    "\"pre_tokenizer\":" BYTE_LEVEL "}"
#define PARTS(parts)                                                                               \
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a "           \
    "b\"]}," parts "}"
#define SPLITTER(splitter) PARTS("\"pre_tokenizer\":" splitter)
#define AROUND(parts)      PARTS("\"pre_tokenizer\":" BYTE_LEVEL "," parts)

static void check_refused(const char *text, const char *why)
{
    plb_tokenizer_t *tokenizer = NULL;
    enum plb_status status = plb_tokenizer_parse(text, strlen(text), "t.json", &tokenizer);
    PLB_CHECK_EQ(status, PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), why);
    PLB_CHECK(tokenizer == NULL);
    plb_tokenizer_free(tokenizer);
}

static void refuses_broken_vocabularies(void)
{
    check_refused("", "not valid JSON");
    check_refused("{\"pre_tokenizer\":" BYTE_LEVEL "}", "\"model\" is missing");
    check_refused(MODEL("\"a\":0,\"a\":1", "", ""), "duplicate");
    check_refused(MODEL("\"a\":0,\"b\":0", "", ""), "number 0 is given to two tokens");
    check_refused(MODEL("\"a\":-1", "", ""), "the number of token \"a\" is not one");
    check_refused(MODEL("\"a\":\"0\"", "", ""), "the number of token \"a\" is not one");
    check_refused(MODEL("\"a\":2147483648", "", ""), "far beyond");
    check_refused(MODEL("\"a\":9223372036854775807", "", ""), "far beyond");
    check_refused(MODEL("\"a\":100000", "", ""), "far beyond");
    check_refused(MODEL("\"a\":0", "\"a b\"", ""), "is not in the vocabulary");
    check_refused(MODEL("\"a\":0,\"b\":1", "\"a b\"", ""), "is not in the vocabulary");
    check_refused(MODEL("\"a\":0", "\"ab\"", ""), "merge 0 is neither");
    check_refused(MODEL("\"a\":0", "\"a b c\"", ""), "merge 0 is neither");
    check_refused(MODEL("\"a\":0", "[\"a\"]", ""), "merge 0 is neither");
    check_refused(MODEL("\"a\":0", "[\"a\",1]", ""), "merge 0 is neither");
    check_refused(MODEL("\"a\":0", "7", ""), "merge 0 is neither");
    check_refused(MODEL("\"a\":0", "", ",\"dropout\":0.1"), "\"dropout\" is not supported");
    check_refused(MODEL("\"a\":0", "", ",\"byte_fallback\":true"), "\"byte_fallback\"");
    check_refused(MODEL("\"a\":0", "", ",\"end_of_word_suffix\":\"</w>\""),
                  "\"end_of_word_suffix\"");
    check_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]},\"pre_tokenizer\":" BYTE_LEVEL
                  "}",
                  "tokenizer model \"Unigram\"");
}

static void refuses_other_pipelines(void)
{
    check_refused(SPLITTER("null"), "it is no byte-level tokenizer");
    check_refused(SPLITTER("{\"type\":\"Whitespace\"}"), "pre-tokenizer \"Whitespace\"");
    check_refused(SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[]}"), "no byte-level");
    check_refused(
        SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL "," BYTE_LEVEL "]}"),
        "a pre-tokenizer follows");
    check_refused(SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[3]}"), "\"type\" is missing");
    check_refused(SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\"}]}"),
                  "\"pattern\" is missing");
    check_refused(SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                           "\"pattern\":{\"Regex\":\"(\"}}]}"),
                  "missing closing parenthesis");
    check_refused(SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                           "\"pattern\":{\"Regex\":\"a\\\\Cb\"}}]}"),
                  "\\C");
    check_refused(SPLITTER("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                           "\"behavior\":\"MergedWithNext\",\"pattern\":{\"Regex\":\"a\"}}]}"),
                  "split behavior \"MergedWithNext\"");
    check_refused(AROUND("\"normalizer\":{\"type\":\"NFC\"}"), "normalizer \"NFC\"");
    check_refused(AROUND("\"decoder\":{\"type\":\"WordPiece\"}"), "decoder \"WordPiece\"");
    check_refused(AROUND("\"post_processor\":{\"type\":\"BertProcessing\"}"),
                  "post-processor \"BertProcessing\"");
}

static void refuses_broken_added_tokens(void)
{
    check_refused(AROUND("\"added_tokens\":{}"), "\"added_tokens\" must be an array");
    check_refused(AROUND("\"added_tokens\":[3]"), "\"content\" is missing");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"x\"}]"), "\"id\" is missing");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"\",\"id\":3}]"), "is empty");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"x\",\"id\":1}]"),
                  "number 1 is given to two tokens");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"a\",\"id\":1}]"),
                  "but 0 in the vocabulary");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"x\",\"id\":99999999}]"), "far beyond");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"x\",\"id\":3},"
                         "{\"content\":\"x\",\"id\":4}]"),
                  "is there twice");
    check_refused(AROUND("\"added_tokens\":[{\"content\":\"x\",\"id\":3,\"single_word\":true}]"),
                  "\"single_word\"");
}

static void refuses_broken_templates(void)
{
    check_refused(AROUND("\"post_processor\":{\"type\":\"TemplateProcessing\"}"),
                  "\"single\" is missing");
    check_refused(AROUND("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"),
                  "has the text 0 times");
    check_refused(AROUND("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                         "{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}]}"),
                  "\"x\" is missing");
    check_refused(AROUND("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                         "{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],"
                         "\"special_tokens\":{\"x\":{\"ids\":[77]}}}"),
                  "is no token");
}

/* A pattern that needs exponential time is stopped and reported. */
static void a_pattern_that_never_ends_is_stopped(void)
{
    static const char text[] = SPLITTER(
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\","
        "\"pattern\":{\"Regex\":\"(a|a|b?)+[cd]\"}}," BYTE_LEVEL "]}");
    plb_tokenizer_t *tokenizer = NULL;
    int32_t *tokens = NULL;
    size_t count = 0;
    char subject[41];
    memset(subject, 'a', 40);
    subject[40] = '\0';
    PLB_REQUIRE(plb_tokenizer_parse(text, strlen(text), "t.json", &tokenizer) == PLB_OK);
    PLB_CHECK_EQ(plb_tokenizer_encode(tokenizer, subject, 40, 0, &tokens, &count),
                 PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "match limit exceeded");
    plb_tokenizer_free(tokenizer);
}

static void bytes_outside_the_vocabulary_are_unknown(void)
{
    static const char left_out[] = MODEL("\"a\":0", "", "");
    static const char unknown[] = MODEL("\"a\":0,\"<u>\":1", "", ",\"unk_token\":\"<u>\"");
    static const char fused[] =
        MODEL("\"a\":0,\"<u>\":1", "", ",\"unk_token\":\"<u>\",\"fuse_unk\":true");
    static const struct {
        const char *text;
        size_t count;
    } cases[] = {{left_out, 2}, {unknown, 4}, {fused, 3}};
    for (size_t i = 0; i < 3; i++) {
        plb_tokenizer_t *tokenizer = NULL;
        PLB_REQUIRE(plb_tokenizer_parse(cases[i].text, strlen(cases[i].text), "t.json",
                                        &tokenizer) == PLB_OK);
        PLB_CHECK_EQ(count_tokens(tokenizer, "axya", 0), cases[i].count);
        plb_tokenizer_free(tokenizer);
    }
}

/* A golden file cut anywhere is refused. */
static void refuses_truncations(void)
{
    size_t bytes = 0;
    char *text = plb_test_read_file(plb_test_source("tests/golden/gpt2/tokenizer.json"), &bytes);
    PLB_REQUIRE(text != NULL);
    while (bytes > 0 && text[bytes - 1] != '}')
        bytes--;
    for (size_t cut = 0; cut < bytes; cut += cut < 1500 ? 1 : 97) {
        plb_tokenizer_t *tokenizer = NULL;
        PLB_CHECK_EQ(plb_tokenizer_parse(text, cut, "cut", &tokenizer), PLB_ERROR_FORMAT);
        plb_tokenizer_free(tokenizer);
    }
    free(text);
}

static void saving_copies_the_file(void)
{
    char path[4096];
    size_t bytes = 0, golden_bytes = 0;
    plb_tokenizer_t *tokenizer = NULL;
    snprintf(path, sizeof path, "%s", plb_test_tmp("copy"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    PLB_REQUIRE(plb_tokenizer_load(plb_test_source("tests/golden/llama_tied"), &tokenizer) ==
                PLB_OK);
    PLB_CHECK_EQ(plb_tokenizer_save(tokenizer, path), PLB_OK);
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (size_t i = 0; i < 2; i++) {
        char copied[100], source[100];
        snprintf(copied, sizeof copied, "copy/%s", names[i]);
        snprintf(source, sizeof source, "tests/golden/llama_tied/%s", names[i]);
        char *a = plb_test_read_file(plb_test_tmp(copied), &bytes);
        char *b = plb_test_read_file(plb_test_source(source), &golden_bytes);
        PLB_REQUIRE(a != NULL && b != NULL);
        PLB_CHECK_EQ(bytes, golden_bytes);
        PLB_CHECK(memcmp(a, b, bytes) == 0);
        free(a);
        free(b);
    }
    PLB_CHECK_EQ(plb_tokenizer_save(tokenizer, plb_test_tmp("absent")), PLB_ERROR_IO);
    plb_tokenizer_free(tokenizer);
    PLB_CHECK_EQ(plb_tokenizer_load(plb_test_tmp("absent"), &tokenizer), PLB_ERROR_IO);
}

static void survives_without_memory(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", plb_test_source("tests/golden/gpt2"));
    /* The first steps one by one, then in larger strides: a vocabulary takes thousands. */
    for (long n = 1; plb_test_alloc_available(); n += n < 200 ? 1 : n / 50) {
        plb_tokenizer_t *tokenizer = NULL;
        int32_t *tokens = NULL;
        size_t count = 0;
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_tokenizer_load(path, &tokenizer);
        if (status == PLB_OK)
            status = plb_tokenizer_encode(tokenizer, "a <|endoftext|> b", 17, 0, &tokens, &count);
        bool failed = plb_test_alloc_stop();
        PLB_CHECK((status == PLB_OK) == (tokens != NULL));
        free(tokens);
        plb_tokenizer_free(tokenizer);
        if (!failed)
            break;
    }
}

PLB_TEST_MAIN("frontends/formats/tokenizer", NULL, NULL, PLB_TEST(encodes_as_gpt2_does),
              PLB_TEST(encodes_as_llama3_does), PLB_TEST(loads_what_transformers_saved),
              PLB_TEST(any_bytes_survive), PLB_TEST(plain_text_has_no_special_tokens),
              PLB_TEST(decoding_refuses_what_is_no_token),
              PLB_TEST(streams_never_give_half_a_character),
              PLB_TEST(long_words_take_no_quadratic_time), PLB_TEST(threads_share_a_tokenizer),
              PLB_TEST(refuses_broken_vocabularies), PLB_TEST(refuses_other_pipelines),
              PLB_TEST(refuses_broken_added_tokens), PLB_TEST(refuses_broken_templates),
              PLB_TEST(a_pattern_that_never_ends_is_stopped),
              PLB_TEST(bytes_outside_the_vocabulary_are_unknown), PLB_TEST(refuses_truncations),
              PLB_TEST(saving_copies_the_file), PLB_TEST(survives_without_memory))
