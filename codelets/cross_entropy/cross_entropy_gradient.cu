/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradient of softmax cross-entropy on a CUDA card: logits are read once and dlogits written once,
 * which may be the same memory, since a thread writes what it alone has read. See
 * cross_entropy_gradient.c for the record and the formula.
 */
#include "codelets/cross_entropy/row.cuh"

enum { LOGITS, TARGETS, LSE, DLOSS };
enum { THREADS = 256, EACH = 4 };

struct cross_entropy_dx_arguments {
    const int32_t *targets; /* of the first row of the range, as lse and dloss */
    const float *lse, *dloss;
    int64_t low, columns;
};

/* What a row needs to know. */
struct cross_entropy_dx_row {
    int64_t target;
    float lse, dloss;

    __device__ __forceinline__ float operator()(float x, bool is_target) const
    {
        float softmax = dloss * __expf(x - lse);

        if (target < 0)
            return 0.0f;
        return is_target ? softmax - dloss : softmax;
    }
};

template <typename T, bool V>
static __global__ void __launch_bounds__(THREADS)
    cross_entropy_dx(T *dlogits, const T *logits, struct cross_entropy_dx_arguments a)
{
    const int N = plb_vector<T>::N;
    const T *x = logits + blockIdx.x * a.columns;
    T *dx = dlogits + blockIdx.x * a.columns;
    struct plb_logits l = plb_logits_of<T>(a.low + blockIdx.x, a.columns);
    struct cross_entropy_dx_row row = {a.targets[blockIdx.x], a.lse[blockIdx.x],
                                       a.dloss[blockIdx.x]};
    int64_t rest = plb_logits_rest(l);

    plb_logits_each<EACH, T, V>(x, l, [&](int64_t at, const plb_vector<T> &v) {
        int which = row.target >= at && row.target < at + N ? (int)(row.target - at) : -1;
        float y[N];

#pragma unroll
        for (int i = 0; i < N; i++)
            y[i] = row(plb_float(v.x[i]), i == which);
        if constexpr (V) {
            plb_store_vector(dx + at, y);
        } else {
#pragma unroll
            for (int i = 0; i < N; i++)
                dx[at + i] = plb_to<T>(y[i]);
        }
    });
    if (rest >= 0)
        dx[rest] = plb_to<T>(row(plb_float(x[rest]), rest == row.target));
}

template <typename E> static const E *rows_of(const struct plb_call *call, int k)
{
    const struct plb_tensor *part = call->in[k].part;

    return static_cast<const E *>(part->data) + (call->low[0] - part->row0);
}

static enum plb_status cross_entropy_dx_run(const struct plb_call *call,
                                            const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *logits = call->in[LOGITS].part, *dx = call->out[0].part;
    int64_t low = call->low[0], rows = call->high[0] - low, columns = logits->shape.dim[1];
    struct cross_entropy_dx_arguments a = {rows_of<int32_t>(call, TARGETS),
                                           rows_of<float>(call, LSE), rows_of<float>(call, DLOSS),
                                           low, columns};

    PLB_BY_DTYPE(logits->dtype, T, {
        const T *x = (const T *)logits->data + (low - logits->row0) * columns;
        T *y = (T *)dx->data + (low - dx->row0) * columns;

        PLB_BY_FLAG(plb_logits_aligned<T>(logits) && plb_logits_aligned<T>(dx), V, {
            return plb_launch(queue, "cross_entropy_dx", cross_entropy_dx<T, V>, (unsigned)rows,
                              THREADS, 0, y, x, a);
        });
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_cross_entropy_dx = {"cross_entropy_dx", nullptr,
                                                            cross_entropy_dx_run};
