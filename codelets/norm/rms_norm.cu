/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The norm by root mean square and its gradients on a CUDA card; see rms_norm.c for the records and
 * formulas, row.cuh for how a row is held in registers: x is read once, y written once. The
 * gradients are in input.cuh and weights.cuh.
 */
#include "codelets/norm/fused.h"
#include "codelets/norm/input.cuh"
#include "codelets/norm/weights.cuh"

template <typename T> struct rms_norm_arguments {
    T *y;
    float *rstd;
    const T *x, *gamma;
    const T *addend; /* NULL: of x alone, else of x + addend, */
    T *sum;          /* which goes here unless this is NULL */
    int64_t rows, columns;
    float epsilon;
};

template <typename T, int K, bool V>
static __global__ void __launch_bounds__(PLB_ROW_THREADS_MAX, 1)
    rms_norm(struct rms_norm_arguments<T> a)
{
    const int N = plb_vector<T>::N;
    __shared__ float shared[PLB_WARP];
    int64_t r = plb_row_number();
    float squares = 0.0f, rstd;
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
            squares += v[i] * v[i]; /* zero where there is none */
    });
    squares = plb_block_reduce(squares, plb_sum(), shared) / (float)a.columns;
    rstd = 1.0f / sqrtf(squares + a.epsilon);
    if (threadIdx.x == 0)
        a.rstd[r] = rstd;
    x.each([&](int k, int64_t at, int count) {
        float v[N], gamma[N];

        x.get(v, k);
        plb_row_weights<V>(gamma, a.gamma + at, count);
        for (int i = 0; i < N; i++)
            v[i] = v[i] * rstd * gamma[i];
        plb_row_put<V>(a.y + r * a.columns + at, v, count);
    });
}

/* `sum`: NULL, or a call of add that comes before, whose result is wanted if `keep`. */
static enum plb_status run(const struct plb_call *call, const struct plb_call *sum, bool keep,
                           const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = sum != nullptr ? sum->in[0].part : call->in[0].part;
    const struct plb_tensor *gamma = call->in[1].part, *y = call->out[0].part;
    const void *addend = sum != nullptr ? sum->in[1].part->data : nullptr;
    void *kept = keep ? sum->out[0].part->data : nullptr;
    int64_t rows = x->shape.dim[0], columns = x->shape.dim[1];
    bool aligned = plb_aligned(x->data, gamma->data, y->data) && plb_aligned(addend, kept);

    PLB_BY_DTYPE(x->dtype, T, {
        dim3 block = plb_row_block(columns, plb_vector<T>::N);
        struct rms_norm_arguments<T> a = {
            (T *)y->data, (float *)call->out[1].part->data, (const T *)x->data,
                (const T *)gamma->data, (const T *)addend, (T *)kept, rows, columns,
                (float)call->attributes->f[0]
        };

        PLB_BY_ROW(T, columns, aligned, K, V, {
            return plb_launch(queue, "rms_norm", rms_norm<T, K, V>, plb_blocks_for(rows, block.y),
                              block, 0, a);
        });
    });
    return PLB_OK;
}

static enum plb_status rms_norm_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return run(call, nullptr, false, queue);
}

enum plb_status plb_cuda_add_rms_norm(const struct plb_call *first, const struct plb_call *second,
                                      int, bool keep, const struct plb_cuda_queue *queue)
{
    bool held = plb_row_held(&first->out[0].part->shape, first->out[0].part->dtype);

    return run(second, first, keep || !held, queue);
}

static enum plb_status rms_norm_dx_run(const struct plb_call *call,
                                       const struct plb_cuda_queue *queue)
{
    const struct plb_norm_addend none = {};

    return plb_norm_dx_run<false>(call, none, queue, "rms_norm_dx");
}

enum plb_status plb_cuda_rms_norm_dx_add(const struct plb_call *first,
                                         const struct plb_call *second, int in, bool keep,
                                         const struct plb_cuda_queue *queue)
{
    return plb_norm_dx_run<false>(first, plb_norm_addend_of(second, in, keep), queue,
                                  "rms_norm_dx");
}

static size_t rms_norm_dw_scratch(const struct plb_task_types *types)
{
    return plb_norm_weights_scratch(types, 1);
}

static enum plb_status rms_norm_dw_run(const struct plb_call *call,
                                       const struct plb_cuda_queue *queue)
{
    return plb_norm_weights_run<false>(call, queue, "rms_norm_dw", (float *)call->out[0].part->data,
                                       nullptr);
}

const struct plb_cuda_operator plb_cuda_rms_norm = {"rms_norm", nullptr, rms_norm_run};
const struct plb_cuda_operator plb_cuda_rms_norm_dx = {"rms_norm_dx", nullptr, rms_norm_dx_run};
const struct plb_cuda_operator plb_cuda_rms_norm_dw = {"rms_norm_dw", rms_norm_dw_scratch,
                                                       rms_norm_dw_run};
