/* SPDX-License-Identifier: BSD-3-Clause */
/* What the families share while a graph of language.h is being built. Internal to this room. */
#ifndef PLB_NN_FAMILY_H
#define PLB_NN_FAMILY_H

#include "frontends/nn/language.h"
#include "frontends/nn/layers.h"

/* A language model under construction. */
struct plb__language {
    plb_model_t *model;
    plb_graph_t *graph;
    const struct plb_model_config *config;
    const struct plb_language_options *options;
    plb_value tokens, positions, index;
    int degree; /* ways that the current block is split, or the vocabulary outside of blocks */
};

/* Each family: logits of the rows that the mode asks for. */
struct plb_shards plb__gpt2_logits(struct plb__language *language);
struct plb_shards plb__llama_logits(struct plb__language *language);

/* All blocks in turn, block i in scope "SCOPE.i"; `block` is one of them. */
plb_value plb__language_blocks(struct plb__language *language, plb_value x, const char *scope,
                               plb_value (*block)(struct plb__language *language, plb_value x,
                                                  int layer));

/* Queries, keys and values of whole heads. */
struct plb_columns plb__language_heads(const struct plb__language *language);
/* Attention of layer `layer` over packed rows: over the sequence itself, or through the cache. */
struct plb_shards plb__language_attention(struct plb__language *language,
                                          const struct plb_shards *qkv, int layer);

/* Of x[N,C], the rows whose logits are wanted. */
plb_value plb__language_rows(struct plb__language *language, plb_value x);

/* plb_nn_function of a plb__language. */
plb_value plb__language_activation(plb_model_t *model, plb_value x, const void *language);

/* Logits of x: of the layer "lm_head", or with the table of the embedding of this name, which is in
 * the current scope; that is left. */
struct plb_shards plb__language_head(struct plb__language *language, plb_value x,
                                     const char *embedding);

/* The value of a parameter, by the full name of its tensor; for plb_model_map(). */
plb_value plb__language_parameter(struct plb__language *language, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
