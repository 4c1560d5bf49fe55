/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What conv2d and its gradients share. Not installed.
 */
#ifndef PLB_CODELETS_CONV2D_CONV2D_H
#define PLB_CODELETS_CONV2D_CONV2D_H

#include "codelets/conv2d/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The windows of an image x[B,C,H,W] seen through w[O,C,R,S]. */
struct plb__windows plb__conv2d_windows(const struct plb_shape *x, const struct plb_shape *w,
                                        int64_t stride, int64_t padding);

/* The weights of all cells as floats [O, C*R*S]: the one cell itself, or copied to `buffer`. */
const float *plb__conv2d_weights(const struct plb_operand *w, float *buffer);

/* Floating-point operations of the product for `images` images and `outputs` output channels. */
double plb__conv2d_flops(const struct plb__windows *w, int64_t images, int64_t outputs);

#ifdef __cplusplus
}
#endif

#endif
