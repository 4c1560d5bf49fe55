/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of the disk tier.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/run/disk.h"

#include "runtime/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

const char *plb__disk_directory(const char *given)
{
    if (!given || !*given)
        given = getenv("PALOMBE_OFFLOAD_DIR");
    if (!given || !*given)
        given = getenv("TMPDIR");
    return given && *given ? given : "/var/tmp";
}

size_t plb__disk_free(const char *directory)
{
    struct statvfs info;

    if (access(directory, W_OK | X_OK) != 0 || statvfs(directory, &info) != 0)
        return 0;
    return (size_t)info.f_bavail * (size_t)info.f_frsize;
}

static int make_file(const char *directory)
{
    int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char path[4096];
    int n;

    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return file;
    n = snprintf(path, sizeof path, "%s/palombe-XXXXXX", directory);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0)
        unlink(path);
    return file;
}

/* Takes the room behind the first `have` bytes, which others may be writing: on a file system that
 * cannot do it the C library does, by writing zeros where it has read zeros. Where the user's limit
 * on the size of files is passed, the signal that would end the process is taken instead, and the
 * error stays. */
static int reserve(int file, size_t have, size_t bytes)
{
    const struct timespec at_once = {0, 0};
    sigset_t size, before;
    int error;

    sigemptyset(&size);
    sigaddset(&size, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &size, &before);
    do {
        error = posix_fallocate(file, (off_t)have, (off_t)(bytes - have));
    } while (error == EINTR);
    if (error == EFBIG && !sigismember(&before, SIGXFSZ))
        sigtimedwait(&size, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static enum plb_status take_room(const char *directory, int file, size_t have, size_t bytes)
{
    int error = bytes > INT64_MAX ? EFBIG : reserve(file, have, bytes);

    if (!error)
        return PLB_OK;
    return plb_fail(PLB_ERROR_IO, "no room for %s of offloaded values in '%s': %s",
                    plb_bytes_text((double)bytes).text, directory, strerror(error));
}

enum plb_status plb__disk_open(const char *directory, size_t bytes, struct plb__disk *disk_out)
{
    enum plb_status status;
    int file;

    *disk_out = (struct plb__disk){.file = -1};
    if (bytes == 0)
        return PLB_OK;
    file = make_file(directory);
    if (file < 0)
        return plb_fail(PLB_ERROR_IO, "no file for offloaded values can be made in '%s': %s",
                        directory, strerror(errno));
    status = take_room(directory, file, 0, bytes);
    if (status == PLB_OK)
        *disk_out = (struct plb__disk){file, bytes};
    else
        close(file);
    return status;
}

enum plb_status plb__disk_resize(const char *directory, size_t bytes, struct plb__disk *disk)
{
    enum plb_status status = PLB_OK;

    if (disk->bytes == 0)
        return plb__disk_open(directory, bytes, disk);
    if (bytes > disk->bytes)
        status = take_room(directory, disk->file, disk->bytes, bytes);
    if (status == PLB_OK)
        disk->bytes = bytes;
    if (disk->bytes == 0)
        plb__disk_close(disk);
    else if (ftruncate(disk->file, (off_t)disk->bytes) != 0 && status == PLB_OK)
        status = plb_fail(PLB_ERROR_IO, "the file of offloaded values in '%s' keeps its size: %s",
                          directory, strerror(errno));
    return status;
}

void plb__disk_close(struct plb__disk *disk)
{
    if (disk->file >= 0)
        close(disk->file);
    *disk = (struct plb__disk){.file = -1};
}

enum plb_status plb__disk_write(const struct plb__disk *disk, size_t offset, const void *data,
                                size_t bytes)
{
    while (bytes) {
        ssize_t n = pwrite(disk->file, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return plb_fail(PLB_ERROR_IO, "writing an offloaded value failed: %s",
                            n < 0 ? strerror(errno) : "nothing was written");
        data = (const char *)data + n;
        offset += (size_t)n;
        bytes -= (size_t)n;
    }
    return PLB_OK;
}

enum plb_status plb__disk_read(const struct plb__disk *disk, size_t offset, void *data,
                               size_t bytes)
{
    while (bytes) {
        ssize_t n = pread(disk->file, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return plb_fail(PLB_ERROR_IO, "reading an offloaded value back failed: %s",
                            n < 0 ? strerror(errno) : "the file has ended");
        data = (char *)data + n;
        offset += (size_t)n;
        bytes -= (size_t)n;
    }
    return PLB_OK;
}
