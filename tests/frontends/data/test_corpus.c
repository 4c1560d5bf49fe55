/* SPDX-License-Identifier: BSD-3-Clause */
/* Corpora: the same tokens however text is cut, windows that cover everything once, bad input. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/data/corpus.h"
#include "frontends/data/shuffle.h"
#include "runtime/base/file.h"
#include "tests/support/plb_test.h"

static plb_tokenizer_t *bytes_tokenizer;

static int setup(void)
{
    return plb_tokenizer_make_bytes(&bytes_tokenizer) == PLB_OK ? 0 : 1;
}

static int teardown(void)
{
    plb_tokenizer_free(bytes_tokenizer);
    return 0;
}

static void write_text(const char *path, const char *text)
{
    PLB_REQUIRE(plb_test_write_file(path, text, strlen(text)));
}

/* Tokens 0, 1, 2, ... */
static plb_corpus_t *counting(int64_t count, double validation)
{
    struct plb_corpus_options options = {.validation = validation, .separator = -1};
    int32_t *tokens = malloc((size_t)count * sizeof *tokens);
    plb_corpus_t *corpus = NULL;

    PLB_REQUIRE(tokens != NULL);
    for (int64_t i = 0; i < count; i++)
        tokens[i] = (int32_t)i;
    PLB_REQUIRE(plb_corpus_from_tokens(tokens, count, &options, &corpus) == PLB_OK);
    free(tokens);
    return corpus;
}

static void shuffles_are_permutations(void)
{
    enum { MOST = 300 };
    for (uint64_t n = 1; n < MOST; n = n < 20 ? n + 1 : n * 3 / 2) {
        bool seen[MOST] = {false};
        uint64_t moved = 0;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t to = plb_shuffle(5, 2, n, i);
            PLB_REQUIRE(to < n);
            PLB_CHECK(!seen[to]);
            seen[to] = true;
            moved += to != plb_shuffle(5, 3, n, i);
        }
        PLB_CHECK(n < 10 || moved > n / 2);
    }
    PLB_CHECK(plb_shuffle(1, 1, UINT64_C(1) << 40, 12345) < UINT64_C(1) << 40);
}

/* In one epoch each window comes once, windows do not overlap, targets follow their tokens. */
static void an_epoch_covers_all_windows_once(void)
{
    enum { COUNT = 1000, T = 7, B = 3 };
    plb_corpus_t *corpus = counting(COUNT, 0.0);
    int32_t tokens[B * T], targets[B * T];
    int64_t windows = 0;

    PLB_REQUIRE(plb_corpus_windows(corpus, PLB_CORPUS_TRAINING, T, &windows) == PLB_OK);
    PLB_CHECK_EQ(windows, 141);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[COUNT] = {0}, covered = 0;
        for (uint64_t step = 0; step < (uint64_t)windows / B; step++) {
            uint64_t number = epoch * (uint64_t)windows / B + step;
            PLB_REQUIRE(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 9, number, B, T, tokens,
                                         targets) == PLB_OK);
            for (int i = 0; i < B * T; i++) {
                seen[tokens[i]]++;
                PLB_CHECK_EQ(targets[i], tokens[i] + 1);
                PLB_CHECK(i % T == 0 || tokens[i] == tokens[i - 1] + 1);
            }
        }
        for (int i = 0; i < COUNT; i++) {
            PLB_CHECK(seen[i] <= 1);
            covered += seen[i];
        }
        PLB_CHECK_EQ(covered, 141 * T);
    }
    plb_corpus_close(corpus);
}

static void batches_depend_on_seed_and_step_only(void)
{
    enum { T = 8, B = 4 };
    plb_corpus_t *corpus = counting(5000, 0.0);
    int32_t a[B * T], b[B * T], targets[B * T];

    for (uint64_t step = 0; step < 40; step++) {
        PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 1, 40 - step, B, T, b, targets),
                     PLB_OK);
        PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 1, step, B, T, a, targets),
                     PLB_OK);
        PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 1, step, B, T, b, targets),
                     PLB_OK);
        PLB_CHECK_MEMORY(a, b, sizeof a);
        PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 2, step, B, T, b, targets),
                     PLB_OK);
        PLB_CHECK(memcmp(a, b, sizeof a) != 0);
    }
    plb_corpus_close(corpus);
}

static void validation_is_the_tail_in_order(void)
{
    enum { T = 10 };
    plb_corpus_t *corpus = counting(1000, 0.1);
    int32_t tokens[T], targets[T];

    PLB_CHECK_EQ(plb_corpus_tokens(corpus, PLB_CORPUS_TRAINING), 900);
    PLB_CHECK_EQ(plb_corpus_tokens(corpus, PLB_CORPUS_VALIDATION), 100);
    for (uint64_t step = 0; step < 20; step++) {
        PLB_CHECK_EQ(
            plb_corpus_batch(corpus, PLB_CORPUS_VALIDATION, 0, step, 1, T, tokens, targets),
            PLB_OK);
        PLB_CHECK_EQ(tokens[0], 900 + (int)(step % 9) * T);
        PLB_CHECK_EQ(targets[T - 1], tokens[0] + T);
    }
    for (uint64_t step = 0; step < 500; step++) {
        PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 0, step, 1, T, tokens, targets),
                     PLB_OK);
        PLB_CHECK(targets[T - 1] < 900);
    }
    plb_corpus_close(corpus);
}

static void the_shortest_corpus_has_one_window(void)
{
    plb_corpus_t *corpus = counting(5, 0.0);
    int32_t tokens[8], targets[8];
    int64_t windows;

    PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 0, 77, 1, 4, tokens, targets),
                 PLB_OK);
    PLB_CHECK_EQ(tokens[0], 0);
    PLB_CHECK_EQ(targets[3], 4);
    PLB_CHECK_EQ(plb_corpus_windows(corpus, PLB_CORPUS_TRAINING, 5, &windows), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "the corpus has 5 tokens for training");
    PLB_CHECK_EQ(plb_corpus_windows(corpus, PLB_CORPUS_VALIDATION, 1, &windows), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_corpus_windows(corpus, PLB_CORPUS_TRAINING, 0, &windows), PLB_ERROR_INVALID);
    plb_corpus_close(corpus);
}

/* A text larger than several blocks gives the tokens of the text as a whole. */
static void blocks_do_not_change_tokens(void)
{
    enum { BYTES = 2500000 };
    static const char *const words[] = {" the", " state",  "\n\n", "  ", " of", " 12345",
                                        "it's", " \n\t x", " é",   ".",  "-",   " (C)"};
    struct plb_corpus_options options = {.separator = -1};
    plb_tokenizer_t *tokenizer;
    plb_corpus_t *corpus;
    char *text = malloc(BYTES + 16);
    const char *path = plb_test_tmp("long");
    size_t bytes = 0, count;
    uint32_t random = 1;
    int32_t *whole;

    PLB_REQUIRE(text != NULL);
    while (bytes < BYTES) {
        random = random * 1664525u + 1013904223u;
        const char *word = words[(random >> 16) % 12];
        memcpy(text + bytes, word, strlen(word));
        bytes += strlen(word);
    }
    PLB_REQUIRE(plb_tokenizer_train(text, 20000, 300, &tokenizer) == PLB_OK);
    PLB_REQUIRE(plb_tokenizer_encode(tokenizer, text, bytes, PLB_ENCODE_PLAIN, &whole, &count) ==
                PLB_OK);
    PLB_REQUIRE(plb_test_write_file(path, text, bytes));
    PLB_REQUIRE(plb_corpus_open(&path, 1, tokenizer, &options, &corpus) == PLB_OK);
    PLB_REQUIRE(plb_corpus_tokens(corpus, PLB_CORPUS_TRAINING) == (int64_t)count);
    int32_t *tokens = malloc(count * sizeof *tokens), *targets = malloc(count * sizeof *tokens);
    PLB_REQUIRE(tokens && targets);
    PLB_REQUIRE(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 0, 0, 1, (int64_t)count - 1, tokens,
                                 targets) == PLB_OK);
    PLB_CHECK_MEMORY(tokens, whole, (count - 1) * sizeof *tokens);
    free(targets);
    free(tokens);
    free(whole);
    free(text);
    plb_corpus_close(corpus);
    plb_tokenizer_free(tokenizer);
}

/* b/2, b/10 and a in the order of names; not the hidden one, the empty one, or the link. */
static void directories_are_read_in_order(void)
{
    struct plb_corpus_options options = {.separator = 256};
    const char *directory = plb_test_tmp("tree");
    const char *inner = plb_test_tmp("tree/b");
    plb_corpus_t *corpus;
    int32_t tokens[12], targets[12];
    static const int32_t expected[] = {'a', 'a', 256, '1', '0', 256, '2', 256};

    PLB_REQUIRE(plb_file_make_directory(inner) == PLB_OK);
    write_text(plb_test_tmp("tree/b/2"), "2");
    write_text(plb_test_tmp("tree/b/10"), "10");
    write_text(plb_test_tmp("tree/a"), "aa");
    write_text(plb_test_tmp("tree/.hidden"), "no");
    write_text(plb_test_tmp("tree/empty"), "");
    PLB_REQUIRE(symlink("a", plb_test_tmp("tree/link")) == 0);
    PLB_REQUIRE(plb_corpus_open(&directory, 1, bytes_tokenizer, &options, &corpus) == PLB_OK);
    PLB_REQUIRE(plb_corpus_tokens(corpus, PLB_CORPUS_TRAINING) == 8);
    PLB_CHECK_EQ(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, 0, 0, 1, 7, tokens, targets),
                 PLB_OK);
    PLB_CHECK_MEMORY(tokens, expected, 7 * sizeof expected[0]);
    PLB_CHECK_EQ(targets[6], 256);
    plb_corpus_close(corpus);
}

static void fingerprints_tell_corpora_apart(void)
{
    plb_corpus_t *a = counting(100, 0.0), *b = counting(100, 0.0), *c = counting(101, 0.0),
                 *d = counting(100, 0.1);

    PLB_CHECK(plb_corpus_fingerprint(a) == plb_corpus_fingerprint(b));
    PLB_CHECK(plb_corpus_fingerprint(a) != plb_corpus_fingerprint(c));
    PLB_CHECK(plb_corpus_fingerprint(a) != plb_corpus_fingerprint(d));
    plb_corpus_close(a);
    plb_corpus_close(b);
    plb_corpus_close(c);
    plb_corpus_close(d);
}

static void bad_input_is_refused_with_its_cause(void)
{
    struct plb_corpus_options options = {.separator = 256};
    const char *missing = plb_test_tmp("missing"), *empty = plb_test_tmp("nothing");
    const char *text = plb_test_tmp("text");
    plb_corpus_t *corpus;
    int32_t token = 7;

    PLB_CHECK_EQ(plb_corpus_open(&missing, 1, bytes_tokenizer, &options, &corpus), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "missing: No such file");
    write_text(empty, "");
    PLB_CHECK_EQ(plb_corpus_open(&empty, 1, bytes_tokenizer, &options, &corpus), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "there is no text");
    PLB_CHECK_EQ(plb_corpus_open(NULL, 0, bytes_tokenizer, &options, &corpus), PLB_ERROR_INVALID);
    write_text(text, "z");
    options.vocab = 100;
    PLB_CHECK_EQ(plb_corpus_open(&text, 1, bytes_tokenizer, &options, &corpus), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "token 122 is not in the model's vocabulary of 100");
    options.vocab = 200; /* the text fits, the separator does not */
    PLB_CHECK_EQ(plb_corpus_open(&text, 1, bytes_tokenizer, &options, &corpus), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "token 256");
    options.vocab = 0;
    options.validation = 0.7;
    PLB_CHECK_EQ(plb_corpus_open(&text, 1, bytes_tokenizer, &options, &corpus), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_corpus_from_tokens(&token, 0, &options, &corpus), PLB_ERROR_INVALID);
    options.validation = 0.0;
    options.vocab = 7;
    PLB_CHECK_EQ(plb_corpus_from_tokens(&token, 1, &options, &corpus), PLB_ERROR_INVALID);
}

static void a_folder_that_cannot_be_written(void)
{
    struct plb_corpus_options options = {.separator = -1};
    int32_t token = 7;
    plb_corpus_t *corpus;
    char *before = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;

    setenv("TMPDIR", plb_test_tmp("not-there"), 1);
    PLB_CHECK_EQ(plb_corpus_from_tokens(&token, 1, &options, &corpus), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "$TMPDIR");
    if (before)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
    free(before);
}

static void short_memory_is_reported(void)
{
    struct plb_corpus_options options = {.separator = -1};
    const char *text = plb_test_tmp("some");

    write_text(text, "some text");
    for (long n = 1; plb_test_alloc_available(); n++) {
        plb_corpus_t *corpus = NULL;
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_corpus_open(&text, 1, bytes_tokenizer, &options, &corpus);
        bool failed = plb_test_alloc_stop();
        if (status == PLB_OK)
            plb_corpus_close(corpus);
        if (!failed)
            break;
        PLB_CHECK(status == PLB_ERROR_MEMORY || status == PLB_ERROR_IO || status == PLB_OK);
    }
}

PLB_TEST_MAIN("frontends/data/corpus", setup, teardown, PLB_TEST(shuffles_are_permutations),
              PLB_TEST(an_epoch_covers_all_windows_once),
              PLB_TEST(batches_depend_on_seed_and_step_only),
              PLB_TEST(validation_is_the_tail_in_order),
              PLB_TEST(the_shortest_corpus_has_one_window), PLB_TEST(blocks_do_not_change_tokens),
              PLB_TEST(directories_are_read_in_order), PLB_TEST(fingerprints_tell_corpora_apart),
              PLB_TEST(bad_input_is_refused_with_its_cause),
              PLB_TEST(a_folder_that_cannot_be_written), PLB_TEST(short_memory_is_reported))
