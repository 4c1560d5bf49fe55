/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y[N,O] = x[N,K] w[O,K]^T + b[O] on a CUDA card: 2 N O K operations, by cublasLt (cublas.cuh),
 * which adds the bias to fp32 sums before they are rounded once. See linear.c for the record.
 */
#include "codelets/linear/linear.h"
#include "codelets/linear/padded.cuh"

enum { X, W, B };

static size_t linear_scratch(const struct plb_task_types *types)
{
    struct plb_product product = {};

    product.m = types->in[X].shape.dim[0];
    product.n = types->in[W].shape.dim[0];
    product.k = types->in[X].shape.dim[1];
    product.a.dtype = product.c_dtype = types->in[X].dtype;
    return plb_cuda_padded_scratch(&product);
}

static enum plb_status linear_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[X].part, *w = call->in[W].part, *y = call->out[0].part;
    struct plb_product product = {};

    product.m = y->shape.dim[0];
    product.n = y->shape.dim[1];
    product.k = x->shape.dim[1];
    product.a = {x->data, x->dtype, product.k, false};
    product.b = {plb__cell_at(w, call->low[1], 0), w->dtype, product.k, true};
    product.c = y->data;
    product.c_dtype = y->dtype;
    product.c_stride = product.n;
    if (call->in[B].n_parts > 0) {
        product.bias = call->in[B].part[0].data;
        product.bias_dtype = call->in[B].part[0].dtype;
    }
    return plb_cuda_padded_product(&product, call->scratch, queue);
}

const struct plb_cuda_operator plb_cuda_linear = {"linear", linear_scratch, linear_run};
