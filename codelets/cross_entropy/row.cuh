/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of logits on a CUDA card, whose width V (of a vocabulary) is often odd: a row begins
 * anywhere between two addresses that vectors of 16 bytes may have.
 *
 * A row is a head of less than a vector, whole vectors, and a tail. Where the head ends follows
 * from the row's number in the uncut value, as if that began at an aligned address; so which thread
 * takes which elements does not depend on how the value was cut. Where a part begins elsewhere
 * (V is false), the same elements are read one by one.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_CROSS_ENTROPY_ROW_CUH
#define PLB_CODELETS_CROSS_ENTROPY_ROW_CUH

#include "codelets/common/kernel.cuh"

/* Elements 0 to head - 1, `vectors` vectors from there on, and the elements from `tail` on. */
struct plb_logits {
    int64_t head, vectors, tail, columns;
};

template <typename T>
__device__ __forceinline__ struct plb_logits plb_logits_of(int64_t row, int64_t columns)
{
    const int64_t N = plb_vector<T>::N;
    int64_t head = (N - row * columns % N) % N;
    struct plb_logits l = {head < columns ? head : columns, 0, columns, columns};

    l.vectors = (columns - l.head) / N;
    l.tail = l.head + l.vectors * N;
    return l;
}

/* Whether vectors lie at aligned addresses in a part of logits. */
template <typename T> static inline bool plb_logits_aligned(const struct plb_tensor *part)
{
    return plb_aligned(part->data) && part->row0 * part->shape.dim[1] % plb_vector<T>::N == 0;
}

template <typename T, bool V>
__device__ __forceinline__ plb_vector<T> plb_logits_fetch(const T *from)
{
    plb_vector<T> v;

    if constexpr (V) {
        v = *reinterpret_cast<const plb_vector<T> *>(from);
    } else {
#pragma unroll
        for (int i = 0; i < plb_vector<T>::N; i++)
            v.x[i] = from[i];
    }
    return v;
}

/* f(from, v) for the vectors of this thread, EACH of them under way at a time; `from` is the
 * number of the first element. f may write where v came from. */
template <int EACH, typename T, bool V, typename F>
__device__ __forceinline__ void plb_logits_each(const T *x, const struct plb_logits &l, F f)
{
    const int N = plb_vector<T>::N;
    int64_t threads = blockDim.x;
    plb_vector<T> v[EACH];

    for (int64_t first = threadIdx.x; first < l.vectors; first += EACH * threads) {
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            if (first + j * threads < l.vectors)
                v[j] = plb_logits_fetch<T, V>(x + l.head + (first + j * threads) * N);
        }
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            if (first + j * threads < l.vectors)
                f(l.head + (first + j * threads) * N, v[j]);
        }
    }
}

/* The number of this thread's element of head and tail, -1 for none: there are fewer than two
 * vectors of them. */
__device__ __forceinline__ int64_t plb_logits_rest(const struct plb_logits &l)
{
    int64_t at = threadIdx.x < l.head ? threadIdx.x : l.tail + threadIdx.x - l.head;

    return at < l.columns ? at : -1;
}

#endif
