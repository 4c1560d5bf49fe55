/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases of benchmarks of kernels: an operator, its operands in one line, its attributes. What
 * bench_kernels.c (CPU) and bench_kernels_cuda.c (cards) share.
 */
#ifndef PLB_TESTS_BENCH_BENCH_CASES_H
#define PLB_TESTS_BENCH_BENCH_CASES_H

#include "runtime/graph/graph.h"

/* Kinds of inputs: r: f32 or bf16, whichever is measured; f: f32; b: bf16; d: f64; i: i32, small;
 * p: i32, positions. */
struct bench {
    const char *op, *what;
    const char *in; /* one word per input: kind and dimensions; "-": absent */
    struct plb_attributes attributes;
};

/* Integer attributes. */
#define I(...)                                                                                     \
    {                                                                                              \
        .i = { __VA_ARGS__ }                                                                       \
    }

/* What operands are filled with. */
struct bench_filling {
    int32_t small; /* tokens, targets and indices are below this */
    int32_t position;
};

/* The graph of the one task; its status says what is wrong with the case. */
plb_graph_t *bench_graph(const struct bench *bench, enum plb_dtype real);

/* Fills the first n elements of a value of such a graph: reals with 0.1 to 1.1, as if at random. */
void bench_fill(const struct plb_value_info *info, const struct bench_filling *filling, void *data,
                int64_t n);

/* Are there two dtypes to measure? */
bool bench_has_real(const struct bench *bench);

/* Does the operator's name contain one of these, or are there none? */
bool bench_wanted(const char *op, int n, char **names);

/* Says which operators a table forgot; returns how many. */
int bench_forgotten(const char *program, const struct bench *benches, int n);

#endif
