/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cases: for each operator with a builder, how to make a subject of it, and with which
 * dimensions. The operators that gradient rules emit come along.
 */
#ifndef PLB_TESTS_CODELETS_CASES_H
#define PLB_TESTS_CODELETS_CASES_H

#include "tests/codelets/subject.h"

const struct subject_case *cases_table(int *n_out);

/* Calls `check` with a subject of every case, row of dimensions and dtype; with PLB_TEST_CASE, only
 * of the cases whose name contains that. */
void cases_each(void (*check)(struct subject *s));

#endif
