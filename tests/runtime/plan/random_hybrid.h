/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random hybrid plans: each task at a place by chance, some at two, some made again later; the
 * lists in an order that can be, drawn by chance.
 */
#ifndef PLB_TEST_RANDOM_HYBRID_H
#define PLB_TEST_RANDOM_HYBRID_H

#include "runtime/plan/hybrid.h"

/* The caller clears the plan. */
enum plb_status random_hybrid_make(const plb_graph_t *graph, uint64_t seed, uint32_t n_places,
                                   struct plb_hybrid *hybrid_out);

#endif
