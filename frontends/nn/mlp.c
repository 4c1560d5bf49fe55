/* SPDX-License-Identifier: BSD-3-Clause */
/* The multi-layer perceptron of classifiers.h. */
#include "config.h"

#include <stdio.h>

#include "frontends/nn/classifiers.h"
#include "frontends/nn/layers.h"

plb_value plb_mlp(plb_model_t *model, plb_value x, const struct plb_mlp_config *config)
{
    plb_graph_t *g = plb_model_graph(model);
    char name[32];

    for (int i = 0; i < config->layers; i++) {
        plb_graph_set_block(g, i);
        snprintf(name, sizeof name, "hidden.%d", i);
        x = plb_relu(g, plb_nn_linear(model, x, config->hidden, true, name));
    }
    plb_graph_set_block(g, -1);
    return plb_nn_linear(model, x, config->classes, true, "head");
}
