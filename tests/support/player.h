/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans played for real, without StarPU: values lie in arenas at the offsets of the layout, moves
 * copy bytes between tiers, kernels are those of the interpreter. Memory is filled with NaNs where
 * a slot begins, and in the plan's own order also where one ends, so that a value which is read
 * where it is not, or overwritten too early, does not go unseen.
 *
 * The order of a step can be any that the executor might take: an instruction comes after those
 * whose results it reads, and after the users of all slots that it must wait for.
 */
#ifndef PLB_TEST_PLAYER_H
#define PLB_TEST_PLAYER_H

#include "runtime/plan/layout.h"
#include "tests/support/interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLAYER_IN_ORDER UINT64_MAX

/* One step of the plan, for the graph that the interpreter runs. Initial values are the
 * interpreter's, and become their next versions; outputs are copied there, so that
 * plb_interpreter_read() gets them. `shuffle`: PLAYER_IN_ORDER, or a seed for a random order. */
enum plb_status player_step(plb_interpreter_t *interpreter, const plb_graph_t *graph,
                            const struct plb_plan *plan, const struct plb_layout *layout,
                            uint64_t step, uint64_t shuffle);

#ifdef __cplusplus
}
#endif

#endif
