/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Causal self-attention with grouped query heads, forward: the record and the kernel. It follows
 * Dao et al. 2022, "FlashAttention", algorithm 1, with queries in the outer loop: for a block of
 * queries it goes over blocks of keys with a running maximum and sum, and corrects what it has when
 * the maximum rises (flash.h). Only one block of probabilities exists at a time; the keys and
 * values of one head are packed into scratch memory, O(T D).
 *
 * For each row and head, lse = log sum exp(scores) is kept for the gradient (attention_gradient.c).
 * A row's bits do not depend on how rows were cut into tasks.
 */
#include "config.h"

#include "codelets/attention/flash.h"
#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { Y, LSE };

static enum plb_status attention_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_attention;
    struct plb__heads h;
    int64_t rows = types->in[0].shape.dim[0];

    PLB_TRY(plb__check_heads(op, types, 0));
    PLB_TRY(plb__check_dropout(op, types));
    h = plb__heads_of(types->attributes);
    types->out[Y] = (struct plb_type){types->in[0].dtype, plb_shape2(rows, h.heads * h.dim)};
    types->out[LSE] = (struct plb_type){PLB_F32, plb_shape2(rows, h.heads)};
    return PLB_OK;
}

/* Two products over the visible pairs, and an exponential of about 15 operations each. */
static void attention_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    double pairs =
        plb__attention_pairs(types->out[Y].shape.dim[0], types->in[0].shape.dim[0], h.sequence);

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
    float *keys;    /* of one head, transposed in panels */
    float *values;  /* of one head, T x padded D */
    float *queries; /* of a block, x D, scaled */
    float *buffer;  /* for packing */
    struct plb__flash flash;
};

static size_t lay_out(struct memory *memory, void *base, const struct plb__heads *h)
{
    struct plb__arena arena = {base, 0};
    int64_t keys = plb__round_up(h->sequence, PLB__TILE_COLUMNS);

    memory->keys = plb__arena_take(&arena, keys * h->dim);
    memory->values = plb__arena_take(&arena, keys * h->padded_dim);
    memory->queries = plb__arena_take(&arena, PLB__FLASH_QUERIES * h->dim);
    memory->buffer = plb__arena_take(&arena, PLB__TILE_COLUMNS * h->dim);
    plb__flash_lay_out(&memory->flash, &arena, h->padded_dim);
    return arena.used;
}

static size_t attention_scratch(const struct plb_task_types *types)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    struct memory memory;

    return lay_out(&memory, NULL, &h);
}

/* A block of queries of one head: positions from `first` on of the sequence whose first row in the
 * whole value is `origin`. */
struct block {
    int64_t origin, first, rows, head;
};

static void drop(const struct plb__flash *flash, const struct block *block, int64_t k0,
                 int64_t keys, const struct plb__heads *h, const struct plb__mask *mask)
{
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t row = block->origin + block->first + i, visible = block->first + i - k0 + 1;
        int64_t element = PLB__MASK_ELEMENT(h, row, block->head) + k0;
        float *score = flash->scores + i * PLB__FLASH_KEYS;

        plb__mask_apply(mask, score, score, (uint64_t)element, visible < keys ? visible : keys);
    }
}

/* Adds the block of keys from k0 on: scores, probabilities, sums of values. */
static void add_keys(const struct memory *m, const struct block *block, int64_t k0,
                     const struct plb__heads *h, const struct plb__mask *mask)
{
    int64_t end = plb__round_up(block->first + block->rows, PLB__TILE_COLUMNS);
    int64_t keys = end - k0 < PLB__FLASH_KEYS ? end - k0 : PLB__FLASH_KEYS;
    struct plb__tiles scores = {
        .c = {m->flash.scores, PLB__FLASH_KEYS},
        .a = {m->queries, h->dim, 1},
        .b = {m->keys + k0 * h->dim, PLB__TILE_COLUMNS, PLB__TILE_COLUMNS * h->dim},
        .m = m->flash.padded,
        .n = keys,
        .depth = h->dim,
        .causal = PLB__CAUSAL_RESULT,
        .diagonal = block->first - k0,
    };
    struct plb__tiles sums = {
        .c = {m->flash.sums, h->padded_dim},
        .a = {m->flash.scores, PLB__FLASH_KEYS, 1},
        .b = {m->values + k0 * h->padded_dim, h->padded_dim, PLB__TILE_COLUMNS},
        .m = m->flash.padded,
        .n = h->padded_dim,
        .depth = keys,
        .add = true,
        .causal = PLB__CAUSAL_QUERIES,
        .diagonal = block->first - k0,
    };

    plb__tiles_multiply(&scores);
    plb__flash_soften(&m->flash, k0, keys);
    if (mask != NULL)
        drop(&m->flash, block, k0, keys, h, mask);
    plb__tiles_multiply(&sums);
}

static void do_block(struct memory *m, const struct block *block, const struct plb__heads *h,
                     const struct plb__mask *mask, const struct plb_call *call)
{
    const struct plb_tensor *y = &call->out[Y].part[0];
    float *lse = call->out[LSE].part[0].data;

    plb__flash_begin(&m->flash, block->rows);
    for (int64_t i = 0; i < block->rows; i++)
        m->flash.visible[i] = block->first + i + 1;
    plb__rows_load(m->queries, h->dim, &call->in[0], block->origin + block->first, block->rows,
                   m->flash.padded, block->head * h->dim, h->dim);
    plb__scale(m->queries, h->scale, block->rows * h->dim);
    for (int64_t k0 = 0; k0 < block->first + block->rows; k0 += PLB__FLASH_KEYS)
        add_keys(m, block, k0, h, mask);
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t at = (block->origin + block->first + i - call->low[0]) * h->heads + block->head;

        lse[at] = plb__flash_end(&m->flash, i);
        plb__store(y, at * h->dim, m->flash.sums + i * h->padded_dim, h->dim);
    }
}

/* Positions first to last of the sequence that begins at row `origin`. */
static void do_sequence(struct memory *m, int64_t origin, int64_t first, int64_t last,
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
            for (int64_t at = first; at < last; at += PLB__FLASH_QUERIES) {
                int64_t rows = last - at < PLB__FLASH_QUERIES ? last - at : PLB__FLASH_QUERIES;
                struct block block = {origin, at, rows, head};

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
    struct plb_attributes attributes = {{attention->heads, attention->kv_heads, attention->head_dim,
                                         attention->sequence, (int64_t)attention->seed,
                                         (int64_t)attention->stream, attention->first_head,
                                         attention->all_heads},
                                        {attention->dropout}};
    plb_value out[] = {PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_attention, &attributes, &qkv, 1, NULL, out);
    return out[Y];
}

const struct plb_operator plb_op_attention = {
    .name = "attention",
    .attribute_i = {"heads",    "kv_heads", "head_dim",   "sequence",
                    "seed",     "stream",   "first_head", "all_heads"},
    .attribute_f = {"dropout"},
    .step_attribute = 1 + PLB__DROPOUT,
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
