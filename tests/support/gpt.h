/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A training step of a GPT with AdamW, without dropout, as a graph, for tests of plans. Nothing is
 * computed, so it may be larger than the machine: the figures of doc/memory.md are those of
 * gpt_large().
 */
#ifndef PLB_TEST_GPT_H
#define PLB_TEST_GPT_H

#include "frontends/nn/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gpt_options {
    int64_t layers, hidden, heads, sequence, batch, vocabulary;
    enum plb_dtype dtype;
    int64_t micro_batches; /* 0 counts as 1 */
    const char *tensor;    /* as plb_split_parse() reads it; NULL: not split */
    bool cut; /* into tasks of the usual size; else one task per operator */
};

/* 32 layers of 4096 with 32 heads, one sequence of 4096 tokens of 50257, bf16, not cut. */
struct gpt_options gpt_large(void);

struct gpt {
    plb_model_t *model; /* owns the whole graph */
    plb_graph_t *graph; /* of cells, one per value unless cut */
};

enum plb_status gpt_make(const struct gpt_options *options, struct gpt *gpt_out);
void gpt_clear(struct gpt *gpt);

#ifdef __cplusplus
}
#endif

#endif
