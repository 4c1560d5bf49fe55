/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The masks of dropout on a CUDA card: the same words as codelets/common/mask.h has on the CPU, so
 * the same elements are dropped.
 *
 * A counter costs about 60 instructions and serves four elements; its keys are the same in all
 * threads.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_MASK_CUH
#define PLB_CODELETS_COMMON_MASK_CUH

#include "codelets/common/kernel.cuh"
#include "codelets/common/mask.h"
#include "runtime/base/random.h"

/* The factor of an element that drew `word`. */
__device__ __forceinline__ float plb_mask_factor(const struct plb__mask &mask, uint32_t word)
{
    return word >> 8 < mask.limit ? 0.0f : mask.kept;
}

/* The factors of elements 4 counter to 4 counter + 3 of the uncut value. */
__device__ __forceinline__ void plb_mask_factors(const struct plb__mask &mask, uint64_t counter,
                                                 float factor[4])
{
    uint32_t word[4];

    plb_random_words(mask.seed, mask.stream, counter, word);
#pragma unroll
    for (int i = 0; i < 4; i++)
        factor[i] = plb_mask_factor(mask, word[i]);
}

/* The factor of one element. Four times the work of plb_mask_factors(). */
__device__ __forceinline__ float plb_mask_factor_of(const struct plb__mask &mask, uint64_t element)
{
    uint32_t word[4];
    int k = (int)(element % 4);

    plb_random_words(mask.seed, mask.stream, element / 4, word);
    return plb_mask_factor(mask,
                           k < 2 ? (k == 0 ? word[0] : word[1]) : (k == 2 ? word[2] : word[3]));
}

#endif
