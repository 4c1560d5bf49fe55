/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two ready-made networks that tell classes apart: one of plain layers, one for images.
 *
 * Thread-safety: as model.h.
 */
#ifndef PLB_NN_CLASSIFIERS_H
#define PLB_NN_CLASSIFIERS_H

#include "frontends/nn/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `layers` times linear and ReLU, then linear to the classes. */
struct plb_mlp_config {
    int64_t hidden;
    int layers;
    int64_t classes;
};

/* logits[N, classes] of x[N,C], which has the model's dtype. Parameters: "hidden.I.weight" ...,
 * "head.weight", with biases. */
plb_value plb_mlp(plb_model_t *model, plb_value x, const struct plb_mlp_config *config);

#define PLB_CNN_STAGES_MAX 8

/* Per stage: a 3x3 convolution that keeps the size, ReLU, maximum over 2x2; then an MLP. */
struct plb_cnn_config {
    int stages;
    int64_t channels[PLB_CNN_STAGES_MAX];
    struct plb_mlp_config head;
};

/* logits[B, classes] of x[B,C,H,W], which has the model's dtype; H and W at least 2^stages.
 * Parameters: "conv.I.weight", "conv.I.bias", then those of the MLP. */
plb_value plb_cnn(plb_model_t *model, plb_value x, const struct plb_cnn_config *config);

#ifdef __cplusplus
}
#endif

#endif
