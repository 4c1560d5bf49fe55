/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes safetensors files byte by byte, also wrong ones, for the tests of the reader. */
#ifndef PLB_TESTS_STORED_FILE_H
#define PLB_TESTS_STORED_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Writes tmpdir/`name`: the length `claimed`, the text `header`, `data_bytes` zero bytes. Returns
 * the path. */
const char *stored_file_claiming(const char *name, uint64_t claimed, const char *header,
                                 size_t data_bytes);

/* The same with the true length. */
const char *stored_file(const char *name, const char *header, size_t data_bytes);

#endif
