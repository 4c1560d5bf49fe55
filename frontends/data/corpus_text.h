/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading text in blocks that can be encoded one by one. Internal to this room. */
#ifndef PLB_DATA_CORPUS_TEXT_H
#define PLB_DATA_CORPUS_TEXT_H

#include <stddef.h>

#include "runtime/base/status.h"

/* Takes the next block of a document. */
typedef enum plb_status (*plb__text_block)(void *context, const char *path, const char *text,
                                           size_t bytes);
/* Told after the last block of each document. */
typedef enum plb_status (*plb__text_end)(void *context, const char *path);

/* Gives the text of a file, or of the files below a directory, block by block. A block ends before
 * a space that follows a visible ASCII character: there every pre-tokenizer that we know ends a
 * word, so the tokens are those of the whole text. */
enum plb_status plb__text_read(const char *path, plb__text_block block, plb__text_end end,
                               void *context);

#endif
