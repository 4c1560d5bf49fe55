/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of matrices with the library that Palombe chooses, and the leaf loops below them.
 */
#include "config.h"

#include "codelets/common/elements.h"
#include "codelets/common/product_kernels.h"
#include "tests/codelets/common/product_check.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>

/* Every size from 1 to beyond two tiles, into a buffer with padded rows. */
static void transposition_moves_each_element(void)
{
    enum { MOST = 37, STRIDE = 48 };
    static float from[MOST * MOST], to[MOST * STRIDE] __attribute__((aligned(64)));
    static uint16_t narrow[MOST * MOST];

    for (int i = 0; i < MOST * MOST; i++) {
        from[i] = (float)(i % 251);
        narrow[i] = plb__to_bf16(from[i]);
    }
    for (int64_t rows = 1; rows <= MOST; rows++) {
        for (int64_t cols = 1; cols <= MOST; cols += 1 + rows % 3) {
            for (int dtype = PLB_F32; dtype <= PLB_BF16; dtype++) {
                const void *x = dtype == PLB_F32 ? (const void *)from : narrow;

                memset(to, 0xff, sizeof to);
                plb__pack_transposed(x, (enum plb_dtype)dtype, MOST, rows, cols, to, STRIDE);
                for (int64_t i = 0; i < rows * cols; i++) {
                    int64_t r = i / cols, c = i % cols;

                    PLB_CHECK(to[c * STRIDE + r] == from[r * MOST + c]);
                }
                PLB_CHECK(cols == MOST || to[cols * STRIDE] != to[cols * STRIDE]);
            }
        }
    }
}

/* An element of a product of few rows depends on its two rows alone. */
static void dots_do_not_depend_on_the_others(void)
{
    enum { K = 77, N = 11 };
    static float x[PLB__DOTS_ROWS * K], w[N * K], one[1], all[PLB__DOTS_ROWS * N];
    static float packed[PLB__DOTS_ROWS * 96] __attribute__((aligned(64)));

    PLB_REQUIRE(plb__dots_floats(PLB__DOTS_ROWS, K) <= (int64_t)(sizeof packed / sizeof *packed));
    for (int i = 0; i < PLB__DOTS_ROWS * K; i++)
        x[i] = 1.0f / (float)(1 + i * 7 % 101);
    for (int i = 0; i < N * K; i++)
        w[i] = 1.0f / (float)(1 + i * 5 % 97);
    for (int64_t m = 1; m <= PLB__DOTS_ROWS; m++) {
        plb__dots_pack(m, K, x, PLB_F32, K, PLB_F32, packed);
        plb__dots(m, N, K, packed, w, PLB_F32, K, all, N);
        for (int64_t i = 0; i < m; i++) {
            plb__dots_pack(1, K, x + i * K, PLB_F32, K, PLB_F32, packed);
            for (int64_t j = 0; j < N; j++) {
                plb__dots(1, 1, K, packed, w + j * K, PLB_F32, K, one, 1);
                PLB_CHECK_MEMORY(&all[i * N + j], one, sizeof *one);
            }
        }
    }
}

PLB_TEST_MAIN("codelets/common/product", NULL, NULL, PRODUCT_TESTS,
              PLB_TEST(transposition_moves_each_element),
              PLB_TEST(dots_do_not_depend_on_the_others))
