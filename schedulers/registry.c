/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The look-up of policies by name.
 *
 * Names are unique: a policy of the tree wins over one from outside, an earlier library over a
 * later one. Whoever loses is told of once, on standard error, and in the list.
 */
#include "config.h"

#include "runtime/base/report.h"
#include "schedulers/modules.h"
#include "schedulers/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 4096u /* of a name with its argument: a path can be long */

/* A record that was made for a name with an argument. */
struct bound {
    struct bound *next;
    const struct plb__family *family;
    const void *base; /* the record that it is a copy of */
    void *policy;
    char name[]; /* in full; the argument lies within */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below and of modules.c */
static struct bound *bounds;

/* ---- what can be chosen ---- */

struct list {
    const struct plb__family *family;
    struct plb_policy_entry *entry;
    int n;
};

static const struct plb_policy_entry *find_entry(const struct list *list, const char *name)
{
    for (int k = 0; k < list->n; k++)
        if (list->entry[k].policy && strcmp(list->entry[k].name, name) == 0)
            return &list->entry[k];
    return NULL;
}

static void add_entry(struct list *list, const void *policy, const char *origin)
{
    struct plb_policy_entry *entry = &list->entry[list->n++];

    *entry = (struct plb_policy_entry){.policy = policy, .origin = origin};
    list->family->describe(policy, entry);
}

static void add_module(struct list *list, struct plb__module *m)
{
    const void *policy;

    if (!m->module) {
        list->entry[list->n++] =
            (struct plb_policy_entry){.origin = m->path, .problem = m->problem};
        return;
    }
    for (uint32_t k = 0; (policy = list->family->outside(m->module, k)); k++) {
        struct plb_policy_entry entry;
        const struct plb_policy_entry *same;

        list->family->describe(policy, &entry);
        same = find_entry(list, entry.name);
        if (!same) {
            add_entry(list, policy, m->path);
        } else if (!m->warned) {
            plb_report("warning: %s: its policy '%s' is not used, %s has one of that name", m->path,
                       entry.name, same->origin ? same->origin : "palombe");
            m->warned = true;
        }
    }
}

static size_t count_entries(const struct plb__family *family, const struct plb__module *first)
{
    size_t n = 0;

    for (uint32_t k = 0; family->built_in(k); k++)
        n++;
    for (const struct plb__module *m = first; m; m = m->next) {
        n += !m->module;
        for (uint32_t k = 0; m->module && family->outside(m->module, k); k++)
            n++;
    }
    return n;
}

/* With the lock held. */
static enum plb_status make_list(struct list *list)
{
    struct plb__module *first;
    const void *policy;
    size_t most;

    PLB_TRY(plb__modules_find(&first));
    most = count_entries(list->family, first);
    list->entry = calloc(most, sizeof *list->entry);
    if (!list->entry)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to list %zu policies", most);
    for (uint32_t k = 0; (policy = list->family->built_in(k)); k++)
        add_entry(list, policy, NULL);
    for (struct plb__module *m = first; m; m = m->next)
        if (m->listed)
            add_module(list, m);
    return PLB_OK;
}

enum plb_status plb__policy_list(const struct plb__family *family,
                                 struct plb_policy_entry **list_out, int *n_out)
{
    struct list list = {.family = family};
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
        return plb_fail(PLB_ERROR_INVALID, "%s policy '%s' cannot be used: %s %s",
                        list->family->what, name, failed->origin, failed->problem);
    out = open_memstream(&text, &bytes);
    if (!out)
        return plb_fail(PLB_ERROR_INVALID, "unknown %s policy '%s'", list->family->what, name);
    for (int k = 0; k < list->n; k++) {
        const struct plb_policy_entry *entry = &list->entry[k];

        if (entry->policy)
            fprintf(out, "%s%s%s%s", k ? ", " : "", entry->name, entry->takes ? ":" : "",
                    entry->takes ? entry->takes : "");
    }
    for (int k = 0; k < list->n; k++)
        if (list->entry[k].problem)
            fprintf(out, "; %s %s", list->entry[k].origin, list->entry[k].problem);
    fclose(out);
    status = plb_fail(PLB_ERROR_INVALID, "unknown %s policy '%s'; known are: %s",
                      list->family->what, name, text ? text : "");
    free(text);
    return status;
}

static enum plb_status find_locked(const struct plb__family *family, const char *name,
                                   const void **policy_out);

static struct bound *make_bound(const struct plb__family *family, const char *name)
{
    struct bound *bound = calloc(1, sizeof *bound + strlen(name) + 1);

    if (!bound)
        return NULL;
    bound->family = family;
    bound->policy = malloc(family->bytes);
    if (bound->policy) {
        memcpy(bound->name, name, strlen(name) + 1);
        return bound;
    }
    free(bound);
    return NULL;
}

static enum plb_status bind_argument(const struct plb__family *family,
                                     const struct plb_policy_entry *base, const char *name,
                                     const void **policy_out)
{
    const void *inner = NULL;
    struct bound *bound;

    for (bound = bounds; bound; bound = bound->next) {
        if (bound->family == family && bound->base == base->policy &&
            strcmp(bound->name, name) == 0) {
            *policy_out = bound->policy;
            return PLB_OK;
        }
    }
    if (strcmp(base->takes, "POLICY") == 0)
        PLB_TRY(find_locked(family, strchr(name, ':') + 1, &inner));
    bound = make_bound(family, name);
    if (!bound)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the policy '%s'", name);
    bound->base = base->policy;
    memcpy(bound->policy, base->policy, family->bytes);
    family->bind(bound->policy, bound->name, strchr(bound->name, ':') + 1, inner);
    bound->next = bounds;
    bounds = bound;
    *policy_out = bound->policy;
    return PLB_OK;
}

static enum plb_status find_in(const struct list *list, const char *name, const void **policy_out)
{
    const char *what = list->family->what;
    size_t length = strcspn(name, ":");
    char *base = strndup(name, length);
    const struct plb_policy_entry *entry;
    enum plb_status status;

    if (!base)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to find the policy '%s'", name);
    entry = find_entry(list, base);
    if (!entry)
        status = fail_unknown(list, base);
    else if (!entry->takes && name[length])
        status = plb_fail(PLB_ERROR_INVALID, "the %s policy '%s' takes no argument: '%s'", what,
                          base, name);
    else if (entry->takes && (!name[length] || !name[length + 1]))
        status = plb_fail(PLB_ERROR_INVALID, "the %s policy '%s' needs an argument: %s:%s", what,
                          base, base, entry->takes);
    else if (entry->takes)
        status = bind_argument(list->family, entry, name, policy_out);
    else
        *policy_out = entry->policy, status = PLB_OK;
    free(base);
    return status;
}

static enum plb_status find_locked(const struct plb__family *family, const char *name,
                                   const void **policy_out)
{
    struct list list = {.family = family};
    enum plb_status status = make_list(&list);

    if (status == PLB_OK)
        status = find_in(&list, name, policy_out);
    free(list.entry);
    return status;
}

enum plb_status plb__policy_find(const struct plb__family *family, const char *name,
                                 const void **policy_out)
{
    enum plb_status status;

    if (!name)
        name = getenv(family->variable);
    if (!name || !*name)
        name = family->usual;
    if (strnlen(name, NAME_BYTES_MAX) == NAME_BYTES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "the name of a %s policy has %u bytes or more",
                        family->what, NAME_BYTES_MAX);
    pthread_mutex_lock(&lock);
    status = find_locked(family, name, policy_out);
    pthread_mutex_unlock(&lock);
    return status;
}
