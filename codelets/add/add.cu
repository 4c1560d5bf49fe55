/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y = a + b on a CUDA card: 3 accesses an element, nothing kept. See add.c for the record.
 */
#include "codelets/common/kernel.cuh"

enum { THREADS = 256 };

/* Each thread adds one vector of 16 bytes; the last ones what is left. */
template <typename T>
static __global__ void add_vectors(T *y, const T *a, const T *b, int64_t n)
{
    const int N = plb_vector<T>::N;
    int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * N;
    float x[N], z[N];

    if (at + N > n) {
        for (; at < n; at++)
            y[at] = plb_to<T>(plb_float(a[at]) + plb_float(b[at]));
        return;
    }
    plb_load_vector(x, a + at);
    plb_load_vector(z, b + at);
#pragma unroll
    for (int i = 0; i < N; i++)
        x[i] += z[i];
    plb_store_vector(y + at, x);
}

static enum plb_status add_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *a = call->in[0].part, *b = call->in[1].part, *y = call->out[0].part;
    int64_t n = plb_shape_elements(&y->shape);

    PLB_BY_DTYPE(y->dtype, T, {
        return plb_launch(queue, "add", add_vectors<T>,
                          plb_blocks_for(n, THREADS * plb_vector<T>::N), THREADS, 0, (T *)y->data,
                          (const T *)a->data, (const T *)b->data, n);
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_add = {"add", nullptr, add_run};
