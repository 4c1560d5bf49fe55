/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An operator's kernel on a CUDA card, as the module libpalombe_cuda.so lists it.
 *
 * Beside codelets/<operator>/x.c, which has the record, stands x.cu, which defines plb_cuda_<name>
 * for every operator of codelets/operators.def. It is told apart from the record because the core
 * links no CUDA.
 *
 * What a CUDA kernel sees is a struct plb_call as on the CPU, with three differences: addresses are
 * the card's; an operand is one part or absent (cells that a task takes as a list were gathered),
 * which holds at least the rows and columns that the task's range needs, and row0 and col0 say where
 * it begins; a variadic operand still has one part for each value. Everything is enqueued on one
 * stream, and nothing waits for it: the call returns before the kernel has run.
 *
 * Same bits. A result depends on the call alone: no floating-point atomics, sums in an order that
 * follows from shapes (never from the number of multiprocessors), for one row the same whatever
 * other rows are in the range.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_CUDA_H
#define PLB_CODELETS_COMMON_CUDA_H

#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a kernel is to be enqueued. The types of CUDA are spelled without its headers: a
 * cudaStream_t and a cublasLtHandle_t. */
struct plb_cuda_queue {
    struct CUstream_st *stream;
    struct cublasLtContext *blas;
    void *workspace; /* of the stream, for products */
    size_t workspace_bytes;
    int capability;      /* 80, 90, ... */
    int multiprocessors; /* for launch shapes; results must not depend on it */
    bool tf32;           /* products of f32 may round their operands to TF32 */
    /* A word of the card, all ones while nothing is wrong. A kernel that meets an index out of
     * range lowers it atomically to `tag` * 2^32 + row, and goes on without touching what is not
     * its own; the executor asks after the step. */
    unsigned long long *fault;
    uint32_t tag;
};

struct plb_cuda_operator {
    const char *name; /* as in the record */
    /* Bytes of the card's memory that a call wants as call->scratch, 256-aligned. NULL: none. */
    size_t (*scratch)(const struct plb_task_types *types);
    /* Enqueues. PLB_ERROR_DEVICE names the CUDA call that failed and its error. */
    enum plb_status (*run)(const struct plb_call *call, const struct plb_cuda_queue *queue);
};

#define PLB_OPERATOR(name) extern const struct plb_cuda_operator plb_cuda_##name;
#include "codelets/operators.def"
#undef PLB_OPERATOR

#ifdef __cplusplus
}
#endif

#endif
