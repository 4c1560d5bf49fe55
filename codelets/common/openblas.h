/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wrapper of OpenBLAS: the only file that loads and calls it.
 */
#ifndef PLB_CODELETS_COMMON_OPENBLAS_H
#define PLB_CODELETS_COMMON_OPENBLAS_H

#include "codelets/common/blas.h"

/* Loads OpenBLAS, mends its core. PLB_ERROR_UNAVAILABLE when it is not there or cannot be used.
 * Idempotent and thread-safe. */
enum plb_status plb__openblas_start(void);

/* The openblas_ fields of the info. Loads the library. */
void plb__openblas_inspect(struct plb_blas_info *info);

/* After a successful start; thread-safe. */
enum plb_status plb__openblas_sgemm(const struct plb__sgemm *p);

#endif
