/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress bar.
 */
#include "config.h"

#include "frontends/cli/cli.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

/* Seconds between two drawings on a terminal, and between two lines elsewhere. */
#define TERMINAL_EVERY 0.1
#define LINE_EVERY 5.0
#define BAR 24

double cli_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void cli_progress_start(struct cli_progress *progress, bool on)
{
    *progress = (struct cli_progress){.on = on,
                                      .terminal = isatty(STDERR_FILENO),
                                      .start = cli_seconds()};
    progress->last = progress->start - LINE_EVERY;
}

static void draw_bar(double share)
{
    int full = (int)(share * BAR);

    fputc('[', stderr);
    for (int k = 0; k < BAR; k++)
        fputc(k < full ? '=' : k == full ? '>' : ' ', stderr);
    fprintf(stderr, "] %3.0f %% ", 100.0 * share);
}

static void draw_time(double left)
{
    if (left >= 1e6)
        fprintf(stderr, ", %.0f days left", left / 86400.0);
    else if (left >= 3600.0)
        fprintf(stderr, ", %d h %02d min left", (int)left / 3600, (int)left / 60 % 60);
    else if (left >= 60.0)
        fprintf(stderr, ", %d min %02d s left", (int)left / 60, (int)left % 60);
    else
        fprintf(stderr, ", %.0f s left", left);
}

void cli_progress_show(struct cli_progress *progress, double share, const char *format, ...)
{
    double now = cli_seconds();
    bool last = share >= 1.0;
    va_list arguments;

    if (!progress->on ||
        (!last && now - progress->last < (progress->terminal ? TERMINAL_EVERY : LINE_EVERY)))
        return;
    progress->last = now;
    if (progress->terminal) {
        fputs("\r\033[K", stderr);
        draw_bar(share);
    } else {
        fprintf(stderr, "%3.0f %% ", 100.0 * share);
    }
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (share > 0.0 && !last)
        draw_time((now - progress->start) * (1.0 - share) / share);
    if (!progress->terminal)
        fputc('\n', stderr);
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->on && progress->terminal)
        fputc('\n', stderr);
}
