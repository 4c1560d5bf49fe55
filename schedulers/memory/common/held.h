/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose storage counts for the whole step under limits that hold gradients. Not installed.
 */
#ifndef PLB_MEMORY_HELD_H
#define PLB_MEMORY_HELD_H

#include "runtime/plan/policy.h"

/* Per value: is it a gradient that the update reads, or does such a gradient take over its storage?
 * A weight that is used twice has two gradients; the first lies where their sum comes to lie, which
 * is granted already. All false when the limits hold nothing. `held_out` has one entry per value.
 * PLB_ERROR_MEMORY. */
enum plb_status plb__held_storage(const struct plb_problem *problem, bool *held_out);

#endif
