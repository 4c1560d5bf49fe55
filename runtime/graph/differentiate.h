/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reverse-mode differentiation of a graph.
 *
 * Tasks are visited backwards; each operator's gradient rule adds its tasks, separate ones for the
 * gradient of the input and of the weights, so that a schedule may put them apart. Where a value
 * has several consumers, the contributions are added pairwise in the fixed order of the visit.
 */
#ifndef PLB_GRAPH_DIFFERENTIATE_H
#define PLB_GRAPH_DIFFERENTIATE_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends to `graph` the tasks that make d loss / d wanted[k] into gradients_out[k], for n wanted
 * values; `loss` is an f32[1] value made by a task. Only tasks on a path from a wanted value to the
 * loss are differentiated. PLB_NONE is returned in gradients_out[k] where the loss does not depend
 * on wanted[k]. Tasks added are of the backward phase and of the block of the task that they
 * differentiate. */
enum plb_status plb_graph_differentiate(plb_graph_t *graph, plb_value loss, const plb_value *wanted,
                                        int n, plb_value *gradients_out);

#ifdef __cplusplus
}
#endif

#endif
