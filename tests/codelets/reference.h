/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References: every operator once more, in double precision, as plain loops over its formula.
 *
 * They are written from the specification of the operators and the papers named there, and share
 * nothing with the kernels (but the generator of random words, which has its own tests). A
 * reference sees whole values only; cutting is the harness's affair. Indices and tokens are doubles
 * too: they are exact.
 */
#ifndef PLB_TESTS_CODELETS_REFERENCE_H
#define PLB_TESTS_CODELETS_REFERENCE_H

#include "runtime/graph/operator.h"

/* A value of the reference. `magnitude[i]`, zero on entry, may be set to the sum of the absolute
 * values of the terms of v[i]: the scale of the rounding errors of a sum that cancels. */
struct reference_value {
    double *v;
    double *magnitude;
    struct plb_type type; /* rank 0: absent */
};

/* Inputs are flat: the values of a variadic last operand follow the others. */
struct reference_call {
    const struct plb_operator *op;
    const struct plb_attributes *attributes;
    int n_in;
    const struct reference_value *in;
    struct reference_value *out;
    uint64_t step;
};

enum reference_flags {
    REFERENCE_F32_ONLY = 1,    /* has no bf16 operand that it computes with */
    REFERENCE_ANY_CELLS = 2,   /* the kernel's bits do not depend on how list inputs are cut */
    REFERENCE_NAN_SPREADS = 4, /* a NaN may reach more of the output than it must: 0 * NaN */
    /* On a card the terms of a sum may be products of factors that were rounded to the dtype between
     * two products, as tensor cores take them. */
    REFERENCE_ROUNDS_TERMS = 8,
};

/* For one operator. `accuracy` is the error allowed, in units of 2^-24 of the scale of a result. */
struct reference {
    const char *name;
    void (*run)(const struct reference_call *call);
    double accuracy;
    unsigned flags;
};

/* NULL when there is none. */
const struct reference *reference_find(const char *name);
const struct reference *reference_table(int *n_out);

/* An attribute by its name in the operator's record. Aborts the test program when it has none. */
int64_t reference_int(const struct reference_call *call, const char *name);
double reference_float(const struct reference_call *call, const char *name);

/* Dimension k of a value. */
static inline int64_t reference_dim(const struct reference_value *value, int k)
{
    return value->type.shape.dim[k];
}

/* The mask word of an element: spec of dropout (stream id and counter from stream, step, element).
 * True when the element is kept. */
bool reference_keeps(double p, uint64_t seed, uint64_t stream, uint64_t step, uint64_t element);

#define REFERENCE(name) void reference_##name(const struct reference_call *call)
REFERENCE(embedding);
REFERENCE(embedding_dw);
REFERENCE(linear);
REFERENCE(linear_dx);
REFERENCE(linear_dw);
REFERENCE(linear_db);
REFERENCE(layer_norm);
REFERENCE(layer_norm_dx);
REFERENCE(layer_norm_dw);
REFERENCE(rms_norm);
REFERENCE(rms_norm_dx);
REFERENCE(rms_norm_dw);
REFERENCE(gelu);
REFERENCE(gelu_dx);
REFERENCE(silu);
REFERENCE(silu_dx);
REFERENCE(swiglu);
REFERENCE(swiglu_dx);
REFERENCE(relu);
REFERENCE(relu_dx);
REFERENCE(rope);
REFERENCE(attention);
REFERENCE(attention_dx);
REFERENCE(cache_write);
REFERENCE(attention_cached);
REFERENCE(take_rows);
REFERENCE(cross_entropy);
REFERENCE(cross_entropy_dx);
REFERENCE(cross_entropy_part);
REFERENCE(cross_entropy_part_dx);
REFERENCE(cross_entropy_merge);
REFERENCE(cross_entropy_merge_dx);
REFERENCE(mean_loss);
REFERENCE(mean_loss_dx);
REFERENCE(add);
REFERENCE(sum);
REFERENCE(dropout);
REFERENCE(cast);
REFERENCE(reshape);
REFERENCE(fill);
REFERENCE(conv2d);
REFERENCE(conv2d_dx);
REFERENCE(conv2d_dw);
REFERENCE(conv2d_db);
REFERENCE(max_pool2d);
REFERENCE(max_pool2d_dx);
REFERENCE(avg_pool2d);
REFERENCE(avg_pool2d_dx);
REFERENCE(upsample2d);
REFERENCE(upsample2d_dx);
REFERENCE(adamw);
REFERENCE(sgd);
REFERENCE(sum_squares);
REFERENCE(clip_scale);
#undef REFERENCE

#endif
