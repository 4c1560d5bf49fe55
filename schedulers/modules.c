/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding and loading policies from outside the tree. What is checked here is that a library was
 * built for this Palombe and says something usable; which of its names counts, registry.c decides.
 */
#include "config.h"

#include "schedulers/modules.h"

#include "runtime/base/file.h"
#include "runtime/plan/parallel.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE_SYMBOL  "plb_policy_module"
#define SUFFIX         ".so"
#define POLICIES_MAX   64u /* of one library; more is taken for a record that is none */
#define NAME_MAX_BYTES 48u

static struct plb__module *modules;
static char *searched; /* what PALOMBE_POLICY_PATH was when `modules` was found */

/* Notes what speaks against a library; false, so that a check can end with it. */
static bool refuse(struct plb__module *m, const char *text, ...)
    __attribute__((format(printf, 2, 3)));
static bool refuse(struct plb__module *m, const char *text, ...)
{
    va_list arguments;

    va_start(arguments, text);
    vsnprintf(m->problem, sizeof m->problem, text, arguments);
    va_end(arguments);
    return false;
}

/* ---- one library ---- */

static const char *name_problem(const char *name)
{
    if (!name || !*name)
        return "has a policy without a name";
    if (strnlen(name, NAME_MAX_BYTES) == NAME_MAX_BYTES)
        return "has a policy with too long a name";
    if (strpbrk(name, ":, \t\n"))
        return "has a policy whose name contains a colon, a comma or a blank";
    return NULL;
}

/* What policies of all kinds must have. */
static bool check_policy(struct plb__module *m, const char *name, const char *help, bool plans,
                         const char *argument)
{
    const char *problem = name_problem(name);

    if (problem)
        return refuse(m, "%s", problem);
    if (!plans)
        return refuse(m, "has no function 'plan' in its policy '%s'", name);
    if (!help)
        return refuse(m, "has no line of help in its policy '%s'", name);
    if (argument)
        return refuse(m, "sets 'argument' in its policy '%s'", name);
    return true;
}

static bool check_record(struct plb__module *m, uint32_t n, uint32_t record, size_t here)
{
    if (n > 0 && record != here)
        return refuse(m, "was built with records of %u bytes, this Palombe has %zu", record, here);
    return true;
}

static bool check_memory(struct plb__module *m, const struct plb_memory_policy *p)
{
    return p ? check_policy(m, p->name, p->help, p->plan, p->argument)
             : refuse(m, "has an empty record");
}

static bool check_parallel(struct plb__module *m, const struct plb_parallel_policy *p)
{
    return p ? check_policy(m, p->name, p->help, p->plan, p->argument)
             : refuse(m, "has an empty record");
}

static bool check_module(struct plb__module *m, const struct plb_policy_module *module)
{
    bool good = true;

    if (module->abi != PLB_POLICY_ABI)
        return refuse(m, "was built for policy ABI %u, this Palombe has %u", module->abi,
                      PLB_POLICY_ABI);
    if (!check_record(m, module->n, module->record, sizeof(struct plb_memory_policy)) ||
        !check_record(m, module->n_parallel, module->record_parallel,
                      sizeof(struct plb_parallel_policy)))
        return false;
    if (module->n + module->n_parallel == 0 || module->n > POLICIES_MAX ||
        module->n_parallel > POLICIES_MAX || (module->n > 0 && !module->memory) ||
        (module->n_parallel > 0 && !module->parallel))
        return refuse(m, "lists %u and %u policies, not 1 to %u", module->n, module->n_parallel,
                      POLICIES_MAX);
    for (uint32_t k = 0; good && k < module->n; k++)
        good = check_memory(m, module->memory[k]);
    for (uint32_t k = 0; good && k < module->n_parallel; k++)
        good = check_parallel(m, module->parallel[k]);
    return good;
}

/* dlerror() begins with the path, which is told anyway. */
static void refuse_as_loader(struct plb__module *m)
{
    const char *said = dlerror();
    size_t length = strlen(m->path);

    if (said && strncmp(said, m->path, length) == 0 && strncmp(said + length, ": ", 2) == 0)
        said += length + 2;
    refuse(m, "does not load: %s", said ? said : "no reason is given");
}

static void load(struct plb__module *m)
{
    void *library = dlopen(m->path, RTLD_NOW | RTLD_LOCAL);
    const struct plb_policy_module *module;

    if (!library) {
        refuse_as_loader(m);
        return;
    }
    module = dlsym(library, MODULE_SYMBOL);
    if (module && check_module(m, module)) {
        m->module = module;
        return;
    }
    if (!module)
        refuse(m, "has no symbol '" MODULE_SYMBOL "'");
    dlclose(library);
}

/* ---- the list ---- */

static void destroy(struct plb__module *m)
{
    free(m->path);
    free(m);
}

static struct plb__module *create(const char *path)
{
    struct plb__module *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->path = strdup(path);
    if (m->path)
        return m;
    destroy(m);
    return NULL;
}

/* Takes the loaded library of this path out of the former list; NULL when it is not there. */
static struct plb__module *take_loaded(struct plb__module **former, const char *path)
{
    for (struct plb__module **at = former; *at; at = &(*at)->next) {
        struct plb__module *m = *at;

        if (!m->module || strcmp(m->path, path) != 0)
            continue;
        *at = m->next;
        m->next = NULL;
        return m;
    }
    return NULL;
}

struct search {
    struct plb__module *former;
    struct plb__module **end; /* where the next one is put */
};

static struct plb__module *put(struct search *search, struct plb__module *m)
{
    m->listed = true;
    *search->end = m;
    search->end = &m->next;
    return m;
}

static bool is_listed(const char *path)
{
    for (struct plb__module *m = modules; m; m = m->next)
        if (strcmp(m->path, path) == 0)
            return true;
    return false;
}

static enum plb_status add_library(struct search *search, const char *path)
{
    struct plb__module *m;

    if (is_listed(path))
        return PLB_OK;
    m = take_loaded(&search->former, path);
    if (m) {
        put(search, m);
        return PLB_OK;
    }
    m = create(path);
    if (!m)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to load '%s'", path);
    load(put(search, m));
    return PLB_OK;
}

static int is_library(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > strlen(SUFFIX) && entry->d_name[0] != '.' &&
           strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static enum plb_status add_unreadable(struct search *search, const char *directory)
{
    int cause = errno;
    struct plb__module *m = cause == ENOMEM ? NULL : create(directory);

    if (!m)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to search '%s'", directory);
    refuse(put(search, m), "is no directory that can be read: %s", strerror(cause));
    return PLB_OK;
}

static enum plb_status add_directory(struct search *search, const char *directory)
{
    struct dirent **entry;
    int n = scandir(directory, &entry, is_library, alphasort);
    enum plb_status status = PLB_OK;

    if (n < 0)
        return add_unreadable(search, directory);
    for (int k = 0; k < n; k++) {
        char *path = NULL;

        if (status == PLB_OK)
            status = plb_file_join(directory, entry[k]->d_name, &path);
        if (status == PLB_OK)
            status = add_library(search, path);
        free(path);
        free(entry[k]);
    }
    free(entry);
    return status;
}

static enum plb_status add_directories(struct search *search, char *path)
{
    char *rest = NULL;

    for (char *d = strtok_r(path, ":", &rest); d; d = strtok_r(NULL, ":", &rest))
        PLB_TRY(add_directory(search, d));
    return PLB_OK;
}

/* What is left of the former list: loaded libraries stay loaded, unlisted. */
static void keep_loaded(struct search *search)
{
    while (search->former) {
        struct plb__module *m = search->former;

        search->former = m->next;
        m->next = NULL;
        if (m->module)
            put(search, m)->listed = false;
        else
            destroy(m);
    }
}

enum plb_status plb__modules_find(struct plb__module **first_out)
{
    const char *path = getenv("PALOMBE_POLICY_PATH");
    struct search search = {.former = modules, .end = &modules};
    enum plb_status status;
    char *now, *parts;

    *first_out = modules;
    if (searched && strcmp(searched, path ? path : "") == 0)
        return PLB_OK;
    now = strdup(path ? path : "");
    parts = strdup(path ? path : "");
    free(searched);
    searched = NULL;
    if (!now || !parts) {
        free(now);
        free(parts);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to search PALOMBE_POLICY_PATH");
    }
    modules = NULL;
    status = add_directories(&search, parts);
    keep_loaded(&search);
    free(parts);
    if (status == PLB_OK)
        searched = now;
    else
        free(now);
    *first_out = modules;
    return status;
}
