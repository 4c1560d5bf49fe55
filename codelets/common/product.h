/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The product of two matrices as kernels want it: fp32 or bf16 in, fp32 or bf16 out, with a bias.
 *
 * Which way a product takes depends on its sizes, its dtypes and the library:
 *   - few rows times a transposed matrix (decoding): own dot products, one pass over the weights;
 *   - fp32: the library (blas.h), for oneDNN a transposed B being put straight in blocks before;
 *   - bf16: converted to fp32 block by block for the library, or handed to it as it is where that
 *     is the faster way (plb__blas_native_bf16()).
 * Sums are in fp32. The same product has the same bits on any thread and wherever its operands lie.
 */
#ifndef PLB_CODELETS_COMMON_PRODUCT_H
#define PLB_CODELETS_COMMON_PRODUCT_H

#include "runtime/base/status.h"
#include "runtime/graph/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element (i, j) is data[i * stride + j], or data[j * stride + i] when transposed. */
struct plb_matrix {
    const void *data;
    enum plb_dtype dtype; /* PLB_F32 or PLB_BF16 */
    int64_t stride;
    bool transposed;
};

/* C[m,n] = A[m,k] B[k,n] + bias[n], or C += A B. Sizes are at least 1. */
struct plb_product {
    int64_t m, n, k;
    struct plb_matrix a, b;
    void *c;
    enum plb_dtype c_dtype; /* PLB_F32 or PLB_BF16 */
    int64_t c_stride;
    const void *bias; /* NULL for none */
    enum plb_dtype bias_dtype;
    bool accumulate; /* C in fp32 and no bias */
};

/* Bytes of scratch; looks at sizes, dtypes and `transposed` only, and does not shrink when a size
 * grows, so that the scratch of a large product serves its parts. */
size_t plb_product_scratch(const struct plb_product *product);

/* Computes on this thread; `scratch` is 64-aligned. Fails only as the library does. */
enum plb_status plb_product(const struct plb_product *product, void *scratch);

#ifdef __cplusplus
}
#endif

#endif
