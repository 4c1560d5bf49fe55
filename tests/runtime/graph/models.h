/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs of models for tests of the cut, from the real operators and without the frontends: a
 * GPT-2-shaped training step, one step of its decoding, an image classifier's training step.
 */
#ifndef PLB_TEST_MODELS_H
#define PLB_TEST_MODELS_H

#include "runtime/graph/graph.h"

struct model_shape {
    int64_t batch, sequence, width, heads, layers, vocabulary;
    bool working; /* layers read bf16 copies of f32 parameters */
    bool clip;    /* clip by the global norm */
    double dropout;
};

struct model {
    plb_graph_t *graph;
    plb_value tokens, targets, loss, logits, norm; /* PLB_NONE where there is none */
};

/* Forward, backward and AdamW. The graph is the caller's to destroy; look at its status. */
struct model model_gpt(const struct model_shape *shape);
/* One token for each of `batch` sequences with caches of `sequence` positions: logits. Its
 * parameters have the names and types of model_gpt's. */
struct model model_decode(const struct model_shape *shape);
/* Two convolutions, pooling, a linear layer; SGD. Images are batch x 3 x width x width, classes
 * `vocabulary`. */
struct model model_images(const struct model_shape *shape);

#endif
