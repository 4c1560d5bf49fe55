/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same elements in another dtype on a CUDA card: read once, written once. See cast.c for the
 * record.
 */
#include "codelets/common/map.cuh"

struct cast_same {
    __device__ __forceinline__ float operator()(float x) const
    {
        return x;
    }
};

static enum plb_status cast_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    int64_t n = plb_shape_elements(&y->shape);

    PLB_BY_DTYPE(y->dtype, O, {
        PLB_BY_DTYPE(x->dtype, T, {
            return plb_map<1, O, T>(queue, "cast", y->data, x->data, x->data, n, cast_same());
        });
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_cast = {"cast", nullptr, cast_run};
