/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows by index on a CUDA card: y[m,:] = x[index[m],:], for embedding and take_rows. A warp copies
 * a row, each of its threads four words of 16 bytes at a time.
 *
 * An index out of range is complained of, and its row becomes zero; so does that of one which is not
 * in x where this has some of the rows only.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_COMMON_TAKE_CUH
#define PLB_CODELETS_COMMON_TAKE_CUH

#include "codelets/common/kernel.cuh"

enum { PLB_TAKE_ROWS = 8 /* of a block */, PLB_TAKE_EACH = 4 };

struct plb_take {
    const int32_t *index;
    int64_t rows, first;     /* to take; the first one's number in the uncut y */
    int64_t x_rows, x_first; /* of the uncut x; where the part of x begins in it */
    int64_t low, all;        /* index of the first of x_rows rows; indices are below `all` */
    size_t bytes;            /* of a row */
};

template <typename U>
static __global__ void plb_take_kernel(U *y, const U *x, struct plb_take take, int64_t words,
                                       unsigned long long *fault, uint32_t tag)
{
    int64_t m = (int64_t)blockIdx.x * PLB_TAKE_ROWS + threadIdx.y, from;
    bool there;
    U held[PLB_TAKE_EACH];

    if (m >= take.rows)
        return;
    from = take.index[m];
    if ((from < 0 || from >= take.all) && threadIdx.x == 0)
        plb_complain(fault, tag, take.first + m);
    from -= take.low;
    there = from >= 0 && from < take.x_rows;
    x += there ? (from - take.x_first) * words : 0;
    y += m * words;
    for (int64_t at = threadIdx.x; at < words; at += PLB_WARP * PLB_TAKE_EACH) {
#pragma unroll
        for (int j = 0; j < PLB_TAKE_EACH; j++) {
            held[j] = U();
            if (there && at + j * PLB_WARP < words)
                held[j] = x[at + j * PLB_WARP];
        }
#pragma unroll
        for (int j = 0; j < PLB_TAKE_EACH; j++) {
            if (at + j * PLB_WARP < words)
                y[at + j * PLB_WARP] = held[j];
        }
    }
}

template <typename U>
static enum plb_status plb_take_words(const struct plb_cuda_queue *queue, const char *name, void *y,
                                      const void *x, const struct plb_take *take)
{
    return plb_launch(queue, name, plb_take_kernel<U>, plb_blocks_for(take->rows, PLB_TAKE_ROWS),
                      dim3(PLB_WARP, PLB_TAKE_ROWS), 0, static_cast<U *>(y),
                      static_cast<const U *>(x), *take, (int64_t)(take->bytes / sizeof(U)),
                      queue->fault, queue->tag);
}

/* By the widest words that rows are made of. */
struct alignas(16) plb_take_wide {
    uint32_t word[4];
};

static inline enum plb_status plb_take_by_index(const struct plb_cuda_queue *queue,
                                                const char *name, void *y, const void *x,
                                                const struct plb_take *take)
{
    if (take->bytes % 16 == 0 && plb_aligned(y, x))
        return plb_take_words<struct plb_take_wide>(queue, name, y, x, take);
    return plb_take_words<uint16_t>(queue, name, y, x, take);
}

#endif
