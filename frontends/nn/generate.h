/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Generating text with a model directory.
 *
 * The prompt goes through the model in chunks of a fixed width, each next token alone; keys and
 * values of all positions stay in a cache, so a token costs one pass over the weights. Two graphs
 * are captured, one for chunks and one for single tokens, on one store.
 *
 * Thread-safety: as session.h.
 */
#ifndef PLB_NN_GENERATE_H
#define PLB_NN_GENERATE_H

#include "frontends/formats/hf_config.h"
#include "frontends/formats/tokenizer.h"
#include "frontends/nn/sampler.h"
#include "runtime/run/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_generator plb_generator_t;

struct plb_generator_options {
    enum plb_dtype dtype; /* of weights, activations and cache */
    int64_t capacity;     /* positions of the cache; 0: the model's max_positions */
    int64_t chunk;        /* width of a prefill chunk; 0: 64 */
    struct plb_session_options session;
};

/* Loads configuration, weights and, where there is one, the tokenizer of a directory in Hugging
 * Face's layout. `options` may be NULL: f32 and defaults.
 * PLB_ERROR_IO, PLB_ERROR_FORMAT, PLB_ERROR_MEMORY; what plb_session_create() says. */
enum plb_status plb_generator_create(const char *directory,
                                     const struct plb_generator_options *options,
                                     plb_generator_t **generator_out);
void plb_generator_destroy(plb_generator_t *generator); /* NULL is allowed */

const struct plb_model_config *plb_generator_config(const plb_generator_t *generator);
/* NULL when the directory has none. */
const plb_tokenizer_t *plb_generator_tokenizer(const plb_generator_t *generator);
plb_session_t *plb_generator_session(plb_generator_t *generator); /* of single tokens */
int64_t plb_generator_capacity(const plb_generator_t *generator);
/* Positions that are in the cache. */
int64_t plb_generator_position(const plb_generator_t *generator);

/* Forgets all positions. */
void plb_generator_reset(plb_generator_t *generator);

/* Appends `count` tokens and gives the logits [vocab] after the last one. PLB_ERROR_INVALID for a
 * token out of range, no token, or more than the cache holds: nothing is appended then. */
enum plb_status plb_generator_feed(plb_generator_t *generator, const int32_t *tokens, int64_t count,
                                   float *logits_out);

enum plb_stop {
    PLB_STOP_LENGTH,   /* as many tokens as were asked for */
    PLB_STOP_END,      /* the model ended the text */
    PLB_STOP_CAPACITY, /* the cache is full */
    PLB_STOP_CALLER,   /* the callback returned false */
};

/* Gets each token as it comes, with the text that it completes (valid UTF-8, maybe empty; ""
 * without a tokenizer). Token -1: no token, but the rest of the text at its end. Returns whether to
 * go on. */
typedef bool (*plb_generated)(void *context, int32_t token, const char *text);

struct plb_generation {
    enum plb_stop stop;
    int64_t prompt_tokens, tokens; /* tokens: generated, that which ends the text not counted */
    double prefill_seconds, decode_seconds;
};

/* Appends `count` prompt tokens (at least 1) to what is in the cache, then generates up to `limit`
 * tokens. `generated` may be NULL. With `ignore_end` the text does not end before the limit. */
enum plb_status plb_generator_run(plb_generator_t *generator, const int32_t *prompt, int64_t count,
                                  const struct plb_sampling *sampling, int64_t limit,
                                  bool ignore_end, plb_generated generated, void *context,
                                  struct plb_generation *generation_out);

#ifdef __cplusplus
}
#endif

#endif
