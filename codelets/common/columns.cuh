/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums over the rows of a matrix on a CUDA card, one a column: gradients of biases and of the
 * weights of norms.
 *
 * The order is a fixed tree that follows from rows, columns and the dtype. The rows are cut into
 * chunks of one length. A block sums a chunk of the columns of a warp's width: each of its warps
 * takes every eighth row, then the warps are added in order. What comes of each chunk goes to
 * scratch memory, and a second launch adds the chunks: warp w takes every 32nd one from w on, then
 * the warps are added in order.
 *
 * Each element is read once, by 16 bytes a thread, four rows under way. The sums of the chunks are
 * up to a tenth of what is read, written and read once more, and stay in the second-level cache.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_COLUMNS_CUH
#define PLB_CODELETS_COMMON_COLUMNS_CUH

#include "codelets/common/kernel.cuh"

enum {
    PLB_COLUMNS_WARPS = 8,     /* of a block that sums a chunk */
    PLB_COLUMNS_BLOCKS = 1024, /* as many as a large card holds at a time, about */
    PLB_COLUMNS_ROWS = 32,     /* the least of a chunk */
    PLB_COLUMNS_FINISH = 32,   /* warps of a block that adds chunks */
};

struct plb_columns {
    int64_t rows, columns;
    int64_t chunks, chunk_rows;
    unsigned tiles; /* blocks side by side */
};

/* `each`: columns of a thread, which follow from the dtype. */
static inline struct plb_columns plb_columns_of(int64_t rows, int64_t columns, int each)
{
    struct plb_columns c = {rows, columns, 1, rows, plb_blocks_for(columns, PLB_WARP * each)};
    int64_t most = PLB_COLUMNS_BLOCKS / c.tiles, wanted;

    most = most < 1 ? 1 : most;
    wanted = (rows + PLB_COLUMNS_ROWS - 1) / PLB_COLUMNS_ROWS;
    wanted = wanted < most ? wanted : most;
    if (wanted > 1) {
        c.chunk_rows = (rows + wanted - 1) / wanted;
        c.chunks = (rows + c.chunk_rows - 1) / c.chunk_rows;
    }
    return c;
}

static inline int plb_columns_each(enum plb_dtype dtype)
{
    return 16 / (int)plb_dtype_bytes(dtype);
}

/* Of `sums` sums for each column. */
static inline size_t plb_columns_scratch(const struct plb_columns *c, int sums)
{
    return (size_t)(sums * c->chunks * c->columns) * sizeof(float);
}

/* F has SUMS (1 or 2) and add(sum, row, at, count), which adds what row `row` has for `count`
 * columns from `at` on to sum[0][i] (and sum[1][i]); N is the columns of a thread, and V says that
 * rows are aligned and count is always N. */
template <typename F, int N, bool V>
static __global__ void __launch_bounds__(PLB_COLUMNS_WARPS *PLB_WARP)
    plb_columns_chunk(F f, struct plb_columns c, float *partial)
{
    const int WIDTH = PLB_WARP * N;
    __shared__ float shared[PLB_COLUMNS_WARPS * F::SUMS * WIDTH];
    int lane = threadIdx.x % PLB_WARP, warp = threadIdx.x / PLB_WARP;
    int64_t first = (int64_t)blockIdx.x * WIDTH, at = first + lane * N;
    int64_t low = blockIdx.y * c.chunk_rows, high = low + c.chunk_rows;
    float sum[F::SUMS][N] = {};

    high = high < c.rows ? high : c.rows;
    if (at < c.columns) {
        int count = V || c.columns - at > N ? N : (int)(c.columns - at);

#pragma unroll 4
        for (int64_t row = low + warp; row < high; row += PLB_COLUMNS_WARPS)
            f.add(sum, row, at, count);
    }
#pragma unroll
    for (int s = 0; s < F::SUMS; s++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            shared[(warp * F::SUMS + s) * WIDTH + lane * N + i] = sum[s][i];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < F::SUMS * WIDTH; i += PLB_COLUMNS_WARPS * PLB_WARP) {
        int s = i / WIDTH;
        int64_t column = first + i % WIDTH;
        float total = shared[i];

        for (int w = 1; w < PLB_COLUMNS_WARPS; w++)
            total += shared[w * F::SUMS * WIDTH + i];
        if (column < c.columns)
            partial[(s * c.chunks + blockIdx.y) * c.columns + column] = total;
    }
}

/* Adds the chunks of sum blockIdx.y, which goes to y0 or y1; NULL: nowhere. */
static __global__ void __launch_bounds__(PLB_COLUMNS_FINISH *PLB_WARP)
    plb_columns_finish(float *y0, float *y1, const float *partial, struct plb_columns c)
{
    __shared__ float shared[PLB_COLUMNS_FINISH][PLB_WARP + 1];
    int lane = threadIdx.x, warp = threadIdx.y;
    int64_t column = (int64_t)blockIdx.x * PLB_WARP + lane;
    float *y = blockIdx.y == 0 ? y0 : y1;
    float total = 0.0f;

    partial += blockIdx.y * c.chunks * c.columns;
    if (column < c.columns) {
#pragma unroll 8
        for (int64_t k = warp; k < c.chunks; k += PLB_COLUMNS_FINISH)
            total += partial[k * c.columns + column];
    }
    shared[warp][lane] = total;
    __syncthreads();
    if (warp > 0 || column >= c.columns || y == nullptr)
        return;
    for (int w = 1; w < PLB_COLUMNS_FINISH; w++)
        total += shared[w][lane];
    y[column] = total;
}

static inline enum plb_status plb_columns_add_chunks(const struct plb_cuda_queue *queue,
                                                     const char *name, float *y0, float *y1,
                                                     const float *partial,
                                                     const struct plb_columns *c, int sums)
{
    return plb_launch(queue, name, plb_columns_finish,
                      dim3(plb_blocks_for(c->columns, PLB_WARP), (unsigned)sums),
                      dim3(PLB_WARP, PLB_COLUMNS_FINISH), 0, y0, y1, partial, *c);
}

/* Both launches. `partial` has plb_columns_scratch() bytes. */
template <typename F, int N, bool V>
static enum plb_status plb_columns_sum(const struct plb_cuda_queue *queue, const char *name, F f,
                                       const struct plb_columns *c, float *y0, float *y1,
                                       void *scratch)
{
    float *partial = static_cast<float *>(scratch);

    PLB_TRY(
        (plb_launch(queue, name, plb_columns_chunk<F, N, V>, dim3(c->tiles, (unsigned)c->chunks),
                    PLB_COLUMNS_WARPS * PLB_WARP, 0, f, *c, partial)));
    return plb_columns_add_chunks(queue, name, y0, y1, partial, c, F::SUMS);
}

#endif
