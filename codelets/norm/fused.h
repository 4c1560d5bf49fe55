/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two tasks as one launch on a CUDA card, where the second one reads what the first one makes and
 * memory traffic is all that either takes: the residual connections about norms.
 *
 *   s = a + b, then y = norm(s)        4 accesses an element instead of 5 (3 where nobody wants s)
 *   dx = norm_dx(dy, x), then dx + b   4 instead of 6 (5 where dx is wanted)
 *
 * Plans and graphs know nothing of this: the executor enqueues so what follows one another
 * (runtime/run/fuse.c), and what a policy drops, makes again or sends away is decided as if every
 * task ran by itself. The bits are those of two calls: what goes from one to the other is rounded
 * as if it had been stored.
 *
 * Why not the others: a bias is in the epilogue of its product already; a GELU there would see sums
 * that are not rounded yet, so that one that is made again from the stored product would have other
 * bits.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_NORM_FUSED_H
#define PLB_CODELETS_NORM_FUSED_H

#include "codelets/common/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Enqueues both calls as one. Input `in` of the second is output 0 of the first, of the same rows;
 * it is written if `keep`. The second writes nothing that the first reads, but where both have it
 * in the same place of arrays of the same shape. */
typedef enum plb_status plb_cuda_fused_run(const struct plb_call *first,
                                           const struct plb_call *second, int in, bool keep,
                                           const struct plb_cuda_queue *queue);

plb_cuda_fused_run plb_cuda_add_layer_norm, plb_cuda_add_rms_norm;
plb_cuda_fused_run plb_cuda_layer_norm_dx_add, plb_cuda_rms_norm_dx_add;

struct plb_cuda_fusion {
    const char *first, *second; /* names of operators */
    int in;
    plb_cuda_fused_run *run;
};

#ifdef __cplusplus
}
#endif

#endif
