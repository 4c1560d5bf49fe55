/* SPDX-License-Identifier: BSD-3-Clause */
/* See run.h. */
#include "config.h"

#include "tests/frontends/cli/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char **words(const char *line, char *buffer, size_t bytes, const char *argv[WORDS])
{
    static char paths[WORDS][512];
    int n = 0;

    snprintf(buffer, bytes, "%s", line);
    for (char *word = strtok(buffer, " "); word && n + 1 < WORDS; word = strtok(NULL, " ")) {
        if (word[0] == '@') {
            snprintf(paths[n], sizeof paths[n], "%s/%s", plb_test_tmpdir(), word + 1);
            word = paths[n];
        }
        argv[n++] = word;
    }
    argv[n] = NULL;
    return argv;
}

struct plb_test_output palombe(const char *line)
{
    const char *argv[WORDS];
    char buffer[2048], whole[2048];
    struct plb_test_output output;

    snprintf(whole, sizeof whole, "%s %s", plb_test_build("palombe"), line);
    output = plb_test_command(words(whole, buffer, sizeof buffer, argv), NULL);
    return output;
}

json_t *palombe_json(const char *line)
{
    struct plb_test_output output = palombe(line);
    json_t *root = json_loads(output.out ? output.out : "", JSON_REJECT_DUPLICATES, NULL);

    PLB_CHECK_EQ(output.status, 0);
    if (output.status != 0)
        printf("%s\n%s\n", line, output.err);
    PLB_CHECK(root != NULL);
    plb_test_output_free(&output);
    return root;
}

void refuse(const char *line, int status, const char *expected)
{
    struct plb_test_output output = palombe(line);
    size_t lines = 0;

    PLB_CHECK_EQ(output.status, status);
    PLB_CHECK_CONTAINS(output.err, expected);
    for (const char *c = output.err; c && *c; c++)
        lines += *c == '\n';
    PLB_CHECK(lines <= 3); /* a sentence, not a page */
    PLB_CHECK_EQ(output.out_bytes, 0);
    plb_test_output_free(&output);
}

double number(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    PLB_CHECK(json_is_number(value));
    return json_number_value(value);
}

const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    PLB_CHECK(text != NULL);
    return text ? text : "";
}
