/* SPDX-License-Identifier: BSD-3-Clause */
/* Splits as text, their refusal, and parameters in shards. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "frontends/nn/language.h"
#include "frontends/nn/layers.h"
#include "tests/support/plb_test.h"

static struct plb_model_config config_of(void)
{
    struct plb_model_config config;

    plb_model_config_default(PLB_FAMILY_LLAMA, &config);
    config.vocab = 50;
    config.hidden = 32;
    config.layers = 4;
    config.heads = 8;
    config.kv_heads = 4;
    config.head_dim = 4;
    config.ffn = 36;
    config.max_positions = 48;
    config.eos_count = 0;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    return config;
}

static void degrees_are_read(void)
{
    static const struct {
        const char *text;
        int block[4], vocabulary;
        bool sequence;
    } cases[] = {
        {"2", {2, 2, 2, 2}, 2, false},
        {"1,2,2,1", {1, 2, 2, 1}, 1, false},
        {"2,sequence,vocabulary:5", {2, 2, 2, 2}, 5, true},
        {"1-2:4,vocabulary:2", {1, 4, 4, 1}, 2, false},
        {"3:4", {1, 1, 1, 4}, 1, false},
        {"0-3:2,1:4", {2, 4, 2, 2}, 1, false},
        {"vocabulary:3", {1, 1, 1, 1}, 3, false},
        {"sequence", {1, 1, 1, 1}, 1, true},
    };
    struct plb_model_config config = config_of();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plb_split split;
        PLB_REQUIRE(plb_split_parse(cases[i].text, config.layers, &split) == PLB_OK);
        for (int b = 0; b < 4; b++)
            PLB_CHECK_EQ(plb_split_degree(&split, b), cases[i].block[b]);
        PLB_CHECK_EQ(plb_split_degree(&split, -1), cases[i].vocabulary);
        PLB_CHECK_EQ(split.sequence, cases[i].sequence);
        PLB_CHECK_EQ(plb_split_check(&split, &config), PLB_OK);
    }
}

static void bad_degrees_are_refused(void)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "\"\" is no degree"},
        {"2,", "\"\" is no degree"},
        {"two", "\"two\" is no degree"},
        {"-1", "\"-1\" is no degree"},
        {"1-:2", "\"1-:2\" is no degree"},
        {"1-2:2x", "\"1-2:2x\" is no degree"},
        {"9999999999", "\"9999999999\" is no degree"},
        {"vocabulary:", "\"vocabulary:\" is no degree"},
        {"vocabulary:65", "1 to 64 ways, not 65"},
        {"vocabulary:51", "50 tokens cannot be split 51 ways"},
        {"0", "1 to 64, not 0"},
        {"65", "1 to 64, not 65"},
        {"1,2", "2 degrees of tensor parallelism were given for 4 blocks"},
        {"1,2:2", "not both"},
        {"1-2:2,4", "not both"},
        {"3-4:2", "the model has blocks 0 to 3"},
        {"2-1:2", "blocks 2 to 1"},
        {"16", "they have 8 heads"},
        {"8", "they have 4 key-value heads"},
        {"3", "they have 8 heads"},
    };
    struct plb_model_config config = config_of();
    struct plb_split split;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum plb_status status = plb_split_parse(cases[i].text, config.layers, &split);
        if (status == PLB_OK)
            status = plb_split_check(&split, &config);
        PLB_CHECK_EQ(status, PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), cases[i].reason);
    }
    config.ffn = 38;
    PLB_REQUIRE(plb_split_parse("4", config.layers, &split) == PLB_OK);
    struct plb_language_options options = {.batch = 1, .sequence = 4, .split = split};
    struct plb_language language;
    PLB_CHECK_EQ(plb_language_create(&config, &options, &language), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "38 features in the MLP");
}

/* Degrees of 1 make the graph that no split makes. */
static void one_way_is_no_split(void)
{
    struct plb_model_config config = config_of();
    uint64_t print[2];

    for (int i = 0; i < 2; i++) {
        struct plb_language_options options = {.batch = 1, .sequence = 4};
        struct plb_language language;
        if (i == 1)
            PLB_REQUIRE(plb_split_parse("1,sequence", 4, &options.split) == PLB_OK);
        PLB_REQUIRE(plb_language_create(&config, &options, &language) == PLB_OK);
        print[i] = plb_graph_fingerprint(plb_model_graph(language.model));
        plb_model_destroy(language.model);
    }
    PLB_CHECK(print[0] == print[1]);
}

/* ---- parameters in shards ---- */

static plb_model_t *make(void)
{
    struct plb_model_options options = {PLB_F32, 7, false};
    plb_model_t *model = NULL;

    PLB_REQUIRE(plb_model_create(&options, &model) == PLB_OK);
    return model;
}

/* Shards of the rows and of the columns begin as the tensor does, whatever rows are asked for. */
static void shards_begin_as_the_tensor(void)
{
    const struct plb_share shares[] = {
        {0, 2, 0, 5, 2, {{0, 2, 1}, {2, 3, 6}}},
        {1, 2, 1, 3, 1, {{0, 9, 0}}},
    };
    plb_model_t *m = make();
    float whole[45], part[45];

    plb_model_parameter(m, "w", plb_shape2(9, 5), PLB_INITIAL_NORMAL, 0.5);
    plb_parameter_initialize(plb_model_parameter_at(m, 0), 7, 0, 9, whole);
    for (int i = 0; i < 2; i++) {
        plb_model_t *split = make();
        plb_model_shard(split, "w", plb_shape2(9, 5), &shares[i], PLB_INITIAL_NORMAL, 0.5);
        PLB_REQUIRE(plb_model_status(split) == PLB_OK);
        const struct plb_parameter *p = plb_model_parameter_at(split, 0);
        PLB_CHECK_STRING(p->name, i == 0 ? "w#0of2" : "w#1of2");
        PLB_CHECK_STRING(p->tensor, "w");
        PLB_CHECK_STRING(p->pieces[0].tensor, "w");
        PLB_CHECK_EQ(p->shape.dim[1], shares[i].cols);
        for (int64_t row0 = 0; row0 < p->shape.dim[0]; row0 += 2) {
            int64_t rows = p->shape.dim[0] - row0 < 2 ? p->shape.dim[0] - row0 : 2;
            plb_parameter_initialize(p, 7, row0, rows, part + row0 * p->shape.dim[1]);
        }
        for (int64_t r = 0; r < p->shape.dim[0]; r++) {
            int64_t row = i == 1 ? r : r < 2 ? r + 1 : r + 4;
            PLB_CHECK_MEMORY(part + r * shares[i].cols, whole + row * 5 + shares[i].col0,
                             (size_t)shares[i].cols * sizeof *part);
        }
        plb_model_destroy(split);
    }
    plb_model_destroy(m);
}

static void shares_must_be_within_their_tensor(void)
{
    static const struct plb_share shares[] = {
        {2, 2, 0, 5, 1, {{0, 9, 0}}}, {-1, 2, 0, 5, 1, {{0, 9, 0}}},
        {0, 2, 1, 5, 1, {{0, 9, 0}}}, {0, 2, -1, 5, 1, {{0, 9, 0}}},
        {0, 2, 0, 5, 1, {{0, 9, 1}}}, {0, 2, 0, 5, 1, {{1, 8, 0}}},
        {0, 2, 0, 5, 1, {{0, 0, 0}}}, {0, 2, 0, 5, 0, {{0, 9, 0}}},
        {0, 2, 0, 0, 1, {{0, 9, 0}}}, {0, 2, 0, 5, 2, {{0, 4, 0}, {5, 4, 5}}},
    };

    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        plb_model_t *m = make();
        PLB_CHECK_EQ(plb_model_shard(m, "w", plb_shape2(9, 5), &shares[i], PLB_INITIAL_ZEROS, 0),
                     PLB_NONE);
        PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), "parameter \"w\"");
        plb_model_destroy(m);
    }
}

/* What tells models apart is their tensors. */
static void fingerprints_of_models_do_not_know_shards(void)
{
    const struct plb_columns columns = {{8, 4, 4}, 3, 2};
    uint64_t print[2];

    for (int i = 0; i < 2; i++) {
        plb_model_t *m = make();
        plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape2(3, 6), NULL);
        struct plb_shards h = plb_nn_linear_columns(m, x, 1 + i, &columns, true, "in");
        plb_nn_linear_rows(m, &h, 6, true, "out");
        PLB_REQUIRE(plb_model_status(m) == PLB_OK);
        PLB_CHECK_EQ(plb_model_parameters(m), i == 0 ? 4 : 7);
        PLB_CHECK_EQ(plb_model_elements(m), 16 * 6 + 16 + 6 * 16 + 6);
        print[i] = plb_model_fingerprint(m);
        plb_model_destroy(m);
    }
    PLB_CHECK(print[0] == print[1]);
}

static void layers_refuse_what_cannot_be_split(void)
{
    static const struct {
        struct plb_columns columns;
        int n;
    } cases[] = {
        {{{8}, 1, 4}, 3},  {{{8, 2}, 2, 1}, 3}, {{{9}, 1, 2}, 2},
        {{{8}, 1, 1}, 65}, {{{8}, 0, 1}, 2},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plb_model_t *m = make();
        plb_value x = plb_nn_input(m, "x", PLB_F32, plb_shape2(3, 6), NULL);
        struct plb_shards h =
            plb_nn_linear_columns(m, x, cases[i].n, &cases[i].columns, false, "in");
        PLB_CHECK_EQ(plb_nn_linear_rows(m, &h, 6, false, "out"), PLB_NONE);
        PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), "cannot be split");
        plb_model_destroy(m);
    }
    plb_model_t *m = make();
    struct plb_shards qkv = {.n = 2};
    for (int j = 0; j < 2; j++)
        qkv.part[j] = plb_nn_input(m, j ? "b" : "a", PLB_F32, plb_shape2(4, 6), NULL);
    plb_nn_attention_shards(m, &qkv, 3, 3, 4, 0.0);
    PLB_CHECK_EQ(plb_model_status(m), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "3 heads and 3 of keys cannot be split 2 ways");
    plb_model_destroy(m);
}

/* Numbers of shards, by rows or not, are those that a split can have. */
static void numbers_of_shards_have_bounds(void)
{
    static const struct {
        int shard;
        enum plb_status status;
    } cases[] = {{0, PLB_OK},
                 {-1, PLB_OK},
                 {PLB_SHARD_BY_ROWS(2), PLB_OK},
                 {PLB_SHARD_BY_ROWS(PLB_SHARDS_MAX), PLB_OK},
                 {PLB_SHARD_BY_ROWS(PLB_SHARDS_MAX + 1), PLB_ERROR_INVALID}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plb_model_t *m = make();
        plb_graph_set_shard(plb_model_graph(m), cases[i].shard);
        PLB_CHECK_EQ(plb_model_status(m), cases[i].status);
        plb_model_destroy(m);
    }
}

PLB_TEST_MAIN("frontends/nn/split", NULL, NULL, PLB_TEST(degrees_are_read),
              PLB_TEST(bad_degrees_are_refused), PLB_TEST(one_way_is_no_split),
              PLB_TEST(shards_begin_as_the_tensor), PLB_TEST(shares_must_be_within_their_tensor),
              PLB_TEST(fingerprints_of_models_do_not_know_shards),
              PLB_TEST(layers_refuse_what_cannot_be_split), PLB_TEST(numbers_of_shards_have_bounds))
