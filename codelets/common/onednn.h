/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wrapper of oneDNN (2.x and 3.x): the only file that calls it. Without oneDNN at configure
 * time the functions are there and say that it is not.
 */
#ifndef PLB_CODELETS_COMMON_ONEDNN_H
#define PLB_CODELETS_COMMON_ONEDNN_H

#include "codelets/common/blas.h"

#include <stddef.h>

/* Makes oneDNN ready; PLB_ERROR_UNAVAILABLE when Palombe was built without it. Once, before use. */
enum plb_status plb__onednn_start(void);

/* Version and instructions into the info; leaves it alone when there is no oneDNN. */
void plb__onednn_inspect(struct plb_blas_info *info);

/* Whether oneDNN multiplies bf16 with tiles (AMX) here. */
bool plb__onednn_has_amx(void);

/* Thread-safe; each runs on the calling thread. */
enum plb_status plb__onednn_sgemm(const struct plb__sgemm *p);
enum plb_status plb__onednn_bgemm(const struct plb__bgemm *p);

#endif
