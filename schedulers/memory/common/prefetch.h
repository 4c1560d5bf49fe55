/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves in good time: a plan whose transfers stand where they are needed, rewritten so that they
 * can go on beside the tasks.
 *
 * An OFFLOAD moves up to what made the value. A FETCH moves up to where the link must begin with it
 * for it to arrive in time, the transfers after it counted in, and what is offloaded keeps its
 * memory until it has left, both as far as there is room.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_MEMORY_PREFETCH_H
#define PLB_MEMORY_PREFETCH_H

#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the plan that comes of `plan`. Where something was moved the copies on the device take at
 * most `room` bytes, counted as by the checker. */
enum plb_status plb__prefetch(const struct plb_problem *problem, const struct plb_plan *plan,
                              size_t room, struct plb_plan *plan_out);

#ifdef __cplusplus
}
#endif

#endif
