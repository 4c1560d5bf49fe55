/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The masks of dropout, of layers and of attention's probabilities.
 *
 * Element e of the uncut value draws word e % 4 of the random words of counter e / 4 in the stream
 * (stream * 2^40) xor step, and is dropped when the upper 24 bits of that word are below p * 2^24.
 * So a mask depends on nothing but (seed, stream, step, element): not on how the value was cut, and
 * a task may be run again.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_MASK_H
#define PLB_CODELETS_COMMON_MASK_H

#include "codelets/common/simd.h"

#include <stdint.h>

struct plb__mask {
    uint64_t seed, stream; /* stream: that of the generator, with the step in it */
    uint32_t limit;        /* draws below are dropped */
    float kept;            /* the factor of elements that are kept, 1 / (1 - p) */
};

static inline struct plb__mask plb__mask_of(uint64_t seed, uint64_t stream, uint64_t step, double p)
{
    struct plb__mask mask = {seed, stream << 40 ^ step, (uint32_t)ceil(p * 0x1p24),
                             (float)(1.0 / (1.0 - p))};

    return mask;
}

/* Multiplies x[i], which stand for elements first + i, by their factors 0 or 1 / (1 - p), for i < n
 * (none when n is below 1). A dropped element becomes zero whatever it was. y may be x. */
void plb__mask_apply(const struct plb__mask *mask, float *y, const float *x, uint64_t first,
                     int64_t n);

/* The factors of elements first + i themselves, for i < n (none when n is below 1). */
void plb__mask_factors(const struct plb__mask *mask, float *y, uint64_t first, int64_t n);

#endif
