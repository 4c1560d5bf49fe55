/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of matrices on a CUDA card, by cublasLt, as product.h has them for the CPU: fp32 or bf16
 * in, fp32 or bf16 out, sums in fp32, with a bias or added to what is there.
 *
 * Same bits. The algorithm is what cublasLt's heuristic names first for the shapes, strides,
 * dtypes and alignments, restricted to sums in one sequence or through fp32 parts in the workspace
 * that are added in a separate step; it is asked for once and kept. Workspace belongs to the stream
 * and always has the same size. So a product has the same bits from run to run and on any stream.
 * They may differ between releases of cuBLAS, models of card (their number of multiprocessors
 * counts), and where a range of rows is cut otherwise, since another shape may get another
 * algorithm. With `tf32` of the queue, operands in fp32 are rounded to 10 bits of mantissa.
 *
 * Of cublasLt these are used, and tests/support/cuda/cublas_shim.cc stands in for them where there
 * is no card: cublasLtMatmul, cublasLtMatmulAlgoGetHeuristic, cublasLtGetStatusString, the ...Init
 * functions of descriptors, layouts and preferences, and these attributes: TRANSA, TRANSB,
 * EPILOGUE (default or bias) and BIAS_POINTER of a product; BATCH_COUNT and STRIDED_BATCH_OFFSET of
 * a layout; MAX_WORKSPACE_BYTES, REDUCTION_SCHEME_MASK and MIN_ALIGNMENT of a preference.
 *
 * Thread-safety: several threads may use it at once, each with a queue of its own.
 */
#ifndef PLB_CODELETS_COMMON_CUBLAS_CUH
#define PLB_CODELETS_COMMON_CUBLAS_CUH

#include "codelets/common/cuda.h"
#include "codelets/common/product.h"

/* Several products of the same sizes: how many, and elements from one to the next in a, b and c.
 * Zero for an operand that they share. */
struct plb_cuda_batch {
    int64_t count, a, b, c;
};

/* Enqueues. `batch` may be NULL: one product. The bias has c's dtype. PLB_ERROR_DEVICE names what
 * cublasLt says and the product. */
enum plb_status plb_cuda_product(const struct plb_product *product,
                                 const struct plb_cuda_batch *batch,
                                 const struct plb_cuda_queue *queue);

#endif
