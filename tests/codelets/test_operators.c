/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every operator, in every dtype, on several shapes and cut in several ways, against a reference in
 * double precision; gradients against finite differences too. See check.h for what is asked.
 *
 * PLB_TEST_CASE: only the cases whose name contains this. PLB_TEST_VERBOSE: prints the largest
 * errors.
 */
#include "config.h"

#include "tests/codelets/cases.h"
#include "tests/codelets/check.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>

static void values_match_references(void)
{
    cases_each(check_values);
    check_print_worst();
}

static void gradients_match_differences(void)
{
    cases_each(check_gradients);
}

static void nan_goes_where_it_should(void)
{
    cases_each(check_nan);
}

static void wrong_types_are_refused(void)
{
    cases_each(check_rejections);
}

static void every_operator_is_covered(void)
{
    if (getenv("PLB_TEST_CASE") == NULL)
        check_coverage();
}

PLB_TEST_MAIN("codelets/operators", NULL, NULL, PLB_TEST(values_match_references),
              PLB_TEST(every_operator_is_covered), PLB_TEST(gradients_match_differences),
              PLB_TEST(nan_goes_where_it_should), PLB_TEST(wrong_types_are_refused))
