/* SPDX-License-Identifier: BSD-3-Clause */
/* What layers.c and layers_shards.c share. Internal to this room. */
#ifndef PLB_NN_LAYERS_INTERNAL_H
#define PLB_NN_LAYERS_INTERNAL_H

#include "frontends/nn/layers.h"

#define PLB__LAYER_NAME_BYTES 256

/* The shape of a value that a layer reads; false (and the graph's failure) unless it has `rank`. */
bool plb__layer_shape(plb_model_t *model, plb_value x, int rank, const char *layer,
                      struct plb_shape *shape_out);

/* "LAYER.KIND"; false (and the graph's failure) when that is too long. */
bool plb__layer_name(plb_model_t *model, const char *layer, const char *kind,
                     char name_out[PLB__LAYER_NAME_BYTES]);

/* Standard deviations of fresh weights, each output of which sums `inputs` products, and of tables
 * (see layers.h). */
double plb__layer_deviation(const plb_model_t *model, int64_t inputs);
double plb__table_deviation(const plb_model_t *model);

/* NAME.bias, zeros. */
plb_value plb__layer_bias(plb_model_t *model, const char *layer, int64_t features);

/* Attention over packed rows; head_dim and seed are found here, and there is no dropout where the
 * stream is 0. */
plb_value plb__layer_attention(plb_model_t *model, plb_value qkv,
                               const struct plb_attention *wanted);

#endif
