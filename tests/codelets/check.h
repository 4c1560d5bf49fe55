/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is checked of each task of a subject.
 *
 * Tolerance. A kernel computes in fp32 from the very operands that the reference sees, so a result
 * may differ by `accuracy` (see reference.c) units of 2^-24 of its scale, and where it is stored as
 * bf16 by 2^-8 of itself (half a unit in the last of 8 bits). The scale of element i is the sum of
 * the absolute values of its terms where the reference knows it, else the largest element of the
 * output. Operators that only move data must match bit by bit. NaN passes nowhere but where the
 * reference has NaN in a check that puts NaN in.
 */
#ifndef PLB_TESTS_CODELETS_CHECK_H
#define PLB_TESTS_CODELETS_CHECK_H

#include "tests/codelets/pieces.h"
#include "tests/codelets/subject.h"

/* Compares what was made with the references' outputs; `how` describes the calls in messages. A
 * difference is a failed check and false. `nan`: NaN is expected where the reference has it. */
bool check_made(const struct subject *s, const struct plb_task *task, const struct made *made,
                const struct reference_value *reference, const char *how, bool nan);

/* Runs all tasks uncut, each on the outputs of kernels before it, which are kept in the subject,
 * and checks each against its reference: whole, cut in several ways, in place, off alignment. */
void check_values(struct subject *s);

/* Checks the gradient rules: gradients made by references alone against central differences of the
 * references of the forward tasks. Large subjects are passed over. */
void check_gradients(struct subject *s);

/* A NaN in each real operand reaches what the reference says and nothing else. */
void check_nan(struct subject *s);

/* Shape rules: absent operands, other dtypes, ranks and extents. */
void check_rejections(struct subject *s);

/* Indices out of range are refused by the kernels of the forward pass: the message has the value, or
 * "row N" when it is by row. Nothing but their operands is touched. */
void check_indices(bool by_row);

/* Notes that an operator was seen with a dtype; check_coverage() fails for every operator of the
 * table that has no reference, or was not seen by check_values() in each dtype that it has. */
void check_coverage(void);

/* When PLB_TEST_VERBOSE is set: prints the worst error of each operator, its tolerance being 1. */
void check_print_worst(void);

#endif
