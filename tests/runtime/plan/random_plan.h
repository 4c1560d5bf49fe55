/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random plans for random training steps: values are forgotten, sent away and brought back by
 * chance, and come back by themselves where they are needed.
 */
#ifndef PLB_TEST_RANDOM_PLAN_H
#define PLB_TEST_RANDOM_PLAN_H

#include "runtime/plan/plan.h"

#include <stdint.h>

/* A small generator, the same everywhere. */
static inline uint32_t random_below(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

/* Writes a right plan for a graph from random_graph.h. `rate`: one task in so many is followed by
 * something done by chance; 0: nothing ever. The caller clears the plan. */
enum plb_status random_plan_make(const plb_graph_t *graph, uint64_t seed, uint32_t rate,
                                 struct plb_plan *plan_out);

#endif
