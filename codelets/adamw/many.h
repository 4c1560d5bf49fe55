/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several updates by adamw at once on a CUDA card, for whoever has tasks that follow one another:
 * the tensors of a parameter group in one launch instead of one each.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ADAMW_MANY_H
#define PLB_CODELETS_ADAMW_MANY_H

#include "codelets/common/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Enqueues n calls of adamw, none of which reads what another one writes; the bits are those of n
 * calls of its kernel. Nothing of the calls is looked at after the return. Some 46 tensors, with up
 * to 8 different sets of attributes, share a launch. */
enum plb_status plb_cuda_adamw_many(const struct plb_call *const *calls, int n,
                                    const struct plb_cuda_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
