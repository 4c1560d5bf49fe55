/* SPDX-License-Identifier: BSD-3-Clause */
/* The examples run, learn what they say, and end well. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/plb_test.h"

/* The number that stands behind the last `mark` in a text; -1 when there is none. */
static double last_number(const char *text, const char *mark)
{
    const char *found = NULL;

    for (const char *at = text; (at = strstr(at, mark)) != NULL; at++)
        found = at + strlen(mark);
    return found ? atof(found) : -1.0;
}

static void mlp_learns_the_spiral(void)
{
    const char *const argv[] = {plb_test_build("examples/mlp"), NULL};
    struct plb_test_output output = plb_test_command(argv, NULL);
    int right = 0, points = 0;

    PLB_CHECK_EQ(output.status, 0);
    const char *line = strstr(output.out, " of ");
    PLB_REQUIRE(line != NULL);
    while (line > output.out && line[-1] != '\n')
        line--;
    PLB_CHECK_EQ(sscanf(line, "%d of %d", &right, &points), 2);
    PLB_CHECK(points == 256 && right >= 240);
    plb_test_output_free(&output);
}

static void cnn_learns_the_shapes(void)
{
    const char *const argv[] = {plb_test_build("examples/cnn"), NULL};
    struct plb_test_output output = plb_test_command(argv, NULL);
    int right = 0, images = 0;

    PLB_CHECK_EQ(output.status, 0);
    const char *line = strstr(output.out, " of ");
    PLB_REQUIRE(line != NULL);
    while (line > output.out && line[-1] != '\n')
        line--;
    PLB_CHECK_EQ(sscanf(line, "%d of %d", &right, &images), 2);
    PLB_CHECK(images == 64 && right >= 52);
    plb_test_output_free(&output);
}

static void gpt2_learns_and_writes(void)
{
    const char *const argv[] = {plb_test_build("examples/gpt2"), plb_test_source("LICENSE"), "40",
                                NULL};
    struct plb_test_output output = plb_test_command(argv, NULL);

    PLB_CHECK_EQ(output.status, 0);
    PLB_CHECK_CONTAINS(output.out, "step    0  loss 5.");
    double loss = last_number(output.out, "  loss ");
    PLB_CHECK(loss > 0.0 && loss < 3.5);
    PLB_CHECK(output.out_bytes > 250);
    plb_test_output_free(&output);
}

static void a_missing_text_is_an_error(void)
{
    const char *const argv[] = {plb_test_build("examples/gpt2"), "no-such-file", NULL};
    struct plb_test_output output = plb_test_command(argv, NULL);

    PLB_CHECK_EQ(output.status, 1);
    PLB_CHECK_CONTAINS(output.err, "no-such-file");
    plb_test_output_free(&output);
}

PLB_TEST_MAIN("examples", NULL, NULL, PLB_TEST(mlp_learns_the_spiral),
              PLB_TEST(cnn_learns_the_shapes), PLB_TEST(gpt2_learns_and_writes),
              PLB_TEST(a_missing_text_is_an_error))
