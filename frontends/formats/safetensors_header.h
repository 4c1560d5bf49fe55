/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The header of one safetensors file: what the reader parses before it trusts any of it. Internal
 * to the formats room; safetensors.h is what others use.
 */
#ifndef PLB_FORMATS_SAFETENSORS_HEADER_H
#define PLB_FORMATS_SAFETENSORS_HEADER_H

#include "frontends/formats/safetensors.h"

/* A text of "__metadata__". */
struct plb__stored_text {
    char *key;
    char *value;
};

/* What one file holds. Owns the names and texts. */
struct plb__safetensors_header {
    struct plb_stored_tensor *tensors; /* in the order of their data; `shard` is 0 */
    size_t count;
    struct plb__stored_text *texts;
    size_t text_count;
};

/* Parses the `bytes` bytes of a header, for a file of `file_bytes` bytes in all that errors call
 * `path`. PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb__safetensors_header_parse(const char *text, size_t bytes, uint64_t file_bytes,
                                              const char *path,
                                              struct plb__safetensors_header *header_out);

/* Frees what the header owns. */
void plb__safetensors_header_free(struct plb__safetensors_header *header);

#endif
