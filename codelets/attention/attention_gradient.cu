/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradient of causal self-attention on a CUDA card, after Dao 2023, "FlashAttention-2", algorithm
 * 2; the formulas stand in attention_gradient.c.
 *
 * Algorithm 2 adds to dQ from all blocks of keys, by atomic additions whose order changes from run
 * to run. Here there are two launches instead: one has tiles of keys and goes over queries, for dK
 * and dV (four products), one has tiles of queries and goes over keys, for dQ (three). That is
 * seven products instead of five. The other way to a fixed order, partial sums of dQ for each block
 * of keys that are added in a second pass, moves T / 128 times the size of dQ in fp32 through
 * memory, twice: at T = 1024 as long as the two products take, at 8192 eight times as long, and
 * that memory has to be had.
 *
 * Both launches are one kernel. The rows A of a tile meet blocks of columns B; in the names of dK
 * and dV, and in parentheses of dQ:
 *
 *   S  = A1 B1^T     A1 = K (Q),  B1 = Q (K)
 *   dP = A2 B2^T     A2 = V (dY), B2 = dY (V)
 *   first  += dS B1  dK (dQ)
 *   second += P B2   dV
 *
 * so that P and dS lie in registers as the next product wants them, either way. Before them, a pass
 * over dY and Y leaves lse and delta in scratch memory, in order of positions.
 *
 * A row's bits do not depend on the task's range, for the reasons given in attention.cu; heads that
 * share a key head are taken in order.
 *
 * Bounds, bf16, as in attention.cu: a product of 16 x 8 x 16 reads shared memory for 1.3 (dQ) and
 * 1.5 (dK, dV) cycles with D = 64, for 1.7 and 2.2 with D = 128, where a warp has 16 rows only
 * because dK and dV fill its registers; so at D = 128 the launch for dK and dV is bound by shared
 * memory, at some 70 % of the mma.sync rate of sm_90. Two blocks of threads fit on a multiprocessor
 * of sm_90, on one of sm_80 with D = 64. 45 to 60 % of the mma.sync rate is to be expected, of
 * which 5/7 counts, as the usual figures have five products. Not measured on a card yet.
 */
#include "codelets/attention/attention.cuh"
#include "codelets/attention/tile.cuh"

enum { DY, QKV, Y, LSE }; /* inputs */

static const float LOG2_E = 1.44269504f;

enum { PADDING = 128 }; /* positions in scratch memory are rounded up to a multiple of all tiles */

/* A row and head of scratch memory: lse in units of log2, and delta. */
struct plb_row_sums {
    float lse, delta;
};

struct gradient {
    struct plb__heads h;
    int64_t low, high;    /* rows of the result */
    const void *qkv, *dy; /* which begin with rows */
    int64_t qkv_row0, dy_row0;
    struct plb_row_sums *row_sums; /* [sequences, H, padded T] */
    int64_t padded;
    void *dqkv;
    bool dropout, vectors;
    struct plb__mask mask;
    int first_sequence, first_tile, tiles; /* tiles in each sequence; of a launch */
};

/* ---- lse and delta ---- */

/* delta = dy . y for one row and head, by a warp. Rows before the range meet none of its keys, and
 * rows past the sequence there are none: they are made to have no probability. */
template <typename T>
static __global__ void attention_delta(const struct gradient g, const T *y, int64_t y_row0,
                                       const float *lse, int64_t lse_row0, int64_t n)
{
    int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / PLB_WARP;
    int64_t head = at % g.h.heads, position = at / g.h.heads % g.padded, dim = g.h.dim;
    int64_t sequence = at / g.h.heads / g.padded;
    int64_t row = (g.first_sequence + sequence) * g.h.sequence + position;
    bool real = at < n && position < g.h.sequence && row >= g.low;
    float sum = 0.0f, top = INFINITY;

    for (int d = threadIdx.x % PLB_WARP; real && d < dim; d += PLB_WARP)
        sum += plb_float(((const T *)g.dy)[((row - g.dy_row0) * g.h.heads + head) * dim + d]) *
               plb_float(y[((row - y_row0) * g.h.heads + head) * dim + d]);
    sum = plb_warp_reduce(sum, plb_sum());
    if (real)
        top = lse[(row - lse_row0) * g.h.heads + head] * LOG2_E;
    if (at < n && threadIdx.x % PLB_WARP == 0)
        g.row_sums[(sequence * g.h.heads + head) * g.padded + position] = plb_row_sums{top, sum};
}

/* ---- rows and columns ---- */

/* A tile of a block of threads: rows from position `first` on. Where its rows are keys, it goes
 * over the heads of a group; `slice` tells which of its columns of dK and dV it makes. */
struct tile {
    int sequence, first, key_head, head, slice;
};

template <bool KEYS>
static __device__ struct tile tile_of(const struct gradient &g, int rows, int slices)
{
    int work = (int)blockIdx.x, at = work % g.tiles;
    struct tile tile;

    /* Tiles that meet most go first: the first of keys, the last of queries. */
    tile.first = (g.first_tile + (KEYS ? at : g.tiles - 1 - at)) * rows;
    work /= g.tiles;
    tile.slice = work % slices;
    work /= slices;
    if (KEYS) {
        tile.key_head = work % (int)g.h.kv_heads;
        tile.head = tile.key_head * (int)g.h.group;
        tile.sequence = g.first_sequence + work / (int)g.h.kv_heads;
    } else {
        tile.head = work % (int)g.h.heads;
        tile.key_head = tile.head / (int)g.h.group;
        tile.sequence = g.first_sequence + work / (int)g.h.heads;
    }
    return tile;
}

/* Fills a tile from one of the matrices, as tile_fill() does: K (Q) or V (dY), from a position on.
 */
template <typename T, int DIM, int ROWS, int THREADS, bool KEYS, bool SECOND>
static __device__ __forceinline__ void fill(T *to, const struct gradient &g,
                                            const struct tile &tile, int position, int head)
{
    const bool DY_ROWS = !KEYS && SECOND;
    int64_t row = tile.sequence * g.h.sequence + position - (DY_ROWS ? g.dy_row0 : g.qkv_row0);
    int64_t width = DY_ROWS ? g.h.heads * g.h.dim : g.h.width;
    int64_t column =
        KEYS ? (SECOND ? g.h.values : g.h.keys) + tile.key_head * g.h.dim : head * g.h.dim;
    struct tile_rows<T> rows = {
        (const T *)(DY_ROWS ? g.dy : g.qkv) + row *width + column, width, 0,
            (int)g.h.sequence - position, 1, (int)g.h.dim
    };

    tile_fill<T, DIM, ROWS, THREADS>(to, rows, g.vectors);
}

static __device__ __forceinline__ const struct plb_row_sums *
sums_of(const struct gradient &g, const struct tile &tile, int position, int head)
{
    return g.row_sums + ((tile.sequence - g.first_sequence) * g.h.heads + head) * g.padded +
           position;
}

/* The sums of COLUMNS queries. */
template <int COLUMNS>
static __device__ __forceinline__ void fill_sums(struct plb_row_sums *to, const struct gradient &g,
                                                 const struct tile &tile, int position, int head)
{
    int at = threadIdx.x * 2;

    if (at < COLUMNS)
        plb_copy_begin(plb_address_of(to + at), sums_of(g, tile, position, head) + at, true);
}

/* Those of a lane's own rows. */
template <int M>
static __device__ __forceinline__ void load_sums(struct plb_row_sums (&own)[M][2],
                                                 const struct gradient &g, const struct tile &tile,
                                                 int position)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++)
            own[m][half] = sums_of(g, tile, position, tile.head)[m * 16 + half * 8 + lane_row()];
    }
}

/* ---- probabilities and their gradient ---- */

/* Where a fragment of this warp lies: its first row and column, positions of one sequence. */
struct pairs {
    int row, column, sequence, head;
};

/* One bit for each of a lane's pairs, set where its probability is kept. The loop is not unrolled:
 * a draw is long. */
template <bool KEYS, int M, int N>
static __device__ __forceinline__ uint64_t draw(const struct gradient &g, const struct pairs &at)
{
    uint64_t bits = 0;

    static_assert(M * N <= 16, "four bits each");
#pragma unroll 1
    for (int i = 0; i < 2 * M * N; i++) {
        int row = at.row + i / N * 8 + lane_row(), column = at.column + i % N * 8 + lane_column();
        int64_t query = at.sequence * g.h.sequence + (KEYS ? column : row);
        uint64_t element =
            (uint64_t)(PLB__MASK_ELEMENT(&g.h, query, at.head) + (KEYS ? row : column));
        float factor[2];

        if (KEYS) {
            factor[0] = plb_mask_factor_of(g.mask, element);
            factor[1] = plb_mask_factor_of(g.mask, element + (uint64_t)(g.h.all_heads * g.h.sequence));
        } else {
            plb_mask_pair(g.mask, element, factor);
        }
        bits |= (uint64_t)((factor[0] != 0.0f) | (factor[1] != 0.0f) << 1) << 2 * i;
    }
    return bits;
}

/* Scores become probabilities, and their gradients those of scores. `sums` are those of a lane's
 * queries: of its rows by m and half, or of its columns. With `bits`, of what dropout keeps. */
template <bool KEYS, int M, int N>
static __device__ __forceinline__ void differ(float (&score)[M][N][4], float (&change)[M][N][4],
                                              const struct gradient &g, const struct pairs &at,
                                              const struct plb_row_sums (&own)[M][2],
                                              const struct plb_row_sums *columns, uint64_t bits)
{
    const float scale = g.h.scale * LOG2_E;
    int diagonal = at.row + lane_row() - at.column - lane_column();
    bool cut = KEYS ? at.column < at.row + 16 * M : at.column + 8 * N > at.row;

#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            struct plb_row_sums sums;

            if (KEYS)
                sums = columns[n * 8 + lane_column() + j % 2];
#pragma unroll
            for (int m = 0; m < M; m++) {
                int beyond = n * 8 + j % 2 - (m * 16 + j / 2 * 8) - diagonal; /* column - row */
                bool hidden = cut && (KEYS ? beyond < 0 : beyond > 0);
                float p, d = change[m][n][j];

                if (!KEYS)
                    sums = own[m][j / 2];
                p = plb_exp2(fmaf(score[m][n][j], scale, -sums.lse));
                if (g.dropout) {
                    bool kept = bits >> (((m * 2 + j / 2) * N + n) * 2 + j % 2) & 1;

                    d = kept ? d * g.mask.kept : 0.0f;
                    score[m][n][j] = hidden || !kept ? 0.0f : p;
                } else {
                    score[m][n][j] = hidden ? 0.0f : p;
                }
                change[m][n][j] = hidden ? 0.0f : p * (d - sums.delta);
            }
        }
    }
}

/* ---- the kernel ---- */

/* Are any of n rows from a position on in the range? */
static __device__ bool in_range(const struct gradient &g, const struct tile &tile, int position,
                                int n)
{
    int64_t row = tile.sequence * g.h.sequence + position;

    return position >= 0 && position < g.h.sequence && row < g.high && row + n > g.low;
}

enum { FAR = 1 << 30 }; /* longer than any sequence whose pairs can be worked through */

/* Rows of this warp that are in the range, to columns from `column` on. */
template <typename T, int M, int D>
static __device__ void store(const struct gradient &g, const struct tile &tile, int first_row,
                             const float (&sums)[M][D][4], float factor, int64_t column)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int position = first_row + m * 16 + half * 8 + lane_row();
            int64_t row = tile.sequence * g.h.sequence + position - g.low;

            if (in_range(g, tile, position, 1))
                store_row((T *)g.dqkv + row * g.h.width + column, sums[m], half, factor,
                          tile.slice * D * 8, (int)g.h.dim, g.vectors);
        }
    }
}

/* Columns of dK and dV that a block of threads makes: both of 256 do not fit in registers. */
constexpr int slice_of(bool keys, int dim)
{
    return keys && dim > 128 ? 128 : dim;
}

template <typename T, int DIM, bool KEYS> constexpr size_t pairs_bytes(int rows, int columns)
{
    return tile_bytes<T, DIM>(2 * rows + 3 * columns) +
           (KEYS ? 2 * (size_t)columns * sizeof(struct plb_row_sums) : 0);
}

template <typename T, int DIM, bool KEYS, int WARPS, int M, int N, int SLICE>
static __global__ void __launch_bounds__(WARPS *PLB_WARP) attention_pairs(const struct gradient g)
{
    const int ROWS = WARPS * 16 * M, COLUMNS = N * 8, THREADS = WARPS * PLB_WARP, D = SLICE / 8;
    const int S = tile_stride<T, DIM>(), BLOCK = COLUMNS * S;
    PLB_SHARED(T, a1);
    T *a2 = a1 + ROWS * S, *b2 = a2 + ROWS * S, *b1 = b2 + BLOCK;
    struct plb_row_sums *column_sums = (struct plb_row_sums *)(b1 + 2 * BLOCK), own[M][2];
    const struct tile tile = tile_of<KEYS>(g, ROWS, DIM / SLICE);
    const int own_row = (int)threadIdx.x / PLB_WARP * 16 * M, sequence = (int)g.h.sequence;
    const int begin = KEYS ? tile.first / COLUMNS * COLUMNS : 0;
    const int end = KEYS || tile.first + ROWS > sequence ? sequence : tile.first + ROWS;
    const int last_head = tile.head + (KEYS ? (int)g.h.group : 1);
    struct pairs at = {tile.first + own_row, begin, tile.sequence, tile.head};
    float first[M][D][4], second[KEYS ? M : 1][KEYS ? D : 1][4];

    fill<T, DIM, ROWS, THREADS, KEYS, false>(a1, g, tile, tile.first, tile.head);
    fill<T, DIM, ROWS, THREADS, KEYS, true>(a2, g, tile, tile.first, tile.head);
    fill<T, DIM, COLUMNS, THREADS, !KEYS, false>(b1, g, tile, begin, tile.head);
    if (KEYS)
        fill_sums<COLUMNS>(column_sums, g, tile, begin, tile.head);
    else
        load_sums(own, g, tile, at.row);
    if (!in_range(g, tile, at.row, 16 * M))
        at.row = KEYS ? FAR : -FAR; /* this warp's rows meet nobody */
    fragment_clear(first);
    fragment_clear(second);
    for (int turn = 0; at.head < last_head; turn ^= 1) {
        bool meet = KEYS ? at.column + COLUMNS > at.row : at.column < at.row + 16 * M;
        int next = at.column + COLUMNS < end ? at.column + COLUMNS : begin;
        int next_head = next == begin ? at.head + 1 : at.head;
        float score[M][N][4], change[M][N][4];

        plb_copy_wait();
        __syncthreads(); /* B1 is there, and nobody needs the last B2 */
        fill<T, DIM, COLUMNS, THREADS, !KEYS, true>(b2, g, tile, at.column, at.head);
        if (meet)
            multiply_rows<DIM>(score, a1 + own_row * S, b1 + turn * BLOCK);
        plb_copy_wait();
        __syncthreads(); /* B2 is there, and nobody needs the last B1 */
        if (next_head < last_head) {
            fill<T, DIM, COLUMNS, THREADS, !KEYS, false>(b1 + (turn ^ 1) * BLOCK, g, tile, next,
                                                         next_head);
            if (KEYS)
                fill_sums<COLUMNS>(column_sums + (turn ^ 1) * COLUMNS, g, tile, next, next_head);
        }
        if (meet) {
            multiply_rows<DIM>(change, a2 + own_row * S, b2);
            differ<KEYS>(score, change, g, at, own, column_sums + turn * COLUMNS,
                         g.dropout ? draw<KEYS, M, N>(g, at) : 0);
            if constexpr (KEYS)
                multiply_fragment<DIM>(second, score, b2 + tile.slice * SLICE);
            multiply_fragment<DIM>(first, change, b1 + turn * BLOCK + tile.slice * SLICE);
        }
        at.column = next;
        at.head = next_head;
    }
    store<T>(g, tile, at.row, first, g.h.scale,
             KEYS ? g.h.keys + tile.key_head * g.h.dim : tile.head * g.h.dim);
    if constexpr (KEYS)
        store<T>(g, tile, at.row, second, g.dropout ? g.mask.kept : 1.0f,
                 g.h.values + tile.key_head * g.h.dim);
}

/* ---- launches ---- */

/* A launch for dK and dV or for dQ: tiles of all sequences that the range meets. */
template <typename T, int DIM, bool KEYS, int WARPS, int M, int N>
static enum plb_status pairs(struct gradient g, const struct plb_cuda_queue *queue)
{
    const int ROWS = WARPS * 16 * M, SLICE = slice_of(KEYS, DIM);
    int64_t T_ = g.h.sequence, last = (g.high - 1) / T_, sequences = last - g.first_sequence + 1;
    int64_t begin = sequences == 1 ? g.low % T_ : 0;
    int64_t end = sequences == 1 ? g.high - g.first_sequence * T_ : T_;
    int64_t heads = KEYS ? g.h.kv_heads : g.h.heads;

    static_assert(PADDING % ROWS == 0 && PADDING % (8 * N) == 0, "tiles end where padding does");
    g.first_tile = (int)(begin / ROWS);
    g.tiles = (int)((end + ROWS - 1) / ROWS) - g.first_tile;
    return plb_launch(queue, "attention_dx", attention_pairs<T, DIM, KEYS, WARPS, M, N, SLICE>,
                      (unsigned)(sequences * heads * g.tiles * (DIM / SLICE)), WARPS * PLB_WARP,
                      pairs_bytes<T, DIM, KEYS>(ROWS, 8 * N), g);
}

static int64_t padded_of(const struct plb__heads *h)
{
    return (h->sequence + PADDING - 1) / PADDING * PADDING;
}

static size_t attention_dx_scratch(const struct plb_task_types *types)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    int64_t sequences = (types->in[DY].shape.dim[0] + h.sequence - 1) / h.sequence;

    return (size_t)(sequences * h.heads * padded_of(&h)) * sizeof(struct plb_row_sums);
}

static enum plb_status delta(const struct gradient *g, const struct plb_call *call,
                             const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *y = call->in[Y].part, *lse = call->in[LSE].part;
    int64_t sequences = (g->high - 1) / g->h.sequence - g->first_sequence + 1;
    int64_t n = sequences * g->padded * g->h.heads;
    const int THREADS = 256;

    PLB_BY_DTYPE(y->dtype, T, {
        return plb_launch(queue, "attention_dx", attention_delta<T>,
                          plb_blocks_for(n, THREADS / PLB_WARP), THREADS, 0, *g, (const T *)y->data,
                          y->row0, (const float *)lse->data, lse->row0, n);
    });
    return PLB_OK;
}

static enum plb_status all_pairs(const struct gradient &g, enum plb_dtype dtype,
                                 const struct plb_cuda_queue *queue)
{
    typedef __nv_bfloat16 bf16;
    int64_t dim = g.h.dim;

    if (dtype == PLB_BF16) {
        PLB_TRY((dim <= 64    ? pairs<bf16, 64, true, 4, 2, 4>
                 : dim <= 128 ? pairs<bf16, 128, true, 4, 1, 8>
                              : pairs<bf16, 256, true, 4, 1, 4>)(g, queue));
        return (dim <= 64    ? pairs<bf16, 64, false, 4, 2, 8>
                : dim <= 128 ? pairs<bf16, 128, false, 4, 2, 4>
                             : pairs<bf16, 256, false, 4, 1, 4>)(g, queue);
    }
    PLB_TRY((dim <= 64    ? pairs<float, 64, true, 4, 1, 4>
             : dim <= 128 ? pairs<float, 128, true, 4, 1, 2>
                          : pairs<float, 256, true, 2, 1, 2>)(g, queue));
    return (dim <= 64    ? pairs<float, 64, false, 4, 1, 4>
            : dim <= 128 ? pairs<float, 128, false, 4, 1, 4>
                         : pairs<float, 256, false, 2, 1, 2>)(g, queue);
}

static enum plb_status attention_dx_run(const struct plb_call *call,
                                        const struct plb_cuda_queue *queue)
{
    const struct plb_attributes *a = call->attributes;
    const struct plb_tensor *dy = call->in[DY].part, *qkv = call->in[QKV].part;
    const struct plb_tensor *dqkv = call->out[0].part;
    struct gradient g = {};

    g.h = plb__heads_of(a);
    g.low = call->low[0];
    g.high = call->high[0];
    PLB_TRY(plb_check_head_dim("attention_dx", g.h.dim));
    if (g.low >= g.high)
        return PLB_OK;
    g.qkv = qkv->data;
    g.dy = dy->data;
    g.qkv_row0 = qkv->row0;
    g.dy_row0 = dy->row0;
    g.row_sums = (struct plb_row_sums *)call->scratch;
    g.padded = padded_of(&g.h);
    g.dqkv = dqkv->data;
    g.dropout = a->f[PLB__DROPOUT] > 0.0;
    g.mask = plb__mask_of((uint64_t)a->i[PLB__SEED], (uint64_t)a->i[PLB__STREAM], call->step,
                          a->f[PLB__DROPOUT]);
    g.vectors = g.h.dim * (int64_t)plb_dtype_bytes(qkv->dtype) % 16 == 0 &&
                plb_aligned(g.qkv, g.dy, g.dqkv);
    g.first_sequence = (int)(g.low / g.h.sequence);
    PLB_TRY(delta(&g, call, queue));
    return all_pairs(g, qkv->dtype, queue);
}

const struct plb_cuda_operator plb_cuda_attention_dx = {"attention_dx", attention_dx_scratch,
                                                        attention_dx_run};
