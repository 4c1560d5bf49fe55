/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys and values of packed rows put into a key-value cache on a CUDA card: each is read and
 * written once. A cache that is not taken over in place is copied first. See cache_write.c for the
 * record.
 */
#include "codelets/cache/cache.h"
#include "codelets/common/kernel.cuh"

enum { CACHE, QKV, POSITIONS };

enum { THREADS = 128 };

struct rows {
    int64_t sequence, capacity;
    int64_t from_width, from_column, width; /* elements of a packed row, of one of the cache */
};

/* Row n, by a block of threads. Of rows with one position the last counts, as on the CPU. */
template <typename T>
static __global__ void cache_put(T *to, const T *from, const int32_t *position, struct rows r,
                                 int64_t n_rows, unsigned long long *fault, uint32_t tag)
{
    int64_t n = blockIdx.x, place = position[n], end = (n / r.sequence + 1) * r.sequence;
    bool wrong = place < 0 || place >= r.capacity, again = false;

    if (wrong && threadIdx.x == 0)
        plb_complain(fault, tag, n);
    for (int64_t i = n + 1 + threadIdx.x; i < end && i < n_rows; i += THREADS)
        again = again || position[i] == place;
    if (__syncthreads_or(again) || wrong)
        return;
    to += (n / r.sequence * r.capacity + place) * r.width;
    from += n * r.from_width + r.from_column;
    for (int64_t i = threadIdx.x; i < r.width; i += THREADS)
        to[i] = from[i];
}

/* Whole vectors of 16 bytes, then single bytes. */
static __global__ void cache_copy(unsigned char *to, const unsigned char *from, int64_t vectors,
                                  int64_t bytes)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    if (at < vectors)
        ((uint4 *)to)[at] = ((const uint4 *)from)[at];
    else if (at - vectors < bytes - vectors * 16)
        to[vectors * 16 + at - vectors] = from[vectors * 16 + at - vectors];
}

static enum plb_status copy(const struct plb_tensor *from, const struct plb_tensor *to,
                            const struct plb_cuda_queue *queue)
{
    int64_t bytes = plb_shape_elements(&to->shape) * (int64_t)plb_dtype_bytes(to->dtype);
    int64_t vectors = plb_aligned(from->data, to->data) ? bytes / 16 : 0;

    if (from->data == to->data)
        return PLB_OK;
    return plb_launch(queue, "cache_write", cache_copy,
                      plb_blocks_for(vectors + bytes - vectors * 16, THREADS), THREADS, 0,
                      (unsigned char *)to->data, (const unsigned char *)from->data, vectors, bytes);
}

static enum plb_status cache_write_run(const struct plb_call *call,
                                       const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *qkv = call->in[QKV].part, *to = call->out[0].part;
    struct plb__heads h = plb__heads_of(call->attributes);
    int64_t n = qkv->shape.dim[0];
    struct rows rows = {h.sequence, call->attributes->i[PLB__CAPACITY], h.width, h.keys,
                        2 * h.kv_heads * h.dim};

    PLB_TRY(copy(call->in[CACHE].part, to, queue));
    PLB_BY_DTYPE(to->dtype, T, {
        return plb_launch(queue, "cache_write", cache_put<T>, (unsigned)n, THREADS, 0,
                          (T *)to->data, (const T *)qkv->data,
                          (const int32_t *)call->in[POSITIONS].part->data, rows, n, queue->fault,
                          queue->tag);
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_cache_write = {"cache_write", nullptr, cache_write_run};
