/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Choosing the next token from logits.
 *
 * Filters apply in the usual order: temperature, the k most probable, of those the fewest whose
 * probabilities sum to p (Holtzman et al. 2020, section 3.1). Ties go to the lower token. The draw
 * is a function of (seed, position), so a text can be generated again.
 *
 * Thread-safety: a sampler belongs to one thread at a time.
 */
#ifndef PLB_NN_SAMPLER_H
#define PLB_NN_SAMPLER_H

#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb_sampling {
    double temperature; /* 0: always the most probable token */
    int64_t top_k;      /* 0: all */
    double top_p;       /* above 0; 1: all */
    uint64_t seed;
};

typedef struct plb_sampler plb_sampler_t;

/* PLB_ERROR_INVALID for options out of range, PLB_ERROR_MEMORY. */
enum plb_status plb_sampler_create(const struct plb_sampling *sampling, int64_t vocab,
                                   plb_sampler_t **sampler_out);
void plb_sampler_destroy(plb_sampler_t *sampler); /* NULL is allowed */

/* The token for `position`. PLB_ERROR_INVALID when no logit is a number or one is +infinite. */
enum plb_status plb_sampler_choose(plb_sampler_t *sampler, const float *logits, uint64_t position,
                                   int32_t *token_out);

#ifdef __cplusplus
}
#endif

#endif
