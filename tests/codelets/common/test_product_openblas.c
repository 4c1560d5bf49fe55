/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of matrices with OpenBLAS, whatever else there is. Where it is not installed the one
 * thing to check is that this is said.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "tests/codelets/common/product_check.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>

static int setup(void)
{
    return setenv("PALOMBE_BLAS", "openblas", 1);
}

static void the_library_is_openblas(void)
{
    struct plb_blas_info info;

    plb_blas_inspect(&info);
    PLB_CHECK_STRING(info.library, info.openblas_found ? "OpenBLAS" : "none");
    if (!info.openblas_found) {
        PLB_CHECK_EQ(plb_blas_start(), PLB_ERROR_UNAVAILABLE);
        PLB_CHECK_CONTAINS(plb_error_message(), "libopenblas");
    }
}

static void all_products(void)
{
    if (plb_blas_start() != PLB_OK)
        return;
    products_match_references();
    products_at_edges();
    products_have_the_same_bits_on_any_thread();
    products_have_the_same_bits_in_any_place();
    products_keep_nan_in_its_row();
}

PLB_TEST_MAIN("codelets/common/product_openblas", setup, NULL, PLB_TEST(the_library_is_openblas),
              PLB_TEST(all_products))
