/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of policies and the look-up by name.
 *
 * Names are unique: a policy of the tree wins over one from outside, an earlier library over a
 * later one. Whoever loses is told of once, on standard error, and in the list.
 */
#include "config.h"

#include "runtime/base/report.h"
#include "schedulers/modules.h"
#include "schedulers/schedulers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct plb_memory_policy *const memory_policies[] = {
    &plb_memory_none,       &plb_memory_block,  &plb_memory_sqrt,   &plb_memory_cheap,
    &plb_memory_knapsack,   &plb_memory_lru,    &plb_memory_swap,   &plb_memory_chain_dp,
    &plb_memory_offload_dp, &plb_memory_online, &plb_memory_starpu, &plb_memory_log,
    &plb_memory_replay,
};

#define N_MEMORY_POLICIES (int)(sizeof memory_policies / sizeof memory_policies[0])
#define NAME_BYTES_MAX    4096u /* of a name with its argument: a path can be long */

/* A record that was made for a name with an argument. */
struct bound {
    struct bound *next;
    struct plb_memory_policy policy;
    char name[]; /* in full; the argument lies within */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below and of modules.c */
static struct bound *bounds;

const struct plb_memory_policy *const *plb_memory_policies(int *n_out)
{
    int n = 0;

    while (n < N_MEMORY_POLICIES && !memory_policies[n]->takes)
        n++;
    *n_out = n;
    return memory_policies;
}

/* ---- what can be chosen ---- */

struct list {
    struct plb_policy_entry *entry;
    int n;
};

static const struct plb_policy_entry *find_entry(const struct list *list, const char *name)
{
    for (int k = 0; k < list->n; k++)
        if (list->entry[k].policy && strcmp(list->entry[k].policy->name, name) == 0)
            return &list->entry[k];
    return NULL;
}

static void add_module(struct list *list, struct plb__module *m)
{
    if (!m->module) {
        list->entry[list->n++] = (struct plb_policy_entry){NULL, m->path, m->problem};
        return;
    }
    for (uint32_t k = 0; k < m->module->n; k++) {
        const struct plb_memory_policy *policy = m->module->memory[k];
        const struct plb_policy_entry *same = find_entry(list, policy->name);

        if (!same) {
            list->entry[list->n++] = (struct plb_policy_entry){policy, m->path, NULL};
        } else if (!m->warned) {
            plb_report("warning: %s: its policy '%s' is not used, %s has one of that name", m->path,
                       policy->name, same->origin ? same->origin : "palombe");
            m->warned = true;
        }
    }
}

/* With the lock held. */
static enum plb_status make_list(struct list *list)
{
    struct plb__module *first;
    size_t most = N_MEMORY_POLICIES;

    PLB_TRY(plb__modules_find(&first));
    for (struct plb__module *m = first; m; m = m->next)
        most += m->module ? m->module->n : 1;
    list->entry = calloc(most, sizeof *list->entry);
    if (!list->entry)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to list %zu policies", most);
    for (; list->n < N_MEMORY_POLICIES; list->n++)
        list->entry[list->n].policy = memory_policies[list->n];
    for (struct plb__module *m = first; m; m = m->next)
        if (m->listed)
            add_module(list, m);
    return PLB_OK;
}

enum plb_status plb_memory_policy_list(struct plb_policy_entry **list_out, int *n_out)
{
    struct list list = {NULL, 0};
    enum plb_status status;

    pthread_mutex_lock(&lock);
    status = make_list(&list);
    pthread_mutex_unlock(&lock);
    if (status != PLB_OK)
        return status;
    *list_out = list.entry;
    *n_out = list.n;
    return PLB_OK;
}

/* ---- one name ---- */

/* The library that is called like the policy that was asked for. */
static const struct plb_policy_entry *find_failed(const struct list *list, const char *name)
{
    for (int k = 0; k < list->n; k++) {
        const char *file = list->entry[k].problem ? strrchr(list->entry[k].origin, '/') : NULL;

        if (file && strncmp(file + 1, name, strlen(name)) == 0 &&
            strcmp(file + 1 + strlen(name), ".so") == 0)
            return &list->entry[k];
    }
    return NULL;
}

static enum plb_status fail_unknown(const struct list *list, const char *name)
{
    const struct plb_policy_entry *failed = find_failed(list, name);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out;
    enum plb_status status;

    if (failed)
        return plb_fail(PLB_ERROR_INVALID, "memory policy '%s' cannot be used: %s %s", name,
                        failed->origin, failed->problem);
    out = open_memstream(&text, &bytes);
    if (!out)
        return plb_fail(PLB_ERROR_INVALID, "unknown memory policy '%s'", name);
    for (int k = 0; k < list->n; k++) {
        const struct plb_memory_policy *policy = list->entry[k].policy;

        if (policy)
            fprintf(out, "%s%s%s%s", k ? ", " : "", policy->name, policy->takes ? ":" : "",
                    policy->takes ? policy->takes : "");
    }
    for (int k = 0; k < list->n; k++)
        if (list->entry[k].problem)
            fprintf(out, "; %s %s", list->entry[k].origin, list->entry[k].problem);
    fclose(out);
    status = plb_fail(PLB_ERROR_INVALID, "unknown memory policy '%s'; known are: %s", name,
                      text ? text : "");
    free(text);
    return status;
}

static enum plb_status find_locked(const char *name, const struct plb_memory_policy **policy_out);

static enum plb_status bind_argument(const struct plb_memory_policy *base, const char *name,
                                     const struct plb_memory_policy **policy_out)
{
    const struct plb_memory_policy *inner = NULL;
    struct bound *bound;

    for (bound = bounds; bound; bound = bound->next) {
        if (strcmp(bound->name, name) == 0 && bound->policy.plan == base->plan) {
            *policy_out = &bound->policy;
            return PLB_OK;
        }
    }
    if (strcmp(base->takes, "POLICY") == 0)
        PLB_TRY(find_locked(strchr(name, ':') + 1, &inner));
    bound = calloc(1, sizeof *bound + strlen(name) + 1);
    if (!bound)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the policy '%s'", name);
    memcpy(bound->name, name, strlen(name) + 1);
    bound->policy = *base;
    bound->policy.name = bound->name;
    bound->policy.argument = strchr(bound->name, ':') + 1;
    bound->policy.left_to_starpu |= inner && inner->left_to_starpu;
    bound->next = bounds;
    bounds = bound;
    *policy_out = &bound->policy;
    return PLB_OK;
}

static enum plb_status find_in(const struct list *list, const char *name,
                               const struct plb_memory_policy **policy_out)
{
    size_t length = strcspn(name, ":");
    char *base = strndup(name, length);
    const struct plb_policy_entry *entry;
    enum plb_status status;

    if (!base)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to find the policy '%s'", name);
    entry = find_entry(list, base);
    if (!entry)
        status = fail_unknown(list, base);
    else if (!entry->policy->takes && name[length])
        status = plb_fail(PLB_ERROR_INVALID, "the memory policy '%s' takes no argument: '%s'", base,
                          name);
    else if (entry->policy->takes && (!name[length] || !name[length + 1]))
        status = plb_fail(PLB_ERROR_INVALID, "the memory policy '%s' needs an argument: %s:%s",
                          base, base, entry->policy->takes);
    else if (entry->policy->takes)
        status = bind_argument(entry->policy, name, policy_out);
    else
        *policy_out = entry->policy, status = PLB_OK;
    free(base);
    return status;
}

static enum plb_status find_locked(const char *name, const struct plb_memory_policy **policy_out)
{
    struct list list = {NULL, 0};
    enum plb_status status = make_list(&list);

    if (status == PLB_OK)
        status = find_in(&list, name, policy_out);
    free(list.entry);
    return status;
}

enum plb_status plb_memory_policy_find(const char *name,
                                       const struct plb_memory_policy **policy_out)
{
    enum plb_status status;

    if (!name)
        name = getenv("PALOMBE_MEMORY");
    if (!name || !*name)
        name = plb_memory_none.name;
    if (strnlen(name, NAME_BYTES_MAX) == NAME_BYTES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "the name of a memory policy has %u bytes or more",
                        NAME_BYTES_MAX);
    pthread_mutex_lock(&lock);
    status = find_locked(name, policy_out);
    pthread_mutex_unlock(&lock);
    return status;
}
