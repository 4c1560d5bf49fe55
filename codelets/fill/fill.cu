/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A value of f32[1] that holds a constant, on a CUDA card. See fill.c for the record.
 */
#include "codelets/common/kernel.cuh"

static __global__ void fill(float *y, float value)
{
    *y = value;
}

static enum plb_status fill_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_launch(queue, "fill", fill, 1, 1, 0, (float *)call->out[0].part->data,
                      (float)call->attributes->f[0]);
}

const struct plb_cuda_operator plb_cuda_fill = {"fill", nullptr, fill_run};
