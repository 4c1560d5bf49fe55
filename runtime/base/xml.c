/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text inside of XML.
 */
#include "config.h"

#include "runtime/base/xml.h"

void plb__xml_put(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}
