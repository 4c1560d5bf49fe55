/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of parallel policies and the look-up by name.
 */
#include "config.h"

#include "schedulers/schedulers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct plb_parallel_policy *const policies[] = {
    &plb_parallel_none,  &plb_parallel_dp,          &plb_parallel_tp,    &plb_parallel_gpipe,
    &plb_parallel_1f1b,  &plb_parallel_1f1b_split,  &plb_parallel_interleaved,
    &plb_parallel_zb_h1, &plb_parallel_zb_v,        &plb_parallel_zb_greedy,
};
#define N_POLICIES (int)(sizeof policies / sizeof policies[0])

const struct plb_parallel_policy *const *plb_parallel_policies(int *n_out)
{
    *n_out = N_POLICIES;
    return policies;
}

static enum plb_status fail_unknown(const char *name)
{
    char known[512] = "";
    size_t n = 0;

    for (int k = 0; k < N_POLICIES && n < sizeof known; k++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", k ? ", " : "",
                              policies[k]->name);
    return plb_fail(PLB_ERROR_INVALID, "unknown parallel policy '%s'; known are: %s", name, known);
}

enum plb_status plb_parallel_policy_find(const char *name,
                                         const struct plb_parallel_policy **policy_out)
{
    if (!name)
        name = getenv("PALOMBE_PARALLEL");
    if (!name || !*name)
        name = plb_parallel_none.name;
    for (int k = 0; k < N_POLICIES; k++) {
        if (strcmp(policies[k]->name, name) == 0) {
            *policy_out = policies[k];
            return PLB_OK;
        }
    }
    return fail_unknown(name);
}
