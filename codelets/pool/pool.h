/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What max_pool2d and avg_pool2d share: square windows of x[B,C,H,W], without padding.
 *
 * The attributes of a pooling are window and stride, in this order; its gradient has H and W
 * besides. Not installed.
 */
#ifndef PLB_CODELETS_POOL_POOL_H
#define PLB_CODELETS_POOL_POOL_H

#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb__pool {
    int64_t height, width; /* of the image */
    int64_t window, stride;
    int64_t out_h, out_w;
};

/* Of an image's shape and attributes that a shape rule has accepted. */
struct plb__pool plb__pool_of(const struct plb_shape *x, const struct plb_attributes *attributes);

/* Checks the input x and the attributes, and gives the type of y. */
enum plb_status plb__pool_shape(const struct plb_operator *op, const struct plb_task_types *types,
                                struct plb_type *y_out);
/* Checks the input dy and the attributes of a gradient, and gives the type of dx. */
enum plb_status plb__pool_dx_shape(const struct plb_operator *op,
                                   const struct plb_task_types *types, struct plb_type *dx_out);

/* Scratch for one channel of the input and of the output, as floats. */
size_t plb__pool_scratch(const struct plb_task_types *types);

#ifdef __cplusplus
}
#endif

#endif
