/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * db[O] = sum over n of dy[n,O] on a CUDA card; see linear_dw.c for the record and
 * common/columns.cuh for the order of the sum.
 */
#include "codelets/common/columns.cuh"

template <typename T, bool V> struct linear_db_rows {
    enum { SUMS = 1, N = plb_vector<T>::N };
    const T *dy; /* the first row of the range */
    int64_t columns;

    __device__ __forceinline__ void add(float (*sum)[N], int64_t row, int64_t at, int count) const
    {
        const T *from = dy + row * columns + at;
        float x[N];

        if constexpr (V)
            plb_load_vector(x, from);
        for (int i = 0; i < N; i++) {
            if (V)
                sum[0][i] += x[i];
            else if (i < count)
                sum[0][i] += plb_float(from[i]);
        }
    }
};

static size_t db_scratch(const struct plb_task_types *types)
{
    const struct plb_type *dy = &types->in[0];
    struct plb_columns c =
        plb_columns_of(dy->shape.dim[0], dy->shape.dim[1], plb_columns_each(dy->dtype));

    return plb_columns_scratch(&c, 1);
}

static enum plb_status db_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[0].part;
    int64_t columns = dy->shape.dim[1];
    struct plb_columns c =
        plb_columns_of(call->high[0] - call->low[0], columns, plb_columns_each(dy->dtype));

    PLB_BY_DTYPE(dy->dtype, T, {
        const T *from = (const T *)dy->data + (call->low[0] - dy->row0) * columns;

        PLB_BY_FLAG(plb_aligned(from) && columns % plb_vector<T>::N == 0, V, {
            return plb_columns_sum<linear_db_rows<T, V>, plb_vector<T>::N, V>(
                queue, "linear_db", linear_db_rows<T, V>{from, columns}, &c,
                (float *)call->out[0].part->data, nullptr, call->scratch);
        });
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_linear_db = {"linear_db", db_scratch, db_run};
