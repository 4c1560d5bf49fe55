/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dw[O,K] = dy[N,O]^T x[N,K] in fp32 on a CUDA card, by cublasLt: 2 N O K operations. The range of
 * N is summed in one product, or in order (padded.cuh). See linear_dw.c for the record.
 */
#include "codelets/linear/linear.h"
#include "codelets/linear/padded.cuh"

enum { X, DY };

static size_t dw_scratch(const struct plb_task_types *types)
{
    struct plb_product product = {};

    product.m = types->out[0].shape.dim[0];
    product.n = types->out[0].shape.dim[1];
    product.k = types->in[X].shape.dim[0];
    product.a.dtype = types->in[DY].dtype;
    product.a.transposed = true;
    product.c_dtype = PLB_F32;
    return plb_cuda_padded_scratch(&product);
}

static enum plb_status dw_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[X].part, *dy = call->in[DY].part, *dw = call->out[0].part;
    struct plb_product product = {};

    product.m = dw->shape.dim[0];
    product.n = dw->shape.dim[1];
    product.k = call->high[0] - call->low[0];
    product.a = {plb__cell_at(dy, call->low[0], call->low[1]), dy->dtype, dy->shape.dim[1], true};
    product.b = {plb__cell_at(x, call->low[0], 0), x->dtype, product.n, false};
    product.c = dw->data;
    product.c_dtype = dw->dtype;
    product.c_stride = product.n;
    return plb_cuda_padded_product(&product, call->scratch, queue);
}

const struct plb_cuda_operator plb_cuda_linear_dw = {"linear_dw", dw_scratch, dw_run};
