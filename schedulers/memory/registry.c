/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of memory policies.
 */
#include "config.h"

#include "schedulers/registry.h"

static const struct plb_memory_policy *const policies[] = {
    &plb_memory_none,       &plb_memory_block,  &plb_memory_sqrt,   &plb_memory_cheap,
    &plb_memory_knapsack,   &plb_memory_lru,    &plb_memory_swap,   &plb_memory_chain_dp,
    &plb_memory_offload_dp, &plb_memory_online, &plb_memory_starpu, &plb_memory_log,
    &plb_memory_replay,
};
#define N_POLICIES (sizeof policies / sizeof policies[0])

static const void *built_in(uint32_t k)
{
    return k < N_POLICIES ? policies[k] : NULL;
}

static const void *outside(const struct plb_policy_module *module, uint32_t k)
{
    return k < module->n ? module->memory[k] : NULL;
}

static void describe(const void *policy, struct plb_policy_entry *entry)
{
    const struct plb_memory_policy *p = policy;

    entry->name = p->name;
    entry->help = p->help;
    entry->takes = p->takes;
}

static void bind(void *copy, const char *name, const char *argument, const void *inner)
{
    struct plb_memory_policy *p = copy;
    const struct plb_memory_policy *other = inner;

    p->name = name;
    p->argument = argument;
    p->left_to_starpu |= other && other->left_to_starpu;
}

static const struct plb__family family = {
    .what = "memory",
    .variable = "PALOMBE_MEMORY",
    .usual = "none",
    .bytes = sizeof(struct plb_memory_policy),
    .built_in = built_in,
    .outside = outside,
    .describe = describe,
    .bind = bind,
};

const struct plb_memory_policy *const *plb_memory_policies(int *n_out)
{
    int n = 0;

    while (n < (int)N_POLICIES && !policies[n]->takes)
        n++;
    *n_out = n;
    return policies;
}

enum plb_status plb_memory_policy_find(const char *name,
                                       const struct plb_memory_policy **policy_out)
{
    const void *policy;

    PLB_TRY(plb__policy_find(&family, name, &policy));
    *policy_out = policy;
    return PLB_OK;
}

enum plb_status plb_memory_policy_list(struct plb_policy_entry **list_out, int *n_out)
{
    return plb__policy_list(&family, list_out, n_out);
}
