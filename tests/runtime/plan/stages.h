/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hybrid plans that divide a training step into stages by its blocks: one place each, in the order
 * of the graph.
 */
#ifndef PLB_TEST_STAGES_H
#define PLB_TEST_STAGES_H

#include "runtime/plan/hybrid.h"

/* The caller clears the plan. */
enum plb_status stages_make(const plb_graph_t *graph, uint32_t n_places,
                            struct plb_hybrid *hybrid_out);

/* `n` places with one nominal worker each, of 1 GB/s; NULL on failure. */
plb_places_t *stages_places(uint32_t n);

#endif
