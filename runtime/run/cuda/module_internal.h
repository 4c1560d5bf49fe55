/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the module share.
 *
 * Of CUDA's libraries the module calls these functions and no others (whoever stands in for them,
 * as tests/support/cuda does, must have them; kernels are launched by kernel.cuh):
 *
 *   cards.c   cudaDriverGetVersion cudaRuntimeGetVersion cudaGetDeviceCount
 *             cudaGetDeviceProperties cudaDeviceGetAttribute cudaMemGetInfo cudaSetDevice
 *             cudaStreamCreateWithFlags cudaStreamDestroy cudaEventDestroy
 *             cublasLtCreate cublasLtDestroy
 *   memory.c  cudaMalloc cudaFree cudaMemsetAsync cudaStreamSynchronize
 *             cudaHostRegister cudaHostUnregister cudaMemcpyAsync cudaMemcpyPeerAsync
 *             cudaEventCreateWithFlags cudaEventRecord cudaEventSynchronize cudaEventDestroy
 *   work.c    cudaMemcpyAsync cudaMemcpy2DAsync cudaEventCreateWithFlags cudaEventRecord
 *             cudaEventSynchronize cudaEventElapsedTime cudaStreamBeginCapture
 *             cudaStreamEndCapture cudaGraphInstantiate cudaGraphLaunch cudaGraphDestroy
 *             cudaGraphExecDestroy
 *   all       cudaGetErrorString cudaGetLastError
 *
 * Not installed.
 */
#ifndef PLB_RUN_CUDA_MODULE_INTERNAL_H
#define PLB_RUN_CUDA_MODULE_INTERNAL_H

#include "runtime/run/cuda_module.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <pthread.h>

struct plb__cuda_context {
    int card, capability, multiprocessors;
    cudaStream_t stream[PLB__CUDA_DIRECTIONS]; /* of copies */
    cublasLtHandle_t blas;
    pthread_mutex_t lock; /* of the list of marks */
    uint32_t n_marks;
    cudaEvent_t *mark; /* made when first used; NULL: never */
};

/* A status of CUDA as one of ours; `what` is what was asked. */
enum plb_status plb__cuda_status(cudaError_t error, const char *what);

/* PLB_TRY for calls of CUDA, named as they are written up to their arguments. */
#define PLB__CUDA_TRY(function, ...)                                   \
    do {                                                               \
        cudaError_t plb_error_ = function(__VA_ARGS__);                \
        if (plb_error_ != cudaSuccess)                                 \
            return plb__cuda_status(plb_error_, #function);            \
    } while (0)

/* The calling thread's card, which CUDA keeps per thread. */
enum plb_status plb__cuda_use(const struct plb__cuda_context *context);

extern const struct plb__cuda_cards plb__cuda_cards;
extern const struct plb__cuda_memory plb__cuda_memory;
extern const struct plb__cuda_work plb__cuda_work;

/* table.c: the kernel of an operator by the name in its record; NULL when there is none. */
const struct plb_cuda_operator *plb__cuda_operator(const char *name);
/* ... the pairs of operators that are enqueued as one. */
extern const struct plb_cuda_fusion plb__cuda_fusions[];

#endif
