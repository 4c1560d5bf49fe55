/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sum_squares on a CUDA card: each element is read once and squared and added in double precision.
 * See sum_squares.c for the record.
 *
 * The order follows from the number of elements: they are cut into chunks, a block's threads take
 * four elements of its chunk in turn and are added in a tree, and one block adds the chunks in the
 * same way. A short value is one chunk and one launch.
 */
#include "codelets/common/kernel.cuh"

enum { THREADS = 512, EACH = 4, CHUNKS = 1024, CHUNK_LEAST = THREADS * EACH * 8 };

struct sum_squares_chunks {
    int64_t n, each, count;
};

static struct sum_squares_chunks chunks_of(int64_t n)
{
    struct sum_squares_chunks c = {n, n, 1};
    int64_t wanted = n / CHUNK_LEAST < CHUNKS ? n / CHUNK_LEAST : (int64_t)CHUNKS;

    if (wanted > 1) {
        c.each = (n / wanted + EACH) / EACH * EACH;
        c.count = (n + c.each - 1) / c.each;
    }
    return c;
}

static __device__ __forceinline__ double square(float x)
{
    return (double)x * (double)x;
}

/* Elements from `from` on, of which `count` are there. */
template <bool V> static __device__ __forceinline__ double squares(const float *from, int64_t count)
{
    plb_vector<float> v;
    double sum = 0.0;

    if (V && count >= EACH) {
        v = *reinterpret_cast<const plb_vector<float> *>(from);
    } else {
#pragma unroll
        for (int i = 0; i < EACH; i++)
            v.x[i] = i < count ? from[i] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < EACH; i++)
        sum += square(v.x[i]);
    return sum;
}

template <bool V>
static __global__ void sum_chunks(double *y, const float *x, struct sum_squares_chunks c)
{
    __shared__ double shared[PLB_WARP];
    int64_t low = blockIdx.x * c.each, high = low + c.each < c.n ? low + c.each : c.n;
    double sum = 0.0;

#pragma unroll 4
    for (int64_t at = low + (int)threadIdx.x * EACH; at < high; at += THREADS * EACH)
        sum += squares<V>(x + at, high - at);
    sum = plb_block_reduce(sum, plb_sum(), shared);
    if (threadIdx.x == 0)
        y[blockIdx.x] = sum;
}

static __global__ void add_chunks(double *y, const double *x, int64_t n)
{
    __shared__ double shared[PLB_WARP];
    double sum = 0.0;

    for (int64_t k = threadIdx.x; k < n; k += THREADS)
        sum += x[k];
    sum = plb_block_reduce(sum, plb_sum(), shared);
    if (threadIdx.x == 0)
        *y = sum;
}

static size_t sum_squares_scratch(const struct plb_task_types *types)
{
    struct sum_squares_chunks c = chunks_of(plb_shape_elements(&types->in[0].shape));

    return c.count > 1 ? (size_t)c.count * sizeof(double) : 0;
}

static enum plb_status sum_squares_run(const struct plb_call *call,
                                       const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *part = call->in[0].part;
    int64_t row = plb_shape_row_elements(&part->shape);
    const float *x = (const float *)part->data + (call->low[0] - part->row0) * row;
    struct sum_squares_chunks c = chunks_of((call->high[0] - call->low[0]) * row);
    double *y = (double *)call->out[0].part->data;
    double *sums = c.count > 1 ? (double *)call->scratch : y;

    PLB_BY_FLAG(plb_aligned(x), V, {
        PLB_TRY(plb_launch(queue, "sum_squares", sum_chunks<V>, (unsigned)c.count, THREADS, 0, sums,
                           x, c));
    });
    if (c.count == 1)
        return PLB_OK;
    return plb_launch(queue, "sum_squares", add_chunks, 1, THREADS, 0, y, (const double *)sums,
                      c.count);
}

const struct plb_cuda_operator plb_cuda_sum_squares = {"sum_squares", sum_squares_scratch,
                                                       sum_squares_run};
