/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library that multiplies matrices: which one it is, and its fp32 product.
 *
 * oneDNN is used when Palombe was built with it, else OpenBLAS, which is loaded at run time. Why
 * this order, with figures: doc/results/blas.md. PALOMBE_BLAS=onednn|openblas overrides it. Every
 * product runs on the thread that asks for it, whatever the library's own settings are, and gives
 * the same bits on any thread.
 *
 * OpenBLAS chooses its kernels when it is loaded, and versions older than a processor may take it
 * for one of twenty years ago, at a fifth of the speed. So after loading it is asked what it
 * thinks it runs on; where that is too little it is unloaded and loaded again with
 * OPENBLAS_CORETYPE set. A choice of the user's in that variable is respected. Where somebody else
 * had loaded the library before, nothing can be mended: plb_blas_inspect() says so.
 *
 * Kernels do not call this directly but plb_product() (product.h), which also takes bf16.
 */
#ifndef PLB_CODELETS_COMMON_BLAS_H
#define PLB_CODELETS_COMMON_BLAS_H

#include "runtime/base/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Strings are empty where there is nothing to say. */
struct plb_blas_info {
    const char *library; /* in use: "oneDNN", "OpenBLAS", or "none" */
    const char *bf16;    /* how bf16 is multiplied: "fp32" (converted in blocks) or "native" */
    char onednn_version[32];
    char onednn_isa[64]; /* the instructions that oneDNN settled on */
    bool openblas_found;
    char openblas_version[128];
    char openblas_core_detected[32]; /* what OpenBLAS by itself takes the processor for */
    char openblas_core_wanted[32];   /* what it should be at least */
    char openblas_core[32];          /* what it runs with now */
    bool openblas_mended;            /* it was loaded again with the core that we asked for */
    bool openblas_wrong;             /* it runs with a core that is too old, see below */
    char openblas_reason[128];       /* why it could not be mended or used */
};

/* Finds the library and makes it ready. Idempotent and thread-safe, but OpenBLAS is loaded with
 * changes to the environment, so call it before threads are started (the executor does).
 * PLB_ERROR_UNAVAILABLE names the packages to install when there is no library;
 * PLB_ERROR_INVALID: PALOMBE_BLAS or PALOMBE_BF16 has an unknown value. */
enum plb_status plb_blas_start(void);

/* What is known of both libraries; loads OpenBLAS, too, to look at it. Same caution. */
void plb_blas_inspect(struct plb_blas_info *info_out);

/* C[m,n] = op(A)[m,k] op(B)[k,n], added to C when `accumulate`; all row-major fp32. op(A) is A, or
 * with ta the transposed of A[k,m]; lda, ldb, ldc: elements from one stored row to the next. */
struct plb__sgemm {
    bool ta, tb, accumulate;
    int64_t m, n, k;
    const float *a, *b;
    int64_t lda, ldb;
    float *c;
    int64_t ldc;
};

/* Starts the library if need be. PLB_ERROR_INVALID: a size does not fit the library's integers. */
enum plb_status plb__sgemm(const struct plb__sgemm *p);

/* The same with A and B in bf16 and C in fp32 or bf16 (then not accumulated), in the library's own
 * bf16. Only where plb__blas_native_bf16() is true. */
struct plb__bgemm {
    bool ta, tb, accumulate, c_bf16, bias_bf16;
    int64_t m, n, k;
    const void *a, *b;
    int64_t lda, ldb;
    void *c;
    int64_t ldc;
    const void *bias; /* n elements, added to each row; NULL for none */
};

enum plb_status plb__bgemm(const struct plb__bgemm *p);

/* Whether bf16 products should go to the library as they are: on processors with tiles (AMX), and
 * on AMD's, whose bf16 dot products do twice the work of an fp32 multiply-add. On Intel's without
 * AMX they do half of it. PALOMBE_BF16=native|fp32 overrides it (native: with oneDNN only). */
bool plb__blas_native_bf16(void);

/* Whether the library is faster when a transposed fp32 B is put straight in blocks first. */
bool plb__blas_wants_straight(void);

#ifdef __cplusplus
}
#endif

#endif
