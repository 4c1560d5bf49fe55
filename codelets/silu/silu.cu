/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SiLU and its gradient on a CUDA card: each element read and written once, about 10 instructions.
 * See silu.c for the records and the formulas.
 */
#include "codelets/silu/silu.cuh"

struct silu {
    __device__ __forceinline__ float operator()(float x) const
    {
        return x * plb_sigmoid(x);
    }
};

struct silu_dx {
    __device__ __forceinline__ float operator()(float dy, float x) const
    {
        float s = plb_sigmoid(x);

        return dy * s * (1.0f + x * (1.0f - s));
    }
};

static enum plb_status silu_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_map_call<1>(call, queue, "silu", silu());
}

static enum plb_status silu_dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_map_call<2>(call, queue, "silu_dx", silu_dx());
}

const struct plb_cuda_operator plb_cuda_silu = {"silu", nullptr, silu_run};
const struct plb_cuda_operator plb_cuda_silu_dx = {"silu_dx", nullptr, silu_dx_run};
