/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parameter updates (adamw, sgd) share: their operands come in the same order.
 *
 * Inputs: parameter, gradient, one or two moments (all f32 of one shape), hyper f32[4], scale
 * f32[1] or absent, working bf16 of the parameter's shape or absent. Outputs: parameter, moments,
 * and working where that was given.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ADAMW_UPDATE_H
#define PLB_CODELETS_ADAMW_UPDATE_H

#include "runtime/graph/operator.h"

/* Elements of hyper: learning rate, two bias corrections, one unused. */
#define PLB__HYPER 4

/* Float attribute i is at least 0, and below `end`. */
enum plb_status plb__update_check_attribute(const struct plb_operator *op,
                                            const struct plb_task_types *types, int i, double end);

/* Checks the inputs and fills the outputs. */
enum plb_status plb__update_shape(const struct plb_operator *op, struct plb_task_types *types,
                                  int moments);

/* The cost of an update with `flops` operations an element. The old working copy is not read. */
void plb__update_cost(const struct plb_task_types *types, int moments, double flops,
                      struct plb_cost *cost_out);

/* The factor of the gradient: the scale operand's, 1 where there is none. */
float plb__update_scale(const struct plb_call *call, int k);

#endif
