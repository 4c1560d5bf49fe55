/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "replay:PATH": a plan that was saved before, by hand or by "log".
 *
 * PATH is a plan, or a directory: then it is the last of the files *-plan.json there that was made
 * for this graph. It decides nothing; whether the plan is right, and keeps the limits of today, is
 * for the checker to say.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "schedulers/schedulers.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_SUFFIX "-plan.json"

static int is_plan(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(PLAN_SUFFIX);

    return length > suffix && strcmp(entry->d_name + length - suffix, PLAN_SUFFIX) == 0;
}

/* Loads a plan if it was made for the graph. */
static enum plb_status load_matching(const char *directory, const char *name, uint64_t fingerprint,
                                     struct plb_plan *plan_out, bool *found_out)
{
    struct plb_plan plan = {0};
    char *path;
    enum plb_status status;

    PLB_TRY(plb_file_join(directory, name, &path));
    status = plb_plan_load(path, &plan);
    free(path);
    if (status != PLB_OK)
        return status;
    *found_out = plan.fingerprint == fingerprint;
    if (*found_out)
        *plan_out = plan;
    else
        plb_plan_clear(&plan);
    return PLB_OK;
}

static enum plb_status load_latest(const char *directory, uint64_t fingerprint,
                                   struct plb_plan *plan_out)
{
    struct dirent **entry;
    int n = scandir(directory, &entry, is_plan, alphasort);
    bool found = false;
    enum plb_status status = PLB_OK;

    if (n < 0)
        return plb_fail(PLB_ERROR_IO, "cannot read the directory '%s': %s", directory,
                        strerror(errno));
    for (int k = n - 1; k >= 0; k--) {
        if (status == PLB_OK && !found)
            status = load_matching(directory, entry[k]->d_name, fingerprint, plan_out, &found);
        free(entry[k]);
    }
    free(entry);
    if (status == PLB_OK && !found)
        status = plb_fail(PLB_ERROR_INVALID, "none of the %d plans in '%s' is for this graph", n,
                          directory);
    return status;
}

static enum plb_status plan_replay(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    uint64_t fingerprint = plb_graph_fingerprint(problem->graph);

    if (!problem->argument)
        return plb_fail(PLB_ERROR_INVALID, "'replay' needs a plan: replay:PATH");
    if (plb_file_is_directory(problem->argument))
        return load_latest(problem->argument, fingerprint, plan_out);
    PLB_TRY(plb_plan_load(problem->argument, plan_out));
    if (plan_out->fingerprint != fingerprint)
        return plb_fail(PLB_ERROR_INVALID, "the plan in '%s' was made for another graph",
                        problem->argument);
    return PLB_OK;
}

const struct plb_memory_policy plb_memory_replay = {
    .name = "replay",
    .help = "a plan from a file, or from a directory that 'log' wrote",
    .plan = plan_replay,
    .takes = "PATH",
};
