/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test of the test layer: that its comparisons fail when they must. A test of a failing check
 * runs in a child (this program again, by name), since CUnit keeps every failure it has seen.
 */
#include "config.h"

#include "tests/support/plb_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const float some[] = {1.0f, 2.0f, 3.0f};

/* Run in children only: each must make the program fail. */
static bool child_runs(const char *name)
{
    const char *wanted = getenv("PLB_TEST_SUPPORT_CHILD");

    return wanted && strcmp(wanted, name) == 0;
}

static void fails_near_nan(void)
{
    if (child_runs("fails_near_nan"))
        PLB_CHECK_NEAR((double)NAN, 1.0, 1e30);
}

static void fails_array_nan(void)
{
    const float with_nan[] = {1.0f, NAN, 3.0f};

    if (child_runs("fails_array_nan"))
        PLB_CHECK_ARRAY_F32(with_nan, some, 3, 1e30, 1e30);
}

static void fails_array_off(void)
{
    const float off[] = {1.0f, 2.0f, 3.1f};

    if (child_runs("fails_array_off"))
        PLB_CHECK_ARRAY_F32(off, some, 3, 1e-3, 1e-3);
}

static void fails_array_zero_tolerance(void)
{
    const float off[] = {1.0f, 2.0f, 3.0000005f};

    if (child_runs("fails_array_zero_tolerance"))
        PLB_CHECK_ARRAY_F32(off, some, 3, 0, 0);
}

static void fails_empty_array(void)
{
    if (child_runs("fails_empty_array"))
        PLB_CHECK_ARRAY_F32(some, some, 0, 1, 1);
}

static void fails_equal(void)
{
    if (child_runs("fails_equal"))
        PLB_CHECK_EQ(-3, 3);
}

static void fails_contains(void)
{
    if (child_runs("fails_contains"))
        PLB_CHECK_CONTAINS("abc", "d");
}

static void fails_memory(void)
{
    if (child_runs("fails_memory"))
        PLB_CHECK_MEMORY("abc", "abd", 3);
}

static void fails_hang(void)
{
    while (child_runs("fails_hang"))
        pause();
}

static void fails_array_f64(void)
{
    const double expected[] = {1, 2, 4};

    if (child_runs("fails_array_f64"))
        PLB_CHECK_ARRAY_F32_F64(some, expected, 3, 0.5, 0.1);
}

/* --- */

static void expect_child_status(const char *name, int status, const char *text)
{
    const char *argv[] = {"/proc/self/exe", name, NULL};
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    struct plb_test_output output;

    PLB_REQUIRE(length > 0);
    program[length] = '\0';
    argv[0] = program;
    setenv("PLB_TEST_SUPPORT_CHILD", name, 1);
    output = plb_test_command(argv, NULL);
    unsetenv("PLB_TEST_SUPPORT_CHILD");
    PLB_CHECK_EQ(output.status, status);
    if (text && !(output.err && strstr(output.err, text)))
        PLB_CHECK_CONTAINS(output.out, text);
    plb_test_output_free(&output);
}

static void comparisons_fail_when_they_must(void)
{
    expect_child_status("fails_near_nan", 1, "nan");
    expect_child_status("fails_array_nan", 1, "with_nan[1] of 3");
    expect_child_status("fails_array_off", 1, "off[2] of 3");
    expect_child_status("fails_array_zero_tolerance", 1, "off[2] of 3");
    expect_child_status("fails_array_f64", 1, "some[2] of 3");
    expect_child_status("fails_empty_array", 1, "nothing to compare");
    expect_child_status("fails_equal", 1, "-3, not 3");
    expect_child_status("fails_contains", 1, "no 'd' in 'abc'");
    expect_child_status("fails_memory", 1, "byte 2 of 3");
}

static void nothing_to_run_fails(void)
{
    expect_child_status("no_such_test", 1, "no test to run");
}

static void watchdog_ends_a_hang(void)
{
    setenv("PLB_TEST_TIMEOUT", "1", 1);
    expect_child_status("fails_hang", 1, "watchdog");
    unsetenv("PLB_TEST_TIMEOUT");
}

static void comparisons_pass_when_they_may(void)
{
    const double same[] = {1, 2, 3};

    PLB_CHECK_NEAR(1.0, 1.0 + 1e-9, 1e-8);
    PLB_CHECK_ARRAY_F32(some, some, 3, 0, 0);
    PLB_CHECK_ARRAY_F32_F64(some, same, 3, 0, 0);
    PLB_CHECK_STRING("a", "a");
    PLB_CHECK_CONTAINS("abc", "bc");
    PLB_CHECK_MEMORY("abc", "abc", 3);
}

static void files_come_back_as_written(void)
{
    size_t count = 0;
    char *bytes;

    PLB_CHECK(plb_test_write_file(plb_test_tmp("x"), "a\0b", 3));
    bytes = plb_test_read_file(plb_test_tmp("x"), &count);
    PLB_REQUIRE(bytes != NULL);
    PLB_CHECK_EQ(count, 3);
    PLB_CHECK_MEMORY(bytes, "a\0b", 4);
    free(bytes);
    PLB_CHECK(plb_test_read_file(plb_test_tmp("absent"), NULL) == NULL);
}

static void commands_give_what_they_write(void)
{
    const char *const argv[] = {"sh", "-c", "cat; echo oops >&2; exit 3", NULL};
    const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
    struct plb_test_output output = plb_test_command(argv, "hello");

    PLB_CHECK_EQ(output.status, 3);
    PLB_CHECK_STRING(output.out, "hello");
    PLB_CHECK_STRING(output.err, "oops\n");
    plb_test_output_free(&output);
    output = plb_test_command(killed, NULL);
    PLB_CHECK_EQ(output.status, 128 + 9);
    plb_test_output_free(&output);
}

static void allocations_fail_on_demand(void)
{
    void *volatile first, *volatile second;
    bool fired;

    if (!plb_test_alloc_available())
        return;
    plb_test_alloc_fail_at(2);
    first = malloc(16);
    second = malloc(16);
    fired = plb_test_alloc_stop();
    PLB_CHECK(fired);
    PLB_CHECK(first != NULL);
    PLB_CHECK(second == NULL);
    free(first);
    free(second);
    plb_test_alloc_fail_at(100);
    first = malloc(16);
    PLB_CHECK(!plb_test_alloc_stop());
    PLB_CHECK(first != NULL);
    free(first);
}

PLB_TEST_MAIN("tests/support", NULL, NULL, PLB_TEST(comparisons_fail_when_they_must),
              PLB_TEST(nothing_to_run_fails), PLB_TEST(watchdog_ends_a_hang),
              PLB_TEST(comparisons_pass_when_they_may), PLB_TEST(files_come_back_as_written),
              PLB_TEST(commands_give_what_they_write), PLB_TEST(allocations_fail_on_demand),
              PLB_TEST(fails_near_nan), PLB_TEST(fails_array_nan), PLB_TEST(fails_array_off),
              PLB_TEST(fails_array_zero_tolerance), PLB_TEST(fails_empty_array),
              PLB_TEST(fails_equal), PLB_TEST(fails_contains), PLB_TEST(fails_memory),
              PLB_TEST(fails_hang), PLB_TEST(fails_array_f64))
