/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What CUDA kernels share: launching, elements, vectors of 16 bytes, reductions in a fixed tree.
 *
 * The same source is compiled twice: by nvcc for cards, and by the host's C++ compiler with
 * PLB_CUDA_EMULATED for tests/support/cuda, which runs a kernel's threads as fibers, so that every
 * kernel is tested where there is no card. Therefore kernels
 *   - are started by plb_launch(), not by <<<>>>;
 *   - get dynamic shared memory by PLB_SHARED(type, name), not by `extern __shared__`;
 *   - use no inline PTX: what needs it stands in mma.cuh, with its meaning in C++ for the emulator;
 *   - synchronise by __syncthreads(), __syncwarp() and the warp's shuffles and votes only;
 *   - are given no types of one name from two files: launches are templates over the types of the
 *     arguments, which the linker takes for the same, so types have their operator's name in front.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_KERNEL_CUH
#define PLB_CODELETS_COMMON_KERNEL_CUH

#include "codelets/common/cuda.h"

#ifdef PLB_CUDA_EMULATED
#include "tests/support/cuda/emulator.h"
#else
#include <cuda_runtime.h>
#define PLB_SHARED(type, name)                                \
    extern __shared__ __align__(128) unsigned char plb_shared_[]; \
    type *name = reinterpret_cast<type *>(plb_shared_)
#endif

#include <cuda_bf16.h>
#include <math.h>
#include <stdint.h>

/* ---- errors and launches ---- */

static inline enum plb_status plb_cuda_check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return PLB_OK;
    return plb_fail(error == cudaErrorMemoryAllocation ? PLB_ERROR_MEMORY : PLB_ERROR_DEVICE,
                    "%s: %s (CUDA error %d)", what, cudaGetErrorString(error), (int)error);
}

/* The most threads of a block that kernels here use, and threads of a warp. */
enum { PLB_WARP = 32, PLB_BLOCK_MAX = 1024 };

/* Enqueues kernel(arguments...) on `blocks` blocks of `threads` threads with `shared` bytes of
 * dynamic shared memory. Nothing is done for an empty grid. */
template <typename... P, typename... A>
static enum plb_status plb_launch(const struct plb_cuda_queue *queue, const char *name,
                                  void (*kernel)(P...), dim3 blocks, dim3 threads, size_t shared,
                                  A... arguments)
{
    if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0)
        return PLB_OK;
#ifdef PLB_CUDA_EMULATED
    return plb_cuda_check(
        emulator::launch(queue->stream, name, kernel, blocks, threads, shared, P(arguments)...),
        name);
#else
    cudaLaunchConfig_t config = {};

    if (shared > 48 * 1024) {
        enum plb_status status = plb_cuda_check(
            cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared),
            name);

        if (status != PLB_OK)
            return status;
    }
    config.gridDim = blocks;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared;
    config.stream = queue->stream;
    return plb_cuda_check(cudaLaunchKernelEx(&config, kernel, P(arguments)...), name);
#endif
}

/* More than a grid may have is not cut off: such a launch fails. */
static inline unsigned plb_blocks_for(int64_t n, int64_t each)
{
    int64_t blocks = (n + each - 1) / each;

    return blocks < UINT32_MAX ? (unsigned)blocks : UINT32_MAX;
}

/* ---- elements ---- */

__device__ __forceinline__ float plb_float(float x)
{
    return x;
}

__device__ __forceinline__ float plb_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <typename T> __device__ __forceinline__ T plb_to(float x);

template <> __device__ __forceinline__ float plb_to<float>(float x)
{
    return x;
}

template <> __device__ __forceinline__ __nv_bfloat16 plb_to<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* 16 bytes of elements, which a thread loads and stores at once. */
template <typename T> struct plb_vector {
    enum { N = 16 / (int)sizeof(T) };
    alignas(16) T x[N];
};

template <typename T>
__device__ __forceinline__ void plb_load_vector(float *to, const T *from)
{
    plb_vector<T> v = *reinterpret_cast<const plb_vector<T> *>(from);

#pragma unroll
    for (int i = 0; i < plb_vector<T>::N; i++)
        to[i] = plb_float(v.x[i]);
}

/* By an intrinsic: where it sees an assignment, nvcc at times stores word by word. */
template <typename T>
__device__ __forceinline__ void plb_store_vector(T *to, const float *from)
{
    plb_vector<T> v;

#pragma unroll
    for (int i = 0; i < plb_vector<T>::N; i++)
        v.x[i] = plb_to<T>(from[i]);
#ifdef PLB_CUDA_EMULATED
    *reinterpret_cast<plb_vector<T> *>(to) = v;
#else
    uint4 words;

    memcpy(&words, &v, sizeof words);
    __stwb(reinterpret_cast<uint4 *>(to), words);
#endif
}

/* May vectors be used for these addresses? Otherwise a kernel goes by single elements. */
static inline bool plb_aligned(const void *a, const void *b = nullptr, const void *c = nullptr,
                               const void *d = nullptr)
{
    return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)d) & 15) == 0;
}

/* Statements in which T is the C++ type of a real dtype, f32 or bf16. */
#define PLB_BY_DTYPE(dtype_, T, ...)       \
    do {                                   \
        if ((dtype_) == PLB_BF16) {        \
            typedef __nv_bfloat16 T;       \
            __VA_ARGS__                    \
        } else {                           \
            typedef float T;               \
            __VA_ARGS__                    \
        }                                  \
    } while (0)

/* Statements in which V is a constant, true or false as flag_ is. */
#define PLB_BY_FLAG(flag_, V, ...)     \
    do {                               \
        if (flag_) {                   \
            const bool V = true;       \
            __VA_ARGS__                \
        } else {                       \
            const bool V = false;      \
            __VA_ARGS__                \
        }                              \
    } while (0)

/* ---- reductions, in a fixed tree ---- */

struct plb_sum {
    template <typename X> __device__ __forceinline__ X operator()(X a, X b) const
    {
        return a + b;
    }
    static __device__ __forceinline__ float neutral()
    {
        return 0.0f;
    }
};

struct plb_max {
    /* A NaN is kept. */
    __device__ __forceinline__ float operator()(float a, float b) const
    {
        return a > b || a != a ? a : b;
    }
    static __device__ __forceinline__ float neutral()
    {
        return -INFINITY;
    }
};

/* All lanes of a full warp get the result: the butterfly is the same in every lane, since a + b and
 * b + a have the same bits. */
template <typename X, typename F> __device__ __forceinline__ X plb_warp_reduce(X x, F f)
{
#pragma unroll
    for (int distance = PLB_WARP / 2; distance > 0; distance /= 2)
        x = f(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

/* All threads of the block get the result; x is a float or a double. `shared` has room for 32 of
 * them and may be used again after the next barrier. The number of threads is a multiple of 32 and
 * follows from shapes. */
template <typename X, typename F>
__device__ __forceinline__ X plb_block_reduce(X x, F f, X *shared)
{
    int lane = threadIdx.x % PLB_WARP, warp = threadIdx.x / PLB_WARP, warps = blockDim.x / PLB_WARP;

    x = plb_warp_reduce(x, f);
    if (warps == 1)
        return x;
    __syncthreads();
    if (lane == 0)
        shared[warp] = x;
    __syncthreads();
    x = lane < warps ? shared[lane] : F::neutral();
    return plb_warp_reduce(x, f);
}

/* ---- faults ---- */

/* Notes that an index in `row` (of the whole value) is out of range; the least row is kept. */
__device__ __forceinline__ void plb_complain(unsigned long long *fault, uint32_t tag, int64_t row)
{
    atomicMin(fault, (unsigned long long)tag << 32 | (uint32_t)row);
}

#endif
