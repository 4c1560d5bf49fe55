/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Element-wise operators on a CUDA card: y = f(x) or y = f(a, b), any number of elements.
 *
 * Each input is read and each output written once, by accesses of 16 bytes (8 on the narrower side
 * of a change of dtype). A thread has four of them under way before it computes, which at the
 * occupancy of these kernels is more than twice what latency times bandwidth of an H200 asks for
 * (about 25 KB a multiprocessor). y may be an input: a thread writes what it alone has read.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_MAP_CUH
#define PLB_CODELETS_COMMON_MAP_CUH

#include "codelets/common/kernel.cuh"

enum { PLB_MAP_THREADS = 256, PLB_MAP_LOADS = 4 };

/* E elements that are loaded or stored at once. */
template <typename T, int E> struct plb_pack {
    alignas(E * sizeof(T)) T x[E];
};

template <int E, typename T> __device__ __forceinline__ plb_pack<T, E> plb_pack_load(const T *from)
{
    return *reinterpret_cast<const plb_pack<T, E> *>(from);
}

template <typename T, int E>
__device__ __forceinline__ void plb_pack_store(T *to, const plb_pack<T, E> &pack)
{
    *reinterpret_cast<plb_pack<T, E> *>(to) = pack;
}

template <typename O, typename T> struct plb_map_shape {
    enum {
        E = 16 / (int)(sizeof(O) > sizeof(T) ? sizeof(O) : sizeof(T)), /* elements at a time */
    };
};

/* f has IN = 1 or 2 arguments; b is not looked at where there is one. */
template <int IN, typename F> __device__ __forceinline__ float plb_map_apply(F f, float a, float b)
{
    if constexpr (IN == 1)
        return f(a);
    else
        return f(a, b);
}

template <int IN, typename O, typename T, typename F>
static __global__ void plb_map_kernel(O *y, const T *a, const T *b, int64_t n, bool packs, F f)
{
    const int E = plb_map_shape<O, T>::E, EACH = PLB_MAP_LOADS / IN;
    const int TILE = PLB_MAP_THREADS * E * EACH;
    int64_t first = (int64_t)blockIdx.x * TILE, last = first + TILE < n ? first + TILE : n;
    plb_pack<T, E> x[EACH], z[EACH];
    plb_pack<O, E> out;

    if (!packs || last - first < TILE) {
        for (int64_t i = first + threadIdx.x; i < last; i += PLB_MAP_THREADS)
            y[i] = plb_to<O>(plb_map_apply<IN>(f, plb_float(a[i]), plb_float(b[i])));
        return;
    }
    first += (int)threadIdx.x * E;
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        x[j] = plb_pack_load<E>(a + first + j * PLB_MAP_THREADS * E);
        z[j] = IN == 1 ? x[j] : plb_pack_load<E>(b + first + j * PLB_MAP_THREADS * E);
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
#pragma unroll
        for (int i = 0; i < E; i++)
            out.x[i] = plb_to<O>(plb_map_apply<IN>(f, plb_float(x[j].x[i]), plb_float(z[j].x[i])));
        plb_pack_store(y + first + j * PLB_MAP_THREADS * E, out);
    }
}

/* Enqueues y = f(a) (b = a) or y = f(a, b) for n elements. */
template <int IN, typename O, typename T, typename F>
static enum plb_status plb_map(const struct plb_cuda_queue *queue, const char *name, void *y,
                               const void *a, const void *b, int64_t n, F f)
{
    const int64_t tile = PLB_MAP_THREADS * plb_map_shape<O, T>::E * (PLB_MAP_LOADS / IN);

    return plb_launch(queue, name, plb_map_kernel<IN, O, T, F>, plb_blocks_for(n, tile),
                      PLB_MAP_THREADS, 0, static_cast<O *>(y), static_cast<const T *>(a),
                      static_cast<const T *>(b), n, plb_aligned(y, a, b), f);
}

/* The same for the first inputs and the first output of a call, which have one dtype. */
template <int IN, typename F>
static enum plb_status plb_map_call(const struct plb_call *call, const struct plb_cuda_queue *queue,
                                    const char *name, F f)
{
    const struct plb_tensor *y = call->out[0].part;
    const void *a = call->in[0].part->data, *b = call->in[IN - 1].part->data;

    PLB_BY_DTYPE(y->dtype, T, {
        return plb_map<IN, T, T>(queue, name, y->data, a, b, plb_shape_elements(&y->shape), f);
    });
    return PLB_OK;
}

#endif
