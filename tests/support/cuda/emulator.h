/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUDA kernels on the host's processor, for tests: what codelets/common/kernel.cuh includes in the
 * place of the toolkit's device headers when PLB_CUDA_EMULATED is defined.
 *
 * A kernel is an ordinary function, and the threads of a block are fibers that run one at a time
 * and give way at barriers, shuffles and votes only. Types come from the toolkit's host headers.
 * This shows whether a kernel computes what it should, stays within its memory (under
 * AddressSanitizer: to the byte) and synchronises; it says nothing of speed, and its arithmetic is
 * the host's, which differs from a card's in the last bits.
 *
 * What is wrong fails the launch with cudaErrorLaunchFailure and a sentence on stderr: threads of a
 * block that do not all reach the same barrier, lanes of a mask that do not all reach the same
 * shuffle, a launch that no card of the capability can make, writes beyond dynamic shared memory.
 * Shared memory is full of NaN before each block. Threads and blocks run in an order that follows
 * from a seed (PLB_CUDA_EMULATOR_SEED, or plb_emulator_seed()): a result that depends on it lacks a
 * barrier.
 *
 * Not emulated: __activemask(), cooperative groups, asynchronous copies, textures, printf.
 */
#ifndef PLB_TESTS_SUPPORT_CUDA_EMULATOR_H
#define PLB_TESTS_SUPPORT_CUDA_EMULATOR_H

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <type_traits>

/* ---- words of the language ---- */

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __launch_bounds__
#undef __grid_constant__
#undef __align__
#undef __forceinline__
#define __global__
#define __device__
#define __host__
#define __constant__
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))

/* Blocks run one after the other, in the whole process, so shared memory is static memory. It lies
 * in a section of its own, so that it can be filled before a block. */
#define __shared__ static __attribute__((section("plb_cuda_shared")))
#define PLB_SHARED(type, name) type *name = reinterpret_cast<type *>(emulator::dynamic_shared)

extern "C" __attribute__((weak, visibility("hidden"))) unsigned char __start_plb_cuda_shared[];
extern "C" __attribute__((weak, visibility("hidden"))) unsigned char __stop_plb_cuda_shared[];

extern uint3 threadIdx, blockIdx, blockDim, gridDim;

enum { warpSize = 32 };

/* ---- launches ---- */

namespace emulator {

extern unsigned char *dynamic_shared; /* of the block that runs */

struct job {
    const char *name;
    dim3 grid, block;
    size_t shared;                            /* bytes of dynamic shared memory */
    unsigned char *static_begin, *static_end; /* of the object that the kernel lies in */
    std::function<void()> thread;             /* the kernel with its arguments */
};

/* Checks limits and enqueues. */
cudaError_t submit(cudaStream_t stream, const job &job);

/* Runs all blocks, now. */
cudaError_t execute(const job &job);

/* Has the job executed in the stream's turn; the runtime's part. */
cudaError_t enqueue(cudaStream_t stream, const job &job);

template <typename... P>
cudaError_t launch(cudaStream_t stream, const char *name, void (*kernel)(P...), dim3 grid,
                   dim3 block, size_t shared, P... arguments)
{
    return submit(stream, job{name, grid, block, shared, __start_plb_cuda_shared,
                              __stop_plb_cuda_shared, [=]() { kernel(arguments...); }});
}

/* ---- threads of a block ---- */

enum exchange { SHUFFLE, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, BALLOT, SYNC };

/* Waits for all lanes of `mask`; returns what came from the lane that `kind`, `argument` and
 * `width` name, or the ballot. `line` tells calls apart. */
uint64_t exchange_values(enum exchange kind, unsigned mask, uint64_t value, int argument, int width,
                         int line);

/* Waits for all threads of the block; returns in how many of them `value` is true. */
int barrier(bool value, int line);

template <typename T>
static inline T shuffle(enum exchange kind, unsigned mask, T x, int argument, int width, int line)
{
    uint64_t bits = 0;

    static_assert(sizeof(T) <= sizeof bits, "a shuffle moves up to 8 bytes");
    memcpy(&bits, &x, sizeof x);
    bits = exchange_values(kind, mask, bits, argument, width, line);
    memcpy(static_cast<void *>(&x), &bits, sizeof x);
    return x;
}

} /* namespace emulator */

static inline void __syncthreads(int line = __builtin_LINE())
{
    emulator::barrier(false, line);
}

static inline int __syncthreads_count(int predicate, int line = __builtin_LINE())
{
    return emulator::barrier(predicate != 0, line);
}

static inline int __syncthreads_or(int predicate, int line = __builtin_LINE())
{
    return emulator::barrier(predicate != 0, line) > 0;
}

static inline int __syncthreads_and(int predicate, int line = __builtin_LINE())
{
    return emulator::barrier(predicate == 0, line) == 0;
}

static inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE())
{
    emulator::exchange_values(emulator::SYNC, mask, 0, 0, 32, line);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE())
{
    return (unsigned)emulator::exchange_values(emulator::BALLOT, mask, predicate != 0, 0, 32, line);
}

static inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE())
{
    return __ballot_sync(mask, predicate, line) != 0;
}

static inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE())
{
    return __ballot_sync(mask, predicate, line) == mask;
}

template <typename T>
static inline T __shfl_sync(unsigned mask, T x, int source, int width = 32,
                            int line = __builtin_LINE())
{
    return emulator::shuffle(emulator::SHUFFLE, mask, x, source, width, line);
}

template <typename T>
static inline T __shfl_up_sync(unsigned mask, T x, unsigned delta, int width = 32,
                               int line = __builtin_LINE())
{
    return emulator::shuffle(emulator::SHUFFLE_UP, mask, x, (int)delta, width, line);
}

template <typename T>
static inline T __shfl_down_sync(unsigned mask, T x, unsigned delta, int width = 32,
                                 int line = __builtin_LINE())
{
    return emulator::shuffle(emulator::SHUFFLE_DOWN, mask, x, (int)delta, width, line);
}

template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T x, int lanes, int width = 32,
                                int line = __builtin_LINE())
{
    return emulator::shuffle(emulator::SHUFFLE_XOR, mask, x, lanes, width, line);
}

/* One thread runs at a time: fences order nothing, and atomics are plain. */
static inline void __threadfence(void)
{
}

static inline void __threadfence_block(void)
{
}

#include "tests/support/cuda/emulator_math.h"

#endif
