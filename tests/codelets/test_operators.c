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
#include <string.h>

#define SEED 1

static void each(void (*check)(struct subject *s))
{
    static const enum plb_dtype dtypes[] = {PLB_F32, PLB_BF16};
    const char *only = getenv("PLB_TEST_CASE");
    int n;
    const struct subject_case *cases = cases_table(&n);
    struct subject s;

    for (int k = 0; k < n; k++) {
        if (only != NULL && strstr(cases[k].name, only) == NULL)
            continue;
        for (int i = 0; i < 2 * SUBJECT_ROWS && cases[k].dims[i / 2][0] > 0; i++) {
            if (!subject_create(&s, &cases[k], cases[k].dims[i / 2], dtypes[i % 2], SEED))
                continue;
            check(&s);
            subject_destroy(&s);
        }
    }
}

static void values_match_references(void)
{
    each(check_values);
    check_print_worst();
}

static void gradients_match_differences(void)
{
    each(check_gradients);
}

static void nan_goes_where_it_should(void)
{
    each(check_nan);
}

static void wrong_types_are_refused(void)
{
    each(check_rejections);
}

static void every_operator_is_covered(void)
{
    if (getenv("PLB_TEST_CASE") == NULL)
        check_coverage();
}

PLB_TEST_MAIN("codelets/operators", NULL, NULL, PLB_TEST(values_match_references),
              PLB_TEST(every_operator_is_covered), PLB_TEST(gradients_match_differences),
              PLB_TEST(nan_goes_where_it_should), PLB_TEST(wrong_types_are_refused))
