/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A CUDA runtime without a card, for tests: memory, streams, events and graphs of the parts of the
 * runtime's interface that Palombe, StarPU and cublas_shim.cc use. A program that is linked with it,
 * or preloads it, sees cards of type H200 with little memory; kernels that were compiled for the
 * emulator run on them.
 *
 * Streams are lazy: what is enqueued runs when somebody waits for it, or asks (cudaStreamQuery() and
 * cudaEventQuery() run one operation each), so that work which nobody waited for is not done, and
 * shows as wrong data. Device memory is full of NaN when it is taken and when it is given back, and
 * lies between guards. Copies must lie within one block of memory.
 *
 * Environment:
 *   PLB_CUDA_SHIM_CARDS   how many cards there are, 1 unless it is said
 *   PLB_CUDA_SHIM_BYTES   memory of each, 268435456 unless it is said
 *   PLB_CUDA_SHIM_FAIL    what goes wrong: driver-missing, driver-old, no-device, oom@N (the N-th
 *                         allocation of device memory fails), lost@N (the N-th launch meets an
 *                         illegal address, and after that every call fails), busy (every card is
 *                         another process's)
 *
 * Thread-safety: as the runtime's.
 */
#ifndef PLB_TESTS_SUPPORT_CUDA_SHIM_H
#define PLB_TESTS_SUPPORT_CUDA_SHIM_H

#include <cuda_runtime_api.h>

#include <functional>

namespace shim {

typedef std::function<cudaError_t()> work;

/* Appends work to a stream (or to the graph that is being captured from it). */
cudaError_t enqueue(cudaStream_t stream, const char *name, work w);

/* Does all that was enqueued on a card. */
cudaError_t drain(int device);

/* What every function of the runtime begins with: the error that a card that was lost has for every
 * call, or one that the environment asks for. */
cudaError_t enter(void);

/* Keeps an error for cudaGetLastError(), and returns it. */
cudaError_t note(cudaError_t error);

int current_device(void);
int devices(void);
void lose(int device, cudaError_t error);

/* Where memory lies: the block's kind is cudaMemoryTypeUnregistered where nothing is known. */
struct place {
    enum cudaMemoryType type;
    int device;
    size_t left; /* bytes of the block from the address on */
};
struct place place_of(const void *address);

/* True when a card's failure was asked for by `what@N` and this is the N-th call with `what`. */
bool due(const char *what);

} /* namespace shim */

#endif
