/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the operators of this folder share. Not installed.
 */
#ifndef PLB_CODELETS_LINEAR_LINEAR_H
#define PLB_CODELETS_LINEAR_LINEAR_H

#include "codelets/common/cells.h"
#include "codelets/common/product.h"
#include "runtime/graph/operator.h"

/* Input k (of rank 2) has this number of columns; `reason` ends the message: "as x has". */
enum plb_status plb__linear_check_columns(const struct plb_operator *op,
                                          const struct plb_task_types *types, int k, int64_t cols,
                                          const char *reason);

#endif
