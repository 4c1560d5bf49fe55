/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replacing several files of a directory as if at once.
 *
 * A checkpoint is a set of files that belong together (weights, optimizer state, the record of the
 * run). New ones are written to DIRECTORY/.saving and synced; renaming that to DIRECTORY/.saved
 * is the moment at which they count; then each file is moved up over its predecessor. Whenever a
 * process dies, one whole set can be read: the old one before the rename, the new one after it,
 * since files in .saved go before those beside it. The next save finishes or clears what was left.
 * Other files of the directory are not touched, and the directory itself is never moved, so that it
 * may be a mount point or the current directory.
 *
 * Thread-safety: a checkpoint belongs to one thread. Processes that save to one directory at the
 * same time are told apart by a lock: the later one fails.
 */
#ifndef PLB_NN_CHECKPOINT_H
#define PLB_NN_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_checkpoint plb_checkpoint_t;

/* Makes `directory` where it is missing, locks it, finishes a commit that was cut short, and makes
 * an empty folder for the new files. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_checkpoint_begin(const char *directory, plb_checkpoint_t **checkpoint_out);

/* The folder into which the files are to be written; each writer syncs its own (file.h does). */
const char *plb_checkpoint_folder(const plb_checkpoint_t *checkpoint);

/* Puts the files in place and frees the checkpoint, also on failure. PLB_ERROR_IO: the old files
 * still count, unless the message says that the new ones are in .saved. */
enum plb_status plb_checkpoint_commit(plb_checkpoint_t *checkpoint);

/* Removes what was written and frees the checkpoint. NULL does nothing. */
void plb_checkpoint_abort(plb_checkpoint_t *checkpoint);

/* The path of file `name` of the set that counts, to be freed by the caller; it need not exist.
 * PLB_ERROR_MEMORY. */
enum plb_status plb_checkpoint_find(const char *directory, const char *name, char **path_out);

/* Size and hash of a file. PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_checkpoint_checksum(const char *path, uint64_t *bytes_out, uint64_t *hash_out);

#ifdef __cplusplus
}
#endif

#endif
