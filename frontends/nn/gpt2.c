/* SPDX-License-Identifier: BSD-3-Clause */
/* GPT-2 (Radford et al. 2019): learned positions, layer norm before each half of a block, biases.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "frontends/nn/family.h"

/* The file holds the weight of a linear layer as [in, out]. */
static void map(struct plb__language *language, int64_t features, int layer, const char *name)
{
    char tensor[96];
    plb_value weight = plb__language_parameter(language, "transformer.h.%d.%s.weight", layer, name);
    struct plb_piece piece = {tensor, 0, features, true};

    snprintf(tensor, sizeof tensor, "transformer.h.%d.%s.weight", layer, name);
    plb_model_map(language->model, weight, &piece, 1);
}

static struct plb_shards linear(struct plb__language *language, plb_value x,
                                struct plb_columns columns, int layer, const char *name)
{
    struct plb_shards y =
        plb_nn_linear_columns(language->model, x, language->degree, &columns, true, name);

    map(language, columns.features[0] + columns.features[1] + columns.features[2], layer, name);
    return y;
}

/* A projection back into the residual stream: it begins smaller, by the root of their number. */
static plb_value projection(struct plb__language *language, const struct plb_shards *x, int layer,
                            const char *name)
{
    const struct plb_model_config *config = language->config;

    plb_model_set_deviation(language->model,
                            config->initializer_range / sqrt(2.0 * (double)config->layers));
    plb_value y = plb_nn_linear_rows(language->model, x, config->hidden, true, name);
    map(language, config->hidden, layer, name);
    plb_model_set_deviation(language->model, config->initializer_range);
    return plb_nn_dropout(language->model, y, config->residual_dropout);
}

static plb_value block(struct plb__language *language, plb_value x, int layer)
{
    const struct plb_model_config *config = language->config;
    const struct plb_columns ffn = {{config->ffn}, 1, 1};
    plb_model_t *model = language->model;
    struct plb_shards a;

    plb_value h = plb_nn_layer_norm(model, x, config->norm_epsilon, true, "ln_1");
    a = linear(language, h, plb__language_heads(language), layer, "attn.c_attn");
    a = plb__language_attention(language, &a, layer);
    x = plb_nn_add(model, x, projection(language, &a, layer, "attn.c_proj"));

    h = plb_nn_layer_norm(model, x, config->norm_epsilon, true, "ln_2");
    a = linear(language, h, ffn, layer, "mlp.c_fc");
    a = plb_nn_each(model, a, plb__language_activation, language);
    return plb_nn_add(model, x, projection(language, &a, layer, "mlp.c_proj"));
}

struct plb_shards plb__gpt2_logits(struct plb__language *language)
{
    const struct plb_model_config *config = language->config;
    plb_model_t *model = language->model;

    plb_model_enter(model, "transformer");
    plb_value x = plb_nn_embedding_shards(model, language->tokens, config->vocab, config->hidden,
                                          language->degree, "wte");
    plb_value p =
        plb_nn_embedding(model, language->positions, config->max_positions, config->hidden, "wpe");
    x = plb_nn_dropout(model, plb_nn_add(model, x, p), config->embedding_dropout);
    x = plb__language_rows(language, plb__language_blocks(language, x, "h", block));
    x = plb_nn_layer_norm(model, x, config->norm_epsilon, true, "ln_f");
    return plb__language_head(language, x, "wte");
}
