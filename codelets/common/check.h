/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What shape rules have in common: each check names the operator and the operand, says what was
 * expected and what came. `k` and `j` are numbers of inputs. Also costs that need no thought.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_CHECK_H
#define PLB_CODELETS_COMMON_CHECK_H

#include "runtime/graph/operator.h"

/* Input k has this rank. */
enum plb_status plb__check_rank(const struct plb_operator *op, const struct plb_task_types *types,
                                int k, int rank);
/* Input k has this dtype. */
enum plb_status plb__check_dtype(const struct plb_operator *op, const struct plb_task_types *types,
                                 int k, enum plb_dtype dtype);
/* Input k is f32 or bf16. */
enum plb_status plb__check_real(const struct plb_operator *op, const struct plb_task_types *types,
                                int k);
/* Input k has this dtype and this shape. */
enum plb_status plb__check_type(const struct plb_operator *op, const struct plb_task_types *types,
                                int k, enum plb_dtype dtype, struct plb_shape shape);
/* Input k has the dtype and the shape of input j. */
enum plb_status plb__check_same(const struct plb_operator *op, const struct plb_task_types *types,
                                int k, int j);
/* Integer attribute i is at least `low`. */
enum plb_status plb__check_attribute(const struct plb_operator *op,
                                     const struct plb_task_types *types, int i, int64_t low);

/* Bytes of all inputs and outputs, once each. */
double plb__bytes_once(const struct plb_task_types *types);
/* Elements of output k, as a double. */
double plb__elements_out(const struct plb_task_types *types, int k);

#endif
