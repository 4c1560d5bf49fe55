/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lineage: which tasks must run again so that these values exist, given those that still do?
 *
 * Rematerialization asks it on purpose, recovery after a node died, token replay for a cache.
 */
#ifndef PLB_GRAPH_LINEAGE_H
#define PLB_GRAPH_LINEAGE_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills `tasks_out` (one flag per task of the graph) with the least set of tasks that makes all n
 * `wanted` values from those with have[value] true, and returns their number in `count_out`. A task
 * that runs makes all its outputs. Run in increasing order of their numbers, each finds its inputs.
 * PLB_ERROR_INVALID names the value when one is needed that no task makes and that is not there. */
enum plb_status plb_lineage(const plb_graph_t *graph, const plb_value *wanted, uint32_t n,
                            const bool *have, bool *tasks_out, uint32_t *count_out);

#ifdef __cplusplus
}
#endif

#endif
