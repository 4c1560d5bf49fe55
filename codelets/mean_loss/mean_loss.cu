/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mean of losses over counted rows on a CUDA card, and its gradient: one block, sums in double
 * precision in a fixed tree; the blocks of the gradient count the rows each for itself. A few
 * microseconds. See mean_loss.c for the records.
 */
#include "codelets/common/kernel.cuh"

enum { LOSS, TARGETS };
enum { THREADS = 1024, BLOCKS = 64 };

/* In all threads of the block. */
static __device__ __forceinline__ double count_targets(const int32_t *targets, int64_t n,
                                                       double *shared)
{
    int64_t count = 0;

#pragma unroll 8
    for (int64_t k = threadIdx.x; k < n; k += THREADS)
        count += targets[k] >= 0;
    return plb_block_reduce((double)count, plb_sum(), shared);
}

static __global__ void __launch_bounds__(THREADS)
    mean_loss(float *mean, const float *loss, const int32_t *targets, int64_t n)
{
    __shared__ double shared[PLB_WARP];
    double count = count_targets(targets, n, shared), sum = 0.0;

#pragma unroll 8
    for (int64_t k = threadIdx.x; k < n; k += THREADS)
        sum += targets[k] >= 0 ? (double)loss[k] : 0.0;
    sum = plb_block_reduce(sum, plb_sum(), shared);
    if (threadIdx.x == 0)
        *mean = count > 0.0 ? (float)(sum / count) : 0.0f;
}

/* Rows low to high - 1 of n. */
static __global__ void __launch_bounds__(THREADS)
    mean_loss_dx(float *dloss, const float *dmean, const int32_t *targets, int64_t low,
                 int64_t high, int64_t n)
{
    __shared__ double shared[PLB_WARP];
    double count = count_targets(targets, n, shared);
    float each = count > 0.0 ? *dmean / (float)count : 0.0f;
    int64_t stride = (int64_t)gridDim.x * THREADS;

    for (int64_t r = low + (int64_t)blockIdx.x * THREADS + threadIdx.x; r < high; r += stride)
        dloss[r - low] = targets[r] >= 0 ? each : 0.0f;
}

static enum plb_status mean_loss_run(const struct plb_call *call,
                                     const struct plb_cuda_queue *queue)
{
    const struct plb_operand *in = call->in;

    return plb_launch(queue, "mean_loss", mean_loss, 1, THREADS, 0,
                      (float *)call->out[0].part->data, (const float *)in[LOSS].part->data,
                      (const int32_t *)in[TARGETS].part->data, in[LOSS].part->shape.dim[0]);
}

static enum plb_status mean_loss_dx_run(const struct plb_call *call,
                                        const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *targets = call->in[TARGETS].part;
    int64_t low = call->low[0], high = call->high[0];
    unsigned wanted = plb_blocks_for(high - low, THREADS), most = BLOCKS;

    return plb_launch(queue, "mean_loss_dx", mean_loss_dx, wanted < most ? wanted : most, THREADS,
                      0, (float *)call->out[0].part->data, (const float *)call->in[0].part->data,
                      (const int32_t *)targets->data, low, high, targets->shape.dim[0]);
}

const struct plb_cuda_operator plb_cuda_mean_loss = {"mean_loss", nullptr, mean_loss_run};
const struct plb_cuda_operator plb_cuda_mean_loss_dx = {"mean_loss_dx", nullptr, mean_loss_dx_run};
