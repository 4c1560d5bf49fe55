/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradient of an embedding's table on a CUDA card: dtable[v,:] = the sum of the rows of dy
 * whose token is v, in order of the tokens, as on the CPU. See embedding.c for the record.
 *
 * A block makes up to ROWS rows of the table (and up to COLUMNS columns). It fills them with zeros,
 * which drains to memory while it goes over all tokens in chunks. In each chunk a warp looks at
 * 32 * LOOKS tokens in a row and lists those of the block's rows, in order; then for each row that
 * occurs the block's threads, which own columns, add the listed rows of dy in registers, LOADS of
 * them under way. No atomics, no scratch memory, one launch.
 *
 * Cost, for 50257 x 768 and 8192 tokens in bf16: the table of 154 MB is written, dy read once (12.6
 * MB), so 39 us at the copy bandwidth of an H200; the tokens are read by each of the 1006 blocks,
 * 33 MB from the second-level cache, in six chunks of about a microsecond of latency that run
 * beside the writing. A token that takes up much of the text is a chain in one block: each LOADS of
 * its rows take about a microsecond, so 330 of 8192 take 40 us and hide, while text of one token
 * only would take a millisecond.
 */
#include "codelets/common/map.cuh"

enum { TOKENS, DY };
enum {
    ROWS = 64,                 /* of the table in a block, at most: bits of a word */
    BLOCKS = 1024,             /* aimed at for smaller tables */
    THREADS = 256,             /* at most */
    LOOKS = 8,                 /* tokens that a thread looks at in a chunk */
    LISTED = LOOKS * PLB_WARP, /* tokens that a warp lists, at most */
    LOADS = 8,
    EACH = 4, /* columns of a thread */
    COLUMNS = THREADS * EACH,
};

struct embedding_dw_arguments {
    const int32_t *tokens;
    int64_t n;                  /* tokens */
    int64_t first;              /* token of row 0 of the table */
    int64_t low, high, columns; /* rows of the table in the range */
    int rows;                   /* of a block */
};

/* What the warps of a block found in a chunk. */
struct embedding_dw_found {
    unsigned short place[THREADS / PLB_WARP][LISTED]; /* in the warp's tokens */
    unsigned char row[THREADS / PLB_WARP][LISTED];    /* in the block's rows */
    int count[THREADS / PLB_WARP];
    unsigned long long rows[THREADS / PLB_WARP]; /* that occur, a bit each */
};

/* The tokens of this warp from `first` on. All its lanes call. */
static __device__ __forceinline__ void look(const struct embedding_dw_arguments &a, int64_t first,
                                            int64_t low, struct embedding_dw_found *found)
{
    int lane = threadIdx.x % PLB_WARP, warp = threadIdx.x / PLB_WARP, count = 0;
    unsigned long long rows = 0;
    int64_t end = low + a.rows < a.high ? low + a.rows : a.high;
    int row[LOOKS];

#pragma unroll
    for (int k = 0; k < LOOKS; k++) {
        int64_t at = first + k * PLB_WARP + lane;
        int64_t token = at < a.n ? a.tokens[at] - a.first : -1;

        row[k] = token >= low && token < end ? (int)(token - low) : -1;
    }
#pragma unroll
    for (int k = 0; k < LOOKS; k++) {
        bool here = row[k] >= 0;
        unsigned mask = __ballot_sync(0xffffffffu, here);

        if (here) {
            int at = count + __popc(mask & ((1u << lane) - 1u));

            found->place[warp][at] = (unsigned short)(k * PLB_WARP + lane);
            found->row[warp][at] = (unsigned char)row[k];
            rows |= 1ull << row[k];
        }
        count += __popc(mask);
    }
    if (count > 0) {
        for (int distance = PLB_WARP / 2; distance > 0; distance /= 2)
            rows |= __shfl_xor_sync(0xffffffffu, rows, distance);
    }
    if (lane == 0) {
        found->count[warp] = count;
        found->rows[warp] = rows;
    }
}

/* Columns of a thread, of which `count` are there: all of them where rows are aligned (V). */
template <bool V, typename T>
static __device__ __forceinline__ plb_pack<T, EACH> fetch(const T *from, int count)
{
    plb_pack<T, EACH> x;

    if constexpr (V) {
        x = plb_pack_load<EACH>(from);
    } else {
#pragma unroll
        for (int i = 0; i < EACH; i++)
            x.x[i] = i < count ? from[i] : plb_to<T>(0.0f);
    }
    return x;
}

template <bool V>
static __device__ __forceinline__ void store(float *to, const plb_pack<float, EACH> &x, int count)
{
    if (V && count > 0) {
        plb_pack_store(to, x);
        return;
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        if (i < count)
            to[i] = x.x[i];
    }
}

/* Adds the rows of dy whose places have one of the lowest LOADS bits; returns the other bits. */
template <bool V, typename T>
static __device__ __forceinline__ unsigned add_some(plb_pack<float, EACH> *sum, const T *dy,
                                                    int64_t columns, const unsigned short *place,
                                                    unsigned bits, int count)
{
    plb_pack<T, EACH> x[LOADS];
    unsigned left = bits;

#pragma unroll
    for (int j = 0; j < LOADS; j++) {
        if (left != 0)
            x[j] = fetch<V>(dy + place[__ffs((int)left) - 1] * columns, count);
        left &= left - 1;
    }
#pragma unroll
    for (int j = 0; j < LOADS; j++) {
        if (bits != 0) {
#pragma unroll
            for (int i = 0; i < EACH; i++)
                sum->x[i] += plb_float(x[j].x[i]);
        }
        bits &= bits - 1;
    }
    return bits;
}

/* Adds all rows of dy that were found for `row`. `dy` is the column of this thread in the chunk's
 * first row; a thread without columns (count 0) takes part, since the warp votes. */
template <bool V, typename T>
static __device__ __forceinline__ void add_found(plb_pack<float, EACH> *sum, int64_t columns,
                                                 const struct embedding_dw_found *found, int row,
                                                 const T *dy, int count)
{
    int lane = threadIdx.x % PLB_WARP, warps = blockDim.x / PLB_WARP;

    for (int w = 0; w < warps; w++) {
        for (int first = 0; first < found->count[w]; first += PLB_WARP) {
            bool same = first + lane < found->count[w] && found->row[w][first + lane] == row;
            unsigned bits = __ballot_sync(0xffffffffu, same);

            while (bits != 0 && count > 0)
                bits = add_some<V>(sum, dy + (int64_t)w * LISTED * columns, columns,
                                   found->place[w] + first, bits, count);
        }
    }
}

template <bool V, typename T>
static __global__ void __launch_bounds__(THREADS, 2)
    embedding_dw(float *dtable, const T *dy,
                 const __grid_constant__ struct embedding_dw_arguments a)
{
    __shared__ struct embedding_dw_found found;
    int64_t low = a.low + (int64_t)blockIdx.x * a.rows, chunk = (int64_t)blockDim.x * LOOKS;
    int64_t column = (int64_t)blockIdx.y * COLUMNS + (int)threadIdx.x * EACH;
    int64_t rest = a.columns - column;
    int count = rest <= 0 ? 0 : rest < EACH ? (int)rest : EACH, warps = blockDim.x / PLB_WARP;
    unsigned long long begun = 0;
    const plb_pack<float, EACH> zeros = {};

    dtable += (low - a.low) * a.columns + column;
    dy += column;
    for (int r = 0; r < a.rows && low + r < a.high; r++)
        store<V>(dtable + r * a.columns, zeros, count);
    for (int64_t first = 0; first < a.n; first += chunk, dy += chunk * a.columns) {
        unsigned long long rows = 0;

        look(a, first + (int)threadIdx.x / PLB_WARP * LISTED, low, &found);
        __syncthreads();
        for (int w = 0; w < warps; w++)
            rows |= found.rows[w];
        for (; rows != 0; rows &= rows - 1) {
            int row = __ffsll((long long)rows) - 1;
            float *to = dtable + row * a.columns;
            plb_pack<float, EACH> sum = zeros;

            if ((begun >> row & 1) != 0 && count > 0)
                sum = fetch<V>(to, count);
            add_found<V>(&sum, a.columns, &found, row, dy, count);
            store<V>(to, sum, count);
            begun |= 1ull << row;
        }
        __syncthreads();
    }
}

/* Threads that own the columns of a row, up to THREADS. */
static unsigned threads_for(int64_t columns)
{
    int64_t threads = ((columns + EACH - 1) / EACH + PLB_WARP - 1) / PLB_WARP * PLB_WARP;

    return (unsigned)(threads < THREADS ? threads : (int64_t)THREADS);
}

static int rows_for(int64_t rows)
{
    int64_t each = (rows + BLOCKS - 1) / BLOCKS;

    return (int)(each < ROWS ? each : (int64_t)ROWS);
}

static enum plb_status embedding_dw_run(const struct plb_call *call,
                                        const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *tokens = call->in[TOKENS].part, *dy = call->in[DY].part;
    const struct plb_tensor *dtable = call->out[0].part;
    int64_t columns = dy->shape.dim[1], rows = call->high[0] - call->low[0];
    struct embedding_dw_arguments a = {(const int32_t *)tokens->data,
                                       tokens->shape.dim[0],
                                       call->attributes->i[1],
                                       call->low[0],
                                       call->high[0],
                                       columns,
                                       rows_for(rows)};
    bool aligned = plb_aligned(dy->data, dtable->data) && columns % EACH == 0;
    dim3 blocks(plb_blocks_for(rows, a.rows), plb_blocks_for(columns, COLUMNS));

    PLB_BY_DTYPE(dy->dtype, T, {
        PLB_BY_FLAG(aligned, V, {
            return plb_launch(queue, "embedding_dw", embedding_dw<V, T>, blocks,
                              threads_for(columns), 0, (float *)dtable->data, (const T *)dy->data,
                              a);
        });
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_embedding_dw = {"embedding_dw", nullptr, embedding_dw_run};
