/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports to the application.
 */
#include "config.h"

#include "runtime/base/report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES 1024

static struct {
    pthread_mutex_t lock;
    void (*report)(const char *line, void *argument);
    void *argument;
} to = {.lock = PTHREAD_MUTEX_INITIALIZER};

void plb_report_to(void (*report)(const char *line, void *argument), void *argument)
{
    pthread_mutex_lock(&to.lock);
    to.report = report;
    to.argument = argument;
    pthread_mutex_unlock(&to.lock);
}

void plb_report(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&to.lock);
    if (to.report)
        to.report(line, to.argument);
    else
        fprintf(stderr, "palombe: %s\n", line);
    pthread_mutex_unlock(&to.lock);
}
