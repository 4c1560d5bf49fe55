/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading numbers of bytes and budgets, and writing the former.
 */
#include "runtime/base/bytes.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST_TEXT 40u

static const struct {
    const char *name;
    double bytes;
} units[] = {{"B", 1.0},      {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
             {"KiB", 1024.0}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};

static enum plb_status fail_bytes(const char *text)
{
    return plb_fail(PLB_ERROR_INVALID, "'%s' is no number of bytes (such as 600MB, 1.5GiB or 4096)",
                    text);
}

/* Bytes of a unit; 0 when there is none of that name. */
static double unit_bytes(const char *name)
{
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++)
        if (strcasecmp(units[k].name, name) == 0)
            return units[k].bytes;
    return 0.0;
}

/* A plain decimal number: no sign, no exponent, no hexadecimals, no "inf". `rest_out` is what
 * follows it and spaces. */
static bool read_number(const char *text, double *value_out, const char **rest_out)
{
    size_t digits = strspn(text, "0123456789.");
    char number[LONGEST_TEXT], *end;

    if (digits == 0 || digits >= sizeof number)
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    *value_out = strtod(number, &end);
    if (end != number + digits)
        return false;
    *rest_out = text + digits + strspn(text + digits, " ");
    return true;
}

enum plb_status plb_bytes_read(const char *text, size_t n, size_t *bytes_out)
{
    size_t length = strnlen(text, n < LONGEST_TEXT ? n : LONGEST_TEXT);
    char copy[LONGEST_TEXT + 1];
    const char *rest;
    double value, unit;

    memcpy(copy, text, length);
    copy[length] = '\0';
    if (length == LONGEST_TEXT || !read_number(copy, &value, &rest))
        return fail_bytes(copy);
    unit = *rest ? unit_bytes(rest) : 1.0;
    if (!(unit > 0.0))
        return fail_bytes(copy);
    value = floor(value * unit);
    if (!(value >= 1.0) || !(value < 0x1p63) || value >= (double)SIZE_MAX)
        return plb_fail(PLB_ERROR_INVALID, "'%s' is %s bytes", copy,
                        value >= 1.0 ? "too many" : "no");
    *bytes_out = (size_t)value;
    return PLB_OK;
}

struct plb_bytes_text plb_bytes_text(double bytes)
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    const size_t last = sizeof names / sizeof names[0] - 1;
    struct plb_bytes_text text;
    size_t k = 0;

    for (; bytes >= (k == 0 ? 1024.0 : 1023.95) && k < last; k++) /* never "1024.0 KiB" */
        bytes /= 1024.0;
    if (k == 0)
        snprintf(text.text, sizeof text.text, "%.0f %s", bytes, bytes == 1.0 ? "byte" : "bytes");
    else
        snprintf(text.text, sizeof text.text, "%.1f %s", bytes, names[k]);
    return text;
}

static enum plb_status fail_budget(const char *text)
{
    return plb_fail(PLB_ERROR_INVALID,
                    "'%s' is no budget of memory: a share is above 0 and at most 1 (such as 0.5), "
                    "bytes have a unit (such as 600MB or 1.5GiB)",
                    text);
}

enum plb_status plb_budget_read(const char *text, struct plb_budget *budget_out)
{
    struct plb_budget budget = {0};
    const char *rest;
    double value;

    if (text && *text) {
        if (!read_number(text, &value, &rest) || (*rest && !(unit_bytes(rest) > 0.0)))
            return fail_budget(text);
        if (!*rest && value > 0.0 && value <= 1.0)
            budget.share = value;
        else if (!*rest && (!(value > 0.0) || strchr(text, '.')))
            return fail_budget(text);
        else
            PLB_TRY(plb_bytes_read(text, SIZE_MAX, &budget.bytes));
    }
    *budget_out = budget;
    return PLB_OK;
}
