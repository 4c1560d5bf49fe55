/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans: what a policy writes, the checker proves and the executor runs.
 *
 * A plan is plain data: a program of instructions for a (cut) graph, in the order in which they
 * take effect. RUN makes the outputs of a task from inputs that are there; DROP ends a value.
 * Rematerialization is nothing but a second RUN. That an output takes over the storage of an input
 * that dies there is a mark on the RUN.
 *
 * Before the program the graph's initial values (inputs, parameters, state) exist; after it exactly
 * the outputs, the initial values and the last versions of carried values do, a last version in
 * the storage of the first one.
 */
#ifndef PLB_PLAN_PLAN_H
#define PLB_PLAN_PLAN_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

enum plb_opcode {
    PLB_RUN,
    PLB_DROP,
};

struct plb_instruction {
    enum plb_opcode code;
    uint32_t subject; /* a task for RUN, a value for DROP */
    uint32_t takes;   /* RUN: bit k set: output operand k takes over the storage of the input that
                         its specification names in `shares`; that input ends here */
};

struct plb_plan {
    const char *policy; /* name of the policy that wrote it; not owned */
    uint64_t fingerprint; /* of the graph it was written for */
    uint32_t n, capacity;
    struct plb_instruction *instruction;
};

/* Frees what the plan owns and makes it empty. */
void plb_plan_clear(struct plb_plan *plan);

/* Appends an instruction. PLB_ERROR_MEMORY. */
enum plb_status plb_plan_append(struct plb_plan *plan, struct plb_instruction instruction);

/* Proves the plan right for the graph, or names the first violation (PLB_ERROR_INVALID): the
 * fingerprint differs, an input is not there, an output is there already, a storage is taken over
 * that is still needed or not permitted, an output or the last version of a carried value is
 * missing at the end or does not lie in the storage of the first version. */
enum plb_status plb_plan_check(const struct plb_plan *plan, const plb_graph_t *graph);

/*
 * Storage: which slot every value lies in while it exists. A slot is a block of memory that values
 * use one after the other. Slots are assigned by walking the program once, so the memory of a step
 * is known before it runs and does not grow with the number of steps in flight.
 */
struct plb_slot {
    size_t bytes;
    enum plb_role role; /* of the first value put there */
    plb_value initial;  /* the initial value that lives there from step to step, or PLB_NONE */
};

struct plb_storage {
    uint32_t n_slots;
    struct plb_slot *slot;
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

/* A policy that decides what becomes of values. */
struct plb_memory_policy {
    const char *name; /* what PALOMBE_MEMORY selects */
    const char *help; /* one line */
    /* Required. Fills an empty plan for the graph. */
    enum plb_status (*plan)(const plb_graph_t *graph, struct plb_plan *plan_out);
};

#ifdef __cplusplus
}
#endif

#endif
