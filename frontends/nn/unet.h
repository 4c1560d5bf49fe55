/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network for images in the shape of a U (Ronneberger, Fischer, Brox 2015, figure 1): on the way
 * down each level halves the sides of its images, on the way up it doubles them and adds (where
 * that one concatenates) what the level had on the way down. So its graph is no chain: the first
 * level's maps wait through the whole network.
 *
 * It finds a point: what it gives are logits over the pixels of an image.
 *
 * Thread-safety: as model.h.
 */
#ifndef PLB_NN_UNET_H
#define PLB_NN_UNET_H

#include "frontends/nn/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_UNET_LEVELS_MAX 8

struct plb_unet_config {
    int levels;       /* times that sides are halved; 1 to PLB_UNET_LEVELS_MAX */
    int64_t channels; /* of the first level; each level has twice those of the one before */
};

/* logits[B, H * W] of x[B,C,H,W], which has the model's dtype; H and W multiples of 2^levels.
 * Parameters: "down.L.A.weight" ("A" and "B": the two 3x3 convolutions of a level), "bottom.A...",
 * "up.L.join.weight" (1x1), "up.L.A.weight" ..., "head.weight" (1x1), with biases. */
plb_value plb_unet(plb_model_t *model, plb_value x, const struct plb_unet_config *config);

#ifdef __cplusplus
}
#endif

#endif
