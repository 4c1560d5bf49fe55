/* SPDX-License-Identifier: BSD-3-Clause */
/* See stored_file.h. */
#include "config.h"

#include "tests/frontends/formats/stored_file.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/plb_test.h"

const char *stored_file_claiming(const char *name, uint64_t claimed, const char *header,
                                 size_t data_bytes)
{
    size_t length = strlen(header), bytes = 8 + length + data_bytes;
    char *content = calloc(bytes + 1, 1);
    const char *path = plb_test_tmp(name);
    for (int i = 0; i < 8; i++)
        content[i] = (char)(claimed >> (8 * i) & 0xff);
    memcpy(content + 8, header, length);
    PLB_CHECK(plb_test_write_file(path, content, bytes));
    free(content);
    return path;
}

const char *stored_file(const char *name, const char *header, size_t data_bytes)
{
    return stored_file_claiming(name, strlen(header), header, data_bytes);
}
