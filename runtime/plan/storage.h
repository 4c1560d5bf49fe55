/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Storage: which slot every value lies in while it exists. A slot is a block of memory that values
 * use one after the other. Slots are assigned by walking the program once, so the memory of a step
 * is known before it runs and does not grow with the number of steps in flight.
 */
#ifndef PLB_PLAN_STORAGE_H
#define PLB_PLAN_STORAGE_H

#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb_storage_slot {
    size_t bytes;
    enum plb_role role; /* of the first value put there */
    plb_value initial;  /* the initial value that lives there from step to step, or PLB_NONE */
};

struct plb_storage {
    uint32_t n_slots;
    struct plb_storage_slot *slot;
    uint32_t *in_slot;  /* per instruction: first entry of its operands in `operand` */
    uint32_t *operand;  /* slots of a RUN's input cells, then of its output cells, in task order */
    size_t bytes;       /* sum over all slots */
    size_t peak;        /* greatest sum of bytes of values that exist at once, by the program */
    size_t peak_by_role[PLB_ROLES]; /* at that moment */
};

/* Assigns slots for a plan that passed the check. */
enum plb_status plb_storage_assign(const struct plb_plan *plan, const plb_graph_t *graph,
                                   struct plb_storage *storage_out);
void plb_storage_clear(struct plb_storage *storage);

/* What no plan can do without that runs each task once and keeps values where they are: bytes of
 * the initial values, of the activations that the backward pass reads, and of the gradients that
 * the update reads (which, with a limit on their global norm, all exist at once). */
enum plb_status plb_storage_needed(const plb_graph_t *graph, size_t *bytes_out);


#ifdef __cplusplus
}
#endif

#endif
