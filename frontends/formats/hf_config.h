/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a model is, as config.json of a Hugging Face directory says it: the two families "gpt2" and
 * "llama", with the defaults that transformers applies to what is not written there.
 *
 * Every number is checked against bounds, and a feature that would change the arithmetic and is not
 * implemented (another activation or rotary scaling, quantised weights, ...) is refused with its
 * name rather than ignored. Members that do not touch the arithmetic are ignored.
 *
 * Sources: the configuration classes of transformers 4 and 5 (GPT2Config, LlamaConfig); the rotary
 * embedding of transformers 4 stands in "rope_theta" and "rope_scaling", of 5 in "rope_parameters";
 * both are read, and the older form, which both understand, is written.
 *
 * Thread-safety: the functions share no state.
 */
#ifndef PLB_FORMATS_HF_CONFIG_H
#define PLB_FORMATS_HF_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "frontends/formats/stored_dtype.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum plb_model_family {
    PLB_FAMILY_GPT2,  /* learned positions, layer norm, biases, plain MLP */
    PLB_FAMILY_LLAMA, /* rotary positions, RMS norm, grouped-query heads, gated MLP */
    PLB_FAMILIES
};

enum plb_model_activation {
    PLB_ACTIVATION_GELU_TANH, /* "gelu_new", "gelu_pytorch_tanh", "gelu_fast": one formula */
    PLB_ACTIVATION_GELU_ERF,  /* "gelu" */
    PLB_ACTIVATION_RELU,
    PLB_ACTIVATION_SILU, /* the only one of the llama family */
    PLB_ACTIVATIONS
};

enum plb_rope_type {
    PLB_ROPE_PLAIN,  /* frequency i of D/2: theta^(-2i/D) */
    PLB_ROPE_LINEAR, /* all frequencies divided by `factor` */
    PLB_ROPE_LLAMA3, /* the low frequencies divided by `factor`, with a smooth passage:
                      * with w = 2 pi / frequency and L = `original_positions`,
                      * w < L / high_frequency_factor: kept; w > L / low_frequency_factor: divided;
                      * between: s = (L / w - low) / (high - low), ((1 - s) / factor + s) times */
    PLB_ROPE_TYPES
};

struct plb_rope_config {
    enum plb_rope_type type;
    double theta;
    double factor;
    double low_frequency_factor;
    double high_frequency_factor;
    int64_t original_positions;
};

/* Several tokens can end a text (Llama 3 has three). */
#define PLB_EOS_TOKENS_MAX 8
#define PLB_NO_TOKEN       (-1)

struct plb_model_config {
    enum plb_model_family family;
    int64_t vocab;
    int64_t hidden;
    int64_t layers;
    int64_t heads;
    int64_t kv_heads; /* divides `heads`; equal to it for gpt2 */
    int64_t head_dim; /* hidden / heads, unless a llama config says otherwise */
    int64_t ffn;      /* width of the MLP's hidden layer */
    int64_t max_positions;
    double norm_epsilon;
    struct plb_rope_config rope; /* llama only */
    enum plb_model_activation activation;
    bool tied_embeddings; /* the output matrix is the token embedding */
    bool attention_bias;  /* always true for gpt2 */
    bool mlp_bias;        /* always true for gpt2 */
    double embedding_dropout;
    double residual_dropout;
    double attention_dropout;
    double initializer_range;    /* standard deviation of fresh weights */
    enum plb_stored_dtype dtype; /* of the stored weights, F32 when the file does not say */
    int64_t bos_token; /* PLB_NO_TOKEN when there is none, or when it is beyond the vocabulary */
    int64_t pad_token;
    int eos_count;
    int64_t eos_token[PLB_EOS_TOKENS_MAX];
};

/* The configuration that transformers' default constructor of the family gives (GPT-2 124M; LLaMA
 * 7B). A start for one's own: set the sizes, then plb_model_config_check(). */
void plb_model_config_default(enum plb_model_family family, struct plb_model_config *config_out);

/* "gpt2" or "llama". */
const char *plb_model_family_name(enum plb_model_family family);

/* Whether the numbers make a model: bounds, divisibility, memory that can be addressed.
 * PLB_ERROR_INVALID with the first fault. */
enum plb_status plb_model_config_check(const struct plb_model_config *config);

/* Reads `path`, a config.json or a directory that holds one. Of a directory, the tokens that end a
 * text are then taken from generation_config.json where it gives any.
 * PLB_ERROR_IO, PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_model_config_load(const char *path, struct plb_model_config *config_out);

/* The same from a text; `name` is what errors call it. PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_model_config_parse(const char *text, size_t bytes, const char *name,
                                       struct plb_model_config *config_out);

/* Writes DIRECTORY/config.json and DIRECTORY/generation_config.json, which transformers 4 and 5
 * load. PLB_ERROR_INVALID, PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_model_config_save(const struct plb_model_config *config, const char *directory);

#ifdef __cplusplus
}
#endif

#endif
