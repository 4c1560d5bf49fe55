/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 1 / (1 + exp(-x)) for silu and swiglu on a CUDA card: two operations of the special function
 * unit. Its relative error grows with |x| only where it is far below what it is multiplied into.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_SILU_CUH
#define PLB_CODELETS_SILU_CUH

#include "codelets/common/map.cuh"

static __device__ __forceinline__ float plb_sigmoid(float x)
{
    return __fdividef(1.0f, 1.0f + __expf(-x));
}

#endif
