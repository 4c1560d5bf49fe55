/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole files: reading within a limit, and writing so that no one ever sees a half-written file.
 *
 * A writer fills a file beside the target (TARGET.tmp-PID-N), syncs it, renames it over the target
 * and syncs the directory. Until the rename the old file stands; after it the new one does. A
 * writer that is aborted, or whose write failed (a full disk), removes what it had written. Only a
 * process killed in the midst leaves its temporary file behind; no reader here takes it for a
 * model. A target that exists and is not a regular file (/dev/stdout, a pipe) is written directly.
 *
 * Thread-safety: a writer belongs to one thread at a time; the functions share no state.
 */
#ifndef PLB_BASE_FILE_H
#define PLB_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the regular file `path`, of at most `limit` bytes, into memory that the caller frees with
 * free(). A zero byte follows the content (not counted in `bytes_out`).
 * PLB_ERROR_IO when it cannot be opened or read, or is no regular file; PLB_ERROR_FORMAT when it
 * is larger than `limit`; PLB_ERROR_MEMORY. */
enum plb_status plb_file_read(const char *path, size_t limit, char **data_out, size_t *bytes_out);

/* DIRECTORY/NAME in memory that the caller frees with free(). PLB_ERROR_MEMORY. */
enum plb_status plb_file_join(const char *directory, const char *name, char **path_out);

/* Whether something that is no directory stands at DIRECTORY/NAME. */
bool plb_file_exists_in(const char *directory, const char *name);

/* Whether `path` is a directory. */
bool plb_file_is_directory(const char *path);

/* Makes the directory `path` and those above it; one that exists is no error. PLB_ERROR_IO. */
enum plb_status plb_file_make_directory(const char *path);

/* A file being written aside. */
typedef struct plb_file_writer plb_file_writer_t;

/* Starts to write `path`; the directory must exist. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_file_writer_open(const char *path, plb_file_writer_t **writer_out);

/* Sets disk space for the first `bytes` bytes aside, so that a full disk is reported before any
 * work is done. A file system that cannot do so is no error. PLB_ERROR_IO when there is no room. */
enum plb_status plb_file_writer_reserve(plb_file_writer_t *writer, uint64_t bytes);

/* Appends `bytes` bytes. After a failure only plb_file_writer_abort() is of use. PLB_ERROR_IO. */
enum plb_status plb_file_writer_append(plb_file_writer_t *writer, const void *data, size_t bytes);

/* Writes at `offset` from the start and leaves the place where the next append goes alone.
 * PLB_ERROR_IO (also for a target that is a pipe). */
enum plb_status plb_file_writer_write_at(plb_file_writer_t *writer, uint64_t offset,
                                         const void *data, size_t bytes);

/* Waits until what was written is on the disk. PLB_ERROR_IO. */
enum plb_status plb_file_writer_sync(plb_file_writer_t *writer);

/* Syncs, puts the file in its place, and frees the writer, also on failure (the old file then still
 * stands, unless only the sync of the directory failed). PLB_ERROR_IO. */
enum plb_status plb_file_writer_commit(plb_file_writer_t *writer);

/* Removes what was written and frees the writer. NULL does nothing. */
void plb_file_writer_abort(plb_file_writer_t *writer);

/* Writes a whole file: open, append, commit. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_file_write_atomic(const char *path, const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
