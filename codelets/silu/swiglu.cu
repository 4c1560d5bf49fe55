/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SwiGLU and its gradient on a CUDA card; see swiglu.c for the records and the formulas.
 *
 * A block makes up to TILE columns of one row: gate and up are read once, y (or dgate and dup) is
 * written once. dx may be x: a thread writes what it alone has read.
 */
#include "codelets/silu/silu.cuh"

enum { THREADS = 128 };

/* What a block works on: its row, and its columns of the half. */
template <typename T> struct swiglu_tile {
    int64_t row, first, last;

    __device__ __forceinline__ swiglu_tile(int64_t half, unsigned tiles)
    {
        row = blockIdx.x / tiles;
        first = (int64_t)(blockIdx.x % tiles) * (THREADS * plb_vector<T>::N);
        last = first + THREADS * plb_vector<T>::N;
        last = last < half ? last : half;
    }
};

static __device__ __forceinline__ void turn(float dy, float gate, float up, float *dgate,
                                            float *dup)
{
    float s = plb_sigmoid(gate);

    *dgate = dy * up * s * (1.0f + gate * (1.0f - s));
    *dup = dy * gate * s;
}

template <typename T>
static __global__ void swiglu(T *y, const T *x, int64_t half, unsigned tiles, bool vectors)
{
    const int N = plb_vector<T>::N;
    swiglu_tile<T> t(half, tiles);
    const T *gate = x + t.row * 2 * half, *up = gate + half;
    int64_t at = t.first + threadIdx.x * N;
    float g[N], u[N];

    y += t.row * half;
    if (!vectors) {
        for (int64_t i = t.first + threadIdx.x; i < t.last; i += THREADS)
            y[i] =
                plb_to<T>(plb_float(gate[i]) * plb_sigmoid(plb_float(gate[i])) * plb_float(up[i]));
        return;
    }
    if (at >= t.last)
        return;
    plb_load_vector(g, gate + at);
    plb_load_vector(u, up + at);
#pragma unroll
    for (int i = 0; i < N; i++)
        g[i] = g[i] * plb_sigmoid(g[i]) * u[i];
    plb_store_vector(y + at, g);
}

template <typename T>
static __global__ void swiglu_dx(T *dx, const T *dy, const T *x, int64_t half, unsigned tiles,
                                 bool vectors)
{
    const int N = plb_vector<T>::N;
    swiglu_tile<T> t(half, tiles);
    const T *gate = x + t.row * 2 * half, *up = gate + half;
    T *dgate = dx + t.row * 2 * half, *dup = dgate + half;
    int64_t at = t.first + threadIdx.x * N;
    float g[N], u[N], d[N], a, b;

    dy += t.row * half;
    if (!vectors) {
        for (int64_t i = t.first + threadIdx.x; i < t.last; i += THREADS) {
            turn(plb_float(dy[i]), plb_float(gate[i]), plb_float(up[i]), &a, &b);
            dgate[i] = plb_to<T>(a);
            dup[i] = plb_to<T>(b);
        }
        return;
    }
    if (at >= t.last)
        return;
    plb_load_vector(g, gate + at);
    plb_load_vector(u, up + at);
    plb_load_vector(d, dy + at);
#pragma unroll
    for (int i = 0; i < N; i++)
        turn(d[i], g[i], u[i], &g[i], &u[i]);
    plb_store_vector(dgate + at, g);
    plb_store_vector(dup + at, u);
}

/* Vectors are used where each half of each row is aligned. */
template <typename T>
static bool halves_aligned(const void *a, const void *b, const void *c, int64_t half)
{
    return plb_aligned(a, b, c) && half % plb_vector<T>::N == 0;
}

static enum plb_status swiglu_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    int64_t rows = x->shape.dim[0], half = x->shape.dim[1] / 2;

    PLB_BY_DTYPE(x->dtype, T, {
        unsigned tiles = plb_blocks_for(half, THREADS * plb_vector<T>::N);

        return plb_launch(queue, "swiglu", swiglu<T>, (unsigned)rows * tiles, THREADS, 0,
                          (T *)y->data, (const T *)x->data, half, tiles,
                          halves_aligned<T>(x->data, y->data, nullptr, half));
    });
    return PLB_OK;
}

static enum plb_status swiglu_dx_run(const struct plb_call *call,
                                     const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[0].part, *x = call->in[1].part, *dx = call->out[0].part;
    int64_t rows = x->shape.dim[0], half = x->shape.dim[1] / 2;

    PLB_BY_DTYPE(x->dtype, T, {
        unsigned tiles = plb_blocks_for(half, THREADS * plb_vector<T>::N);

        return plb_launch(queue, "swiglu_dx", swiglu_dx<T>, (unsigned)rows * tiles, THREADS, 0,
                          (T *)dx->data, (const T *)dy->data, (const T *)x->data, half, tiles,
                          halves_aligned<T>(dx->data, dy->data, x->data, half));
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_swiglu = {"swiglu", nullptr, swiglu_run};
const struct plb_cuda_operator plb_cuda_swiglu_dx = {"swiglu_dx", nullptr, swiglu_dx_run};
