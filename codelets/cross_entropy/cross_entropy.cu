/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Softmax cross-entropy on a CUDA card: one block a row, which reads the logits once, by 16 bytes
 * and four of them under way in each thread, and keeps nothing but lse. See cross_entropy.c for the
 * record and the algorithm.
 *
 * A thread has a maximum and a sum of its own; they are merged at the end, in a fixed tree. An
 * element takes one exponential: bf16 logits at the bandwidth of an H200 keep its special function
 * units busy to about 60 %.
 *
 * cross_entropy_part is the same kernel on a range of the classes.
 */
#include "codelets/cross_entropy/row.cuh"

enum { LOGITS, TARGETS };
enum { LOSS, LSE };
enum { EACH = 4 };

struct cross_entropy_arguments {
    float *loss, *lse;
    float *part;             /* lse and target's logit of each row, instead of the two above */
    const int32_t *targets;  /* of the first row of the range */
    int64_t low, columns;    /* the first row's number in the uncut value */
    int64_t first, classes;  /* class of column 0, and how many there are in all */
    unsigned long long *fault;
    uint32_t tag;
};

/* The sum of exp(x - top) over what was seen, top being its maximum. A NaN is not a maximum, but
 * makes the sum one. */
struct running {
    float top, sum;
};

/* Before any number but -inf was seen, exponentials are taken of x itself, which gives 0. */
static __device__ __forceinline__ float base_of(float top)
{
    return top == -INFINITY ? 0.0f : top;
}

static __device__ __forceinline__ void raise_top(struct running *r, float top)
{
    if (top > r->top) {
        r->sum *= __expf(r->top - top);
        r->top = top;
    }
}

template <typename T>
static __device__ __forceinline__ void take(struct running *r, const plb_vector<T> &v)
{
    const int N = plb_vector<T>::N;
    float top = -INFINITY, base;

#pragma unroll
    for (int i = 0; i < N; i++)
        top = fmaxf(top, plb_float(v.x[i]));
    raise_top(r, top);
    base = base_of(r->top);
#pragma unroll
    for (int i = 0; i < N; i++)
        r->sum += __expf(plb_float(v.x[i]) - base);
}

static __device__ __forceinline__ void take_one(struct running *r, float x)
{
    raise_top(r, x);
    r->sum += __expf(x - base_of(r->top));
}

/* The sums of all threads, corrected to one maximum. */
static __device__ __forceinline__ struct running merge(struct running r, float *shared)
{
    struct running all;

    all.top = plb_block_reduce(r.top, plb_max(), shared);
    all.sum = r.sum * (r.top == all.top ? 1.0f : __expf(r.top - all.top));
    all.sum = plb_block_reduce(all.sum, plb_sum(), shared);
    return all;
}

template <typename T, bool V>
static __global__ void cross_entropy(const T *logits, struct cross_entropy_arguments a)
{
    __shared__ float shared[PLB_WARP];
    const T *x = logits + blockIdx.x * a.columns;
    struct plb_logits l = plb_logits_of<T>(a.low + blockIdx.x, a.columns);
    struct running r = {-INFINITY, 0.0f};
    int64_t rest = plb_logits_rest(l), target = a.targets[blockIdx.x];
    float lse;

    plb_logits_each<EACH, T, V>(x, l, [&](int64_t, const plb_vector<T> &v) { take(&r, v); });
    if (rest >= 0)
        take_one(&r, plb_float(x[rest]));
    r = merge(r, shared);
    if (threadIdx.x > 0)
        return;
    lse = r.top + logf(r.sum);
    if (target >= a.classes) {
        plb_complain(a.fault, a.tag, a.low + blockIdx.x);
        target = -1;
    }
    if (a.part != nullptr) {
        bool here = target >= a.first && target < a.first + a.columns;

        a.part[2 * blockIdx.x] = target < 0 ? 0.0f : lse;
        a.part[2 * blockIdx.x + 1] = here ? plb_float(x[target - a.first]) : 0.0f;
        return;
    }
    a.lse[blockIdx.x] = lse;
    a.loss[blockIdx.x] = target < 0 ? 0.0f : lse - plb_float(x[target]);
}

/* Enough threads for a vector or more each, by the width alone. */
static unsigned threads_for(int64_t vectors)
{
    unsigned threads = 64;

    while (threads < 512 && threads * EACH < vectors)
        threads *= 2;
    return threads;
}

/* Adds to the arguments what both operators read, and launches. */
static enum plb_status launch(const char *name, const struct plb_call *call,
                              struct cross_entropy_arguments a, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *logits = call->in[LOGITS].part, *targets = call->in[TARGETS].part;
    int64_t rows = call->high[0] - call->low[0];

    a.targets = (const int32_t *)targets->data + (call->low[0] - targets->row0);
    a.low = call->low[0];
    a.columns = logits->shape.dim[1];
    a.fault = queue->fault;
    a.tag = queue->tag;
    PLB_BY_DTYPE(logits->dtype, T, {
        const T *x = (const T *)logits->data + (call->low[0] - logits->row0) * a.columns;
        unsigned threads = threads_for(a.columns / plb_vector<T>::N);

        PLB_BY_FLAG(plb_logits_aligned<T>(logits), V, {
            return plb_launch(queue, name, cross_entropy<T, V>, (unsigned)rows, threads, 0, x, a);
        });
    });
    return PLB_OK;
}

static enum plb_status cross_entropy_run(const struct plb_call *call,
                                         const struct plb_cuda_queue *queue)
{
    struct cross_entropy_arguments a = {};

    a.loss = (float *)call->out[LOSS].part->data;
    a.lse = (float *)call->out[LSE].part->data;
    a.classes = call->in[LOGITS].part->shape.dim[1];
    return launch("cross_entropy", call, a, queue);
}

static enum plb_status cross_entropy_part_run(const struct plb_call *call,
                                              const struct plb_cuda_queue *queue)
{
    struct cross_entropy_arguments a = {};

    a.part = (float *)call->out[0].part->data;
    a.first = call->attributes->i[0];
    a.classes = call->attributes->i[1];
    return launch("cross_entropy_part", call, a, queue);
}

const struct plb_cuda_operator plb_cuda_cross_entropy = {"cross_entropy", nullptr,
                                                         cross_entropy_run};
const struct plb_cuda_operator plb_cuda_cross_entropy_part = {"cross_entropy_part", nullptr,
                                                              cross_entropy_part_run};
