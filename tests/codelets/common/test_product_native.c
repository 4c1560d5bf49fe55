/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of matrices with bf16 handed to oneDNN as it is. Without oneDNN the wish has no effect
 * and products are right all the same.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "tests/codelets/common/product_check.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

static int setup(void)
{
    return setenv("PALOMBE_BF16", "native", 1);
}

static void bf16_is_native_with_onednn(void)
{
    struct plb_blas_info info;

    plb_blas_inspect(&info);
    PLB_CHECK_STRING(info.bf16, strcmp(info.library, "oneDNN") == 0 ? "native" : "fp32");
}

PLB_TEST_MAIN("codelets/common/product_native", setup, NULL, PLB_TEST(bf16_is_native_with_onednn),
              PRODUCT_TESTS)
