/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The choice of the library that multiplies matrices.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "codelets/common/cpu.h"
#include "codelets/common/onednn.h"
#include "codelets/common/openblas.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum library { LIBRARY_NONE, LIBRARY_ONEDNN, LIBRARY_OPENBLAS };

static struct {
    enum plb_status status;
    char message[256];
    enum library library;
    bool native_bf16;
} chosen;

/* Tries oneDNN, then OpenBLAS; `only`, unless NULL, leaves out the other. */
static enum plb_status library_choose(const char *only)
{
    if ((only == NULL || strcmp(only, "onednn") == 0) && plb__onednn_start() == PLB_OK)
        chosen.library = LIBRARY_ONEDNN;
    else if ((only == NULL || strcmp(only, "openblas") == 0) && plb__openblas_start() == PLB_OK)
        chosen.library = LIBRARY_OPENBLAS;
    if (chosen.library != LIBRARY_NONE)
        return PLB_OK;
    if (only != NULL)
        return plb_fail_within(PLB_ERROR_UNAVAILABLE, "PALOMBE_BLAS=%s", only);
    return plb_fail_within(PLB_ERROR_UNAVAILABLE,
                           "no library for matrix products (install libopenblas0-pthread, or "
                           "libdnnl-dev and build Palombe again)");
}

static enum plb_status bf16_choose(const char *wish)
{
    if (wish != NULL && strcmp(wish, "native") != 0 && strcmp(wish, "fp32") != 0)
        return plb_fail(PLB_ERROR_INVALID, "PALOMBE_BF16=%s is not known: native or fp32", wish);
    if (chosen.library != LIBRARY_ONEDNN)
        return PLB_OK;
    if (wish != NULL)
        chosen.native_bf16 = strcmp(wish, "native") == 0;
    else
        chosen.native_bf16 =
            plb__onednn_has_amx() || (plb_cpu_features()->amd && plb_cpu_features()->avx512_bf16);
    return PLB_OK;
}

static enum plb_status choose(void)
{
    const char *wish = getenv("PALOMBE_BLAS");

    if (wish != NULL && strcmp(wish, "onednn") != 0 && strcmp(wish, "openblas") != 0)
        return plb_fail(PLB_ERROR_INVALID, "PALOMBE_BLAS=%s is not known: onednn or openblas",
                        wish);
    PLB_TRY(library_choose(wish));
    return bf16_choose(getenv("PALOMBE_BF16"));
}

static void start_once(void)
{
    chosen.status = choose();
    if (chosen.status != PLB_OK)
        snprintf(chosen.message, sizeof chosen.message, "%s", plb_error_message());
    else
        plb_error_clear(); /* of a library that is not there, which is no failure */
}

enum plb_status plb_blas_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start_once);
    if (chosen.status != PLB_OK)
        return plb_fail(chosen.status, "%s", chosen.message);
    return PLB_OK;
}

bool plb__blas_native_bf16(void)
{
    return plb_blas_start() == PLB_OK && chosen.native_bf16;
}

bool plb__blas_wants_straight(void)
{
    return plb_blas_start() == PLB_OK && chosen.library == LIBRARY_ONEDNN;
}

void plb_blas_inspect(struct plb_blas_info *info_out)
{
    static const char *const names[] = {"none", "oneDNN", "OpenBLAS"};
    struct plb_blas_info info = {.library = names[0], .bf16 = "fp32"};

    if (plb_blas_start() == PLB_OK)
        info.library = names[chosen.library];
    if (chosen.native_bf16)
        info.bf16 = "native";
    plb__onednn_inspect(&info);
    plb__openblas_inspect(&info);
    *info_out = info;
}

enum plb_status plb__sgemm(const struct plb__sgemm *p)
{
    PLB_TRY(plb_blas_start());
    return chosen.library == LIBRARY_ONEDNN ? plb__onednn_sgemm(p) : plb__openblas_sgemm(p);
}

enum plb_status plb__bgemm(const struct plb__bgemm *p)
{
    PLB_TRY(plb_blas_start());
    return plb__onednn_bgemm(p);
}
