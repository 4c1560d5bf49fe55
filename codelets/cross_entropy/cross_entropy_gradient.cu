/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradient of softmax cross-entropy on a CUDA card: logits are read once and dlogits written once,
 * which may be the same memory, since a thread writes what it alone has read. See
 * cross_entropy_gradient.c for the records and the formulas.
 */
#include "codelets/cross_entropy/row.cuh"

enum { LOGITS, TARGETS, LSE, DLOSS };
enum { THREADS = 256, EACH = 4 };

struct cross_entropy_dx_arguments {
    const int32_t *targets; /* of the first row of the range, as what follows */
    const float *lse, *dloss;
    const float *part, *dpart; /* of a range of the classes, instead of the two above */
    int64_t low, columns, first; /* first: class of column 0 */
};

/* What a row needs to know: the factor of the exponentials, and what is added for the target. */
struct cross_entropy_dx_row {
    int64_t target;
    bool ignored;
    float lse, scale, shift;

    __device__ __forceinline__ float operator()(float x, bool is_target) const
    {
        float softmax = scale * __expf(x - lse);

        if (ignored)
            return 0.0f;
        return is_target ? softmax + shift : softmax;
    }
};

static __device__ __forceinline__ struct cross_entropy_dx_row
row_of(const struct cross_entropy_dx_arguments &a, unsigned at)
{
    int64_t target = a.targets[at];

    if (a.part != nullptr)
        return {target - a.first, target < 0, a.part[2 * at], a.dpart[2 * at],
                a.dpart[2 * at + 1]};
    return {target, target < 0, a.lse[at], a.dloss[at], -a.dloss[at]};
}

template <typename T, bool V>
static __global__ void __launch_bounds__(THREADS)
    cross_entropy_dx(T *dlogits, const T *logits, struct cross_entropy_dx_arguments a)
{
    const int N = plb_vector<T>::N;
    const T *x = logits + blockIdx.x * a.columns;
    T *dx = dlogits + blockIdx.x * a.columns;
    struct plb_logits l = plb_logits_of<T>(a.low + blockIdx.x, a.columns);
    struct cross_entropy_dx_row row = row_of(a, blockIdx.x);
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

/* The rows of the range of an operand with `width` elements in each. */
template <typename E> static const E *rows_of(const struct plb_call *call, int k, int64_t width)
{
    const struct plb_tensor *part = call->in[k].part;

    return static_cast<const E *>(part->data) + (call->low[0] - part->row0) * width;
}

/* Adds to the arguments what both operators read, and launches. */
static enum plb_status launch(const char *name, const struct plb_call *call,
                              struct cross_entropy_dx_arguments a,
                              const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *logits = call->in[LOGITS].part, *dx = call->out[0].part;
    int64_t low = call->low[0], rows = call->high[0] - low;

    a.targets = rows_of<int32_t>(call, TARGETS, 1);
    a.low = low;
    a.columns = logits->shape.dim[1];
    PLB_BY_DTYPE(logits->dtype, T, {
        const T *x = (const T *)logits->data + (low - logits->row0) * a.columns;
        T *y = (T *)dx->data + (low - dx->row0) * a.columns;

        PLB_BY_FLAG(plb_logits_aligned<T>(logits) && plb_logits_aligned<T>(dx), V, {
            return plb_launch(queue, name, cross_entropy_dx<T, V>, (unsigned)rows, THREADS, 0, y, x,
                              a);
        });
    });
    return PLB_OK;
}

static enum plb_status cross_entropy_dx_run(const struct plb_call *call,
                                            const struct plb_cuda_queue *queue)
{
    struct cross_entropy_dx_arguments a = {};

    a.lse = rows_of<float>(call, LSE, 1);
    a.dloss = rows_of<float>(call, DLOSS, 1);
    return launch("cross_entropy_dx", call, a, queue);
}

static enum plb_status cross_entropy_part_dx_run(const struct plb_call *call,
                                                 const struct plb_cuda_queue *queue)
{
    struct cross_entropy_dx_arguments a = {};

    a.part = rows_of<float>(call, LSE, 2);
    a.dpart = rows_of<float>(call, DLOSS, 2);
    a.first = call->attributes->i[0];
    return launch("cross_entropy_part_dx", call, a, queue);
}

const struct plb_cuda_operator plb_cuda_cross_entropy_dx = {"cross_entropy_dx", nullptr,
                                                            cross_entropy_dx_run};
const struct plb_cuda_operator plb_cuda_cross_entropy_part_dx = {"cross_entropy_part_dx", nullptr,
                                                                 cross_entropy_part_dx_run};
