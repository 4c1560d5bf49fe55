/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Softmax with a running maximum and sum.
 */
#include "config.h"

#include "codelets/attention/flash.h"

#include "codelets/common/simd.h"

enum { KEYS = PLB__FLASH_KEYS };

void plb__flash_lay_out(struct plb__flash *flash, struct plb__arena *arena, int64_t padded_dim)
{
    flash->columns = padded_dim;
    flash->visible = (int64_t *)(void *)plb__arena_take(arena, 2 * PLB__FLASH_QUERIES);
    flash->sums = plb__arena_take(arena, PLB__FLASH_QUERIES * padded_dim);
    flash->scores = plb__arena_take(arena, PLB__FLASH_QUERIES * KEYS);
    flash->top = plb__arena_take(arena, PLB__FLASH_QUERIES);
    flash->total = plb__arena_take(arena, PLB__FLASH_QUERIES);
}

void plb__flash_begin(struct plb__flash *flash, int64_t rows)
{
    flash->rows = rows;
    flash->padded = plb__round_up(rows, PLB__TILE_ROWS);
    memset(flash->sums, 0, (size_t)(flash->padded * flash->columns) * sizeof *flash->sums);
    for (int64_t i = 0; i < rows; i++) {
        flash->top[i] = -INFINITY;
        flash->total[i] = 0.0f;
    }
}

/* The maximum of a row's visible scores and of `top`; others become -inf. */
PLB_INLINE float row_maximum(float *score, int64_t visible, int64_t keys, float top)
{
    float lane[PLB_LANES];

    for (int64_t j = visible < 0 ? 0 : visible; j < keys; j++)
        score[j] = -INFINITY;
    for (int l = 0; l < PLB_LANES; l++)
        lane[l] = top;
    for (int64_t j = 0; j < keys; j += PLB_LANES) {
        for (int l = 0; l < PLB_LANES; l++)
            lane[l] = score[j + l] > lane[l] ? score[j + l] : lane[l];
    }
    return plb__lanes_max(lane);
}

/* Scores become exponentials below `top`; their sum. */
PLB_INLINE float row_exponentials(float *score, int64_t keys, float top)
{
    float lane[PLB_LANES] = {0.0f};

    for (int64_t j = 0; j < keys; j += PLB_LANES) {
        for (int l = 0; l < PLB_LANES; l++) {
            score[j + l] = plb__expf(score[j + l] - top);
            lane[l] += score[j + l];
        }
    }
    return plb__lanes_sum(lane);
}

PLB_KERNEL_CLONES static void soften(const struct plb__flash *f, int64_t k0, int64_t keys)
{
    for (int64_t i = 0; i < f->rows; i++) {
        float *score = f->scores + i * KEYS, *sum = f->sums + i * f->columns;
        float top = row_maximum(score, f->visible[i] - k0, keys, f->top[i]);
        float correction = plb__expf(f->top[i] - top);

        f->total[i] = f->total[i] * correction + row_exponentials(score, keys, top);
        f->top[i] = top;
        if (correction != 1.0f) {
            for (int64_t j = 0; j < f->columns; j++)
                sum[j] *= correction;
        }
    }
    for (int64_t i = f->rows; i < f->padded; i++)
        memset(f->scores + i * KEYS, 0, (size_t)keys * sizeof *f->scores);
}

void plb__flash_soften(const struct plb__flash *flash, int64_t k0, int64_t keys)
{
    soften(flash, k0, keys);
}

float plb__flash_end(const struct plb__flash *flash, int64_t i)
{
    plb__scale(flash->sums + i * flash->columns, 1.0f / flash->total[i], flash->columns);
    return flash->top[i] + logf(flash->total[i]);
}
