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
};

/* Each family: logits of the rows that the mode asks for. */
plb_value plb__gpt2_logits(struct plb__language *language);
plb_value plb__llama_logits(struct plb__language *language);

/* Attention of layer `layer` over packed rows: over the sequence itself, or through the cache. */
plb_value plb__language_attention(struct plb__language *language, plb_value qkv, int layer);

/* Of x[N,C], the rows whose logits are wanted. */
plb_value plb__language_rows(struct plb__language *language, plb_value x);

plb_value plb__language_activation(struct plb__language *language, plb_value x);

/* The value of a parameter, by its full name; for plb_model_map(). */
plb_value plb__language_parameter(struct plb__language *language, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
