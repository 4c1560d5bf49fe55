/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a command line and the environment by a program's tables.
 */
#include "runtime/base/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_NAME 64u

/* ---- names ---- */

/* Edits (insertions, deletions, replacements) between two names, for "did you mean". */
static size_t edits(const char *a, const char *b)
{
    size_t row[LONGEST_NAME + 1], n = strlen(a), m = strlen(b);

    if (n > LONGEST_NAME || m > LONGEST_NAME)
        return LONGEST_NAME;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

/* Does the list of words hold this one? Words are separated by `separator`. */
static bool lists(const char *words, const char *word, char separator)
{
    size_t n = strlen(word);

    for (const char *at = words; at && *at;) {
        const char *end = strchr(at, separator);
        size_t length = end ? (size_t)(end - at) : strlen(at);

        if (length == n && strncmp(at, word, n) == 0)
            return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

bool plb_option_belongs(const struct plb_option *option, const struct plb_command *command)
{
    char name[LONGEST_NAME];

    snprintf(name, sizeof name, "%s", command->name);
    for (char *c = name; *c; c++)
        if (*c == ' ')
            *c = '-';
    return lists(option->commands, name, ' ');
}

/* ---- values ---- */

static enum plb_status check_integer(const struct plb_option *o, const char *source,
                                     const char *text)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return plb_fail(PLB_ERROR_INVALID, "%s wants a whole number, not '%s'", source, text);
    if ((double)value < o->low || (double)value > o->high)
        return plb_fail(PLB_ERROR_INVALID, "%s wants %.15g to %.15g, not %s", source, o->low,
                        o->high, text);
    return PLB_OK;
}

static enum plb_status check_number(const struct plb_option *o, const char *source,
                                    const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !isfinite(value))
        return plb_fail(PLB_ERROR_INVALID, "%s wants a number, not '%s'", source, text);
    if (value < o->low || value > o->high)
        return plb_fail(PLB_ERROR_INVALID, "%s wants %.15g to %.15g, not %s", source, o->low,
                        o->high, text);
    return PLB_OK;
}

static enum plb_status check_value(const struct plb_option *o, const char *source,
                                   const char *text)
{
    switch (o->type) {
    case PLB_OPTION_SWITCH:
        if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
            return plb_fail(PLB_ERROR_INVALID, "%s wants 0 or 1, not '%s'", source, text);
        return PLB_OK;
    case PLB_OPTION_INTEGER: return check_integer(o, source, text);
    case PLB_OPTION_NUMBER: return check_number(o, source, text);
    case PLB_OPTION_CHOICE:
        if (!lists(o->choices, text, ' '))
            return plb_fail(PLB_ERROR_INVALID, "%s wants one of: %s; not '%s'", source, o->choices,
                            text);
        return PLB_OK;
    case PLB_OPTION_TEXT: return PLB_OK;
    }
    return PLB_OK;
}

/* ---- the command line ---- */

static enum plb_status fail_command(const struct plb_program *program, const char *word)
{
    const char *nearest = NULL;
    size_t least = 3;

    for (int k = 0; k < program->n_commands; k++) {
        const char *name = program->command[k].name;
        size_t n = edits(name, word);

        if (strncmp(name, word, strlen(word)) == 0 && name[strlen(word)] == ' ')
            n = 0; /* the first of two words */
        if (n < least) {
            least = n;
            nearest = name;
        }
    }
    return plb_fail(PLB_ERROR_INVALID, "unknown command '%s'%s%s%s; see '%s --help'", word,
                    nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'" : "",
                    program->name);
}

/* The command that argv begins with; the longest name wins. `used_out`: its number of words. */
static enum plb_status find_command(const struct plb_program *program, int argc, char *const *argv,
                                    const struct plb_command **command_out, int *used_out)
{
    char two[2 * LONGEST_NAME];

    if (argc == 0)
        return plb_fail(PLB_ERROR_INVALID, "a command is missing; see '%s --help'", program->name);
    snprintf(two, sizeof two, "%s %s", argv[0], argc > 1 ? argv[1] : "");
    for (int words = 2; words > 0; words--) {
        for (int k = 0; k < program->n_commands; k++) {
            if (strcmp(program->command[k].name, words == 2 ? two : argv[0]) == 0) {
                *command_out = &program->command[k];
                *used_out = words;
                return PLB_OK;
            }
        }
    }
    return fail_command(program, argv[0]);
}

static enum plb_status fail_option(const struct plb_settings *s, const char *name, size_t length)
{
    char wrong[LONGEST_NAME];
    const char *nearest = NULL;
    size_t least = 3;

    snprintf(wrong, sizeof wrong, "%.*s", (int)length, name);
    for (int k = 0; k < s->program->n_options; k++) {
        const struct plb_option *o = &s->program->option[k];
        size_t n = edits(o->name, wrong);

        if (plb_option_belongs(o, s->command) && n < least) {
            least = n;
            nearest = o->name;
        }
    }
    return plb_fail(PLB_ERROR_INVALID, "%s has no option --%s%s%s; see '%s %s --help'",
                    s->command->name, wrong, nearest ? ", did you mean --" : "",
                    nearest ? nearest : "", s->program->name, s->command->name);
}

static int find_option(const struct plb_settings *s, const char *name, size_t length)
{
    for (int k = 0; k < s->program->n_options; k++) {
        const struct plb_option *o = &s->program->option[k];

        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0 &&
            plb_option_belongs(o, s->command))
            return k;
    }
    return -1;
}

/* Reads "--name", "--name=value" or "--name value"; `used_out`: the number of words. */
static enum plb_status read_flag(struct plb_settings *s, int argc, char *const *argv, int *used_out)
{
    const char *name = argv[0] + 2, *equals = strchr(name, '='), *text;
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    int k = find_option(s, name, length);
    char source[LONGEST_NAME + 3];

    if (k < 0)
        return fail_option(s, name, length);
    *used_out = 1;
    if (equals) {
        text = equals + 1;
    } else if (s->program->option[k].type == PLB_OPTION_SWITCH) {
        text = "1";
    } else if (argc < 2) {
        return plb_fail(PLB_ERROR_INVALID, "--%s wants a value (%s)", s->program->option[k].name,
                        s->program->option[k].argument);
    } else {
        text = argv[1];
        *used_out = 2;
    }
    snprintf(source, sizeof source, "--%s", s->program->option[k].name);
    PLB_TRY(check_value(&s->program->option[k], source, text));
    s->text[k] = text;
    s->given[k] = true;
    return PLB_OK;
}

static enum plb_status read_words(struct plb_settings *s, int argc, char *const *argv)
{
    bool only_arguments = false;

    for (int i = 0, used; i < argc; i += used) {
        used = 1;
        if (only_arguments || strncmp(argv[i], "--", 2) != 0) {
            if (s->n_arguments == s->command->most)
                return plb_fail(PLB_ERROR_INVALID, "%s does not know what to do with '%s'",
                                s->command->name, argv[i]);
            s->argument[s->n_arguments++] = argv[i];
        } else if (argv[i][2] == '\0') {
            only_arguments = true;
        } else {
            PLB_TRY(read_flag(s, argc - i, argv + i, &used));
        }
    }
    if (s->n_arguments < s->command->least)
        return plb_fail(PLB_ERROR_INVALID, "%s wants %s; see '%s %s --help'", s->command->name,
                        s->command->arguments, s->program->name, s->command->name);
    return PLB_OK;
}

static enum plb_status read_environment(struct plb_settings *s)
{
    for (int k = 0; k < s->program->n_options; k++) {
        const struct plb_option *o = &s->program->option[k];
        const char *text = o->environment ? getenv(o->environment) : NULL;

        s->text[k] = o->initial;
        if (!plb_option_belongs(o, s->command) || !text || !*text)
            continue;
        PLB_TRY(check_value(o, o->environment, text));
        s->text[k] = text;
        s->given[k] = true;
    }
    return PLB_OK;
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static enum plb_status parse(struct plb_settings *s, int argc, char *const *argv)
{
    int used = 0;

    if (asks_for_help(argc, argv)) {
        s->help = true;
        if (find_command(s->program, argc, argv, &s->command, &used) != PLB_OK)
            s->command = NULL; /* help of the program as a whole */
        return PLB_OK;
    }
    PLB_TRY(find_command(s->program, argc, argv, &s->command, &used));
    PLB_TRY(read_environment(s));
    return read_words(s, argc - used, argv + used);
}

enum plb_status plb_settings_parse(const struct plb_program *program, int argc, char *const *argv,
                                   struct plb_settings *settings_out)
{
    size_t n = (size_t)program->n_options + 1;
    struct plb_settings s = {.program = program,
                             .text = calloc(n, sizeof *s.text),
                             .given = calloc(n, sizeof *s.given)};
    enum plb_status status;

    if (s.text && s.given)
        status = parse(&s, argc, argv);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %zu options", n);
    if (status == PLB_OK)
        *settings_out = s;
    else
        plb_settings_clear(&s);
    return status;
}

void plb_settings_clear(struct plb_settings *settings)
{
    free(settings->text);
    free(settings->given);
    *settings = (struct plb_settings){0};
}

bool plb_settings_switch(const struct plb_settings *s, int k)
{
    return s->text[k] && strcmp(s->text[k], "1") == 0;
}

int64_t plb_settings_integer(const struct plb_settings *s, int k)
{
    return s->text[k] ? strtoll(s->text[k], NULL, 10) : 0;
}

double plb_settings_number(const struct plb_settings *s, int k)
{
    return s->text[k] ? strtod(s->text[k], NULL) : 0.0;
}

const char *plb_settings_text(const struct plb_settings *s, int k)
{
    return s->text[k];
}

bool plb_settings_given(const struct plb_settings *s, int k)
{
    return s->given[k];
}
