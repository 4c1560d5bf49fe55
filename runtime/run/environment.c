/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The environment that StarPU reads, looked at before StarPU does.
 *
 * StarPU ends the process on a variable that it cannot read, a policy that it does not know, or a
 * folder that it cannot write. Here the first two are refused with a sentence, and another folder
 * is chosen.
 */
#define _GNU_SOURCE
#include "runtime/run/run_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Policies from a library of the user's (STARPU_SCHED_LIB) are StarPU's to find. */
static enum plb_status check_scheduler(void)
{
    const char *name = getenv("STARPU_SCHED");
    struct starpu_sched_policy **known = starpu_sched_get_predefined_policies();
    char names[512] = "";

    if (!name || !*name || getenv("STARPU_SCHED_LIB"))
        return PLB_OK;
    for (; *known; known++) {
        size_t used = strlen(names);

        if (strcmp((*known)->policy_name, name) == 0)
            return PLB_OK;
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                 (*known)->policy_name);
    }
    return plb_fail(PLB_ERROR_INVALID, "STARPU_SCHED names the unknown policy '%s'; known are: %s",
                    name, names);
}

/* The numbers that users set; StarPU reads more of them. */
static enum plb_status check_numbers(void)
{
    static const char *const names[] = {"STARPU_NCPU",         "STARPU_NCPUS",
                                        "STARPU_RESERVE_NCPU", "STARPU_NCUDA",
                                        "STARPU_NOPENCL",      "STARPU_NTHREADS_PER_CORE",
                                        "STARPU_CALIBRATE",    "STARPU_MAIN_THREAD_BIND"};

    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        const char *text = getenv(names[k]);
        char *end;

        if (!text)
            continue;
        if (strtol(text, &end, 10) < 0 || end == text || *end)
            return plb_fail(PLB_ERROR_INVALID, "%s wants a whole number from 0 on, not '%s'",
                            names[k], text);
    }
    return PLB_OK;
}

static bool can_have_folder(const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return false;
    return access(path, R_OK | W_OK | X_OK) == 0;
}

/* May StarPU keep its performance models under `base`? Its folders are made to find out; a folder
 * that was made for root by an earlier run shows here, too. */
static bool can_keep_models(const char *base)
{
    static const char *const folders[] = {"/.starpu", "/.starpu/sampling", "/.starpu/sampling/bus",
                                          "/.starpu/sampling/codelets"};
    char path[PATH_MAX];

    for (size_t k = 0; k < sizeof folders / sizeof folders[0]; k++) {
        int n = snprintf(path, sizeof path, "%s%s", base, folders[k]);

        if (n < 0 || (size_t)n >= sizeof path || !can_have_folder(path))
            return false;
    }
    return true;
}

/* A folder of this user's alone among the temporary ones. */
static enum plb_status use_temporary_folder(const char *base)
{
    const char *temporary = getenv("TMPDIR");
    char folder[PATH_MAX];
    struct stat info;

    if (!temporary || access(temporary, W_OK | X_OK) != 0)
        temporary = "/tmp";
    snprintf(folder, sizeof folder, "%s/palombe-starpu-%u", temporary, (unsigned)getuid());
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return plb_fail(PLB_ERROR_IO,
                        "StarPU can keep its performance models neither under '%s' nor in %s (%s): "
                        "set STARPU_PERF_MODEL_DIR",
                        base, folder, strerror(errno));
    if (lstat(folder, &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != getuid())
        return plb_fail(PLB_ERROR_IO, "%s is not a folder of this user: set STARPU_PERF_MODEL_DIR",
                        folder);
    setenv("STARPU_PERF_MODEL_DIR", folder, 1);
    return PLB_OK;
}

/* StarPU keeps its performance models under the first of these variables that is set. */
static enum plb_status choose_model_folder(void)
{
    static const char *const names[] = {"XDG_CACHE_HOME", "STARPU_HOME", "HOME"};
    const char *base = NULL;

    if (getenv("STARPU_PERF_MODEL_DIR"))
        return PLB_OK;
    for (size_t k = 0; k < sizeof names / sizeof names[0] && !base; k++)
        base = getenv(names[k]);
    if (base && *base && can_keep_models(base))
        return PLB_OK;
    return use_temporary_folder(base ? base : "");
}

enum plb_status plb__environment_check(void)
{
    PLB_TRY(check_scheduler());
    PLB_TRY(check_numbers());
    return choose_model_folder();
}
