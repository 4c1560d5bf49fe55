/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the operators on a range of the classes share. Not installed.
 */
#ifndef PLB_CODELETS_CROSS_ENTROPY_H
#define PLB_CODELETS_CROSS_ENTROPY_H

#include "runtime/graph/operator.h"

/* The attributes "first" and "classes" fit the columns of the logits, input 0. */
enum plb_status plb__check_class_range(const struct plb_operator *op,
                                       const struct plb_task_types *types);

#endif
