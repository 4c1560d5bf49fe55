/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Language models of the GPT-2 and LLaMA families, from a configuration (hf_config.h).
 *
 * One configuration gives several graphs, by what they are for; all name the same parameters, so
 * that sessions on one store share them. Parameters carry the names of Hugging Face's files, apart
 * from three that are packed here: queries, keys and values are one matrix, and so are gate and up
 * projection. GPT-2's matrices are stored transposed in its files; plb_parameter.pieces says so.
 *
 * Rows: N = B T, row n is position n % T of sequence n / T.
 */
#ifndef PLB_NN_LANGUAGE_H
#define PLB_NN_LANGUAGE_H

#include "frontends/formats/hf_config.h"
#include "frontends/nn/model.h"
#include "frontends/nn/split.h"
#include "runtime/run/session.h"

#ifdef __cplusplus
extern "C" {
#endif

enum plb_language_mode {
    PLB_LANGUAGE_TRAIN,    /* loss, with dropout; see plb_nn_train() for the rest of the step */
    PLB_LANGUAGE_EVALUATE, /* loss, without dropout */
    PLB_LANGUAGE_LOGITS,   /* logits of every row */
    PLB_LANGUAGE_CACHED,   /* logits of one row of each sequence, keys and values in a cache */
};

struct plb_language_options {
    enum plb_language_mode mode;
    enum plb_dtype dtype;    /* PLB_F32 or PLB_BF16 */
    int64_t batch, sequence; /* B and T; PLB_LANGUAGE_CACHED: T is the width of a chunk */
    int64_t micro_batches;   /* PLB_LANGUAGE_TRAIN only; a divisor of B, 0 counts as 1. Above 1 the
                                graph goes forward and back through each in turn, see below */
    int64_t capacity;        /* PLB_LANGUAGE_CACHED only: positions that the cache holds */
    uint64_t seed;           /* of initial values and dropout */
    struct plb_split split;  /* how blocks and vocabulary are split */
};

#define PLB_MICRO_BATCHES_MAX 64

/* Inputs of one micro-batch, i32[N] each (N = B T / micro-batches); negative targets are ignored.
 */
struct plb_micro_batch {
    plb_value tokens, targets;
};

/* A graph and its values; PLB_NONE for those that its mode has not. */
struct plb_language {
    plb_model_t *model;
    plb_value tokens;    /* input i32[N]; of the first micro-batch */
    plb_value positions; /* input i32[N], 0 <= position < the configuration's max_positions */
    plb_value targets;   /* input i32[N]; of the first micro-batch */
    plb_value index;     /* input i32[B]: the row whose logits are wanted, of each sequence */
    plb_value loss;      /* f32[1] mean over rows that are not ignored. PLB_NONE with several micro-
                            batches: their backward passes are there, plb_nn_update() can follow */
    plb_value logits;    /* [N, V], CACHED: [B, V]; of the model's dtype. PLB_NONE where the
                            vocabulary is split */
    struct plb_shards parts; /* their columns, in as many parts as the vocabulary is split */
    int64_t micro_batches;
    struct plb_micro_batch micro[PLB_MICRO_BATCHES_MAX];
};

/* Builds the graph; outputs are marked. The model is to be destroyed with plb_model_destroy().
 * PLB_ERROR_INVALID for sizes that cannot be (a sequence beyond the model's positions),
 * PLB_ERROR_MEMORY. */
enum plb_status plb_language_create(const struct plb_model_config *config,
                                    const struct plb_language_options *options,
                                    struct plb_language *language_out);

/* Writes the tokens and targets [B T] of a step to a session of the graph; `targets` NULL: none. */
enum plb_status plb_language_write(const struct plb_language *language, plb_session_t *session,
                                   const int32_t *tokens, const int32_t *targets);

/* How a session of such a graph is best cut, where `session` (NULL: all defaults) leaves it open. A
 * pass over single tokens is a chain of products that memory bandwidth bounds: with tasks of 0.2 ms
 * instead of 2 ms all workers read weights at once. Parameters are cut alike in all cases. */
struct plb_session_options plb_language_session(const struct plb_language_options *options,
                                                const struct plb_session_options *session);

/* Fills positions[batch * sequence] with 0 .. sequence - 1 for each sequence. */
void plb_language_positions(int64_t batch, int64_t sequence, int32_t *positions);

#ifdef __cplusplus
}
#endif

#endif
