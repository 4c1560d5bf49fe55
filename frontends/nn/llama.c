/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LLaMA (Touvron et al. 2023; grouped-query heads: Ainslie et al. 2023): rotary positions, RMS norm
 * before each half of a block, gated MLP.
 */
#include "config.h"

#include <stdio.h>

#include "frontends/nn/family.h"

#define TENSOR_BYTES 96
#define PARTS_MAX    3

/* The matrices of a file that one parameter here packs, in the order of its rows. */
struct packing {
    const char *name;
    const char *part[PARTS_MAX];
    int64_t rows[PARTS_MAX];
    int n;
};

/* Says where WEIGHT or BIAS (`kind`) of the packed layer stands. */
static void map(struct plb__language *language, const struct packing *packing, int layer,
                const char *kind)
{
    char tensor[PARTS_MAX][TENSOR_BYTES];
    struct plb_piece piece[PARTS_MAX];
    int64_t row = 0;

    for (int i = 0; i < packing->n; i++) {
        snprintf(tensor[i], TENSOR_BYTES, "model.layers.%d.%s.%s", layer, packing->part[i], kind);
        piece[i] = (struct plb_piece){tensor[i], row, packing->rows[i], false};
        row += packing->rows[i];
    }
    plb_value value =
        plb__language_parameter(language, "model.layers.%d.%s.%s", layer, packing->name, kind);
    plb_model_map(language->model, value, piece, packing->n);
}

static plb_value packed_linear(struct plb__language *language, plb_value x,
                               const struct packing *packing, bool bias, int layer)
{
    int64_t rows = 0;

    for (int i = 0; i < packing->n; i++)
        rows += packing->rows[i];
    plb_value y = plb_nn_linear(language->model, x, rows, bias, packing->name);
    map(language, packing, layer, "weight");
    if (bias)
        map(language, packing, layer, "bias");
    return y;
}

static plb_value rotate(struct plb__language *language, plb_value qkv)
{
    const struct plb_model_config *config = language->config;
    struct plb_rope rope = {
        .heads = config->heads + config->kv_heads,
        .head_dim = config->head_dim,
        .theta = config->rope.theta,
        .factor = 1.0,
    };

    if (config->rope.type != PLB_ROPE_PLAIN) {
        rope.factor = config->rope.factor;
        rope.low_frequency = config->rope.low_frequency_factor;
        rope.high_frequency = config->rope.high_frequency_factor;
        rope.original_positions = config->rope.original_positions;
        rope.linear = config->rope.type == PLB_ROPE_LINEAR;
    }
    return plb_rope(language->graph, qkv, language->positions, &rope);
}

static plb_value attention(struct plb__language *language, plb_value x, int layer)
{
    const struct plb_model_config *config = language->config;
    int64_t queries = config->heads * config->head_dim;
    int64_t keys = config->kv_heads * config->head_dim;
    struct packing qkv = {"self_attn.qkv_proj",
                          {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
                          {queries, keys, keys},
                          3};

    x = rotate(language, packed_linear(language, x, &qkv, config->attention_bias, layer));
    x = plb__language_attention(language, x, layer);
    return plb_nn_linear(language->model, x, config->hidden, config->attention_bias,
                         "self_attn.o_proj");
}

static plb_value mlp(struct plb__language *language, plb_value x, int layer)
{
    const struct plb_model_config *config = language->config;
    struct packing gate_up = {
        "mlp.gate_up_proj", {"mlp.gate_proj", "mlp.up_proj"}, {config->ffn, config->ffn}, 2};

    x = packed_linear(language, x, &gate_up, config->mlp_bias, layer);
    x = plb_swiglu(language->graph, x);
    return plb_nn_linear(language->model, x, config->hidden, config->mlp_bias, "mlp.down_proj");
}

static plb_value block(struct plb__language *language, plb_value x, int layer)
{
    const struct plb_model_config *config = language->config;
    plb_model_t *model = language->model;

    plb_value h = plb_nn_rms_norm(model, x, config->norm_epsilon, "input_layernorm");
    x = plb_nn_add(model, x, attention(language, h, layer));
    h = plb_nn_rms_norm(model, x, config->norm_epsilon, "post_attention_layernorm");
    return plb_nn_add(model, x, mlp(language, h, layer));
}

plb_value plb__llama_logits(struct plb__language *language)
{
    const struct plb_model_config *config = language->config;
    plb_model_t *model = language->model;

    plb_model_enter(model, "model");
    plb_value x =
        plb_nn_embedding(model, language->tokens, config->vocab, config->hidden, "embed_tokens");
    for (int layer = 0; layer < (int)config->layers; layer++) {
        plb_graph_set_block(language->graph, layer);
        plb_model_enter(model, "layers.%d", layer);
        x = block(language, x, layer);
        plb_model_leave(model);
    }
    plb_graph_set_block(language->graph, -1);
    x = plb__language_rows(language, x);
    x = plb_nn_rms_norm(model, x, config->norm_epsilon, "norm");
    if (config->tied_embeddings)
        x = plb_nn_linear_tied(model, x, config->vocab, "embed_tokens");
    plb_model_leave(model);
    return config->tied_embeddings ? x : plb_nn_linear(model, x, config->vocab, false, "lm_head");
}
