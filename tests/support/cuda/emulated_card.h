/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests on the emulated card: where its module is, and how many cards there are.
 */
#ifndef PLB_TEST_EMULATED_CARD_H
#define PLB_TEST_EMULATED_CARD_H

#include <stdio.h>
#include <stdlib.h>

/* To be called before a device "cuda" is started. */
static inline void emulated_card_offer(const char *cards)
{
    const char *build = getenv("PLB_TEST_BUILDDIR");
    char path[4096];

    snprintf(path, sizeof path, "%s/tests/support/cuda/.libs/libpalombe_cuda_emulated.so",
             build != NULL ? build : ".");
    setenv("PALOMBE_CUDA_MODULE", path, 1);
    setenv("PLB_CUDA_SHIM_CARDS", cards, 1);
}

#endif
