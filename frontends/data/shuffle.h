/* SPDX-License-Identifier: BSD-3-Clause */
/* A shuffle without a table. */
#ifndef PLB_DATA_SHUFFLE_H
#define PLB_DATA_SHUFFLE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where element `index` of n goes in shuffle number `shuffle` under `seed`: for each (seed,
 * shuffle) a permutation of 0 .. n - 1. index < n, n >= 1. A Feistel network over the next power of
 * four, with "cycle walking" until the result is below n (Black, Rogaway 2002, "Ciphers with
 * arbitrary finite domains", sections 3 and 4). Pure. */
uint64_t plb_shuffle(uint64_t seed, uint64_t shuffle, uint64_t n, uint64_t index);

#ifdef __cplusplus
}
#endif

#endif
