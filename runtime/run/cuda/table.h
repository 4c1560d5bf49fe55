/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The module's table of operators.
 *
 * Not installed.
 */
#ifndef PLB_RUN_CUDA_TABLE_H
#define PLB_RUN_CUDA_TABLE_H

#include "codelets/common/cuda.h"

/* The kernel of an operator by the name in its record; NULL when there is none. */
const struct plb_cuda_operator *plb__cuda_operator(const char *name);

#endif
