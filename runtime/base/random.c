/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Normal deviates from the counter-based generator.
 */
#include "config.h"

#include "runtime/base/random.h"

#include <math.h>

float plb_random_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    const double two_pi = 6.28318530717958647692;
    uint32_t word[4];
    double u, v;

    plb_random_words(seed, stream, counter, word);
    u = ((double)word[0] + 1.0) * 0x1p-32; /* (0, 1]: the logarithm stays finite */
    v = (double)word[1] * 0x1p-32;
    return (float)(sqrt(-2.0 * log(u)) * cos(two_pi * v));
}
