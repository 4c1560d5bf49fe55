/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory protocol of checkpoints. What is in the files is the business of trainer_file.c. */
#include "config.h"

#include "frontends/nn/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"

#define SAVING         ".saving"
#define SAVED          ".saved"
#define CHECKSUM_BLOCK (1u << 20)

struct plb_checkpoint {
    char *directory, *saving, *saved;
    int lock; /* the open directory, which is locked; closing it unlocks */
};

static enum plb_status io_error(const char *what, const char *path)
{
    return plb_fail(PLB_ERROR_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static void checkpoint_free(plb_checkpoint_t *checkpoint)
{
    if (checkpoint->lock >= 0)
        close(checkpoint->lock);
    free(checkpoint->directory);
    free(checkpoint->saving);
    free(checkpoint->saved);
    free(checkpoint);
}

static enum plb_status sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return io_error("open", path);
    /* Some file systems cannot sync a directory and say EINVAL. */
    enum plb_status status = fsync(fd) != 0 && errno != EINVAL ? io_error("sync", path) : PLB_OK;
    close(fd);
    return status;
}

/* Does `each` to every entry of a folder; a folder that is missing has none. */
static enum plb_status for_entries(const char *folder, const char *to,
                                   enum plb_status (*each)(const char *path, const char *name,
                                                           const char *to))
{
    DIR *entries = opendir(folder);
    enum plb_status status = PLB_OK;
    struct dirent *entry;

    if (!entries)
        return errno == ENOENT ? PLB_OK : io_error("read", folder);
    while (status == PLB_OK && (entry = readdir(entries)) != NULL) {
        char *path;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        status = plb_file_join(folder, entry->d_name, &path);
        if (status == PLB_OK) {
            status = each(path, entry->d_name, to);
            free(path);
        }
    }
    closedir(entries);
    return status;
}

static enum plb_status remove_entry(const char *path, const char *name, const char *to)
{
    (void)name;
    (void)to;
    return unlink(path) == 0 || errno == ENOENT ? PLB_OK : io_error("remove", path);
}

static enum plb_status remove_if_possible(const char *path, const char *name, const char *to)
{
    (void)name;
    (void)to;
    unlink(path);
    return PLB_OK;
}

static enum plb_status move_entry(const char *path, const char *name, const char *to)
{
    char *target;

    PLB_TRY(plb_file_join(to, name, &target));
    enum plb_status status = rename(path, target) == 0 ? PLB_OK : io_error("replace", target);
    free(target);
    return status;
}

static enum plb_status remove_folder(const char *path)
{
    return rmdir(path) == 0 || errno == ENOENT ? PLB_OK : io_error("remove", path);
}

/* Moves the files of a finished save to their places. Done twice it does nothing more. */
static enum plb_status put_in_place(const plb_checkpoint_t *checkpoint)
{
    PLB_TRY(for_entries(checkpoint->saved, checkpoint->directory, move_entry));
    PLB_TRY(sync_folder(checkpoint->directory));
    return remove_folder(checkpoint->saved);
}

static enum plb_status clear_saving(const plb_checkpoint_t *checkpoint)
{
    PLB_TRY(for_entries(checkpoint->saving, NULL, remove_entry));
    return remove_folder(checkpoint->saving);
}

static enum plb_status lock_directory(plb_checkpoint_t *checkpoint)
{
    checkpoint->lock = open(checkpoint->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (checkpoint->lock < 0)
        return io_error("open", checkpoint->directory);
    if (flock(checkpoint->lock, LOCK_EX | LOCK_NB) == 0)
        return PLB_OK;
    if (errno == EWOULDBLOCK)
        return plb_fail(PLB_ERROR_IO, "%s: another process is saving to it", checkpoint->directory);
    /* A file system without locks: go on without. */
    return errno == ENOLCK || errno == EOPNOTSUPP || errno == EINVAL
               ? PLB_OK
               : io_error("lock", checkpoint->directory);
}

static enum plb_status prepare(plb_checkpoint_t *checkpoint)
{
    PLB_TRY(plb_file_make_directory(checkpoint->directory));
    PLB_TRY(lock_directory(checkpoint));
    PLB_TRY(put_in_place(checkpoint));
    PLB_TRY(clear_saving(checkpoint));
    return mkdir(checkpoint->saving, 0777) == 0 ? PLB_OK : io_error("make", checkpoint->saving);
}

enum plb_status plb_checkpoint_begin(const char *directory, plb_checkpoint_t **checkpoint_out)
{
    plb_checkpoint_t *checkpoint = calloc(1, sizeof *checkpoint);
    enum plb_status status = PLB_OK;

    if (!checkpoint)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a checkpoint");
    checkpoint->lock = -1;
    checkpoint->directory = strdup(directory);
    if (!checkpoint->directory)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for a checkpoint");
    if (status == PLB_OK)
        status = plb_file_join(directory, SAVING, &checkpoint->saving);
    if (status == PLB_OK)
        status = plb_file_join(directory, SAVED, &checkpoint->saved);
    if (status == PLB_OK)
        status = prepare(checkpoint);
    if (status != PLB_OK) {
        checkpoint_free(checkpoint);
        return status;
    }
    *checkpoint_out = checkpoint;
    return PLB_OK;
}

const char *plb_checkpoint_folder(const plb_checkpoint_t *checkpoint)
{
    return checkpoint->saving;
}

/* Makes the new files count. */
static enum plb_status seal(const plb_checkpoint_t *checkpoint)
{
    PLB_TRY(sync_folder(checkpoint->saving));
    return rename(checkpoint->saving, checkpoint->saved) == 0
               ? PLB_OK
               : io_error("rename", checkpoint->saving);
}

enum plb_status plb_checkpoint_commit(plb_checkpoint_t *checkpoint)
{
    enum plb_status status = seal(checkpoint);

    if (status != PLB_OK) {
        plb_checkpoint_abort(checkpoint);
        return status;
    }
    status = sync_folder(checkpoint->directory);
    if (status == PLB_OK)
        status = put_in_place(checkpoint);
    if (status != PLB_OK)
        status =
            plb_fail_within(status, "the checkpoint is whole, but still in %s", checkpoint->saved);
    checkpoint_free(checkpoint);
    return status;
}

void plb_checkpoint_abort(plb_checkpoint_t *checkpoint)
{
    if (!checkpoint)
        return;
    /* What cannot be cleared now, the next save clears; the message stays that of the cause. */
    for_entries(checkpoint->saving, NULL, remove_if_possible);
    rmdir(checkpoint->saving);
    checkpoint_free(checkpoint);
}

enum plb_status plb_checkpoint_find(const char *directory, const char *name, char **path_out)
{
    char *saved, *path;

    PLB_TRY(plb_file_join(directory, SAVED, &saved));
    enum plb_status status = plb_file_join(saved, name, &path);
    free(saved);
    if (status != PLB_OK)
        return status;
    if (access(path, F_OK) == 0) {
        *path_out = path;
        return PLB_OK;
    }
    free(path);
    return plb_file_join(directory, name, path_out);
}

static enum plb_status hash_open_file(int fd, const char *path, unsigned char *block,
                                      uint64_t *bytes_out, uint64_t *hash_out)
{
    uint64_t bytes = 0, hash = 0;

    for (;;) {
        size_t filled = 0;
        ssize_t n = 1;
        /* Whole blocks, so that the hash does not depend on how read() cuts. */
        while (filled < CHECKSUM_BLOCK && n != 0) {
            n = read(fd, block + filled, CHECKSUM_BLOCK - filled);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return io_error("read", path);
            filled += (size_t)n;
        }
        if (filled == 0)
            break;
        hash = plb_hash_mix(hash, block, filled);
        bytes += filled;
    }
    *bytes_out = bytes;
    *hash_out = hash;
    return PLB_OK;
}

enum plb_status plb_checkpoint_checksum(const char *path, uint64_t *bytes_out, uint64_t *hash_out)
{
    unsigned char *block = malloc(CHECKSUM_BLOCK);

    if (!block)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to read %s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum plb_status status =
        fd < 0 ? io_error("open", path) : hash_open_file(fd, path, block, bytes_out, hash_out);
    if (fd >= 0)
        close(fd);
    free(block);
    return status;
}
