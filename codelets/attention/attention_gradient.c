/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradient of causal self-attention: the record and the kernel. It follows Dao 2023,
 * "FlashAttention-2", algorithm 2, on one thread, with queries in the outer loop. With scores S,
 * probabilities P = exp(S - lse) made again from the kept lse, and per row delta = dy . y:
 *
 *   dV = P^T dY,  dP = dY V^T,  dS = P (dP - delta),  dQ = dS K / sqrt(D),  dK = dS^T Q / sqrt(D)
 *
 * A task makes the rows of its range: dQ from the keys at and before them, dK and dV from the
 * queries at and after them. Whole sequences take each pair of blocks once, five products; a part
 * of a sequence shares blocks only where both query and key lie in it, and takes the pairs of its
 * queries with earlier keys (for dQ) and of later queries with its keys (for dK, dV) besides.
 */
#include "config.h"

#include "codelets/attention/pairs.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

enum { PANEL = PLB__TILE_COLUMNS };
enum { DY, QKV, Y, LSE };

static enum plb_status attention_dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_attention_dx;
    int64_t rows = types->in[QKV].shape.dim[0];
    struct plb__heads h;

    PLB_TRY(plb__check_heads(op, types, QKV));
    PLB_TRY(plb__check_dropout(op, types));
    h = plb__heads_of(types->attributes);
    PLB_TRY(
        plb__check_type(op, types, DY, types->in[QKV].dtype, plb_shape2(rows, h.heads * h.dim)));
    PLB_TRY(plb__check_same(op, types, Y, DY));
    PLB_TRY(plb__check_type(op, types, LSE, PLB_F32, plb_shape2(rows, h.heads)));
    types->out[0] = types->in[QKV];
    return PLB_OK;
}

/* For a part of a sequence it is not known which part: on average the pairs for dQ (three products)
 * are as many as those for dK and dV (four). */
static void attention_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    int64_t rows = types->out[0].shape.dim[0];
    double pairs = (double)rows * ((double)h.sequence + 1.0) / 2.0;
    double products = rows % h.sequence == 0 ? 5.0 : 7.0;

    cost_out->flops = (double)h.heads * pairs * (products * 2.0 * (double)h.dim + 20.0);
    cost_out->bytes = plb__bytes_once(types);
}

static size_t attention_dx_scratch(const struct plb_task_types *types)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    struct plb__arena arena = {NULL, 0};
    struct plb__pairs_memory memory;

    plb__pairs_lay_out(&memory, &arena, &h);
    return arena.used;
}

/* delta[i] = a[i] . b[i], rows of n elements, a multiple of PLB_LANES. */
PLB_KERNEL_CLONES static void dot_rows(float *delta, const float *a, const float *b, int64_t rows,
                                       int64_t n)
{
    for (int64_t i = 0; i < rows; i++) {
        float lane[PLB_LANES] = {0.0f};

        for (int64_t j = 0; j < n; j += PLB_LANES) {
            for (int l = 0; l < PLB_LANES; l++)
                lane[l] += a[i * n + j + l] * b[i * n + j + l];
        }
        delta[i] = plb__lanes_sum(lane);
    }
}

static void load_queries(const struct plb__pass *p, const struct plb__pair *b)
{
    const struct plb_operand *in = p->call->in;
    int64_t row = p->origin + b->at, stride = p->h->padded_dim, col = p->head * p->h->dim;
    const struct plb__pairs_memory *m = &p->m;
    int cell = 0;

    plb__rows_load(m->queries, stride, &in[QKV], row, b->rows, b->padded, col, p->h->dim);
    plb__scale(m->queries, p->h->scale, b->padded * stride);
    plb__rows_load(m->dy, stride, &in[DY], row, b->rows, b->padded, col, p->h->dim);
    plb__rows_load(m->buffer, stride, &in[Y], row, b->rows, b->rows, col, p->h->dim);
    dot_rows(m->delta, m->dy, m->buffer, b->rows, stride);
    for (int64_t i = 0; i < b->rows; i++) {
        const struct plb_tensor *part;

        cell = plb__cell_of_row(&in[LSE], row + i, cell);
        part = &in[LSE].part[cell];
        m->lse[i] = ((const float *)part->data)[(row + i - part->row0) * p->h->heads + p->head];
    }
}

/* Writes rows of one head's gradient at column `col` of the output. */
static void store_rows(const struct plb__pass *p, const float *rows, int64_t first, int64_t n,
                       int64_t col)
{
    const struct plb_tensor *out = &p->call->out[0].part[0];
    int64_t row = p->origin + first - p->call->low[0];

    for (int64_t i = 0; i < n; i++)
        plb__store(out, (row + i) * p->h->width + col, rows + i * p->h->padded_dim, p->h->dim);
}

/* All keys that a block of queries of the range sees; blocks end where the range's keys begin. */
static void do_own_queries(struct plb__pass *p, struct plb__pair *b)
{
    int64_t end = plb__round_up(b->at + b->rows, PANEL);

    load_queries(p, b);
    memset(p->m.dqueries, 0, (size_t)(b->padded * p->h->padded_dim) * sizeof(float));
    for (b->k0 = 0; b->k0 < end; b->k0 += b->keys) {
        int64_t limit = b->k0 < p->base ? p->base : end;

        b->keys = limit - b->k0 < PLB__PAIRS_KEYS ? limit - b->k0 : PLB__PAIRS_KEYS;
        plb__pairs_add(p, b, true, b->k0 >= p->base);
    }
    plb__scale(p->m.dqueries, p->h->scale, b->rows * p->h->padded_dim);
    store_rows(p, p->m.dqueries, b->at, b->rows, p->head * p->h->dim);
}

/* The keys of the range with a block of queries after it. */
static void do_later_queries(struct plb__pass *p, struct plb__pair *b)
{
    int64_t end = plb__round_up(p->last, PANEL);

    load_queries(p, b);
    for (b->k0 = p->base; b->k0 < end; b->k0 += b->keys) {
        b->keys = end - b->k0 < PLB__PAIRS_KEYS ? end - b->k0 : PLB__PAIRS_KEYS;
        plb__pairs_add(p, b, false, true);
    }
}

static void do_head(struct plb__pass *p)
{
    for (int64_t at = p->first; at < p->h->sequence;) {
        bool own = at < p->last;
        int64_t end = own ? p->last : p->h->sequence;
        int64_t rows = end - at < PLB__PAIRS_QUERIES ? end - at : PLB__PAIRS_QUERIES;
        struct plb__pair block = {at, rows, plb__round_up(rows, PLB__TILE_ROWS), 0, 0};

        (own ? do_own_queries : do_later_queries)(p, &block);
        at += rows;
    }
}

static void do_sequence(struct plb__pass *p)
{
    const struct plb__heads *h = p->h;
    const struct plb_operand *qkv = &p->call->in[QKV];
    const struct plb__pairs_memory *m = &p->m;
    int64_t positions = plb__round_up(p->last, PANEL);
    size_t sums = (size_t)((positions - p->base) * h->padded_dim) * sizeof(float);

    for (int64_t g = 0; g < h->kv_heads; g++) {
        int64_t keys = h->keys + g * h->dim, values = h->values + g * h->dim;

        plb__panels_load(m->key_panels, m->buffer, qkv, p->origin, p->last, keys, h->dim);
        plb__panels_load(m->value_panels, m->buffer, qkv, p->origin, p->last, values, h->dim);
        plb__rows_load(m->keys, h->padded_dim, qkv, p->origin, p->last, positions, keys, h->dim);
        memset(m->dkeys, 0, sums);
        memset(m->dvalues, 0, sums);
        for (p->head = g * h->group; p->head < (g + 1) * h->group; p->head++)
            do_head(p);
        store_rows(p, m->dkeys + (p->first - p->base) * h->padded_dim, p->first, p->last - p->first,
                   keys);
        store_rows(p, m->dvalues + (p->first - p->base) * h->padded_dim, p->first,
                   p->last - p->first, values);
    }
}

static enum plb_status attention_dx_cpu(const struct plb_call *call)
{
    const struct plb_attributes *a = call->attributes;
    struct plb__heads h = plb__heads_of(a);
    struct plb__mask mask = plb__mask_of((uint64_t)a->i[PLB__SEED], (uint64_t)a->i[PLB__STREAM],
                                         call->step, a->f[PLB__DROPOUT]);
    struct plb__arena arena = {call->scratch, 0};
    struct plb__pass pass = {.call = call, .h = &h};

    pass.mask = a->f[PLB__DROPOUT] > 0.0 ? &mask : NULL;
    plb__pairs_lay_out(&pass.m, &arena, &h);
    for (int64_t row = call->low[0]; row < call->high[0]; row = pass.origin + pass.last) {
        int64_t end;

        pass.origin = row / h.sequence * h.sequence;
        end = pass.origin + h.sequence < call->high[0] ? pass.origin + h.sequence : call->high[0];
        pass.first = row - pass.origin;
        pass.last = end - pass.origin;
        pass.base = pass.first / PANEL * PANEL;
        do_sequence(&pass);
    }
    return PLB_OK;
}

const struct plb_operator plb_op_attention_dx = {
    .name = "attention_dx",
    .attribute_i = {"heads",    "kv_heads", "head_dim",   "sequence",
                    "seed",     "stream",   "first_head", "all_heads"},
    .attribute_f = {"dropout"},
    .step_attribute = 1 + PLB__DROPOUT,
    .n_in = 4,
    .n_out = 1,
    .in = {{.name = "dy", .rows = PLB_AXIS_A, .flags = PLB_LIST | PLB_WINDOW_SEQUENCE},
           {.name = "qkv", .rows = PLB_AXIS_A, .flags = PLB_LIST | PLB_WINDOW_SEQUENCE},
           {.name = "y", .rows = PLB_AXIS_A, .flags = PLB_LIST | PLB_WINDOW_SEQUENCE},
           {.name = "lse", .rows = PLB_AXIS_A, .flags = PLB_LIST | PLB_WINDOW_SEQUENCE}},
    .out = {{.name = "dqkv", .rows = PLB_AXIS_A}},
    .granule = 1 + PLB__SEQUENCE,
    .shape = attention_dx_shape,
    .cost = attention_dx_cost,
    .scratch = attention_dx_scratch,
    .cpu = attention_dx_cpu,
};
