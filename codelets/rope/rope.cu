/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rotary position embedding on a CUDA card: each element read and written once; y may be x, and
 * then the columns that are not turned are not touched. See rope.c for the record and the layout.
 *
 * A block has a row. Its threads make the sines and cosines of the row's position, once for all
 * heads, in shared memory, and then turn the heads by 16 bytes. Frequencies are made on the host,
 * with the CPU's code, and stand among the kernel's arguments; heads of more than 2 SLICE columns
 * take several launches.
 */
#include "codelets/common/kernel.cuh"
#include "codelets/common/simd.h"
#include "codelets/rope/rope.h"

enum { HEADS, HEAD_DIM, ORIGINAL, LINEAR, INVERSE }; /* integer attributes */
enum { X, POSITIONS };
enum { THREADS = 128, SLICE = 512 };

/* A row is `heads` heads of two halves of `half` columns, and further columns. This launch turns
 * pairs first to first + pairs - 1 of each head. */
struct rope_turns {
    int64_t width;
    int heads, half, first, pairs;
    float sign;
    float frequency[SLICE];
};

/* Elements j to j + E - 1 of both halves of a head, which begins at x. */
template <int E, typename T>
static __device__ __forceinline__ void turn(T *y, const T *x, const float *sines,
                                            const float *cosines, int half)
{
    struct alignas(E * sizeof(T)) pack {
        T x[E];
    } a = *reinterpret_cast<const pack *>(x), b = *reinterpret_cast<const pack *>(x + half);

#pragma unroll
    for (int i = 0; i < E; i++) {
        float u = plb_float(a.x[i]), v = plb_float(b.x[i]);

        a.x[i] = plb_to<T>(u * cosines[i] - v * sines[i]);
        b.x[i] = plb_to<T>(v * cosines[i] + u * sines[i]);
    }
    *reinterpret_cast<pack *>(y) = a;
    *reinterpret_cast<pack *>(y + half) = b;
}

/* E: elements at a time, 1 where rows or halves are not aligned. */
template <int E, typename T>
static __global__ void __launch_bounds__(THREADS)
    rope(T *y, const T *x, const int32_t *positions, const __grid_constant__ struct rope_turns t)
{
    __shared__ __align__(16) float sines[SLICE], cosines[SLICE];
    int64_t turned = (int64_t)t.heads * 2 * t.half;
    float position = (float)positions[blockIdx.x];
    int packs = t.pairs / E;

    x += blockIdx.x * t.width;
    y += blockIdx.x * t.width;
    for (int j = threadIdx.x; j < t.pairs; j += THREADS) {
        plb__sincosf(position * t.frequency[j], &sines[j], &cosines[j]);
        sines[j] *= t.sign;
    }
    __syncthreads();
#pragma unroll 2
    for (int u = threadIdx.x; u < t.heads * packs; u += THREADS) {
        int j = u % packs * E;
        int64_t at = (int64_t)(u / packs) * 2 * t.half + t.first + j;

        turn<E>(y + at, x + at, sines + j, cosines + j, t.half);
    }
    if (x == y || t.first > 0)
        return;
    for (int64_t at = turned + threadIdx.x; at < t.width; at += THREADS)
        y[at] = x[at];
}

static bool whole_vectors(const struct rope_turns *t, const void *y, const void *x, int each)
{
    return plb_aligned(y, x) && t->width % each == 0 && t->half % each == 0;
}

static enum plb_status rope_slice(const struct plb_call *call, const struct plb_cuda_queue *queue,
                                  const struct rope_turns *t)
{
    const struct plb_tensor *x = call->in[X].part, *y = call->out[0].part;
    const int32_t *positions = (const int32_t *)call->in[POSITIONS].part->data;
    unsigned rows = (unsigned)x->shape.dim[0];

    PLB_BY_DTYPE(x->dtype, T, {
        const int N = plb_vector<T>::N;

        if (whole_vectors(t, y->data, x->data, N))
            return plb_launch(queue, "rope", rope<N, T>, rows, THREADS, 0, (T *)y->data,
                              (const T *)x->data, positions, *t);
        return plb_launch(queue, "rope", rope<1, T>, rows, THREADS, 0, (T *)y->data,
                          (const T *)x->data, positions, *t);
    });
    return PLB_OK;
}

static enum plb_status rope_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_attributes *a = call->attributes;
    struct rope_turns t = {};

    t.width = call->in[X].part->shape.dim[1];
    t.heads = (int)a->i[HEADS];
    t.half = (int)(a->i[HEAD_DIM] / 2);
    t.sign = a->i[INVERSE] ? -1.0f : 1.0f;
    for (; t.first < t.half; t.first += SLICE) {
        t.pairs = t.half - t.first < SLICE ? t.half - t.first : SLICE;
        plb__rope_frequencies(t.frequency, a, t.first, t.pairs);
        PLB_TRY(rope_slice(call, queue, &t));
    }
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_rope = {"rope", nullptr, rope_run};
