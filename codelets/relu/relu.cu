/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y = max(x, 0) and its gradient on a CUDA card: each element read and written once. y may be x and
 * dx may be dy, since a thread writes what it alone has read. See relu.c for the records.
 */
#include "codelets/common/kernel.cuh"

enum { THREADS = 256 };

/* A NaN stays a NaN. */
struct rectify {
    __device__ __forceinline__ float operator()(float x, float) const
    {
        return x < 0.0f ? 0.0f : x;
    }
};

struct pass {
    __device__ __forceinline__ float operator()(float dy, float y) const
    {
        return y > 0.0f ? dy : 0.0f;
    }
};

/* Each thread makes one vector of 16 bytes of out = f(a, b); the last ones what is left. */
template <typename T, typename F>
static __global__ void relu_vectors(T *out, const T *a, const T *b, int64_t n, F f)
{
    const int N = plb_vector<T>::N;
    int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * N;
    float x[N], y[N];

    if (at + N > n) {
        for (; at < n; at++)
            out[at] = plb_to<T>(f(plb_float(a[at]), plb_float(b[at])));
        return;
    }
    plb_load_vector(x, a + at);
    plb_load_vector(y, b + at);
#pragma unroll
    for (int i = 0; i < N; i++)
        x[i] = f(x[i], y[i]);
    plb_store_vector(out + at, x);
}

template <typename F>
static enum plb_status relu_by(const struct plb_call *call, const struct plb_cuda_queue *queue,
                               const struct plb_tensor *second, F f)
{
    const struct plb_tensor *first = call->in[0].part, *out = call->out[0].part;
    int64_t n = plb_shape_elements(&out->shape);

    PLB_BY_DTYPE(out->dtype, T, {
        return plb_launch(queue, "relu", relu_vectors<T, F>,
                          plb_blocks_for(n, THREADS * plb_vector<T>::N), THREADS, 0, (T *)out->data,
                          (const T *)first->data, (const T *)second->data, n, f);
    });
    return PLB_OK;
}

static enum plb_status relu_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return relu_by(call, queue, call->in[0].part, rectify());
}

static enum plb_status relu_dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return relu_by(call, queue, call->in[1].part, pass());
}

const struct plb_cuda_operator plb_cuda_relu = {"relu", nullptr, relu_run};
const struct plb_cuda_operator plb_cuda_relu_dx = {"relu_dx", nullptr, relu_dx_run};
