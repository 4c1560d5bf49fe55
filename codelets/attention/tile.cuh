/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrix products inside attention on a card: between tiles in shared memory and fragments in
 * the registers of a warp.
 *
 * A fragment is [16 M][8 N] elements of fp32, spread over the lanes of a warp as the result of
 * plb_mma_bf16() is (mma.cuh): with g = lane / 4 and t = lane % 4, element f[m][n][2 h + e] is that
 * of row 16 m + 8 h + g and column 8 n + 2 t + e. All kernels of attention are written in terms of
 * fragments, once: for bf16 the products run on tensor cores, for f32 as multiply-adds with the
 * same layout, four times as slow a way of reading shared memory, but not what bounds it.
 *
 * A tile in shared memory has rows of DIM elements and 16 bytes of padding: the number of 16-byte
 * pieces in a row is odd, so that 8 rows of a matrix lie in different banks.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ATTENTION_TILE_CUH
#define PLB_CODELETS_ATTENTION_TILE_CUH

#include "codelets/common/mma.cuh"

/* Elements from row to row of a tile. */
template <typename T, int DIM> __host__ __device__ constexpr int tile_stride()
{
    return DIM + 16 / (int)sizeof(T);
}

template <typename T, int DIM> constexpr size_t tile_bytes(int rows)
{
    return (size_t)rows * tile_stride<T, DIM>() * sizeof(T);
}

__device__ __forceinline__ int lane_row(void)
{
    return threadIdx.x % PLB_WARP / 4;
}

__device__ __forceinline__ int lane_column(void)
{
    return threadIdx.x % 4 * 2;
}

/* ---- filling tiles ---- */

/* Rows in the card's memory: row i begins at at[i / pack * width + i % pack * columns], and has
 * `columns` elements. There are rows `low` to `high` - 1; those before `low` may lie elsewhere. */
template <typename T> struct tile_rows {
    const T *at;
    int64_t width;
    int low, high, pack, columns;
};

/* Where an element is, or would be. */
template <typename T>
__device__ __forceinline__ const T *tile_source(const struct tile_rows<T> &rows, int i, int column)
{
    return rows.at + i / rows.pack * rows.width + i % rows.pack * rows.columns + column;
}

template <typename T>
__device__ __forceinline__ bool tile_has(const struct tile_rows<T> &rows, int i, int column)
{
    return i >= rows.low && i < rows.high && column < rows.columns;
}

/* Fills ROWS rows of a tile, with zeros where there are none. With `vectors`, rows are 16-aligned
 * and whole multiples of 16 bytes, and the copies are only begun; otherwise they are made. */
template <typename T, int DIM, int ROWS, int THREADS>
__device__ __forceinline__ void tile_fill(T *tile, const struct tile_rows<T> &rows, bool vectors)
{
    const int N = 16 / (int)sizeof(T), PIECES = DIM / N, S = tile_stride<T, DIM>();
    const int STEP = THREADS < PIECES ? 1 : THREADS / PIECES;
    int thread = threadIdx.x, first = thread / PIECES;

    static_assert(ROWS % STEP == 0, "each thread copies as many pieces");
    if (!vectors) {
#pragma unroll 1
        for (int at = thread; at < ROWS * DIM; at += THREADS)
            tile[at / DIM * S + at % DIM] = tile_has(rows, at / DIM, at % DIM)
                                                ? *tile_source(rows, at / DIM, at % DIM)
                                                : plb_to<T>(0.0f);
        return;
    }
#pragma unroll
    for (int column = thread % PIECES * N; column < DIM; column += THREADS * N) {
        plb_shared_address to = plb_address_of(tile + first * S + column);
        const T *from = tile_source(rows, first, column);

#pragma unroll
        for (int i = 0; i < ROWS; i += STEP) {
            plb_copy_begin(to + i * S * (int)sizeof(T), from, tile_has(rows, first + i, column));
            /* Where heads are packed, a row is not always as far from the next. */
            from = rows.pack == 1 ? from + STEP * rows.width
                                  : tile_source(rows, first + i + STEP, column);
        }
    }
}

/* ---- products ---- */

template <int M, int N> __device__ __forceinline__ void fragment_clear(float (&f)[M][N][4])
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
            for (int j = 0; j < 4; j++)
                f[m][n][j] = 0.0f;
        }
    }
}

/* c = a b^T: rows of `a` with rows of `b`, over DIM. */
template <int DIM, int M, int N>
__device__ __forceinline__ void multiply_rows(float (&c)[M][N][4], const __nv_bfloat16 *a,
                                              const __nv_bfloat16 *b)
{
    const int S = tile_stride<__nv_bfloat16, DIM>(), lane = threadIdx.x % PLB_WARP;
    plb_shared_address a_row = plb_address_of(a + lane % 16 * S + lane / 16 * 8);
    plb_shared_address b_row =
        plb_address_of(b + (lane % 8 + lane / 16 * 8) * S + lane / 8 % 2 * 8);

    fragment_clear(c);
#pragma unroll
    for (int k = 0; k < DIM; k += 16) {
        uint32_t x[M][4], y[4];

#pragma unroll
        for (int m = 0; m < M; m++)
            plb_load_matrices(x[m], a_row + 2 * (m * 16 * S + k));
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            plb_load_matrices(y, b_row + 2 * (n * 8 * S + k));
#pragma unroll
            for (int m = 0; m < M; m++) {
                plb_mma_bf16(c[m][n], x[m], y[0], y[1]);
                plb_mma_bf16(c[m][n + 1], x[m], y[2], y[3]);
            }
        }
    }
}

/* c += p b: p, rounded to bf16, with D columns of tiles of 8 of the 8 N rows of `b`. */
template <int DIM, int M, int N, int D>
__device__ __forceinline__ void multiply_fragment(float (&c)[M][D][4], const float (&p)[M][N][4],
                                                  const __nv_bfloat16 *b)
{
    const int S = tile_stride<__nv_bfloat16, DIM>(), lane = threadIdx.x % PLB_WARP;
    plb_shared_address b_row = plb_address_of(b + lane % 16 * S + lane / 16 * 8);

#pragma unroll
    for (int n = 0; n < N; n += 2) {
        uint32_t x[M][4], y[4];

#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int j = 0; j < 4; j++)
                x[m][j] = plb_pack_bf16(p[m][n + j / 2][j % 2 * 2], p[m][n + j / 2][j % 2 * 2 + 1]);
        }
#pragma unroll
        for (int d = 0; d < D; d += 2) {
            plb_load_matrices_transposed(y, b_row + 2 * (n * 8 * S + d * 8));
#pragma unroll
            for (int m = 0; m < M; m++) {
                plb_mma_bf16(c[m][d], x[m], y[0], y[1]);
                plb_mma_bf16(c[m][d + 1], x[m], y[2], y[3]);
            }
        }
    }
}

__device__ __forceinline__ void add_dot(float &c, const float4 &a, const float4 &b)
{
    c += a.x * b.x;
    c += a.y * b.y;
    c += a.z * b.z;
    c += a.w * b.w;
}

template <int DIM, int M, int N>
__device__ __forceinline__ void multiply_rows(float (&c)[M][N][4], const float *a, const float *b)
{
    const int S = tile_stride<float, DIM>();
    const float *a_row = a + lane_row() * S, *b_row = b + lane_column() * S;

    fragment_clear(c);
#pragma unroll 2
    for (int k = 0; k < DIM; k += 4) {
        float4 x[2 * M];

#pragma unroll
        for (int m = 0; m < 2 * M; m++)
            x[m] = *reinterpret_cast<const float4 *>(a_row + m * 8 * S + k);
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float4 y = *reinterpret_cast<const float4 *>(b_row + (n * 8 + e) * S + k);

#pragma unroll
                for (int m = 0; m < 2 * M; m++)
                    add_dot(c[m / 2][n][m % 2 * 2 + e], x[m], y);
            }
        }
    }
}

/* A row's elements of `p` lie in the four lanes of its g, and each needs all of them. */
template <int DIM, int M, int N, int D>
__device__ __forceinline__ void multiply_fragment(float (&c)[M][D][4], const float (&p)[M][N][4],
                                                  const float *b)
{
    const int S = tile_stride<float, DIM>(), lane = threadIdx.x % PLB_WARP;

#pragma unroll
    for (int k = 0; k < 8 * N; k++) {
        float x[2 * M];

#pragma unroll
        for (int m = 0; m < 2 * M; m++)
            x[m] = __shfl_sync(0xffffffffu, p[m / 2][k / 8][m % 2 * 2 + k % 2],
                               lane / 4 * 4 + k % 8 / 2);
#pragma unroll
        for (int d = 0; d < D; d++) {
            float2 y = *reinterpret_cast<const float2 *>(b + k * S + d * 8 + lane_column());

#pragma unroll
            for (int m = 0; m < 2 * M; m++) {
                c[m / 2][d][m % 2 * 2] += x[m] * y.x;
                c[m / 2][d][m % 2 * 2 + 1] += x[m] * y.y;
            }
        }
    }
}

/* ---- results ---- */

/* Over the lanes that share a row. */
template <typename F> __device__ __forceinline__ float row_reduce(float x, F f)
{
    x = f(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return f(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ void store_pair(float *to, float a, float b)
{
    *reinterpret_cast<float2 *>(to) = make_float2(a, b);
}

__device__ __forceinline__ void store_pair(__nv_bfloat16 *to, float a, float b)
{
    *reinterpret_cast<uint32_t *>(to) = plb_pack_bf16(a, b);
}

/* Half of a fragment's rows, one of this lane: D tiles of 8 columns from column `first` on, times
 * `factor`, to the row's `columns` elements at `to`. With `pairs`, they are stored in twos. */
template <typename T, int D>
__device__ __forceinline__ void store_row(T *to, const float (&f)[D][4], int half, float factor,
                                          int first, int columns, bool pairs)
{
#pragma unroll
    for (int d = 0; d < D; d++) {
        int column = first + d * 8 + lane_column();
        float a = f[d][half * 2] * factor, b = f[d][half * 2 + 1] * factor;

        if (pairs && column < columns)
            store_pair(to + column, a, b);
        if (!pairs && column < columns)
            to[column] = plb_to<T>(a);
        if (!pairs && column + 1 < columns)
            to[column + 1] = plb_to<T>(b);
    }
}

#endif
