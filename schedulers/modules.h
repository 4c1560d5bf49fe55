/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies from outside the tree: the shared objects in the directories of PALOMBE_POLICY_PATH.
 *
 * Only registry.c uses this; it holds its lock around every call. A library is loaded once and
 * stays loaded, since plans and sessions point to its records.
 */
#ifndef PLB_SCHEDULERS_MODULES_H
#define PLB_SCHEDULERS_MODULES_H

#include "runtime/plan/policy.h"

/* A library, or a directory that could not be read. Stays where it is until the process ends. */
struct plb__module {
    struct plb__module *next;
    char *path;
    char problem[512]; /* why nothing of it is used; empty: nothing speaks against it */
    const struct plb_policy_module *module; /* NULL with a problem */
    bool listed;                            /* in a directory that the variable names now */
    bool warned;                            /* that a name of it is taken */
};

/* Looks into the directories when the variable has changed since the last call, and loads what is
 * new; a library that could not be used is tried again. The list is in the order of the
 * directories, in each by name. PLB_ERROR_MEMORY. */
enum plb_status plb__modules_find(struct plb__module **first_out);

#endif
