/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokens, targets, positions and indices out of range; see indices.c.
 */
#include "config.h"

#include "tests/codelets/check.h"
#include "tests/support/plb_test.h"

static void indices_out_of_range_are_refused(void)
{
    check_indices(false);
}

PLB_TEST_MAIN("codelets/indices", NULL, NULL, PLB_TEST(indices_out_of_range_are_refused))
