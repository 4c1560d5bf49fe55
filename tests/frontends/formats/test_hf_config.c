/* SPDX-License-Identifier: BSD-3-Clause */
/* Model configurations: what transformers writes, its defaults, and what is refused. */
#include "config.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "frontends/formats/hf_config.h"
#include "tests/support/plb_test.h"

static enum plb_status parse(const char *text, struct plb_model_config *config)
{
    return plb_model_config_parse(text, strlen(text), "config.json", config);
}

static void check_refused(const char *text, const char *why)
{
    struct plb_model_config config = {.vocab = -7};
    PLB_CHECK_EQ(parse(text, &config), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "config.json");
    PLB_CHECK_CONTAINS(plb_error_message(), why);
    PLB_CHECK_EQ(config.vocab, -7);
}

static void reads_the_golden_gpt2(void)
{
    struct plb_model_config config;
    PLB_REQUIRE(plb_model_config_load(plb_test_source("tests/golden/gpt2"), &config) == PLB_OK);
    PLB_CHECK_EQ(config.family, PLB_FAMILY_GPT2);
    PLB_CHECK_EQ(config.vocab, 384);
    PLB_CHECK_EQ(config.hidden, 32);
    PLB_CHECK_EQ(config.layers, 2);
    PLB_CHECK_EQ(config.heads, 4);
    PLB_CHECK_EQ(config.kv_heads, 4);
    PLB_CHECK_EQ(config.head_dim, 8);
    PLB_CHECK_EQ(config.ffn, 128);
    PLB_CHECK_EQ(config.max_positions, 32);
    PLB_CHECK_NEAR(config.norm_epsilon, 1e-5, 1e-18);
    PLB_CHECK_EQ(config.activation, PLB_ACTIVATION_GELU_TANH);
    PLB_CHECK(config.tied_embeddings && config.attention_bias && config.mlp_bias);
    PLB_CHECK_NEAR(config.attention_dropout, 0.1, 0.0);
    PLB_CHECK_EQ(config.dtype, PLB_STORED_F32);
    PLB_CHECK_EQ(config.bos_token, 0);
    PLB_CHECK(config.eos_count == 1 && config.eos_token[0] == 0);
    PLB_CHECK_EQ(config.pad_token, PLB_NO_TOKEN);
}

static void reads_the_golden_llamas(void)
{
    struct plb_model_config config;
    PLB_REQUIRE(plb_model_config_load(plb_test_source("tests/golden/llama_tied"), &config) ==
                PLB_OK);
    PLB_CHECK_EQ(config.family, PLB_FAMILY_LLAMA);
    PLB_CHECK(config.tied_embeddings && !config.attention_bias && !config.mlp_bias);
    PLB_CHECK(config.heads == 4 && config.kv_heads == 2 && config.head_dim == 8);
    PLB_CHECK(config.hidden == 32 && config.ffn == 48 && config.max_positions == 64);
    PLB_CHECK_EQ(config.rope.type, PLB_ROPE_PLAIN);
    PLB_CHECK_NEAR(config.rope.theta, 10000.0, 0.0);
    PLB_CHECK_NEAR(config.norm_epsilon, 1e-6, 1e-18);

    PLB_REQUIRE(plb_model_config_load(plb_test_source("tests/golden/llama_untied"), &config) ==
                PLB_OK);
    PLB_CHECK(!config.tied_embeddings && config.attention_bias && config.mlp_bias);
    PLB_CHECK_EQ(config.rope.type, PLB_ROPE_LINEAR);
    PLB_CHECK_NEAR(config.rope.factor, 2.0, 0.0);

    PLB_REQUIRE(plb_model_config_load(plb_test_source("tests/golden/llama_bf16"), &config) ==
                PLB_OK);
    PLB_CHECK_EQ(config.dtype, PLB_STORED_BF16);
    PLB_CHECK_EQ(config.head_dim, 16);
    PLB_CHECK_EQ(config.rope.type, PLB_ROPE_LLAMA3);
    PLB_CHECK_NEAR(config.rope.theta, 50000.0, 0.0);
    PLB_CHECK_NEAR(config.rope.factor, 8.0, 0.0);
    PLB_CHECK_NEAR(config.rope.low_frequency_factor, 1.0, 0.0);
    PLB_CHECK_NEAR(config.rope.high_frequency_factor, 4.0, 0.0);
    PLB_CHECK_EQ(config.rope.original_positions, 16);
}

static void fills_in_the_defaults_of_transformers(void)
{
    struct plb_model_config config;
    PLB_REQUIRE(parse("{\"model_type\":\"gpt2\"}", &config) == PLB_OK);
    PLB_CHECK(config.vocab == 50257 && config.hidden == 768 && config.layers == 12);
    PLB_CHECK(config.heads == 12 && config.ffn == 3072 && config.max_positions == 1024);
    PLB_CHECK(config.bos_token == 50256 && config.eos_token[0] == 50256);
    PLB_REQUIRE(parse("{\"model_type\":\"gpt2\",\"n_embd\":48,\"n_head\":3,\"n_inner\":null}",
                      &config) == PLB_OK);
    PLB_CHECK(config.ffn == 192 && config.head_dim == 16);
    PLB_REQUIRE(parse("{\"model_type\":\"llama\"}", &config) == PLB_OK);
    PLB_CHECK(config.vocab == 32000 && config.hidden == 4096 && config.layers == 32);
    PLB_CHECK(config.kv_heads == 32 && config.ffn == 11008 && config.max_positions == 2048);
    PLB_CHECK(!config.tied_embeddings && config.bos_token == 1 && config.eos_token[0] == 2);
    PLB_CHECK_NEAR(config.attention_dropout, 0.0, 0.0);
}

/* The configuration of Llama 3.2 1B as transformers 4 wrote it, with its three ends of a text. */
static void reads_the_notation_of_transformers_4(void)
{
    struct plb_model_config config;
    PLB_REQUIRE(
        parse("{\"architectures\":[\"LlamaForCausalLM\"],\"attention_bias\":false,"
              "\"bos_token_id\":128000,\"eos_token_id\":[128001,128008,128009],\"head_dim\":64,"
              "\"hidden_act\":\"silu\",\"hidden_size\":2048,\"intermediate_size\":8192,"
              "\"max_position_embeddings\":131072,\"mlp_bias\":false,\"model_type\":\"llama\","
              "\"num_attention_heads\":32,\"num_hidden_layers\":16,\"num_key_value_heads\":8,"
              "\"pretraining_tp\":1,\"rms_norm_eps\":1e-05,\"rope_scaling\":{\"factor\":32.0,"
              "\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,"
              "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"},"
              "\"rope_theta\":500000.0,\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\","
              "\"use_cache\":true,\"vocab_size\":128256}",
              &config) == PLB_OK);
    PLB_CHECK_EQ(config.eos_count, 3);
    PLB_CHECK_EQ(config.eos_token[2], 128009);
    PLB_CHECK_EQ(config.dtype, PLB_STORED_BF16);
    PLB_CHECK_EQ(config.rope.type, PLB_ROPE_LLAMA3);
    PLB_CHECK_NEAR(config.rope.theta, 500000.0, 0.0);
    PLB_CHECK_NEAR(config.rope.factor, 32.0, 0.0);
    PLB_CHECK_EQ(config.rope.original_positions, 8192);
    PLB_REQUIRE(
        parse("{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}",
              &config) == PLB_OK);
    PLB_CHECK_EQ(config.rope.type, PLB_ROPE_LINEAR);
    PLB_REQUIRE(parse("{\"model_type\":\"llama\",\"rope_scaling\":null}", &config) == PLB_OK);
    PLB_CHECK_EQ(config.rope.type, PLB_ROPE_PLAIN);
}

static void reads_activations_and_tokens(void)
{
    struct plb_model_config config;
    PLB_REQUIRE(parse("{\"model_type\":\"gpt2\",\"activation_function\":\"gelu\"}", &config) ==
                PLB_OK);
    PLB_CHECK_EQ(config.activation, PLB_ACTIVATION_GELU_ERF);
    PLB_REQUIRE(parse("{\"model_type\":\"gpt2\",\"activation_function\":\"relu\"}", &config) ==
                PLB_OK);
    PLB_CHECK_EQ(config.activation, PLB_ACTIVATION_RELU);
    /* Tokens beyond the vocabulary, and null, are none. */
    PLB_REQUIRE(parse("{\"model_type\":\"gpt2\",\"vocab_size\":100}", &config) == PLB_OK);
    PLB_CHECK(config.bos_token == PLB_NO_TOKEN && config.eos_count == 0);
    PLB_REQUIRE(parse("{\"model_type\":\"gpt2\",\"eos_token_id\":null,\"bos_token_id\":null,"
                      "\"pad_token_id\":3}",
                      &config) == PLB_OK);
    PLB_CHECK(config.bos_token == PLB_NO_TOKEN && config.eos_count == 0 && config.pad_token == 3);
    PLB_REQUIRE(parse("{\"model_type\":\"llama\",\"pad_token_id\":-1,\"eos_token_id\":[2,99999]}",
                      &config) == PLB_OK);
    PLB_CHECK(config.pad_token == PLB_NO_TOKEN && config.eos_count == 1);
}

#define GPT2(members)  "{\"model_type\":\"gpt2\"," members "}"
#define LLAMA(members) "{\"model_type\":\"llama\"," members "}"

static void refuses_what_would_compute_differently(void)
{
    check_refused(GPT2("\"scale_attn_by_inverse_layer_idx\":true"),
                  "\"scale_attn_by_inverse_layer_idx\": true is not supported");
    check_refused(GPT2("\"reorder_and_upcast_attn\":true"), "\"reorder_and_upcast_attn\"");
    check_refused(GPT2("\"scale_attn_weights\":false"), "\"scale_attn_weights\": false");
    check_refused(GPT2("\"add_cross_attention\":true"), "\"add_cross_attention\"");
    check_refused(GPT2("\"activation_function\":\"mish\""), "activation \"mish\"");
    check_refused(GPT2("\"activation_function\":\"silu\""), "activation \"silu\"");
    check_refused(LLAMA("\"hidden_act\":\"gelu\""), "activation \"gelu\"");
    check_refused(LLAMA("\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}"), "type \"yarn\"");
    check_refused(LLAMA("\"rope_parameters\":{\"rope_type\":\"dynamic\",\"factor\":2}"),
                  "type \"dynamic\"");
    check_refused(LLAMA("\"rope_parameters\":{\"partial_rotary_factor\":0.5}"),
                  "\"partial_rotary_factor\" 0.5");
    check_refused(LLAMA("\"quantization_config\":{\"bits\":4}"), "quantised");
    check_refused(LLAMA("\"torch_dtype\":\"float8_e4m3fn\""), "dtype \"float8_e4m3fn\"");
}

static void refuses_unknown_models(void)
{
    check_refused("{}", "\"model_type\" is missing");
    check_refused("{\"model_type\":\"mamba\"}",
                  "model type \"mamba\" is not known (known are gpt2 and llama)");
    check_refused("{\"model_type\":3}", "\"model_type\" must be a string");
    check_refused("[]", "is not an object");
    check_refused("", "not valid JSON");
}

static void refuses_numbers_out_of_bounds(void)
{
    check_refused(GPT2("\"n_layer\":0"), "\"n_layer\" is 0");
    check_refused(GPT2("\"n_layer\":-1"), "\"n_layer\" is -1");
    check_refused(GPT2("\"n_layer\":1e3000"), "not valid JSON");
    check_refused(GPT2("\"n_layer\":2.5"), "must be an integer");
    check_refused(GPT2("\"n_layer\":\"2\""), "must be an integer, not a string");
    check_refused(GPT2("\"n_layer\":1000000"), "number of layers is 1000000");
    check_refused(GPT2("\"vocab_size\":2000000000"), "the vocabulary is 2000000000");
    check_refused(GPT2("\"n_positions\":9223372036854775807"), "\"n_positions\"");
    check_refused(GPT2("\"n_head\":5"), "is no multiple of \"n_head\" 5");
    check_refused(GPT2("\"layer_norm_epsilon\":0"), "\"layer_norm_epsilon\" is 0");
    check_refused(GPT2("\"layer_norm_epsilon\":NaN"), "not valid JSON");
    check_refused(GPT2("\"resid_pdrop\":1.0"), "drops everything");
    check_refused(GPT2("\"resid_pdrop\":-0.1"), "\"resid_pdrop\" is -0.1");
    check_refused(GPT2("\"eos_token_id\":[1,\"2\"]"), "item 1 of \"eos_token_id\"");
    check_refused(GPT2("\"eos_token_id\":[1,2,3,4,5,6,7,8,9]"), "lists 9 tokens");
    check_refused(LLAMA("\"num_key_value_heads\":5"), "32 heads cannot share 5");
    check_refused(LLAMA("\"num_attention_heads\":31"), "is no multiple");
    check_refused(LLAMA("\"head_dim\":7"), "even head size, not 7");
    check_refused(LLAMA("\"rope_theta\":0"), "\"rope_theta\" is 0");
    check_refused(LLAMA("\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}"),
                  "\"low_freq_factor\" is missing");
    check_refused(LLAMA("\"rope_scaling\":{\"rope_type\":\"linear\"}"), "\"factor\" is missing");
    check_refused(LLAMA("\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":0.5}"),
                  "\"factor\"");
    check_refused(LLAMA("\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
                        "\"low_freq_factor\":4,\"high_freq_factor\":1}"),
                  "is not above");
    check_refused(LLAMA("\"rope_scaling\":[]"), "must be an object, not an array");
}

static void check_equal(const struct plb_model_config *a, const struct plb_model_config *b)
{
    PLB_CHECK(a->family == b->family && a->vocab == b->vocab && a->hidden == b->hidden);
    PLB_CHECK(a->layers == b->layers && a->heads == b->heads && a->kv_heads == b->kv_heads);
    PLB_CHECK(a->head_dim == b->head_dim && a->ffn == b->ffn);
    PLB_CHECK(a->max_positions == b->max_positions && a->activation == b->activation);
    PLB_CHECK(a->tied_embeddings == b->tied_embeddings && a->attention_bias == b->attention_bias);
    PLB_CHECK(a->mlp_bias == b->mlp_bias && a->dtype == b->dtype);
    PLB_CHECK(a->rope.type == b->rope.type);
    PLB_CHECK(a->rope.original_positions == b->rope.original_positions);
    PLB_CHECK_NEAR(a->rope.theta, b->rope.theta, 0.0);
    PLB_CHECK_NEAR(a->rope.factor, b->rope.factor, 0.0);
    PLB_CHECK_NEAR(a->rope.low_frequency_factor, b->rope.low_frequency_factor, 0.0);
    PLB_CHECK_NEAR(a->rope.high_frequency_factor, b->rope.high_frequency_factor, 0.0);
    PLB_CHECK_NEAR(a->norm_epsilon, b->norm_epsilon, 0.0);
    PLB_CHECK_NEAR(a->embedding_dropout, b->embedding_dropout, 0.0);
    PLB_CHECK_NEAR(a->residual_dropout, b->residual_dropout, 0.0);
    PLB_CHECK_NEAR(a->attention_dropout, b->attention_dropout, 0.0);
    PLB_CHECK_NEAR(a->initializer_range, b->initializer_range, 0.0);
    PLB_CHECK(a->bos_token == b->bos_token && a->pad_token == b->pad_token);
    PLB_CHECK_EQ(a->eos_count, b->eos_count);
    for (int i = 0; i < a->eos_count; i++)
        PLB_CHECK_EQ(a->eos_token[i], b->eos_token[i]);
}

static void what_is_saved_is_loaded(void)
{
    static const char *const names[] = {"gpt2", "llama_tied", "llama_untied", "llama_bf16"};
    char path[4096];
    snprintf(path, sizeof path, "%s", plb_test_tmp("saved"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char golden[100];
        struct plb_model_config config, again;
        snprintf(golden, sizeof golden, "tests/golden/%s", names[i]);
        PLB_REQUIRE(plb_model_config_load(plb_test_source(golden), &config) == PLB_OK);
        config.norm_epsilon = 1.0 / 3.0; /* needs all its digits */
        config.eos_count = (int)i;       /* none, one, several */
        for (int j = 0; j < config.eos_count; j++)
            config.eos_token[j] = 10 + j;
        PLB_CHECK_EQ(plb_model_config_save(&config, path), PLB_OK);
        PLB_REQUIRE(plb_model_config_load(path, &again) == PLB_OK);
        check_equal(&config, &again);
    }
}

/* What generation_config.json says of the end of a text comes first. */
static void generation_config_ends_a_text(void)
{
    struct plb_model_config config;
    char path[4096];
    static const char both[] = "{\"model_type\":\"llama\",\"eos_token_id\":2}";
    static const char more[] = "{\"eos_token_id\":[5,6]}", none[] = "{\"eos_token_id\":null}";
    static const char bad[] = "{\"eos_token_id\":\"x\"}";
    snprintf(path, sizeof path, "%s", plb_test_tmp("generation"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    PLB_REQUIRE(plb_test_write_file(plb_test_tmp("generation/config.json"), both, strlen(both)));
    const char *file = plb_test_tmp("generation/generation_config.json");
    PLB_REQUIRE(plb_test_write_file(file, more, strlen(more)));
    PLB_REQUIRE(plb_model_config_load(path, &config) == PLB_OK);
    PLB_CHECK(config.eos_count == 2 && config.eos_token[0] == 5 && config.eos_token[1] == 6);
    PLB_REQUIRE(plb_test_write_file(file, none, strlen(none)));
    PLB_REQUIRE(plb_model_config_load(path, &config) == PLB_OK);
    PLB_CHECK(config.eos_count == 1 && config.eos_token[0] == 2);
    PLB_REQUIRE(plb_test_write_file(file, bad, strlen(bad)));
    PLB_CHECK_EQ(plb_model_config_load(path, &config), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "generation_config.json");
}

static void refuses_to_save_nonsense(void)
{
    struct plb_model_config config;
    plb_model_config_default(PLB_FAMILY_LLAMA, &config);
    PLB_CHECK_EQ(plb_model_config_check(&config), PLB_OK);
    config.norm_epsilon = (double)NAN;
    PLB_CHECK_EQ(plb_model_config_save(&config, plb_test_tmpdir()), PLB_ERROR_INVALID);
    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    PLB_CHECK_EQ(plb_model_config_check(&config), PLB_OK);
    config.kv_heads = 3;
    PLB_CHECK_EQ(plb_model_config_check(&config), PLB_ERROR_INVALID);
    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    config.eos_token[0] = config.vocab;
    PLB_CHECK_EQ(plb_model_config_check(&config), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "beyond the vocabulary of 50257");
    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    PLB_CHECK_EQ(plb_model_config_save(&config, plb_test_tmp("absent")), PLB_ERROR_IO);
}

PLB_TEST_MAIN("frontends/formats/hf_config", NULL, NULL, PLB_TEST(reads_the_golden_gpt2),
              PLB_TEST(reads_the_golden_llamas), PLB_TEST(fills_in_the_defaults_of_transformers),
              PLB_TEST(reads_the_notation_of_transformers_4),
              PLB_TEST(reads_activations_and_tokens),
              PLB_TEST(refuses_what_would_compute_differently), PLB_TEST(refuses_unknown_models),
              PLB_TEST(refuses_numbers_out_of_bounds), PLB_TEST(what_is_saved_is_loaded),
              PLB_TEST(generation_config_ends_a_text), PLB_TEST(refuses_to_save_nonsense))
