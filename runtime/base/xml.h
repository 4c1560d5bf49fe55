/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text inside of XML, which pictures are made of.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_BASE_XML_H
#define PLB_BASE_XML_H

#include <stdio.h>

/* Writes a text so that it stands for itself between tags and in quotes. */
void plb__xml_put(FILE *out, const char *text);

#endif
