/* SPDX-License-Identifier: BSD-3-Clause */
/* Command lines and environments against a small program's tables. */
#include "config.h"

#include "runtime/base/options.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE, RATE, KIND, NAME, QUICK, OPTIONS };

static const struct plb_option options[OPTIONS] = {
    [SIZE] = {"size", "PLB_TEST_SIZE", PLB_OPTION_INTEGER, "N", "4", 1, 100, NULL, "run bench-run",
              "how large"},
    [RATE] = {"rate", NULL, PLB_OPTION_NUMBER, "R", "0.5", 0, 1, NULL, "run", "how fast"},
    [KIND] = {"kind", NULL, PLB_OPTION_CHOICE, "KIND", "red", 0, 0, "red green", "run", "which"},
    [NAME] = {"name", NULL, PLB_OPTION_TEXT, "TEXT", NULL, 0, 0, NULL, "run", "what"},
    [QUICK] = {"quick", "PLB_TEST_QUICK", PLB_OPTION_SWITCH, NULL, NULL, 0, 0, NULL, "run", "-"},
};

static const struct plb_command commands[] = {
    {"run", "FILE...", 1, 2, "runs", "run --size 3 file"},
    {"bench run", "", 0, 0, "measures", NULL},
};

static const struct plb_program program = {"tester", "1.0",   "a test", 2,
                                           OPTIONS,  commands, options};

static enum plb_status parse(const char *line, struct plb_settings *settings_out)
{
    static char words[512];
    char *argv[32];
    int argc = 0;

    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return plb_settings_parse(&program, argc, argv, settings_out);
}

static void refuse(const char *line, const char *expected)
{
    struct plb_settings settings;

    PLB_CHECK_EQ(parse(line, &settings), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), expected);
}

static void test_defaults(void)
{
    struct plb_settings s;

    PLB_REQUIRE(PLB_OK == parse("run a", &s));
    PLB_CHECK_EQ(plb_settings_integer(&s, SIZE), 4);
    PLB_CHECK_EQ(plb_settings_number(&s, RATE), 0.5);
    PLB_CHECK_STRING(plb_settings_text(&s, KIND), "red");
    PLB_CHECK(plb_settings_text(&s, NAME) == NULL);
    PLB_CHECK(!plb_settings_switch(&s, QUICK));
    PLB_CHECK(!plb_settings_given(&s, SIZE));
    PLB_CHECK_EQ(s.n_arguments, 1);
    PLB_CHECK_STRING(s.argument[0], "a");
    plb_settings_clear(&s);
}

static void test_flags(void)
{
    struct plb_settings s;

    PLB_REQUIRE(PLB_OK == parse("run --size 7 --rate=0.25 a --quick --kind green -- --b", &s));
    PLB_CHECK_EQ(plb_settings_integer(&s, SIZE), 7);
    PLB_CHECK_EQ(plb_settings_number(&s, RATE), 0.25);
    PLB_CHECK_STRING(plb_settings_text(&s, KIND), "green");
    PLB_CHECK(plb_settings_switch(&s, QUICK));
    PLB_CHECK(plb_settings_given(&s, SIZE));
    PLB_REQUIRE(s.n_arguments == 2);
    PLB_CHECK_STRING(s.argument[1], "--b");
    plb_settings_clear(&s);
}

static void test_environment(void)
{
    struct plb_settings s;

    setenv("PLB_TEST_SIZE", "9", 1);
    setenv("PLB_TEST_QUICK", "1", 1);
    PLB_REQUIRE(PLB_OK == parse("run a", &s));
    PLB_CHECK_EQ(plb_settings_integer(&s, SIZE), 9);
    PLB_CHECK(plb_settings_switch(&s, QUICK));
    plb_settings_clear(&s);
    PLB_REQUIRE(PLB_OK == parse("run --size 8 --quick=0 a", &s));
    PLB_CHECK_EQ(plb_settings_integer(&s, SIZE), 8);
    PLB_CHECK(!plb_settings_switch(&s, QUICK));
    plb_settings_clear(&s);
    setenv("PLB_TEST_SIZE", "many", 1);
    refuse("run a", "PLB_TEST_SIZE wants a whole number, not 'many'");
    unsetenv("PLB_TEST_SIZE");
    unsetenv("PLB_TEST_QUICK");
}

static void test_refusals(void)
{
    refuse("", "a command is missing");
    refuse("ran a", "did you mean 'run'");
    refuse("run", "run wants FILE...");
    refuse("run a b c", "does not know what to do with 'c'");
    refuse("run --sice 3 a", "did you mean --size");
    refuse("run --size", "--size wants a value (N)");
    refuse("run --size 0 a", "--size wants 1 to 100, not 0");
    refuse("run --size 101 a", "--size wants 1 to 100, not 101");
    refuse("run --size 3x a", "not '3x'");
    refuse("run --size 99999999999999999999 a", "--size wants");
    refuse("run --rate nan a", "--rate wants a number");
    refuse("run --rate inf a", "--rate wants a number");
    refuse("run --rate 1.5 a", "--rate wants 0 to 1, not 1.5");
    refuse("run --kind blue a", "one of: red green; not 'blue'");
    refuse("run --kind gre a", "one of: red green");
    refuse("run --quick=yes a", "--quick wants 0 or 1");
    refuse("bench run --rate 1", "bench run has no option --rate");
}

static void test_two_words(void)
{
    struct plb_settings s;

    PLB_REQUIRE(PLB_OK == parse("bench run --size 2", &s));
    PLB_CHECK_STRING(s.command->name, "bench run");
    plb_settings_clear(&s);
}

/* The text that a printer gives, to be freed. */
static char *printed(const struct plb_command *command, bool man)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    if (man)
        plb_program_man(&program, "2026-01-01", out);
    else
        plb_program_help(&program, command, out);
    fclose(out);
    return text;
}

static void test_help(void)
{
    struct plb_settings s;
    char *all = printed(NULL, false), *one = printed(&commands[1], false);

    PLB_CHECK_CONTAINS(all, "bench run");
    PLB_CHECK_CONTAINS(one, "--size N");
    PLB_CHECK_CONTAINS(one, "PLB_TEST_SIZE");
    PLB_CHECK(strstr(one, "--rate") == NULL);
    free(all);
    free(one);
    PLB_REQUIRE(PLB_OK == parse("run --bogus --help", &s));
    PLB_CHECK(s.help);
    PLB_CHECK(s.command == &commands[0]);
    plb_settings_clear(&s);
}

/* Every option of every command stands in the manual page, with no line that troff would take for
 * a request. */
static void test_man(void)
{
    char *man = printed(NULL, true);

    for (int k = 0; k < OPTIONS; k++) {
        char flag[64];

        snprintf(flag, sizeof flag, ".B \\-\\-%s", options[k].name);
        PLB_CHECK_CONTAINS(man, flag);
    }
    PLB_CHECK_CONTAINS(man, ".SS bench run");
    PLB_CHECK(strstr(man, "--") == NULL);
    free(man);
}

PLB_TEST_MAIN("runtime/base/options", NULL, NULL, PLB_TEST(test_defaults), PLB_TEST(test_flags),
              PLB_TEST(test_environment), PLB_TEST(test_refusals), PLB_TEST(test_two_words),
              PLB_TEST(test_help), PLB_TEST(test_man))
