/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --help and the man page from a program's tables.
 */
#include "runtime/base/options.h"


static void print_option(const struct plb_option *o, FILE *out)
{
    char flag[80];

    snprintf(flag, sizeof flag, "--%s%s%s", o->name, o->argument ? " " : "",
             o->argument ? o->argument : "");
    fprintf(out, "  %-26s %s", flag, o->help);
    if (o->choices)
        fprintf(out, " (%s)", o->choices);
    if (o->initial && o->type != PLB_OPTION_SWITCH)
        fprintf(out, " [%s]", o->initial);
    fputc('\n', out);
    if (o->environment)
        fprintf(out, "  %-26s environment: %s\n", "", o->environment);
}

static void print_command_help(const struct plb_program *program, const struct plb_command *command,
                               FILE *out)
{
    fprintf(out, "%s %s %s [options]\n%s\n\nOptions:\n", program->name, command->name,
            command->arguments, command->help);
    for (int k = 0; k < program->n_options; k++)
        if (plb_option_belongs(&program->option[k], command))
            print_option(&program->option[k], out);
    fprintf(out, "  %-26s this text\n", "--help");
    if (command->example)
        fprintf(out, "\nExample:\n  %s %s\n", program->name, command->example);
}

void plb_program_help(const struct plb_program *program, const struct plb_command *command,
                      FILE *out)
{
    if (command) {
        print_command_help(program, command, out);
        return;
    }
    fprintf(out, "%s %s: %s\n\nCommands:\n", program->name, program->version, program->summary);
    for (int k = 0; k < program->n_commands; k++)
        fprintf(out, "  %-16s %s\n", program->command[k].name, program->command[k].help);
    fprintf(out, "\n'%s COMMAND --help' shows the options of a command.\n", program->name);
}

/* troff takes '-' for a hyphen, '\\' for an escape, and a dot or quote first in a line for a
 * request. */
static void put_troff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputs(*text == '-' ? "\\-" : "\\e", out);
        else
            fputc(*text, out);
    }
}

static void man_option(const struct plb_option *o, FILE *out)
{
    fputs(".TP\n.B \\-\\-", out);
    put_troff(out, o->name);
    if (o->argument)
        fprintf(out, " \\fI%s\\fR", o->argument);
    fputc('\n', out);
    put_troff(out, o->help);
    fputs(".\n", out);
    if (o->choices)
        fprintf(out, "One of: %s.\n", o->choices);
    if (o->initial && o->type != PLB_OPTION_SWITCH) {
        fputs("Default: ", out);
        put_troff(out, o->initial);
        fputs(".\n", out);
    }
    if (o->environment)
        fprintf(out, "Environment: \\fB%s\\fR.\n", o->environment);
}

static void man_command(const struct plb_program *program, const struct plb_command *command,
                        FILE *out)
{
    fprintf(out, ".SS %s %s\n", command->name, command->arguments);
    put_troff(out, command->help);
    fputs(".\n", out);
    for (int k = 0; k < program->n_options; k++)
        if (plb_option_belongs(&program->option[k], command))
            man_option(&program->option[k], out);
    if (!command->example)
        return;
    fprintf(out, ".PP\nExample:\n.RS\n.nf\n%s ", program->name);
    put_troff(out, command->example);
    fputs("\n.fi\n.RE\n", out);
}

void plb_program_man(const struct plb_program *program, const char *date, FILE *out)
{
    fprintf(out, ".TH %s 1 %s \"%s %s\" \"User Commands\"\n.SH NAME\n%s \\- ", program->name, date,
            program->name, program->version, program->name);
    put_troff(out, program->summary);
    fprintf(out, "\n.SH SYNOPSIS\n.B %s\n.I COMMAND\n[\\fIoptions\\fR]\n.SH DESCRIPTION\n",
            program->name);
    fputs("Every option is a flag and, where said, an environment variable; the flag wins.\n"
          ".SH COMMANDS\n",
          out);
    for (int k = 0; k < program->n_commands; k++)
        man_command(program, &program->command[k], out);
    fputs(".SH EXIT STATUS\n0 on success, 1 on failure, 2 for a command line that is wrong, 130 "
          "when interrupted.\n",
          out);
}
