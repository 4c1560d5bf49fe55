/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe info and palombe graph: what a model is, without running it.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include "frontends/nn/language.h"
#include "frontends/nn/optimizer.h"
#include "runtime/graph/cut.h"
#include "schedulers/schedulers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Seconds that Graphviz may take. */
#define DRAW_SECONDS 120

/* ---- graph ---- */

/* The graph of a training step, or of the logits alone. */
static enum plb_status build(const struct plb_settings *s, struct plb_language *language_out)
{
    const struct plb_optimizer optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW);
    bool inference = plb_settings_switch(s, OPTION_INFERENCE);
    struct plb_language_options options = {
        .mode = inference ? PLB_LANGUAGE_LOGITS : PLB_LANGUAGE_TRAIN,
        .dtype = cli_dtype(s),
        .batch = plb_settings_integer(s, OPTION_BATCH),
        .sequence = plb_settings_integer(s, OPTION_SEQUENCE)};
    struct plb_model_config config;
    struct plb_training training;
    enum plb_status status;

    PLB_TRY(cli_model_config(s, &config));
    PLB_TRY(cli_split(s, &config, &options.split));
    PLB_TRY(plb_language_create(&config, &options, language_out));
    if (inference)
        return PLB_OK;
    status = plb_nn_train(language_out->model, language_out->loss, &optimizer, &training);
    if (status != PLB_OK)
        plb_model_destroy(language_out->model);
    return status;
}

static bool has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);

    return n > m && strcmp(path + n - m, ending) == 0;
}

static enum plb_status write_svg(const char *path, const char *dot)
{
    char *aside = malloc(strlen(path) + sizeof ".tmp.dot");
    enum plb_status status;

    if (!aside)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to write %s", path);
    sprintf(aside, "%s.tmp.dot", path);
    status = cli_write_text(NULL, aside, dot);
    if (status == PLB_OK)
        status = cli_dot_to_svg(aside, path, DRAW_SECONDS);
    remove(aside);
    free(aside);
    return status;
}

static bool wants_overview(const struct plb_settings *s, bool svg)
{
    const char *detail = plb_settings_text(s, OPTION_DETAIL);

    return strcmp(detail, "overview") == 0 || (svg && strcmp(detail, "auto") == 0);
}

static enum plb_status write_dot(const struct plb_settings *s, const plb_graph_t *graph)
{
    const char *out = plb_settings_text(s, OPTION_OUT);
    bool print = !plb_settings_given(s, OPTION_OUT) || strcmp(out, "-") == 0;
    bool svg = !print && has_ending(out, ".svg");
    enum plb_status status = PLB_OK;
    char *dot;

    PLB_TRY(wants_overview(s, svg) ? plb_graph_dot_overview(graph, &dot)
                                   : plb_graph_dot(graph, &dot));
    if (print && !plb_settings_switch(s, OPTION_JSON))
        fputs(dot, stdout);
    else if (!print)
        status = svg ? write_svg(out, dot) : cli_write_text(NULL, out, dot);
    free(dot);
    return status;
}

static void count_cost(const plb_graph_t *graph, struct plb_cost *sum_out)
{
    *sum_out = (struct plb_cost){0};
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        struct plb_cost cost;

        plb_task_get_cost(graph, plb_graph_task(graph, t), &cost);
        sum_out->flops += cost.flops;
        sum_out->bytes += cost.bytes;
    }
}

static enum plb_status describe(const struct plb_settings *s, const plb_graph_t *graph)
{
    struct plb_cost cost;
    char fingerprint[24];

    count_cost(graph, &cost);
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, plb_graph_fingerprint(graph));
    if (plb_settings_switch(s, OPTION_JSON))
        return cli_print_json(json_pack("{s:I, s:I, s:f, s:f, s:s}", "tasks",
                                        (json_int_t)plb_graph_tasks(graph), "values",
                                        (json_int_t)plb_graph_values(graph), "flops", cost.flops,
                                        "bytes", cost.bytes, "fingerprint", fingerprint));
    fprintf(stderr, "%u tasks, %u values, %.3g GFLOP, fingerprint %s\n", plb_graph_tasks(graph),
            plb_graph_values(graph), 1e-9 * cost.flops, fingerprint);
    return PLB_OK;
}

enum plb_status cli_graph(const struct plb_settings *settings)
{
    struct plb_language language;
    plb_graph_t *cut = NULL;
    const plb_graph_t *graph;
    enum plb_status status = PLB_OK;

    PLB_TRY(build(settings, &language));
    graph = plb_model_graph(language.model);
    if (plb_settings_switch(settings, OPTION_CUT)) {
        status = plb_graph_cut(graph, NULL, &cut);
        graph = cut;
    }
    if (status == PLB_OK)
        status = write_dot(settings, graph);
    if (status == PLB_OK)
        status = describe(settings, graph);
    plb_graph_destroy(cut);
    plb_model_destroy(language.model);
    return status;
}

/* ---- info ---- */

static enum plb_status count_parameters(const struct plb_model_config *config, int64_t *count_out)
{
    const struct plb_language_options options = {
        .mode = PLB_LANGUAGE_LOGITS, .dtype = PLB_F32, .batch = 1, .sequence = 1};
    struct plb_language language;

    PLB_TRY(plb_language_create(config, &options, &language));
    *count_out = plb_model_elements(language.model);
    plb_model_destroy(language.model);
    return PLB_OK;
}

static void print_policies(const char *title, const struct plb_policy_entry *entry, int n)
{
    printf("\n%s:\n", title);
    for (int k = 0; k < n; k++) {
        char name[64];

        if (!entry[k].policy) {
            printf("  %s %s\n", entry[k].origin, entry[k].problem);
            continue;
        }
        snprintf(name, sizeof name, "%s%s%s", entry[k].name, entry[k].takes ? ":" : "",
                 entry[k].takes ? entry[k].takes : "");
        printf("  %-14s %s%s%s%s\n", name, entry[k].help, entry[k].origin ? " (" : "",
               entry[k].origin ? entry[k].origin : "", entry[k].origin ? ")" : "");
    }
}

static json_t *policies_json(const struct plb_policy_entry *entry, int n)
{
    json_t *list = json_array();

    for (int k = 0; k < n; k++)
        if (entry[k].policy)
            json_array_append_new(list, json_string(entry[k].name));
    return list;
}

static enum plb_status list_choices(const struct plb_settings *s)
{
    int n, n_memory, n_parallel;
    const struct cli_preset *preset = cli_presets(&n);
    struct plb_policy_entry *memory, *parallel;
    json_t *list, *memories, *parallels;
    enum plb_status status;

    PLB_TRY(plb_memory_policy_list(&memory, &n_memory));
    status = plb_parallel_policy_list(&parallel, &n_parallel);
    if (status != PLB_OK) {
        free(memory);
        return status;
    }
    if (!plb_settings_switch(s, OPTION_JSON)) {
        printf("Models for --model, or the path of a config.json or its directory:\n");
        for (int k = 0; k < n; k++)
            printf("  %-14s %-46s %2" PRId64 " layers, %5" PRId64 " features, %2" PRId64
                   " heads\n",
                   preset[k].name, preset[k].help, preset[k].layers, preset[k].hidden,
                   preset[k].heads);
        print_policies("Memory policies for --memory", memory, n_memory);
        print_policies("Parallel policies for --parallel", parallel, n_parallel);
        free(memory);
        free(parallel);
        return PLB_OK;
    }
    list = json_array();
    for (int k = 0; k < n; k++)
        json_array_append_new(list, json_string(preset[k].name));
    memories = policies_json(memory, n_memory);
    parallels = policies_json(parallel, n_parallel);
    free(memory);
    free(parallel);
    return cli_print_json(json_pack("{s:o, s:o, s:o}", "presets", list, "memory_policies",
                                    memories, "parallel_policies", parallels));
}

/* fp32: parameter, gradient and two moments of 4 bytes; bf16: 2 more for the copy that is read. */
static double training_bytes(int64_t parameters, bool bf16)
{
    return (double)parameters * (bf16 ? 18.0 : 16.0);
}

static void print_info(const struct plb_model_config *c, int64_t parameters)
{
    char f32[32], bf16[32], train_f32[32], train_bf16[32];

    printf("%s, %" PRId64 " layers of %" PRId64 " features, %" PRId64 " heads (%" PRId64
           " for keys and values) of %" PRId64 ", MLP %" PRId64 "\n",
           plb_model_family_name(c->family), c->layers, c->hidden, c->heads, c->kv_heads,
           c->head_dim, c->ffn);
    printf("vocabulary %" PRId64 ", at most %" PRId64 " positions, %s embeddings\n", c->vocab,
           c->max_positions, c->tied_embeddings ? "tied" : "untied");
    printf("%.1f M parameters: %s in f32, %s in bf16\n", 1e-6 * (double)parameters,
           cli_print_bytes(4.0 * (double)parameters, f32, sizeof f32),
           cli_print_bytes(2.0 * (double)parameters, bf16, sizeof bf16));
    printf("training state with AdamW: %s in f32, %s in bf16, and the activations of a step\n",
           cli_print_bytes(training_bytes(parameters, false), train_f32, sizeof train_f32),
           cli_print_bytes(training_bytes(parameters, true), train_bf16, sizeof train_bf16));
}

enum plb_status cli_info(const struct plb_settings *settings)
{
    struct plb_model_config c;
    int64_t parameters;

    if (!plb_settings_given(settings, OPTION_MODEL))
        return list_choices(settings);
    PLB_TRY(cli_model_config(settings, &c));
    PLB_TRY(count_parameters(&c, &parameters));
    if (!plb_settings_switch(settings, OPTION_JSON)) {
        print_info(&c, parameters);
        return PLB_OK;
    }
    return cli_print_json(json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I}", "family",
        plb_model_family_name(c.family), "layers", (json_int_t)c.layers, "hidden",
        (json_int_t)c.hidden, "heads", (json_int_t)c.heads, "kv_heads", (json_int_t)c.kv_heads,
        "head_dim", (json_int_t)c.head_dim, "ffn", (json_int_t)c.ffn, "vocabulary",
        (json_int_t)c.vocab, "positions", (json_int_t)c.max_positions, "tied", c.tied_embeddings,
        "parameters", (json_int_t)parameters));
}
