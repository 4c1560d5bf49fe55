/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small images to classify, drawn by a formula: one shape each, of random place and size, in noise.
 * For examples and tests: image `i` under a seed is always the same, and there is no end of them.
 */
#ifndef PLB_DATA_SHAPES_H
#define PLB_DATA_SHAPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_SHAPES 5 /* classes: disc, ring, square, frame, cross */

/* The name of a class; NULL beyond. */
const char *plb_shapes_class_name(int class_number);

/* Draws images first .. first + count - 1: pixels[count, 1, side, side], about -1 to 1, with normal
 * noise of standard deviation `noise`, and classes[count]. side is at least 8. Pure. */
void plb_shapes_draw(uint64_t seed, uint64_t first, int64_t count, int64_t side, float noise,
                     float *pixels, int32_t *classes);

#ifdef __cplusplus
}
#endif

#endif
