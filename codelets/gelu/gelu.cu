/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GELU and its gradient on a CUDA card; see gelu.c for the records and the formulas.
 *
 * Bound by memory: bf16 leaves about 27 instructions an element forward and 40 backward at the
 * bandwidth of an H200. The form by tanh takes about 14 and 20, two of them of the special function
 * unit, since (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)); the exact form takes about 30 and 40, so in
 * bf16 its forward pass is bound by arithmetic as much as by memory.
 */
#include "codelets/codelets.h"
#include "codelets/common/map.cuh"

#define SQRT_HALF     0.70710678f /* 1 / sqrt(2) */
#define DENSITY_SCALE 0.39894228f /* 1 / sqrt(2 pi) */
#define TANH_SCALE    0.79788456f /* sqrt(2 / pi) */
#define TANH_CUBE     0.044715f

enum { KIND }; /* index of the integer attribute */

/* (1 + tanh u) / 2 of the u of x. */
static __device__ __forceinline__ float half_tanh(float x)
{
    float u = TANH_SCALE * (x + TANH_CUBE * x * x * x);

    return __fdividef(1.0f, 1.0f + __expf(-2.0f * u));
}

struct gelu_erf {
    __device__ __forceinline__ float operator()(float x) const
    {
        return x * (0.5f + 0.5f * erff(x * SQRT_HALF));
    }
};

struct gelu_tanh {
    __device__ __forceinline__ float operator()(float x) const
    {
        return x * half_tanh(x);
    }
};

struct gelu_dx_erf {
    __device__ __forceinline__ float operator()(float dy, float x) const
    {
        float density = DENSITY_SCALE * __expf(-0.5f * x * x);

        return dy * (0.5f + 0.5f * erff(x * SQRT_HALF) + x * density);
    }
};

/* With s = (1 + tanh u) / 2, (1 - tanh^2 u) / 2 = 2 s (1 - s). */
struct gelu_dx_tanh {
    __device__ __forceinline__ float operator()(float dy, float x) const
    {
        float s = half_tanh(x), du = TANH_SCALE * (1.0f + 3.0f * TANH_CUBE * x * x);

        /* Far out 1 - tanh^2 u is zero and du may be infinite. */
        du = fabsf(x) > 16.0f ? 0.0f : du;
        return dy * (s + 2.0f * x * s * (1.0f - s) * du);
    }
};

static enum plb_status gelu_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    if (call->attributes->i[KIND] == PLB_GELU_TANH)
        return plb_map_call<1>(call, queue, "gelu", gelu_tanh());
    return plb_map_call<1>(call, queue, "gelu", gelu_erf());
}

static enum plb_status gelu_dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    if (call->attributes->i[KIND] == PLB_GELU_TANH)
        return plb_map_call<2>(call, queue, "gelu_dx", gelu_dx_tanh());
    return plb_map_call<2>(call, queue, "gelu_dx", gelu_dx_erf());
}

const struct plb_cuda_operator plb_cuda_gelu = {"gelu", nullptr, gelu_run};
const struct plb_cuda_operator plb_cuda_gelu_dx = {"gelu_dx", nullptr, gelu_dx_run};
