/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leaf loops of matrix products: conversion, transposition, and dot products for few rows.
 *
 * All sizes may be anything from 1 on; strides count elements.
 */
#ifndef PLB_CODELETS_COMMON_PRODUCT_KERNELS_H
#define PLB_CODELETS_COMMON_PRODUCT_KERNELS_H

#include "runtime/graph/value.h"

/* Elements that rows written by plb__pack_transposed() are padded to: what lies between a row's end
 * and the next multiple is overwritten. */
enum { PLB__PACK_ALIGN = 16 };

/* The most rows of A that plb__dots() takes. */
enum { PLB__DOTS_ROWS = 8 };

/* to[i * to_stride + j] = from[i * stride + j], fp32 from fp32 or bf16. */
void plb__pack(const void *from, enum plb_dtype dtype, int64_t stride, int64_t rows, int64_t cols,
               float *to, int64_t to_stride);

/* to[j * to_stride + i] = from[i * stride + j] for i < rows, j < cols. to_stride is a multiple of
 * PLB__PACK_ALIGN, and `to` is 64-aligned. */
void plb__pack_transposed(const void *from, enum plb_dtype dtype, int64_t stride, int64_t rows,
                          int64_t cols, float *to, int64_t to_stride);

/* y[j] = sums[j] + bias[j] (bias NULL: 0), or y[j] += sums[j], for j < n; y in fp32 or bf16, which
 * is never added to. The sums may lie in y itself. */
void plb__finish(void *y, enum plb_dtype dtype, const float *sums, const float *bias,
                 bool accumulate, int64_t n);

/* Dot products of m <= PLB__DOTS_ROWS rows x[m,k] with the rows of w[n,k]: first x is packed, into
 * plb__dots_floats() floats, 64-aligned, then
 *   y[i * y_stride + j] = sum over k of x[i, k] * w[j * w_stride + k].
 * A sum has 16 lanes that are added in a fixed tree: an element of y depends on its two rows alone,
 * not on m or n. */
int64_t plb__dots_floats(int64_t m, int64_t k);
void plb__dots_pack(int64_t m, int64_t k, const void *x, enum plb_dtype dtype, int64_t stride,
                    enum plb_dtype w_dtype, float *packed);
void plb__dots(int64_t m, int64_t n, int64_t k, const float *packed, const void *w,
               enum plb_dtype w_dtype, int64_t w_stride, float *y, int64_t y_stride);

#endif
