/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interpreter of plans: one pass over a program that finds what it does to storage, or the
 * first instruction that cannot be. The checker asks it for the verdict, the layout for the slots,
 * which the simulator and the executor then read from the layout.
 *
 * A slot begins where a copy of a value is made and ends where it is dropped; an output that takes
 * over the storage of an input goes on in the input's slot. Not installed.
 */
#ifndef PLB_PLAN_WALK_H
#define PLB_PLAN_WALK_H

#include "runtime/plan/layout.h"

struct plb__walk {
    uint32_t n_slots, slot_capacity;
    struct plb_slot *slot; /* in order of `begin`; initial values first; offsets not set */
    /* Per slot: PLB_NONE; or, when it holds a gradient that counts for the whole step
     * (limits.hold_gradients), the first slot of that gradient, often the slot itself. Slots with
     * one keeper never exist at the same time and share its storage. */
    uint32_t *keeper;

    uint32_t *in_operand, *operand; /* as in struct plb_layout */
    uint32_t n_operands, operand_capacity;

    size_t initial_bytes;          /* of initial values whose home is the device */
    size_t away_bytes[PLB_TIERS]; /* ... is another tier */
    size_t peak[PLB_TIERS];
    size_t peak_by_role[PLB_ROLES];
    uint32_t peak_at;
    uint32_t over_at[PLB_TIERS];  /* the first instruction that passes the limit; plan.n: it is
                                     passed before all; PLB_NONE: it is kept */
    size_t over_bytes[PLB_TIERS]; /* bytes there, `reserved` counted in */
};

/* Walks the program. PLB_ERROR_INVALID names the first violation of what plb_plan_check() lists;
 * whether the limits are kept is noted, not judged. */
enum plb_status plb__walk(const struct plb_plan *plan, const plb_graph_t *graph,
                          const struct plb_limits *limits, struct plb__walk *walk_out);
void plb__walk_clear(struct plb__walk *walk);
/* Fills in bytes, peaks and where limits are passed; plb__walk() calls it when the slots are known.
 */
void plb__walk_count(struct plb__walk *walk, const struct plb_plan *plan,
                     const struct plb_limits *limits);

/* Per value: is it made before the update phase and read in it? `held_out` has one entry per
 * value. */
void plb__held_values(const plb_graph_t *graph, bool *held_out);
/* Bytes of the inputs and outputs of the task with the most, initial values and what may lie in the
 * storage of held values not counted (needs.c). */
size_t plb__needs_beside_gradients(const plb_graph_t *graph);

#endif
