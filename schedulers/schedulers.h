/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registry of scheduling policies.
 *
 * A policy is one file in the folder of the question it answers, ending in its record; the record
 * is listed in that folder's registry.c. What several policies share lies in a folder `common`
 * beside them, what a large one is made of in a folder of its own. Policies are chosen by name, on
 * the command line or by environment variable. Those in the shared objects of the directories that
 * PALOMBE_POLICY_PATH names (separated by colons) are found likewise; see doc/policies.md.
 *
 * Some take an argument after a colon: "replay:PATH", "log:POLICY".
 *
 * Thread-safety: all functions may be called by many threads. What they return lives until the
 * process ends, unless it is said to be freed.
 */
#ifndef PLB_SCHEDULERS_H
#define PLB_SCHEDULERS_H

#include "runtime/plan/parallel.h"
#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct plb_memory_policy plb_memory_none;
extern const struct plb_memory_policy plb_memory_block;
extern const struct plb_memory_policy plb_memory_sqrt;
extern const struct plb_memory_policy plb_memory_cheap;
extern const struct plb_memory_policy plb_memory_knapsack;
extern const struct plb_memory_policy plb_memory_lru;
extern const struct plb_memory_policy plb_memory_swap;
extern const struct plb_memory_policy plb_memory_chain_dp;
extern const struct plb_memory_policy plb_memory_offload_dp;
extern const struct plb_memory_policy plb_memory_online;
extern const struct plb_memory_policy plb_memory_starpu;
extern const struct plb_memory_policy plb_memory_log;
extern const struct plb_memory_policy plb_memory_replay;

/* All memory policies of the tree that take no argument; `n_out` gets their number. */
const struct plb_memory_policy *const *plb_memory_policies(int *n_out);

/* The memory policy of this name; NULL: what PALOMBE_MEMORY names, else "none". For a name with an
 * argument it is a copy of the policy's record, bound to the argument. PLB_ERROR_INVALID: the name
 * is unknown (the message lists the known ones and the libraries that could not be used), it lacks
 * its argument or has one too many, or it is that of a library that cannot be used (with the
 * reason). */
enum plb_status plb_memory_policy_find(const char *name,
                                       const struct plb_memory_policy **policy_out);

extern const struct plb_parallel_policy plb_parallel_none;
extern const struct plb_parallel_policy plb_parallel_dp;
extern const struct plb_parallel_policy plb_parallel_tp;
extern const struct plb_parallel_policy plb_parallel_gpipe;
extern const struct plb_parallel_policy plb_parallel_1f1b;
extern const struct plb_parallel_policy plb_parallel_1f1b_split;
extern const struct plb_parallel_policy plb_parallel_interleaved;
extern const struct plb_parallel_policy plb_parallel_zb_h1;
extern const struct plb_parallel_policy plb_parallel_zb_v;
extern const struct plb_parallel_policy plb_parallel_zb_greedy;
extern const struct plb_parallel_policy plb_parallel_auto;

/* All parallel policies of the tree; `n_out` gets their number. */
const struct plb_parallel_policy *const *plb_parallel_policies(int *n_out);
/* The parallel policy of this name; NULL: what PALOMBE_PARALLEL names, else "none".
 * PLB_ERROR_INVALID as plb_memory_policy_find(). */
enum plb_status plb_parallel_policy_find(const char *name,
                                         const struct plb_parallel_policy **policy_out);

/* A line of the list of what can be chosen, for people. */
struct plb_policy_entry {
    const void *policy; /* its record; NULL: nothing usable stands there */
    const char *name, *help, *takes;
    const char *origin;  /* file or directory; NULL: built in */
    const char *problem; /* why it cannot be used; NULL: it can */
};

/* All policies of the tree, then what PALOMBE_POLICY_PATH has, usable or not. `list_out` is to be
 * freed by the caller with free(); origins and problems last until PALOMBE_POLICY_PATH changes.
 * PLB_ERROR_MEMORY. */
enum plb_status plb_memory_policy_list(struct plb_policy_entry **list_out, int *n_out);
enum plb_status plb_parallel_policy_list(struct plb_policy_entry **list_out, int *n_out);

#ifdef __cplusplus
}
#endif

#endif
