/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every operator's CUDA kernel, in every dtype, on several shapes and in several ranges, against
 * the reference in double precision: test_operators.c on a card, or without one on the emulated
 * card. See cuda_runner.h for what is asked of a call besides, check.h for the rest.
 *
 * Two programs are made of this: test_operators_cuda for the emulated card, and for a card
 * operators_on_card. PLB_TEST_CASE: only the cases whose name contains this.
 * PLB_TEST_VERBOSE: prints the largest errors.
 */
#include "config.h"

#include "tests/codelets/cases.h"
#include "tests/codelets/check.h"
#include "tests/codelets/cuda_runner.h"
#include "tests/support/plb_test.h"

#include "codelets/codelets.h"

#include <stdio.h>
#include <stdlib.h>

#define NAN_BYTES ((size_t)8 << 10)

static void every_operator_has_a_kernel(void)
{
    int n;
    const struct plb_operator *const *table = plb_operators(&n);

    for (int k = 0; k < n; k++) {
        if (cuda_runner_operator(table[k]->name) == NULL)
            fprintf(stderr, "%s has no CUDA kernel\n", table[k]->name);
        PLB_CHECK(cuda_runner_operator(table[k]->name) != NULL);
    }
}

static void values_match_references(void)
{
    cases_each(check_values);
    check_print_worst();
}

/* A NaN takes no other way in a large subject than in a small one. */
static void check_nan_of_small(struct subject *s)
{
    size_t bytes = 0;

    for (plb_value v = 0; v < plb_graph_values(s->graph); v++)
        bytes += plb_type_bytes(&plb_graph_value(s->graph, v)->type);
    if (bytes < NAN_BYTES)
        check_nan(s);
}

static void nan_goes_where_it_should(void)
{
    cases_each(check_nan_of_small);
}

static void indices_out_of_range_are_refused(void)
{
    check_indices(true);
}

static void every_operator_is_covered(void)
{
    if (getenv("PLB_TEST_CASE") == NULL)
        check_coverage();
}

PLB_TEST_MAIN("codelets/operators_cuda", cuda_runner_setup, cuda_runner_teardown,
              PLB_TEST(every_operator_has_a_kernel), PLB_TEST(values_match_references),
              PLB_TEST(every_operator_is_covered), PLB_TEST(nan_goes_where_it_should),
              PLB_TEST(indices_out_of_range_are_refused))
