/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replacing the files of a directory, with the process dying, or a system call failing, at every
 * single point. The functions of libc that change files stand here before libc's own; each counts,
 * and the n-th one kills the process or fails.
 */
#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "frontends/nn/checkpoint.h"
#include "tests/support/plb_test.h"

enum { DIED = 86, FINISHED = 0, FAILED = 1 };

static enum { GO_ON, DIE, FAIL } fault = GO_ON;
static long fault_at, calls; /* the call number fault_at, from 1, is hit */

/* Whether this call fails. */
static int hit(void)
{
    if (fault == GO_ON || ++calls != fault_at)
        return 0;
    if (fault == DIE)
        _exit(DIED);
    errno = EIO;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to)
{
    return hit() ? -1 : REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return hit() ? -1 : REAL(mkdir)(path, mode);
}

int rmdir(const char *path)
{
    return hit() ? -1 : REAL(rmdir)(path);
}

int unlink(const char *path)
{
    return hit() ? -1 : REAL(unlink)(path);
}

int fsync(int fd)
{
    return hit() ? -1 : REAL(fsync)(fd);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return hit() ? -1 : REAL(pwrite)(fd, data, bytes, offset);
}

static const char *const files[] = {"model", "state", "record"};
enum { FILES = 3, CONTENT = 64 };

static void content(char text[CONTENT], const char *name, int version)
{
    snprintf(text, CONTENT, "%s of version %d", name, version);
}

/* Saves a version; what the trainer does, with small files. */
static enum plb_status save(const char *directory, int version)
{
    plb_checkpoint_t *checkpoint;
    enum plb_status status = PLB_OK;

    PLB_TRY(plb_checkpoint_begin(directory, &checkpoint));
    for (int i = 0; i < FILES && status == PLB_OK; i++) {
        char text[CONTENT], *path = NULL;
        content(text, files[i], version);
        status = plb_file_join(plb_checkpoint_folder(checkpoint), files[i], &path);
        if (status == PLB_OK)
            status = plb_file_write_atomic(path, text, strlen(text));
        free(path);
    }
    if (status == PLB_OK)
        return plb_checkpoint_commit(checkpoint);
    plb_checkpoint_abort(checkpoint);
    return status;
}

/* The version that all files of the set that counts have; -1 when they do not agree. */
static int version_of(const char *directory)
{
    for (int version = 1; version <= 3; version++) {
        int equal = 0;
        for (int i = 0; i < FILES; i++) {
            char text[CONTENT], *path, *found;
            content(text, files[i], version);
            PLB_REQUIRE(plb_checkpoint_find(directory, files[i], &path) == PLB_OK);
            found = plb_test_read_file(path, NULL);
            equal += found && strcmp(found, text) == 0;
            free(found);
            free(path);
        }
        if (equal == FILES)
            return version;
    }
    return -1;
}

/* Entries of a directory beside those of a set that is in place. */
static int litter(const char *directory)
{
    DIR *entries = opendir(directory);
    int n = 0;

    PLB_REQUIRE(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        n++;
    closedir(entries);
    return n - FILES - 2; /* "." and ".." */
}

static const char *fresh(const char *name)
{
    const char *directory = plb_test_tmp(name);

    PLB_REQUIRE(plb_file_make_directory(directory) == PLB_OK);
    PLB_REQUIRE(save(directory, 1) == PLB_OK);
    PLB_CHECK_EQ(version_of(directory), 1);
    PLB_CHECK_EQ(litter(directory), 0);
    return directory;
}

/* Saves version 2 in a child with a fault at call n; the child's exit status. */
static int save_with_fault(const char *directory, int kind, long n)
{
    int status = 0;
    pid_t child = fork();

    PLB_REQUIRE(child >= 0);
    if (child == 0) {
        fault = kind;
        fault_at = n;
        calls = 0;
        enum plb_status saved = save(directory, 2);
        if (calls < n)
            _exit(saved == PLB_OK ? FINISHED : 2);
        _exit(saved == PLB_OK ? 3 : FAILED);
    }
    PLB_REQUIRE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Whenever the process dies, the old or the new set is whole, and the next save works. */
static void a_death_leaves_one_whole_set(void)
{
    bool seen[3] = {false, false, false};
    int status = DIED;
    long n = 1;

    for (; status == DIED && n < 200; n++) {
        char name[64];
        snprintf(name, sizeof name, "die-%ld", n);
        const char *directory = fresh(name);
        status = save_with_fault(directory, DIE, n);
        int version = version_of(directory);
        PLB_CHECK(version == 1 || version == 2);
        seen[version > 0 ? version : 0] = true;
        PLB_CHECK_EQ(save(directory, 3), PLB_OK);
        PLB_CHECK_EQ(version_of(directory), 3);
        PLB_CHECK_EQ(litter(directory), 0);
    }
    PLB_CHECK_EQ(status, FINISHED);
    PLB_CHECK(n > 12);
    PLB_CHECK(seen[1] && seen[2] && !seen[0]);
}

/* Dying again while the next save tidies up after the first death. */
static void a_death_while_tidying_up(void)
{
    for (long first = 1; first < 40; first += 3) {
        for (long second = 1; second < 12; second++) {
            char name[64];
            snprintf(name, sizeof name, "twice-%ld-%ld", first, second);
            const char *directory = fresh(name);
            save_with_fault(directory, DIE, first);
            int before = version_of(directory);
            save_with_fault(directory, DIE, second);
            int version = version_of(directory);
            PLB_CHECK(version == before || version == 2);
        }
    }
}

/* A call that fails is reported, and leaves a whole set too. */
static void a_failure_leaves_one_whole_set(void)
{
    int status = FAILED;
    long n = 1;

    for (; status != FINISHED && n < 200; n++) {
        char name[64];
        snprintf(name, sizeof name, "fail-%ld", n);
        const char *directory = fresh(name);
        status = save_with_fault(directory, FAIL, n);
        PLB_CHECK(status == FAILED || status == FINISHED);
        int version = version_of(directory);
        PLB_CHECK(version == 1 || version == 2);
        PLB_CHECK_EQ(save(directory, 3), PLB_OK);
        PLB_CHECK_EQ(version_of(directory), 3);
        PLB_CHECK_EQ(litter(directory), 0);
    }
    PLB_CHECK_EQ(status, FINISHED);
}

static void other_files_stay(void)
{
    const char *directory = fresh("others");
    char path[4096];

    snprintf(path, sizeof path, "%s/curve.svg", directory);
    PLB_CHECK(plb_test_write_file(path, "svg", 3));
    PLB_CHECK_EQ(save(directory, 2), PLB_OK);
    char *text = plb_test_read_file(path, NULL);
    PLB_CHECK_STRING(text, "svg");
    free(text);
    PLB_CHECK_EQ(litter(directory), 1);
}

static void two_savers_are_told_apart(void)
{
    const char *directory = fresh("two");
    plb_checkpoint_t *first, *second;

    PLB_REQUIRE(plb_checkpoint_begin(directory, &first) == PLB_OK);
    PLB_CHECK_EQ(plb_checkpoint_begin(directory, &second), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "another process");
    plb_checkpoint_abort(first);
    PLB_CHECK_EQ(version_of(directory), 1);
    PLB_CHECK_EQ(litter(directory), 0);
    PLB_CHECK_EQ(save(directory, 2), PLB_OK);
}

static void a_file_is_no_directory(void)
{
    const char *path = plb_test_tmp("plain");
    plb_checkpoint_t *checkpoint;

    PLB_CHECK(plb_test_write_file(path, "x", 1));
    PLB_CHECK_EQ(plb_checkpoint_begin(path, &checkpoint), PLB_ERROR_IO);
}

static void checksums_see_every_byte(void)
{
    enum { BYTES = 3 << 20 };
    char *data = calloc(BYTES, 1);
    const char *path = plb_test_tmp("large");
    uint64_t bytes, hash, other;

    PLB_REQUIRE(data != NULL);
    PLB_CHECK(plb_test_write_file(path, data, BYTES));
    PLB_CHECK_EQ(plb_checkpoint_checksum(path, &bytes, &hash), PLB_OK);
    PLB_CHECK_EQ(bytes, BYTES);
    for (int at = 0; at < BYTES; at += (1 << 20) - 1) {
        data[at] = 1;
        PLB_CHECK(plb_test_write_file(path, data, BYTES));
        PLB_CHECK_EQ(plb_checkpoint_checksum(path, &bytes, &other), PLB_OK);
        PLB_CHECK(other != hash);
        data[at] = 0;
    }
    free(data);
    PLB_CHECK_EQ(plb_checkpoint_checksum(plb_test_tmp("missing"), &bytes, &hash), PLB_ERROR_IO);
}

PLB_TEST_MAIN("frontends/nn/checkpoint", NULL, NULL, PLB_TEST(a_death_leaves_one_whole_set),
              PLB_TEST(a_death_while_tidying_up), PLB_TEST(a_failure_leaves_one_whole_set),
              PLB_TEST(other_files_stay), PLB_TEST(two_savers_are_told_apart),
              PLB_TEST(a_file_is_no_directory), PLB_TEST(checksums_see_every_byte))
