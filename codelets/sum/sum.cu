/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sum: y = x_0 + x_1 + ... on a CUDA card, in that order, each value read once. See sum.c for the
 * record.
 *
 * The values' addresses stand among the kernel's arguments. More than PARTS of them take several
 * launches, which hand on sums in fp32 by way of scratch memory.
 */
#include "codelets/common/map.cuh"

enum { THREADS = 256, PARTS = 256 };

/* `before`: what came of earlier launches, or NULL; A is the type of sums. */
template <typename T, typename A> struct sum_parts {
    const T *x[PARTS];
    int n;
    const A *before;
};

static __device__ __forceinline__ double widen(double x)
{
    return x;
}

template <typename T> static __device__ __forceinline__ float widen(T x)
{
    return plb_float(x);
}

template <typename O, typename A> static __device__ __forceinline__ O narrow(A x)
{
    if constexpr (sizeof(A) == sizeof(double))
        return x;
    else
        return plb_to<O>(x);
}

/* E elements of a thread. */
template <int E, typename O, typename T, typename A>
static __device__ __forceinline__ void add(O *y, const struct sum_parts<T, A> &parts, int64_t at)
{
    plb_pack<O, E> out;
    plb_pack<A, E> before;
    plb_pack<T, E> x;
    A sum[E];

    if (parts.before != nullptr)
        before = plb_pack_load<E>(parts.before + at);
    x = plb_pack_load<E>(parts.x[0] + at);
#pragma unroll
    for (int i = 0; i < E; i++)
        sum[i] = parts.before != nullptr ? before.x[i] + widen(x.x[i]) : widen(x.x[i]);
#pragma unroll 4
    for (int k = 1; k < parts.n; k++) {
        x = plb_pack_load<E>(parts.x[k] + at);
#pragma unroll
        for (int i = 0; i < E; i++)
            sum[i] += widen(x.x[i]);
    }
#pragma unroll
    for (int i = 0; i < E; i++)
        out.x[i] = narrow<O>(sum[i]);
    plb_pack_store(y + at, out);
}

template <typename O, typename T, typename A>
static __global__ void sum(O *y, const __grid_constant__ struct sum_parts<T, A> parts, int64_t n,
                           bool packs)
{
    const int E = plb_map_shape<O, T>::E;
    int64_t first = (int64_t)blockIdx.x * (THREADS * E), at = first + (int)threadIdx.x * E;
    int64_t last = first + THREADS * E < n ? first + THREADS * E : n;

    if (packs && last - first == THREADS * E) {
        add<E>(y, parts, at);
        return;
    }
    for (at = first + threadIdx.x; at < last; at += THREADS)
        add<1>(y, parts, at);
}

/* Values first to first + parts.n of the call, to y. */
template <typename O, typename T, typename A>
static enum plb_status sum_some(const struct plb_call *call, const struct plb_cuda_queue *queue,
                                int first, void *y, const void *before)
{
    const struct plb_operand *in = &call->in[0];
    int64_t n = plb_shape_elements(&call->out[0].part->shape);
    struct sum_parts<T, A> parts = {
    };
    bool packs = plb_aligned(y, before);

    parts.n = in->n_parts - first < PARTS ? in->n_parts - first : PARTS;
    parts.before = static_cast<const A *>(before);
    for (int k = 0; k < parts.n; k++) {
        parts.x[k] = static_cast<const T *>(in->part[first + k].data);
        packs = packs && plb_aligned(parts.x[k]);
    }
    return plb_launch(queue, "sum", sum<O, T, A>,
                      plb_blocks_for(n, THREADS * plb_map_shape<O, T>::E), THREADS, 0,
                      static_cast<O *>(y), parts, n, packs);
}

template <typename O, typename T, typename A>
static enum plb_status sum_all(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const void *before = nullptr;
    int first = 0;

    for (; first + PARTS < call->in[0].n_parts; first += PARTS) {
        PLB_TRY((sum_some<A, T, A>(call, queue, first, call->scratch, before)));
        before = call->scratch;
    }
    return sum_some<O, T, A>(call, queue, first, call->out[0].part->data, before);
}

static size_t sum_scratch(const struct plb_task_types *types)
{
    size_t each = types->out[0].dtype == PLB_F64 ? sizeof(double) : sizeof(float);

    if (types->variadic <= PARTS)
        return 0;
    return (size_t)plb_shape_elements(&types->out[0].shape) * each;
}

static enum plb_status sum_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    enum plb_dtype from = call->in[0].part->dtype, to = call->out[0].part->dtype;

    if (to == PLB_F64)
        return sum_all<double, double, double>(call, queue);
    PLB_BY_DTYPE(to, O, { PLB_BY_DTYPE(from, T, { return sum_all<O, T, float>(call, queue); }); });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_sum = {"sum", sum_scratch, sum_run};
