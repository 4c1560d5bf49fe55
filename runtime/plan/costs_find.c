/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Costs by name: which of the files that come with Palombe is meant.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "runtime/plan/costs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".json"

/* Names longer than this are not ours. */
#define NAME_MOST 200u

static bool is_path(const char *text)
{
    size_t length = strlen(text), suffix = strlen(SUFFIX);

    return strchr(text, '/') || (length > suffix && strcmp(text + length - suffix, SUFFIX) == 0);
}

static const char *data_directory(void)
{
    const char *directory = getenv("PALOMBE_DATA_DIR");

    return directory && *directory ? directory : PLB_DATA_DIR;
}

static int is_costs(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && is_path(entry->d_name);
}

/* "a, b" of the files of a folder; "none" when there are none. */
static void list_names(const char *directory, char *text, size_t room)
{
    struct dirent **entry = NULL;
    int n = scandir(directory, &entry, is_costs, alphasort);
    size_t used = 0;

    snprintf(text, room, "none");
    for (int k = 0; k < n; k++) {
        size_t length = strlen(entry[k]->d_name) - strlen(SUFFIX);

        if (used + length + 3 <= room)
            used += (size_t)snprintf(text + used, room - used, "%s%.*s", k ? ", " : "", (int)length,
                                     entry[k]->d_name);
        free(entry[k]);
    }
    free(entry);
}

enum plb_status plb_costs_find(const char *name, plb_costs_t **costs_out)
{
    char file[NAME_MOST + sizeof SUFFIX], known[512], *directory = NULL, *path = NULL;
    enum plb_status status;

    if (is_path(name))
        return plb_costs_load(name, costs_out);
    if (*name == '\0' || strlen(name) > NAME_MOST)
        return plb_fail(PLB_ERROR_INVALID, "costs '%.64s': neither a path nor a name", name);
    PLB_TRY(plb_file_join(data_directory(), "costs", &directory));
    snprintf(file, sizeof file, "%s" SUFFIX, name);
    if (plb_file_exists_in(directory, file)) {
        status = plb_file_join(directory, file, &path);
        if (status == PLB_OK)
            status = plb_costs_load(path, costs_out);
    } else {
        list_names(directory, known, sizeof known);
        status = plb_fail(PLB_ERROR_INVALID, "costs '%s' are not known: %s has %s", name, directory,
                          known);
    }
    free(path);
    free(directory);
    return status;
}
