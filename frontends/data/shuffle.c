/* SPDX-License-Identifier: BSD-3-Clause */
/* The Feistel network of shuffle.h. */
#include "config.h"

#include "frontends/data/shuffle.h"

#include "runtime/base/random.h"

#define ROUNDS 6

static uint64_t permute(uint64_t seed, uint64_t shuffle, unsigned half, uint64_t index)
{
    uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = index >> half, right = index & mask;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t words[4];
        plb_random_words(seed, shuffle * ROUNDS + round, right, words);
        uint64_t next = left ^ ((((uint64_t)words[1] << 32) | words[0]) & mask);
        left = right;
        right = next;
    }
    return (left << half) | right;
}

uint64_t plb_shuffle(uint64_t seed, uint64_t shuffle, uint64_t n, uint64_t index)
{
    unsigned half = 1;

    while (half < 31 && (UINT64_C(1) << (2 * half)) < n)
        half++;
    do
        index = permute(seed, shuffle, half, index);
    while (index >= n);
    return index;
}
