/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradient of norms by their input on a CUDA card. With h = (x - mean) rstd, g = dy gamma, and
 * means over the row:
 *
 *   dx = rstd (g - mean(g) - h mean(g h))
 *
 * where the norm by root mean square has neither mean nor mean(g) (CENTRED is false). dy and x are
 * read once into registers (row.cuh), the sums over the row are made at once, and dx is written
 * once; it may be dy. Where a sum with another gradient follows (fused.h), it is made here, and dx
 * itself need not be written: four accesses an element instead of six.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_NORM_INPUT_CUH
#define PLB_CODELETS_NORM_INPUT_CUH

#include "codelets/norm/row.cuh"

/* A sum with dx that follows. */
struct plb_norm_addend {
    const void *with; /* NULL: there is none */
    void *sum;
    bool keep; /* dx is wanted, too */
};

/* The sum is `call`, of operator add, whose input `in` is dx. */
static inline struct plb_norm_addend plb_norm_addend_of(const struct plb_call *call, int in,
                                                        bool keep)
{
    return {call->in[1 - in].part->data, call->out[0].part->data, keep};
}

template <typename T> struct plb_norm_input {
    T *dx;           /* NULL: not wanted */
    const T *addend; /* NULL: there is no sum */
    T *sum;
    const T *dy, *x, *gamma;
    const float *mean, *rstd;
    int64_t rows, columns;
};

template <typename T, bool CENTRED, int K, bool V>
static __global__ void __launch_bounds__(PLB_ROW_THREADS_MAX, 1)
    plb_norm_dx(struct plb_norm_input<T> a)
{
    const int N = plb_vector<T>::N;
    __shared__ float shared[PLB_WARP];
    int64_t r = plb_row_number();
    float sum = 0.0f, sum_h = 0.0f, mean = 0.0f, rstd;
    plb_row<T, K, V> dy, x, addend;

    if (r >= a.rows)
        return;
    dy.open(a.dy + r * a.columns, a.columns);
    x.open(a.x + r * a.columns, a.columns);
    if (a.addend != nullptr)
        addend.open(a.addend + r * a.columns, a.columns);
    if (CENTRED)
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
    sum = CENTRED ? plb_block_reduce(sum, plb_sum(), shared) / (float)a.columns : 0.0f;
    sum_h = plb_block_reduce(sum_h, plb_sum(), shared) / (float)a.columns;
    x.each([&](int k, int64_t at, int count) {
        float d[N], v[N], gamma[N];

        dy.get(d, k);
        x.get(v, k);
        plb_row_weights<V>(gamma, a.gamma + at, count);
        for (int i = 0; i < N; i++)
            d[i] = rstd * (d[i] * gamma[i] - sum - (v[i] - mean) * rstd * sum_h);
        if (a.dx != nullptr)
            plb_row_put<V>(a.dx + r * a.columns + at, d, count);
        if (a.addend != nullptr) {
            addend.get(v, k);
            plb_row_add<T>(d, d, v);
            plb_row_put<V>(a.sum + r * a.columns + at, d, count);
        }
    });
}

/* Inputs are dy, x, gamma, with CENTRED the means, and 1 / deviations. */
template <bool CENTRED>
static enum plb_status plb_norm_dx_run(const struct plb_call *call, struct plb_norm_addend addend,
                                       const struct plb_cuda_queue *queue, const char *name)
{
    const struct plb_operand *in = call->in;
    const struct plb_tensor *x = in[1].part;
    const void *dy = in[0].part->data, *gamma = in[2].part->data;
    const float *mean = CENTRED ? (const float *)in[3].part->data : nullptr;
    const float *rstd = (const float *)in[CENTRED ? 4 : 3].part->data;
    void *dx = addend.with == nullptr || addend.keep ? call->out[0].part->data : nullptr;
    int64_t rows = x->shape.dim[0], columns = x->shape.dim[1];
    bool aligned = plb_aligned(dy, x->data, gamma, dx) && plb_aligned(addend.with, addend.sum);

    PLB_BY_DTYPE(x->dtype, T, {
        dim3 block = plb_row_block(columns, plb_vector<T>::N);
        struct plb_norm_input<T> a = {
            (T *)dx, (const T *)addend.with, (T *)addend.sum, (const T *)dy, (const T *)x->data,
                (const T *)gamma, mean, rstd, rows, columns
        };

        PLB_BY_ROW(T, columns, aligned, K, V, {
            return plb_launch(queue, name, plb_norm_dx<T, CENTRED, K, V>,
                              plb_blocks_for(rows, block.y), block, 0, a);
        });
    });
    return PLB_OK;
}

#endif
