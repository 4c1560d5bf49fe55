/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of matrices whose rows are no multiple of 16 bytes, such as the logits of a vocabulary
 * of 50257 tokens: the fast kernels of cublasLt do not take them as they lie, so large ones go
 * through padded copies in scratch memory, some rows at a time.
 *
 * A copy costs two accesses to each element, half of them in the cache; a product that must load
 * single elements, several times the arithmetic.
 */
#ifndef PLB_CODELETS_LINEAR_PADDED_CUH
#define PLB_CODELETS_LINEAR_PADDED_CUH

#include "codelets/common/cublas.cuh"

/* Bytes of scratch; looks at sizes, dtypes and `transposed` only. */
size_t plb_cuda_padded_scratch(const struct plb_product *product);

/* plb_cuda_product() of one product, with that scratch. */
enum plb_status plb_cuda_padded_product(const struct plb_product *product, void *scratch,
                                        const struct plb_cuda_queue *queue);

#endif
