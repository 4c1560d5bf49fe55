/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which instruction must have ended before which may start: what values, storage and memory impose
 * on the programs of one or several places, whose instructions are numbered through. Not installed.
 */
#ifndef PLB_PLAN_ORDER_H
#define PLB_PLAN_ORDER_H

#include "runtime/plan/layout.h"

/* Entry of a list in an array; `next` PLB_NONE: the last one. */
struct plb__order_link {
    uint32_t instruction, next;
};

struct plb__order {
    uint32_t n;           /* instructions */
    uint32_t *left;       /* per instruction: predecessors that have not ended */
    uint32_t *successors; /* per instruction: first entry in `link`, or PLB_NONE */
    struct plb__order_link *link;
    uint32_t n_links, capacity;
};

/* What a program does to storage: the operands of a layout (layout.h), or of a walk, which has no
 * waits (in_wait NULL: memory is no limit). */
struct plb__storage {
    uint32_t n_slots;
    const struct plb_slot *slot;
    const uint32_t *in_operand, *operand;
    const uint32_t *in_wait, *wait;
};

struct plb__storage plb__storage_of(const struct plb_layout *layout);

enum plb_status plb__order_create(uint32_t n, struct plb__order *order_out);
void plb__order_clear(struct plb__order *order);

/* `after` may start when `first` has ended; nothing for `first` PLB_NONE or `after` itself. */
enum plb_status plb__order_add(struct plb__order *order, uint32_t first, uint32_t after);

/* What the storage of a program imposes, whose first instruction has the number `offset`. */
enum plb_status plb__order_program(struct plb__order *order, uint32_t offset,
                                   const struct plb_plan *plan, const plb_graph_t *graph,
                                   const struct plb__storage *storage);

#endif
