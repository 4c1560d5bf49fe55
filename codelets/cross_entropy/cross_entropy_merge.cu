/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cross-entropy of its parts on a CUDA card, and the gradient of one part: a thread takes a row. A
 * few numbers a row, so a few microseconds. See cross_entropy_merge.c for the records.
 */
#include "codelets/codelets.h"
#include "codelets/common/kernel.cuh"

enum { TARGETS, PART };
enum { LOSS, LSE };
enum { ROW_LSE = 2, DLOSS };
enum { THREADS = 128 };

struct cross_entropy_merge_arguments {
    float *loss, *lse;
    const int32_t *targets;
    const float *part[PLB_SHARDS_MAX];
    int parts;
    int64_t rows;
};

static __global__ void __launch_bounds__(THREADS)
    cross_entropy_merge(const __grid_constant__ struct cross_entropy_merge_arguments a)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    float top = -INFINITY, sum = 0.0f, logit = 0.0f, base;

    if (at >= a.rows)
        return;
    for (int k = 0; k < a.parts; k++)
        top = fmaxf(top, a.part[k][2 * at]);
    base = top == -INFINITY ? 0.0f : top;
    for (int k = 0; k < a.parts; k++) {
        sum += expf(a.part[k][2 * at] - base);
        logit += a.part[k][2 * at + 1];
    }
    top += logf(sum);
    a.lse[at] = top;
    a.loss[at] = a.targets[at] < 0 ? 0.0f : top - logit;
}

struct cross_entropy_merge_dx_arguments {
    float *dpart;
    const int32_t *targets;
    const float *part, *lse, *dloss;
    int64_t rows;
};

static __global__ void __launch_bounds__(THREADS)
    cross_entropy_merge_dx(const __grid_constant__ struct cross_entropy_merge_dx_arguments a)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    if (at >= a.rows)
        return;
    bool counts = a.targets[at] >= 0;
    a.dpart[2 * at] = counts ? a.dloss[at] * expf(a.part[2 * at] - a.lse[at]) : 0.0f;
    a.dpart[2 * at + 1] = counts ? -a.dloss[at] : 0.0f;
}

/* The rows of the range, of `width` elements each. */
template <typename E>
static const E *rows_of(const struct plb_call *call, const struct plb_tensor *part, int64_t width)
{
    return static_cast<const E *>(part->data) + (call->low[0] - part->row0) * width;
}

static enum plb_status cross_entropy_merge_run(const struct plb_call *call,
                                               const struct plb_cuda_queue *queue)
{
    const struct plb_operand *parts = &call->in[PART];
    struct cross_entropy_merge_arguments a = {};

    a.loss = (float *)call->out[LOSS].part->data;
    a.lse = (float *)call->out[LSE].part->data;
    a.targets = rows_of<int32_t>(call, call->in[TARGETS].part, 1);
    a.parts = parts->n_parts;
    a.rows = call->high[0] - call->low[0];
    for (int k = 0; k < a.parts; k++)
        a.part[k] = rows_of<float>(call, &parts->part[k], 2);
    return plb_launch(queue, "cross_entropy_merge", cross_entropy_merge,
                      plb_blocks_for(a.rows, THREADS), THREADS, 0, a);
}

static enum plb_status cross_entropy_merge_dx_run(const struct plb_call *call,
                                                  const struct plb_cuda_queue *queue)
{
    const struct plb_operand *in = call->in;
    struct cross_entropy_merge_dx_arguments a = {};

    a.dpart = (float *)call->out[0].part->data;
    a.targets = rows_of<int32_t>(call, in[TARGETS].part, 1);
    a.part = rows_of<float>(call, in[PART].part, 2);
    a.lse = rows_of<float>(call, in[ROW_LSE].part, 1);
    a.dloss = rows_of<float>(call, in[DLOSS].part, 1);
    a.rows = call->high[0] - call->low[0];
    return plb_launch(queue, "cross_entropy_merge_dx", cross_entropy_merge_dx,
                      plb_blocks_for(a.rows, THREADS), THREADS, 0, a);
}

const struct plb_cuda_operator plb_cuda_cross_entropy_merge = {"cross_entropy_merge", nullptr,
                                                               cross_entropy_merge_run};
const struct plb_cuda_operator plb_cuda_cross_entropy_merge_dx = {
    "cross_entropy_merge_dx", nullptr, cross_entropy_merge_dx_run};
