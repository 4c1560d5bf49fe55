/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of policies and the look-up by name.
 */
#include "schedulers/schedulers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct plb_memory_policy *const memory_policies[] = {
    &plb_memory_none,
};

#define N_MEMORY_POLICIES (int)(sizeof memory_policies / sizeof memory_policies[0])

const struct plb_memory_policy *const *plb_memory_policies(int *n_out)
{
    *n_out = N_MEMORY_POLICIES;
    return memory_policies;
}

static enum plb_status fail_unknown(const char *name)
{
    char known[256] = "";

    for (int k = 0; k < N_MEMORY_POLICIES; k++) {
        size_t used = strlen(known);

        snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "",
                 memory_policies[k]->name);
    }
    return plb_fail(PLB_ERROR_INVALID, "unknown memory policy '%s'; known are: %s", name, known);
}

enum plb_status plb_memory_policy_find(const char *name,
                                       const struct plb_memory_policy **policy_out)
{
    if (!name)
        name = getenv("PALOMBE_MEMORY");
    if (!name || !*name)
        name = plb_memory_none.name;
    for (int k = 0; k < N_MEMORY_POLICIES; k++) {
        if (strcmp(memory_policies[k]->name, name) == 0) {
            *policy_out = memory_policies[k];
            return PLB_OK;
        }
    }
    return fail_unknown(name);
}
