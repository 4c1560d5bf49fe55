/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The look-up of policies by name, whichever question they answer. A *family* is what is particular
 * to a question; memory/registry.c and parallel/registry.c have one each, with the list of the
 * policies of the tree, and the functions of schedulers.h.
 */
#ifndef PLB_SCHEDULERS_REGISTRY_H
#define PLB_SCHEDULERS_REGISTRY_H

#include "schedulers/schedulers.h"

struct plb__family {
    const char *what;     /* "memory" */
    const char *variable; /* that names a policy where no name is given, */
    const char *usual;    /* and the policy where that names none either */
    size_t bytes;         /* of a record */
    /* Policy k of the tree, or of a library; NULL: there are no more. */
    const void *(*built_in)(uint32_t k);
    const void *(*outside)(const struct plb_policy_module *module, uint32_t k);
    /* Fills name, help and takes of an entry. */
    void (*describe)(const void *policy, struct plb_policy_entry *entry);
    /* Makes a copy of a record answer to a name with an argument; `inner` is the policy that the
     * argument names where the record takes one ("POLICY"), else NULL. */
    void (*bind)(void *copy, const char *name, const char *argument, const void *inner);
};

enum plb_status plb__policy_find(const struct plb__family *family, const char *name,
                                 const void **policy_out);
enum plb_status plb__policy_list(const struct plb__family *family,
                                 struct plb_policy_entry **list_out, int *n_out);

#endif
