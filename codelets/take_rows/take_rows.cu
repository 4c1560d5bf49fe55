/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of x[N,C] by index on a CUDA card: those that are taken are read once and written once. See
 * take_rows.c for the record.
 */
#include "codelets/common/take.cuh"

enum { X, INDEX };

static enum plb_status take_rows_run(const struct plb_call *call,
                                     const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[X].part, *y = call->out[0].part;
    struct plb_take take = {(const int32_t *)call->in[INDEX].part->data,
                            y->shape.dim[0],
                            0,
                            call->in[X].whole.dim[0],
                            x->row0,
                            0,
                            call->in[X].whole.dim[0],
                            (size_t)y->shape.dim[1] * plb_dtype_bytes(y->dtype)};

    return plb_take_by_index(queue, "take_rows", y->data, x->data, &take);
}

const struct plb_cuda_operator plb_cuda_take_rows = {"take_rows", nullptr, take_rows_run};
