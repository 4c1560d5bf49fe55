/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layer norm on a CUDA card: x is read once and y written once, the mean and the mean of squared
 * differences are made from registers (row.cuh). gamma and beta come from the first-level cache.
 * With the sum before it (fused.h) it is four accesses an element instead of five.
 * See layer_norm.c for the record and the formula.
 */
#include "codelets/norm/fused.h"
#include "codelets/norm/row.cuh"

enum { X, GAMMA, BETA };
enum { Y, MEAN, RSTD };

template <typename T> struct layer_norm_arguments {
    T *y;
    float *mean, *rstd;
    const T *x, *gamma, *beta; /* beta may be NULL */
    const T *addend;           /* NULL: of x alone, else of x + addend, */
    T *sum;                    /* which goes here unless this is NULL */
    int64_t rows, columns;
    float epsilon;
};

template <typename T, int K, bool V>
static __global__ void __launch_bounds__(PLB_ROW_THREADS_MAX, 1)
    layer_norm(struct layer_norm_arguments<T> a)
{
    const int N = plb_vector<T>::N;
    __shared__ float shared[PLB_WARP];
    int64_t r = plb_row_number();
    float sum = 0.0f, spread = 0.0f, mean, rstd;
    plb_row<T, K, V> x;

    if (r >= a.rows)
        return;
    if (a.addend == nullptr)
        x.open(a.x + r * a.columns, a.columns);
    else
        x.open_sum(a.x + r * a.columns, a.addend + r * a.columns,
                   a.sum != nullptr ? a.sum + r * a.columns : nullptr, a.columns);
    x.each([&](int k, int64_t, int) {
        float v[N];

        x.get(v, k);
        for (int i = 0; i < N; i++)
            sum += v[i]; /* zero where there is none */
    });
    mean = plb_block_reduce(sum, plb_sum(), shared) / (float)a.columns;
    x.each([&](int k, int64_t, int count) {
        float v[N];

        x.get(v, k);
        for (int i = 0; i < N; i++) {
            float d = V || i < count ? v[i] - mean : 0.0f;

            spread += d * d;
        }
    });
    spread = plb_block_reduce(spread, plb_sum(), shared) / (float)a.columns;
    rstd = 1.0f / sqrtf(spread + a.epsilon);
    if (threadIdx.x == 0) {
        a.mean[r] = mean;
        a.rstd[r] = rstd;
    }
    x.each([&](int k, int64_t at, int count) {
        float v[N], gamma[N], beta[N] = {};

        x.get(v, k);
        plb_row_weights<V>(gamma, a.gamma + at, count);
        if (a.beta != nullptr)
            plb_row_weights<V>(beta, a.beta + at, count);
        for (int i = 0; i < N; i++)
            v[i] = (v[i] - mean) * rstd * gamma[i] + beta[i];
        plb_row_put<V>(a.y + r * a.columns + at, v, count);
    });
}

/* `sum`: NULL, or a call of add that comes before, whose result is wanted if `keep`. */
static enum plb_status run(const struct plb_call *call, const struct plb_call *sum, bool keep,
                           const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = sum != nullptr ? sum->in[0].part : call->in[X].part;
    const struct plb_tensor *y = call->out[Y].part;
    const void *gamma = call->in[GAMMA].part->data;
    const void *beta = call->in[BETA].n_parts > 0 ? call->in[BETA].part->data : nullptr;
    const void *addend = sum != nullptr ? sum->in[1].part->data : nullptr;
    void *kept = keep ? sum->out[0].part->data : nullptr;
    int64_t rows = x->shape.dim[0], columns = x->shape.dim[1];
    bool aligned = plb_aligned(x->data, y->data, gamma, beta) && plb_aligned(addend, kept);

    PLB_BY_DTYPE(x->dtype, T, {
        dim3 block = plb_row_block(columns, plb_vector<T>::N);
        struct layer_norm_arguments<T> a = {
            (T *)y->data, (float *)call->out[MEAN].part->data, (float *)call->out[RSTD].part->data,
                (const T *)x->data, (const T *)gamma, (const T *)beta, (const T *)addend, (T *)kept,
                rows, columns, (float)call->attributes->f[0]
        };

        PLB_BY_ROW(T, columns, aligned, K, V, {
            return plb_launch(queue, "layer_norm", layer_norm<T, K, V>,
                              plb_blocks_for(rows, block.y), block, 0, a);
        });
    });
    return PLB_OK;
}

static enum plb_status layer_norm_run(const struct plb_call *call,
                                      const struct plb_cuda_queue *queue)
{
    return run(call, nullptr, false, queue);
}

enum plb_status plb_cuda_add_layer_norm(const struct plb_call *first, const struct plb_call *second,
                                        int, bool keep, const struct plb_cuda_queue *queue)
{
    bool held = plb_row_held(&first->out[0].part->shape, first->out[0].part->dtype);

    return run(second, first, keep || !held, queue);
}

const struct plb_cuda_operator plb_cuda_layer_norm = {"layer_norm", nullptr, layer_norm_run};
