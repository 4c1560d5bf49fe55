/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * db[O] = the sum of dy[B,O,H,W] over images and places, on a CUDA card. See conv2d_dw.c for the
 * record.
 *
 * A block sums one channel of a chunk of the images, which goes to scratch memory; the chunks are
 * then added in the order of common/columns.cuh. Elements of a channel go to the block's threads by
 * vectors of 16 bytes in turn, aligned or not, so the order follows from shapes alone.
 */
#include "codelets/common/columns.cuh"

enum { THREADS = 128 };

/* Sums of `each` images from image blockIdx.y * each on. */
template <typename T, bool V>
static __global__ void channel_sums(float *partial, const T *dy, int64_t images, int64_t each,
                                    int64_t places)
{
    const int N = plb_vector<T>::N;
    __shared__ float shared[PLB_WARP];
    int64_t low = blockIdx.y * each, high = low + each < images ? low + each : images;
    float sum = 0.0f;

    for (int64_t b = low; b < high; b++) {
        const T *from = dy + (b * gridDim.x + blockIdx.x) * places;

#pragma unroll 4
        for (int64_t at = (int64_t)threadIdx.x * N; at < places; at += THREADS * N) {
            float x[N] = {};

            if constexpr (V) {
                plb_load_vector(x, from + at);
            } else {
                for (int i = 0; i < N; i++)
                    x[i] = at + i < places ? plb_float(from[at + i]) : 0.0f;
            }
            for (int i = 0; i < N; i++)
                sum += x[i];
        }
    }
    sum = plb_block_reduce(sum, plb_sum(), shared);
    if (threadIdx.x == 0)
        partial[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

/* Rows are images, columns channels. */
static struct plb_columns chunks_of(int64_t images, const struct plb_shape *dy)
{
    int64_t most = PLB_COLUMNS_BLOCKS / dy->dim[1];
    struct plb_columns c = {images, dy->dim[1], 1, images, 1};

    most = most < 1 ? 1 : most < images ? most : images;
    if (most > 1) {
        c.chunk_rows = (images + most - 1) / most;
        c.chunks = (images + c.chunk_rows - 1) / c.chunk_rows;
    }
    return c;
}

static size_t db_scratch(const struct plb_task_types *types)
{
    struct plb_columns c = chunks_of(types->in[0].shape.dim[0], &types->in[0].shape);

    return plb_columns_scratch(&c, 1);
}

static enum plb_status db_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[0].part;
    struct plb_columns c = chunks_of(call->high[0] - call->low[0], &dy->shape);
    int64_t channels = c.columns, places = dy->shape.dim[2] * dy->shape.dim[3];
    float *partial = (float *)call->scratch;

    PLB_BY_DTYPE(dy->dtype, T, {
        const T *from = (const T *)dy->data + (call->low[0] - dy->row0) * channels * places;

        PLB_BY_FLAG(plb_aligned(from) && places % plb_vector<T>::N == 0, V, {
            PLB_TRY((plb_launch(queue, "conv2d_db", channel_sums<T, V>,
                                dim3((unsigned)channels, (unsigned)c.chunks), THREADS, 0, partial,
                                from, c.rows, c.chunk_rows, places)));
        });
    });
    return plb_columns_add_chunks(queue, "conv2d_db", (float *)call->out[0].part->data, nullptr,
                                  partial, &c, 1);
}

const struct plb_cuda_operator plb_cuda_conv2d_db = {"conv2d_db", db_scratch, db_run};
