/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole files: see file.h. What this is not: a directory that is replaced as a whole; each file is
 * atomic by itself.
 */
#include "config.h"

#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLB_FILE_NAME_TRIES = 100 };

struct plb_file_writer {
    char *path;
    char *temporary; /* NULL when the target is written directly */
    int fd;
    uint64_t end; /* where the next append goes */
};

/* Fails unless `fd` is a regular file of at most `limit` bytes. */
static enum plb_status check_size(int fd, const char *path, size_t limit, size_t *bytes_out)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return plb_fail(PLB_ERROR_IO, "cannot inspect %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return plb_fail(PLB_ERROR_IO, "%s is not a regular file", path);
    if ((uint64_t)info.st_size > limit)
        return plb_fail(PLB_ERROR_FORMAT, "%s has %" PRIu64 " bytes, more than the limit of %zu",
                        path, (uint64_t)info.st_size, limit);
    *bytes_out = (size_t)info.st_size;
    return PLB_OK;
}

/* Reads until the file ends or the buffer is full; a file that shrank just ends earlier. */
static enum plb_status read_content(int fd, const char *path, char *data, size_t *bytes)
{
    size_t done = 0;
    while (done < *bytes) {
        ssize_t got = read(fd, data + done, *bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return plb_fail(PLB_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    data[done] = '\0';
    *bytes = done;
    return PLB_OK;
}

enum plb_status plb_file_read(const char *path, size_t limit, char **data_out, size_t *bytes_out)
{
    /* Not blocking: a pipe is refused below, and must not be waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return plb_fail(PLB_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    size_t bytes = 0;
    char *data = NULL;
    enum plb_status status = check_size(fd, path, limit, &bytes);
    if (status == PLB_OK) {
        data = malloc(bytes + 1);
        status = data != NULL
                     ? read_content(fd, path, data, &bytes)
                     : plb_fail(PLB_ERROR_MEMORY, "no memory for the %zu bytes of %s", bytes, path);
    }
    close(fd);
    if (status != PLB_OK) {
        free(data);
        return status;
    }
    *data_out = data;
    *bytes_out = bytes;
    return PLB_OK;
}

enum plb_status plb_file_join(const char *directory, const char *name, char **path_out)
{
    size_t length = strlen(directory);
    const char *slash = length > 0 && directory[length - 1] != '/' ? "/" : "";
    if (asprintf(path_out, "%s%s%s", directory, slash, name) < 0) {
        *path_out = NULL;
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the path of %s in %s", name, directory);
    }
    return PLB_OK;
}

bool plb_file_exists_in(const char *directory, const char *name)
{
    char *path = NULL;
    struct stat info;
    bool exists = plb_file_join(directory, name, &path) == PLB_OK && stat(path, &info) == 0 &&
                  !S_ISDIR(info.st_mode);
    free(path);
    return exists;
}

bool plb_file_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static enum plb_status make_one_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && plb_file_is_directory(path)))
        return PLB_OK;
    return plb_fail(PLB_ERROR_IO, "cannot make the directory %s: %s", path, strerror(errno));
}

enum plb_status plb_file_make_directory(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the path %s", path);
    enum plb_status status = PLB_OK;
    for (char *slash = strchr(copy + (copy[0] == '/'), '/'); slash != NULL && status == PLB_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = make_one_directory(copy);
        *slash = '/';
    }
    if (status == PLB_OK)
        status = make_one_directory(copy);
    free(copy);
    return status;
}

/* Creates TARGET.tmp-PID-N for the first N that is free. */
static enum plb_status create_temporary(plb_file_writer_t *writer)
{
    static atomic_uint counter;
    for (int tries = 0; tries < PLB_FILE_NAME_TRIES; tries++) {
        char *name = NULL;
        if (asprintf(&name, "%s.tmp-%ld-%u", writer->path, (long)getpid(),
                     atomic_fetch_add(&counter, 1u)) < 0)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the path %s", writer->path);
        writer->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->fd >= 0) {
            writer->temporary = name;
            return PLB_OK;
        }
        free(name);
        if (errno != EEXIST)
            break;
    }
    return plb_fail(PLB_ERROR_IO, "cannot create %s: %s", writer->path, strerror(errno));
}

static enum plb_status open_target(plb_file_writer_t *writer)
{
    struct stat info;
    if (stat(writer->path, &info) != 0 || S_ISREG(info.st_mode))
        return create_temporary(writer);
    writer->fd = open(writer->path, O_WRONLY | O_CLOEXEC);
    if (writer->fd < 0)
        return plb_fail(PLB_ERROR_IO, "cannot write %s: %s", writer->path, strerror(errno));
    return PLB_OK;
}

enum plb_status plb_file_writer_open(const char *path, plb_file_writer_t **writer_out)
{
    plb_file_writer_t *writer = calloc(1, sizeof *writer);
    if (writer == NULL || (writer->path = strdup(path)) == NULL) {
        free(writer);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to write %s", path);
    }
    writer->fd = -1;
    enum plb_status status = open_target(writer);
    if (status != PLB_OK) {
        plb_file_writer_abort(writer);
        return status;
    }
    *writer_out = writer;
    return PLB_OK;
}

enum plb_status plb_file_writer_reserve(plb_file_writer_t *writer, uint64_t bytes)
{
    if (bytes > INT64_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s cannot have %" PRIu64 " bytes", writer->path, bytes);
    if (writer->temporary == NULL || bytes == 0)
        return PLB_OK;
    if (fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0)
        return PLB_OK;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return plb_fail(PLB_ERROR_IO, "cannot write the %" PRIu64 " bytes of %s: %s", bytes,
                        writer->path, strerror(errno));
    return PLB_OK; /* not offered by this file system: the writes themselves will tell */
}

static enum plb_status write_failed(const plb_file_writer_t *writer, int error)
{
    return plb_fail(PLB_ERROR_IO, "cannot write %s: %s", writer->path, strerror(error));
}

enum plb_status plb_file_writer_append(plb_file_writer_t *writer, const void *data, size_t bytes)
{
    if (writer->temporary != NULL) {
        PLB_TRY(plb_file_writer_write_at(writer, writer->end, data, bytes));
        writer->end += bytes;
        return PLB_OK;
    }
    const char *next = data;
    while (bytes > 0) {
        ssize_t wrote = write(writer->fd, next, bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return write_failed(writer, errno);
        next += wrote;
        bytes -= (size_t)wrote;
    }
    return PLB_OK;
}

enum plb_status plb_file_writer_write_at(plb_file_writer_t *writer, uint64_t offset,
                                         const void *data, size_t bytes)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t wrote = pwrite(writer->fd, next, bytes, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return write_failed(writer, errno);
        next += wrote;
        offset += (uint64_t)wrote;
        bytes -= (size_t)wrote;
    }
    return PLB_OK;
}

enum plb_status plb_file_writer_sync(plb_file_writer_t *writer)
{
    if (writer->temporary != NULL && fsync(writer->fd) != 0)
        return write_failed(writer, errno);
    return PLB_OK;
}

/* A rename lasts only once its directory was synced. */
static enum plb_status sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    char *directory = slash == NULL ? strdup(".") : strndup(path, length > 0 ? length : 1);
    if (directory == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the path %s", path);
    enum plb_status status = PLB_OK;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* EINVAL: a file system that does not sync directories. A directory that may be written but
     * not read (EACCES) cannot be synced either; the rename itself was done. */
    if (fd >= 0 && fsync(fd) != 0 && errno != EINVAL)
        status = plb_fail(PLB_ERROR_IO, "cannot sync %s: %s", directory, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(directory);
    return status;
}

enum plb_status plb_file_writer_commit(plb_file_writer_t *writer)
{
    enum plb_status status = plb_file_writer_sync(writer);
    int closed = close(writer->fd);
    writer->fd = -1;
    if (status == PLB_OK && closed != 0)
        status = write_failed(writer, errno);
    if (status == PLB_OK && writer->temporary != NULL) {
        if (rename(writer->temporary, writer->path) != 0) {
            status = plb_fail(PLB_ERROR_IO, "cannot put %s in its place: %s", writer->path,
                              strerror(errno));
        } else {
            free(writer->temporary);
            writer->temporary = NULL;
            status = sync_directory_of(writer->path);
        }
    }
    plb_file_writer_abort(writer);
    return status;
}

void plb_file_writer_abort(plb_file_writer_t *writer)
{
    if (writer == NULL)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->temporary != NULL)
        unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    free(writer);
}

enum plb_status plb_file_write_atomic(const char *path, const void *data, size_t bytes)
{
    plb_file_writer_t *writer = NULL;
    PLB_TRY(plb_file_writer_open(path, &writer));
    enum plb_status status = plb_file_writer_append(writer, data, bytes);
    if (status != PLB_OK) {
        plb_file_writer_abort(writer);
        return status;
    }
    return plb_file_writer_commit(writer);
}
