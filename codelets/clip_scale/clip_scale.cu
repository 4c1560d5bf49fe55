/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clip_scale on a CUDA card: the sums are added in their order by one thread, after a block has
 * fetched up to SUMS of them; a few microseconds. See clip_scale.c for the record.
 */
#include "codelets/common/kernel.cuh"

enum { SUMS = 256 };

/* Sums of one launch; `before` and `after` carry the sum from launch to launch. */
struct clip_scale_sums {
    const double *sum[SUMS];
    int n;
    const double *before; /* NULL: 0 */
    double *after;        /* NULL: this is the last */
};

static __global__ void clip_scale(const __grid_constant__ struct clip_scale_sums sums, float *scale,
                                  float *norm_out, double limit)
{
    __shared__ double value[SUMS];
    double sum = 0.0, norm;

    if ((int)threadIdx.x < sums.n)
        value[threadIdx.x] = *sums.sum[threadIdx.x];
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    if (sums.before != nullptr)
        sum = *sums.before;
    for (int k = 0; k < sums.n; k++)
        sum += value[k];
    if (sums.after != nullptr) {
        *sums.after = sum;
        return;
    }
    norm = sqrt(sum);
    *scale = limit <= 0 || norm <= limit ? 1.0f : (float)(limit / norm);
    if (norm_out != nullptr)
        *norm_out = (float)norm;
}

static size_t clip_scale_scratch(const struct plb_task_types *types)
{
    return types->variadic > SUMS ? sizeof(double) : 0;
}

static enum plb_status clip_scale_run(const struct plb_call *call,
                                      const struct plb_cuda_queue *queue)
{
    const struct plb_operand *in = &call->in[0];
    float *scale = (float *)call->out[0].part->data;
    float *norm = call->out[1].n_parts > 0 ? (float *)call->out[1].part->data : nullptr;

    for (int first = 0; first < in->n_parts; first += SUMS) {
        struct clip_scale_sums sums = {};

        sums.n = in->n_parts - first < SUMS ? in->n_parts - first : SUMS;
        for (int k = 0; k < sums.n; k++)
            sums.sum[k] = (const double *)in->part[first + k].data;
        sums.before = first > 0 ? (const double *)call->scratch : nullptr;
        sums.after = first + SUMS < in->n_parts ? (double *)call->scratch : nullptr;
        PLB_TRY(plb_launch(queue, "clip_scale", clip_scale, 1, SUMS, 0, sums, scale, norm,
                           call->attributes->f[0]));
    }
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_clip_scale = {"clip_scale", clip_scale_scratch,
                                                      clip_scale_run};
