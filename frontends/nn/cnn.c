/* SPDX-License-Identifier: BSD-3-Clause */
/* The convolutional network of classifiers.h. */
#include "config.h"

#include <stdio.h>

#include "frontends/nn/classifiers.h"
#include "frontends/nn/layers.h"

plb_value plb_cnn(plb_model_t *model, plb_value x, const struct plb_cnn_config *config)
{
    plb_graph_t *g = plb_model_graph(model);
    char name[32];

    if (config->stages < 0 || config->stages > PLB_CNN_STAGES_MAX) {
        plb_graph_fail(g, plb_fail(PLB_ERROR_INVALID, "%d stages, not 0 to %d", config->stages,
                                   PLB_CNN_STAGES_MAX));
        return PLB_NONE;
    }
    for (int i = 0; i < config->stages; i++) {
        plb_graph_set_block(g, i);
        snprintf(name, sizeof name, "conv.%d", i);
        x = plb_nn_conv2d(model, x, config->channels[i], 3, 1, 1, true, name);
        x = plb_max_pool2d(g, plb_relu(g, x), 2, 2);
    }
    return plb_mlp(model, plb_nn_flatten(model, x), &config->head);
}
