/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How tests in C steer the emulator of CUDA kernels.
 */
#ifndef PLB_TESTS_SUPPORT_CUDA_EMULATOR_CONTROL_H
#define PLB_TESTS_SUPPORT_CUDA_EMULATOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order in which threads and blocks run; at first PLB_CUDA_EMULATOR_SEED, or 1. */
void plb_emulator_seed(uint64_t seed);
uint64_t plb_emulator_get_seed(void);

/* Bytes of shared memory that a block may have: of capability 9.0, unless a test sets it. */
void plb_emulator_set_shared_limit(size_t bytes);

/* A launch as it was asked for. */
struct plb_emulator_launch {
    const char *kernel;
    unsigned grid[3], block[3];
    size_t shared;
};

/* Has `each` called for every launch from now on; unless `run`, kernels are checked for their
 * limits, but not run. NULL: as at first. */
void plb_emulator_watch(void (*each)(const struct plb_emulator_launch *launch, void *context),
                        void *context, bool run);

#ifdef __cplusplus
}
#endif

#endif
