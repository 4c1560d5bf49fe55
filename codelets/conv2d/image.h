/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Convolution as a product of matrices: the windows of an image as columns.
 *
 * An image is x[C,H,W]. Position p = oh * OW + ow of the output sees the window of R x S elements
 * of each channel that begins at row oh * stride - padding, column ow * stride - padding; what lies
 * outside of the image counts as zero. Tap t = (c * R + r) * S + s is one element of the window.
 * The matrix col[t, p] has one column per position; it is made for a block of positions at a time,
 * so that scratch stays small. (Chellapilla, Puri, Simard 2006, section 3.)
 */
#ifndef PLB_CODELETS_CONV2D_IMAGE_H
#define PLB_CODELETS_CONV2D_IMAGE_H

#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is seen of an image and how. */
struct plb__windows {
    int64_t channels, height, width; /* C, H, W */
    int64_t window_h, window_w;      /* R, S */
    int64_t stride, padding;
    int64_t out_h, out_w; /* OH, OW: set by plb__windows_fit() */
};

/* Checks stride (from 1 on), padding (0 to 2^20) and that at least one window fits, sets out_h and
 * out_w. Messages begin with the operator's name. */
enum plb_status plb__windows_fit(const struct plb_operator *op, struct plb__windows *windows);

static inline int64_t plb__windows_taps(const struct plb__windows *w)
{
    return w->channels * w->window_h * w->window_w;
}

static inline int64_t plb__windows_positions(const struct plb__windows *w)
{
    return w->out_h * w->out_w;
}

/* How many positions to take at a time; depends on the windows only. */
int64_t plb__windows_block(const struct plb__windows *w);

/* col[t * count + j] = tap t at position first + j, for j < count, from the image that begins at
 * element `at` of a cell (f32 or bf16). */
void plb__windows_gather(const struct plb__windows *w, const struct plb_tensor *cell, int64_t at,
                         int64_t first, int64_t count, float *col);

/* The transposed of that: adds each element of col to where it came from in image[C,H,W]. */
void plb__windows_scatter(const struct plb__windows *w, const float *col, int64_t first,
                          int64_t count, float *image);

/* Bytes of n floats, rounded up so that what follows is 64-aligned. */
static inline size_t plb__floats_bytes(int64_t n)
{
    return ((size_t)n * sizeof(float) + 63) / 64 * 64;
}

#ifdef __cplusplus
}
#endif

#endif
