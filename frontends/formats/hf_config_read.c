/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads config.json and generation_config.json: see hf_config.h. */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "frontends/formats/hf_config.h"
#include "frontends/formats/hf_config_names.h"
#include "runtime/base/json.h"

enum { CONFIG_BYTES_MAX = 4 * 1024 * 1024 };

/* Bounds on what a file may say. plb_model_config_check() looks at the whole afterwards. */
static const int64_t SIZE_MAX_READ = INT64_C(1) << 31;
static const double POSITIVE_MIN = 1e-30;
static const double REAL_MAX = 1e30;

/* What a file must not turn on, because the arithmetic would differ. */
struct refused_flag {
    const char *key;
    bool needed; /* the value that is implemented, which is also the default */
};

static enum plb_status refuse_flags(const struct plb_json_object *object,
                                    const struct refused_flag *flags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool value = flags[i].needed;
        PLB_TRY(plb_json_boolean(object, flags[i].key, &value));
        if (value != flags[i].needed)
            return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\": %s is not supported", object->file,
                            flags[i].key, value ? "true" : "false");
    }
    return PLB_OK;
}

static enum plb_status read_size(const struct plb_json_object *object, const char *key,
                                 int64_t *value)
{
    return plb_json_integer(object, key, 1, SIZE_MAX_READ, value);
}

static enum plb_status read_dropout(const struct plb_json_object *object, const char *key,
                                    double *value)
{
    PLB_TRY(plb_json_real(object, key, 0.0, 1.0, value));
    if (*value >= 1.0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is 1, which drops everything", object->file,
                        key);
    return PLB_OK;
}

static enum plb_status read_activation(const struct plb_json_object *object, const char *key,
                                       enum plb_model_activation *activation)
{
    const char *name = NULL;
    PLB_TRY(plb_json_string(object, key, &name));
    if (name != NULL && !plb__activation_find(name, activation))
        return plb_fail(PLB_ERROR_FORMAT, "%s: activation \"%.50s\" is not supported", object->file,
                        name);
    return PLB_OK;
}

static enum plb_status read_dtype(const struct plb_json_object *object,
                                  struct plb_model_config *config)
{
    const char *name = NULL;
    PLB_TRY(plb_json_string(object, "torch_dtype", &name)); /* transformers 4 */
    PLB_TRY(plb_json_string(object, "dtype", &name));       /* transformers 5 */
    if (name != NULL && !plb__torch_dtype_find(name, &config->dtype))
        return plb_fail(PLB_ERROR_FORMAT, "%s: dtype \"%.50s\" is not supported", object->file,
                        name);
    return PLB_OK;
}

/* A token beyond the vocabulary can never be seen: transformers writes its own defaults even into
 * the configuration of a model whose vocabulary is smaller. */
static int64_t token_within(const struct plb_model_config *config, int64_t token)
{
    return token >= 0 && token < config->vocab ? token : PLB_NO_TOKEN;
}

static enum plb_status read_token(const struct plb_json_object *object, const char *key,
                                  const struct plb_model_config *config, int64_t *token)
{
    if (json_is_null(json_object_get(object->json, key)))
        *token = PLB_NO_TOKEN;
    PLB_TRY(plb_json_integer(object, key, -1, SIZE_MAX_READ, token));
    *token = token_within(config, *token);
    return PLB_OK;
}

static void add_eos(struct plb_model_config *config, int64_t token)
{
    if (token_within(config, token) != PLB_NO_TOKEN)
        config->eos_token[config->eos_count++] = token;
}

/* "eos_token_id" is one integer, a list of them, or null. */
static enum plb_status read_eos(const struct plb_json_object *object,
                                struct plb_model_config *config)
{
    static const char key[] = "eos_token_id";
    const json_t *value = json_object_get(object->json, key);
    if (value == NULL)
        return PLB_OK;
    config->eos_count = 0;
    if (!json_is_array(value)) {
        int64_t token = PLB_NO_TOKEN;
        PLB_TRY(plb_json_integer(object, key, -1, SIZE_MAX_READ, &token));
        add_eos(config, token);
        return PLB_OK;
    }
    if (json_array_size(value) > PLB_EOS_TOKENS_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" lists %zu tokens, more than the limit of %d",
                        object->file, key, json_array_size(value), PLB_EOS_TOKENS_MAX);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_integer(item))
            return plb_fail(PLB_ERROR_FORMAT, "%s: item %zu of \"%s\" is not an integer",
                            object->file, i, key);
        add_eos(config, json_integer_value(item));
    }
    return PLB_OK;
}

/* What both families have. The vocabulary is known by now. */
static enum plb_status read_common(const struct plb_json_object *object,
                                   struct plb_model_config *config)
{
    PLB_TRY(plb_json_boolean(object, "tie_word_embeddings", &config->tied_embeddings));
    PLB_TRY(plb_json_real(object, "initializer_range", 0.0, 1.0, &config->initializer_range));
    PLB_TRY(read_dtype(object, config));
    config->bos_token = token_within(config, config->bos_token);
    PLB_TRY(read_token(object, "bos_token_id", config, &config->bos_token));
    PLB_TRY(read_token(object, "pad_token_id", config, &config->pad_token));
    int64_t default_eos = config->eos_token[0];
    config->eos_count = 0;
    add_eos(config, default_eos);
    PLB_TRY(read_eos(object, config));
    struct plb_json_object quantization = {NULL, object->file};
    PLB_TRY(plb_json_child(object, "quantization_config", &quantization));
    if (quantization.json != NULL)
        return plb_fail(PLB_ERROR_FORMAT, "%s: quantised weights are not supported", object->file);
    return PLB_OK;
}

static enum plb_status read_gpt2(const struct plb_json_object *object,
                                 struct plb_model_config *config)
{
    static const struct refused_flag flags[] = {{"scale_attn_weights", true},
                                                {"scale_attn_by_inverse_layer_idx", false},
                                                {"reorder_and_upcast_attn", false},
                                                {"add_cross_attention", false}};
    PLB_TRY(refuse_flags(object, flags, sizeof flags / sizeof flags[0]));
    PLB_TRY(read_size(object, "vocab_size", &config->vocab));
    PLB_TRY(read_size(object, "n_positions", &config->max_positions));
    PLB_TRY(read_size(object, "n_embd", &config->hidden));
    PLB_TRY(read_size(object, "n_layer", &config->layers));
    PLB_TRY(read_size(object, "n_head", &config->heads));
    if (config->hidden % config->heads != 0)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: \"n_embd\" %" PRId64 " is no multiple of \"n_head\" %" PRId64,
                        object->file, config->hidden, config->heads);
    config->kv_heads = config->heads;
    config->head_dim = config->hidden / config->heads;
    config->ffn = 4 * config->hidden;
    PLB_TRY(read_size(object, "n_inner", &config->ffn));
    PLB_TRY(read_activation(object, "activation_function", &config->activation));
    PLB_TRY(plb_json_real(object, "layer_norm_epsilon", POSITIVE_MIN, 1.0, &config->norm_epsilon));
    PLB_TRY(read_dropout(object, "embd_pdrop", &config->embedding_dropout));
    PLB_TRY(read_dropout(object, "resid_pdrop", &config->residual_dropout));
    PLB_TRY(read_dropout(object, "attn_pdrop", &config->attention_dropout));
    return read_common(object, config);
}

static enum plb_status read_llama3_rope(const struct plb_json_object *rope,
                                        struct plb_rope_config *config, int64_t max_positions)
{
    PLB_TRY(plb_json_require(rope, "low_freq_factor"));
    PLB_TRY(plb_json_require(rope, "high_freq_factor"));
    PLB_TRY(plb_json_real(rope, "low_freq_factor", POSITIVE_MIN, REAL_MAX,
                          &config->low_frequency_factor));
    PLB_TRY(plb_json_real(rope, "high_freq_factor", POSITIVE_MIN, REAL_MAX,
                          &config->high_frequency_factor));
    if (config->high_frequency_factor <= config->low_frequency_factor)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: \"high_freq_factor\" %g is not above \"low_freq_factor\" %g",
                        rope->file, config->high_frequency_factor, config->low_frequency_factor);
    config->original_positions = max_positions;
    return read_size(rope, "original_max_position_embeddings", &config->original_positions);
}

/* The members of "rope_scaling" or "rope_parameters". */
static enum plb_status read_rope_members(const struct plb_json_object *rope,
                                         struct plb_rope_config *config, int64_t max_positions)
{
    const char *type = "default";
    PLB_TRY(plb_json_string(rope, "type", &type)); /* the name before transformers 4.43 */
    PLB_TRY(plb_json_string(rope, "rope_type", &type));
    PLB_TRY(plb_json_real(rope, "rope_theta", 1.0, REAL_MAX, &config->theta));
    if (strcmp(type, "default") == 0)
        return PLB_OK;
    PLB_TRY(plb_json_require(rope, "factor"));
    PLB_TRY(plb_json_real(rope, "factor", 1.0, REAL_MAX, &config->factor));
    if (strcmp(type, "linear") == 0) {
        config->type = PLB_ROPE_LINEAR;
        return PLB_OK;
    }
    if (strcmp(type, "llama3") == 0) {
        config->type = PLB_ROPE_LLAMA3;
        return read_llama3_rope(rope, config, max_positions);
    }
    return plb_fail(PLB_ERROR_FORMAT, "%s: rotary scaling of type \"%.50s\" is not supported",
                    rope->file, type);
}

static enum plb_status refuse_partial_rotation(const struct plb_json_object *object)
{
    double part = 1.0;
    PLB_TRY(plb_json_real(object, "partial_rotary_factor", 0.0, 1.0, &part));
    if (part != 1.0)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: \"partial_rotary_factor\" %g is not supported, only 1", object->file,
                        part);
    return PLB_OK;
}

static enum plb_status read_rope(const struct plb_json_object *object,
                                 struct plb_model_config *config)
{
    static const char *const places[] = {"rope_parameters", "rope_scaling"};
    PLB_TRY(plb_json_real(object, "rope_theta", 1.0, REAL_MAX, &config->rope.theta));
    PLB_TRY(refuse_partial_rotation(object));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct plb_json_object rope = {NULL, object->file};
        PLB_TRY(plb_json_child(object, places[i], &rope));
        if (rope.json == NULL)
            continue;
        PLB_TRY(refuse_partial_rotation(&rope));
        PLB_TRY(read_rope_members(&rope, &config->rope, config->max_positions));
    }
    return PLB_OK;
}

static enum plb_status read_llama_heads(const struct plb_json_object *object,
                                        struct plb_model_config *config)
{
    PLB_TRY(read_size(object, "num_attention_heads", &config->heads));
    config->kv_heads = config->heads;
    PLB_TRY(read_size(object, "num_key_value_heads", &config->kv_heads));
    if (json_is_null(json_object_get(object->json, "head_dim")) ||
        json_object_get(object->json, "head_dim") == NULL) {
        if (config->hidden % config->heads != 0)
            return plb_fail(PLB_ERROR_FORMAT,
                            "%s: \"hidden_size\" %" PRId64
                            " is no multiple of \"num_attention_heads\" %" PRId64,
                            object->file, config->hidden, config->heads);
        config->head_dim = config->hidden / config->heads;
    }
    return read_size(object, "head_dim", &config->head_dim);
}

static enum plb_status read_llama(const struct plb_json_object *object,
                                  struct plb_model_config *config)
{
    PLB_TRY(read_size(object, "vocab_size", &config->vocab));
    PLB_TRY(read_size(object, "hidden_size", &config->hidden));
    PLB_TRY(read_size(object, "intermediate_size", &config->ffn));
    PLB_TRY(read_size(object, "num_hidden_layers", &config->layers));
    PLB_TRY(read_size(object, "max_position_embeddings", &config->max_positions));
    PLB_TRY(read_llama_heads(object, config));
    PLB_TRY(read_rope(object, config));
    PLB_TRY(read_activation(object, "hidden_act", &config->activation));
    PLB_TRY(plb_json_real(object, "rms_norm_eps", POSITIVE_MIN, 1.0, &config->norm_epsilon));
    PLB_TRY(plb_json_boolean(object, "attention_bias", &config->attention_bias));
    PLB_TRY(plb_json_boolean(object, "mlp_bias", &config->mlp_bias));
    PLB_TRY(read_dropout(object, "attention_dropout", &config->attention_dropout));
    return read_common(object, config);
}

static enum plb_status read_family(const struct plb_json_object *object,
                                   enum plb_model_family *family_out)
{
    const char *name = NULL;
    PLB_TRY(plb_json_require(object, "model_type"));
    PLB_TRY(plb_json_string(object, "model_type", &name));
    for (int i = 0; i < PLB_FAMILIES; i++) {
        if (strcmp(plb_model_family_name((enum plb_model_family)i), name) == 0) {
            *family_out = (enum plb_model_family)i;
            return PLB_OK;
        }
    }
    return plb_fail(PLB_ERROR_FORMAT,
                    "%s: model type \"%.50s\" is not known (known are gpt2 and llama)",
                    object->file, name);
}

static enum plb_status read_config(const struct plb_json_object *object,
                                   struct plb_model_config *config)
{
    enum plb_model_family family = PLB_FAMILY_GPT2;
    PLB_TRY(read_family(object, &family));
    plb_model_config_default(family, config);
    config->dtype = PLB_STORED_F32;
    PLB_TRY(family == PLB_FAMILY_GPT2 ? read_gpt2(object, config) : read_llama(object, config));
    if (plb_model_config_check(config) != PLB_OK)
        return plb_fail_within(PLB_ERROR_FORMAT, "%s", object->file);
    return PLB_OK;
}

static enum plb_status read_root(json_t *root, const char *name,
                                 struct plb_model_config *config_out)
{
    struct plb_json_object object = {root, name};
    struct plb_model_config config;
    enum plb_status status = read_config(&object, &config);
    json_decref(root);
    if (status == PLB_OK)
        *config_out = config;
    return status;
}

enum plb_status plb_model_config_parse(const char *text, size_t bytes, const char *name,
                                       struct plb_model_config *config_out)
{
    json_t *root = NULL;
    PLB_TRY(plb_json_parse(text, bytes, name, &root));
    return read_root(root, name, config_out);
}

static enum plb_status load_file(const char *path, struct plb_model_config *config_out)
{
    json_t *root = NULL;
    PLB_TRY(plb_json_load(path, CONFIG_BYTES_MAX, &root));
    return read_root(root, path, config_out);
}

/* Lets DIRECTORY/generation_config.json, where there is one, say what ends a text. */
static enum plb_status load_generation(const char *directory, struct plb_model_config *config)
{
    static const char name[] = "generation_config.json";
    if (!plb_file_exists_in(directory, name))
        return PLB_OK;
    char *path = NULL;
    json_t *root = NULL;
    PLB_TRY(plb_file_join(directory, name, &path));
    enum plb_status status = plb_json_load(path, CONFIG_BYTES_MAX, &root);
    if (status == PLB_OK) {
        struct plb_json_object object = {root, path};
        if (!json_is_null(json_object_get(root, "eos_token_id")))
            status = read_eos(&object, config);
        json_decref(root);
    }
    free(path);
    return status;
}

enum plb_status plb_model_config_load(const char *path, struct plb_model_config *config_out)
{
    if (!plb_file_is_directory(path))
        return load_file(path, config_out);
    char *inner = NULL;
    struct plb_model_config config;
    PLB_TRY(plb_file_join(path, "config.json", &inner));
    enum plb_status status = load_file(inner, &config);
    free(inner);
    if (status == PLB_OK)
        status = load_generation(path, &config);
    if (status == PLB_OK)
        *config_out = config;
    return status;
}
