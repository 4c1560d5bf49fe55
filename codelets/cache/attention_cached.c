/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attention of new rows to a key-value cache: each row sees positions 0 to its own of its sequence.
 *
 * Few rows of a sequence (decoding) take one pass over the cache, which is what bounds them: for
 * each block of positions all heads in turn, by dot products with the keys as they lie. Many rows
 * (a prompt) take the way of attention.c, keys transposed into panels, one head after the other.
 * Which way depends on the number of rows of a sequence in the task's range only.
 */
#include "config.h"

#include "codelets/attention/flash.h"
#include "codelets/cache/cache.h"
#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/common/product_kernels.h"

enum { QKV, CACHE, POSITIONS };

enum {
    FEW = PLB__DOTS_ROWS, /* queries that share a key head, rows times heads of a group, at most */
    BLOCK = 32            /* positions taken at a time by few rows: a block stays in L2 */
};

static enum plb_status attention_cached_shape(struct plb_task_types *types)
{
    struct plb__heads h;

    PLB_TRY(plb__check_cache(&plb_op_attention_cached, types, QKV, CACHE, POSITIONS));
    h = plb__heads_of(types->attributes);
    types->out[0] = (struct plb_type){types->in[QKV].dtype,
                                      plb_shape2(types->in[QKV].shape.dim[0], h.heads * h.dim)};
    return PLB_OK;
}

/* As if the cache were full; a task reads the part of its sequences. */
static void attention_cached_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    int64_t rows = types->in[QKV].shape.dim[0], capacity = types->attributes->i[PLB__CAPACITY];
    double sequences = (double)((rows + h.sequence - 1) / h.sequence);

    cost_out->flops =
        (double)rows * (double)h.heads * (double)capacity * (4.0 * (double)h.dim + 15.0);
    cost_out->bytes = (double)plb_type_bytes(&types->in[QKV]) +
                      (double)plb_type_bytes(&types->out[0]) +
                      sequences * (double)capacity * 2.0 * (double)(h.kv_heads * h.dim) *
                          (double)plb_dtype_bytes(types->in[CACHE].dtype);
}

/* Scratch memory. Few rows use one `flash` for each key head, with common scores; many rows the
 * first one. */
struct memory {
    struct plb__flash flash;
    float *queries; /* scaled: of a block x D; or packed for dot products, one after the other */
    float *keys;    /* of one head, transposed in panels */
    float *values;  /* of one head, positions x padded D */
    float *buffer;  /* for packing */
    struct few {
        float *sums, *top, *total;
    } few;
};

static size_t lay_out(struct memory *memory, void *base, const struct plb__heads *h,
                      int64_t capacity)
{
    struct plb__arena arena = {base, 0};
    int64_t keys = plb__round_up(capacity, PLB__TILE_COLUMNS);
    int64_t packed = h->kv_heads * plb__dots_floats(FEW, h->dim);
    int64_t block = PLB__FLASH_QUERIES * h->dim;

    plb__flash_lay_out(&memory->flash, &arena, h->padded_dim);
    memory->queries = plb__arena_take(&arena, packed > block ? packed : block);
    memory->keys = plb__arena_take(&arena, keys * h->dim);
    memory->values = plb__arena_take(&arena, keys * h->padded_dim);
    memory->buffer = plb__arena_take(&arena, PLB__TILE_COLUMNS * h->dim);
    memory->few.sums = plb__arena_take(&arena, h->kv_heads * FEW * h->padded_dim);
    memory->few.top = plb__arena_take(&arena, h->kv_heads * FEW);
    memory->few.total = plb__arena_take(&arena, h->kv_heads * FEW);
    return arena.used;
}

static size_t attention_cached_scratch(const struct plb_task_types *types)
{
    struct plb__heads h = plb__heads_of(types->attributes);
    struct memory memory;

    return lay_out(&memory, NULL, &h, types->attributes->i[PLB__CAPACITY]);
}

/* Rows first to first + rows of the whole value, all of one sequence. */
struct rows {
    const struct plb_call *call;
    const struct plb__heads *h;
    int64_t first, rows;
    int64_t cache_row; /* where the sequence begins in the cache */
    int64_t limit;     /* positions that any of them sees */
};

static int64_t visible(const struct rows *r, int64_t i)
{
    const int32_t *position = r->call->in[POSITIONS].part[0].data;

    return position[r->first + i - r->call->low[0]] + (int64_t)1;
}

static void store_head(const struct rows *r, int64_t i, int64_t head, const float *x)
{
    int64_t row = r->first + i - r->call->low[0];

    plb__store(&r->call->out[0].part[0], (row * r->h->heads + head) * r->h->dim, x, r->h->dim);
}

/* --- few rows --------------------------------------------------------------------------------- */

/* The state of key head g; query q is row q / group, head q % group of it. */
static struct plb__flash flash_of(const struct memory *m, const struct plb__heads *h, int64_t g)
{
    struct plb__flash flash = m->flash;

    flash.sums = m->few.sums + g * FEW * h->padded_dim;
    flash.top = m->few.top + g * FEW;
    flash.total = m->few.total + g * FEW;
    return flash;
}

static void few_begin(struct memory *m, const struct rows *r, enum plb_dtype dtype)
{
    const struct plb__heads *h = r->h;
    int64_t queries = r->rows * h->group, packed = plb__dots_floats(FEW, h->dim);

    for (int64_t g = 0; g < h->kv_heads; g++) {
        struct plb__flash flash = flash_of(m, h, g);

        plb__flash_begin(&flash, queries);
        m->flash.rows = flash.rows;
        m->flash.padded = flash.padded;
        for (int64_t q = 0; q < queries; q++) {
            m->flash.visible[q] = visible(r, q / h->group);
            plb__rows_load(m->buffer + q * h->dim, h->dim, &r->call->in[QKV],
                           r->first + q / h->group, 1, 1, (g * h->group + q % h->group) * h->dim,
                           h->dim);
        }
        plb__scale(m->buffer, h->scale, queries * h->dim);
        plb__dots_pack(queries, h->dim, m->buffer, PLB_F32, h->dim, dtype, m->queries + g * packed);
    }
}

/* Adds positions k0 to k0 + n of key head g. */
static void few_add(const struct memory *m, const struct rows *r, int64_t g, int64_t k0, int64_t n)
{
    const struct plb__heads *h = r->h;
    const struct plb_tensor *cache = &r->call->in[CACHE].part[0];
    struct plb__flash flash = flash_of(m, h, g);
    int64_t width = cache->shape.dim[1], key = (r->cache_row + k0) * width + g * h->dim;
    int64_t value = key + h->kv_heads * h->dim;
    bool direct = cache->dtype == PLB_F32 && h->dim == h->padded_dim;
    struct plb__tiles sums = {
        .c = {flash.sums, h->padded_dim},
        .a = {flash.scores, PLB__FLASH_KEYS, 1},
        .b = {direct ? (const float *)cache->data + value : m->values,
              direct ? width : h->padded_dim, PLB__TILE_COLUMNS},
        .m = flash.padded,
        .n = h->padded_dim,
        .depth = n,
        .add = true,
    };

    plb__dots(flash.rows, n, h->dim, m->queries + g * plb__dots_floats(FEW, h->dim),
              (const char *)cache->data + (size_t)key * plb_dtype_bytes(cache->dtype), cache->dtype,
              width, flash.scores, PLB__FLASH_KEYS);
    plb__flash_soften(&flash, k0, plb__round_up(n, PLB__TILE_COLUMNS));
    if (!direct)
        plb__rows_load(m->values, h->padded_dim, &r->call->in[CACHE], r->cache_row + k0, n, n,
                       (h->kv_heads + g) * h->dim, h->dim);
    plb__tiles_multiply(&sums);
}

static void do_few(struct memory *m, const struct rows *r)
{
    const struct plb__heads *h = r->h;

    few_begin(m, r, r->call->in[CACHE].part[0].dtype);
    for (int64_t k0 = 0; k0 < r->limit; k0 += BLOCK) {
        for (int64_t g = 0; g < h->kv_heads; g++)
            few_add(m, r, g, k0, r->limit - k0 < BLOCK ? r->limit - k0 : BLOCK);
    }
    for (int64_t g = 0; g < h->kv_heads; g++) {
        struct plb__flash flash = flash_of(m, h, g);

        for (int64_t q = 0; q < flash.rows; q++) {
            plb__flash_end(&flash, q);
            store_head(r, q / h->group, g * h->group + q % h->group,
                       flash.sums + q * h->padded_dim);
        }
    }
}

/* --- many rows -------------------------------------------------------------------------------- */

static void many_add(const struct memory *m, const struct plb__heads *h, int64_t k0, int64_t keys)
{
    struct plb__tiles scores = {
        .c = {m->flash.scores, PLB__FLASH_KEYS},
        .a = {m->queries, h->dim, 1},
        .b = {m->keys + k0 * h->dim, PLB__TILE_COLUMNS, PLB__TILE_COLUMNS * h->dim},
        .m = m->flash.padded,
        .n = keys,
        .depth = h->dim,
    };
    struct plb__tiles sums = {
        .c = {m->flash.sums, h->padded_dim},
        .a = {m->flash.scores, PLB__FLASH_KEYS, 1},
        .b = {m->values + k0 * h->padded_dim, h->padded_dim, PLB__TILE_COLUMNS},
        .m = m->flash.padded,
        .n = h->padded_dim,
        .depth = keys,
        .add = true,
    };

    plb__tiles_multiply(&scores);
    plb__flash_soften(&m->flash, k0, keys);
    plb__tiles_multiply(&sums);
}

/* One head of rows at to at + n of `r`. */
static void many_block(struct memory *m, const struct rows *r, int64_t at, int64_t n, int64_t head)
{
    const struct plb__heads *h = r->h;
    int64_t limit = 0;

    plb__flash_begin(&m->flash, n);
    for (int64_t i = 0; i < n; i++) {
        m->flash.visible[i] = visible(r, at + i);
        limit = m->flash.visible[i] > limit ? m->flash.visible[i] : limit;
    }
    limit = plb__round_up(limit, PLB__TILE_COLUMNS);
    plb__rows_load(m->queries, h->dim, &r->call->in[QKV], r->first + at, n, m->flash.padded,
                   head * h->dim, h->dim);
    plb__scale(m->queries, h->scale, n * h->dim);
    for (int64_t k0 = 0; k0 < limit; k0 += PLB__FLASH_KEYS)
        many_add(m, h, k0, limit - k0 < PLB__FLASH_KEYS ? limit - k0 : PLB__FLASH_KEYS);
    for (int64_t i = 0; i < n; i++) {
        plb__flash_end(&m->flash, i);
        store_head(r, at + i, head, m->flash.sums + i * h->padded_dim);
    }
}

static void do_many(struct memory *m, const struct rows *r)
{
    const struct plb__heads *h = r->h;
    const struct plb_operand *cache = &r->call->in[CACHE];
    int64_t keys = plb__round_up(r->limit, PLB__TILE_COLUMNS);

    for (int64_t g = 0; g < h->kv_heads; g++) {
        plb__panels_load(m->keys, m->buffer, cache, r->cache_row, r->limit, g * h->dim, h->dim);
        plb__rows_load(m->values, h->padded_dim, cache, r->cache_row, r->limit, keys,
                       (h->kv_heads + g) * h->dim, h->dim);
        for (int64_t head = g * h->group; head < (g + 1) * h->group; head++) {
            for (int64_t at = 0; at < r->rows; at += PLB__FLASH_QUERIES) {
                int64_t left = r->rows - at;

                many_block(m, r, at, left < PLB__FLASH_QUERIES ? left : PLB__FLASH_QUERIES, head);
            }
        }
    }
}

/* --- the operator ----------------------------------------------------------------------------- */

static enum plb_status attention_cached_cpu(const struct plb_call *call)
{
    struct plb__heads h = plb__heads_of(call->attributes);
    int64_t capacity = call->attributes->i[PLB__CAPACITY];
    struct memory memory;

    lay_out(&memory, call->scratch, &h, capacity);
    for (int64_t row = call->low[0]; row < call->high[0];) {
        int64_t sequence = row / h.sequence, end = (sequence + 1) * h.sequence;
        struct rows rows = {.call = call, .h = &h, .first = row, .cache_row = sequence * capacity};

        rows.rows = (end < call->high[0] ? end : call->high[0]) - row;
        for (int64_t i = 0; i < rows.rows; i++) {
            PLB_TRY(plb__check_position(&plb_op_attention_cached, visible(&rows, i) - 1, capacity));
            rows.limit = visible(&rows, i) > rows.limit ? visible(&rows, i) : rows.limit;
        }
        (rows.rows * h.group <= FEW ? do_few : do_many)(&memory, &rows);
        row += rows.rows;
    }
    return PLB_OK;
}

plb_value plb_attention_cached(plb_graph_t *g, plb_value qkv, plb_value cache, plb_value positions,
                               const struct plb_attention *attention, int64_t capacity)
{
    struct plb_attributes attributes = {
        {attention->heads, attention->kv_heads, attention->head_dim, attention->sequence, capacity},
        {0}};
    plb_value in[] = {qkv, cache, positions}, y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_attention_cached, &attributes, in, 3, NULL, &y);
    return y;
}

const struct plb_operator plb_op_attention_cached = {
    .name = "attention_cached",
    .attribute_i = {"heads", "kv_heads", "head_dim", "sequence", "capacity"},
    .n_in = 3,
    .n_out = 1,
    .in = {{.name = "qkv", .rows = PLB_AXIS_A},
           {.name = "cache"},
           {.name = "positions", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A}},
    .shape = attention_cached_shape,
    .cost = attention_cached_cost,
    .scratch = attention_cached_scratch,
    .cpu = attention_cached_cpu,
};
