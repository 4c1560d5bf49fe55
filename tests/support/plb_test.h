/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every test program shares: a thin layer over CUnit.
 *
 * A program is one suite. Its tests are functions without arguments; the last line of the file is
 *
 *   PLB_TEST_MAIN("runtime/base/hash", NULL, NULL,
 *                 PLB_TEST(hash_of_nothing), PLB_TEST(hash_is_stable))
 *
 * main returns 0 when every test passed and 1 otherwise, never another number (automake reads 77
 * and 99 as "skipped" and "error"). A watchdog ends a program that hangs: after 300 seconds, or
 * after PLB_TEST_TIMEOUT seconds (0: never). With an argument, only the tests whose name contains
 * it are run.
 *
 * Checks note a failure and go on; PLB_REQUIRE leaves the test. Comparisons of numbers are written
 * so that NaN never passes. Everything here is meant for the main thread of a test program.
 */
#ifndef PLB_TEST_H
#define PLB_TEST_H

#ifndef PLB_HAVE_CUNIT
#error "the tests need CUnit, which configure did not find: install libcunit1-dev, or run scripts/deps"
#endif
#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plb_test {
    const char *name;
    void (*run)(void);
};

#define PLB_TEST(function)                                                                         \
    {                                                                                              \
        #function, function                                                                        \
    }

/*
 * Defines main. `setup` and `teardown` run once around the tests of the program and return 0 on
 * success; either may be NULL.
 */
#define PLB_TEST_MAIN(suite, setup, teardown, ...)                                                 \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct plb_test tests[] = {__VA_ARGS__};                                      \
        return plb_test_run_all(suite, setup, teardown, tests, sizeof(tests) / sizeof(tests[0]),   \
                                argc, argv);                                                       \
    }

int plb_test_run_all(const char *suite, int (*setup)(void), int (*teardown)(void),
                     const struct plb_test *tests, size_t count, int argc, char **argv);

/* --- checks ----------------------------------------------------------------------------------- */

/* True, or a failure that names the expression. */
#define PLB_CHECK(expression)                                                                      \
    CU_assertImplementation((expression) ? CU_TRUE : CU_FALSE, __LINE__, #expression, __FILE__,    \
                            __func__, CU_FALSE)

/* The same, and the test ends here when it is false. */
#define PLB_REQUIRE(expression)                                                                    \
    CU_assertImplementation((expression) ? CU_TRUE : CU_FALSE, __LINE__, #expression, __FILE__,    \
                            __func__, CU_TRUE)

/* Integers (enums, statuses, sizes) that must be equal; prints both. */
#define PLB_CHECK_EQ(actual, expected)                                                             \
    plb_test_equal((long long)(actual), (long long)(expected), #actual, #expected, __FILE__,       \
                   __LINE__)

/* |actual - expected| <= tolerance; NaN on either side fails. Evaluates to whether it held. */
#define PLB_CHECK_NEAR(actual, expected, tolerance)                                                \
    plb_test_near((actual), (expected), (tolerance), #actual, __FILE__, __LINE__)

/*
 * For each i: |actual[i] - expected[i]| <= absolute + relative * |expected[i]|. Reports the worst
 * element only. Evaluates to whether it held.
 */
#define PLB_CHECK_ARRAY_F32(actual, expected, count, absolute, relative)                           \
    plb_test_array_f32((actual), (expected), (count), (absolute), (relative), #actual, __FILE__,   \
                       __LINE__)
/* The same against a reference in double precision. */
#define PLB_CHECK_ARRAY_F32_F64(actual, expected, count, absolute, relative)                       \
    plb_test_array_f32_f64((actual), (expected), (count), (absolute), (relative), #actual,         \
                           __FILE__, __LINE__)

#define PLB_CHECK_STRING(actual, expected)                                                         \
    plb_test_string((actual), (expected), #actual, __FILE__, __LINE__)
/* `text` contains `part`; NULL contains nothing. */
#define PLB_CHECK_CONTAINS(text, part)                                                             \
    plb_test_contains((text), (part), #text, __FILE__, __LINE__)
#define PLB_CHECK_MEMORY(actual, expected, bytes)                                                  \
    plb_test_memory((actual), (expected), (bytes), #actual, __FILE__, __LINE__)

bool plb_test_equal(long long actual, long long expected, const char *actual_text,
                    const char *expected_text, const char *file, unsigned line);
bool plb_test_near(double actual, double expected, double tolerance, const char *text,
                   const char *file, unsigned line);
bool plb_test_array_f32(const float *actual, const float *expected, size_t count, double absolute,
                        double relative, const char *text, const char *file, unsigned line);
bool plb_test_array_f32_f64(const float *actual, const double *expected, size_t count,
                            double absolute, double relative, const char *text, const char *file,
                            unsigned line);
bool plb_test_string(const char *actual, const char *expected, const char *text, const char *file,
                     unsigned line);
bool plb_test_contains(const char *haystack, const char *needle, const char *text, const char *file,
                       unsigned line);
bool plb_test_memory(const void *actual, const void *expected, size_t bytes, const char *text,
                     const char *file, unsigned line);

/* --- files ------------------------------------------------------------------------------------ */

/* A fresh folder of this program, removed with all that is in it when the program ends. */
const char *plb_test_tmpdir(void);

/* tmpdir/name, and source-tree/name; each call's result stays valid until eight calls later. */
const char *plb_test_tmp(const char *name);
const char *plb_test_source(const char *name);
/* build-tree/name: for programs such as "palombe". */
const char *plb_test_build(const char *name);

/* Writes a file; a failure is a failed check and false. */
bool plb_test_write_file(const char *path, const void *bytes, size_t count);
/* Reads a whole file into malloc'ed memory with a zero after its end; NULL when it cannot. */
char *plb_test_read_file(const char *path, size_t *count_out);

/* --- other programs --------------------------------------------------------------------------- */

struct plb_test_output {
    int status; /* exit status, or 128 + the signal that ended it, or -1: could not be started */
    char *out;  /* what it wrote, each with a zero after its end; freed by plb_test_output_free */
    char *err;
    size_t out_bytes;
};

/*
 * Runs argv (NULL-ended; argv[0] is looked up in PATH) with `input` (may be NULL) as its standard
 * input, waits, and gives what it wrote. The child dies with this program.
 */
struct plb_test_output plb_test_command(const char *const argv[], const char *input);
void plb_test_output_free(struct plb_test_output *output);

/* --- allocations that fail -------------------------------------------------------------------- */

/*
 * Makes allocations of the calling thread fail, from inside the program (its malloc, calloc,
 * realloc, aligned_alloc and posix_memalign stand before libc's):
 *
 *   for (long n = 1; plb_test_alloc_available(); n++) {
 *       plb_test_alloc_fail_at(n);
 *       status = thing_make(&thing);
 *       if (!plb_test_alloc_stop())  // the n-th was never reached: all have been tried
 *           break;
 *       PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
 *   }
 *
 * Sanitizers bring their own malloc; with them it is not available and the loop does nothing.
 */
bool plb_test_alloc_available(void);
/* The n-th allocation from now on fails, once (n >= 1). */
void plb_test_alloc_fail_at(long n);
/* Back to normal; true when an allocation was made to fail. */
bool plb_test_alloc_stop(void);

#ifdef __cplusplus
}
#endif
#endif
