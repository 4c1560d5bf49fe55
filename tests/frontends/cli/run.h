/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running the program from a test. In a command line "@name" becomes a path in the test's folder.
 */
#ifndef PLB_TESTS_CLI_RUN_H
#define PLB_TESTS_CLI_RUN_H

#include "tests/support/plb_test.h"

#include <jansson.h>

/* Splits a line at spaces into argv, with room for `bytes` of text in `buffer`; returns argv. */
enum { WORDS = 64 };
const char **words(const char *line, char *buffer, size_t bytes, const char *argv[WORDS]);

struct plb_test_output palombe(const char *line);
/* Runs a command that must succeed and gives its output as JSON. */
json_t *palombe_json(const char *line);
/* Runs a command that must fail with this exit status, say `expected` in at most three lines, and
 * print nothing. */
void refuse(const char *line, int status, const char *expected);

/* A number of an object; a failed check and 0 when there is none. */
double number(json_t *object, const char *key);
const char *text_of(json_t *object, const char *key);

#endif
