/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rotary position embedding (Su et al. 2021, eq. 34) in the half-split layout of Hugging Face's
 * Llama: in each of the first `heads` heads of a row, columns j and j + D/2 are turned by the angle
 * position * frequency_j; other columns are copied. The gradient turns dy the other way.
 *
 * Frequencies are theta^(-2j/D) in fp32, as transformers computes them, and may be scaled:
 *   linear   all by 1 / factor (Chen et al. 2023, "Extending context window", eq. 4)
 *   Llama 3  those with a wavelength above original / low by 1 / factor, those below original /
 * high not at all, and between by a mixture that is linear in the number of turns within the
 *            original positions (Llama 3.1; rope_type "llama3" of transformers)
 * A factor of 1 is none.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"
#include "codelets/rope/rope.h"

#include <inttypes.h>

enum { HEADS, HEAD_DIM, ORIGINAL, LINEAR, INVERSE }; /* integer attributes */
enum { THETA, FACTOR, LOW, HIGH };
enum { X, POSITIONS };

static bool positive(double x)
{
    return x > 0.0 && x < (double)INFINITY;
}

static enum plb_status check_frequencies(const struct plb_attributes *a)
{
    if (!positive(a->f[THETA]))
        return plb_fail(PLB_ERROR_INVALID, "rope: theta must be positive, but is %g", a->f[THETA]);
    if (!positive(a->f[FACTOR]))
        return plb_fail(PLB_ERROR_INVALID, "rope: factor must be positive, but is %g",
                        a->f[FACTOR]);
    if (a->f[FACTOR] == 1.0 || a->i[LINEAR])
        return PLB_OK;
    if (!positive(a->f[LOW]) || !positive(a->f[HIGH]) || a->f[HIGH] <= a->f[LOW])
        return plb_fail(PLB_ERROR_INVALID,
                        "rope: high_frequency (%g) must be above low_frequency (%g), and both "
                        "positive",
                        a->f[HIGH], a->f[LOW]);
    if (a->i[ORIGINAL] < 1)
        return plb_fail(PLB_ERROR_INVALID,
                        "rope: original_positions must be at least 1, but is %" PRId64,
                        a->i[ORIGINAL]);
    return PLB_OK;
}

static enum plb_status rope_shape(struct plb_task_types *types)
{
    const struct plb_operator *op = &plb_op_rope;
    const struct plb_attributes *a = types->attributes;
    const struct plb_shape *x = &types->in[X].shape;

    PLB_TRY(plb__check_rank(op, types, X, 2));
    PLB_TRY(plb__check_real(op, types, X));
    PLB_TRY(plb__check_type(op, types, POSITIONS, PLB_I32, plb_shape1(x->dim[0])));
    PLB_TRY(plb__check_attribute(op, types, HEADS, 1));
    PLB_TRY(plb__check_attribute(op, types, HEAD_DIM, 2));
    if (a->i[HEAD_DIM] % 2 != 0)
        return plb_fail(PLB_ERROR_INVALID, "rope: head_dim must be even, but is %" PRId64,
                        a->i[HEAD_DIM]);
    if (a->i[HEAD_DIM] > x->dim[1] || a->i[HEADS] > x->dim[1] / a->i[HEAD_DIM])
        return plb_fail(PLB_ERROR_INVALID,
                        "rope: %" PRId64 " heads of %" PRId64 " do not fit into rows of %" PRId64
                        " columns",
                        a->i[HEADS], a->i[HEAD_DIM], x->dim[1]);
    PLB_TRY(check_frequencies(a));
    types->out[0] = types->in[X];
    return PLB_OK;
}

static void rope_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    const struct plb_attributes *a = types->attributes;

    cost_out->flops = (double)types->in[X].shape.dim[0] * (double)a->i[HEAD_DIM] *
                      (3.0 * (double)a->i[HEADS] + 20.0);
    cost_out->bytes = plb__bytes_once(types);
}

static enum plb_status rope_gradient(struct plb_gradient *gradient)
{
    struct plb_attributes attributes = gradient->task->attributes;
    plb_value in[] = {gradient->d_out[0], gradient->in[POSITIONS]};

    if (!gradient->needs[X])
        return PLB_OK;
    attributes.i[INVERSE] = !attributes.i[INVERSE];
    return plb_graph_add_task(gradient->graph, &plb_op_rope, &attributes, in, 2, NULL,
                              &gradient->d_in[X]);
}

/* Scaled by the rule of Llama 3, in fp32 and in its order of operations. */
static float scaled_frequency(float frequency, const struct plb_attributes *a)
{
    float factor = (float)a->f[FACTOR], low = (float)a->f[LOW], high = (float)a->f[HIGH];
    float original = (float)a->i[ORIGINAL], wavelength = (float)(2.0 * M_PI) / frequency, share;

    if (wavelength > (float)((double)a->i[ORIGINAL] / a->f[LOW]))
        return frequency / factor;
    if (wavelength < (float)((double)a->i[ORIGINAL] / a->f[HIGH]))
        return frequency;
    share = (original / wavelength - low) / (high - low);
    return (1.0f - share) * frequency / factor + share * frequency;
}

void plb__rope_frequencies(float *frequency, const struct plb_attributes *a, int64_t first,
                           int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float exponent = (float)(2 * (first + j)) / (float)a->i[HEAD_DIM];

        frequency[j] = 1.0f / (float)pow(a->f[THETA], (double)exponent);
        if (a->i[LINEAR])
            frequency[j] /= (float)a->f[FACTOR];
        else if (a->f[FACTOR] != 1.0)
            frequency[j] = scaled_frequency(frequency[j], a);
    }
}

/* Sines (times `sign`) and cosines of the angles of one position. */
PLB_KERNEL_CLONES static void make_turns(float *restrict sines, float *restrict cosines,
                                         const float *restrict frequency, float position,
                                         float sign, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float sine, cosine;

        plb__sincosf(position * frequency[j], &sine, &cosine);
        sines[j] = sign * sine;
        cosines[j] = cosine;
    }
}

/* Turns `heads` heads of two halves of n columns; y may be x. */
PLB_KERNEL_CLONES static void turn(float *y, const float *x, const float *sines,
                                   const float *cosines, int64_t heads, int64_t n)
{
    for (int64_t h = 0; h < heads; h++) {
        const float *x0 = x + 2 * h * n, *x1 = x0 + n;
        float *y0 = y + 2 * h * n, *y1 = y0 + n;

        PLB_INDEPENDENT
        for (int64_t j = 0; j < n; j++) {
            float a = x0[j], b = x1[j];

            y0[j] = a * cosines[j] - b * sines[j];
            y1[j] = b * cosines[j] + a * sines[j];
        }
    }
}

static size_t rope_scratch(const struct plb_task_types *types)
{
    size_t dim = (size_t)types->attributes->i[HEAD_DIM];

    return (3 * dim / 2 + (size_t)types->attributes->i[HEADS] * dim) * sizeof(float);
}

/* Scratch: frequencies, sines and cosines of D/2, and the turned part of a row. */
static enum plb_status rope_cpu(const struct plb_call *call)
{
    const struct plb_attributes *a = call->attributes;
    const struct plb_tensor *x = &call->in[X].part[0], *y = &call->out[0].part[0];
    const int32_t *position = call->in[POSITIONS].part[0].data;
    int64_t half = a->i[HEAD_DIM] / 2, turned = a->i[HEADS] * a->i[HEAD_DIM];
    int64_t width = x->shape.dim[1];
    size_t size = plb_dtype_bytes(x->dtype), rest = (size_t)(width - turned) * size;
    float *frequency = call->scratch, *sines = frequency + half, *cosines = sines + half;
    float *buffer = cosines + half;

    plb__rope_frequencies(frequency, a, 0, half);
    for (int64_t r = 0; r < x->shape.dim[0]; r++) {
        int64_t at = r * width;
        const float *from = plb__read(x, at, turned, buffer);

        make_turns(sines, cosines, frequency, (float)position[r], a->i[INVERSE] ? -1.0f : 1.0f,
                   half);
        turn(plb__write(y, at, buffer), from, sines, cosines, a->i[HEADS], half);
        plb__written(y, at, turned, buffer);
        if (y->data != x->data && rest > 0)
            memcpy((char *)y->data + (size_t)(at + turned) * size,
                   (const char *)x->data + (size_t)(at + turned) * size, rest);
    }
    return PLB_OK;
}

plb_value plb_rope(plb_graph_t *g, plb_value x, plb_value positions, const struct plb_rope *rope)
{
    struct plb_attributes attributes = {
        {rope->heads, rope->head_dim, rope->original_positions, rope->linear != 0, 0},
        {rope->theta, rope->factor, rope->low_frequency, rope->high_frequency}};
    plb_value in[] = {x, positions}, y = PLB_NONE;

    plb_graph_add_task(g, &plb_op_rope, &attributes, in, 2, NULL, &y);
    return y;
}

const struct plb_operator plb_op_rope = {
    .name = "rope",
    .attribute_i = {"heads", "head_dim", "original_positions", "linear", "inverse"},
    .attribute_f = {"theta", "factor", "low_frequency", "high_frequency"},
    .n_in = 2,
    .n_out = 1,
    .in = {{.name = "x", .rows = PLB_AXIS_A}, {.name = "positions", .rows = PLB_AXIS_A}},
    .out = {{.name = "y", .rows = PLB_AXIS_A, .shares = 1}},
    .shape = rope_shape,
    .cost = rope_cost,
    .gradient = rope_gradient,
    .scratch = rope_scratch,
    .cpu = rope_cpu,
};
