/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of layer norm on a CUDA card: input.cuh and weights.cuh. See layer_norm_gradient.c for
 * the records and formulas.
 */
#include "codelets/norm/fused.h"
#include "codelets/norm/input.cuh"
#include "codelets/norm/weights.cuh"

static enum plb_status layer_norm_dx_run(const struct plb_call *call,
                                         const struct plb_cuda_queue *queue)
{
    const struct plb_norm_addend none = {};

    return plb_norm_dx_run<true>(call, none, queue, "layer_norm_dx");
}

enum plb_status plb_cuda_layer_norm_dx_add(const struct plb_call *first,
                                           const struct plb_call *second, int in, bool keep,
                                           const struct plb_cuda_queue *queue)
{
    return plb_norm_dx_run<true>(first, plb_norm_addend_of(second, in, keep), queue,
                                 "layer_norm_dx");
}

static size_t layer_norm_dw_scratch(const struct plb_task_types *types)
{
    return plb_norm_weights_scratch(types, 2);
}

static enum plb_status layer_norm_dw_run(const struct plb_call *call,
                                         const struct plb_cuda_queue *queue)
{
    const struct plb_operand *out = call->out;
    float *dgamma = out[0].n_parts > 0 ? (float *)out[0].part->data : nullptr;
    float *dbeta = out[1].n_parts > 0 ? (float *)out[1].part->data : nullptr;

    return plb_norm_weights_run<true>(call, queue, "layer_norm_dw", dgamma, dbeta);
}

const struct plb_cuda_operator plb_cuda_layer_norm_dx = {"layer_norm_dx", nullptr,
                                                         layer_norm_dx_run};
const struct plb_cuda_operator plb_cuda_layer_norm_dw = {"layer_norm_dw", layer_norm_dw_scratch,
                                                         layer_norm_dw_run};
