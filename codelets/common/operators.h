/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declares the record plb_op_<name> of every operator in codelets/operators.def, for the operators'
 * own files and their gradient rules. Not installed: users find a record by plb_operator_find().
 */
#ifndef PLB_CODELETS_COMMON_OPERATORS_H
#define PLB_CODELETS_COMMON_OPERATORS_H

#include "runtime/graph/operator.h"

#define PLB_OPERATOR(name) extern const struct plb_operator plb_op_##name;
#include "codelets/operators.def"
#undef PLB_OPERATOR

#endif
