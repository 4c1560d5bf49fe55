/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenBLAS, loaded at run time, with the core that this processor deserves.
 */
#include "config.h"

#include "codelets/common/openblas.h"
#include "codelets/common/cpu.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of CBLAS' enumerations. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef void sgemm_function(int order, int ta, int tb, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c,
                            int ldc);

static struct {
    enum plb_status status;
    void *handle;
    sgemm_function *sgemm;
    struct plb_blas_info info; /* its openblas_ fields */
} blas;

static const char *const names[] = {"libopenblas.so.0", "libopenblas.so"};

/* How much of a processor a core of OpenBLAS uses: vectors of 512 bits, of 256 bits with fused
 * multiply-adds, or less. */
enum core_class { CORE_OLD, CORE_AVX2, CORE_AVX512 };

static enum core_class core_class_of(const char *core)
{
    static const struct {
        const char *core;
        enum core_class class;
    } known[] = {
        {"Haswell", CORE_AVX2},          {"Zen", CORE_AVX2},
        {"SkylakeX", CORE_AVX512},       {"Cooperlake", CORE_AVX512},
        {"SapphireRapids", CORE_AVX512},
    };

    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        if (strcmp(known[k].core, core) == 0)
            return known[k].class;
    }
    return CORE_OLD;
}

/* The core to ask for; NULL where OpenBLAS' own choice will do. */
static const char *core_wanted(void)
{
    const struct plb_cpu_features *cpu = plb_cpu_features();

    if (cpu->avx512 && !cpu->amd)
        return "SkylakeX";
    if (cpu->avx2)
        return cpu->amd ? "Zen" : "Haswell";
    return NULL;
}

static void *library_open(int flags)
{
    void *handle = NULL;

    for (size_t k = 0; handle == NULL && k < sizeof(names) / sizeof(names[0]); k++)
        handle = dlopen(names[k], flags);
    return handle;
}

/* Loads the library as if OPENBLAS_NUM_THREADS were 1 (no pool of threads is made) and, unless
 * `core` is NULL, OPENBLAS_CORETYPE were `core`. */
static void *library_load(const char *core)
{
    bool set_threads = getenv("OPENBLAS_NUM_THREADS") == NULL;
    void *handle;

    if (set_threads)
        setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (core != NULL)
        setenv("OPENBLAS_CORETYPE", core, 1);
    handle = library_open(RTLD_NOW | RTLD_LOCAL);
    if (set_threads)
        unsetenv("OPENBLAS_NUM_THREADS");
    if (core != NULL)
        unsetenv("OPENBLAS_CORETYPE");
    return handle;
}

/* Calls a function `char *name(void)` of the library and copies what it says. */
static void library_ask(void *handle, const char *name, char *text, size_t bytes)
{
    char *(*function)(void);

    *(void **)&function = dlsym(handle, name);
    snprintf(text, bytes, "%s", function != NULL ? function() : "unknown");
}

static void core_ask(void *handle, char core[32])
{
    library_ask(handle, "openblas_get_corename", core, 32);
}

/* Loads the library again with the wanted core. */
static void core_mend(const char *wanted)
{
    dlclose(blas.handle);
    blas.handle = library_load(wanted);
    if (blas.handle == NULL)
        return;
    core_ask(blas.handle, blas.info.openblas_core);
    blas.info.openblas_mended = core_class_of(blas.info.openblas_core) >= core_class_of(wanted);
}

/* Judges the core that the library runs with, and mends it if that can be done. */
static void core_check(bool loaded_before)
{
    const char *wanted = core_wanted(), *chosen = getenv("OPENBLAS_CORETYPE");
    char *reason = blas.info.openblas_reason;
    size_t bytes = sizeof blas.info.openblas_reason;

    core_ask(blas.handle, blas.info.openblas_core_detected);
    strcpy(blas.info.openblas_core, blas.info.openblas_core_detected);
    if (wanted == NULL)
        return;
    strcpy(blas.info.openblas_core_wanted, wanted);
    if (core_class_of(blas.info.openblas_core) >= core_class_of(wanted))
        return;
    if (loaded_before)
        snprintf(reason, bytes, "the library had been loaded before Palombe could set its core");
    else if (chosen != NULL)
        snprintf(reason, bytes, "OPENBLAS_CORETYPE=%.32s is set", chosen);
    else
        core_mend(wanted);
    blas.info.openblas_wrong = !blas.info.openblas_mended;
}

/* Finds what we call; a library with 64-bit integers would misread our arguments. */
static enum plb_status functions_find(void)
{
    void (*set_threads)(int);

    library_ask(blas.handle, "openblas_get_config", blas.info.openblas_version,
                sizeof blas.info.openblas_version);
    *(void **)&blas.sgemm = dlsym(blas.handle, "cblas_sgemm");
    *(void **)&set_threads = dlsym(blas.handle, "openblas_set_num_threads");
    if (blas.sgemm == NULL || set_threads == NULL ||
        strstr(blas.info.openblas_version, "USE64BITINT") != NULL) {
        snprintf(blas.info.openblas_reason, sizeof blas.info.openblas_reason,
                 "it has 64-bit integers or lacks cblas_sgemm");
        return PLB_ERROR_UNAVAILABLE;
    }
    set_threads(1);
    return PLB_OK;
}

static void start_once(void)
{
    bool loaded_before;

    blas.status = PLB_ERROR_UNAVAILABLE;
    blas.handle = library_open(RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    loaded_before = blas.handle != NULL;
    if (!loaded_before)
        blas.handle = library_load(NULL);
    if (blas.handle != NULL)
        core_check(loaded_before);
    if (blas.handle == NULL) {
        snprintf(blas.info.openblas_reason, sizeof blas.info.openblas_reason, "%s was not found",
                 names[0]);
        return;
    }
    blas.info.openblas_found = true;
    blas.status = functions_find();
}

enum plb_status plb__openblas_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start_once);
    if (blas.status != PLB_OK)
        return plb_fail(blas.status, "OpenBLAS cannot be used: %s", blas.info.openblas_reason);
    return PLB_OK;
}

void plb__openblas_inspect(struct plb_blas_info *info)
{
    const struct plb_blas_info *from = &blas.info;

    (void)plb__openblas_start(); /* what went wrong stands in openblas_reason */
    info->openblas_found = from->openblas_found;
    info->openblas_mended = from->openblas_mended;
    info->openblas_wrong = from->openblas_wrong;
    strcpy(info->openblas_version, from->openblas_version);
    strcpy(info->openblas_core_detected, from->openblas_core_detected);
    strcpy(info->openblas_core_wanted, from->openblas_core_wanted);
    strcpy(info->openblas_core, from->openblas_core);
    strcpy(info->openblas_reason, from->openblas_reason);
}

enum plb_status plb__openblas_sgemm(const struct plb__sgemm *p)
{
    const int64_t sizes[] = {p->m, p->n, p->k, p->lda, p->ldb, p->ldc};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i] > INT_MAX)
            return plb_fail(PLB_ERROR_INVALID,
                            "a matrix product of size %lld is beyond OpenBLAS' 32-bit integers",
                            (long long)sizes[i]);
    }
    blas.sgemm(ROW_MAJOR, p->ta ? TRANS : NO_TRANS, p->tb ? TRANS : NO_TRANS, (int)p->m, (int)p->n,
               (int)p->k, 1.0f, p->a, (int)p->lda, p->b, (int)p->ldb, p->accumulate ? 1.0f : 0.0f,
               p->c, (int)p->ldc);
    return PLB_OK;
}
