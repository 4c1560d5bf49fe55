/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * y[N,C] = table[tokens[N], :] on a CUDA card: the rows that are looked up are read once and
 * written once. See embedding.c for the record, embedding_dw.cu for the gradient.
 */
#include "codelets/common/take.cuh"

enum { TOKENS, TABLE };
enum { FIRST, VOCABULARY }; /* integer attributes */

static enum plb_status embedding_run(const struct plb_call *call,
                                     const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *table = call->in[TABLE].part, *y = call->out[0].part;
    int64_t rows = call->in[TABLE].whole.dim[0], all = call->attributes->i[VOCABULARY];
    struct plb_take take = {(const int32_t *)call->in[TOKENS].part->data,
                            y->shape.dim[0],
                            call->low[0],
                            rows,
                            table->row0,
                            call->attributes->i[FIRST],
                            all > 0 ? all : rows,
                            (size_t)y->shape.dim[1] * plb_dtype_bytes(y->dtype)};

    return plb_take_by_index(queue, "embedding", y->data, table->data, &take);
}

const struct plb_cuda_operator plb_cuda_embedding = {"embedding", nullptr, embedding_run};
