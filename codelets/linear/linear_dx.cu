/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dx[N,K] = dy[N,O] w[O,K] on a CUDA card, by cublasLt: 2 N O K operations. The range of O is
 * summed in one product; the result is rounded once. See linear_dx.c for the record.
 */
#include "codelets/linear/linear.h"
#include "codelets/linear/padded.cuh"

enum { DY, W };

static size_t dx_scratch(const struct plb_task_types *types)
{
    struct plb_product product = {};

    product.m = types->in[DY].shape.dim[0];
    product.n = types->in[W].shape.dim[1];
    product.k = types->in[W].shape.dim[0];
    product.a.dtype = types->in[DY].dtype;
    product.c_dtype = types->out[0].dtype;
    return plb_cuda_padded_scratch(&product);
}

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
    return plb_cuda_padded_product(&product, call->scratch, queue);
}

const struct plb_cuda_operator plb_cuda_linear_dx = {"linear_dx", dx_scratch, dx_run};
