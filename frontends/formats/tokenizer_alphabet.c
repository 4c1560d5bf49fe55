/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GPT-2's alphabet of bytes. The printable characters of Latin-1 stand for their own byte; the
 * other 68 bytes, in order, for U+0100 and up. So every byte can be seen, and no token contains a
 * space.
 */
#include "config.h"

#include "frontends/formats/tokenizer_internal.h"
#include "frontends/formats/utf8.h"

enum { FIRST_EXTRA = 0x100, EXTRAS = 68 };

static bool is_printable(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

uint32_t plb__byte_character(unsigned char byte)
{
    if (is_printable(byte))
        return byte;
    uint32_t extra = FIRST_EXTRA;
    for (unsigned b = 0; b < byte; b++)
        extra += !is_printable(b);
    return extra;
}

/* The byte that U+0100 + `extra` stands for. */
static unsigned char byte_of_extra(uint32_t extra)
{
    unsigned byte = 0;
    for (;; byte++) {
        if (!is_printable(byte) && extra-- == 0)
            return (unsigned char)byte;
    }
}

static bool byte_of_character(uint32_t character, unsigned char *byte_out)
{
    if (character < FIRST_EXTRA && is_printable(character))
        *byte_out = (unsigned char)character;
    else if (character >= FIRST_EXTRA && character < FIRST_EXTRA + EXTRAS)
        *byte_out = byte_of_extra(character - FIRST_EXTRA);
    else
        return false;
    return true;
}

bool plb__bytes_of_characters(const char *text, unsigned char *bytes, size_t *count_out)
{
    const unsigned char *next = (const unsigned char *)text;
    size_t count = 0;
    while (*next != '\0') {
        size_t length;
        if (!byte_of_character(plb__utf8_decode(next, &length), &bytes[count]))
            return false;
        next += length;
        count++;
    }
    *count_out = count;
    return true;
}

size_t plb__characters_of_bytes(const unsigned char *bytes, size_t count, char *text)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += plb__utf8_encode(plb__byte_character(bytes[i]), (unsigned char *)text + length);
    text[length] = '\0';
    return length;
}
