/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registry of scheduling policies.
 *
 * A policy is one file in the folder of the question it answers, ending in its record; the record
 * is listed in registry.c. Policies are chosen by name, on the command line or by environment
 * variable.
 */
#ifndef PLB_SCHEDULERS_H
#define PLB_SCHEDULERS_H

#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct plb_memory_policy plb_memory_none;

/* All memory policies; `n_out` gets their number. */
const struct plb_memory_policy *const *plb_memory_policies(int *n_out);

/* The memory policy of this name; NULL: what PALOMBE_MEMORY names, else "none". PLB_ERROR_INVALID
 * lists the known names. */
enum plb_status plb_memory_policy_find(const char *name,
                                       const struct plb_memory_policy **policy_out);

#ifdef __cplusplus
}
#endif

#endif
