/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Budgets of memory as a user meets them: palombe plan, palombe compare, training under a budget;
 * and what all of them refuse.
 */
#include "config.h"

#include "tests/frontends/cli/run.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TINY "--layers 4 --hidden 32 --heads 2 --batch 4 --sequence 32 --quiet "
#define LARGE                                                                                      \
    "--model gpt2 --hidden 4096 --heads 32 --layers 32 --batch 1 --sequence 4096 "                 \
    "--dtype bf16 --costs h200 --quiet "
#define GIB 1073741824.0

static int set_up(void)
{
    setenv("PALOMBE_DATA_DIR", plb_test_source("data"), 1);
    return 0;
}

/* ---- what is refused ---- */

static void wrong_budgets(void)
{
    refuse("plan " TINY "--memory-budget 0", 1, "'0' is no budget of memory");
    refuse("plan " TINY "--memory-budget -1", 1, "-1");
    refuse("plan " TINY "--memory-budget 1.5", 1, "'1.5' is no budget of memory");
    refuse("plan " TINY "--memory-budget half", 1, "'half' is no budget of memory");
    refuse("plan " TINY "--memory-budget 12parsecs", 1, "'12parsecs' is no budget of memory");
    refuse("plan " TINY "--memory-budget nan", 1, "'nan' is no budget of memory");
    refuse("plan " TINY "--memory-budget 1e99", 1, "'1e99' is no budget of memory");
    refuse("plan " TINY "--memory-budget 99999999TiB", 1, "too many bytes");
    refuse("plan " TINY "--memory block --memory-budget 1kB", 1,
           "the least with policy 'block' is");
    refuse("plan " LARGE "--memory-budget 900GiB", 1, "is more than the");
    refuse("compare " TINY "--simulate --budgets 0.5,0", 1, "'0' is no budget of memory");
    refuse("compare " TINY "--simulate --budgets 0.5,,1", 1, "separated by commas");
}

static void wrong_names(void)
{
    refuse("plan " TINY "--memory psychic", 1, "unknown memory policy 'psychic'; known are: none");
    refuse("compare " TINY "--simulate --policies none,psychic", 1,
           "unknown memory policy 'psychic'");
    refuse("compare " TINY "--simulate --policies none,", 1, "policies separated by commas");
    refuse("compare " TINY "--simulate --policies=", 1, "policies separated by commas");
    refuse("plan " TINY "--memory starpu", 1, "policy 'starpu' plans nothing");
    refuse("plan " TINY "--costs nowhere", 1, "h200");
    refuse("plan " TINY "--costs @nowhere.json", 1, "nowhere.json");
    refuse("plan " TINY "--out plan.png", 1, "ends in .json (the plan) or .svg");
    refuse("compare " TINY "--simulate --out front.png", 1, "ends in .svg");
    refuse("plan " TINY "--workload psychic", 2, "language unet");
    refuse("plan --workload unet --sequence 20", 1, "a multiple of 16");
    refuse("plan --workload unet --layers 20", 1, "--layers 1 to 8");
    refuse("compare --rounds 0", 2, "--rounds wants");
    refuse("plan " TINY "--task-seconds -1", 2, "--task-seconds wants");
}

static void wrong_devices(void)
{
    refuse("compare " TINY "--device psychic", 1, "psychic");
    refuse("compare " TINY "--device virtual", 1, "virtual");
    refuse("compare " TINY "--device virtual:0", 1, "0");
    refuse("compare " TINY "--device virtual:1GiB,link=fast", 1, "fast");
    refuse("compare " TINY "--device virtual:900000GiB", 1, "virtual");
}

/* ---- plan ---- */

static json_t *plan_json(const char *options)
{
    char line[512];

    snprintf(line, sizeof line, "plan " TINY "--json %s", options);
    return palombe_json(line);
}

static void plan_says_what_a_policy_decides(void)
{
    json_t *none = plan_json("--memory none"), *block = plan_json("--memory block");
    json_t *blocks = json_object_get(block, "blocks"), *first = NULL;

    PLB_CHECK_STRING(text_of(block, "policy"), "block");
    PLB_CHECK(json_is_null(json_object_get(none, "budget_bytes")));
    PLB_CHECK_EQ((int)number(none, "again_tasks"), 0);
    PLB_CHECK(number(none, "overhead") == 0.0);
    PLB_CHECK(number(block, "again_tasks") > 0.0);
    PLB_CHECK(number(block, "again_flops") > 0.0);
    PLB_CHECK(number(block, "device_bytes") < number(none, "device_bytes"));
    PLB_CHECK(number(block, "instructions") > number(none, "instructions"));
    PLB_CHECK(number(json_object_get(none, "needs"), "activations") > 0.0);
    PLB_CHECK(number(json_object_get(none, "arena"), "device") > 0.0);
    for (size_t k = 0; k < json_array_size(blocks) && !first; k++)
        if (number(json_array_get(blocks, k), "block") == 0.0)
            first = json_array_get(blocks, k);
    PLB_CHECK(first && number(first, "remade") > number(first, "kept"));
    json_decref(none);
    json_decref(block);
}

/* The budget that is named as the least is one, and not much less is none. */
static void the_least_is_the_least(void)
{
    json_t *least = plan_json("--memory block --least"), *plan;
    double bytes = number(least, "least_bytes");
    char options[128];

    PLB_CHECK(bytes > number(least, "initial_bytes"));
    snprintf(options, sizeof options, "--memory block --memory-budget %.0f", bytes);
    plan = plan_json(options);
    PLB_CHECK(number(plan, "device_bytes") <= bytes);
    PLB_CHECK(number(plan, "budget_bytes") == bytes);
    snprintf(options, sizeof options, "plan " TINY "--memory block --memory-budget %.0f",
             0.9 * bytes);
    refuse(options, 1, "--least");
    json_decref(plan);
    json_decref(least);
}

static void plan_is_saved_and_printed(void)
{
    struct plb_test_output output = palombe("plan " TINY "--memory block --print --out @plan.json");
    json_t *plan = json_load_file(plb_test_tmp("plan.json"), JSON_REJECT_DUPLICATES, NULL);
    size_t lines = 0;

    PLB_CHECK_EQ(output.status, 0);
    PLB_CHECK_CONTAINS(output.out, "made again");
    for (const char *c = output.out; c && *c; c++)
        lines += *c == '\n';
    PLB_CHECK_STRING(text_of(plan, "policy"), "block");
    PLB_CHECK(json_array_size(json_object_get(plan, "instructions")) > 100);
    PLB_CHECK(lines > json_array_size(json_object_get(plan, "instructions")));
    json_decref(plan);
    plb_test_output_free(&output);
}

/* A machine that is not at hand, and a model that does not fit into this one: all of it in virtual
 * time. `knapsack` is what is known best, and its figure is no surprise. */
static void plans_for_a_card_that_is_not_here(void)
{
    json_t *none = palombe_json("plan " LARGE "--json --memory none");
    json_t *half = palombe_json("plan " LARGE "--json --memory knapsack --memory-budget 0.5");

    PLB_CHECK_STRING(text_of(half, "platform"), "h200");
    PLB_CHECK(number(none, "device_bytes") > 100 * GIB);
    PLB_CHECK(number(half, "device_bytes") <= number(half, "budget_bytes"));
    PLB_CHECK(number(half, "overhead") > 0.0 && number(half, "overhead") < 0.15);
    PLB_CHECK(number(half, "pass_overhead") > number(half, "overhead"));
    json_decref(none);
    json_decref(half);
}

/* ---- pictures ---- */

/* Past a quoted text, or NULL. */
static const char *skip_quoted(const char *at)
{
    const char *end = strchr(at + 1, *at);

    return end ? end + 1 : NULL;
}

/* From '<' past the end of the tag. `kind_out`: 1 opens an element, -1 closes one, 0 is both. */
static const char *read_tag(const char *at, char name[32], int *kind_out)
{
    bool closes = at[1] == '/';
    size_t length = 0;

    at += closes ? 2 : 1;
    while (isalnum((unsigned char)*at) && length < 31)
        name[length++] = *at++;
    name[length] = '\0';
    while (at && *at && *at != '>')
        at = *at == '"' ? skip_quoted(at) : at + 1;
    if (!at || !*at || length == 0)
        return NULL;
    *kind_out = closes ? -1 : at[-1] == '/' ? 0 : 1;
    return at + 1;
}

/* Elements are closed in order, no character stands for itself that must not. */
static bool is_well_formed(const char *text)
{
    char open[16][32], name[32];
    int depth = 0, kind;

    for (const char *at = text; at && *at;) {
        if (*at == '&' && strncmp(at, "&lt;", 4) != 0 && strncmp(at, "&gt;", 4) != 0 &&
            strncmp(at, "&amp;", 5) != 0)
            return false;
        if (*at != '<') {
            at++;
            continue;
        }
        at = read_tag(at, name, &kind);
        if (!at || depth >= 16 || (kind < 0 && (depth == 0 || strcmp(open[depth - 1], name) != 0)))
            return false;
        if (kind > 0)
            memcpy(open[depth], name, sizeof name);
        depth += kind;
    }
    return depth == 0;
}

static void check_picture(const char *name, const char *const *expected, int n)
{
    size_t bytes = 0;
    char *text = plb_test_read_file(plb_test_tmp(name), &bytes);

    PLB_REQUIRE(text != NULL);
    PLB_CHECK(strncmp(text, "<svg xmlns=\"http://www.w3.org/2000/svg\"", 38) == 0);
    PLB_CHECK(is_well_formed(text));
    PLB_CHECK(strstr(text, "nan") == NULL && strstr(text, "inf\"") == NULL);
    for (int k = 0; k < n; k++)
        PLB_CHECK_CONTAINS(text, expected[k]);
    free(text);
}

static void the_reader_of_pictures_works(void)
{
    PLB_CHECK(is_well_formed("<a b=\"c>d\"><e/>&lt;</a>"));
    PLB_CHECK(!is_well_formed("<a><b></a></b>"));
    PLB_CHECK(!is_well_formed("<a>"));
    PLB_CHECK(!is_well_formed("<a b=\"c></a>"));
    PLB_CHECK(!is_well_formed("<a>&</a>"));
}

static void pictures_of_plans(void)
{
    static const char *const offloaded[] = {"swap: mini, 4 layers of 32", "budget", "to disk",
                                            "activations fetched back", "parameters"};
    static const char *const again[] = {"block: gpt2, 32 layers of 4096", "run again",
                                        "activations made again", "cut short"};

    json_decref(plan_json("--memory swap --memory-budget 0.8 --out @swap.svg"));
    check_picture("swap.svg", offloaded, 5);
    json_decref(palombe_json("plan " LARGE "--json --memory block --memory-budget 0.5 "
                             "--out @block.svg"));
    check_picture("block.svg", again, 4);
}

/* ---- compare ---- */

static json_t *pair_of(json_t *comparison, const char *policy, const char *budget)
{
    json_t *pairs = json_object_get(comparison, "pairs"), *pair;
    size_t k;

    json_array_foreach(pairs, k, pair)
    {
        if (strcmp(text_of(pair, "policy"), policy) == 0 &&
            strcmp(text_of(pair, "budget"), budget) == 0)
            return pair;
    }
    PLB_CHECK(false);
    printf("no pair of %s and %s\n", policy, budget);
    return NULL;
}

static void comparisons_in_virtual_time(void)
{
    static const char *const expected[] = {"Memory and time", "block", "no plan at 0.05"};
    json_t *comparison = palombe_json("compare " TINY "--json --simulate --policies block,swap "
                                      "--budgets 0.9,0.7,0.05 --out @front.svg");
    json_t *block = pair_of(comparison, "block", "0.9");

    PLB_CHECK_EQ(json_array_size(json_object_get(comparison, "pairs")), 7);
    PLB_CHECK(number(block, "simulated_overhead") > 0.0);
    PLB_CHECK(number(block, "planned_bytes") <= number(block, "budget_bytes"));
    PLB_CHECK(number(block, "again_flops") > 0.0);
    PLB_CHECK(strlen(text_of(pair_of(comparison, "block", "0.05"), "reason")) > 0);
    PLB_CHECK(number(pair_of(comparison, "swap", "0.9"), "moved") > 0.0);
    check_picture("front.svg", expected, 3);
    json_decref(comparison);
}

/* A picture that cannot be written costs no figure. */
static void results_come_before_pictures(void)
{
    struct plb_test_output output =
        palombe("compare " TINY "--simulate --policies block --budgets 0.9 --out @no/front.svg");

    PLB_CHECK_EQ(output.status, 1);
    PLB_CHECK_CONTAINS(output.out, "block");
    PLB_CHECK_CONTAINS(output.err, "no/front.svg");
    plb_test_output_free(&output);
}

static void comparisons_that_run(void)
{
    json_t *comparison = palombe_json("compare " TINY "--json --policies block,swap --budgets 0.8 "
                                      "--rounds 1 --steps 3 --record-costs @costs.json");
    json_t *none = pair_of(comparison, "none", "no limit");
    json_t *swap = pair_of(comparison, "swap", "0.8"), *block = pair_of(comparison, "block", "0.8");

    PLB_CHECK(json_is_true(json_object_get(none, "same_bits")));
    PLB_CHECK(json_is_true(json_object_get(swap, "same_bits")));
    PLB_CHECK(json_is_true(json_object_get(block, "same_bits")));
    PLB_CHECK_EQ((int)number(swap, "measurements"), 2);
    PLB_CHECK(number(swap, "moved") > 0.0);
    PLB_CHECK(number(swap, "peak_bytes") <= number(swap, "budget_bytes"));
    PLB_CHECK(number(block, "peak_bytes") <= number(block, "budget_bytes"));
    PLB_CHECK(number(block, "measured_seconds") > 0.0);
    PLB_CHECK_EQ((int)number(swap, "moved_by_starpu"), 0);
    json_decref(comparison);
    json_decref(palombe_json("plan " TINY "--json --memory block --costs @costs.json"));
}

static void other_workloads(void)
{
    json_t *unet = palombe_json("compare --workload unet --layers 2 --hidden 4 --batch 4 "
                                "--sequence 16 --json --policies knapsack --budgets 0.9 --rounds 1 "
                                "--steps 2");
    json_t *bench = palombe_json("bench train --workload unet --layers 1 --hidden 4 --batch 2 "
                                 "--sequence 8 --repeat 2 --json --memory block");

    PLB_CHECK_CONTAINS(text_of(unet, "workload"), "unet, 2 levels from 4 channels");
    PLB_CHECK(json_is_true(json_object_get(pair_of(unet, "knapsack", "0.9"), "same_bits")));
    PLB_CHECK_STRING(text_of(bench, "memory_policy"), "block");
    PLB_CHECK_STRING(text_of(bench, "unit"), "images");
    json_decref(unet);
    json_decref(bench);
}

/* Where OpenCL is not installed there is no virtual accelerator, and nothing to see. */
static bool has_virtual_accelerator(void)
{
    struct plb_test_output output =
        palombe("compare " TINY "--device virtual:64MiB --policies none "
                "--budgets 64MiB --rounds 1 --steps 1");
    bool has = output.status == 0;

    if (!has)
        PLB_CHECK_CONTAINS(output.err, "OpenCL");
    plb_test_output_free(&output);
    return has;
}

static void on_the_virtual_accelerator(void)
{
    json_t *comparison, *swap, *starpu;

    if (!has_virtual_accelerator())
        return;
    comparison = palombe_json("compare " TINY "--json --device virtual:64MiB,link=2GB/s --policies "
                              "swap,starpu --budgets 0.8 --rounds 1 --steps 2");
    swap = pair_of(comparison, "swap", "0.8");
    starpu = pair_of(comparison, "starpu", "0.8");
    PLB_CHECK_CONTAINS(text_of(comparison, "device"), "virtual:64.0 MiB");
    PLB_CHECK(json_is_true(json_object_get(swap, "same_bits")));
    PLB_CHECK(json_is_true(json_object_get(starpu, "same_bits")));
    PLB_CHECK(number(swap, "moved") > 0.0);
    PLB_CHECK_EQ((int)number(swap, "moved_by_starpu"), 0);
    PLB_CHECK(number(starpu, "moved_by_starpu") > 0.0);
    PLB_CHECK(number(swap, "peak_bytes") <= number(swap, "budget_bytes"));
    refuse("train " TINY
           "--vocabulary 0 --device virtual:64MiB --memory-budget 1GiB --out @no @corpus",
           1, "a budget of 1.0 GiB is 960.0 MiB more than the device has");
    refuse("train " TINY "--vocabulary 0 --device virtual:1MiB --out @no @corpus", 1,
           "the virtual device has 1.0 MiB");
    json_decref(comparison);
}

/* ---- training ---- */

static void write_corpus(void)
{
    enum { BYTES = 20000 };
    char *text = malloc(BYTES);

    PLB_REQUIRE(text != NULL);
    for (uint32_t k = 0; k < BYTES; k++)
        text[k] = (char)('a' + (k * 2654435761u >> 29));
    plb_test_write_file(plb_test_tmp("corpus"), text, BYTES);
    free(text);
}

static char *file(const char *name, size_t *bytes_out)
{
    char *data = plb_test_read_file(plb_test_tmp(name), bytes_out);

    PLB_REQUIRE(data != NULL);
    return data;
}

/* Validation runs in the same budget. */
static void training_under_a_budget(void)
{
    json_t *free_run =
        palombe_json("train " TINY "--vocabulary 0 --steps 12 --json --out @free @corpus");
    json_t *run = palombe_json("train " TINY "--vocabulary 0 --steps 12 --json --memory block "
                               "--memory-budget 0.9 --out @bound @corpus");
    char line[256], *a, *b;
    size_t n = 0, m = 0;
    double budget;

    a = file("free/loss.csv", &n);
    b = file("bound/loss.csv", &m);
    PLB_CHECK_EQ(n, m);
    PLB_CHECK_MEMORY(a, b, n < m ? n : m);
    PLB_CHECK_STRING(text_of(run, "memory_policy"), "block");
    PLB_CHECK(number(run, "planned_bytes") <= number(run, "budget_bytes"));
    PLB_CHECK(number(run, "peak_bytes") < number(free_run, "peak_bytes"));
    budget = number(run, "peak_bytes");
    snprintf(line, sizeof line,
             "train " TINY "--vocabulary 0 --steps 2 --json --memory block --memory-budget %.0f "
             "--out @again @corpus",
             budget);
    json_decref(run);
    run = palombe_json(line);
    PLB_CHECK(number(run, "peak_bytes") <= budget);
    refuse("train " TINY "--vocabulary 0 --memory-budget 3kB --out @no @corpus", 1, "budget");
    refuse("train " TINY "--vocabulary 0 --memory-budget 0 --out @no @corpus", 1, "no budget");
    refuse("train " TINY "--vocabulary 0 --device psychic --out @no @corpus", 1, "psychic");
    PLB_CHECK(access(plb_test_tmp("no"), F_OK) != 0);
    free(a);
    free(b);
    json_decref(free_run);
    json_decref(run);
}

PLB_TEST_MAIN("frontends/cli/memory", set_up, NULL, PLB_TEST(wrong_budgets), PLB_TEST(wrong_names),
              PLB_TEST(wrong_devices), PLB_TEST(plan_says_what_a_policy_decides),
              PLB_TEST(the_least_is_the_least), PLB_TEST(plan_is_saved_and_printed),
              PLB_TEST(plans_for_a_card_that_is_not_here), PLB_TEST(the_reader_of_pictures_works),
              PLB_TEST(pictures_of_plans), PLB_TEST(comparisons_in_virtual_time),
              PLB_TEST(results_come_before_pictures), PLB_TEST(comparisons_that_run),
              PLB_TEST(other_workloads), PLB_TEST(write_corpus),
              PLB_TEST(on_the_virtual_accelerator), PLB_TEST(training_under_a_budget))
