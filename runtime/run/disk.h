/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk tier: one file without a name, as large as the plan says, whose room is taken before
 * anything runs. It vanishes with the process. From plan to plan it grows and shrinks.
 *
 * Thread-safety: reading and writing on any thread, several at a time.
 */
#ifndef PLB_RUN_DISK_H
#define PLB_RUN_DISK_H

#include "runtime/base/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plb__disk {
    int file; /* -1: none */
    size_t bytes;
};

/* `given`, else PALOMBE_OFFLOAD_DIR, else TMPDIR, else /var/tmp. */
const char *plb__disk_directory(const char *given);
/* Bytes that this user can have there now; 0 when it cannot be said. */
size_t plb__disk_free(const char *directory);

/* PLB_ERROR_IO when no file can be made there or the room is not there; the message names both. */
enum plb_status plb__disk_open(const char *directory, size_t bytes, struct plb__disk *disk_out);
/* Takes more room, or gives back what lies behind the first `bytes`. On failure all is as it was. */
enum plb_status plb__disk_resize(const char *directory, size_t bytes, struct plb__disk *disk);
void plb__disk_close(struct plb__disk *disk);

enum plb_status plb__disk_write(const struct plb__disk *disk, size_t offset, const void *data,
                                size_t bytes);
enum plb_status plb__disk_read(const struct plb__disk *disk, size_t offset, void *data,
                               size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
