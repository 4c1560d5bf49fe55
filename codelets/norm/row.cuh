/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row that the threads of a group hold in their registers while sums over it are made.
 *
 * A row of C elements belongs to `group` threads: a warp, or a whole block. Thread t holds vectors
 * t, t + group, ... of the row, at most K of them. So a row is read once, and passes over it (mean,
 * then squared differences, then the result) cost no memory. K is 4: rows of up to 8192 floats or
 * 16384 bf16; with K = 0 nothing is held and each pass reads the row again, mostly from the cache.
 *
 * Which thread adds which elements, and so the bits, follows from C alone. V: rows are aligned and
 * whole vectors, else elements are read one by one.
 *
 * A row may be made on the way in (a sum), and what is made of it may go into another sum on the
 * way out: see fused.h.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_NORM_ROW_CUH
#define PLB_CODELETS_NORM_ROW_CUH

#include "codelets/common/kernel.cuh"

enum {
    PLB_ROW_VECTORS = 4,
    PLB_ROW_THREADS = 128,     /* of a block of several rows */
    PLB_ROW_THREADS_MAX = 512, /* of a block of one: leaves 128 registers each */
};

/* Up to N elements at `from`, of which `count` are there; the others are zero. */
template <bool V, typename T>
__device__ __forceinline__ plb_vector<T> plb_row_fetch(const T *from, int count)
{
    plb_vector<T> v;

    if constexpr (V) {
        v = *reinterpret_cast<const plb_vector<T> *>(from);
    } else {
#pragma unroll
        for (int i = 0; i < plb_vector<T>::N; i++)
            v.x[i] = i < count ? from[i] : plb_to<T>(0.0f);
    }
    return v;
}

template <bool V, typename T>
__device__ __forceinline__ void plb_row_put(T *to, const float *x, int count)
{
    if constexpr (V) {
        plb_store_vector(to, x);
    } else {
#pragma unroll
        for (int i = 0; i < plb_vector<T>::N; i++) {
            if (i < count)
                to[i] = plb_to<T>(x[i]);
        }
    }
}

/* x = a + b as if a and b had been stored before; by intrinsics, since what makes a or uses x must
 * not become one operation with the addition, as which it would have other bits. */
template <typename T>
__device__ __forceinline__ void plb_row_add(float *x, const float *a, const float *b)
{
#pragma unroll
    for (int i = 0; i < plb_vector<T>::N; i++)
        x[i] = __fadd_rn(plb_float(plb_to<T>(a[i])), b[i]);
}

template <typename T> __device__ __forceinline__ void plb_row_widen(float *x, plb_vector<T> v)
{
#pragma unroll
    for (int i = 0; i < plb_vector<T>::N; i++)
        x[i] = plb_float(v.x[i]);
}

/* The same elements of weights of the row's width, as floats. */
template <bool V, typename T>
__device__ __forceinline__ void plb_row_weights(float *x, const T *from, int count)
{
    plb_row_widen(x, plb_row_fetch<V>(from, count));
}

template <typename T, int K, bool V> struct plb_row {
    enum { N = plb_vector<T>::N };
    plb_vector<T> held[K > 0 ? K : 1];
    const T *from = nullptr;
    int64_t columns = 0;

    __device__ __forceinline__ int64_t place(int k) const
    {
        return ((int64_t)k * blockDim.x + threadIdx.x) * N;
    }

    /* Elements that are there of the vector at `at`. */
    __device__ __forceinline__ int count(int64_t at) const
    {
        return V || columns - at > N ? (int)N : (int)(columns - at);
    }

    __device__ __forceinline__ void open(const T *row, int64_t n)
    {
        from = row;
        columns = n;
#pragma unroll
        for (int k = 0; k < K; k++) {
            if (place(k) < n)
                held[k] = plb_row_fetch<V>(from + place(k), count(place(k)));
        }
    }

    /* The row a + b, with the bits of operator add. It goes to `sum`, too, which may be a or b, or
     * NULL unless K is 0. */
    __device__ __forceinline__ void open_sum(const T *a, const T *b, T *sum, int64_t n)
    {
        plb_row<T, K, V> other;

        open(a, n);
        other.open(b, n);
        each([&](int k, int64_t at, int count) {
            float x[N], y[N];

            get(x, k);
            other.get(y, k);
            plb_row_add<T>(x, x, y);
            if (sum != nullptr)
                plb_row_put<V>(sum + at, x, count);
            set(k, x);
        });
        from = sum;
    }

    /* What get() finds from now on, where K is not 0. */
    __device__ __forceinline__ void set(int k, const float *x)
    {
        if constexpr (K > 0) {
#pragma unroll
            for (int i = 0; i < N; i++)
                held[k].x[i] = plb_to<T>(x[i]);
        }
    }

    /* Vector k, as floats. */
    __device__ __forceinline__ void get(float *x, int k) const
    {
        if constexpr (K > 0)
            plb_row_widen(x, held[k]);
        else
            plb_row_widen(x, plb_row_fetch<V>(from + place(k), count(place(k))));
    }

    /* f(k, at, count) for each vector k of this thread. */
    template <typename F> __device__ __forceinline__ void each(F f) const
    {
        if constexpr (K > 0) {
#pragma unroll
            for (int k = 0; k < K; k++) {
                if (place(k) < columns)
                    f(k, place(k), count(place(k)));
            }
        } else {
            for (int k = 0; place(k) < columns; k++)
                f(k, place(k), count(place(k)));
        }
    }
};

/* Are rows of this matrix held (K > 0)? */
static inline bool plb_row_held(const struct plb_shape *shape, enum plb_dtype dtype)
{
    int64_t most = PLB_ROW_VECTORS * PLB_ROW_THREADS_MAX * 16 / (int64_t)plb_dtype_bytes(dtype);

    return shape->dim[1] <= most;
}

/* Threads of a row and rows of a block. */
static inline dim3 plb_row_block(int64_t columns, int each)
{
    int64_t vectors = (columns + each - 1) / each, group = PLB_WARP;

    while (group * PLB_ROW_VECTORS < vectors && group < PLB_ROW_THREADS_MAX)
        group *= 2;
    return dim3((unsigned)group, group == PLB_WARP ? PLB_ROW_THREADS / PLB_WARP : 1);
}

/* This thread's row. Rows of one block are warps of their own, so a warp may leave before others
 * meet; a group of several warps is a block. */
__device__ __forceinline__ int64_t plb_row_number(void)
{
    return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}

/* Statements with K and V for rows of T: `aligned` is about addresses. */
#define PLB_BY_ROW(T, columns_, aligned_, K, V, ...)                                               \
    do {                                                                                           \
        const int64_t most_ = PLB_ROW_VECTORS * PLB_ROW_THREADS_MAX * (int)plb_vector<T>::N;       \
                                                                                                   \
        if ((columns_) > most_) {                                                                  \
            const int K = 0;                                                                       \
            const bool V = false;                                                                  \
            __VA_ARGS__                                                                            \
        } else {                                                                                   \
            const int K = PLB_ROW_VECTORS;                                                         \
            PLB_BY_FLAG((aligned_) && (columns_) % plb_vector<T>::N == 0, V, __VA_ARGS__);         \
        }                                                                                          \
    } while (0)

#endif
