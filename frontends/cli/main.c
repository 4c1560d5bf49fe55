/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program: finds the command, runs it, turns its status into an exit status.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

static enum plb_status show_help(const struct plb_settings *settings)
{
    /* The date of the tables, for a page that is the same whenever it is made. */
    if (plb_settings_switch(settings, OPTION_MAN))
        plb_program_man(&cli_program, "2026-11-20", stdout);
    else
        plb_program_help(&cli_program, NULL, stdout);
    return PLB_OK;
}

static enum plb_status show_version(const struct plb_settings *settings)
{
    printf("%s %s\n", settings->program->name, settings->program->version);
    return PLB_OK;
}

static const struct {
    const char *name;
    enum plb_status (*run)(const struct plb_settings *settings);
} runs[] = {
    {"train", cli_train},
    {"generate", cli_generate},
    {"logits", cli_logits},
    {"graph", cli_graph},
    {"info", cli_info},
    {"doctor", cli_doctor},
    {"plan", cli_plan},
    {"compare", cli_compare},
    {"simulate", cli_simulate},
    {"bench train", cli_bench_train},
    {"bench generate", cli_bench_generate},
    {"bench replan", cli_bench_replan},
    {"help", show_help},
    {"version", show_version},
};

static enum plb_status run(const struct plb_settings *settings)
{
    for (size_t k = 0; k < sizeof runs / sizeof runs[0]; k++)
        if (strcmp(runs[k].name, settings->command->name) == 0)
            return runs[k].run(settings);
    return plb_fail(PLB_ERROR_INTERNAL, "command '%s' has no function", settings->command->name);
}

/* Output that could not be written is a failure, too (a full disk behind '>'). */
static enum plb_status flush(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return plb_fail(PLB_ERROR_IO, "standard output could not be written");
    return PLB_OK;
}

/* A standard stream that was closed by the caller would be the next file that is opened, and what
 * is printed would go into it. It becomes one that cannot be used. */
static bool open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct plb_settings settings;
    enum plb_status status;

    if (!open_standard_streams())
        return EXIT_FAILED;
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        argv[1] = "version";
    status = plb_settings_parse(&cli_program, argc - 1, argv + 1, &settings);
    if (status != PLB_OK) {
        fprintf(stderr, "palombe: %s\n", plb_error_message());
        return EXIT_USAGE;
    }
    if (settings.help)
        plb_program_help(&cli_program, settings.command, stdout);
    else
        status = run(&settings);
    if (status == PLB_OK)
        status = flush();
    plb_settings_clear(&settings);
    if (status == PLB_OK)
        return EXIT_OK;
    fprintf(stderr, "palombe: %s\n", plb_error_message());
    return status == PLB_ERROR_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_FAILED;
}
