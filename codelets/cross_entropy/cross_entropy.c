/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Softmax cross-entropy of each row of logits[N,V] with one target, in one pass: the maximum so far
 * and the sum of exponentials below it are corrected when a larger logit comes (Milakov, Gimelshein
 * 2018, algorithm 3).
 *
 *   lse = log sum_v exp(logits_v),  loss = lse - logits_target,  0 for a negative target
 *
 * A row may lie in several cells, side by side. The gradient is in cross_entropy_gradient.c.
 *
 * cross_entropy_part does the same for a range of the classes, columns `first` on of rows of
 * `classes` in all: it makes part[N,2] = (lse over the range, logit of the target, 0 where that is
 * elsewhere), and zeros for a negative target. cross_entropy_merge.c makes lse and loss of the
 * parts.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/cross_entropy/cross_entropy.h"

#include <inttypes.h>

enum { LOGITS, TARGETS };
enum { LOSS, LSE };
enum { FIRST, CLASSES }; /* integer attributes of a part */

static enum plb_status cross_entropy_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_cross_entropy;
    struct plb_shape rows = plb_shape1(types->in[LOGITS].shape.dim[0]);

    PLB_TRY(plb__check_rank(op, types, LOGITS, 2));
    PLB_TRY(plb__check_real(op, types, LOGITS));
    PLB_TRY(plb__check_type(op, types, TARGETS, PLB_I32, rows));
    types->out[LOSS] = types->out[LSE] = (struct plb_type){PLB_F32, rows};
    return PLB_OK;
}

static void cross_entropy_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    cost_out->flops = 17.0 * (double)plb_shape_elements(&types->in[LOGITS].shape);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status cross_entropy_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->in[LOGITS], gradient->in[TARGETS], gradient->out[LSE],
                      gradient->d_out[LOSS]};

    if (!gradient->needs[LOGITS])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_cross_entropy_dx,
                              &gradient->task->attributes, in, 4, NULL, &gradient->d_in[LOGITS]);
}

PLB_KERNEL_CLONES static float maximum(const float *x, int64_t n)
{
    float lane[PLB_LANES];
    int64_t i;

    for (int j = 0; j < PLB_LANES; j++)
        lane[j] = -INFINITY;
    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++)
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    return plb__lanes_max(lane);
}

/* The sum of exp(x - top), and the maximum of the x. */
PLB_KERNEL_CLONES static float exponentials(const float *x, float top, int64_t n,
                                            float *maximum_out)
{
    float lane[PLB_LANES] = {0.0f}, top_lane[PLB_LANES];
    int64_t i;

    for (int j = 0; j < PLB_LANES; j++)
        top_lane[j] = -INFINITY;
    for (i = 0; i + PLB_LANES <= n; i += PLB_LANES) {
        for (int j = 0; j < PLB_LANES; j++) {
            lane[j] += plb__expf(x[i + j] - top);
            top_lane[j] = x[i + j] > top_lane[j] ? x[i + j] : top_lane[j];
        }
    }
    for (int j = 0; i + j < n; j++) {
        lane[j] += plb__expf(x[i + j] - top);
        top_lane[j] = x[i + j] > top_lane[j] ? x[i + j] : top_lane[j];
    }
    *maximum_out = plb__lanes_max(top_lane);
    return plb__lanes_sum(lane);
}

struct running {
    float top, sum;
};

/* Takes the maximum so far for that of the piece too, which it mostly is after the first pieces of
 * a row; if not, the piece, now in the cache, is gone through again. */
static void add_piece(struct running *running, const float *x, int64_t n)
{
    float top = running->top, piece_top, sum;

    if (top == -INFINITY)
        top = maximum(x, n);
    /* All of them -inf (masked logits): nothing to add, and -inf - -inf is to be avoided. A NaN is
     * greater than nothing, so it comes through the sum. */
    sum = exponentials(x, top == -INFINITY ? 0.0f : top, n, &piece_top);
    if (piece_top > top) {
        top = piece_top;
        sum = exponentials(x, top, n, &piece_top);
    }
    if (top > running->top) {
        running->sum *= plb__expf(running->top - top);
        running->top = top;
    }
    running->sum += sum;
}

/* Goes over row `row`; `target_logit_out` is set when one of the cells holds the target. */
static struct running add_row(const struct plb_operand *logits, int64_t row, int64_t target,
                              float *target_logit_out)
{
    struct running running = {-INFINITY, 0.0f};
    float buffer[PLB_CHUNK];

    for (int k = plb__cell_of_row(logits, row, 0); k < logits->n_parts; k++) {
        const struct plb_tensor *cell = &logits->part[k];
        int64_t columns = cell->shape.dim[1], start = (row - cell->row0) * columns;

        if (row < cell->row0)
            break;
        for (int64_t at = 0; at < columns; at += PLB_CHUNK) {
            int64_t n = columns - at < PLB_CHUNK ? columns - at : PLB_CHUNK;

            add_piece(&running, plb__read(cell, start + at, n, buffer), n);
        }
        if (target >= cell->col0 && target < cell->col0 + columns)
            plb__load(target_logit_out, cell, start + target - cell->col0, 1);
    }
    return running;
}

/* `target_out`: of the row at `at` of the range. */
static enum plb_status take_target(const struct plb_call *call, int64_t at, int64_t classes,
                                   int64_t *target_out)
{
    *target_out = ((const int32_t *)call->in[TARGETS].part[0].data)[at];
    if (*target_out < classes)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "cross_entropy: target %" PRId64 " of row %" PRId64 " is not below the %" PRId64
                    " columns of the logits",
                    *target_out, call->low[0] + at, classes);
}

static enum plb_status cross_entropy_cpu(const struct plb_call *call)
{
    const struct plb_operand *logits = &call->in[LOGITS];
    float *loss = call->out[LOSS].part[0].data, *lse = call->out[LSE].part[0].data;

    for (int64_t at = 0; at < call->high[0] - call->low[0]; at++) {
        float target_logit = 0.0f;
        struct running running;
        int64_t target;

        PLB_TRY(take_target(call, at, logits->whole.dim[1], &target));
        running = add_row(logits, call->low[0] + at, target, &target_logit);
        lse[at] = running.top + logf(running.sum);
        loss[at] = target < 0 ? 0.0f : lse[at] - target_logit;
    }
    return PLB_OK;
}

plb_value plb_cross_entropy(plb_graph_t *g, plb_value logits, plb_value targets)
{
    struct plb_attributes attributes = {{0}, {0}};
    plb_value in[] = {logits, targets}, out[] = {PLB_NONE, PLB_NONE};

    plb_graph_add_task(g, &plb_op_cross_entropy, &attributes, in, 2, NULL, out);
    return out[LOSS];
}

const struct plb_operator plb_op_cross_entropy = {
    .name = "cross_entropy",
    .n_in = 2,
    .n_out = 2,
    .in = {{.name = "logits",
            .rows = PLB_AXIS_A,
            .cols = PLB_AXIS_B,
            .flags = PLB_LIST | PLB_UNSPLIT},
           {.name = "targets", .rows = PLB_AXIS_A}},
    .out = {{.name = "loss", .rows = PLB_AXIS_A}, {.name = "lse", .rows = PLB_AXIS_A}},
    .shape = cross_entropy_shape,
    .cost = cross_entropy_cost,
    .gradient = cross_entropy_gradient,
    .cpu = cross_entropy_cpu,
};

/* --- a range of the classes ------------------------------------------------------------------- */

enum plb_status plb__check_class_range(const struct plb_operator *op,
                                       const struct plb_task_types *types)
{
    int64_t first = types->attributes->i[FIRST], classes = types->attributes->i[CLASSES];
    int64_t columns = types->in[LOGITS].shape.dim[1];

    if (first >= 0 && classes >= columns && first <= classes - columns)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "%s: %" PRId64 " columns of logits, first %" PRId64
                    ", are not a range of %" PRId64 " classes",
                    op->name, columns, first, classes);
}

static enum plb_status cross_entropy_part_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_cross_entropy_part;
    int64_t rows = types->in[LOGITS].shape.dim[0];

    PLB_TRY(plb__check_rank(op, types, LOGITS, 2));
    PLB_TRY(plb__check_real(op, types, LOGITS));
    PLB_TRY(plb__check_type(op, types, TARGETS, PLB_I32, plb_shape1(rows)));
    PLB_TRY(plb__check_class_range(op, types));
    types->out[0] = (struct plb_type){PLB_F32, plb_shape2(rows, 2)};
    return PLB_OK;
}

static enum plb_status cross_entropy_part_gradient(struct plb_gradient *gradient)
{
    plb_value in[] = {gradient->in[LOGITS], gradient->in[TARGETS], gradient->out[0],
                      gradient->d_out[0]};

    if (!gradient->needs[LOGITS])
        return PLB_OK;
    return plb_graph_add_task(gradient->graph, &plb_op_cross_entropy_part_dx,
                              &gradient->task->attributes, in, 4, NULL, &gradient->d_in[LOGITS]);
}

static enum plb_status cross_entropy_part_cpu(const struct plb_call *call)
{
    int64_t first = call->attributes->i[FIRST], classes = call->attributes->i[CLASSES];
    float *part = call->out[0].part[0].data;

    for (int64_t at = 0; at < call->high[0] - call->low[0]; at++, part += 2) {
        struct running running;
        int64_t target;

        PLB_TRY(take_target(call, at, classes, &target));
        part[0] = part[1] = 0.0f;
        if (target < 0)
            continue;
        running = add_row(&call->in[LOGITS], call->low[0] + at, target - first, &part[1]);
        part[0] = running.top + logf(running.sum);
    }
    return PLB_OK;
}

plb_value plb_cross_entropy_part(plb_graph_t *g, plb_value logits, plb_value targets, int64_t first,
                                 int64_t classes)
{
    struct plb_attributes attributes = {{first, classes}, {0}};
    plb_value in[] = {logits, targets}, part = PLB_NONE;

    plb_graph_add_task(g, &plb_op_cross_entropy_part, &attributes, in, 2, NULL, &part);
    return part;
}

const struct plb_operator plb_op_cross_entropy_part = {
    .name = "cross_entropy_part",
    .attribute_i = {"first", "classes"},
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "logits",
            .rows = PLB_AXIS_A,
            .cols = PLB_AXIS_B,
            .flags = PLB_LIST | PLB_UNSPLIT},
           {.name = "targets", .rows = PLB_AXIS_A}},
    .out = {{.name = "part", .rows = PLB_AXIS_A}},
    .shape = cross_entropy_part_shape,
    .cost = cross_entropy_cost,
    .gradient = cross_entropy_part_gradient,
    .cpu = cross_entropy_part_cpu,
};
