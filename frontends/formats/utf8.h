/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UTF-8: valid stretches, and text that is made valid for a terminal. Well-formedness is that of
 * the Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
 * Internal to the formats room.
 *
 * Thread-safety: all functions are pure.
 */
#ifndef PLB_FORMATS_UTF8_H
#define PLB_FORMATS_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum plb__utf8_kind {
    PLB__UTF8_VALID,      /* one character */
    PLB__UTF8_INCOMPLETE, /* the text ends within what could become a character */
    PLB__UTF8_INVALID
};

/* What stands at the start of `text` (at least one byte), and in `length_out` its bytes: of the
 * character, of the rest of the text, or of what U+FFFD replaces (the "maximal subpart"). */
enum plb__utf8_kind plb__utf8_next(const unsigned char *text, size_t bytes, size_t *length_out);

/* The bytes of the valid text at the start of `text`. */
size_t plb__utf8_valid_prefix(const unsigned char *text, size_t bytes);

/* The code point of the valid character at `text`, and its bytes. */
uint32_t plb__utf8_decode(const unsigned char *text, size_t *length_out);

/* Writes the character of a code point, at most 4 bytes, and returns how many. */
size_t plb__utf8_encode(uint32_t code_point, unsigned char *text);

#endif
