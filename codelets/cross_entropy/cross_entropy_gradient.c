/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradient of softmax cross-entropy: dlogits_v = dloss (exp(logits_v - lse) - [v = target]), zero
 * in rows whose target is negative. It may take the place of the logits, cell for cell.
 *
 * And of a range of the classes (cross_entropy_part): with dpart[N,2] in place of dloss,
 * dlogits_v = dpart_0 exp(logits_v - part_0) + dpart_1 [v = target].
 */
#include "config.h"

#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/cross_entropy/cross_entropy.h"

enum { LOGITS, TARGETS, LSE, DLOSS };

static enum plb_status cross_entropy_dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_cross_entropy_dx;
    struct plb_shape rows = plb_shape1(types->in[LOGITS].shape.dim[0]);

    PLB_TRY(plb__check_rank(op, types, LOGITS, 2));
    PLB_TRY(plb__check_real(op, types, LOGITS));
    PLB_TRY(plb__check_type(op, types, TARGETS, PLB_I32, rows));
    PLB_TRY(plb__check_type(op, types, LSE, PLB_F32, rows));
    PLB_TRY(plb__check_type(op, types, DLOSS, PLB_F32, rows));
    types->out[0] = types->in[LOGITS];
    return PLB_OK;
}

static void cross_entropy_dx_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 17.0 * plb__elements_out(types, 0);
    cost_out->bytes = plb__bytes_once(types);
}

/* dx may be x. */
PLB_KERNEL_CLONES static void scaled_softmax(float *dx, const float *x, float lse, float scale,
                                             int64_t n)
{
    PLB_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        dx[i] = scale * plb__expf(x[i] - lse);
}

/* What a row needs to know: the factor of the exponentials, and what is added for the target. */
struct row {
    int64_t row, target;
    bool ignored;
    float lse, scale, shift;
};

/* Elements col to col + n of a row, all within the cells `x` and `dx`. */
static void make_piece(const struct row *row, const struct plb_tensor *x,
                       const struct plb_tensor *dx, int64_t col, int64_t n)
{
    int64_t from = (row->row - x->row0) * x->shape.dim[1] + col - x->col0;
    int64_t to = (row->row - dx->row0) * dx->shape.dim[1] + col - dx->col0;
    float buffer[PLB_CHUNK], *place = plb__write(dx, to, buffer);

    if (row->ignored) {
        memset(place, 0, (size_t)n * sizeof *place);
    } else {
        scaled_softmax(place, plb__read(x, from, n, buffer), row->lse, row->scale, n);
        if (row->target >= col && row->target < col + n)
            place[row->target - col] += row->shift;
    }
    plb__written(dx, to, n, buffer);
}

/* The part of a row that lies in cell `dx`, from the cells of the logits that overlap it. */
static void make_row(const struct row *row, const struct plb_operand *logits,
                     const struct plb_tensor *dx)
{
    int64_t end = dx->col0 + dx->shape.dim[1];

    for (int k = plb__cell_of_row(logits, row->row, 0); k < logits->n_parts; k++) {
        const struct plb_tensor *x = &logits->part[k];
        int64_t low = x->col0 > dx->col0 ? x->col0 : dx->col0;
        int64_t high = x->col0 + x->shape.dim[1] < end ? x->col0 + x->shape.dim[1] : end;

        if (row->row < x->row0)
            break;
        for (int64_t col = low; col < high; col += PLB_CHUNK)
            make_piece(row, x, dx, col, high - col < PLB_CHUNK ? high - col : PLB_CHUNK);
    }
}

/* All rows of the range; `row_of` says what row `at` of it needs to know. */
static enum plb_status make_rows(const struct plb_call *call,
                                 struct row (*row_of)(const struct plb_call *call, int64_t at))
{
    for (int k = 0; k < call->out[0].n_parts; k++) {
        const struct plb_tensor *dx = &call->out[0].part[k];

        for (int64_t r = dx->row0; r < dx->row0 + dx->shape.dim[0]; r++) {
            struct row row = row_of(call, r - call->low[0]);

            make_row(&row, &call->in[LOGITS], dx);
        }
    }
    return PLB_OK;
}

static struct row row_of_loss(const struct plb_call *call, int64_t at)
{
    int64_t target = ((const int32_t *)call->in[TARGETS].part[0].data)[at];
    float lse = ((const float *)call->in[LSE].part[0].data)[at];
    float dloss = ((const float *)call->in[DLOSS].part[0].data)[at];

    return (struct row){call->low[0] + at, target, target < 0, lse, dloss, -dloss};
}

static enum plb_status cross_entropy_dx_cpu(const struct plb_call *call)
{
    return make_rows(call, row_of_loss);
}

const struct plb_operator plb_op_cross_entropy_dx = {
    .name = "cross_entropy_dx",
    .n_in = 4,
    .n_out = 1,
    .in = {{.name = "logits",
            .rows = PLB_AXIS_A,
            .cols = PLB_AXIS_B,
            .flags = PLB_LIST | PLB_UNSPLIT},
           {.name = "targets", .rows = PLB_AXIS_A},
           {.name = "lse", .rows = PLB_AXIS_A},
           {.name = "dloss", .rows = PLB_AXIS_A}},
    .out = {{.name = "dlogits",
             .rows = PLB_AXIS_A,
             .cols = PLB_AXIS_B,
             .flags = PLB_LIST | PLB_UNSPLIT,
             .shares = 1}},
    .shape = cross_entropy_dx_shape,
    .cost = cross_entropy_dx_cost,
    .cpu = cross_entropy_dx_cpu,
};

/* --- of a range of the classes ---------------------------------------------------------------- */

enum { PART = LSE, DPART = DLOSS };

static enum plb_status cross_entropy_part_dx_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_cross_entropy_part_dx;
    int64_t rows = types->in[LOGITS].shape.dim[0];

    PLB_TRY(plb__check_rank(op, types, LOGITS, 2));
    PLB_TRY(plb__check_real(op, types, LOGITS));
    PLB_TRY(plb__check_type(op, types, TARGETS, PLB_I32, plb_shape1(rows)));
    PLB_TRY(plb__check_type(op, types, PART, PLB_F32, plb_shape2(rows, 2)));
    PLB_TRY(plb__check_type(op, types, DPART, PLB_F32, plb_shape2(rows, 2)));
    PLB_TRY(plb__check_class_range(op, types));
    types->out[0] = types->in[LOGITS];
    return PLB_OK;
}

static struct row row_of_part(const struct plb_call *call, int64_t at)
{
    int64_t target = ((const int32_t *)call->in[TARGETS].part[0].data)[at];
    const float *part = (const float *)call->in[PART].part[0].data + 2 * at;
    const float *dpart = (const float *)call->in[DPART].part[0].data + 2 * at;

    return (struct row){call->low[0] + at, target - call->attributes->i[0],
                        target < 0,        part[0],
                        dpart[0],          dpart[1]};
}

static enum plb_status cross_entropy_part_dx_cpu(const struct plb_call *call)
{
    return make_rows(call, row_of_part);
}

const struct plb_operator plb_op_cross_entropy_part_dx = {
    .name = "cross_entropy_part_dx",
    .attribute_i = {"first", "classes"},
    .n_in = 4,
    .n_out = 1,
    .in = {{.name = "logits",
            .rows = PLB_AXIS_A,
            .cols = PLB_AXIS_B,
            .flags = PLB_LIST | PLB_UNSPLIT},
           {.name = "targets", .rows = PLB_AXIS_A},
           {.name = "part", .rows = PLB_AXIS_A},
           {.name = "dpart", .rows = PLB_AXIS_A}},
    .out = {{.name = "dlogits",
             .rows = PLB_AXIS_A,
             .cols = PLB_AXIS_B,
             .flags = PLB_LIST | PLB_UNSPLIT,
             .shares = 1}},
    .shape = cross_entropy_part_dx_shape,
    .cost = cross_entropy_dx_cost,
    .cpu = cross_entropy_part_dx_cpu,
};
