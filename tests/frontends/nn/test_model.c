/* SPDX-License-Identifier: BSD-3-Clause */
/* The register of parameters: names, sharing, maps to files, initial values. */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "frontends/nn/language.h"
#include "frontends/nn/layers.h"
#include "frontends/nn/optimizer.h"
#include "tests/support/plb_test.h"

static plb_model_t *make(enum plb_dtype dtype)
{
    struct plb_model_options options = {dtype, 7, false};
    plb_model_t *model = NULL;

    PLB_REQUIRE(plb_model_create(&options, &model) == PLB_OK);
    return model;
}

static void names_carry_the_scopes(void)
{
    plb_model_t *m = make(PLB_F32);

    plb_model_enter(m, "model");
    plb_model_enter(m, "layers.%d", 3);
    plb_value inner = plb_model_parameter(m, "w", plb_shape2(2, 3), PLB_INITIAL_ZEROS, 0);
    plb_model_leave(m);
    plb_value outer = plb_model_parameter(m, "w", plb_shape1(4), PLB_INITIAL_ONES, 0);
    plb_model_leave(m);
    PLB_REQUIRE(plb_model_parameters(m) == 2);
    PLB_CHECK_STRING(plb_model_parameter_at(m, 0)->name, "model.layers.3.w");
    PLB_CHECK_STRING(plb_model_parameter_at(m, 1)->name, "model.w");
    PLB_CHECK_EQ(plb_model_parameter_find(m, "model.w")->value, outer);
    PLB_CHECK(plb_model_parameter_at(m, 0)->decay);
    PLB_CHECK(!plb_model_parameter_at(m, 1)->decay);
    PLB_CHECK_EQ(plb_graph_find(plb_model_graph(m), "model.layers.3.w"), inner);
    PLB_CHECK_EQ(plb_model_elements(m), 10);
    PLB_CHECK(plb_model_parameter_at(m, 2) == NULL);
    PLB_CHECK(plb_model_parameter_find(m, "w") == NULL);
    plb_model_leave(m);
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    plb_model_destroy(m);
}

static void one_name_is_one_parameter(void)
{
    plb_model_t *m = make(PLB_F32);
    plb_value a = plb_model_parameter(m, "w", plb_shape2(2, 3), PLB_INITIAL_ZEROS, 0);

    PLB_CHECK_EQ(plb_model_parameter(m, "w", plb_shape2(2, 3), PLB_INITIAL_ZEROS, 0), a);
    PLB_CHECK_EQ(plb_model_parameters(m), 1);
    PLB_CHECK_EQ(plb_model_parameter(m, "w", plb_shape2(3, 2), PLB_INITIAL_ZEROS, 0), PLB_NONE);
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "f32[2,3]");
    PLB_CHECK_CONTAINS(plb_error_message(), "f32[3,2]");
    plb_model_destroy(m);
}

static void masters_exist_only_beside_bf16(void)
{
    plb_model_t *m = make(PLB_F32);
    plb_value w = plb_model_parameter(m, "w", plb_shape1(8), PLB_INITIAL_ZEROS, 0);

    PLB_CHECK_EQ(plb_model_add_masters(m), PLB_OK);
    PLB_CHECK_EQ(plb_model_parameter_at(m, 0)->master, w);
    plb_model_destroy(m);
    m = make(PLB_BF16);
    plb_model_parameter(m, "w", plb_shape1(8), PLB_INITIAL_ZEROS, 0);
    PLB_CHECK_EQ(plb_model_add_masters(m), PLB_OK);
    plb_value master = plb_graph_find(plb_model_graph(m), "w.master");
    PLB_REQUIRE(master != PLB_NONE);
    PLB_CHECK_EQ(plb_model_parameter_at(m, 0)->master, master);
    PLB_CHECK_EQ(plb_graph_value(plb_model_graph(m), master)->role, PLB_ROLE_STATE);
    PLB_CHECK_EQ(plb_graph_value(plb_model_graph(m), master)->type.dtype, PLB_F32);
    plb_model_destroy(m);
    PLB_CHECK_EQ(plb_model_create(&(struct plb_model_options){PLB_I32, 0, false}, &m),
                 PLB_ERROR_INVALID);
}

static void maps_must_cover_all_rows_in_order(void)
{
    static const struct {
        struct plb_piece pieces[2];
        int n;
        enum plb_status status;
    } cases[] = {
        {{{"a", 0, 2, false}, {"b", 2, 4, false}}, 2, PLB_OK},
        {{{"a", 0, 6, true}}, 1, PLB_OK},
        {{{"a", 0, 5, false}}, 1, PLB_ERROR_INVALID},
        {{{"a", 0, 2, false}, {"b", 3, 3, false}}, 2, PLB_ERROR_INVALID},
        {{{"a", 0, 6, false}, {"b", 6, 0, false}}, 2, PLB_ERROR_INVALID},
        {{{"a", 0, 2, true}, {"b", 2, 4, true}}, 2, PLB_ERROR_INVALID},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plb_model_t *m = make(PLB_F32);
        plb_value w = plb_model_parameter(m, "w", plb_shape2(6, 3), PLB_INITIAL_ZEROS, 0);
        plb_model_map(m, w, cases[i].pieces, cases[i].n);
        PLB_CHECK_EQ(plb_model_status(m), cases[i].status);
        if (cases[i].status == PLB_OK)
            PLB_CHECK_EQ(plb_model_parameter_at(m, 0)->n_pieces, cases[i].n);
        plb_model_destroy(m);
    }
    plb_model_t *m = make(PLB_F32);
    plb_model_map(m, 12345, cases[0].pieces, 2);
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    plb_model_destroy(m);
}

/* Mean, deviation and the part within one deviation, of values that must not depend on how the rows
 * were asked for. */
static void normal_values_are_normal_and_counter_based(void)
{
    enum { ROWS = 101, COLUMNS = 203, N = ROWS * COLUMNS };
    plb_model_t *m = make(PLB_F32);
    float *all = malloc(N * sizeof *all), *part = malloc(N * sizeof *part);
    double sum = 0, squares = 0, within = 0;

    PLB_REQUIRE(all && part);
    plb_model_parameter(m, "other", plb_shape1(5), PLB_INITIAL_ZEROS, 0);
    plb_model_parameter(m, "w", plb_shape2(ROWS, COLUMNS), PLB_INITIAL_NORMAL, 0.5);
    const struct plb_parameter *w = plb_model_parameter_find(m, "w");
    plb_parameter_initialize(w, 7, 0, ROWS, all);
    for (int row = 0; row < ROWS; row++)
        plb_parameter_initialize(w, 7, row, 1, part + row * COLUMNS);
    PLB_CHECK_MEMORY(part, all, N * sizeof *all);
    for (int i = 0; i < N; i++) {
        sum += (double)all[i];
        squares += (double)all[i] * (double)all[i];
        within += fabsf(all[i]) < 0.5f;
    }
    PLB_CHECK_NEAR(sum / N, 0.0, 0.02);
    PLB_CHECK_NEAR(sqrt(squares / N), 0.5, 0.01);
    PLB_CHECK_NEAR(within / N, 0.6827, 0.02);
    plb_parameter_initialize(w, 8, 0, ROWS, part);
    PLB_CHECK(part[0] != all[0] && part[N - 1] != all[N - 1]);
    free(part);
    free(all);
    plb_model_destroy(m);
}

/* As many values as several threads draw, where there are several cores. */
static void threads_draw_the_same_values(void)
{
    enum { ROWS = 1031, COLUMNS = 1021, N = ROWS * COLUMNS };
    plb_model_t *m = make(PLB_F32);
    float *one = malloc(N * sizeof *one), *all = malloc(N * sizeof *all);

    PLB_REQUIRE(one && all);
    plb_model_parameter(m, "w", plb_shape2(ROWS, COLUMNS), PLB_INITIAL_NORMAL, 0.5);
    const struct plb_parameter *w = plb_model_parameter_find(m, "w");
    plb_parameter_initialize(w, 7, 0, ROWS, one);
    plb_parameter_initialize_all(w, 7, all);
    PLB_CHECK_MEMORY(all, one, N * sizeof *one);
    free(one);
    free(all);
    plb_model_destroy(m);
}

static void layers_say_what_is_wrong(void)
{
    plb_model_t *m = make(PLB_F32);
    plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape1(4), NULL);

    PLB_CHECK_EQ(plb_nn_linear(m, x, 3, true, "fc"), PLB_NONE);
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "\"fc\" needs rank 2, not f32[4]");
    PLB_CHECK_EQ(plb_nn_flatten(m, x), PLB_NONE); /* sticky */
    plb_model_destroy(m);
    m = make(PLB_F32);
    plb_nn_rms_norm(m, PLB_NONE, 1e-5, "norm");
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    plb_model_destroy(m);
    m = make(PLB_F32);
    x = plb_nn_input(m, "x", PLB_F32, plb_shape2(4, 10), NULL);
    plb_nn_attention(m, x, 2, 1, 4, 0.0);
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    plb_model_destroy(m);
}

static struct plb_model_config config_of(enum plb_model_family family)
{
    struct plb_model_config config;

    plb_model_config_default(family, &config);
    config.vocab = 50;
    config.hidden = 16;
    config.layers = 2;
    config.heads = 4;
    config.kv_heads = family == PLB_FAMILY_LLAMA ? 2 : 4;
    config.head_dim = 4;
    config.ffn = 24;
    config.max_positions = 32;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    return config;
}

static void families_name_parameters_as_the_files_do(void)
{
    static const struct {
        enum plb_model_family family;
        const char *parameter, *first, *last;
        bool transposed;
    } cases[] = {
        {PLB_FAMILY_GPT2, "transformer.h.1.attn.c_attn.weight",
         "transformer.h.1.attn.c_attn.weight", "transformer.h.1.attn.c_attn.weight", true},
        {PLB_FAMILY_GPT2, "transformer.h.0.ln_2.bias", "transformer.h.0.ln_2.bias",
         "transformer.h.0.ln_2.bias", false},
        {PLB_FAMILY_LLAMA, "model.layers.1.self_attn.qkv_proj.weight",
         "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.v_proj.weight", false},
        {PLB_FAMILY_LLAMA, "model.layers.0.mlp.gate_up_proj.weight",
         "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight", false},
        {PLB_FAMILY_LLAMA, "lm_head.weight", "lm_head.weight", "lm_head.weight", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plb_model_config config = config_of(cases[i].family);
        struct plb_language_options options = {
            .mode = PLB_LANGUAGE_LOGITS, .dtype = PLB_F32, .batch = 1, .sequence = 8};
        struct plb_language language;
        PLB_REQUIRE(plb_language_create(&config, &options, &language) == PLB_OK);
        const struct plb_parameter *p =
            plb_model_parameter_find(language.model, cases[i].parameter);
        PLB_REQUIRE(p != NULL);
        PLB_CHECK_STRING(p->pieces[0].tensor, cases[i].first);
        PLB_CHECK_STRING(p->pieces[p->n_pieces - 1].tensor, cases[i].last);
        PLB_CHECK_EQ(p->pieces[0].transposed, cases[i].transposed);
        plb_model_destroy(language.model);
    }
}

static void sequences_beyond_the_positions_are_refused(void)
{
    struct plb_model_config config = config_of(PLB_FAMILY_GPT2);
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_TRAIN, .dtype = PLB_F32, .batch = 1, .sequence = 33};
    struct plb_language language;

    PLB_CHECK_EQ(plb_language_create(&config, &options, &language), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "33 positions");
    options.sequence = 0;
    PLB_CHECK_EQ(plb_language_create(&config, &options, &language), PLB_ERROR_INVALID);
    options = (struct plb_language_options){
        .mode = PLB_LANGUAGE_CACHED, .dtype = PLB_F32, .batch = 1, .sequence = 4, .capacity = 33};
    PLB_CHECK_EQ(plb_language_create(&config, &options, &language), PLB_ERROR_INVALID);
}

/* Number of parameters of GPT-2 124M, and of one model under both dtypes. */
static void fingerprints_tell_models_apart(void)
{
    struct plb_model_config config;
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_LOGITS, .dtype = PLB_F32, .batch = 1, .sequence = 8};
    struct plb_language a, b;

    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    PLB_REQUIRE(plb_language_create(&config, &options, &a) == PLB_OK);
    PLB_CHECK_EQ(plb_model_elements(a.model), 124439808);
    options.mode = PLB_LANGUAGE_TRAIN;
    options.dtype = PLB_BF16;
    PLB_REQUIRE(plb_language_create(&config, &options, &b) == PLB_OK);
    PLB_CHECK(plb_model_fingerprint(a.model) == plb_model_fingerprint(b.model));
    plb_model_destroy(b.model);
    config.layers = 11;
    PLB_REQUIRE(plb_language_create(&config, &options, &b) == PLB_OK);
    PLB_CHECK(plb_model_fingerprint(a.model) != plb_model_fingerprint(b.model));
    plb_model_destroy(b.model);
    plb_model_destroy(a.model);
}

/* Every allocation of building a model and its training step may fail. */
static void short_memory_is_reported(void)
{
    struct plb_model_config config = config_of(PLB_FAMILY_LLAMA);
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_TRAIN, .dtype = PLB_BF16, .batch = 1, .sequence = 8};
    struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    long n = 1;

    for (; plb_test_alloc_available(); n++) {
        struct plb_language language = {.model = NULL};
        struct plb_training training;
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_language_create(&config, &options, &language);
        if (status == PLB_OK)
            status = plb_nn_train(language.model, language.loss, &optimizer, &training);
        bool failed = plb_test_alloc_stop();
        plb_model_destroy(language.model);
        if (!failed) {
            PLB_CHECK_EQ(status, PLB_OK);
            break;
        }
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
    PLB_CHECK(!plb_test_alloc_available() || n > 50);
}

PLB_TEST_MAIN("frontends/nn/model", NULL, NULL, PLB_TEST(names_carry_the_scopes),
              PLB_TEST(one_name_is_one_parameter), PLB_TEST(masters_exist_only_beside_bf16),
              PLB_TEST(maps_must_cover_all_rows_in_order),
              PLB_TEST(normal_values_are_normal_and_counter_based),
              PLB_TEST(threads_draw_the_same_values), PLB_TEST(layers_say_what_is_wrong),
              PLB_TEST(families_name_parameters_as_the_files_do),
              PLB_TEST(sequences_beyond_the_positions_are_refused),
              PLB_TEST(fingerprints_tell_models_apart), PLB_TEST(short_memory_is_reported))
