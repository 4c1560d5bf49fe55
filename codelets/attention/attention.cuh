/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attention on a CUDA card: what its forward kernel is asked, by attention.cu for rows of sequences
 * and by cache/attention_cached.cu for rows that meet a key-value cache.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ATTENTION_ATTENTION_CUH
#define PLB_CODELETS_ATTENTION_ATTENTION_CUH

#include "codelets/attention/attention.h"
#include "codelets/common/mask.cuh"

enum {
    PLB_HEAD_DIM_MAX = 256, /* the widest head that has kernels */
    PLB_FLASH_SPLIT = 256   /* keys of a share, where keys are shared out over blocks */
};

/* Work for the forward kernel. Rows are numbered as in the uncut value: row n of the queries is
 * row n % T of sequence n / T. */
struct plb_flash {
    enum plb_dtype dtype;
    struct plb__heads h;
    int64_t low, high; /* rows of queries and results */

    /* Row n of the queries lies at (n - row0) * width, its head k at column k D. */
    const void *queries;
    int64_t queries_row0, queries_width;

    /* Key p of sequence s is row s * span + p, which lies at (row - row0) * width. */
    const void *keys, *values; /* of key head 0 */
    int64_t keys_row0, keys_width, span;

    /* Row n sees keys 0 to positions[n - low]; NULL: 0 to n % T. A position from `span` on is
     * complained of, and taken for the last. */
    const int32_t *positions;

    void *y;    /* rows low to high, H D wide */
    float *lse; /* the same rows, H wide; or NULL */

    bool dropout;
    struct plb__mask mask;

    /* Room for plb_flash_partial_bytes(), for few rows with many keys; NULL: for many rows. */
    float *partial;
};

/* What results of shares of keys take, before they are put together. */
size_t plb_flash_partial_bytes(const struct plb__heads *h, int64_t rows, int64_t span);

enum plb_status plb_flash_run(const char *name, const struct plb_flash *flash,
                              const struct plb_cuda_queue *queue);

/* The factors of two probabilities that follow one another, `first` being the number of an element
 * of the matrix [N, H, T] of a row, a head and a key. */
__device__ __forceinline__ void plb_mask_pair(const struct plb__mask &mask, uint64_t first,
                                              float (&factor)[2])
{
    uint32_t word[4], k = (uint32_t)first % 4;

    plb_random_words(mask.seed, mask.stream, first / 4, word);
    factor[0] =
        plb_mask_factor(mask, k < 2 ? (k == 0 ? word[0] : word[1]) : (k == 2 ? word[2] : word[3]));
    factor[1] = plb_mask_factor(mask, k == 0 ? word[1] : k == 1 ? word[2] : word[3]);
    if (k == 3)
        factor[1] = plb_mask_factor_of(mask, first + 1);
}

static inline enum plb_status plb_check_head_dim(const char *name, int64_t dim)
{
    if (dim <= PLB_HEAD_DIM_MAX)
        return PLB_OK;
    return plb_fail(PLB_ERROR_UNAVAILABLE, "%s: head_dim is %lld, but kernels for CUDA go up to %d",
                    name, (long long)dim, PLB_HEAD_DIM_MAX);
}

#endif
