/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Features of the processor, by CPUID (Intel's Software Developer's Manual, volume 2A, "CPUID").
 */
#include "config.h"

#include "codelets/common/cpu.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* State components in XCR0 that the operating system must have switched on. */
#define XCR0_YMM  0x06u
#define XCR0_ZMM  0xe6u
#define XCR0_TILE 0x60000u

#define LEAF1_ECX_FMA          (1u << 12)
#define LEAF1_ECX_OSXSAVE      (1u << 27)
#define LEAF7_EBX_AVX2         (1u << 5)
#define LEAF7_EBX_AVX512       (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */
#define LEAF7_EDX_AMX_BF16     (1u << 22)
#define LEAF7_1_EAX_AVX512BF16 (1u << 5)
#define LEAF_BRAND_FIRST       0x80000002u
#define LEAF_BRAND_LAST        0x80000004u

static uint32_t xcr0_read(void)
{
    uint32_t low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void model_read(char *model, size_t bytes)
{
    unsigned word[12] = {0};
    char text[sizeof word + 1];
    const char *start = text;

    for (unsigned leaf = LEAF_BRAND_FIRST; leaf <= LEAF_BRAND_LAST; leaf++) {
        unsigned *w = word + 4 * (leaf - LEAF_BRAND_FIRST);

        if (!__get_cpuid(leaf, &w[0], &w[1], &w[2], &w[3]))
            return;
    }
    memcpy(text, word, sizeof word);
    text[sizeof word] = '\0';
    start += strspn(start, " ");
    memcpy(model, start, strlen(start) < bytes ? strlen(start) + 1 : bytes);
    model[bytes - 1] = '\0';
}

static void features_read(struct plb_cpu_features *features)
{
    unsigned a, b, c, d;
    uint32_t state;
    bool fma;

    model_read(features->model, sizeof features->model);
    if (__get_cpuid(0, &a, &b, &c, &d))
        features->amd = b == signature_AMD_ebx && c == signature_AMD_ecx;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & LEAF1_ECX_OSXSAVE))
        return;
    fma = (c & LEAF1_ECX_FMA) != 0;
    state = xcr0_read();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    features->avx2 = fma && (b & LEAF7_EBX_AVX2) && (state & XCR0_YMM) == XCR0_YMM;
    features->avx512 = features->avx2 && (b & LEAF7_EBX_AVX512) == LEAF7_EBX_AVX512 &&
                       (state & XCR0_ZMM) == XCR0_ZMM;
    features->amx_bf16 = (d & LEAF7_EDX_AMX_BF16) && (state & XCR0_TILE) == XCR0_TILE;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        features->avx512_bf16 = features->avx512 && (a & LEAF7_1_EAX_AVX512BF16);
}

#else

static void features_read(struct plb_cpu_features *features)
{
    (void)features;
}

#endif

static struct plb_cpu_features the_features;

static void features_once(void)
{
    strcpy(the_features.model, "unknown");
    features_read(&the_features);
}

const struct plb_cpu_features *plb_cpu_features(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, features_once);
    return &the_features;
}
