/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans: what a policy writes, the checker proves, the simulator times and the executor runs.
 *
 * A plan is plain data: a program of instructions for a (cut) graph, in the order in which they
 * take effect. A value has at most one copy in each *tier*: device memory, where tasks read and
 * write, host memory and disk.
 *
 *   RUN t            makes the outputs of task t on the device from inputs that are there.
 *                    Rematerialization is nothing but a second RUN.
 *   RUN t, host      makes them in main memory from inputs that are there, beside the device:
 *                    the updates of parameters that the graph says so of (plb_graph_set_tier).
 *   OFFLOAD v, tier  copies v from the device to a tier; the copy on the device stays.
 *   FETCH v, tier    copies v from a tier to the device; the copy in the tier stays.
 *   DROP v, tier     ends a copy.
 *
 * That an output takes over the storage of an input that ends there is a mark on the RUN.
 *
 * Before the program the graph's initial values (inputs, parameters, state) exist on the device;
 * after it exactly the outputs, the initial values and the last versions of carried values do, a
 * last version in the storage of the first one, and nothing is left in the other tiers.
 *
 * Thread-safety: a plan that is being written belongs to one thread; a finished one may be read by
 * many.
 */
#ifndef PLB_PLAN_PLAN_H
#define PLB_PLAN_PLAN_H

#include "runtime/graph/graph.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plb_opcode { PLB_RUN, PLB_DROP, PLB_OFFLOAD, PLB_FETCH, PLB_OPCODES };

/* Where copies of values lie, from near to far. */
enum plb_tier {
    PLB_DEVICE, /* the memory that the workers compute in; on a machine without a card, main memory
                 */
    PLB_HOST,   /* main memory beside a card */
    PLB_DISK,
    PLB_TIERS
};

struct plb_instruction {
    enum plb_opcode code;
    uint32_t subject;   /* a task for RUN, a value for the others */
    uint32_t takes;     /* RUN: bit k set: output operand k takes over the storage of the input that
                           its specification names in `shares`; that input ends here */
    enum plb_tier tier; /* OFFLOAD: where to; FETCH: where from; DROP: whose copy; RUN: on whose
                           copies it works, which the task says */
};

const char *plb_opcode_name(enum plb_opcode code); /* "run", "drop", ... */
const char *plb_tier_name(enum plb_tier tier);     /* "device", "host", "disk" */

struct plb_plan {
    char policy[64];      /* name of the policy that wrote it */
    uint64_t fingerprint; /* of the graph it was written for */
    uint32_t n, capacity;
    struct plb_instruction *instruction;
};

/* Frees what the plan owns and makes it empty. */
void plb_plan_clear(struct plb_plan *plan);

/* Appends an instruction. PLB_ERROR_MEMORY. */
enum plb_status plb_plan_append(struct plb_plan *plan, struct plb_instruction instruction);

/* A plan of the same. PLB_ERROR_MEMORY. */
enum plb_status plb_plan_copy(const struct plb_plan *plan, struct plb_plan *copy_out);

/* What a plan may use. */
struct plb_limits {
    size_t
        bytes[PLB_TIERS]; /* most bytes of copies in a tier at any point, the initial values and
                             `reserved` counted in; 0: the tier is not there; SIZE_MAX: no limit */
    size_t reserved;      /* bytes of the device that are not for values: work space */
    bool hold_gradients;  /* what the update reads counts from the first instruction to the last,
                             as if it had storage of its own. Then a share of the activations'
                             memory is a number of bytes (see plb_budget_of_share) */
};

/* No limit on the device, no other tier. */
struct plb_limits plb_limits_none(void);

/* Proves the plan right for the graph, or names the first violation (PLB_ERROR_INVALID): the
 * fingerprint differs, an input is not on the device, an output or a copy is there already, a copy
 * that is read, moved or dropped is not there, an initial value is dropped, a storage is taken over
 * that is still needed or not permitted, an output or the last version of a carried value is
 * missing at the end or does not lie in the storage of the first version, a task that is to run
 * once (struct plb_operator) runs again or not at all, or copies in a tier take more than the limit
 * allows at some instruction (counted as the outputs of a RUN joining its inputs). `limits` NULL:
 * those of plb_limits_none(). */
enum plb_status plb_plan_check(const struct plb_plan *plan, const plb_graph_t *graph,
                               const struct plb_limits *limits);

/* The plan as a JSON document (to be freed by the caller) and back. A plan names its policy, the
 * fingerprint of its graph and its instructions; reading it bounds everything and refuses what is
 * not such a document (PLB_ERROR_FORMAT); whether it is right is the checker's to say. */
enum plb_status plb_plan_to_json(const struct plb_plan *plan, char **text_out);
enum plb_status plb_plan_from_json(const char *text, size_t bytes, struct plb_plan *plan_out);
enum plb_status plb_plan_save(const struct plb_plan *plan, const char *path); /* all or nothing */
enum plb_status plb_plan_load(const char *path, struct plb_plan *plan_out);

/* The plan as lines for people, "  12  run  h.0/linear", into `file`. PLB_ERROR_IO. */
enum plb_status plb_plan_print(const struct plb_plan *plan, const plb_graph_t *graph, FILE *file);

#ifdef __cplusplus
}
#endif

#endif
