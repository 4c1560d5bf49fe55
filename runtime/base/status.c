/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status names and the per-thread error message.
 */
#include "config.h"

#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 1024

static _Thread_local char message[MESSAGE_BYTES];

const char *plb_status_name(enum plb_status status)
{
    switch (status) {
    case PLB_OK: return "success";
    case PLB_ERROR_INVALID: return "invalid argument";
    case PLB_ERROR_FORMAT: return "malformed input";
    case PLB_ERROR_IO: return "input or output failed";
    case PLB_ERROR_MEMORY: return "out of memory";
    case PLB_ERROR_UNAVAILABLE: return "not available here";
    case PLB_ERROR_DEVICE: return "device failure";
    case PLB_ERROR_INTERRUPTED: return "interrupted";
    case PLB_ERROR_INTERNAL: return "internal error";
    }
    return "unknown status";
}

const char *plb_error_message(void)
{
    return message;
}

enum plb_status plb_fail(enum plb_status status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status;
}

enum plb_status plb_fail_within(enum plb_status status, const char *format, ...)
{
    char inner[MESSAGE_BYTES];
    va_list arguments;
    size_t used;

    memcpy(inner, message, sizeof inner);
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    used = strlen(message);
    if (snprintf(message + used, sizeof message - used, ": %s", inner) < 0)
        message[used] = '\0';
    return status;
}

void plb_error_clear(void)
{
    message[0] = '\0';
}
