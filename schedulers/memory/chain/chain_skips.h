/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans for graphs whose values skip blocks: what the table decides, squeezed (squeeze.h).
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_SKIPS_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_SKIPS_H

#include "schedulers/memory/chain/chain_write.h"

/* Do values that cross several borders take more than a small part of what the pass makes, or is the
 * graph a part of a hybrid plan, whose passes are interleaved? */
bool plb__chains_have_skips(const struct plb__chains *chains,
                            const struct plb_problem *problem);

/* Looks at a plan of RUNs that was squeezed to `bytes`. PLB_OK: it is small enough; it may be taken
 * over, and is empty then. PLB_ERROR_MEMORY: a smaller one is wanted. */
typedef enum plb_status (*plb__squeezed)(struct plb_plan *plan, size_t bytes, void *context);

/* For several targets: shows the table's plan, squeezed to bytes[0], bytes[1] and so on, n falling
 * numbers, until one is small enough. The chains must be solved. PLB_ERROR_MEMORY: none was. */
enum plb_status plb__chains_squeeze(const struct plb__chains *chains,
                                    const struct plb_problem *problem, const size_t *bytes,
                                    uint32_t n, plb__squeezed look, void *context);

#endif
