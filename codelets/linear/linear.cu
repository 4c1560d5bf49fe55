/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y[N,O] = x[N,K] w[O,K]^T + b[O] on a CUDA card: 2 N O K operations, by cublasLt (cublas.cuh),
 * which adds the bias to fp32 sums before they are rounded once. See linear.c for the record.
 */
#include "codelets/common/cublas.cuh"
#include "codelets/linear/linear.h"

enum { X, W, B };

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
    return plb_cuda_product(&product, nullptr, queue);
}

const struct plb_cuda_operator plb_cuda_linear = {"linear", nullptr, linear_run};
