/* SPDX-License-Identifier: BSD-3-Clause */
/* GPT-2 (Radford et al. 2019): learned positions, layer norm before each half of a block, biases.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "frontends/nn/family.h"

/* A linear layer whose weight the files hold as [in, out]. */
static plb_value linear(struct plb__language *language, plb_value x, int64_t features, int layer,
                        const char *name)
{
    char tensor[96];
    plb_value y = plb_nn_linear(language->model, x, features, true, name);
    plb_value weight = plb__language_parameter(language, "transformer.h.%d.%s.weight", layer, name);
    struct plb_piece piece = {tensor, 0, features, true};

    snprintf(tensor, sizeof tensor, "transformer.h.%d.%s.weight", layer, name);
    plb_model_map(language->model, weight, &piece, 1);
    return y;
}

/* A projection back into the residual stream: it begins smaller, by the root of their number. */
static plb_value projection(struct plb__language *language, plb_value x, int layer,
                            const char *name)
{
    const struct plb_model_config *config = language->config;

    plb_model_set_deviation(language->model,
                            config->initializer_range / sqrt(2.0 * (double)config->layers));
    plb_value y = linear(language, x, config->hidden, layer, name);
    plb_model_set_deviation(language->model, config->initializer_range);
    return plb_nn_dropout(language->model, y, config->residual_dropout);
}

static plb_value block(struct plb__language *language, plb_value x, int layer)
{
    const struct plb_model_config *config = language->config;
    plb_model_t *model = language->model;
    int64_t packed = (config->heads + 2 * config->kv_heads) * config->head_dim;

    plb_value h = plb_nn_layer_norm(model, x, config->norm_epsilon, true, "ln_1");
    h = linear(language, h, packed, layer, "attn.c_attn");
    h = plb__language_attention(language, h, layer);
    x = plb_nn_add(model, x, projection(language, h, layer, "attn.c_proj"));

    h = plb_nn_layer_norm(model, x, config->norm_epsilon, true, "ln_2");
    h = linear(language, h, config->ffn, layer, "mlp.c_fc");
    h = plb__language_activation(language, h);
    return plb_nn_add(model, x, projection(language, h, layer, "mlp.c_proj"));
}

plb_value plb__gpt2_logits(struct plb__language *language)
{
    const struct plb_model_config *config = language->config;
    plb_model_t *model = language->model;

    plb_model_enter(model, "transformer");
    plb_value x = plb_nn_embedding(model, language->tokens, config->vocab, config->hidden, "wte");
    plb_value p =
        plb_nn_embedding(model, language->positions, config->max_positions, config->hidden, "wpe");
    x = plb_nn_dropout(model, plb_nn_add(model, x, p), config->embedding_dropout);
    for (int layer = 0; layer < (int)config->layers; layer++) {
        plb_graph_set_block(language->graph, layer);
        plb_model_enter(model, "h.%d", layer);
        x = block(language, x, layer);
        plb_model_leave(model);
    }
    plb_graph_set_block(language->graph, -1);
    x = plb__language_rows(language, x);
    x = plb_nn_layer_norm(model, x, config->norm_epsilon, true, "ln_f");
    if (config->tied_embeddings)
        x = plb_nn_linear_tied(model, x, config->vocab, "wte");
    plb_model_leave(model);
    return config->tied_embeddings ? x : plb_nn_linear(model, x, config->vocab, false, "lm_head");
}
