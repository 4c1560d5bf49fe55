/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The emulated card: what it computes, and what it must not let pass. (The sentences on stderr are
 * part of the tests.)
 */
#include "config.h"

#include "codelets/common/kernel.cuh"
#include "tests/support/cuda/emulator_control.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>

static cudaStream_t stream;
static struct plb_cuda_queue queue;

static int setup(void)
{
    if (cudaStreamCreate(&stream) != cudaSuccess)
        return 1;
    queue.stream = stream;
    return 0;
}

template <typename... P, typename... A>
static cudaError_t launch(void (*kernel)(P...), unsigned blocks, unsigned threads, size_t shared,
                          A... arguments)
{
    return emulator::execute(emulator::job{"kernel", dim3(blocks), dim3(threads), shared,
                                           __start_plb_cuda_shared, __stop_plb_cuda_shared,
                                           [=]() { kernel(arguments...); }});
}

/* ---- kernels ---- */

enum { N = 96 };

static __global__ void block_sum(float *y)
{
    __shared__ float sums[32];
    float sum = plb_block_reduce((float)threadIdx.x, plb_sum(), sums);

    y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/* Each thread reads what its neighbour of the other warp wrote. */
static __global__ void neighbour(float *y, bool wait)
{
    PLB_SHARED(float, s);
    unsigned other = (threadIdx.x + PLB_WARP) % blockDim.x;

    s[threadIdx.x] = (float)threadIdx.x;
    if (wait)
        __syncthreads();
    y[threadIdx.x] = s[other] - (float)other;
}

static __global__ void some_wait(void)
{
    if (threadIdx.x < 40)
        __syncthreads();
}

static __global__ void wait_apart(void)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

static __global__ void some_shuffle(void)
{
    if (threadIdx.x % 2 == 0)
        __shfl_xor_sync(0xffffffffu, 1, 2);
}

static __global__ void half_shuffle(int *y)
{
    if (threadIdx.x < 16)
        y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, (int)threadIdx.x, 1);
}

static __global__ void beyond_shared(void)
{
    PLB_SHARED(char, s);

    s[threadIdx.x + 1] = 1;
}

static __global__ void shuffles(int *y)
{
    int lane = (int)threadIdx.x % PLB_WARP;
    unsigned all = 0xffffffffu;

    y[0 * N + threadIdx.x] = __shfl_sync(all, lane, 5);
    y[1 * N + threadIdx.x] = __shfl_sync(all, lane, 5, 8);
    y[2 * N + threadIdx.x] = __shfl_up_sync(all, lane, 3);
    y[3 * N + threadIdx.x] = __shfl_down_sync(all, lane, 3, 16);
    y[4 * N + threadIdx.x] = __shfl_xor_sync(all, lane, 7);
    y[5 * N + threadIdx.x] = (int)__ballot_sync(all, lane < 3);
    y[6 * N + threadIdx.x] = __any_sync(all, lane == 31) + 2 * __all_sync(all, lane < 31);
    y[7 * N + threadIdx.x] = __syncthreads_count(threadIdx.x < 50);
}

static __global__ void count(unsigned *total, unsigned long long *least)
{
    atomicAdd(total, 1);
    atomicMin(least, (unsigned long long)(1000 - threadIdx.x));
}

static __global__ void add_one(int *y)
{
    y[threadIdx.x]++;
}

static __global__ void twice(int *y)
{
    y[threadIdx.x] *= 2;
}

/* ---- what kernels compute ---- */

static void sums_are_the_same_in_every_order(void)
{
    float y[3 * N];

    for (uint64_t seed = 0; seed < 20; seed++) {
        plb_emulator_seed(seed);
        PLB_CHECK_EQ(launch(block_sum, 3, N, 0, y), cudaSuccess);
        for (int k = 0; k < 3 * N; k++)
            PLB_CHECK_EQ(y[k], N * (N - 1) / 2);
    }
}

static void shuffles_and_votes_are_as_documented(void)
{
    int y[8 * N];

    PLB_CHECK_EQ(launch(shuffles, 1, N, 0, y), cudaSuccess);
    for (int k = 0; k < N; k++) {
        int lane = k % PLB_WARP;

        PLB_CHECK_EQ(y[0 * N + k], 5);
        PLB_CHECK_EQ(y[1 * N + k], lane / 8 * 8 + 5);
        PLB_CHECK_EQ(y[2 * N + k], lane < 3 ? lane : lane - 3);
        PLB_CHECK_EQ(y[3 * N + k], lane % 16 + 3 >= 16 ? lane : lane + 3);
        PLB_CHECK_EQ(y[4 * N + k], lane ^ 7);
        PLB_CHECK_EQ(y[5 * N + k], 7);
        PLB_CHECK_EQ(y[6 * N + k], 1);
        PLB_CHECK_EQ(y[7 * N + k], 50);
    }
    PLB_CHECK_EQ(launch(half_shuffle, 1, 32, 0, y), cudaSuccess);
    PLB_CHECK_EQ(y[4], 5);
}

static void atomics_count(void)
{
    unsigned total = 0;
    unsigned long long least = ~0ULL;

    PLB_CHECK_EQ(launch(count, 5, N, 0, &total, &least), cudaSuccess);
    PLB_CHECK_EQ(total, 5 * N);
    PLB_CHECK_EQ(least, 1000 - (N - 1));
}

/* ---- what must not pass ---- */

static void missing_barriers_show(void)
{
    float y[N];
    int wrong = 0;

    for (uint64_t seed = 0; seed < 4; seed++) {
        plb_emulator_seed(seed);
        PLB_CHECK_EQ(launch(neighbour, 1, N, N * sizeof(float), y, true), cudaSuccess);
        for (int k = 0; k < N; k++)
            PLB_CHECK(y[k] == 0);
        PLB_CHECK_EQ(launch(neighbour, 1, N, N * sizeof(float), y, false), cudaSuccess);
        for (int k = 0; k < N; k++)
            wrong += !(y[k] == 0);
    }
    PLB_CHECK(wrong >= 4 * PLB_WARP);
}

static void threads_that_do_not_meet_fail(void)
{
    int y[32];

    PLB_CHECK_EQ(launch(some_wait, 1, N, 0), cudaErrorLaunchFailure);
    PLB_CHECK_EQ(launch(wait_apart, 1, 64, 0), cudaErrorLaunchFailure);
    PLB_CHECK_EQ(launch(some_shuffle, 1, N, 0), cudaErrorLaunchFailure);
    PLB_CHECK_EQ(launch(half_shuffle, 1, 8, 0, y), cudaErrorLaunchFailure);
    /* What failed leaves nothing behind. */
    sums_are_the_same_in_every_order();
}

static void shared_memory_has_an_end(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which ends the program instead */
    PLB_CHECK_EQ(launch(beyond_shared, 1, N, N), cudaErrorLaunchFailure);
#endif
    PLB_CHECK_EQ(launch(beyond_shared, 1, N, N + 1), cudaSuccess);
}

static void launches_have_limits(void)
{
    PLB_CHECK_EQ(plb_launch(&queue, "some_wait", some_wait, 1, 1025, 0), PLB_ERROR_DEVICE);
    PLB_CHECK_EQ(plb_launch(&queue, "some_wait", some_wait, dim3(1, 65536), 32, 0),
                 PLB_ERROR_DEVICE);
    PLB_CHECK_EQ(plb_launch(&queue, "some_wait", some_wait, 1, dim3(1, 1, 65), 0), PLB_ERROR_DEVICE);
    PLB_CHECK_EQ(plb_launch(&queue, "some_wait", some_wait, 1, 32, 228 << 10), PLB_ERROR_DEVICE);
    PLB_CHECK_CONTAINS(plb_error_message(), "some_wait: invalid configuration argument");
}

/* ---- streams ---- */

static int *card_memory(void)
{
    int *y = NULL;

    PLB_CHECK_EQ(cudaMalloc((void **)&y, sizeof *y), cudaSuccess);
    PLB_CHECK_EQ(cudaMemset(y, 0, sizeof *y), cudaSuccess);
    return y;
}

static void streams_do_nothing_before_somebody_waits(void)
{
    int *y = card_memory();
    cudaEvent_t event;

    PLB_CHECK_EQ(cudaEventCreate(&event), cudaSuccess);
    PLB_CHECK_EQ(plb_launch(&queue, "add_one", add_one, 1, 1, 0, y), PLB_OK);
    PLB_CHECK_EQ(cudaEventRecord(event, stream), cudaSuccess);
    PLB_CHECK_EQ(plb_launch(&queue, "twice", twice, 1, 1, 0, y), PLB_OK);
    PLB_CHECK_EQ(*y, 0);
    PLB_CHECK_EQ(cudaEventQuery(event), cudaErrorNotReady);
    PLB_CHECK_EQ(cudaEventSynchronize(event), cudaSuccess);
    PLB_CHECK_EQ(*y, 1);
    PLB_CHECK_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
    PLB_CHECK_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    PLB_CHECK_EQ(*y, 2);
    PLB_CHECK_EQ(cudaEventDestroy(event), cudaSuccess);
    PLB_CHECK_EQ(cudaFree(y), cudaSuccess);
}

static void a_stream_waits_for_another(void)
{
    struct plb_cuda_queue second = {};
    int *y = card_memory();
    cudaEvent_t event;

    PLB_CHECK_EQ(cudaStreamCreateWithFlags(&second.stream, cudaStreamNonBlocking), cudaSuccess);
    PLB_CHECK_EQ(cudaEventCreate(&event), cudaSuccess);
    for (int ordered = 0; ordered < 2; ordered++) {
        PLB_CHECK_EQ(cudaMemset(y, 0, sizeof *y), cudaSuccess);
        PLB_CHECK_EQ(plb_launch(&queue, "add_one", add_one, 1, 1, 0, y), PLB_OK);
        PLB_CHECK_EQ(cudaEventRecord(event, stream), cudaSuccess);
        if (ordered)
            PLB_CHECK_EQ(cudaStreamWaitEvent(second.stream, event, 0), cudaSuccess);
        PLB_CHECK_EQ(plb_launch(&second, "twice", twice, 1, 1, 0, y), PLB_OK);
        PLB_CHECK_EQ(cudaStreamSynchronize(second.stream), cudaSuccess);
        PLB_CHECK_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        PLB_CHECK_EQ(*y, ordered ? 2 : 1);
    }
    PLB_CHECK_EQ(cudaEventDestroy(event), cudaSuccess);
    PLB_CHECK_EQ(cudaStreamDestroy(second.stream), cudaSuccess);
    PLB_CHECK_EQ(cudaFree(y), cudaSuccess);
}

static void graphs_are_played_again(void)
{
    int *y = card_memory();
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    PLB_CHECK_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    PLB_CHECK_EQ(plb_launch(&queue, "add_one", add_one, 1, 1, 0, y), PLB_OK);
    PLB_CHECK_EQ(plb_launch(&queue, "twice", twice, 1, 1, 0, y), PLB_OK);
    PLB_CHECK_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    PLB_CHECK_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    PLB_CHECK_EQ(cudaGraphDestroy(graph), cudaSuccess);
    for (int k = 0; k < 3; k++)
        PLB_CHECK_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
    PLB_CHECK_EQ(*y, 0);
    PLB_CHECK_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    PLB_CHECK_EQ(*y, 14);
    PLB_CHECK_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
    PLB_CHECK_EQ(cudaFree(y), cudaSuccess);
}

/* ---- memory ---- */

static void memory_has_an_end(void)
{
    size_t before, left, total;
    void *block, *more;
    char host[64];

    PLB_CHECK_EQ(cudaMemGetInfo(&before, &total), cudaSuccess);
    PLB_CHECK_EQ(cudaMalloc(&block, before - 100), cudaSuccess);
    PLB_CHECK_EQ(cudaMemGetInfo(&left, &total), cudaSuccess);
    PLB_CHECK_EQ(left, 100);
    PLB_CHECK_EQ(cudaMalloc(&more, 101), cudaErrorMemoryAllocation);
    PLB_CHECK_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    PLB_CHECK_EQ(cudaGetLastError(), cudaSuccess);
    PLB_CHECK_EQ(cudaFree(block), cudaSuccess);
    PLB_CHECK_EQ(cudaMalloc(&block, 32), cudaSuccess);
    PLB_CHECK_EQ(cudaMemcpy(host, block, 33, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    PLB_CHECK_EQ(cudaMemcpy(host, block, 32, cudaMemcpyDeviceToHost), cudaSuccess);
    PLB_CHECK_EQ(cudaFree(block), cudaSuccess);
}

/* The last test: a card that was lost stays so. */
static void a_lost_card_stays_lost(void)
{
    int *y = card_memory();

    setenv("PLB_CUDA_SHIM_FAIL", "lost@2", 1);
    for (int k = 0; k < 3; k++)
        PLB_CHECK_EQ(plb_launch(&queue, "add_one", add_one, 1, 1, 0, y), PLB_OK);
    PLB_CHECK_EQ(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
    PLB_CHECK_EQ(cudaMemset(y, 0, sizeof *y), cudaErrorIllegalAddress);
    PLB_CHECK_EQ(cudaFree(y), cudaErrorIllegalAddress);
    unsetenv("PLB_CUDA_SHIM_FAIL");
    cudaStreamDestroy(stream);
}

PLB_TEST_MAIN("support/cuda/emulator", setup, NULL, PLB_TEST(sums_are_the_same_in_every_order),
              PLB_TEST(shuffles_and_votes_are_as_documented), PLB_TEST(atomics_count),
              PLB_TEST(missing_barriers_show), PLB_TEST(threads_that_do_not_meet_fail),
              PLB_TEST(shared_memory_has_an_end), PLB_TEST(launches_have_limits),
              PLB_TEST(streams_do_nothing_before_somebody_waits),
              PLB_TEST(a_stream_waits_for_another), PLB_TEST(graphs_are_played_again),
              PLB_TEST(memory_has_an_end), PLB_TEST(a_lost_card_stays_lost))
