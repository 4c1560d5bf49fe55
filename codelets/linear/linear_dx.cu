/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dx[N,K] = dy[N,O] w[O,K] on a CUDA card, by cublasLt: 2 N O K operations. The range of O is
 * summed in one product; the result is rounded once. See linear_dx.c for the record.
 */
#include "codelets/common/cublas.cuh"
#include "codelets/linear/linear.h"

enum { DY, W };

static enum plb_status dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[DY].part, *w = call->in[W].part, *dx = call->out[0].part;
    struct plb_product product = {};

    product.m = dx->shape.dim[0];
    product.n = dx->shape.dim[1];
    product.k = call->high[1] - call->low[1];
    product.a = {plb__cell_at(dy, call->low[0], call->low[1]), dy->dtype, dy->shape.dim[1], false};
    product.b = {plb__cell_at(w, call->low[1], 0), w->dtype, product.n, false};
    product.c = dx->data;
    product.c_dtype = dx->dtype;
    product.c_stride = product.n;
    return plb_cuda_product(&product, nullptr, queue);
}

const struct plb_cuda_operator plb_cuda_linear_dx = {"linear_dx", nullptr, dx_run};
