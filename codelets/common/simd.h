/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vector arithmetic for kernels: how a loop gets its instruction set, what a reduction looks like,
 * and elementary functions that a compiler turns into vector code.
 *
 * There are no intrinsics and no vector types here. A leaf loop is plain C over arrays; marked with
 * PLB_KERNEL_CLONES it is compiled for AVX-512, AVX2 and the baseline, and the loader picks one.
 * Bits of a result may differ between these three (fused multiply-adds), never between runs.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_SIMD_H
#define PLB_CODELETS_COMMON_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The choice is made by an ifunc resolver, which runs before a sanitizer's runtime is ready. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PLB_NO_CLONES 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define PLB_NO_CLONES 1
#endif
#endif

/* GCC only: in Clang the resolvers of static functions of one name in two files collide (tried: 14,
 * 15). There, and with GCC where one machine is enough, set -march=native in CFLAGS. */
#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__clang__) &&         \
    !defined(PLB_NO_CLONES) && !defined(__AVX512VL__)
#define PLB_KERNEL_CLONES                                                                          \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PLB_KERNEL_CLONES
#endif

/* Helpers of leaf loops must become part of each clone, or they keep the baseline's instructions.
 * Kernels of cards may use them too. */
#ifdef __CUDACC__
#define PLB_INLINE static __host__ __device__ inline __attribute__((always_inline))
#else
#define PLB_INLINE static inline __attribute__((always_inline))
#endif

/* Before a loop whose iterations touch the same index of arrays that may be one and the same (a
 * kernel that works in place): there is nothing between iterations to wait for. */
#ifdef __clang__
#define PLB_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define PLB_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* A reduction keeps PLB_LANES partial results, element i going to lane i % PLB_LANES, which are
 * then combined in a fixed tree: the order of additions does not depend on the vector length. */
enum { PLB_LANES = 32 };

PLB_INLINE float plb__lanes_sum(float lane[PLB_LANES])
{
    for (int width = PLB_LANES / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            lane[j] += lane[j + width];
    }
    return lane[0];
}

PLB_INLINE float plb__lanes_max(float lane[PLB_LANES])
{
    for (int width = PLB_LANES / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            lane[j] = lane[j] > lane[j + width] ? lane[j] : lane[j + width];
    }
    return lane[0];
}

PLB_INLINE float plb__float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

PLB_INLINE uint32_t plb__bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/*
 * Elementary functions. Arguments are reduced as by Cody and Waite ("Software Manual for the
 * Elementary Functions", 1980, chapter 6); the polynomials are minimax, found by Remez' exchange in
 * 40 digits. Errors stated are the largest seen over all floats (every 7th) against libm in double,
 * with and without fused multiply-adds. NaN gives NaN.
 */

#define PLB_LOG2E    0x1.715476p+0f
#define PLB_LN2_HIGH 0x1.62e4p-1f /* 15 bits, so that n * PLB_LN2_HIGH is exact for |n| < 512 */
#define PLB_LN2_LOW  0x1.7f7d1cp-20f
#define PLB_ROUNDER  0x1.8p+23f /* adding and taking it away rounds |x| < 2^22 to an integer */

/* The reduction x = n ln 2 + r, |r| <= ln(2)/2: returns exp(r) - 1, and n in the low bits of a
 * float whose bits shifted left by 23 add n to an exponent. */
PLB_INLINE float plb__exp_reduced(float x, float *n_out, uint32_t *shift_out)
{
    float t = x * PLB_LOG2E + PLB_ROUNDER;
    float n = t - PLB_ROUNDER;
    float r = (x - n * PLB_LN2_HIGH) - n * PLB_LN2_LOW;
    float p = 0x1.6db4eap-10f;

    p = p * r + 0x1.123bdep-7f;
    p = p * r + 0x1.55545ep-5f;
    p = p * r + 0x1.55548ep-3f;
    p = p * r + 0.5f;
    *n_out = n;
    *shift_out = plb__bits_of(t) << 23;
    return p * (r * r) + r;
}

/* exp(x), 1.1 ulp. Zero below -87.3 (no subnormal results), infinity above 88.7228. */
PLB_INLINE float plb__expf(float x)
{
    uint32_t shift;
    float n, y, q = plb__exp_reduced(x, &n, &shift);

    y = plb__float_of(plb__bits_of(1.0f + q) + shift);
    y = x < -87.3f ? 0.0f : y;
    y = x > 88.72283f ? INFINITY : y;
    return x != x ? x : y;
}

/* tanh(x) = e / (e + 2), e = exp(2|x|) - 1, which does not cancel; 2.7 ulp. */
PLB_INLINE float plb__tanhf(float x)
{
    float a = fabsf(x) > 10.0f ? 10.0f : fabsf(x);
    uint32_t shift;
    float n, scale, e, q = plb__exp_reduced(2.0f * a, &n, &shift);

    scale = plb__float_of(plb__bits_of(1.0f) + shift);
    e = scale * q + (scale - 1.0f);
    e = e / (e + 2.0f);
    e = x != x ? x : e;
    return copysignf(e, x);
}

/* erf(x), 1.9 ulp: x + x P(x^2) below 1, 1 - exp(-Q(|x|)) above, 1 from 3.95 on. */
PLB_INLINE float plb__erff(float x)
{
    float a = fabsf(x) > 3.95f ? 3.95f : fabsf(x), s = x * x;
    float p = -0x1.27752cp-11f, q = -0x1.852cf8p-13f;

    p = p * s + 0x1.425964p-8f;
    p = p * s - 0x1.b5a810p-6f;
    p = p * s + 0x1.ce09c8p-4f;
    p = p * s - 0x1.81267ap-2f;
    p = p * s + 0x1.06eba2p-3f;
    q = q * a + 0x1.814ca6p-9f;
    q = q * a - 0x1.654208p-6f;
    q = q * a + 0x1.a60a74p-4f;
    q = q * a + 0x1.46c586p-1f;
    q = q * a + 0x1.2085b2p+0f;
    q = q * a + 0x1.72e976p-12f;
    q = copysignf(1.0f - plb__expf(-q), x);
    q = x != x ? x : q;
    return fabsf(x) < 1.0f ? p * x + x : q;
}

/* sin(x) and cos(x), absolute error 2e-7 for |x| < 2^31. The reduction to a quarter turn is in
 * double precision, so that angles of far positions keep their accuracy. */
PLB_INLINE void plb__sincosf(float x, float *sin_out, float *cos_out)
{
    const double rounder = 0x1.8p52;
    double t = (double)x * 0x1.45f306dc9c883p-1 + rounder; /* 2 / pi */
    float r = (float)((double)x - (t - rounder) * 0x1.921fb54442d18p+0), s = r * r;
    float sine = -0x1.98da08p-13f, cosine = 0x1.9a020ap-16f, swap;
    uint64_t quarter;

    memcpy(&quarter, &t, sizeof quarter);
    sine = sine * s + 0x1.1105b2p-7f;
    sine = sine * s - 0x1.555540p-3f;
    sine = sine * s * r + r;
    cosine = cosine * s - 0x1.6c0c8ap-10f;
    cosine = cosine * s + 0x1.55554ap-5f;
    cosine = cosine * s - 0.5f;
    cosine = cosine * s + 1.0f;
    swap = sine;
    sine = quarter & 1 ? cosine : sine;
    cosine = quarter & 1 ? swap : cosine;
    *sin_out = quarter & 2 ? -sine : sine;
    *cos_out = (quarter + 1) & 2 ? -cosine : cosine;
}

#endif
