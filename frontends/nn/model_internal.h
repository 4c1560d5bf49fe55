/* SPDX-License-Identifier: BSD-3-Clause */
/* What optimizer.c keeps in a model between its backward passes. Internal to this room. */
#ifndef PLB_NN_MODEL_INTERNAL_H
#define PLB_NN_MODEL_INTERNAL_H

#include "frontends/nn/model.h"

/* Passes that a model can have: 2^levels - 1. */
#define PLB__PASS_LEVELS 10

/* Gradients of the backward passes so far, added up as a binary counter counts: partial[p][l] is
 * the sum of 2^l consecutive passes, PLB_NONE where that bit of `count` is 0. So the sums form a
 * fixed tree, and no more than one of them per level exists at once. */
struct plb__passes {
    uint32_t count;
    int parameters; /* that the first pass knew, and all others must */
    plb_value loss; /* the sum of the weighted losses */
    plb_value (*partial)[PLB__PASS_LEVELS];
};

struct plb__passes *plb__model_passes(plb_model_t *model);

#endif
