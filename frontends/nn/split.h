/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often each part of a language model is split by tensor parallelism. (What a split is stands
 * in layers.h; where the shards run is decided by a parallel policy.)
 */
#ifndef PLB_NN_SPLIT_H
#define PLB_NN_SPLIT_H

#include "frontends/formats/hf_config.h"
#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_SPLIT_RANGES_MAX 64

/* Blocks first to last are split `degree` ways. */
struct plb_split_range {
    int64_t first, last;
    int degree;
};

/* All zero: nothing is split. Of ranges that overlap the last counts. */
struct plb_split {
    int n;
    struct plb_split_range range[PLB_SPLIT_RANGES_MAX];
    int vocabulary; /* ways of the embedding and of the logits with their loss; 0 counts as 1 */
    bool sequence;  /* norms, residuals and dropout between the parts are divided by their rows */
};

/* Reads, separated by commas: one degree for all blocks and the vocabulary, "2", or a degree for
 * each block in turn, "1,2,2,1", or ranges of blocks, "0-3:2,4:4"; "vocabulary:2"; and "sequence".
 * PLB_ERROR_INVALID, naming the word that cannot be read or the block that is not there. */
enum plb_status plb_split_parse(const char *text, int64_t blocks, struct plb_split *split_out);

/* Whether the model can be split so: a block's degree divides its heads, key-value heads and
 * features of the MLP; shards of the vocabulary may differ by one. PLB_ERROR_INVALID. */
enum plb_status plb_split_check(const struct plb_split *split,
                                const struct plb_model_config *config);

/* At least 1. Block -1: the vocabulary. */
int plb_split_degree(const struct plb_split *split, int64_t block);

#ifdef __cplusplus
}
#endif

#endif
