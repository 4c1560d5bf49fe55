/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Models by name. Sizes: Radford et al. 2019, table 2 (GPT-2); Touvron et al. 2023, table 2 (LLaMA
 * 7B); the published configuration of Llama 3.2 1B. "mini" and "llama-mini" are for laptops.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include <string.h>

static const struct cli_preset presets[] = {
    {"mini", "GPT-2 shape, trains in minutes on two cores", PLB_FAMILY_GPT2, 2048, 256, 6, 8, 8,
     1024, 512, true},
    {"llama-mini", "LLaMA shape of the same size", PLB_FAMILY_LLAMA, 2048, 256, 6, 8, 2, 704, 512,
     true},
    {"deep", "narrow and deep, 48 layers", PLB_FAMILY_GPT2, 2048, 256, 48, 8, 8, 1024, 512, true},
    {"gpt2", "GPT-2 124M", PLB_FAMILY_GPT2, 50257, 768, 12, 12, 12, 3072, 1024, true},
    {"gpt2-medium", "GPT-2 355M", PLB_FAMILY_GPT2, 50257, 1024, 24, 16, 16, 4096, 1024, true},
    {"gpt2-large", "GPT-2 774M", PLB_FAMILY_GPT2, 50257, 1280, 36, 20, 20, 5120, 1024, true},
    {"gpt2-xl", "GPT-2 1.5B", PLB_FAMILY_GPT2, 50257, 1600, 48, 25, 25, 6400, 1024, true},
    {"llama-1b", "Llama 3.2 1B", PLB_FAMILY_LLAMA, 128256, 2048, 16, 32, 8, 8192, 131072, true},
    {"llama-7b", "LLaMA 7B", PLB_FAMILY_LLAMA, 32000, 4096, 32, 32, 32, 11008, 2048, false},
};

#define N_PRESETS (int)(sizeof presets / sizeof presets[0])

const struct cli_preset *cli_presets(int *n_out)
{
    *n_out = N_PRESETS;
    return presets;
}

static const struct cli_preset *find(const char *name)
{
    for (int k = 0; k < N_PRESETS; k++)
        if (strcmp(presets[k].name, name) == 0)
            return &presets[k];
    return NULL;
}

static void apply_preset(const struct cli_preset *preset, struct plb_model_config *config)
{
    plb_model_config_default(preset->family, config);
    config->vocab = preset->vocab;
    config->hidden = preset->hidden;
    config->layers = preset->layers;
    config->heads = preset->heads;
    config->kv_heads = preset->kv_heads;
    config->head_dim = preset->hidden / preset->heads;
    config->ffn = preset->ffn;
    config->max_positions = preset->max_positions;
    config->tied_embeddings = preset->tied;
    if (config->bos_token >= config->vocab || config->eos_token[0] >= config->vocab) {
        config->bos_token = PLB_NO_TOKEN;
        config->eos_count = 0;
    }
}

/* Other sizes keep the proportions: the width of the MLP and the ratio of key-value heads. */
static void apply_sizes(const struct plb_settings *s, struct plb_model_config *config)
{
    if (plb_settings_given(s, OPTION_LAYERS))
        config->layers = plb_settings_integer(s, OPTION_LAYERS);
    if (plb_settings_given(s, OPTION_HIDDEN)) {
        int64_t hidden = plb_settings_integer(s, OPTION_HIDDEN);

        config->ffn = config->ffn * hidden / config->hidden;
        config->hidden = hidden;
    }
    if (plb_settings_given(s, OPTION_HEADS)) {
        int64_t heads = plb_settings_integer(s, OPTION_HEADS);
        int64_t group = config->heads / config->kv_heads;

        config->kv_heads = heads % group == 0 ? heads / group : heads;
        config->heads = heads;
    }
    if (plb_settings_given(s, OPTION_HIDDEN) || plb_settings_given(s, OPTION_HEADS))
        config->head_dim = config->hidden / config->heads;
}

enum plb_status cli_split(const struct plb_settings *settings,
                          const struct plb_model_config *config, struct plb_split *split_out)
{
    const char *text = plb_settings_text(settings, OPTION_TENSOR);
    struct plb_split split = {0};

    if (text) {
        enum plb_status status = plb_split_parse(text, config->layers, &split);
        if (status == PLB_OK)
            status = plb_split_check(&split, config);
        if (status != PLB_OK)
            return plb_fail_within(status, "--tensor %s", text);
    }
    *split_out = split;
    return PLB_OK;
}

enum plb_status cli_model_config(const struct plb_settings *settings,
                                 struct plb_model_config *config_out)
{
    const char *name = plb_settings_text(settings, OPTION_MODEL);
    const struct cli_preset *preset = find(name);
    struct plb_model_config config;
    enum plb_status status;

    if (preset) {
        apply_preset(preset, &config);
    } else {
        status = plb_model_config_load(name, &config);
        if (status != PLB_OK)
            return plb_fail_within(status, "'%s' is no preset (see 'palombe info') and no model",
                                   name);
    }
    apply_sizes(settings, &config);
    PLB_TRY(plb_model_config_check(&config));
    *config_out = config;
    return PLB_OK;
}
