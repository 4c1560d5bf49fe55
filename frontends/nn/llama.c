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

static struct plb_shards packed_linear(struct plb__language *language, plb_value x,
                                       const struct packing *packing, int64_t unit, bool bias,
                                       int layer)
{
    struct plb_columns columns = {.groups = packing->n, .unit = unit};

    for (int i = 0; i < packing->n; i++)
        columns.features[i] = packing->rows[i];
    struct plb_shards y =
        plb_nn_linear_columns(language->model, x, language->degree, &columns, bias, packing->name);
    map(language, packing, layer, "weight");
    if (bias)
        map(language, packing, layer, "bias");
    return y;
}

/* Queries and keys of whole rows, or of one of as many parts as the block is split into. */
static plb_value rotate(plb_model_t *model, plb_value qkv, const void *context)
{
    const struct plb__language *language = context;
    const struct plb_model_config *config = language->config;
    struct plb_rope rope = {
        .heads = (config->heads + config->kv_heads) / language->degree,
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
    return plb_rope(plb_model_graph(model), qkv, language->positions, &rope);
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
    struct plb_shards a =
        packed_linear(language, x, &qkv, config->head_dim, config->attention_bias, layer);

    a = plb_nn_each(language->model, a, rotate, language);
    a = plb__language_attention(language, &a, layer);
    return plb_nn_linear_rows(language->model, &a, config->hidden, config->attention_bias,
                              "self_attn.o_proj");
}

static plb_value gate(plb_model_t *model, plb_value x, const void *context)
{
    (void)context;
    return plb_swiglu(plb_model_graph(model), x);
}

static plb_value mlp(struct plb__language *language, plb_value x, int layer)
{
    const struct plb_model_config *config = language->config;
    struct packing gate_up = {
        "mlp.gate_up_proj", {"mlp.gate_proj", "mlp.up_proj"}, {config->ffn, config->ffn}, 2};
    struct plb_shards a = packed_linear(language, x, &gate_up, 1, config->mlp_bias, layer);

    a = plb_nn_each(language->model, a, gate, NULL);
    return plb_nn_linear_rows(language->model, &a, config->hidden, config->mlp_bias,
                              "mlp.down_proj");
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

struct plb_shards plb__llama_logits(struct plb__language *language)
{
    const struct plb_model_config *config = language->config;
    plb_model_t *model = language->model;

    plb_model_enter(model, "model");
    plb_value x = plb_nn_embedding_shards(model, language->tokens, config->vocab, config->hidden,
                                          language->degree, "embed_tokens");
    x = plb__language_rows(language, plb__language_blocks(language, x, "layers", block));
    x = plb_nn_rms_norm(model, x, config->norm_epsilon, "norm");
    return plb__language_head(language, x, "embed_tokens");
}
