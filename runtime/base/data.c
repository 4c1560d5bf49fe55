/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data by name: which of the files that come with Palombe is meant.
 */
#include "config.h"

#include "runtime/base/data.h"

#include "runtime/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".json"

/* Names longer than this are not ours. */
#define NAME_MOST 200u

bool plb_data_is_path(const char *text)
{
    size_t length = strlen(text), suffix = strlen(SUFFIX);

    return strchr(text, '/') || (length > suffix && strcmp(text + length - suffix, SUFFIX) == 0);
}

static const char *data_directory(void)
{
    const char *directory = getenv("PALOMBE_DATA_DIR");

    return directory && *directory ? directory : PLB_DATA_DIR;
}

static int is_data(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && plb_data_is_path(entry->d_name);
}

/* "a, b" of the files of a folder; "none" when there are none. */
static void list_names(const char *directory, char *text, size_t room)
{
    struct dirent **entry = NULL;
    int n = scandir(directory, &entry, is_data, alphasort);
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

static enum plb_status find_in(const char *directory, const char *folder, const char *name,
                               char **path_out)
{
    char file[NAME_MOST + sizeof SUFFIX], known[512];

    snprintf(file, sizeof file, "%s" SUFFIX, name);
    if (plb_file_exists_in(directory, file))
        return plb_file_join(directory, file, path_out);
    list_names(directory, known, sizeof known);
    return plb_fail(PLB_ERROR_INVALID, "%s: '%s' is not known; %s has %s", folder, name, directory,
                    known);
}

enum plb_status plb_data_path(const char *folder, const char *name, char **path_out)
{
    char *directory = NULL;
    enum plb_status status;

    if (*name == '\0' || (!plb_data_is_path(name) && strlen(name) > NAME_MOST))
        return plb_fail(PLB_ERROR_INVALID, "%s: '%.64s' is neither a path nor a name", folder,
                        name);
    if (plb_data_is_path(name)) {
        *path_out = strdup(name);
        return *path_out ? PLB_OK : plb_fail(PLB_ERROR_MEMORY, "no memory for a path");
    }
    PLB_TRY(plb_file_join(data_directory(), folder, &directory));
    status = find_in(directory, folder, name, path_out);
    free(directory);
    return status;
}
