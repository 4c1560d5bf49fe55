/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text to train on: files become one long row of tokens, of which steps take windows.
 *
 * The tokens lie in a file without a name in $TMPDIR (or /tmp), mapped into memory, so that a
 * corpus may be larger than the memory; text is read and encoded in blocks. A directory stands for
 * the regular files below it in the order of their names, without hidden ones and without symbolic
 * links, so that nothing counts twice. Documents (files) are separated by one token.
 *
 * Which windows a step gets is a function of (seed, step): each epoch goes through all windows in
 * an order of its own, beginning at an offset of its own. Nothing has to be stored to resume.
 *
 * Thread-safety: an open corpus does not change and may be read by several threads.
 */
#ifndef PLB_DATA_CORPUS_H
#define PLB_DATA_CORPUS_H

#include <stdint.h>

#include "frontends/formats/tokenizer.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_corpus plb_corpus_t;

enum plb_corpus_part {
    PLB_CORPUS_TRAINING,  /* the front of the row */
    PLB_CORPUS_VALIDATION /* its tail */
};

struct plb_corpus_options {
    double validation; /* fraction of the tokens kept for validation, 0 to 0.5 */
    int64_t vocab;     /* of the model: a token beyond is an error; 0: the tokenizer's own */
    int32_t separator; /* token after each document, -1 for none */
};

/* Reads and encodes `n` files or directories. The tokenizer is needed only during the call.
 * PLB_ERROR_INVALID: no text at all, a token beyond the vocabulary; PLB_ERROR_IO: a file that
 * cannot be read, no room for the tokens; PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_corpus_open(const char *const *paths, int n, const plb_tokenizer_t *tokenizer,
                                const struct plb_corpus_options *options,
                                plb_corpus_t **corpus_out);

/* The same from tokens that are there already; they are copied. */
enum plb_status plb_corpus_from_tokens(const int32_t *tokens, int64_t count,
                                       const struct plb_corpus_options *options,
                                       plb_corpus_t **corpus_out);

void plb_corpus_close(plb_corpus_t *corpus); /* NULL is allowed */

int64_t plb_corpus_tokens(const plb_corpus_t *corpus, enum plb_corpus_part part);
/* A hash of the tokens and of where they are divided. */
uint64_t plb_corpus_fingerprint(const plb_corpus_t *corpus);
/* The share for validation that the corpus was opened with. */
double plb_corpus_validation(const plb_corpus_t *corpus);

/* How many windows of `sequence` tokens one epoch has. PLB_ERROR_INVALID when there is none: the
 * sequence, and the one token more that is the last target, are longer than the part. */
enum plb_status plb_corpus_windows(const plb_corpus_t *corpus, enum plb_corpus_part part,
                                   int64_t sequence, int64_t *windows_out);

/* The `batch` windows of step `step`: tokens[batch * sequence], and in targets the token that
 * follows each. Windows for validation are not shuffled, and begin anew after the last one. As
 * plb_corpus_windows(). */
enum plb_status plb_corpus_batch(const plb_corpus_t *corpus, enum plb_corpus_part part,
                                 uint64_t seed, uint64_t step, int64_t batch, int64_t sequence,
                                 int32_t *tokens, int32_t *targets);

#ifdef __cplusplus
}
#endif

#endif
