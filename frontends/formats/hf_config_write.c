/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes config.json and generation_config.json: see hf_config.h. */
#include "config.h"

#include <stdlib.h>

#include "runtime/base/file.h"
#include "frontends/formats/hf_config.h"
#include "frontends/formats/hf_config_names.h"
#include "runtime/base/json.h"

/* Moves the members of `more` (taken over; NULL: no memory) into `root`. */
static bool add_members(json_t *root, json_t *more)
{
    bool added = more != NULL && json_object_update(root, more) == 0;
    json_decref(more);
    return added;
}

static json_t *token_or_null(int64_t token)
{
    return token == PLB_NO_TOKEN ? json_null() : json_integer(token);
}

/* null, one integer, or a list of them. */
static json_t *eos_tokens(const struct plb_model_config *config)
{
    if (config->eos_count == 0)
        return json_null();
    if (config->eos_count == 1)
        return json_integer(config->eos_token[0]);
    json_t *list = json_array();
    for (int i = 0; i < config->eos_count; i++) {
        if (json_array_append_new(list, json_integer(config->eos_token[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool add_common(json_t *root, const struct plb_model_config *config)
{
    /* Both names of the dtype: transformers before 4.56 knows only the first. */
    const char *dtype = plb__torch_dtype_name(config->dtype);
    return add_members(
        root,
        json_pack("{s:s, s:I, s:b, s:f, s:s, s:s, s:o, s:o, s:o, s:b}", "model_type",
                  plb_model_family_name(config->family), "vocab_size", (json_int_t)config->vocab,
                  "tie_word_embeddings", (int)config->tied_embeddings, "initializer_range",
                  config->initializer_range, "torch_dtype", dtype, "dtype", dtype, "bos_token_id",
                  token_or_null(config->bos_token), "eos_token_id", eos_tokens(config),
                  "pad_token_id", token_or_null(config->pad_token), "use_cache", 1));
}

static bool add_gpt2(json_t *root, const struct plb_model_config *config)
{
    return add_members(
        root,
        json_pack("{s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:f}", "architectures",
                  "GPT2LMHeadModel", "n_positions", (json_int_t)config->max_positions, "n_ctx",
                  (json_int_t)config->max_positions, "n_embd", (json_int_t)config->hidden,
                  "n_layer", (json_int_t)config->layers, "n_head", (json_int_t)config->heads,
                  "n_inner", (json_int_t)config->ffn, "activation_function",
                  plb__activation_name(config->activation), "layer_norm_epsilon",
                  config->norm_epsilon, "embd_pdrop", config->embedding_dropout, "resid_pdrop",
                  config->residual_dropout, "attn_pdrop", config->attention_dropout));
}

static bool add_rope(json_t *root, const struct plb_rope_config *rope)
{
    if (json_object_set_new(root, "rope_theta", json_real(rope->theta)) != 0)
        return false;
    json_t *scaling = NULL;
    if (rope->type == PLB_ROPE_LINEAR)
        scaling = json_pack("{s:s, s:f}", "rope_type", "linear", "factor", rope->factor);
    else if (rope->type == PLB_ROPE_LLAMA3)
        scaling =
            json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", rope->factor,
                      "low_freq_factor", rope->low_frequency_factor, "high_freq_factor",
                      rope->high_frequency_factor, "original_max_position_embeddings",
                      (json_int_t)rope->original_positions);
    else
        return true;
    return json_object_set_new(root, "rope_scaling", scaling) == 0;
}

static bool add_llama(json_t *root, const struct plb_model_config *config)
{
    bool added = add_members(
        root,
        json_pack("{s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:b, s:b, s:f}",
                  "architectures", "LlamaForCausalLM", "hidden_size", (json_int_t)config->hidden,
                  "intermediate_size", (json_int_t)config->ffn, "num_hidden_layers",
                  (json_int_t)config->layers, "num_attention_heads", (json_int_t)config->heads,
                  "num_key_value_heads", (json_int_t)config->kv_heads, "head_dim",
                  (json_int_t)config->head_dim, "max_position_embeddings",
                  (json_int_t)config->max_positions, "hidden_act",
                  plb__activation_name(config->activation), "rms_norm_eps", config->norm_epsilon,
                  "attention_bias", (int)config->attention_bias, "mlp_bias", (int)config->mlp_bias,
                  "attention_dropout", config->attention_dropout));
    return added && add_rope(root, &config->rope);
}

/* Writes `root` (taken over; NULL: no memory) to DIRECTORY/NAME. */
static enum plb_status save(json_t *root, const char *directory, const char *name)
{
    char *path = NULL;
    enum plb_status status = root != NULL ? plb_file_join(directory, name, &path)
                                          : plb_fail(PLB_ERROR_MEMORY, "no memory for %s", name);
    if (status == PLB_OK)
        status = plb_json_save(path, root);
    free(path);
    json_decref(root);
    return status;
}

/* Without it, transformers generates with settings of its own making. */
static enum plb_status save_generation(const struct plb_model_config *config, const char *directory)
{
    return save(json_pack("{s:b, s:o, s:o, s:o}", "_from_model_config", 1, "bos_token_id",
                          token_or_null(config->bos_token), "eos_token_id", eos_tokens(config),
                          "pad_token_id", token_or_null(config->pad_token)),
                directory, "generation_config.json");
}

enum plb_status plb_model_config_save(const struct plb_model_config *config, const char *directory)
{
    PLB_TRY(plb_model_config_check(config));
    json_t *root = json_object();
    bool built =
        root != NULL && add_common(root, config) &&
        (config->family == PLB_FAMILY_GPT2 ? add_gpt2(root, config) : add_llama(root, config));
    if (!built) {
        json_decref(root);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for config.json");
    }
    PLB_TRY(save(root, directory, "config.json"));
    return save_generation(config, directory);
}
