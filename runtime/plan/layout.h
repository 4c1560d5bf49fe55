/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout of a plan: where every copy of a value lies while it exists.
 *
 * A *slot* is a range of bytes of a tier from the instruction that makes a copy to the one that
 * ends it (through every output that takes over its storage). Offsets are found once, before
 * anything runs. So the memory of a step is known in advance, to the byte, transients included, and
 * does not grow with the number of steps in flight; a plan that was laid out under a limit cannot
 * exceed it, and nothing is ever short of memory half-way.
 *
 * Two slots may share bytes when one ends before the other begins. Then the later one must *wait*:
 * the instruction that begins it may start only when whatever uses the earlier one has ended. The
 * layout lists these waits, also those on slots of the step before; the executor and the simulator
 * obey the same list.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_PLAN_LAYOUT_H
#define PLB_PLAN_LAYOUT_H

#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_SLOT_ALIGNMENT ((size_t)64)

struct plb_slot {
    enum plb_tier tier;
    enum plb_role role;  /* of its first value */
    plb_value value;     /* its first value */
    plb_value initial;   /* the initial value that lives there from step to step (its storage is
                            not part of the layout, offset 0), or PLB_NONE */
    size_t bytes;        /* as many as the value has */
    size_t offset;       /* in the tier; a multiple of PLB_SLOT_ALIGNMENT */
    uint32_t begin, end; /* instructions that make and end it; end == plan.n: lasts to the end */
};

struct plb_layout {
    uint32_t n_slots;
    struct plb_slot *slot;

    /* Operands of instruction i: operand[in_operand[i]] to operand[in_operand[i + 1] - 1], slots.
     * RUN: of the input cells in task order, then of the output cells. OFFLOAD, FETCH: source, then
     * destination. DROP: the slot that ends. */
    uint32_t *in_operand, *operand;
    /* Slots whose users must have ended before instruction i starts: wait[in_wait[i]] to
     * wait[in_wait[i + 1] - 1]. For a slot with begin > i they are users of the step before. That
     * a slot which begins waits for its own users of the step before is not listed. */
    uint32_t *in_wait, *wait;

    size_t initial_bytes;           /* of the initial values that are kept on the device, */
    size_t away_bytes[PLB_TIERS];   /* and in the other tiers (see keep.h) */
    size_t arena[PLB_TIERS];        /* bytes that hold all slots but those of initial values */
    size_t peak[PLB_TIERS];         /* most bytes of copies at any instruction, initial values in */
    size_t peak_by_role[PLB_ROLES]; /* on the device, at that moment */
    uint32_t peak_at;               /* first instruction at which the device has its peak */
};

/* What the device holds under this layout: initial values and arena. The figure that a limit is
 * compared with, after `reserved` of the limits is added. */
size_t plb_layout_device_bytes(const struct plb_layout *layout);

/*
 * Lays out a plan that passed the check. Memory rests a while before it is used again, so that
 * tasks seldom wait for it; as long as the limits allow and, where there is none, half more than
 * the copies need or a quarter of all that the device holds.
 * Where a limit is tight there is no rest, and slots lie within a percent or so of the least that
 * could be. PLB_ERROR_MEMORY when a tier's limit cannot be kept, with the bytes that would do; a
 * device limit of plb_budget_of_share(needs, 1, reserved) can be kept by the plan that keeps
 * everything. `limits` NULL: those of plb_limits_none().
 */
enum plb_status plb_layout_assign(const struct plb_plan *plan, const plb_graph_t *graph,
                                  const struct plb_limits *limits, struct plb_layout *layout_out);
void plb_layout_clear(struct plb_layout *layout);

/* ---- what a graph needs, whatever the plan ---- */

struct plb_needs {
    size_t initial;      /* bytes of the initial values */
    size_t gradients;    /* bytes of what the update reads of what the other phases made */
    size_t activations;  /* bytes that the other values take, laid out, when each task runs once in
                            the graph's order and nothing is moved: at most a few per mille more
                            than the copies that exist at once */
    size_t saved;        /* of these, bytes that the forward pass leaves for the backward pass */
    size_t largest_task; /* bytes of the inputs and outputs of the task with the most, initial
                            values not counted: no device works with less beside those */
    plb_task_id largest;
};

enum plb_status plb_needs_find(const plb_graph_t *graph, struct plb_needs *needs_out);

/* A budget as a share of the activations' memory: initial + gradients + share * activations, to
 * be kept with limits.hold_gradients. `reserved` is added. */
size_t plb_budget_of_share(const struct plb_needs *needs, double share, size_t reserved);

#ifdef __cplusplus
}
#endif

#endif
