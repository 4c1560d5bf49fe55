/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same elements in another shape on a CUDA card: nothing where y takes over x, else a copy. See
 * reshape.c for the record.
 */
#include "codelets/common/map.cuh"

enum { THREADS = 256, EACH = 4 };

/* n words; a block copies EACH of them for each thread. */
template <typename U> static __global__ void copy(U *y, const U *x, int64_t n)
{
    int64_t first = (int64_t)blockIdx.x * (THREADS * EACH) + threadIdx.x;
    U held[EACH];

#pragma unroll
    for (int j = 0; j < EACH; j++) {
        if (first + j * THREADS < n)
            held[j] = x[first + j * THREADS];
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        if (first + j * THREADS < n)
            y[first + j * THREADS] = held[j];
    }
}

template <typename U>
static enum plb_status copy_words(const struct plb_cuda_queue *queue, void *y, const void *x,
                                  size_t bytes)
{
    int64_t n = (int64_t)(bytes / sizeof(U));

    return plb_launch(queue, "reshape", copy<U>, plb_blocks_for(n, THREADS * EACH), THREADS, 0,
                      static_cast<U *>(y), static_cast<const U *>(x), n);
}

static enum plb_status reshape_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    struct plb_type type = {y->dtype, y->shape};
    size_t bytes = plb_type_bytes(&type);

    if (y->data == x->data)
        return PLB_OK;
    if (bytes % 16 == 0 && plb_aligned(x->data, y->data))
        return copy_words<plb_pack<uint32_t, 4>>(queue, y->data, x->data, bytes);
    return copy_words<uint16_t>(queue, y->data, x->data, bytes);
}

const struct plb_cuda_operator plb_cuda_reshape = {"reshape", nullptr, reshape_run};
