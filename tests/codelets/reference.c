/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of references, with the accuracy that is asked of each kernel.
 *
 * Units are 2^-24, half a unit in the last place of fp32, of the scale of a result (see check.h).
 * A result of bf16 may be off by 2^-8 of itself on top of that, which is rounding to its 8 bits.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include "runtime/base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A few roundings. */
#define POINTWISE 8
/* An exponential, a tangent or an error function by a polynomial, and what follows it. */
#define FUNCTION 32
/* A sum of up to some hundred terms in fp32 in several partial sums: the error grows with the
 * logarithm or the square root of the number of terms. */
#define SUM 32
/* Functions of sums: softmax, variance. */
#define SUM_FUNCTION 64
/* A value that is copied or counted. */
#define EXACT 0

#define ROW(name, accuracy, flags)                                                                 \
    {                                                                                              \
#name, reference_##name, accuracy, flags                                                   \
    }

static const struct reference table[] = {
    ROW(embedding, EXACT, REFERENCE_ANY_CELLS),
    ROW(embedding_dw, SUM, REFERENCE_ANY_CELLS),
    ROW(linear, SUM, 0),
    ROW(linear_dx, SUM, 0),
    ROW(linear_dw, SUM, 0),
    ROW(linear_db, SUM, REFERENCE_ANY_CELLS),
    ROW(layer_norm, SUM_FUNCTION, 0),
    ROW(layer_norm_dx, SUM_FUNCTION, 0),
    ROW(layer_norm_dw, SUM_FUNCTION, REFERENCE_ANY_CELLS),
    ROW(rms_norm, SUM_FUNCTION, 0),
    ROW(rms_norm_dx, SUM_FUNCTION, 0),
    ROW(rms_norm_dw, SUM_FUNCTION, REFERENCE_ANY_CELLS),
    ROW(gelu, FUNCTION, 0),
    ROW(gelu_dx, FUNCTION, 0),
    ROW(silu, FUNCTION, 0),
    ROW(silu_dx, FUNCTION, 0),
    ROW(swiglu, FUNCTION, 0),
    ROW(swiglu_dx, FUNCTION, 0),
    ROW(relu, EXACT, 0),
    ROW(relu_dx, EXACT, 0),
    ROW(rope, FUNCTION, 0),
    ROW(attention, SUM_FUNCTION,
        REFERENCE_ANY_CELLS | REFERENCE_NAN_SPREADS | REFERENCE_ROUNDS_TERMS),
    ROW(attention_dx, SUM_FUNCTION,
        REFERENCE_ANY_CELLS | REFERENCE_NAN_SPREADS | REFERENCE_ROUNDS_TERMS),
    ROW(cache_write, EXACT, 0),
    ROW(attention_cached, SUM_FUNCTION, REFERENCE_NAN_SPREADS | REFERENCE_ROUNDS_TERMS),
    ROW(take_rows, EXACT, REFERENCE_ANY_CELLS),
    ROW(cross_entropy, SUM_FUNCTION, 0),
    ROW(cross_entropy_dx, SUM_FUNCTION, REFERENCE_ANY_CELLS),
    ROW(cross_entropy_part, SUM_FUNCTION, 0),
    ROW(cross_entropy_part_dx, SUM_FUNCTION, REFERENCE_ANY_CELLS),
    ROW(cross_entropy_merge, SUM_FUNCTION, REFERENCE_F32_ONLY),
    ROW(cross_entropy_merge_dx, SUM_FUNCTION, REFERENCE_F32_ONLY),
    ROW(mean_loss, SUM, REFERENCE_F32_ONLY | REFERENCE_ANY_CELLS),
    ROW(mean_loss_dx, POINTWISE, REFERENCE_F32_ONLY | REFERENCE_ANY_CELLS),
    ROW(add, POINTWISE, 0),
    ROW(sum, SUM, 0),
    ROW(dropout, POINTWISE, 0),
    ROW(cast, EXACT, 0),
    ROW(reshape, EXACT, 0),
    ROW(fill, POINTWISE, REFERENCE_F32_ONLY),
    ROW(conv2d, SUM, REFERENCE_NAN_SPREADS),
    ROW(conv2d_dx, SUM, REFERENCE_NAN_SPREADS),
    ROW(conv2d_dw, SUM, REFERENCE_NAN_SPREADS),
    ROW(conv2d_db, SUM, REFERENCE_ANY_CELLS),
    ROW(max_pool2d, EXACT, 0),
    ROW(max_pool2d_dx, SUM, 0),
    ROW(avg_pool2d, SUM, 0),
    ROW(avg_pool2d_dx, SUM, 0),
    ROW(upsample2d, EXACT, 0),
    ROW(upsample2d_dx, SUM, 0),
    ROW(adamw, POINTWISE, REFERENCE_F32_ONLY),
    ROW(sgd, POINTWISE, REFERENCE_F32_ONLY),
    ROW(sum_squares, POINTWISE, REFERENCE_F32_ONLY | REFERENCE_ANY_CELLS),
    ROW(clip_scale, POINTWISE, REFERENCE_F32_ONLY),
};

const struct reference *reference_find(const char *name)
{
    for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
        if (strcmp(table[k].name, name) == 0)
            return &table[k];
    }
    return NULL;
}

const struct reference *reference_table(int *n_out)
{
    *n_out = (int)(sizeof(table) / sizeof(table[0]));
    return table;
}

static int find_attribute(const char *const *names, int n, const char *op, const char *name)
{
    for (int k = 0; k < n; k++) {
        if (names[k] != NULL && strcmp(names[k], name) == 0)
            return k;
    }
    fprintf(stderr, "%s has no attribute named %s\n", op, name);
    abort();
}

int64_t reference_int(const struct reference_call *call, const char *name)
{
    return call->attributes->i[find_attribute(call->op->attribute_i, 8, call->op->name, name)];
}

double reference_float(const struct reference_call *call, const char *name)
{
    return call->attributes->f[find_attribute(call->op->attribute_f, 4, call->op->name, name)];
}

bool reference_keeps(double p, uint64_t seed, uint64_t stream, uint64_t step, uint64_t element)
{
    uint32_t word[4];

    plb_random_words(seed, (stream << 40) ^ step, element / 4, word);
    return (double)(word[element % 4] >> 8) * 0x1p-24 >= p;
}
