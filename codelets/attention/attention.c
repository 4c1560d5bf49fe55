/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Causal self-attention with grouped query heads, forward: the record and the kernel. It follows
 * Dao et al. 2022, "FlashAttention", algorithm 1, with queries in the outer loop: for a block of
 * queries it goes over blocks of keys with a running maximum and sum, and corrects what it has when
 * the maximum rises. Only a block of BLOCK_QUERIES x BLOCK_KEYS probabilities exists at a time; the
 * keys and values of one head are packed into scratch memory, O(T D).
 *
 * For each row and head, lse = log sum exp(scores) is kept for the gradient (attention_gradient.c).
 * A row's bits do not depend on how rows were cut into tasks.
 */
#include "config.h"

#include "codelets/attention/attention.h"
#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { BLOCK_QUERIES = 64, BLOCK_KEYS = 128 };
enum { Y, LSE };

static enum plb_status attention_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_attention;
    double dropout = types->attributes->f[PLB__DROPOUT];
    struct plb__heads h;
    int64_t rows = types->in[0].shape.dim[0];

    PLB_TRY(plb__check_heads(op, types, 0));
    if (!(dropout >= 0.0 && dropout < 1.0))
        return plb_fail(PLB_ERROR_INVALID,
                        "attention: dropout must be at least 0 and below 1, but is %g", dropout);
    h = plb__heads_of(types->attributes);
    types->out[Y] = (struct plb_type){types->in[0].dtype, plb_shape2(rows, h.heads * h.dim)};
    types->out[LSE] = (struct plb_type){PLB_F32, plb_shape2(rows, h.heads)};
    return PLB_OK;
}

/* Two products over the visible pairs, and an exponential of about 15 operations each. */
static void attention_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    double pairs = plb__attention_pairs(types->out[Y].shape.dim[0], types->in[0].shape.dim[0],
                                        h.sequence);

    cost_out->flops = (double)h.heads * pairs * (4.0 * (double)h.dim + 15.0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status attention_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->d_out[Y], gradient->in[0], gradient->out[Y], gradient->out[LSE]};

    if (!gradient->needs[0])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_attention_dx, &gradient->task->attributes,
                              in, 4, NULL, &gradient->d_in[0]);
}

/* Scratch memory of a task. */
struct memory {
    float *keys;   /* of one head, transposed in panels */
    float *values; /* of one head, T x padded D */
    float *queries, *sums; /* of a block, x D and x padded D; queries are scaled */
    float *scores;         /* of a block, queries x keys; then probabilities */
    float *top, *total;    /* of a block's rows: maximum so far, sum of exponentials below it */
    float *buffer;         /* for packing */
};

static size_t lay_out(struct memory *memory, void *base, const struct plb__heads *h)
{
    struct plb__arena arena = {base, 0};
    int64_t keys = plb__round_up(h->sequence, PLB__TILE_COLUMNS);

    memory->keys = plb__arena_take(&arena, keys * h->dim);
    memory->values = plb__arena_take(&arena, keys * h->padded_dim);
    memory->queries = plb__arena_take(&arena, BLOCK_QUERIES * h->dim);
    memory->sums = plb__arena_take(&arena, BLOCK_QUERIES * h->padded_dim);
    memory->scores = plb__arena_take(&arena, BLOCK_QUERIES * BLOCK_KEYS);
    memory->top = plb__arena_take(&arena, BLOCK_QUERIES);
    memory->total = plb__arena_take(&arena, BLOCK_QUERIES);
    memory->buffer = plb__arena_take(&arena, PLB__TILE_COLUMNS * h->dim);
    return arena.used;
}

static size_t attention_scratch(const struct plb_task_types *types)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    struct memory memory;

    return lay_out(&memory, NULL, &h);
}

/* A block of rows: positions first to first + rows of the sequence, whose first row in the whole
 * value is `origin`. */
struct block {
    int64_t origin, first, rows, padded, head;
};

/* Turns scores of row i into exponentials below the running maximum and corrects the row's sums.
 * Keys from `visible` on count for nothing. */
PLB_INLINE void soften_row(const struct memory *m, int64_t i, int64_t visible, int64_t keys,
                           int64_t padded_dim)
{
    float lane[PLB_LANES], *score = m->scores + i * BLOCK_KEYS, *sum = m->sums + i * padded_dim;
    float top = m->top[i], correction;

    for (int64_t j = visible; j < keys; j++)
        score[j] = -INFINITY;
    for (int j = 0; j < PLB_LANES; j++)
        lane[j] = -INFINITY;
    for (int64_t j = 0; j < keys; j += PLB_LANES) {
        for (int l = 0; l < PLB_LANES; l++)
            lane[l] = score[j + l] > lane[l] ? score[j + l] : lane[l];
    }
    plb__lanes_max(lane);
    top = lane[0] > top ? lane[0] : top;
    correction = plb__expf(m->top[i] - top);
    memset(lane, 0, sizeof lane);
    for (int64_t j = 0; j < keys; j += PLB_LANES) {
        for (int l = 0; l < PLB_LANES; l++) {
            score[j + l] = plb__expf(score[j + l] - top);
            lane[l] += score[j + l];
        }
    }
    m->total[i] = m->total[i] * correction + plb__lanes_sum(lane);
    m->top[i] = top;
    if (correction != 1.0f) {
        for (int64_t j = 0; j < padded_dim; j++)
            sum[j] *= correction;
    }
}

/* Rows of a block against keys k0 to k0 + keys, a multiple of PLB_LANES; rows up to `padded` get
 * probability zero. */
PLB_KERNEL_CLONES static void soften(const struct memory *m, const struct block *block, int64_t k0,
                                     int64_t keys, int64_t padded_dim)
{
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t visible = block->first + i - k0 + 1;

        soften_row(m, i, visible < 0 ? 0 : visible, keys, padded_dim);
    }
    for (int64_t i = block->rows; i < block->padded; i++)
        memset(m->scores + i * BLOCK_KEYS, 0, (size_t)keys * sizeof *m->scores);
}

static void drop(const struct memory *m, const struct block *block, int64_t k0, int64_t keys,
                 const struct plb__heads *h, const struct plb__mask *mask)
{
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t row = block->origin + block->first + i;
        int64_t element = (row * h->heads + block->head) * h->sequence + k0;
        float *score = m->scores + i * BLOCK_KEYS;

        plb__mask_apply(mask, score, score, (uint64_t)element, keys);
    }
}

/* Adds the block of keys from k0 on: scores, probabilities, sums of values. */
static void add_keys(const struct memory *m, const struct block *block, int64_t k0,
                     const struct plb__heads *h, const struct plb__mask *mask)
{
    int64_t end = plb__round_up(block->first + block->rows, PLB__TILE_COLUMNS);
    int64_t keys = end - k0 < BLOCK_KEYS ? end - k0 : BLOCK_KEYS;
    struct plb__tiles scores = {
        .c = m->scores, .c_row = BLOCK_KEYS,
        .a = m->queries, .a_row = h->dim, .a_depth = 1,
        .b = m->keys + k0 * h->dim, .b_depth = PLB__TILE_COLUMNS,
        .b_panel = PLB__TILE_COLUMNS * h->dim,
        .m = block->padded, .n = keys, .depth = h->dim,
        .causal = PLB__CAUSAL_RESULT, .diagonal = block->first - k0,
    };
    struct plb__tiles sums = {
        .c = m->sums, .c_row = h->padded_dim,
        .a = m->scores, .a_row = BLOCK_KEYS, .a_depth = 1,
        .b = m->values + k0 * h->padded_dim, .b_depth = h->padded_dim,
        .b_panel = PLB__TILE_COLUMNS,
        .m = block->padded, .n = h->padded_dim, .depth = keys, .add = true,
        .causal = PLB__CAUSAL_QUERIES, .diagonal = block->first - k0,
    };

    plb__tiles_multiply(&scores);
    soften(m, block, k0, keys, h->padded_dim);
    if (mask != NULL)
        drop(m, block, k0, keys, h, mask);
    plb__tiles_multiply(&sums);
}

PLB_KERNEL_CLONES static void scale(float *x, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void finish(const struct memory *m, const struct block *block, const struct plb__heads *h,
                   const struct plb_call *call)
{
    const struct plb_tensor *y = &call->out[Y].part[0];
    float *lse = call->out[LSE].part[0].data;

    for (int64_t i = 0; i < block->rows; i++) {
        int64_t row = block->origin + block->first + i - call->low[0];
        float *sum = m->sums + i * h->padded_dim;

        scale(sum, 1.0f / m->total[i], h->dim);
        plb__store(y, (row * h->heads + block->head) * h->dim, sum, h->dim);
        lse[row * h->heads + block->head] = m->top[i] + logf(m->total[i]);
    }
}

static void do_block(const struct memory *m, const struct block *block, const struct plb__heads *h,
                     const struct plb__mask *mask, const struct plb_call *call)
{
    plb__rows_load(m->queries, h->dim, &call->in[0], block->origin + block->first, block->rows,
                   block->padded, block->head * h->dim, h->dim);
    scale(m->queries, h->scale, block->padded * h->dim);
    memset(m->sums, 0, (size_t)(block->padded * h->padded_dim) * sizeof *m->sums);
    for (int64_t i = 0; i < block->rows; i++) {
        m->top[i] = -INFINITY;
        m->total[i] = 0.0f;
    }
    for (int64_t k0 = 0; k0 < block->first + block->rows; k0 += BLOCK_KEYS)
        add_keys(m, block, k0, h, mask);
    finish(m, block, h, call);
}

/* Positions first to last of the sequence that begins at row `origin`. */
static void do_sequence(const struct memory *m, int64_t origin, int64_t first, int64_t last,
                        const struct plb__heads *h, const struct plb__mask *mask,
                        const struct plb_call *call)
{
    int64_t keys = plb__round_up(last, PLB__TILE_COLUMNS);

    for (int64_t g = 0; g < h->kv_heads; g++) {
        plb__panels_load(m->keys, m->buffer, &call->in[0], origin, last, h->keys + g * h->dim,
                         h->dim);
        plb__rows_load(m->values, h->padded_dim, &call->in[0], origin, last, keys,
                       h->values + g * h->dim, h->dim);
        for (int64_t head = g * h->group; head < (g + 1) * h->group; head++) {
            for (int64_t at = first; at < last; at += BLOCK_QUERIES) {
                int64_t rows = last - at < BLOCK_QUERIES ? last - at : BLOCK_QUERIES;
                struct block block = {origin, at, rows, plb__round_up(rows, PLB__TILE_ROWS), head};

                do_block(m, &block, h, mask, call);
            }
        }
    }
}

static enum plb_status attention_cpu(const struct plb_call *call)
{
    const struct plb_attributes *a = call->attributes;
    struct plb__heads h = plb__heads_of(a);
    struct plb__mask mask = plb__mask_of((uint64_t)a->i[PLB__SEED], (uint64_t)a->i[PLB__STREAM],
                                         call->step, a->f[PLB__DROPOUT]);
    const struct plb__mask *dropout = a->f[PLB__DROPOUT] > 0.0 ? &mask : NULL;
    struct memory memory;

    lay_out(&memory, call->scratch, &h);
    for (int64_t row = call->low[0]; row < call->high[0];) {
        int64_t origin = row / h.sequence * h.sequence, end = origin + h.sequence;
        int64_t last = end < call->high[0] ? end : call->high[0];

        do_sequence(&memory, origin, row - origin, last - origin, &h, dropout, call);
        row = last;
    }
    return PLB_OK;
}

plb_value plb_attention(plb_graph_t *g, plb_value qkv, const struct plb_attention *attention)
{
    struct plb_attributes attributes = {
        {attention->heads, attention->kv_heads, attention->head_dim, attention->sequence,
         (int64_t)attention->seed, (int64_t)attention->stream},
        {attention->dropout}};
    plb_value out[] = {PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_attention, &attributes, &qkv, 1, NULL, out);
    return out[Y];
}

const struct plb_operator plb_op_attention = {
    .name = "attention",
    .attribute_i = {"heads", "kv_heads", "head_dim", "sequence", "seed", "stream"},
    .attribute_f = {"dropout"},
    .n_in = 1,
    .n_out = 2,
    .in = {{.name = "qkv", .rows = PLB_AXIS_A, .flags = PLB_LIST | PLB_WINDOW_BEFORE}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}, {.name = "lse", .rows = PLB_AXIS_A}},
    .granule = 1 + PLB__SEQUENCE,
    .shape = attention_shape,
    .cost = attention_cost,
    .gradient = attention_gradient,
    .scratch = attention_scratch,
    .cpu = attention_cpu,
};
