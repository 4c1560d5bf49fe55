/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of a program: one row each.
 *
 * A program describes its commands and options in tables. From a row come the flag of the command
 * line, the environment variable, the line of --help and the paragraph of the man page, so that
 * they cannot differ. A flag wins over the environment, the environment over the default.
 *
 * Thread-safety: tables are constant; a struct plb_settings belongs to one thread.
 */
#ifndef PLB_BASE_OPTIONS_H
#define PLB_BASE_OPTIONS_H

#include "runtime/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plb_option_type {
    PLB_OPTION_SWITCH,  /* --name; in the environment 1 or 0 */
    PLB_OPTION_INTEGER, /* within low and high */
    PLB_OPTION_NUMBER,  /* within low and high */
    PLB_OPTION_TEXT,
    PLB_OPTION_CHOICE,  /* one of `choices` */
};

struct plb_option {
    const char *name;        /* "batch": the flag --batch */
    const char *environment; /* "PALOMBE_BATCH"; NULL for none */
    enum plb_option_type type;
    const char *argument;    /* what --help calls it: "N"; NULL for a switch */
    const char *initial;     /* default as text; NULL for none */
    double low, high;        /* of integers and numbers, inclusive */
    const char *choices;     /* "f32 bf16" */
    const char *commands;    /* the commands that take it, separated by spaces; a space within a
                                command's name is written '-' */
    const char *help;
};

struct plb_command {
    const char *name;      /* "train", "bench train" */
    const char *arguments; /* what follows the options: "DIR"; "" for nothing */
    int least, most;       /* number of arguments */
    const char *help;      /* one line */
    const char *example;   /* a command line without the program's name, or NULL */
};

struct plb_program {
    const char *name, *version, *summary;
    int n_commands, n_options;
    const struct plb_command *command;
    const struct plb_option *option;
};

/* Most arguments that a command can take. */
#define PLB_ARGUMENTS_MAX 16

/* What a command line came to. Texts point into argv, the environment or the tables. */
struct plb_settings {
    const struct plb_program *program;
    const struct plb_command *command;
    const char **text; /* per option: its text, NULL where nothing gives one */
    bool *given;       /* per option: by flag or environment, not by default */
    int n_arguments;
    const char *argument[PLB_ARGUMENTS_MAX];
    bool help;         /* --help was given; nothing else was checked */
};

bool plb_option_belongs(const struct plb_option *option, const struct plb_command *command);

/* Reads argv (without the program's name). PLB_ERROR_INVALID: an unknown command or option (with
 * the nearest known name), a missing or superfluous argument, a value that does not parse or is out
 * of range, from the command line or the environment. To be freed by plb_settings_clear(). */
enum plb_status plb_settings_parse(const struct plb_program *program, int argc, char *const *argv,
                                   struct plb_settings *settings_out);
void plb_settings_clear(struct plb_settings *settings);

/* Values of option number k, checked while parsing. A switch or number that nothing sets is 0, a
 * text NULL. */
bool plb_settings_switch(const struct plb_settings *settings, int k);
int64_t plb_settings_integer(const struct plb_settings *settings, int k);
double plb_settings_number(const struct plb_settings *settings, int k);
const char *plb_settings_text(const struct plb_settings *settings, int k);
bool plb_settings_given(const struct plb_settings *settings, int k);

/* --help of the program (command NULL) or of one command. */
void plb_program_help(const struct plb_program *program, const struct plb_command *command,
                      FILE *out);
/* The man page in troff's man macros; `date` as YYYY-MM-DD. */
void plb_program_man(const struct plb_program *program, const char *date, FILE *out);

#ifdef __cplusplus
}
#endif

#endif
