/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dw[O,K] = dy[N,O]^T x[N,K] in fp32 on a CUDA card, by cublasLt: 2 N O K operations. The range of
 * N is summed in one product. See linear_dw.c for the record.
 */
#include "codelets/common/cublas.cuh"
#include "codelets/linear/linear.h"

enum { X, DY };

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
    return plb_cuda_product(&product, nullptr, queue);
}

const struct plb_cuda_operator plb_cuda_linear_dw = {"linear_dw", nullptr, dw_run};
