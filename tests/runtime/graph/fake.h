/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operators for tests of graphs: small algebra with known gradients, and an interpreter in double
 * precision. They stand apart from the real operators, so that a test of the graph tests only that.
 * Their CPU kernels are never called.
 */
#ifndef PLB_TEST_FAKE_H
#define PLB_TEST_FAKE_H

#include "runtime/graph/graph.h"

/* y = a * b, elementwise; rows of all are axis A. */
extern const struct plb_operator fake_mul;
/* y[N,O] = x[N,K] w[O,K]^T; axis A: rows of x and y, axis B: rows of w, columns of y. */
extern const struct plb_operator fake_linear;
/* y = x^2, z = x^3 (optional output). */
extern const struct plb_operator fake_powers;
/* y[1] = sum of all elements of x. */
extern const struct plb_operator fake_total;
/* y = sum of any number of values. */
extern const struct plb_operator fake_gather;
/* y = 1 everywhere, whatever x; no gradient. */
extern const struct plb_operator fake_one;

/* Adds a task of one output, with one, two or n inputs. */
plb_value fake_unary(plb_graph_t *graph, const struct plb_operator *op, plb_value x);
plb_value fake_binary(plb_graph_t *graph, const struct plb_operator *op, plb_value x, plb_value y);
plb_value fake_many(plb_graph_t *graph, const struct plb_operator *op, const plb_value *x, int n);
/* An f32 value that exists before the step. */
plb_value fake_input(plb_graph_t *graph, const char *name, int64_t rows, int64_t cols);

/* Computes all tasks in order; data[v] points to the elements of value v, for values that exist
 * before the step filled by the caller. Knows the operators above and "fill" and "add". */
void fake_evaluate(const plb_graph_t *graph, double *const *data);
/* Room for all values of the graph, zeroed; freed by fake_free(). */
double **fake_allocate(const plb_graph_t *graph);
void fake_free(const plb_graph_t *graph, double **data);

/* Numbers for tests: PLB_TEST_SEED or 1 starts the stream. */
uint64_t fake_seed(void);
uint32_t fake_draw(uint64_t *state, uint32_t below);

#endif
