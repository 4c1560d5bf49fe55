/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Updates of parameters on a CUDA card (adamw, sgd): many tensors in one launch.
 *
 * A launch goes over a table of tensors that stands among the kernel's arguments: each has its
 * arrays, its number of elements, and its first block. A block searches for its tensor (the table
 * lies in the constant cache) and updates PLB_UPDATE_TILE elements of it. Every element is read and
 * written once, by 16 bytes; the arithmetic of an element is the same wherever it stands, so the
 * bits do not depend on what shares a launch.
 *
 * U is an update: U::STATES values of an element, the parameter first and then its moments, which
 * U::step(state, gradient) changes; U::constants(attributes) is what it takes from attributes, and
 * it is constructed from them, hyper and scale (codelets/adamw/update.h has the operands).
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ADAMW_UPDATE_CUH
#define PLB_CODELETS_ADAMW_UPDATE_CUH

#include "codelets/common/kernel.cuh"

#include <string.h>

enum {
    PLB_UPDATE_THREADS = 256,
    PLB_UPDATE_EACH = 4, /* elements of a thread: 16 bytes of each array */
    PLB_UPDATE_TILE = PLB_UPDATE_THREADS * PLB_UPDATE_EACH,
    PLB_UPDATE_GROUPS = 8,   /* different constants in one launch */
    PLB_UPDATE_STATES = 3,   /* parameter and moments, at most */
    PLB_UPDATE_BYTES = 4000, /* of a kernel's arguments, which end at 4096 */
};

/* A tensor. Element i of state k goes from in[k][i] to out[k][i]. */
struct plb_update_tensor {
    const float *gradient;
    const float *in[PLB_UPDATE_STATES];
    float *out[PLB_UPDATE_STATES];
    __nv_bfloat16 *working; /* NULL: none */
    int64_t n;
    unsigned first; /* block */
    unsigned short group;
    unsigned short vectors; /* all arrays are aligned */
};

/* What the tensors of a group share. */
template <typename C> struct plb_update_group {
    C constants;
    const float *hyper, *scale; /* of the card; scale may be NULL: 1 */
};

template <typename C> struct plb_update_table {
    enum {
        MOST = (PLB_UPDATE_BYTES - PLB_UPDATE_GROUPS * (int)sizeof(struct plb_update_group<C>)) /
               (int)sizeof(struct plb_update_tensor)
    };
    struct plb_update_group<C> group[PLB_UPDATE_GROUPS];
    struct plb_update_tensor tensor[MOST];
    int groups, tensors;
    unsigned blocks;
};

/* ---- on the card ---- */

/* The tensor of a block: the last one that begins at it or before. */
template <typename C>
__device__ __forceinline__ int plb_update_find(const struct plb_update_table<C> &table)
{
    int low = 0, high = table.tensors;

    while (high - low > 1) {
        int middle = (low + high) / 2;

        if (table.tensor[middle].first <= blockIdx.x)
            low = middle;
        else
            high = middle;
    }
    return low;
}

template <typename U>
__device__ __forceinline__ void plb_update_one(const struct plb_update_tensor &t, const U &update,
                                               int64_t at)
{
    float state[U::STATES];

#pragma unroll
    for (int k = 0; k < U::STATES; k++)
        state[k] = t.in[k][at];
    update.step(state, t.gradient[at]);
#pragma unroll
    for (int k = 0; k < U::STATES; k++)
        t.out[k][at] = state[k];
    if (t.working != nullptr)
        t.working[at] = plb_to<__nv_bfloat16>(state[0]);
}

/* The bf16 copies of a thread's elements, stored at once. */
__device__ __forceinline__ void plb_update_working(__nv_bfloat16 *to, const float *x)
{
    struct alignas(8) {
        __nv_bfloat16 x[PLB_UPDATE_EACH];
    } pack;

#pragma unroll
    for (int i = 0; i < PLB_UPDATE_EACH; i++)
        pack.x[i] = plb_to<__nv_bfloat16>(x[i]);
    *reinterpret_cast<decltype(pack) *>(to) = pack;
}

template <typename U>
__device__ __forceinline__ void plb_update_vectors(const struct plb_update_tensor &t,
                                                   const U &update, int64_t at)
{
    float x[U::STATES][PLB_UPDATE_EACH], gradient[PLB_UPDATE_EACH], state[U::STATES];

    plb_load_vector(gradient, t.gradient + at);
#pragma unroll
    for (int k = 0; k < U::STATES; k++)
        plb_load_vector(x[k], t.in[k] + at);
#pragma unroll
    for (int i = 0; i < PLB_UPDATE_EACH; i++) {
#pragma unroll
        for (int k = 0; k < U::STATES; k++)
            state[k] = x[k][i];
        update.step(state, gradient[i]);
#pragma unroll
        for (int k = 0; k < U::STATES; k++)
            x[k][i] = state[k];
    }
#pragma unroll
    for (int k = 0; k < U::STATES; k++)
        plb_store_vector(t.out[k] + at, x[k]);
    if (t.working != nullptr)
        plb_update_working(t.working + at, x[0]);
}

template <typename U>
static __global__ void __launch_bounds__(PLB_UPDATE_THREADS)
    plb_update_kernel(const __grid_constant__ struct plb_update_table<typename U::constants> table)
{
    const struct plb_update_tensor &t = table.tensor[plb_update_find(table)];
    const struct plb_update_group<typename U::constants> &group = table.group[t.group];
    const U update(group.constants, group.hyper, group.scale);
    int64_t first = (int64_t)(blockIdx.x - t.first) * PLB_UPDATE_TILE;
    int64_t last = first + PLB_UPDATE_TILE < t.n ? first + PLB_UPDATE_TILE : t.n;

    if (t.vectors && last - first == PLB_UPDATE_TILE) {
        plb_update_vectors(t, update, first + (int)threadIdx.x * PLB_UPDATE_EACH);
        return;
    }
    for (int64_t at = first + threadIdx.x; at < last; at += PLB_UPDATE_THREADS)
        plb_update_one(t, update, at);
}

/* ---- on the host ---- */

template <typename U>
static struct plb_update_tensor plb_update_tensor_of(const struct plb_call *call)
{
    struct plb_update_tensor t = {};

    t.n = plb_shape_elements(&call->out[0].part->shape);
    t.gradient = static_cast<const float *>(call->in[1].part->data);
    t.vectors = plb_aligned(t.gradient);
    for (int k = 0; k < U::STATES; k++) {
        t.in[k] = static_cast<const float *>(call->in[k == 0 ? 0 : k + 1].part->data);
        t.out[k] = static_cast<float *>(call->out[k].part->data);
        t.vectors = t.vectors && plb_aligned(t.in[k], t.out[k]);
    }
    if (call->out[U::STATES].n_parts > 0)
        t.working = static_cast<__nv_bfloat16 *>(call->out[U::STATES].part->data);
    t.vectors = t.vectors && plb_aligned(t.working);
    return t;
}

/* The number of the call's group in the table, a new one if need be; -1: no room. */
template <typename U>
static int plb_update_group_of(struct plb_update_table<typename U::constants> *table,
                               const struct plb_call *call)
{
    const struct plb_operand *hyper = &call->in[1 + U::STATES], *scale = hyper + 1;
    struct plb_update_group<typename U::constants> group;

    group.constants = typename U::constants(call->attributes);
    group.hyper = static_cast<const float *>(hyper->part->data);
    group.scale = scale->n_parts > 0 ? static_cast<const float *>(scale->part->data) : nullptr;
    for (int k = 0; k < table->groups; k++) {
        if (table->group[k].hyper == group.hyper && table->group[k].scale == group.scale &&
            memcmp(&table->group[k].constants, &group.constants, sizeof group.constants) == 0)
            return k;
    }
    if (table->groups == PLB_UPDATE_GROUPS)
        return -1;
    table->group[table->groups] = group;
    return table->groups++;
}

/* False: no room. */
template <typename U>
static bool plb_update_add(struct plb_update_table<typename U::constants> *table,
                           const struct plb_call *call)
{
    struct plb_update_tensor tensor = plb_update_tensor_of<U>(call);
    int group = table->tensors < table->MOST ? plb_update_group_of<U>(table, call) : -1;

    if (group < 0)
        return false;
    tensor.group = (unsigned short)group;
    tensor.first = table->blocks;
    table->blocks += plb_blocks_for(tensor.n, PLB_UPDATE_TILE);
    table->tensor[table->tensors++] = tensor;
    return true;
}

template <typename U>
static enum plb_status plb_update_flush(struct plb_update_table<typename U::constants> *table,
                                        const struct plb_cuda_queue *queue, const char *name)
{
    enum plb_status status =
        plb_launch(queue, name, plb_update_kernel<U>, table->blocks, PLB_UPDATE_THREADS, 0, *table);

    table->groups = table->tensors = 0;
    table->blocks = 0;
    return status;
}

/* Enqueues the updates of n calls, by as few launches as their tables fill. */
template <typename U>
static enum plb_status plb_update_calls(const struct plb_call *const *calls, int n,
                                        const struct plb_cuda_queue *queue, const char *name)
{
    typedef struct plb_update_table<typename U::constants> table_of_updates;
    table_of_updates table = {};

    for (int k = 0; k < n; k++) {
        if (plb_update_add<U>(&table, calls[k]))
            continue;
        PLB_TRY(plb_update_flush<U>(&table, queue, name));
        plb_update_add<U>(&table, calls[k]);
    }
    return plb_update_flush<U>(&table, queue, name);
}

#endif
