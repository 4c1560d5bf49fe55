/* SPDX-License-Identifier: BSD-3-Clause */
/* The network of unet.h. Blocks of the graph: levels on the way down, the bottom, levels on the way
 * up, numbered in order. */
#include "config.h"

#include <stdio.h>

#include "frontends/nn/layers.h"
#include "frontends/nn/unet.h"

/* Twice: 3x3 convolution that keeps the size, and ReLU. */
static plb_value twice(plb_model_t *model, plb_value x, int64_t channels)
{
    plb_graph_t *g = plb_model_graph(model);

    x = plb_relu(g, plb_nn_conv2d(model, x, channels, 3, 1, 1, true, "A"));
    return plb_relu(g, plb_nn_conv2d(model, x, channels, 3, 1, 1, true, "B"));
}

static plb_value down(plb_model_t *model, plb_value x, int64_t channels, int level)
{
    plb_graph_set_block(plb_model_graph(model), level);
    plb_model_enter(model, "down.%d", level);
    x = twice(model, x, channels);
    plb_model_leave(model);
    return x;
}

/* The 1x1 convolution stands before the doubling, where it is a quarter of the work. */
static plb_value up(plb_model_t *model, plb_value x, plb_value skip, int64_t channels, int level,
                    int block)
{
    plb_graph_t *g = plb_model_graph(model);

    plb_graph_set_block(g, block);
    plb_model_enter(model, "up.%d", level);
    x = plb_nn_conv2d(model, x, channels, 1, 1, 0, true, "join");
    x = twice(model, plb_nn_add(model, plb_upsample2d(g, x, 2), skip), channels);
    plb_model_leave(model);
    return x;
}

plb_value plb_unet(plb_model_t *model, plb_value x, const struct plb_unet_config *config)
{
    plb_graph_t *g = plb_model_graph(model);
    plb_value skip[PLB_UNET_LEVELS_MAX];

    if (config->levels < 1 || config->levels > PLB_UNET_LEVELS_MAX || config->channels < 1 ||
        config->channels > 65536) {
        plb_graph_fail(g,
                       plb_fail(PLB_ERROR_INVALID,
                                "a U of %d levels of %lld channels, not 1 to %d of 1 to 65536",
                                config->levels, (long long)config->channels, PLB_UNET_LEVELS_MAX));
        return PLB_NONE;
    }
    for (int l = 0; l < config->levels; l++) {
        skip[l] = down(model, x, config->channels << l, l);
        x = plb_max_pool2d(g, skip[l], 2, 2);
    }
    plb_graph_set_block(g, config->levels);
    plb_model_enter(model, "bottom");
    x = twice(model, x, config->channels << config->levels);
    plb_model_leave(model);
    for (int l = config->levels - 1; l >= 0; l--)
        x = up(model, x, skip[l], config->channels << l, l, 2 * config->levels - l);
    plb_graph_set_block(g, -1);
    return plb_nn_flatten(model, plb_nn_conv2d(model, x, 1, 1, 1, 0, true, "head"));
}
