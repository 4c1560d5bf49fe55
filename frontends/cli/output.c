/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What commands print and write.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include "runtime/base/bytes.h"
#include "runtime/base/file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum plb_status cli_print_json(json_t *object)
{
    int failed;

    if (!object)
        return plb_fail(
            PLB_ERROR_MEMORY,
            "no memory for the output, or a name or number in it that JSON cannot hold");
    failed = json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (failed || putchar('\n') == EOF)
        return plb_fail(PLB_ERROR_IO, "standard output could not be written");
    return PLB_OK;
}

void cli_say(const struct plb_settings *settings, const char *format, ...)
{
    va_list arguments;

    if (plb_settings_switch(settings, OPTION_QUIET) || plb_settings_switch(settings, OPTION_JSON))
        return;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

enum plb_status cli_write_text(const char *directory, const char *name, const char *text)
{
    char *path = NULL;
    enum plb_status status;

    if (!directory)
        return plb_file_write_atomic(name, text, strlen(text));
    PLB_TRY(plb_file_join(directory, name, &path));
    status = plb_file_write_atomic(path, text, strlen(text));
    free(path);
    return status;
}

char *cli_print_flops(double flops, char *text, size_t size)
{
    static const char *const units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"};
    size_t k = 0;

    while (flops >= 1000.0 && k + 1 < sizeof units / sizeof units[0]) {
        flops /= 1000.0;
        k++;
    }
    snprintf(text, size, "%.3g %s", flops, units[k]);
    return text;
}

char *cli_print_bytes(double bytes, char *text, size_t size)
{
    snprintf(text, size, "%s", plb_bytes_text(bytes).text);
    return text;
}
