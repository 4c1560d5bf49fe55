/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of parallel policies.
 */
#include "config.h"

#include "schedulers/registry.h"

static const struct plb_parallel_policy *const policies[] = {
    &plb_parallel_none,  &plb_parallel_dp,          &plb_parallel_tp,    &plb_parallel_gpipe,
    &plb_parallel_1f1b,  &plb_parallel_1f1b_split,  &plb_parallel_interleaved,
    &plb_parallel_zb_h1, &plb_parallel_zb_v,        &plb_parallel_zb_greedy,
    &plb_parallel_auto,
};
#define N_POLICIES (sizeof policies / sizeof policies[0])

static const void *built_in(uint32_t k)
{
    return k < N_POLICIES ? policies[k] : NULL;
}

static const void *outside(const struct plb_policy_module *module, uint32_t k)
{
    return k < module->n_parallel ? module->parallel[k] : NULL;
}

static void describe(const void *policy, struct plb_policy_entry *entry)
{
    const struct plb_parallel_policy *p = policy;

    entry->name = p->name;
    entry->help = p->help;
    entry->takes = p->takes;
}

static void bind(void *copy, const char *name, const char *argument, const void *inner)
{
    struct plb_parallel_policy *p = copy;

    (void)inner;
    p->name = name;
    p->argument = argument;
}

static const struct plb__family family = {
    .what = "parallel",
    .variable = "PALOMBE_PARALLEL",
    .usual = "none",
    .bytes = sizeof(struct plb_parallel_policy),
    .built_in = built_in,
    .outside = outside,
    .describe = describe,
    .bind = bind,
};

const struct plb_parallel_policy *const *plb_parallel_policies(int *n_out)
{
    *n_out = (int)N_POLICIES;
    return policies;
}

enum plb_status plb_parallel_policy_find(const char *name,
                                         const struct plb_parallel_policy **policy_out)
{
    const void *policy;

    PLB_TRY(plb__policy_find(&family, name, &policy));
    *policy_out = policy;
    return PLB_OK;
}

enum plb_status plb_parallel_policy_list(struct plb_policy_entry **list_out, int *n_out)
{
    return plb__policy_list(&family, list_out, n_out);
}
