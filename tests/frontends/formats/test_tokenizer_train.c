/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokenizers made here: the bytes, and learned merges, against a slow trainer that recounts. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontends/formats/tokenizer.h"
#include "tests/support/plb_test.h"

static void bytes_are_tokens(void)
{
    plb_tokenizer_t *tokenizer = NULL;
    int32_t *tokens = NULL;
    size_t count = 0;
    char text[256];
    PLB_REQUIRE(plb_tokenizer_make_bytes(&tokenizer) == PLB_OK);
    PLB_CHECK_EQ(plb_tokenizer_vocab(tokenizer), 257);
    PLB_CHECK_EQ(plb_tokenizer_find(tokenizer, PLB_END_OF_TEXT), 256);
    for (int i = 0; i < 256; i++)
        text[i] = (char)i;
    PLB_REQUIRE(plb_tokenizer_encode(tokenizer, text, 256, 0, &tokens, &count) == PLB_OK);
    PLB_REQUIRE(count == 256);
    for (int i = 0; i < 256; i++)
        PLB_CHECK_EQ(tokens[i], i);
    free(tokens);
    plb_tokenizer_free(tokenizer);
}

/* --- a trainer that is slow and plain -----------------------------------------------------------
 */

enum { WORDS_MAX = 64, LENGTH_MAX = 32, TOKENS_MAX = 400 };

/* Words are what GPT-2's pattern makes of letters and single spaces: a space goes with the letters
 * after it. */
struct slow {
    int word[WORDS_MAX][LENGTH_MAX];
    int length[WORDS_MAX];
    int words;
    char token[TOKENS_MAX][LENGTH_MAX + 1];
    int tokens;
};

static void slow_split(struct slow *slow, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (c == text || *c == ' ')
            slow->length[slow->words++] = 0;
        int w = slow->words - 1;
        /* In GPT-2's order of bytes '!' is 0, and the space the 33rd after the 188 printable ones.
         */
        slow->word[w][slow->length[w]++] = *c == ' ' ? 188 + 32 : *c - '!';
    }
}

static int slow_count(const struct slow *slow, int left, int right)
{
    int count = 0;
    for (int w = 0; w < slow->words; w++) {
        for (int i = 0; i + 1 < slow->length[w]; i++)
            count += slow->word[w][i] == left && slow->word[w][i + 1] == right;
    }
    return count;
}

static bool slow_best(const struct slow *slow, int *left, int *right)
{
    int best = 1;
    for (int a = 0; a < slow->tokens; a++) {
        for (int b = 0; b < slow->tokens; b++) {
            int count =
                slow->token[a][0] != 0 && slow->token[b][0] != 0 ? slow_count(slow, a, b) : 0;
            if (count > best) {
                best = count;
                *left = a;
                *right = b;
            }
        }
    }
    return best > 1;
}

static void slow_merge(struct slow *slow, int left, int right)
{
    int token = slow->tokens++;
    strcpy(slow->token[token], slow->token[left]);
    strcat(slow->token[token], slow->token[right]);
    for (int w = 0; w < slow->words; w++) {
        int kept = 0;
        for (int i = 0; i < slow->length[w]; kept++) {
            bool pair = i + 1 < slow->length[w] && slow->word[w][i] == left &&
                        slow->word[w][i + 1] == right;
            slow->word[w][kept] = pair ? token : slow->word[w][i];
            i += pair ? 2 : 1;
        }
        slow->length[w] = kept;
    }
}

static const char sample[] =
    "low low low low low lower lower newest newest newest newest newest newest widest widest "
    "widest "
    "banana bananas ananas aaaaaaa aaaa aaaaa abababab ababab slow slower slowest";

static void learns_the_merges_of_the_definition(void)
{
    static struct slow slow;
    plb_tokenizer_t *tokenizer = NULL;
    memset(&slow, 0, sizeof slow);
    slow.tokens = 256;
    for (int c = '!'; c <= '~'; c++)
        slow.token[c - '!'][0] = (char)c;
    slow.token[188 + 32][0] = ' ';
    slow_split(&slow, sample);
    int left = 0, right = 0;
    while (slow_best(&slow, &left, &right))
        slow_merge(&slow, left, right);
    PLB_CHECK(slow.tokens > 280);
    PLB_REQUIRE(plb_tokenizer_train(sample, strlen(sample), 60000, &tokenizer) == PLB_OK);
    PLB_CHECK_EQ(plb_tokenizer_vocab(tokenizer), slow.tokens + 1);
    for (int token = 256; token < slow.tokens; token++)
        PLB_CHECK_EQ(plb_tokenizer_find(tokenizer, slow.token[token]), token);
    PLB_CHECK_EQ(plb_tokenizer_find(tokenizer, PLB_END_OF_TEXT), slow.tokens);
    plb_tokenizer_free(tokenizer);
}

static char *real_text(size_t *bytes)
{
    char *text = plb_test_read_file(plb_test_source("tests/golden/golden_text.py"), bytes);
    PLB_REQUIRE(text != NULL);
    return text;
}

static void learns_no_more_than_asked(void)
{
    size_t bytes = 0;
    char *text = real_text(&bytes);
    plb_tokenizer_t *tokenizer = NULL;
    static const int32_t sizes[] = {257, 258, 400};
    for (size_t i = 0; i < 3; i++) {
        PLB_REQUIRE(plb_tokenizer_train(text, bytes, sizes[i], &tokenizer) == PLB_OK);
        PLB_CHECK_EQ(plb_tokenizer_vocab(tokenizer), sizes[i]);
        plb_tokenizer_free(tokenizer);
    }
    PLB_CHECK_EQ(plb_tokenizer_train(text, bytes, 256, &tokenizer), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_tokenizer_train(text, bytes, 65537, &tokenizer), PLB_ERROR_INVALID);
    PLB_REQUIRE(plb_tokenizer_train("", 0, 300, &tokenizer) == PLB_OK);
    PLB_CHECK_EQ(plb_tokenizer_vocab(tokenizer), 257);
    plb_tokenizer_free(tokenizer);
    free(text);
}

/* Saved and loaded, it is the same, and its tokens give the text back in fewer pieces. */
static void what_is_learned_is_saved(void)
{
    char path[4096];
    size_t bytes = 0, count = 0, count_again = 0, length = 0;
    char *text = real_text(&bytes), *decoded = NULL;
    plb_tokenizer_t *tokenizer = NULL, *again = NULL;
    int32_t *tokens = NULL, *tokens_again = NULL;
    snprintf(path, sizeof path, "%s", plb_test_tmp("learned"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    PLB_REQUIRE(plb_tokenizer_train(text, bytes, 1000, &tokenizer) == PLB_OK);
    PLB_REQUIRE(plb_tokenizer_save(tokenizer, path) == PLB_OK);
    PLB_REQUIRE(plb_tokenizer_load(path, &again) == PLB_OK);
    PLB_REQUIRE(plb_tokenizer_encode(tokenizer, text, bytes, 0, &tokens, &count) == PLB_OK);
    PLB_REQUIRE(plb_tokenizer_encode(again, text, bytes, 0, &tokens_again, &count_again) == PLB_OK);
    PLB_CHECK_EQ(count, count_again);
    PLB_CHECK_MEMORY(tokens, tokens_again, count * sizeof *tokens);
    PLB_CHECK(count < bytes / 2);
    PLB_REQUIRE(plb_tokenizer_decode(again, tokens, count, false, &decoded, &length) == PLB_OK);
    PLB_CHECK_EQ(length, bytes);
    PLB_CHECK_MEMORY(decoded, text, bytes);
    free(decoded);
    free(tokens);
    free(tokens_again);
    plb_tokenizer_free(tokenizer);
    plb_tokenizer_free(again);
    free(text);
}

static void survives_without_memory(void)
{
    for (long n = 1; plb_test_alloc_available(); n += n < 200 ? 1 : n / 50) {
        plb_tokenizer_t *tokenizer = NULL;
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_tokenizer_train(sample, strlen(sample), 270, &tokenizer);
        bool failed = plb_test_alloc_stop();
        PLB_CHECK((status == PLB_OK) == (tokenizer != NULL));
        plb_tokenizer_free(tokenizer);
        if (!failed)
            break;
    }
}

PLB_TEST_MAIN("frontends/formats/tokenizer_train", NULL, NULL, PLB_TEST(bytes_are_tokens),
              PLB_TEST(learns_the_merges_of_the_definition), PLB_TEST(learns_no_more_than_asked),
              PLB_TEST(what_is_learned_is_saved), PLB_TEST(survives_without_memory))
