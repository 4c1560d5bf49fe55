/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this machine's processor can do, as far as kernels and `palombe doctor` want to know.
 *
 * A feature counts only when the operating system saves its registers too. Kernels that are plain
 * loops need none of this (see simd.h); it decides how matrix products are made (see blas.h).
 */
#ifndef PLB_CODELETS_COMMON_CPU_H
#define PLB_CODELETS_COMMON_CPU_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plb_cpu_features {
    char model[64]; /* "Intel(R) Xeon(R) ..." as the processor names itself; "unknown" elsewhere */
    bool amd;
    bool avx2;        /* with FMA */
    bool avx512;      /* F, BW, DQ, VL */
    bool avx512_bf16; /* dot products of pairs of bfloat16 */
    bool amx_bf16;    /* tiles of bfloat16 */
};

/* Never NULL; the same for the life of the process. Thread-safe. */
const struct plb_cpu_features *plb_cpu_features(void);

#ifdef __cplusplus
}
#endif

#endif
