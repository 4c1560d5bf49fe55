/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan made smaller value by value.
 *
 * The chain of blocks keeps what crosses a border for all blocks on the way, and what a skip
 * connection carries over many borders stays for as long as any of them needs it. So where a graph
 * has such values, plans of the chain are squeezed: at the RUN that holds the most bytes, copies
 * that are not read there are given up and made again before their next use, those first that cost
 * the fewest seconds for their bytes and for the RUNs with too little room that they help. What that
 * takes is counted with what is there at the time, and then the whole plan is counted anew.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_MEMORY_SQUEEZE_H
#define PLB_SCHEDULERS_MEMORY_SQUEEZE_H

#include "schedulers/memory/chain/chain_fit.h"

/* Makes a plan of RUNs take at most `room` bytes (as plb__plan_peak() counts them) at any RUN.
 * PLB_ERROR_MEMORY: it does not come down so far; the plan is as small as it got. */
enum plb_status plb__squeeze(const struct plb_problem *problem, const struct plb__sizes *sizes,
                             size_t room, struct plb_plan *plan);

#endif
