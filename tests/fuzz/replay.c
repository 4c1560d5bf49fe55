/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over files: those of the folders that are given as arguments, or of the
 * target's folder in the stored corpus. main returns 0 or 1 only; what the target must not do ends
 * the program with a signal.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_BYTES_MAX = 16 * 1024 * 1024, SECONDS_MAX = 300 };

/* Whether the file could be read and was fed. */
static int replay_file(const char *folder, const char *name)
{
    char *path = NULL, *data = NULL;
    size_t bytes = 0;
    if (plb_file_join(folder, name, &path) != PLB_OK ||
        plb_file_read(path, INPUT_BYTES_MAX, &data, &bytes) != PLB_OK) {
        fprintf(stderr, "%s\n", plb_error_message());
        free(path);
        return 0;
    }
    fprintf(stderr, "%s\n", path);
    /* A copy of the exact size, so that a sanitizer sees the first byte that is read beyond it. */
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    if (exact != NULL) {
        memcpy(exact, data, bytes);
        LLVMFuzzerTestOneInput(exact, bytes);
    }
    free(path);
    free(data);
    int fed = exact != NULL;
    free(exact);
    return fed;
}

/* How many files were fed; -1 when the folder or one of them cannot be read. */
static int replay_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        fprintf(stderr, "cannot open the folder %s\n", folder);
        return -1;
    }
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] != '.')
            count = replay_file(folder, entry->d_name) ? count + 1 : -1;
    }
    closedir(entries);
    return count;
}

int main(int argc, char **argv)
{
    const char *source = getenv("PLB_TEST_SRCDIR");
    char stored[4096];
    int total = 0;
    alarm(SECONDS_MAX);
    snprintf(stored, sizeof stored, "%s/tests/fuzz/corpus/%s", source != NULL ? source : ".",
             plb_fuzz_name);
    for (int i = 1; i < argc || i == 1; i++) {
        int count = replay_folder(i < argc ? argv[i] : stored);
        if (count <= 0)
            return 1;
        total += count;
    }
    printf("%s: %d inputs\n", plb_fuzz_name, total);
    return 0;
}
