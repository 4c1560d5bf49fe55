/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradients of the weights of norms on a CUDA card: sums over rows of dy h, and of dy, where
 * h = (x - mean) rstd (mean is 0 for the norm by root mean square). See common/columns.cuh.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_NORM_WEIGHTS_CUH
#define PLB_CODELETS_NORM_WEIGHTS_CUH

#include "codelets/common/columns.cuh"
#include "codelets/norm/row.cuh"

/* dgamma, and with CENTRED dbeta. Pointers are to the first row of the range. */
template <typename T, bool CENTRED, bool V> struct plb_norm_weights {
    enum { SUMS = CENTRED ? 2 : 1, N = plb_vector<T>::N };
    const T *dy, *x;
    const float *mean, *rstd;
    int64_t columns;

    __device__ __forceinline__ void add(float (*sum)[N], int64_t row, int64_t at, int count) const
    {
        float d[N], v[N], middle = CENTRED ? mean[row] : 0.0f, scale = rstd[row];

        plb_row_weights<V>(d, dy + row * columns + at, count);
        plb_row_weights<V>(v, x + row * columns + at, count);
#pragma unroll
        for (int i = 0; i < N; i++) {
            sum[0][i] += d[i] * ((v[i] - middle) * scale);
            if (CENTRED)
                sum[SUMS - 1][i] += d[i];
        }
    }
};

static inline struct plb_columns plb_norm_columns(int64_t rows, const struct plb_shape *x,
                                                  enum plb_dtype dtype)
{
    return plb_columns_of(rows, x->dim[1], plb_columns_each(dtype));
}

/* Where row low[0] of the range begins in an operand's part. */
template <typename T>
static const T *plb_norm_rows(const struct plb_call *call, int k, int64_t columns)
{
    const struct plb_tensor *part = call->in[k].part;

    return static_cast<const T *>(part->data) + (call->low[0] - part->row0) * columns;
}

static inline size_t plb_norm_weights_scratch(const struct plb_task_types *types, int sums)
{
    struct plb_columns c =
        plb_norm_columns(types->in[0].shape.dim[0], &types->in[0].shape, types->in[0].dtype);

    return plb_columns_scratch(&c, sums);
}

/* Inputs are dy, x, with CENTRED the means, and 1 / deviations. */
template <bool CENTRED>
static enum plb_status plb_norm_weights_run(const struct plb_call *call,
                                            const struct plb_cuda_queue *queue, const char *name,
                                            float *dgamma, float *dbeta)
{
    const struct plb_tensor *part = call->in[0].part;
    struct plb_columns c =
        plb_norm_columns(call->high[0] - call->low[0], &part->shape, part->dtype);

    PLB_BY_DTYPE(part->dtype, T, {
        const T *dy = plb_norm_rows<T>(call, 0, c.columns);
        const T *x = plb_norm_rows<T>(call, 1, c.columns);
        const float *rstd = plb_norm_rows<float>(call, CENTRED ? 3 : 2, 1);
        const float *mean = CENTRED ? plb_norm_rows<float>(call, 2, 1) : nullptr;

        PLB_BY_FLAG(plb_aligned(dy, x) && c.columns % plb_vector<T>::N == 0, V, {
            plb_norm_weights<T, CENTRED, V> f = {dy, x, mean, rstd, c.columns};

            return plb_columns_sum<plb_norm_weights<T, CENTRED, V>, plb_vector<T>::N, V>(
                queue, name, f, &c, dgamma, dbeta, call->scratch);
        });
    });
    return PLB_OK;
}

#endif
