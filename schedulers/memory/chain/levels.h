/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes on the device while each of a sequence of RUNs runs, if every copy stays until its last use.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_MEMORY_LEVELS_H
#define PLB_SCHEDULERS_MEMORY_LEVELS_H

#include "schedulers/memory/chain/chain_fit.h"

/* Fills `level`, n entries. `scratch` has room for every value of the graph. */
void plb__levels_measure(const plb_graph_t *graph, const struct plb__sizes *sizes,
                         const plb_task_id *run, uint32_t n, uint32_t *scratch, size_t *level);

#endif
