/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernels of rope share. Not installed.
 */
#ifndef PLB_CODELETS_ROPE_H
#define PLB_CODELETS_ROPE_H

#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Angles per position of turns first to first + n - 1 of the head_dim / 2 turns of a head, scaled
 * as the attributes say. */
void plb__rope_frequencies(float *frequency, const struct plb_attributes *attributes, int64_t first,
                           int64_t n);

#ifdef __cplusplus
}
#endif

#endif
