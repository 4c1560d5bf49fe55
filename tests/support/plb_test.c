/* SPDX-License-Identifier: BSD-3-Clause */
/* Runner, watchdog, checks, files and child programs for the tests; see plb_test.h. */
#include "config.h"

#include "tests/support/plb_test.h"

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_SECONDS = 300, PATH_SLOTS = 8 };

static char tmpdir[PATH_MAX];
static pid_t tmpdir_owner;

/* --- watchdog --------------------------------------------------------------------------------- */

static void on_alarm(int signal_number)
{
    static const char message[] = "watchdog: the test program took too long and was ended\n";

    (void)signal_number;
    if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
        _exit(1);
    _exit(1);
}

static void start_watchdog(void)
{
    const char *text = getenv("PLB_TEST_TIMEOUT");
    long seconds = text ? strtol(text, NULL, 10) : DEFAULT_TIMEOUT_SECONDS;
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    if (seconds > 0)
        alarm((unsigned)seconds);
}

/* --- runner ----------------------------------------------------------------------------------- */

static unsigned add_tests(CU_pSuite suite, const struct plb_test *tests, size_t count,
                          const char *filter)
{
    unsigned added = 0;

    for (size_t i = 0; i < count; i++) {
        if (filter && !strstr(tests[i].name, filter))
            continue;
        if (!CU_add_test(suite, tests[i].name, tests[i].run))
            return 0;
        added++;
    }
    return added;
}

static bool run_suite(const char *name, int (*setup)(void), int (*teardown)(void),
                      const struct plb_test *tests, size_t count, const char *filter)
{
    CU_pSuite suite = CU_add_suite(name, setup, teardown);

    if (!suite || add_tests(suite, tests, count, filter) == 0) {
        fprintf(stderr, "%s: no test to run%s%s\n", name, filter ? " whose name contains " : "",
                filter ? filter : "");
        return false;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    if (CU_basic_run_tests() != CUE_SUCCESS)
        return false;
    printf("%s: %u tests, %u failed; %u checks, %u failed\n", name, CU_get_number_of_tests_run(),
           CU_get_number_of_tests_failed(), CU_get_number_of_asserts(),
           CU_get_number_of_failures());
    return CU_get_number_of_tests_failed() == 0 && CU_get_number_of_failures() == 0 &&
           CU_get_number_of_suites_failed() == 0 && CU_get_number_of_tests_run() > 0;
}

int plb_test_run_all(const char *suite, int (*setup)(void), int (*teardown)(void),
                     const struct plb_test *tests, size_t count, int argc, char **argv)
{
    bool passed;

    setvbuf(stdout, NULL, _IOLBF, 0);
    start_watchdog();
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    passed = run_suite(suite, setup, teardown, tests, count, argc > 1 ? argv[1] : NULL);
    CU_cleanup_registry();
    return passed ? 0 : 1;
}

/* --- checks ----------------------------------------------------------------------------------- */

static bool note(bool held, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bool note(bool held, const char *file, unsigned line, const char *format, ...)
{
    char message[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    CU_assertImplementation(held ? CU_TRUE : CU_FALSE, line, message, file, "", CU_FALSE);
    return held;
}

bool plb_test_equal(long long actual, long long expected, const char *actual_text,
                    const char *expected_text, const char *file, unsigned line)
{
    return note(actual == expected, file, line, "%s == %s: %lld, not %lld", actual_text,
                expected_text, actual, expected);
}

bool plb_test_near(double actual, double expected, double tolerance, const char *text,
                   const char *file, unsigned line)
{
    double distance = fabs(actual - expected);

    return note(distance <= tolerance, file, line, "%s: %.9g, not %.9g (|d| = %.3g > %.3g)", text,
                actual, expected, distance, tolerance);
}

/* Which element of two arrays is furthest outside its tolerance, as a ratio to it. */
struct worst {
    double ratio;
    size_t index;
};

static void worst_note(struct worst *worst, double actual, double expected, double absolute,
                       double relative, size_t index)
{
    double bound = absolute + relative * fabs(expected);
    double distance = fabs(actual - expected);
    double ratio = distance <= bound ? (bound > 0 ? distance / bound : 0) : INFINITY;

    /* Not `distance > bound`: that is false for NaN. */
    if (!(distance <= bound) && bound > 0 && isfinite(distance))
        ratio = distance / bound;
    if (ratio > worst->ratio) {
        worst->ratio = ratio;
        worst->index = index;
    }
}

static bool worst_report(struct worst worst, double actual, double expected, size_t count,
                         const char *text, const char *file, unsigned line)
{
    return note(worst.ratio <= 1, file, line,
                "%s[%zu] of %zu: %.9g, not %.9g (%.3g times the tolerance)", text, worst.index,
                count, actual, expected, worst.ratio);
}

bool plb_test_array_f32(const float *actual, const float *expected, size_t count, double absolute,
                        double relative, const char *text, const char *file, unsigned line)
{
    struct worst worst = {0, 0};

    if (count == 0 || !actual || !expected)
        return note(false, file, line, "%s: nothing to compare", text);
    for (size_t i = 0; i < count; i++)
        worst_note(&worst, actual[i], expected[i], absolute, relative, i);
    return worst_report(worst, actual[worst.index], expected[worst.index], count, text, file, line);
}

bool plb_test_array_f32_f64(const float *actual, const double *expected, size_t count,
                            double absolute, double relative, const char *text, const char *file,
                            unsigned line)
{
    struct worst worst = {0, 0};

    if (count == 0 || !actual || !expected)
        return note(false, file, line, "%s: nothing to compare", text);
    for (size_t i = 0; i < count; i++)
        worst_note(&worst, actual[i], expected[i], absolute, relative, i);
    return worst_report(worst, actual[worst.index], expected[worst.index], count, text, file, line);
}

bool plb_test_string(const char *actual, const char *expected, const char *text, const char *file,
                     unsigned line)
{
    bool held = actual && expected && strcmp(actual, expected) == 0;

    return note(held, file, line, "%s: '%s', not '%s'", text, actual ? actual : "(NULL)",
                expected ? expected : "(NULL)");
}

bool plb_test_contains(const char *haystack, const char *needle, const char *text, const char *file,
                       unsigned line)
{
    return note(haystack && strstr(haystack, needle), file, line, "%s: no '%s' in '%.300s'", text,
                needle, haystack ? haystack : "(NULL)");
}

bool plb_test_memory(const void *actual, const void *expected, size_t bytes, const char *text,
                     const char *file, unsigned line)
{
    const unsigned char *a = (const unsigned char *)actual, *e = (const unsigned char *)expected;
    size_t i = 0;

    if (!a || !e || bytes == 0)
        return note(false, file, line, "%s: nothing to compare", text);
    while (i < bytes && a[i] == e[i])
        i++;
    return note(i == bytes, file, line, "%s: byte %zu of %zu is 0x%02x, not 0x%02x", text, i, bytes,
                i < bytes ? a[i] : 0, i < bytes ? e[i] : 0);
}

/* --- files ------------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_tmpdir(void)
{
    /* A forked child that exits must not take the parent's folder away. */
    if (tmpdir[0] && tmpdir_owner == getpid())
        nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *plb_test_tmpdir(void)
{
    const char *base = getenv("TMPDIR");

    if (tmpdir[0])
        return tmpdir;
    snprintf(tmpdir, sizeof(tmpdir), "%s/palombe-test.XXXXXX", base && base[0] ? base : "/tmp");
    if (!mkdtemp(tmpdir)) {
        perror(tmpdir);
        _exit(1);
    }
    tmpdir_owner = getpid();
    atexit(remove_tmpdir);
    return tmpdir;
}

static const char *joined(const char *folder, const char *name)
{
    static char slots[PATH_SLOTS][PATH_MAX];
    static unsigned next;
    char *slot = slots[next++ % PATH_SLOTS];
    int length = snprintf(slot, PATH_MAX, "%s/%s", folder, name);

    if (length < 0 || length >= PATH_MAX) {
        fprintf(stderr, "path too long: %s/%s\n", folder, name);
        _exit(1);
    }
    return slot;
}

static const char *folder_from(const char *variable)
{
    const char *folder = getenv(variable);

    return folder && folder[0] ? folder : ".";
}

const char *plb_test_tmp(const char *name)
{
    return joined(plb_test_tmpdir(), name);
}

const char *plb_test_source(const char *name)
{
    return joined(folder_from("PLB_TEST_SRCDIR"), name);
}

const char *plb_test_build(const char *name)
{
    return joined(folder_from("PLB_TEST_BUILDDIR"), name);
}

bool plb_test_write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    bool written = file && fwrite(bytes, 1, count, file) == count;

    if (file && fclose(file) != 0)
        written = false;
    return note(written, __FILE__, __LINE__, "cannot write %s", path);
}

char *plb_test_read_file(const char *path, size_t *count_out)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long size = -1;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = (char *)malloc((size_t)size + 1);
    if (bytes && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    if (!bytes)
        return NULL;
    bytes[size] = '\0';
    if (count_out)
        *count_out = (size_t)size;
    return bytes;
}

/* --- other programs --------------------------------------------------------------------------- */

static bool redirect(const char *path, int flags, int descriptor)
{
    int opened = open(path, flags, 0600);

    if (opened < 0 || dup2(opened, descriptor) < 0)
        return false;
    close(opened);
    return true;
}

static void child(const char *const argv[], const char *in, const char *out, const char *err)
{
    int write_flags = O_WRONLY | O_CREAT | O_TRUNC;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (redirect(in, O_RDONLY, STDIN_FILENO) && redirect(out, write_flags, STDOUT_FILENO) &&
        redirect(err, write_flags, STDERR_FILENO))
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

struct plb_test_output plb_test_command(const char *const argv[], const char *input)
{
    static unsigned calls;
    struct plb_test_output output = {-1, NULL, NULL, 0};
    char in[PATH_MAX], out[PATH_MAX], err[PATH_MAX];
    int status = 0;
    pid_t pid;

    calls++;
    snprintf(in, sizeof(in), "%.4000s/.in%u", plb_test_tmpdir(), calls);
    snprintf(out, sizeof(out), "%.4000s/.out%u", plb_test_tmpdir(), calls);
    snprintf(err, sizeof(err), "%.4000s/.err%u", plb_test_tmpdir(), calls);
    if (!plb_test_write_file(in, input ? input : "", input ? strlen(input) : 0))
        return output;
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        child(argv, in, out, err);
    if (pid > 0 && waitpid(pid, &status, 0) == pid)
        output.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    output.out = plb_test_read_file(out, &output.out_bytes);
    output.err = plb_test_read_file(err, NULL);
    return output;
}

void plb_test_output_free(struct plb_test_output *output)
{
    free(output->out);
    free(output->err);
    output->out = NULL;
    output->err = NULL;
}
