/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and directories as blocks of text. */
#include "config.h"

#include "frontends/data/corpus_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"

#define BLOCK_BYTES ((size_t)1 << 20)
#define DEPTH_MAX   32

struct reader {
    plb__text_block block;
    plb__text_end end;
    void *context;
};

static enum plb_status io_error(const char *what, const char *path)
{
    return plb_fail(PLB_ERROR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* Where to cut `bytes` bytes of text; all of them when no place is good. */
static size_t cut(const char *text, size_t bytes)
{
    for (size_t at = bytes - 1; at > bytes / 2; at--)
        if (text[at] == ' ' && text[at - 1] > ' ' && text[at - 1] < 0x7f)
            return at;
    return bytes;
}

/* Reads until the buffer is full or the file at its end. */
static enum plb_status fill(int fd, const char *path, char *buffer, size_t *filled)
{
    while (*filled < BLOCK_BYTES) {
        ssize_t n = read(fd, buffer + *filled, BLOCK_BYTES - *filled);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error("read", path);
        if (n == 0)
            return PLB_OK;
        *filled += (size_t)n;
    }
    return PLB_OK;
}

static enum plb_status read_blocks(const struct reader *reader, int fd, const char *path,
                                   char *buffer)
{
    size_t filled = 0;

    for (;;) {
        PLB_TRY(fill(fd, path, buffer, &filled));
        if (filled == 0)
            return reader->end(reader->context, path);
        size_t bytes = filled == BLOCK_BYTES ? cut(buffer, filled) : filled;
        PLB_TRY(reader->block(reader->context, path, buffer, bytes));
        memmove(buffer, buffer + bytes, filled - bytes);
        filled -= bytes;
    }
}

static enum plb_status read_file(const struct reader *reader, const char *path)
{
    char *buffer = malloc(BLOCK_BYTES);

    if (!buffer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to read %s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum plb_status status =
        fd < 0 ? io_error("open", path) : read_blocks(reader, fd, path, buffer);
    if (fd >= 0)
        close(fd);
    free(buffer);
    return status;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum plb_status read_directory(const struct reader *reader, const char *path, int depth);

static enum plb_status read_entry(const struct reader *reader, const char *path, int depth)
{
    struct stat info;

    if (lstat(path, &info) != 0)
        return io_error("read", path);
    if (S_ISREG(info.st_mode))
        return read_file(reader, path);
    if (!S_ISDIR(info.st_mode))
        return PLB_OK;
    if (depth == DEPTH_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: more than %d directories deep", path, DEPTH_MAX);
    return read_directory(reader, path, depth + 1);
}

static enum plb_status read_directory(const struct reader *reader, const char *path, int depth)
{
    struct dirent **entries;
    int n = scandir(path, &entries, visible, by_name);
    enum plb_status status = PLB_OK;

    if (n < 0)
        return io_error("read", path);
    for (int i = 0; i < n; i++) {
        char *name;
        if (status == PLB_OK &&
            (status = plb_file_join(path, entries[i]->d_name, &name)) == PLB_OK) {
            status = read_entry(reader, name, depth);
            free(name);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

enum plb_status plb__text_read(const char *path, plb__text_block block, plb__text_end end,
                               void *context)
{
    struct reader reader = {block, end, context};
    struct stat info;

    if (stat(path, &info) != 0)
        return io_error("read", path);
    return S_ISDIR(info.st_mode) ? read_directory(&reader, path, 0) : read_file(&reader, path);
}
