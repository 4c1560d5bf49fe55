/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Causal self-attention on a CUDA card, forward, and the kernel that attention to a cache uses too.
 * It follows Dao 2023, "FlashAttention-2", algorithm 1: a block of threads has a tile of queries,
 * goes over blocks of keys with a running maximum and sum for each row, and corrects what it has
 * when the maximum rises. Neither scores nor probabilities leave registers. Blocks of keys that no
 * row of the tile sees are left out.
 *
 * A warp has 16 or 32 rows of the tile and all columns, so that a row's maximum takes two shuffles,
 * and probabilities are where the next product wants them. Copies to shared memory are always under
 * way: of values while scores are made, of the next keys while values are added.
 *
 * A row's bits do not depend on the task's range: tiles and blocks of keys follow from positions,
 * the rows of a tile do not meet, and a block without a key that a row sees leaves it as it is.
 *
 * Bounds, bf16, by counting instructions; not measured on a card yet. A tile of 128 queries and D =
 * 64 makes 128 operations for each byte of keys and values it reads, mostly from L2; Y and qkv go
 * through memory once. A product of 16 x 8 x 16 reads 1.25 (D = 64) or 1.5 (D = 128) times 128
 * bytes of shared memory, one cycle each: under the two cycles that tensor cores of sm_80 take for
 * it, and just under the 1.6 or so by which those of sm_90 do mma.sync. With two blocks of threads
 * on a multiprocessor (registers allow no more) 55 to 70 % of the mma.sync rate is to be expected,
 * which on sm_90 is itself some 60 % of what wgmma reaches: a third of the matrix peak there. A
 * kernel with wgmma, for sm_90a alone, would be the next step; cuDNN's fused attention is the
 * other. Neither can be tried without a card, and both are left out.
 *
 * f32 is computed in f32, also where products may be rounded to TF32.
 */
#include "codelets/attention/attention.cuh"
#include "codelets/attention/tile.cuh"

enum { Y, LSE }; /* outputs */

static const float LOG2_E = 1.44269504f, LN_2 = 0.693147181f;

/* How work is shared out over blocks of threads. A tile has `rows` rows of `pack` heads each, one
 * below the other: its index i is row i / pack, head i % pack. */
struct grid {
    int first_tile, tiles, first_sequence;
    int rows, pack, groups, splits;
    bool vectors;
    unsigned long long *fault;
    uint32_t tag;
};

/* What a block of threads is to do: rows from position `first` of a sequence on, heads from `head`
 * on, a share of keys. */
struct block {
    int sequence, first, head, key_head, split;
};

struct place {
    int position; /* in the sequence */
    int head;
};

static __device__ struct block block_of(const struct grid &grid, int group)
{
    int work = (int)blockIdx.x;
    struct block block;

    /* The last tile sees most keys: it goes first. */
    block.first = (grid.first_tile + grid.tiles - 1 - work % grid.tiles) * grid.rows;
    work /= grid.tiles;
    block.split = work % grid.splits;
    work /= grid.splits;
    block.head = work % grid.groups * grid.pack;
    block.key_head = block.head / group;
    block.sequence = grid.first_sequence + work / grid.groups;
    return block;
}

static __device__ struct place place_of(const struct grid &grid, const struct block &block, int i)
{
    return place{block.first + i / grid.pack, block.head + i % grid.pack};
}

/* The row of a position in the uncut value. */
static __device__ int64_t row_of(const struct plb_flash &flash, const struct block &block,
                                 int position)
{
    return block.sequence * flash.h.sequence + position;
}

/* The row of the tile that is row 16 m + 8 half + g of this warp's M rows of 16. */
template <int M> static __device__ int tile_row(int m, int half)
{
    return (int)threadIdx.x / PLB_WARP * 16 * M + m * 16 + half * 8 + lane_row();
}

/* How many keys a row sees. */
static __device__ int keys_seen(const struct plb_flash &flash, const struct grid &grid, int64_t row)
{
    int position;

    if (flash.positions == NULL)
        return (int)(row % flash.h.sequence) + 1;
    position = flash.positions[row - flash.low];
    if (position >= 0 && position < flash.span)
        return position + 1;
    plb_complain(grid.fault, grid.tag, row);
    return position < 0 ? 1 : (int)flash.span;
}

/* The same of row i of a tile, none for one that is not in the range. */
static __device__ int keys_seen_by(const struct plb_flash &flash, const struct grid &grid,
                                   const struct block &block, int i)
{
    int position = place_of(grid, block, i).position;
    int64_t row = row_of(flash, block, position);
    bool real = i < grid.rows * grid.pack && position < flash.h.sequence && row >= flash.low &&
                row < flash.high;

    return real ? keys_seen(flash, grid, row) : 0;
}

/* What a warp knows of its rows, and of keys that are seen: by all of the warp's rows, by any of
 * them, by any of the block. */
template <int M> struct seen {
    int keys[M][2];
    int least, most, block;
};

template <int M>
static __device__ struct seen<M> look(const struct plb_flash &flash, const struct grid &grid,
                                      const struct block &block) {
    __shared__ int most;
    struct seen<M> seen = {
        {}, INT32_MAX, 0, 0
    };

    if (threadIdx.x == 0)
        most = 0;
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int n = keys_seen_by(flash, grid, block, tile_row<M>(m, half));

            seen.keys[m][half] = n;
            seen.least = n > 0 && n < seen.least ? n : seen.least;
            seen.most = n > seen.most ? n : seen.most;
        }
    }
    for (int lanes = 4; lanes < PLB_WARP; lanes *= 2) {
        int least = __shfl_xor_sync(0xffffffffu, seen.least, lanes);
        int other = __shfl_xor_sync(0xffffffffu, seen.most, lanes);

        seen.least = least < seen.least ? least : seen.least;
        seen.most = other > seen.most ? other : seen.most;
    }
    __syncthreads();
    atomicMax(&most, seen.most);
    __syncthreads();
    seen.block = most;
    return seen;
}

/* Scores of keys k0 on that a row does not see become -inf. */
template <int M, int N>
static __device__ __forceinline__ void hide(float (&score)[M][N][4], const struct seen<M> &seen,
                                            int k0)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (k0 + n * 8 + lane_column() + j % 2 >= seen.keys[m][j / 2])
                    score[m][n][j] = -INFINITY;
            }
        }
    }
}

/* Scores become exponentials below the running maximum `top`, which is in units of log2, as `scale`
 * makes them; `top`, `total` and `sums` are corrected. A lane's `total` is that of its own columns.
 * Where a row sees no key, nothing changes, to the bit. */
template <int M, int N, int D>
static __device__ __forceinline__ void soften(float (&score)[M][N][4], float (&sums)[M][D][4],
                                              float (&top)[M][2], float (&total)[M][2], float scale)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float most = -INFINITY, base, correction, sum = 0.0f;

#pragma unroll
            for (int n = 0; n < N; n++)
                most = fmaxf(most, fmaxf(score[m][n][2 * half], score[m][n][2 * half + 1]));
            most = fmaxf(top[m][half], row_reduce(most, plb_max()) * scale);
            base = most == -INFINITY ? 0.0f : most; /* of its share a row may see no key at all */
            correction = plb_exp2(top[m][half] - base);
#pragma unroll
            for (int n = 0; n < N; n++) {
#pragma unroll
                for (int j = 2 * half; j < 2 * half + 2; j++) {
                    score[m][n][j] = plb_exp2(fmaf(score[m][n][j], scale, -base));
                    sum += score[m][n][j];
                }
            }
            top[m][half] = most;
            total[m][half] = total[m][half] * correction + sum;
#pragma unroll
            for (int d = 0; d < D; d++) {
                sums[m][d][2 * half] *= correction;
                sums[m][d][2 * half + 1] *= correction;
            }
        }
    }
}

/* One bit for each of a lane's probabilities, set where it is kept, in order of m, half, n and
 * column. The loop is not unrolled: a draw is long. */
template <int M, int N>
static __device__ __forceinline__ uint64_t draw(const struct plb_flash &flash,
                                                const struct grid &grid, const struct block &block,
                                                int k0)
{
    uint64_t bits = 0;

    static_assert(M * N <= 16, "four bits each");
#pragma unroll 1
    for (int i = 0; i < 2 * M * N; i++) {
        struct place place = place_of(grid, block, tile_row<M>(i / N / 2, i / N % 2));
        int64_t row = row_of(flash, block, place.position);
        int64_t element = PLB__MASK_ELEMENT(&flash.h, row, place.head) + k0;
        float factor[2];

        plb_mask_pair(flash.mask, (uint64_t)(element + i % N * 8 + lane_column()), factor);
        bits |= (uint64_t)((factor[0] != 0.0f) | (factor[1] != 0.0f) << 1) << 2 * i;
    }
    return bits;
}

/* Probabilities of keys k0 on are dropped; those kept get their factor at the end. */
template <int M, int N>
static __device__ __forceinline__ void drop(float (&score)[M][N][4], uint64_t bits)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (!(bits >> (((m * 2 + j / 2) * N + n) * 2 + j % 2) & 1))
                    score[m][n][j] = 0.0f;
            }
        }
    }
}

/* The row's result, or that of a share of keys: sums, maximum and total. */
template <typename T, int D>
static __device__ void store(const struct plb_flash &flash, const struct grid &grid,
                             const struct block &block, int i, const float (&sums)[D][4], int half,
                             float top, float total)
{
    struct place place = place_of(grid, block, i);
    int64_t row = row_of(flash, block, place.position);
    int64_t at = (row - flash.low) * flash.h.heads + place.head;
    int columns = (int)flash.h.dim;

    if (flash.partial != NULL) {
        float *to = flash.partial + (at * grid.splits + block.split) * (columns + 2);

        store_row(to, sums, half, 1.0f, 0, columns, false);
        to[columns] = top;
        to[columns + 1] = total;
        return;
    }
    store_row((T *)flash.y + at * columns, sums, half,
              (flash.dropout ? flash.mask.kept : 1.0f) / total, 0, columns, grid.vectors);
    if (flash.lse != NULL)
        flash.lse[at] = (top + log2f(total)) * LN_2;
}

/* Of all rows of this warp that are real. */
template <typename T, int M, int D>
static __device__ void finish(const struct plb_flash &flash, const struct grid &grid,
                              const struct block &block, const struct seen<M> &seen,
                              const float (&sums)[M][D][4], const float (&top)[M][2],
                              const float (&total)[M][2])
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = row_reduce(total[m][half], plb_sum());

            if (seen.keys[m][half] > 0)
                store<T>(flash, grid, block, tile_row<M>(m, half), sums[m], half, top[m][half],
                         sum);
        }
    }
}

template <int M, int D>
static __device__ __forceinline__ void begin_rows(float (&sums)[M][D][4], float (&top)[M][2],
                                                  float (&total)[M][2])
{
    fragment_clear(sums);
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            top[m][half] = -INFINITY;
            total[m][half] = 0.0f;
        }
    }
}

/* The queries of a tile that are in the range. */
template <typename T>
static __device__ __forceinline__ struct tile_rows<T>
queries_of(const struct plb_flash &flash, const struct grid &grid, const struct block &block) {
    int64_t origin = row_of(flash, block, 0), row = origin + block.first;
    int64_t last = origin + flash.h.sequence < flash.high ? origin + flash.h.sequence : flash.high;
    int64_t n = last - row < grid.rows ? last - row : grid.rows;
    struct tile_rows<T> rows = {
        (const T *)flash.queries, flash.queries_width, 0, 0, grid.pack, (int)flash.h.dim
    };

    rows.at += (row - flash.queries_row0) * flash.queries_width + block.head * flash.h.dim;
    rows.low = row < flash.low ? (int)(flash.low - row) * grid.pack : 0;
    rows.high = (int)n * grid.pack;
    return rows;
}

/* Keys or values k0 to `end` - 1 that the block's heads share. */
template <typename T>
static __device__ __forceinline__ struct tile_rows<T> keys_of(const struct plb_flash &flash,
                                                              const struct block &block,
                                                              const void *keys, int k0, int end) {
    int64_t row = block.sequence * flash.span + k0 - flash.keys_row0;
    struct tile_rows<T> rows = {
        (const T *)keys, flash.keys_width, 0, end - k0, 1, (int)flash.h.dim
    };

    rows.at += row * flash.keys_width + block.key_head * flash.h.dim;
    return rows;
}

/* Shared memory of a block of threads: a tile of queries, a block of keys, one of values. */
template <typename T, int DIM>
constexpr size_t flash_bytes(int rows, int keys)
{
    return tile_bytes<T, DIM>(rows + 2 * keys);
}

template <typename T, int DIM, int WARPS, int M, int N>
static __global__ void __launch_bounds__(WARPS *PLB_WARP)
    flash_forward(const struct plb_flash flash, const struct grid grid)
{
    const int ROWS = WARPS * 16 * M, KEYS = N * 8, THREADS = WARPS * PLB_WARP, D = DIM / 8;
    PLB_SHARED(T, queries);
    T *keys = queries + ROWS * tile_stride<T, DIM>(), *values = keys + KEYS * tile_stride<T, DIM>();
    const T *own = queries + threadIdx.x / PLB_WARP * 16 * M * tile_stride<T, DIM>();
    const struct block block = block_of(grid, (int)flash.h.group);
    const struct seen<M> seen = look<M>(flash, grid, block);
    int k0 = block.split * PLB_FLASH_SPLIT, end = seen.block;
    float sums[M][D][4], top[M][2], total[M][2];

    if (flash.partial != NULL && end > k0 + PLB_FLASH_SPLIT)
        end = k0 + PLB_FLASH_SPLIT;
    if (k0 >= end)
        return;
    tile_fill<T, DIM, ROWS, THREADS>(queries, queries_of<T>(flash, grid, block), grid.vectors);
    tile_fill<T, DIM, KEYS, THREADS>(keys, keys_of<T>(flash, block, flash.keys, k0, end),
                                     grid.vectors);
    begin_rows(sums, top, total);
    for (; k0 < end; k0 += KEYS) {
        float score[M][N][4];

        plb_copy_wait();
        __syncthreads(); /* the keys are there, and nobody needs the last values */
        tile_fill<T, DIM, KEYS, THREADS>(values, keys_of<T>(flash, block, flash.values, k0, end),
                                         grid.vectors);
        if (k0 < seen.most)
            multiply_rows<DIM>(score, own, keys);
        plb_copy_wait();
        __syncthreads(); /* the values are there, and nobody needs these keys */
        if (k0 + KEYS < end)
            tile_fill<T, DIM, KEYS, THREADS>(
                keys, keys_of<T>(flash, block, flash.keys, k0 + KEYS, end), grid.vectors);
        if (k0 >= seen.most)
            continue;
        if (k0 + KEYS > seen.least)
            hide(score, seen, k0);
        soften(score, sums, top, total, flash.h.scale * LOG2_E);
        if (flash.dropout)
            drop(score, draw<M, N>(flash, grid, block, k0));
        multiply_fragment<DIM>(sums, score, values);
    }
    finish<T>(flash, grid, block, seen, sums, top, total);
}

/* ---- putting shares together ---- */

/* y of one row and head, by a block of threads. */
template <typename T>
static __global__ void flash_combine(const struct plb_flash flash, const struct grid grid)
{
    int64_t at = blockIdx.x;
    int keys = keys_seen(flash, grid, flash.low + at / flash.h.heads);
    int splits = (keys + PLB_FLASH_SPLIT - 1) / PLB_FLASH_SPLIT;
    int columns = (int)flash.h.dim;
    const float *share = flash.partial + at * grid.splits * (columns + 2);
    float most = -INFINITY, total = 0.0f;

    for (int s = 0; s < splits; s++)
        most = fmaxf(most, share[s * (columns + 2) + columns]);
    for (int s = 0; s < splits; s++)
        total += share[s * (columns + 2) + columns + 1] *
                 plb_exp2(share[s * (columns + 2) + columns] - most);
    for (int d = threadIdx.x; d < columns; d += blockDim.x) {
        float sum = 0.0f;

        for (int s = 0; s < splits; s++)
            sum +=
                share[s * (columns + 2) + d] * plb_exp2(share[s * (columns + 2) + columns] - most);
        ((T *)flash.y)[at * columns + d] = plb_to<T>(sum / total);
    }
}

/* ---- launches ---- */

static int splits_of(int64_t span)
{
    return (int)((span + PLB_FLASH_SPLIT - 1) / PLB_FLASH_SPLIT);
}

size_t plb_flash_partial_bytes(const struct plb__heads *h, int64_t rows, int64_t span)
{
    return (size_t)(rows * h->heads) * (size_t)splits_of(span) * (size_t)(h->dim + 2) *
           sizeof(float);
}

/* The most heads of one key head that fill a tile evenly. */
static int pack_of(int64_t group, int tile_rows)
{
    int pack = (int)(group < tile_rows ? group : tile_rows);

    while (group % pack != 0)
        pack--;
    return pack;
}

/* May all rows be copied by 16 bytes? Their width is a multiple of D. */
static bool vectors_fit(const struct plb_flash *flash)
{
    return flash->h.dim * (int64_t)plb_dtype_bytes(flash->dtype) % 16 == 0 &&
           plb_aligned(flash->queries, flash->keys, flash->values, flash->y);
}

/* A tile belongs to one sequence. A range that meets several has tiles for all of each. */
static struct grid grid_of(const struct plb_flash *flash, const struct plb_cuda_queue *queue,
                           int tile_rows)
{
    const struct plb__heads *h = &flash->h;
    int64_t first = flash->low / h->sequence, last = (flash->high - 1) / h->sequence;
    int64_t begin = first == last ? flash->low % h->sequence : 0;
    int64_t end = first == last ? flash->high - first * h->sequence : h->sequence;
    struct grid grid = {};

    grid.pack = flash->partial != NULL ? pack_of(h->group, tile_rows) : 1;
    grid.rows = tile_rows / grid.pack;
    grid.first_tile = (int)(begin / grid.rows);
    grid.tiles = (int)((end + grid.rows - 1) / grid.rows) - grid.first_tile;
    grid.first_sequence = (int)first;
    grid.groups = (int)(h->heads / grid.pack);
    grid.splits = flash->partial != NULL ? splits_of(flash->span) : 1;
    grid.vectors = vectors_fit(flash);
    grid.fault = queue->fault;
    grid.tag = queue->tag;
    return grid;
}

template <typename T, int DIM, int WARPS, int M, int N>
static enum plb_status forward(const char *name, const struct plb_flash *flash,
                               const struct plb_cuda_queue *queue)
{
    struct grid grid = grid_of(flash, queue, WARPS * 16 * M);
    int64_t sequences = (flash->high - 1) / flash->h.sequence - grid.first_sequence + 1;
    int64_t blocks = sequences * grid.tiles * grid.splits * grid.groups;

    PLB_TRY(plb_launch(queue, name, flash_forward<T, DIM, WARPS, M, N>, (unsigned)blocks,
                       WARPS * PLB_WARP, tile_bytes<T, DIM>(WARPS * 16 * M + 2 * 8 * N), *flash,
                       grid));
    if (flash->partial == NULL)
        return PLB_OK;
    return plb_launch(queue, name, flash_combine<T>,
                      (unsigned)((flash->high - flash->low) * flash->h.heads), 64, 0, *flash, grid);
}

enum plb_status plb_flash_run(const char *name, const struct plb_flash *flash,
                              const struct plb_cuda_queue *queue)
{
    bool bf16 = flash->dtype == PLB_BF16, few = flash->partial != NULL;
    int64_t dim = flash->h.dim;

    PLB_TRY(plb_check_head_dim(name, dim));
    if (flash->low >= flash->high)
        return PLB_OK;
    if (bf16 && few)
        return (dim <= 128 ? forward<__nv_bfloat16, 128, 1, 1, 8>
                           : forward<__nv_bfloat16, 256, 1, 1, 4>)(name, flash, queue);
    if (bf16)
        return (dim <= 64    ? forward<__nv_bfloat16, 64, 4, 2, 8>
                : dim <= 128 ? forward<__nv_bfloat16, 128, 4, 2, 4>
                             : forward<__nv_bfloat16, 256, 4, 1, 4>)(name, flash, queue);
    if (few)
        return (dim <= 128 ? forward<float, 128, 1, 1, 4>
                           : forward<float, 256, 1, 1, 2>)(name, flash, queue);
    return (dim <= 64    ? forward<float, 64, 4, 2, 4>
            : dim <= 128 ? forward<float, 128, 4, 1, 4>
                         : forward<float, 256, 4, 1, 2>)(name, flash, queue);
}

/* ---- the operator ---- */

static enum plb_status attention_run(const struct plb_call *call,
                                     const struct plb_cuda_queue *queue)
{
    const struct plb_attributes *a = call->attributes;
    const struct plb_tensor *qkv = call->in[0].part;
    struct plb__heads h = plb__heads_of(a);
    size_t size = plb_dtype_bytes(qkv->dtype);
    struct plb_flash flash = {};

    flash.dtype = qkv->dtype;
    flash.h = h;
    flash.low = call->low[0];
    flash.high = call->high[0];
    flash.queries = qkv->data;
    flash.keys = (const char *)qkv->data + (size_t)h.keys * size;
    flash.values = (const char *)qkv->data + (size_t)h.values * size;
    flash.queries_row0 = flash.keys_row0 = qkv->row0;
    flash.queries_width = flash.keys_width = h.width;
    flash.span = h.sequence;
    flash.y = call->out[Y].part->data;
    flash.lse = (float *)call->out[LSE].part->data;
    flash.dropout = a->f[PLB__DROPOUT] > 0.0;
    flash.mask = plb__mask_of((uint64_t)a->i[PLB__SEED], (uint64_t)a->i[PLB__STREAM], call->step,
                              a->f[PLB__DROPOUT]);
    return plb_flash_run("attention", &flash, queue);
}

const struct plb_cuda_operator plb_cuda_attention = {"attention", nullptr, attention_run};
