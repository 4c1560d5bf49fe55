/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The geometry of packed rows, scratch memory, and the loading of pieces of rows.
 */
#include "config.h"

#include "codelets/attention/attention.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/product_kernels.h"

#include <inttypes.h>

enum { PANEL = PLB__TILE_COLUMNS };

struct plb__heads plb__heads_of(const struct plb_attributes *attributes)
{
    int64_t heads = attributes->i[PLB__HEADS], kv_heads = attributes->i[PLB__KV_HEADS];
    int64_t dim = attributes->i[PLB__HEAD_DIM];
    struct plb__heads h = {
        .heads = heads,
        .kv_heads = kv_heads,
        .group = heads / kv_heads,
        .dim = dim,
        .padded_dim = plb__round_up(dim, PANEL),
        .sequence = attributes->i[PLB__SEQUENCE],
        .width = (heads + 2 * kv_heads) * dim,
        .keys = heads * dim,
        .values = (heads + kv_heads) * dim,
        .scale = (float)(1.0 / sqrt((double)dim)),
        .first_head = attributes->i[PLB__FIRST_HEAD],
        .all_heads = attributes->i[PLB__ALL_HEADS] > 0 ? attributes->i[PLB__ALL_HEADS] : heads,
    };

    return h;
}

enum plb_status plb__check_heads(const struct plb_operator *op, const struct plb_task_types *types,
                                 int k)
{
    const struct plb_attributes *a = types->attributes;
    const struct plb_shape *shape = &types->in[k].shape;
    const int64_t limit = INT32_MAX; /* keeps every product of two of them in 64 bits */
    struct plb__heads h;

    for (int i = PLB__HEADS; i <= PLB__SEQUENCE; i++) {
        PLB_TRY(plb__check_attribute(op, types, i, 1));
        if (a->i[i] > limit)
            return plb_fail(PLB_ERROR_INVALID, "%s: %s of %" PRId64 " is too large", op->name,
                            op->attribute_i[i], a->i[i]);
    }
    if (a->i[PLB__HEADS] % a->i[PLB__KV_HEADS] != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: heads (%" PRId64 ") must be a multiple of kv_heads (%" PRId64 ")",
                        op->name, a->i[PLB__HEADS], a->i[PLB__KV_HEADS]);
    PLB_TRY(plb__check_rank(op, types, k, 2));
    PLB_TRY(plb__check_real(op, types, k));
    h = plb__heads_of(a);
    if (shape->dim[1] != h.width)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: rows of %s must have (heads + 2 kv_heads) head_dim = %" PRId64
                        " columns, but have %" PRId64,
                        op->name, op->in[k].name, h.width, shape->dim[1]);
    if (shape->dim[0] % h.sequence != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: %s must have whole sequences of %" PRId64 " rows, but has %" PRId64
                        " rows",
                        op->name, op->in[k].name, h.sequence, shape->dim[0]);
    return PLB_OK;
}

enum plb_status plb__check_dropout(const struct plb_operator *op,
                                   const struct plb_task_types *types)
{
    double p = types->attributes->f[PLB__DROPOUT];
    int64_t first = types->attributes->i[PLB__FIRST_HEAD];
    int64_t heads = types->attributes->i[PLB__HEADS], all = types->attributes->i[PLB__ALL_HEADS];

    if (all == 0 ? first != 0 : first < 0 || all < heads || all > INT32_MAX || first > all - heads)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: %" PRId64 " heads from %" PRId64 " on are not some of %" PRId64
                        " in all",
                        op->name, heads, first, all);
    if (p >= 0.0 && p < 1.0)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "%s: dropout must be at least 0 and below 1, but is %g",
                    op->name, p);
}

/* A range that is part of a sequence begins after window - rows positions; others begin at one. */
double plb__attention_pairs(int64_t rows, int64_t window, int64_t sequence)
{
    double r = (double)rows, before = (double)(window - rows);

    if (window <= sequence)
        return r * before + r * (r + 1.0) / 2.0;
    return r * ((double)sequence + 1.0) / 2.0;
}

float *plb__arena_take(struct plb__arena *arena, int64_t n)
{
    size_t at = arena->used;

    arena->used += (size_t)plb__round_up(n * (int64_t)sizeof(float), 64);
    return arena->base == NULL ? NULL : (float *)(void *)(arena->base + at);
}

/* Rows lie a page or more apart, so the processor does not see the next head coming. Its columns
 * follow these: they are asked for now. */
static void prefetch(const struct plb_tensor *part, int64_t at, int64_t n)
{
    size_t size = plb_dtype_bytes(part->dtype);
    const char *line = (const char *)part->data + (size_t)at * size;

    for (size_t offset = 0; offset < (size_t)n * size; offset += 64)
        __builtin_prefetch(line + offset);
}

void plb__rows_load(float *to, int64_t stride, const struct plb_operand *operand, int64_t row,
                    int64_t n, int64_t padded, int64_t col, int64_t columns)
{
    int cell = 0;

    for (int64_t i = 0; i < n; i++) {
        const struct plb_tensor *part;
        int64_t at;

        cell = plb__cell_of_row(operand, row + i, cell);
        part = &operand->part[cell];
        at = (row + i - part->row0) * part->shape.dim[1] + col;
        plb__load(to + i * stride, part, at, columns);
        prefetch(part, at + columns, columns);
        if (stride > columns)
            memset(to + i * stride + columns, 0, (size_t)(stride - columns) * sizeof *to);
    }
    if (padded > n)
        memset(to + n * stride, 0, (size_t)((padded - n) * stride) * sizeof *to);
}

void plb__panels_load(float *to, float *buffer, const struct plb_operand *operand, int64_t row,
                      int64_t n, int64_t col, int64_t columns)
{
    for (int64_t i = 0; i < n; i += PANEL) {
        int64_t here = n - i < PANEL ? n - i : PANEL;

        plb__rows_load(buffer, columns, operand, row + i, here, PANEL, col, columns);
        plb__pack_transposed(buffer, PLB_F32, columns, PANEL, columns, to + i * columns, PANEL);
    }
}

PLB_KERNEL_CLONES static void scale(float *x, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

void plb__scale(float *x, float factor, int64_t n)
{
    scale(x, factor, n);
}
