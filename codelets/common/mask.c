/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dropout masks: the generator in a loop that vectorises, four words a counter.
 */
#include "config.h"

#include "codelets/common/mask.h"
#include "runtime/base/random.h"

enum { COUNTERS = 64, COUNTERS_STEP = 16 }; /* most counters drawn at a time, and a multiple */

PLB_INLINE void multiply(uint32_t m, uint32_t c, uint32_t *high, uint32_t *low)
{
    uint64_t product = (uint64_t)m * c;

    *high = (uint32_t)(product >> 32);
    *low = (uint32_t)product;
}

/* plb_random_words() for n counters in a row, word k of counter i going to words[4 i + k]. */
PLB_KERNEL_CLONES static void draw(uint32_t *restrict words, uint64_t seed, uint64_t stream,
                                   uint64_t counter, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        uint64_t c = counter + (uint64_t)i;
        uint32_t c0 = (uint32_t)c, c1 = (uint32_t)(c >> 32);
        uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);

        for (int round = 0; round < 10; round++) {
            uint32_t high0, low0, high1, low1;

            multiply(PLB_PHILOX_M0, c0, &high0, &low0);
            multiply(PLB_PHILOX_M1, c2, &high1, &low1);
            c0 = high1 ^ c1 ^ k0;
            c1 = low1;
            c2 = high0 ^ c3 ^ k1;
            c3 = low0;
            k0 += PLB_PHILOX_W0;
            k1 += PLB_PHILOX_W1;
        }
        words[4 * i] = c0;
        words[4 * i + 1] = c1;
        words[4 * i + 2] = c2;
        words[4 * i + 3] = c3;
    }
}

PLB_KERNEL_CLONES static void apply(float *y, const float *x, const uint32_t *word, uint32_t limit,
                                    float kept, int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        y[i] = word[i] >> 8 < limit ? 0.0f : x[i] * kept;
}

PLB_KERNEL_CLONES static void factors(float *restrict y, const uint32_t *restrict word,
                                      uint32_t limit, float kept, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = word[i] >> 8 < limit ? 0.0f : kept;
}

/* The words of elements `first` on, at most n of them, in words[*skip_out] on; how many they are.
 */
static int64_t draw_from(const struct plb__mask *mask, uint32_t words[4 * COUNTERS], uint64_t first,
                         int64_t n, int64_t *skip_out)
{
    int64_t skip = (int64_t)(first % 4), room = 4 * COUNTERS - skip, here = n < room ? n : room;
    int counters = (int)(skip + here + 3) / 4;

    counters = (counters + COUNTERS_STEP - 1) / COUNTERS_STEP * COUNTERS_STEP;
    draw(words, mask->seed, mask->stream, first / 4, counters);
    *skip_out = skip;
    return here;
}

void plb__mask_apply(const struct plb__mask *mask, float *y, const float *x, uint64_t first,
                     int64_t n)
{
    uint32_t words[4 * COUNTERS];

    for (int64_t at = 0, here, skip; at < n; at += here) {
        here = draw_from(mask, words, first + (uint64_t)at, n - at, &skip);
        apply(y + at, x + at, words + skip, mask->limit, mask->kept, here);
    }
}

void plb__mask_factors(const struct plb__mask *mask, float *y, uint64_t first, int64_t n)
{
    uint32_t words[4 * COUNTERS];

    for (int64_t at = 0, here, skip; at < n; at += here) {
        here = draw_from(mask, words, first + (uint64_t)at, n - at, &skip);
        factors(y + at, words + skip, mask->limit, mask->kept, here);
    }
}
