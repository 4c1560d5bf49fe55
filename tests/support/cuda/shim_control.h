/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How tests in C steer the emulated runtime, beside its environment (shim.h).
 */
#ifndef PLB_TESTS_SUPPORT_CUDA_SHIM_CONTROL_H
#define PLB_TESTS_SUPPORT_CUDA_SHIM_CONTROL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Cards that were lost are as new, and the counts of PLB_CUDA_SHIM_FAIL begin anew. */
void plb_shim_restore(void);

/* How many copies there were from or to main memory that was not pinned. */
size_t plb_shim_unpinned_copies(void);

#ifdef __cplusplus
}
#endif

#endif
