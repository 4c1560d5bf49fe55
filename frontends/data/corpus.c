/* SPDX-License-Identifier: BSD-3-Clause */
/* The row of tokens and its windows. Reading text stands in corpus_text.c. */
#include "config.h"

#include "frontends/data/corpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontends/data/corpus_text.h"
#include "frontends/data/shuffle.h"
#include "runtime/base/hash.h"
#include "runtime/base/random.h"

/* Streams of randomness under the caller's seed. */
#define STREAM_SHUFFLE UINT64_C(0x636f727075730000) /* + epoch */
#define STREAM_OFFSET  UINT64_C(0x6f66667365740000)

struct plb_corpus {
    FILE *file; /* the tokens, while they are being collected */
    int32_t *tokens;
    size_t mapped; /* bytes of the mapping */
    int64_t count, training;
    uint64_t fingerprint;
    double validation;
};

/* What goes on while text is read. */
struct collector {
    plb_corpus_t *corpus;
    const plb_tokenizer_t *tokenizer;
    const struct plb_corpus_options *options;
    int64_t vocab;
    int64_t start; /* of the current document */
};

static enum plb_status io_error(const char *what)
{
    return plb_fail(PLB_ERROR_IO, "cannot %s the tokens of the corpus in %s: %s", what,
                    getenv("TMPDIR") ? "$TMPDIR" : "/tmp", strerror(errno));
}

/* A file without a name. */
static enum plb_status open_nameless(FILE **file_out)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/palombe-XXXXXX", folder && *folder ? folder : "/tmp");

    if (n < 0 || (size_t)n >= sizeof path)
        return plb_fail(PLB_ERROR_IO, "the path in $TMPDIR is too long");
    int fd = mkstemp(path);
    if (fd < 0)
        return io_error("keep");
    unlink(path);
    *file_out = fdopen(fd, "w+");
    if (*file_out)
        return PLB_OK;
    enum plb_status status = io_error("keep");
    close(fd);
    return status;
}

static enum plb_status add_tokens(plb_corpus_t *corpus, const int32_t *tokens, size_t count)
{
    if (count > 0 && fwrite(tokens, sizeof *tokens, count, corpus->file) != count)
        return io_error("write");
    corpus->fingerprint = plb_hash_mix(corpus->fingerprint, tokens, count * sizeof *tokens);
    corpus->count += (int64_t)count;
    return PLB_OK;
}

static enum plb_status check_tokens(const char *name, const int32_t *tokens, size_t count,
                                    int64_t vocab)
{
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= vocab)
            return plb_fail(PLB_ERROR_INVALID,
                            "%s: token %d is not in the model's vocabulary of %lld tokens", name,
                            tokens[i], (long long)vocab);
    return PLB_OK;
}

static enum plb_status take_block(void *context, const char *path, const char *text, size_t bytes)
{
    struct collector *collector = context;
    int32_t *tokens;
    size_t count;
    enum plb_status status =
        plb_tokenizer_encode(collector->tokenizer, text, bytes, PLB_ENCODE_PLAIN, &tokens, &count);

    if (status != PLB_OK)
        return plb_fail_within(status, "%s", path);
    status = check_tokens(path, tokens, count, collector->vocab);
    if (status == PLB_OK)
        status = add_tokens(collector->corpus, tokens, count);
    free(tokens);
    return status;
}

static enum plb_status end_document(void *context, const char *path)
{
    struct collector *collector = context;

    if (collector->options->separator < 0 || collector->corpus->count == collector->start)
        return PLB_OK; /* an empty file is no document */
    PLB_TRY(check_tokens(path, &collector->options->separator, 1, collector->vocab));
    PLB_TRY(add_tokens(collector->corpus, &collector->options->separator, 1));
    collector->start = collector->corpus->count;
    return PLB_OK;
}

/* Maps the tokens that were collected. */
static enum plb_status map_tokens(plb_corpus_t *corpus)
{
    corpus->mapped = (size_t)corpus->count * sizeof *corpus->tokens;
    if (fflush(corpus->file) != 0)
        return io_error("write");
    void *tokens = mmap(NULL, corpus->mapped, PROT_READ, MAP_SHARED, fileno(corpus->file), 0);
    if (tokens == MAP_FAILED)
        return io_error("map");
    corpus->tokens = tokens;
    fclose(corpus->file);
    corpus->file = NULL;
    return PLB_OK;
}

static enum plb_status divide(plb_corpus_t *corpus, const struct plb_corpus_options *options)
{
    if (!(options->validation >= 0.0 && options->validation <= 0.5))
        return plb_fail(PLB_ERROR_INVALID, "the part for validation is %g, not between 0 and 0.5",
                        options->validation);
    corpus->validation = options->validation;
    corpus->training = corpus->count - (int64_t)((double)corpus->count * options->validation);
    corpus->fingerprint =
        plb_hash_mix(corpus->fingerprint, &corpus->training, sizeof corpus->training);
    return PLB_OK;
}

static enum plb_status create(plb_corpus_t **corpus_out)
{
    plb_corpus_t *corpus = calloc(1, sizeof *corpus);

    if (!corpus)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a corpus");
    enum plb_status status = open_nameless(&corpus->file);
    if (status != PLB_OK) {
        free(corpus);
        return status;
    }
    *corpus_out = corpus;
    return PLB_OK;
}

/* Makes a corpus whose tokens are all there ready, or frees it. */
static enum plb_status finish(plb_corpus_t *corpus, enum plb_status status,
                              const struct plb_corpus_options *options, plb_corpus_t **corpus_out)
{
    if (status == PLB_OK)
        status = divide(corpus, options);
    if (status == PLB_OK)
        status = map_tokens(corpus);
    if (status != PLB_OK) {
        plb_corpus_close(corpus);
        return status;
    }
    *corpus_out = corpus;
    return PLB_OK;
}

enum plb_status plb_corpus_open(const char *const *paths, int n, const plb_tokenizer_t *tokenizer,
                                const struct plb_corpus_options *options, plb_corpus_t **corpus_out)
{
    plb_corpus_t *corpus = NULL;
    struct collector collector = {NULL, tokenizer, options, options->vocab, 0};
    enum plb_status status = PLB_OK;

    if (n < 1)
        return plb_fail(PLB_ERROR_INVALID, "no text was named");
    if (collector.vocab == 0)
        collector.vocab = plb_tokenizer_vocab(tokenizer);
    PLB_TRY(create(&corpus));
    collector.corpus = corpus;
    for (int i = 0; i < n && status == PLB_OK; i++)
        status = plb__text_read(paths[i], take_block, end_document, &collector);
    if (status == PLB_OK && corpus->count == 0)
        status = plb_fail(PLB_ERROR_INVALID, "%s%s: there is no text", paths[0],
                          n > 1 ? " and the others" : "");
    return finish(corpus, status, options, corpus_out);
}

enum plb_status plb_corpus_from_tokens(const int32_t *tokens, int64_t count,
                                       const struct plb_corpus_options *options,
                                       plb_corpus_t **corpus_out)
{
    plb_corpus_t *corpus = NULL;
    int64_t vocab = options->vocab ? options->vocab : INT32_MAX;

    if (count < 1)
        return plb_fail(PLB_ERROR_INVALID, "a corpus needs at least one token");
    PLB_TRY(check_tokens("corpus", tokens, (size_t)count, vocab));
    PLB_TRY(create(&corpus));
    return finish(corpus, add_tokens(corpus, tokens, (size_t)count), options, corpus_out);
}

void plb_corpus_close(plb_corpus_t *corpus)
{
    if (!corpus)
        return;
    if (corpus->tokens)
        munmap(corpus->tokens, corpus->mapped);
    if (corpus->file)
        fclose(corpus->file);
    free(corpus);
}

int64_t plb_corpus_tokens(const plb_corpus_t *corpus, enum plb_corpus_part part)
{
    return part == PLB_CORPUS_TRAINING ? corpus->training : corpus->count - corpus->training;
}

uint64_t plb_corpus_fingerprint(const plb_corpus_t *corpus)
{
    return corpus->fingerprint;
}

double plb_corpus_validation(const plb_corpus_t *corpus)
{
    return corpus->validation;
}

enum plb_status plb_corpus_windows(const plb_corpus_t *corpus, enum plb_corpus_part part,
                                   int64_t sequence, int64_t *windows_out)
{
    int64_t count = plb_corpus_tokens(corpus, part);

    if (sequence < 1)
        return plb_fail(PLB_ERROR_INVALID, "a sequence of %lld tokens", (long long)sequence);
    if (count - 1 < sequence)
        return plb_fail(PLB_ERROR_INVALID,
                        "the corpus has %lld tokens for %s, a sequence of %lld needs %lld",
                        (long long)count, part == PLB_CORPUS_TRAINING ? "training" : "validation",
                        (long long)sequence, (long long)sequence + 1);
    int64_t windows = (count - 1) / sequence;
    /* In training one fewer, which leaves room for the epoch's offset. */
    *windows_out = part == PLB_CORPUS_TRAINING && windows > 1 ? windows - 1 : windows;
    return PLB_OK;
}

/* The first token of window number `number`, counted over all epochs. */
static int64_t window_start(const plb_corpus_t *corpus, enum plb_corpus_part part, uint64_t seed,
                            uint64_t number, int64_t windows, int64_t sequence)
{
    uint64_t n = (uint64_t)windows, epoch = number / n, index = number % n;
    uint32_t words[4];

    if (part == PLB_CORPUS_VALIDATION)
        return corpus->training + (int64_t)index * sequence;
    int64_t spare = corpus->training - 1 - windows * sequence;
    plb_random_words(seed, STREAM_OFFSET, epoch, words);
    int64_t offset = (int64_t)((((uint64_t)words[1] << 32) | words[0]) % (uint64_t)(spare + 1));
    index = plb_shuffle(seed, STREAM_SHUFFLE + epoch, n, index);
    return offset + (int64_t)index * sequence;
}

enum plb_status plb_corpus_batch(const plb_corpus_t *corpus, enum plb_corpus_part part,
                                 uint64_t seed, uint64_t step, int64_t batch, int64_t sequence,
                                 int32_t *tokens, int32_t *targets)
{
    int64_t windows = 0;
    size_t bytes = (size_t)sequence * sizeof *tokens;

    PLB_TRY(plb_corpus_windows(corpus, part, sequence, &windows));
    for (int64_t b = 0; b < batch; b++) {
        uint64_t number = step * (uint64_t)batch + (uint64_t)b;
        const int32_t *start =
            corpus->tokens + window_start(corpus, part, seed, number, windows, sequence);
        memcpy(tokens + b * sequence, start, bytes);
        memcpy(targets + b * sequence, start + 1, bytes);
    }
    return PLB_OK;
}
