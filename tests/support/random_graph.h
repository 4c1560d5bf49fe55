/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random training steps from the real operators, for tests that want a property of all graphs.
 *
 * A graph has a forward pass with residual sums, skip connections over several blocks, values that
 * many tasks read and some that none reads; a loss, the backward pass, and an optimizer with or
 * without clipping. Shapes are small, so that a step takes milliseconds. The same options make the
 * same graph, everywhere.
 */
#ifndef PLB_TEST_RANDOM_GRAPH_H
#define PLB_TEST_RANDOM_GRAPH_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

enum random_shape {
    RANDOM_DAG,   /* anything: operators, inputs and skips by chance */
    RANDOM_CHAIN, /* each block reads the one before */
    RANDOM_U_NET, /* blocks get narrower, then wider; each on the way up reads its mirror */
};

struct random_options {
    uint64_t seed;
    enum random_shape shape;
    int blocks;    /* of the model; 0: three to six by chance */
    int64_t width; /* features of the widest value, a multiple of 8; 0: by chance */
    int64_t batch; /* sequences; 0: two to four by chance */
    int passes; /* forward and backward passes before the update, each on data of its own; 0: 1 */
    bool unnumbered; /* tasks belong to no block */
    bool uncut;      /* one cell per value */
    int home;        /* of parameters and state, about half of them by chance: a tier; 0: all on the
                        device */
};

struct random_graph {
    plb_graph_t *whole, *graph; /* `graph` is the cut one, or `whole` itself where it is not cut */
    plb_value loss;             /* of `whole`: f32[1], an output; of all passes together */
};

/* The caller clears what it gets. A failure of a builder is returned. */
enum plb_status random_graph_make(const struct random_options *options,
                                  struct random_graph *graph_out);
void random_graph_clear(struct random_graph *graph);

/* Fills `data` with what an initial value of the whole graph holds before the first step, in
 * row-major order: plb_type_bytes() of its type. */
void random_graph_fill(const struct random_graph *graph, plb_value value, void *data);

#ifdef __cplusplus
}
#endif

#endif
