/* SPDX-License-Identifier: BSD-3-Clause */
/* Defaults, names and checks of model configurations: see hf_config.h. Reading and writing stand in
 * hf_config_read.c and hf_config_write.c. */
#include "config.h"

#include "frontends/formats/hf_config.h"

#include <inttypes.h>
#include <string.h>

#include "frontends/formats/hf_config_names.h"

static const struct plb_model_config defaults[PLB_FAMILIES] = {
    [PLB_FAMILY_GPT2] = {.family = PLB_FAMILY_GPT2,
                         .vocab = 50257,
                         .hidden = 768,
                         .layers = 12,
                         .heads = 12,
                         .kv_heads = 12,
                         .head_dim = 64,
                         .ffn = 3072,
                         .max_positions = 1024,
                         .norm_epsilon = 1e-5,
                         .activation = PLB_ACTIVATION_GELU_TANH,
                         .tied_embeddings = true,
                         .attention_bias = true,
                         .mlp_bias = true,
                         .embedding_dropout = 0.1,
                         .residual_dropout = 0.1,
                         .attention_dropout = 0.1,
                         .initializer_range = 0.02,
                         .dtype = PLB_STORED_F32,
                         .bos_token = 50256,
                         .pad_token = PLB_NO_TOKEN,
                         .eos_count = 1,
                         .eos_token = {50256}},
    [PLB_FAMILY_LLAMA] = {.family = PLB_FAMILY_LLAMA,
                          .vocab = 32000,
                          .hidden = 4096,
                          .layers = 32,
                          .heads = 32,
                          .kv_heads = 32,
                          .head_dim = 128,
                          .ffn = 11008,
                          .max_positions = 2048,
                          .norm_epsilon = 1e-6,
                          .rope = {.type = PLB_ROPE_PLAIN, .theta = 10000.0, .factor = 1.0},
                          .activation = PLB_ACTIVATION_SILU,
                          .initializer_range = 0.02,
                          .dtype = PLB_STORED_F32,
                          .bos_token = 1,
                          .pad_token = PLB_NO_TOKEN,
                          .eos_count = 1,
                          .eos_token = {2}},
};

void plb_model_config_default(enum plb_model_family family, struct plb_model_config *config_out)
{
    *config_out = defaults[family];
}

const char *plb_model_family_name(enum plb_model_family family)
{
    static const char *const names[PLB_FAMILIES] = {"gpt2", "llama"};
    return names[family];
}

static const struct {
    const char *name;
    enum plb_model_activation activation;
} activations[] = {
    /* The first name of a formula is the one that is written. */
    {"gelu_new", PLB_ACTIVATION_GELU_TANH},  {"gelu_pytorch_tanh", PLB_ACTIVATION_GELU_TANH},
    {"gelu_fast", PLB_ACTIVATION_GELU_TANH}, {"gelu", PLB_ACTIVATION_GELU_ERF},
    {"relu", PLB_ACTIVATION_RELU},           {"silu", PLB_ACTIVATION_SILU},
    {"swish", PLB_ACTIVATION_SILU},
};

bool plb__activation_find(const char *name, enum plb_model_activation *activation_out)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (strcmp(activations[i].name, name) == 0) {
            *activation_out = activations[i].activation;
            return true;
        }
    }
    return false;
}

const char *plb__activation_name(enum plb_model_activation activation)
{
    size_t i = 0;
    while (activations[i].activation != activation)
        i++;
    return activations[i].name;
}

static const struct {
    const char *name;
    enum plb_stored_dtype dtype;
} torch_dtypes[] = {{"float32", PLB_STORED_F32},
                    {"bfloat16", PLB_STORED_BF16},
                    {"float16", PLB_STORED_F16},
                    {"float64", PLB_STORED_F64}};

bool plb__torch_dtype_find(const char *name, enum plb_stored_dtype *dtype_out)
{
    for (size_t i = 0; i < sizeof torch_dtypes / sizeof torch_dtypes[0]; i++) {
        if (strcmp(torch_dtypes[i].name, name) == 0) {
            *dtype_out = torch_dtypes[i].dtype;
            return true;
        }
    }
    return false;
}

const char *plb__torch_dtype_name(enum plb_stored_dtype dtype)
{
    for (size_t i = 0; i < sizeof torch_dtypes / sizeof torch_dtypes[0]; i++) {
        if (torch_dtypes[i].dtype == dtype)
            return torch_dtypes[i].name;
    }
    return NULL;
}

/* Largest sizes that make sense; they keep every product of two of them below 2^63. */
enum {
    VOCAB_MAX = 1 << 24,
    HIDDEN_MAX = 1 << 20,
    LAYERS_MAX = 1 << 14,
    HEADS_MAX = 1 << 14,
    HEAD_DIM_MAX = 1 << 14,
    FFN_MAX = 1 << 22,
    POSITIONS_MAX = 1 << 28
};

static enum plb_status check_size(const char *name, int64_t value, int64_t max)
{
    if (value < 1 || value > max)
        return plb_fail(PLB_ERROR_INVALID, "%s is %" PRId64 ", outside of 1 to %" PRId64, name,
                        value, max);
    return PLB_OK;
}

static enum plb_status check_sizes(const struct plb_model_config *config)
{
    PLB_TRY(check_size("the vocabulary", config->vocab, VOCAB_MAX));
    PLB_TRY(check_size("the hidden size", config->hidden, HIDDEN_MAX));
    PLB_TRY(check_size("the number of layers", config->layers, LAYERS_MAX));
    PLB_TRY(check_size("the number of heads", config->heads, HEADS_MAX));
    PLB_TRY(check_size("the number of key-value heads", config->kv_heads, HEADS_MAX));
    PLB_TRY(check_size("the head size", config->head_dim, HEAD_DIM_MAX));
    PLB_TRY(check_size("the width of the MLP", config->ffn, FFN_MAX));
    return check_size("the number of positions", config->max_positions, POSITIONS_MAX);
}

static enum plb_status check_gpt2(const struct plb_model_config *config)
{
    if (config->kv_heads != config->heads || config->head_dim * config->heads != config->hidden)
        return plb_fail(PLB_ERROR_INVALID,
                        "gpt2 needs %" PRId64 " key-value heads and a hidden size of %" PRId64
                        " x %" PRId64 ", not %" PRId64 " and %" PRId64,
                        config->heads, config->heads, config->head_dim, config->kv_heads,
                        config->hidden);
    if (!config->attention_bias || !config->mlp_bias)
        return plb_fail(PLB_ERROR_INVALID, "gpt2 has biases everywhere");
    if (config->activation == PLB_ACTIVATION_SILU)
        return plb_fail(PLB_ERROR_INVALID, "gpt2 with activation \"silu\" is not supported");
    return PLB_OK;
}

static enum plb_status check_llama(const struct plb_model_config *config)
{
    if (config->heads % config->kv_heads != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "%" PRId64 " heads cannot share %" PRId64 " key-value heads evenly",
                        config->heads, config->kv_heads);
    if (config->head_dim % 2 != 0)
        return plb_fail(PLB_ERROR_INVALID, "rotary embedding needs an even head size, not %" PRId64,
                        config->head_dim);
    if (config->activation != PLB_ACTIVATION_SILU)
        return plb_fail(PLB_ERROR_INVALID, "llama with activation \"%s\" is not supported",
                        plb__activation_name(config->activation));
    if (!(config->rope.theta >= 1.0) || !(config->rope.factor >= 1.0))
        return plb_fail(PLB_ERROR_INVALID, "rotary theta %g or factor %g is below 1",
                        config->rope.theta, config->rope.factor);
    if (config->embedding_dropout != 0.0 || config->residual_dropout != 0.0)
        return plb_fail(PLB_ERROR_INVALID, "llama has dropout in the attention only");
    return PLB_OK;
}

static enum plb_status check_dropout(const char *name, double rate)
{
    if (!(rate >= 0.0 && rate < 1.0))
        return plb_fail(PLB_ERROR_INVALID, "%s dropout is %g, outside of 0 to below 1", name, rate);
    return PLB_OK;
}

static enum plb_status check_tokens(const struct plb_model_config *config)
{
    bool fine = config->bos_token < config->vocab && config->pad_token < config->vocab &&
                config->eos_count >= 0 && config->eos_count <= PLB_EOS_TOKENS_MAX;
    for (int i = 0; fine && i < config->eos_count; i++)
        fine = config->eos_token[i] >= 0 && config->eos_token[i] < config->vocab;
    if (!fine)
        return plb_fail(PLB_ERROR_INVALID,
                        "a special token is beyond the vocabulary of %" PRId64 " tokens",
                        config->vocab);
    return PLB_OK;
}

enum plb_status plb_model_config_check(const struct plb_model_config *config)
{
    PLB_TRY(check_sizes(config));
    if (!(config->norm_epsilon > 0.0 && config->norm_epsilon <= 1.0))
        return plb_fail(PLB_ERROR_INVALID, "the norm's epsilon is %g, outside of 0 to 1",
                        config->norm_epsilon);
    PLB_TRY(check_dropout("embedding", config->embedding_dropout));
    PLB_TRY(check_dropout("residual", config->residual_dropout));
    PLB_TRY(check_dropout("attention", config->attention_dropout));
    if (plb__torch_dtype_name(config->dtype) == NULL)
        return plb_fail(PLB_ERROR_INVALID, "%s is no dtype of weights",
                        plb_stored_dtype_name(config->dtype));
    PLB_TRY(check_tokens(config));
    return config->family == PLB_FAMILY_GPT2 ? check_gpt2(config) : check_llama(config);
}
