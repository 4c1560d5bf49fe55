/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counter-based random numbers.
 *
 * A draw is a pure function of (seed, stream, counter): nothing is stored, so a value can be made
 * again in any order, on any worker, any number of times, with the same bits. The generator is
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011, section 3.3 and table 2).
 *
 * Thread-safety: all functions are pure.
 */
#ifndef PLB_BASE_RANDOM_H
#define PLB_BASE_RANDOM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pure functions of integers, for kernels of cards too. */
#ifdef __CUDACC__
#define PLB_RANDOM_INLINE static inline __host__ __device__
#else
#define PLB_RANDOM_INLINE static inline
#endif

#define PLB_PHILOX_M0 0xD2511F53u
#define PLB_PHILOX_M1 0xCD9E8D57u
#define PLB_PHILOX_W0 0x9E3779B9u
#define PLB_PHILOX_W1 0xBB67AE85u

/* Four 32-bit words for the 128-bit counter (counter, stream) under the 64-bit key `seed`. */
PLB_RANDOM_INLINE void plb_random_words(uint64_t seed, uint64_t stream, uint64_t counter,
                                        uint32_t words_out[4])
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)PLB_PHILOX_M0 * c0, p1 = (uint64_t)PLB_PHILOX_M1 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PLB_PHILOX_W0;
        k1 += PLB_PHILOX_W1;
    }
    words_out[0] = c0;
    words_out[1] = c1;
    words_out[2] = c2;
    words_out[3] = c3;
}

/* A float in [0, 1) from the upper 24 bits of a word. */
static inline float plb_random_unit(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

/* A standard normal deviate for (seed, stream, counter), by Box and Muller's method in double
 * precision, rounded to float. */
float plb_random_normal(uint64_t seed, uint64_t stream, uint64_t counter);

#ifdef __cplusplus
}
#endif

#endif
