/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The choice of the library and what is said about it. plb_blas_start() decides once per process,
 * so each wish is tried in a child.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "codelets/common/cpu.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether plb_blas_start() in a child with NAME=VALUE fails with this status and a message with all
 * of the words. */
static bool child_fails(const char *name, const char *value, enum plb_status status,
                        const char *word, const char *other)
{
    int result = -1;
    pid_t child = fork();

    if (child == 0) {
        setenv(name, value, 1);
        _exit(plb_blas_start() == status && strstr(plb_error_message(), word) != NULL &&
                      strstr(plb_error_message(), other) != NULL
                  ? 0
                  : 1);
    }
    return child > 0 && waitpid(child, &result, 0) == child && WIFEXITED(result) &&
           WEXITSTATUS(result) == 0;
}

static void unknown_wishes_are_refused(void)
{
    PLB_CHECK(child_fails("PALOMBE_BLAS", "mkl", PLB_ERROR_INVALID, "mkl", "onednn or openblas"));
    PLB_CHECK(child_fails("PALOMBE_BLAS", "", PLB_ERROR_INVALID, "PALOMBE_BLAS", "openblas"));
    PLB_CHECK(child_fails("PALOMBE_BF16", "int8", PLB_ERROR_INVALID, "int8", "native or fp32"));
}

/* A core chosen by the user stays, and is called wrong where the processor can do more. */
static void a_core_of_the_user_is_respected(void)
{
    struct plb_blas_info info;
    int result = -1;
    pid_t child = fork();

    if (child == 0) {
        setenv("OPENBLAS_CORETYPE", "Sandybridge", 1);
        plb_blas_inspect(&info);
        _exit(!info.openblas_found ||
                      (!info.openblas_mended && strcmp(info.openblas_core, "Sandybridge") == 0 &&
                       info.openblas_wrong == plb_cpu_features()->avx2 &&
                       strcmp(getenv("OPENBLAS_CORETYPE"), "Sandybridge") == 0)
                  ? 0
                  : 1);
    }
    PLB_REQUIRE(child > 0 && waitpid(child, &result, 0) == child);
    PLB_CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}

static void inspection_is_consistent(void)
{
    const struct plb_cpu_features *cpu = plb_cpu_features();
    struct plb_blas_info info;

    unsetenv("OPENBLAS_CORETYPE");
    PLB_REQUIRE(plb_blas_start() == PLB_OK);
    plb_blas_inspect(&info);
    PLB_CHECK(strcmp(info.library, "oneDNN") == 0 || strcmp(info.library, "OpenBLAS") == 0);
#ifdef PLB_HAVE_ONEDNN
    PLB_CHECK(info.onednn_version[0] != '\0' && info.onednn_isa[0] != '\0');
#else
    PLB_CHECK_STRING(info.onednn_version, "");
#endif
    if (info.openblas_found && cpu->avx2)
        PLB_CHECK(!info.openblas_wrong); /* mended if need be: nobody loaded it before */
    PLB_CHECK(!info.openblas_mended || strcmp(info.openblas_core, info.openblas_core_detected));
    PLB_CHECK(getenv("OPENBLAS_CORETYPE") == NULL);
}

static void features_build_on_each_other(void)
{
    const struct plb_cpu_features *cpu = plb_cpu_features();

    PLB_CHECK(cpu->model[0] != '\0');
    PLB_CHECK(!cpu->avx512 || cpu->avx2);
    PLB_CHECK(!cpu->avx512_bf16 || cpu->avx512);
#if defined(__x86_64__)
    PLB_CHECK_EQ(cpu->avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    PLB_CHECK_EQ(cpu->avx512,
                 __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
#endif
}

PLB_TEST_MAIN("codelets/common/blas", NULL, NULL, PLB_TEST(unknown_wishes_are_refused),
              PLB_TEST(a_core_of_the_user_is_respected), PLB_TEST(inspection_is_consistent),
              PLB_TEST(features_build_on_each_other))
