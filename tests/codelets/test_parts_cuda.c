/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernels on a card that go through their operands in parts, since the matrix of columns of a
 * convolution does not fit its scratch memory, or rows of a product want to be padded: on the
 * emulated card, against the reference in double precision.
 */
#include "config.h"

#include "tests/codelets/check.h"
#include "tests/codelets/cuda_runner.h"
#include "tests/support/plb_test.h"

#include "codelets/codelets.h"

#include <stdlib.h>
#include <string.h>

/* images, channels, side, output channels, side of the filter */
static void build_conv2d(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape4(s->d[0], s->d[1], s->d[2], s->d[2]));
    plb_value w = subject_real(s, "w", plb_shape4(s->d[3], s->d[1], s->d[4], s->d[4]));
    plb_value b = subject_real(s, "b", plb_shape1(s->d[3]));

    plb_conv2d(s->graph, x, w, b, 1, s->d[4] / 2);
}

/* rows, outputs, inputs */
static void build_linear(struct subject *s)
{
    plb_value x = subject_real(s, "x", plb_shape2(s->d[0], s->d[2]));
    plb_value w = subject_real(s, "w", plb_shape2(s->d[1], s->d[2]));
    plb_value b = subject_real(s, "b", plb_shape1(s->d[1]));

    plb_linear(s->graph, x, w, b);
}

static void check_task(const struct subject *s, const char *op)
{
    static const struct pieces uncut;
    struct reference_value reference[PLB_OPERANDS_MAX];
    double *in[SUBJECT_VALUES] = {NULL};
    struct made made;

    subject_evaluate(s, 0, 0, in);
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        if (strcmp(task->op->name, op) != 0)
            continue;
        subject_reference(s, task, in, reference);
        if (PLB_CHECK_EQ(pieces_run(s, task, s->data, &uncut, &made), PLB_OK)) {
            check_made(s, task, &made, reference, "in parts", false);
            made_free(&made);
        }
        reference_free(reference, task->n_out);
    }
    for (int k = 0; k < SUBJECT_VALUES; k++)
        free(in[k]);
}

static const struct subject_case conv2d = {.name = "conv2d", .build = build_conv2d};
static const struct subject_case linear = {.name = "linear", .build = build_linear};

static void check_parts(const struct subject_case *of, const int64_t *dims, enum plb_dtype real,
                        const char *op)
{
    struct subject s;

    if (PLB_CHECK(subject_create(&s, of, dims, real, 1))) {
        check_task(&s, op);
        subject_destroy(&s);
    }
}

/* 152 rows of columns of 4 bytes: 55184 of the 57600 positions at a time. */
static void positions_in_parts(void)
{
    static const int64_t dims[SUBJECT_DIMS] = {1, 6, 240, 1, 5};

    check_parts(&conv2d, dims, PLB_F32, "conv2d");
    check_parts(&conv2d, dims, PLB_F32, "conv2d_dw");
}

/* One of two images at a time. */
static void images_in_parts(void)
{
    static const int64_t forward[SUBJECT_DIMS] = {2, 6, 170, 1, 5};
    static const int64_t backward[SUBJECT_DIMS] = {2, 1, 170, 6, 5};

    check_parts(&conv2d, forward, PLB_F32, "conv2d_dw");
    check_parts(&conv2d, backward, PLB_F32, "conv2d_dx");
}

/* Rows of 33 elements: 4096 of 4100 at a time, padded. */
static void rows_in_parts(void)
{
    static const int64_t dims[SUBJECT_DIMS] = {4100, 33, 32};

    for (int real = PLB_F32; real <= PLB_BF16; real++) {
        check_parts(&linear, dims, (enum plb_dtype)real, "linear");
        check_parts(&linear, dims, (enum plb_dtype)real, "linear_dx");
        check_parts(&linear, dims, (enum plb_dtype)real, "linear_dw");
    }
}

PLB_TEST_MAIN("codelets/parts_cuda", cuda_runner_setup, cuda_runner_teardown,
              PLB_TEST(positions_in_parts), PLB_TEST(images_in_parts), PLB_TEST(rows_in_parts))
