/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What attention and its gradient share: the geometry of packed rows, scratch memory, and bringing
 * pieces of rows into the form that the register tiles want.
 *
 * Row n of qkv is position n % T of sequence n / T, laid out as
 * [H queries of D | G keys of D | G values of D]; query head h uses key-value head h / (H / G).
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ATTENTION_H
#define PLB_CODELETS_ATTENTION_H

#include "codelets/attention/tiles.h"
#include "codelets/common/mask.h"
#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Indices of the attributes. */
enum {
    PLB__HEADS,
    PLB__KV_HEADS,
    PLB__HEAD_DIM,
    PLB__SEQUENCE,
    PLB__SEED,
    PLB__STREAM,
    PLB__FIRST_HEAD,
    PLB__ALL_HEADS
};
enum { PLB__DROPOUT };

struct plb__heads {
    int64_t heads, kv_heads, group; /* H, G, H / G */
    int64_t dim, padded_dim;        /* D, and rounded up to whole tiles */
    int64_t sequence, width;        /* T, (H + 2 G) D */
    int64_t keys, values;           /* columns where keys and values begin */
    float scale;                    /* 1 / sqrt(D) */
    int64_t first_head, all_heads;  /* of the layer, whose mask of dropout is [N, all_heads, T] */
};

/* The number of the element of a layer's mask for a row, a head of this task, and key 0. */
#define PLB__MASK_ELEMENT(h, row, head)                                                            \
    (((row) * (h)->all_heads + (h)->first_head + (head)) * (h)->sequence)

struct plb__heads plb__heads_of(const struct plb_attributes *attributes);

/* The attributes make sense and input k has rows of this geometry, whole sequences of them. */
enum plb_status plb__check_heads(const struct plb_operator *op, const struct plb_task_types *types,
                                 int k);

/* The dropout attribute is a probability below 1, and the heads are some of the layer's. */
enum plb_status plb__check_dropout(const struct plb_operator *op,
                                   const struct plb_task_types *types);

/* Pairs of a query in R rows of the range and a key that it sees, of one head; `window` is the
 * number of rows that the task is given. */
double plb__attention_pairs(int64_t rows, int64_t window, int64_t sequence);

static inline int64_t plb__round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Scratch memory handed out piece by piece; with a base of NULL it is only measured. */
struct plb__arena {
    char *base;
    size_t used;
};

/* Room for n floats, 64-aligned. */
float *plb__arena_take(struct plb__arena *arena, int64_t n);

/* to[i * stride + j] = row row + i, column col + j of the operand, for i < n, j < columns: its
 * cells are cut by rows only. Columns up to the stride and rows up to `padded` are filled with
 * zeros. */
void plb__rows_load(float *to, int64_t stride, const struct plb_operand *operand, int64_t row,
                    int64_t n, int64_t padded, int64_t col, int64_t columns);

/* The same rows transposed, in panels of PLB__TILE_COLUMNS rows: row i, column j goes to
 * to[(i / 32) * columns * 32 + j * 32 + i % 32]. `buffer`: room for 32 * columns floats. Rows up to
 * a whole panel are filled with finite numbers. */
void plb__panels_load(float *to, float *buffer, const struct plb_operand *operand, int64_t row,
                      int64_t n, int64_t col, int64_t columns);

/* x[i] *= factor for i < n. */
void plb__scale(float *x, float factor, int64_t n);

#ifdef __cplusplus
}
#endif

#endif
