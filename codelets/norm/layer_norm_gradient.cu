/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of layer norm on a CUDA card; see layer_norm_gradient.c for the records and formulas.
 *
 * dx: dy and x are read once into registers (row.cuh), two sums over the row are made at once, and
 * dx is written once; it may be dy. The weights: sums over columns, common/columns.cuh.
 */
#include "codelets/norm/weights.cuh"

enum { DY, X, GAMMA, MEAN, RSTD };

template <typename T> struct layer_norm_dx_arguments {
    T *dx;
    const T *dy, *x, *gamma;
    const float *mean, *rstd;
    int64_t rows, columns;
};

template <typename T, int K, bool V>
static __global__ void __launch_bounds__(PLB_ROW_THREADS_MAX, 1)
    layer_norm_dx(struct layer_norm_dx_arguments<T> a)
{
    const int N = plb_vector<T>::N;
    __shared__ float shared[PLB_WARP];
    int64_t r = plb_row_number();
    float sum = 0.0f, sum_h = 0.0f, mean, rstd;
    plb_row<T, K, V> dy, x;

    if (r >= a.rows)
        return;
    dy.open(a.dy + r * a.columns, a.columns);
    x.open(a.x + r * a.columns, a.columns);
    mean = a.mean[r];
    rstd = a.rstd[r];
    x.each([&](int k, int64_t at, int count) {
        float d[N], v[N], gamma[N];

        dy.get(d, k);
        x.get(v, k);
        plb_row_weights<V>(gamma, a.gamma + at, count);
        for (int i = 0; i < N; i++) {
            float g = d[i] * gamma[i]; /* zero where there is none */

            sum += g;
            sum_h += g * ((v[i] - mean) * rstd);
        }
    });
    sum = plb_block_reduce(sum, plb_sum(), shared) / (float)a.columns;
    sum_h = plb_block_reduce(sum_h, plb_sum(), shared) / (float)a.columns;
    x.each([&](int k, int64_t at, int count) {
        float d[N], v[N], gamma[N];

        dy.get(d, k);
        x.get(v, k);
        plb_row_weights<V>(gamma, a.gamma + at, count);
        for (int i = 0; i < N; i++)
            d[i] = rstd * (d[i] * gamma[i] - sum - (v[i] - mean) * rstd * sum_h);
        plb_row_put<V>(a.dx + r * a.columns + at, d, count);
    });
}

static enum plb_status layer_norm_dx_run(const struct plb_call *call,
                                         const struct plb_cuda_queue *queue)
{
    const struct plb_operand *in = call->in;
    const struct plb_tensor *x = in[X].part, *dx = call->out[0].part;
    int64_t rows = x->shape.dim[0], columns = x->shape.dim[1];
    bool aligned = plb_aligned(in[DY].part->data, x->data, in[GAMMA].part->data, dx->data);

    PLB_BY_DTYPE(x->dtype, T, {
        dim3 block = plb_row_block(columns, plb_vector<T>::N);
        struct layer_norm_dx_arguments<T> a = {
            (T *)dx->data, (const T *)in[DY].part->data, (const T *)x->data,
                (const T *)in[GAMMA].part->data, (const float *)in[MEAN].part->data,
                (const float *)in[RSTD].part->data, rows, columns
        };

        PLB_BY_ROW(T, columns, aligned, K, V, {
            return plb_launch(queue, "layer_norm_dx", layer_norm_dx<T, K, V>,
                              plb_blocks_for(rows, block.y), block, 0, a);
        });
    });
    return PLB_OK;
}

static size_t layer_norm_dw_scratch(const struct plb_task_types *types)
{
    return plb_norm_weights_scratch(types, 2);
}

static enum plb_status layer_norm_dw_run(const struct plb_call *call,
                                         const struct plb_cuda_queue *queue)
{
    const struct plb_operand *out = call->out;
    float *dgamma = out[0].n_parts > 0 ? (float *)out[0].part->data : nullptr;
    float *dbeta = out[1].n_parts > 0 ? (float *)out[1].part->data : nullptr;

    return plb_norm_weights_run<true>(call, queue, "layer_norm_dw", dgamma, dbeta);
}

const struct plb_cuda_operator plb_cuda_layer_norm_dx = {"layer_norm_dx", nullptr,
                                                         layer_norm_dx_run};
const struct plb_cuda_operator plb_cuda_layer_norm_dw = {"layer_norm_dw", layer_norm_dw_scratch,
                                                         layer_norm_dw_run};
