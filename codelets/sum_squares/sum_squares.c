/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sum_squares: the sum of the squares of all elements, in double precision.
 *
 * Element i of the value goes to lane i % LANES, each lane is summed in increasing order of i, and
 * the lanes are added in a fixed tree. So the bits depend on the range of rows alone, however the
 * value is cut into cells.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/operators.h"
#include "codelets/common/simd.h"

#define LANES 32 /* enough independent sums to hide the latency of an addition */

/* Whole groups of LANES elements. */
PLB_KERNEL_CLONES static void add_groups(const float *x, int64_t groups, double *lane_inout)
{
    double lane[LANES];

    for (int j = 0; j < LANES; j++)
        lane[j] = lane_inout[j];
    for (int64_t i = 0; i < groups; i++) {
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)x[i * LANES + j] * (double)x[i * LANES + j];
    }
    for (int j = 0; j < LANES; j++)
        lane_inout[j] = lane[j];
}

/* Elements `at` to `at` + n - 1 of the whole value, which lie at x. */
static void add_run(const float *x, int64_t at, int64_t n, double *lane)
{
    int64_t groups;

    for (; n > 0 && at % LANES != 0; x++, at++, n--)
        lane[at % LANES] += (double)*x * (double)*x;
    groups = n / LANES;
    add_groups(x, groups, lane);
    x += groups * LANES;
    for (int64_t j = 0; j < n % LANES; j++)
        lane[j] += (double)x[j] * (double)x[j];
}

static enum plb_status shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_dtype(&plb_op_sum_squares, types, 0, PLB_F32));
    types->out[0] = (struct plb_type){PLB_F64, plb_shape1(1)};
    return PLB_OK;
}

static void cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 2.0 * (double)plb_shape_elements(&types->in[0].shape);
    cost_out->bytes = plb__bytes_once(types);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum plb_status cpu(const struct plb_call *call)
{
    const struct plb_operand *x = &call->in[0];
    int64_t row = plb_shape_row_elements(&x->whole);
    double lane[LANES] = {0};

    for (int k = 0; k < x->n_parts; k++) {
        const struct plb_tensor *part = &x->part[k];
        int64_t low = larger(call->low[0], part->row0);
        int64_t high = smaller(call->high[0], part->row0 + part->shape.dim[0]);

        if (low < high)
            add_run((const float *)part->data + (low - part->row0) * row, low * row,
                    (high - low) * row, lane);
    }
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            lane[j] += lane[j + width];
    }
    *(double *)call->out[0].part[0].data = lane[0];
    return PLB_OK;
}

const struct plb_operator plb_op_sum_squares = {
    .name = "sum_squares",
    .n_in = 1,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A, .flags = PLB_LIST}},
    .out = {{.name = "sum"}},
    .shape = shape,
    .cost = cost,
    .cpu = cpu,
};

plb_value plb_sum_squares(plb_graph_t *g, plb_value x)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value out[1] = {PLB_NONE};

    plb_graph_add_task(g, &plb_op_sum_squares, &attributes, &x, 1, NULL, out);
    return out[0];
}
