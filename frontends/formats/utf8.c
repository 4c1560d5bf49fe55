/* SPDX-License-Identifier: BSD-3-Clause */
/* UTF-8: see utf8.h. */
#include "config.h"

#include "frontends/formats/utf8.h"

#include <string.h>

/* How many bytes follow the first one, and the range of the second; 0 and an empty range for a byte
 * that begins no character. */
static size_t sequence_of(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0; /* shorter forms exist below */
        if (first == 0xed)
            *high = 0x9f; /* surrogates above */
        return 2;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f; /* beyond U+10FFFF above */
        return 3;
    }
    return 0;
}

enum plb__utf8_kind plb__utf8_next(const unsigned char *text, size_t bytes, size_t *length_out)
{
    unsigned char low, high;
    *length_out = 1;
    if (text[0] < 0x80)
        return PLB__UTF8_VALID;
    size_t more = sequence_of(text[0], &low, &high);
    if (more == 0)
        return PLB__UTF8_INVALID;
    for (size_t i = 1; i <= more; i++) {
        *length_out = i;
        if (i == bytes)
            return PLB__UTF8_INCOMPLETE;
        if (text[i] < low || text[i] > high)
            return PLB__UTF8_INVALID;
        low = 0x80;
        high = 0xbf;
    }
    *length_out = more + 1;
    return PLB__UTF8_VALID;
}

/* The bytes of plain ASCII at the start, eight at a time. */
static size_t ascii_prefix(const unsigned char *text, size_t bytes)
{
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        if ((word & 0x8080808080808080u) != 0)
            break;
    }
    while (i < bytes && text[i] < 0x80)
        i++;
    return i;
}

size_t plb__utf8_valid_prefix(const unsigned char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        size_t length = ascii_prefix(text + at, bytes - at);
        if (length == 0 && plb__utf8_next(text + at, bytes - at, &length) != PLB__UTF8_VALID)
            break;
        at += length;
    }
    return at;
}

uint32_t plb__utf8_decode(const unsigned char *text, size_t *length_out)
{
    static const uint32_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    uint32_t code_point = text[0] & first_bits[length];
    for (size_t i = 1; i < length; i++)
        code_point = code_point << 6 | (text[i] & 0x3fu);
    *length_out = length;
    return code_point;
}

size_t plb__utf8_encode(uint32_t code_point, unsigned char *text)
{
    static const unsigned char first_mark[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    size_t length = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code_point >>= 6)
        text[i] = (unsigned char)(0x80u | (code_point & 0x3fu));
    text[0] = (unsigned char)(first_mark[length] | code_point);
    return length;
}
