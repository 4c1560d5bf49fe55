/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of a hybrid plan played for real, without StarPU: each place has an interpreter of its
 * own, places take turns, and what is sent is copied. A place that waits for what nobody sends is
 * found out.
 */
#ifndef PLB_TEST_PARTS_H
#define PLB_TEST_PARTS_H

#include "runtime/plan/hybrid.h"
#include "tests/support/interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Plays one step of the parts' plans (`plan[p]`, where it is not NULL, instead of the part's own)
 * and compares what lives on and the outputs, to the bit, with one step of `reference`, which runs
 * the cut graph and whose initial values both begin with; the reference has then made its step.
 * PLB_ERROR_INVALID names the first value that differs. */
enum plb_status parts_step(const struct plb_spread *spread,
                           const struct plb_plan *const *plan, plb_interpreter_t *reference,
                           uint64_t step);

#ifdef __cplusplus
}
#endif

#endif
