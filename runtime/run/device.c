/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading the text of a device.
 */
#include "runtime/run/device_internal.h"

#include "runtime/base/bytes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Less than this holds no task of use, and StarPU counts its limits in these. */
#define LEAST_BYTES ((size_t)1 << 20)
/* More is a slip of the pen. */
#define MOST_BYTES ((size_t)1 << 46)
#define MOST_CARDS 255

/* A part of the text, "link=150MB/s". */
struct part {
    const char *text;
    size_t n;
};

static bool begins(struct part part, const char *prefix, struct part *rest_out)
{
    size_t n = strlen(prefix);

    if (part.n < n || memcmp(part.text, prefix, n) != 0)
        return false;
    *rest_out = (struct part){part.text + n, part.n - n};
    return true;
}

static bool equals(struct part part, const char *word)
{
    return part.n == strlen(word) && memcmp(part.text, word, part.n) == 0;
}

static enum plb_status read_size(struct part part, const char *whose, struct plb__device_wish *wish)
{
    PLB_TRY(plb_bytes_read(part.text, part.n, &wish->bytes));
    if (wish->bytes < LEAST_BYTES || wish->bytes > MOST_BYTES)
        return plb_fail(PLB_ERROR_INVALID, "a %s has from 1 MiB to 64 TiB of memory, not '%.*s'",
                        whose, (int)part.n, part.text);
    return PLB_OK;
}

static enum plb_status read_rate(struct part part, struct plb__device_wish *wish)
{
    size_t rate;

    if (part.n < 3 || memcmp(part.text + part.n - 2, "/s", 2) != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "link wants bytes per second, as in 'link=150MB/s', not "
                        "'%.*s'",
                        (int)part.n, part.text);
    PLB_TRY(plb_bytes_read(part.text, part.n - 2, &rate));
    wish->link.out_bytes_per_second = wish->link.in_bytes_per_second = (double)rate;
    return PLB_OK;
}

/* "20us", "1.5ms", "0.001s". */
static enum plb_status read_latency(struct part part, struct plb__device_wish *wish)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
    char text[32] = "", *end;
    double number;

    if (part.n < sizeof text)
        memcpy(text, part.text, part.n);
    number = strtod(text, &end);
    for (size_t k = 0; k < sizeof units / sizeof units[0] && end != text; k++) {
        if (strcmp(end, units[k].name) != 0 || !(number >= 0) || number * units[k].seconds > 1)
            continue;
        wish->link.latency_seconds = number * units[k].seconds;
        return PLB_OK;
    }
    return plb_fail(PLB_ERROR_INVALID,
                    "latency wants a time of at most a second, as in "
                    "'latency=20us', not '%.*s'",
                    (int)part.n, part.text);
}

static enum plb_status read_duplex(struct part part, struct plb__device_wish *wish)
{
    if (!equals(part, "full") && !equals(part, "half"))
        return plb_fail(PLB_ERROR_INVALID, "duplex is full or half, not '%.*s'", (int)part.n,
                        part.text);
    wish->link.duplex = equals(part, "full");
    return PLB_OK;
}

static enum plb_status read_option(struct part part, struct plb__device_wish *wish)
{
    struct part rest;

    if (begins(part, "link=", &rest))
        return read_rate(rest, wish);
    if (begins(part, "latency=", &rest))
        return read_latency(rest, wish);
    if (begins(part, "duplex=", &rest))
        return read_duplex(rest, wish);
    return plb_fail(PLB_ERROR_INVALID,
                    "a virtual device has no option '%.*s' (known: link=RATE/s, "
                    "latency=TIME, duplex=full|half)",
                    (int)part.n, part.text);
}

static enum plb_status read_virtual(const char *text, struct plb__device_wish *wish)
{
    struct part part = {text, strcspn(text, ",")};

    wish->kind = &plb__device_virtual;
    wish->link.duplex = true;
    PLB_TRY(read_size(part, "virtual device", wish));
    while (part.text[part.n] == ',') {
        part.text += part.n + 1;
        part.n = strcspn(part.text, ",");
        PLB_TRY(read_option(part, wish));
    }
    if (wish->link.latency_seconds > 0 && !(wish->link.out_bytes_per_second > 0))
        return plb_fail(PLB_ERROR_INVALID, "latency= needs a link= beside it");
    return PLB_OK;
}

/* ---- cards ---- */

static enum plb_status read_tf32(struct part part, struct plb__device_wish *wish)
{
    if (!equals(part, "on") && !equals(part, "off"))
        return plb_fail(PLB_ERROR_INVALID, "tf32 is on or off, not '%.*s'", (int)part.n, part.text);
    wish->tf32 = equals(part, "on");
    return PLB_OK;
}

static enum plb_status read_card_option(struct part part, struct plb__device_wish *wish)
{
    struct part rest;

    if (begins(part, "memory=", &rest))
        return read_size(rest, "CUDA card", wish);
    if (begins(part, "tf32=", &rest))
        return read_tf32(rest, wish);
    return plb_fail(PLB_ERROR_INVALID,
                    "a CUDA card has no option '%.*s' (known: memory=BYTES, tf32=on|off)",
                    (int)part.n, part.text);
}

/* ":1" */
static enum plb_status read_card_number(struct part *part, struct plb__device_wish *wish)
{
    char *end;
    long number;

    if (*part->text != ':')
        return PLB_OK;
    number = strtol(part->text + 1, &end, 10);
    if (part->text[1] < '0' || part->text[1] > '9' || (*end && *end != ',') || number > MOST_CARDS)
        return plb_fail(PLB_ERROR_INVALID, "a CUDA card has a number, as in 'cuda:0', not '%s'",
                        part->text + 1);
    wish->card = (int)number;
    part->text = end;
    return PLB_OK;
}

/* What follows "cuda". */
static enum plb_status read_cuda(const char *text, struct plb__device_wish *wish)
{
    struct part part = {text, 0};

    wish->kind = &plb__device_cuda;
    PLB_TRY(read_card_number(&part, wish));
    while (part.text[part.n] == ',') {
        part.text += part.n + 1;
        part.n = strcspn(part.text, ",");
        PLB_TRY(read_card_option(part, wish));
    }
    return PLB_OK;
}

/* Is this the text of a device of that name? What follows the name is in rest_out. */
static bool names(const char *text, const char *name, struct part *rest_out)
{
    return begins((struct part){text, strlen(text)}, name, rest_out) &&
           strchr(":,", *rest_out->text) != NULL;
}

/* What follows "cpu:". */
static enum plb_status read_group(struct part part, struct plb__device_wish *wish)
{
    char *end;
    long number = strtol(part.text, &end, 10);

    if (*part.text < '0' || *part.text > '9' || *end || number < 1 || number > STARPU_MAXCPUS)
        return plb_fail(PLB_ERROR_INVALID,
                        "a group of CPU workers has 1 to %d of them, as in 'cpu:2', not '%s'",
                        STARPU_MAXCPUS, part.text);
    wish->workers = (int)number;
    wish->group = true;
    return PLB_OK;
}

enum plb_status plb__device_read(const char *text, struct plb__device_wish *wish_out)
{
    struct plb__device_wish wish = {.kind = &plb__device_cpu};
    struct part rest;

    if (begins((struct part){text, strlen(text)}, "cpu:", &rest))
        PLB_TRY(read_group(rest, &wish));
    else if (begins((struct part){text, strlen(text)}, "virtual:", &rest))
        PLB_TRY(read_virtual(rest.text, &wish));
    else if (names(text, "cuda", &rest))
        PLB_TRY(read_cuda(rest.text, &wish));
    else if (strcmp(text, "cpu") != 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "there is no device '%s' (known: cpu[:WORKERS], "
                        "virtual:BYTES[,link=RATE/s], cuda[:CARD])",
                        text);
    *wish_out = wish;
    return PLB_OK;
}

/* ---- several ---- */

/* Length of the first device of a list: what has a '=' belongs to the device before it. */
static size_t first_of(const char *list)
{
    size_t n = strcspn(list, ",");

    while (list[n] == ',') {
        size_t next = strcspn(list + n + 1, ",");

        if (!memchr(list + n + 1, '=', next))
            break;
        n += 1 + next;
    }
    return n;
}

static enum plb_status check_list(const struct plb__device_wish *wish, uint32_t n)
{
    for (uint32_t k = 0; k < n && n > 1; k++) {
        if (wish[k].kind != wish[0].kind)
            return plb_fail(PLB_ERROR_INVALID,
                            "devices that work together are of one kind, not '%s' and '%s'",
                            wish[0].kind->name, wish[k].kind->name);
        if (wish[k].kind == &plb__device_cpu && !wish[k].group)
            return plb_fail(PLB_ERROR_INVALID,
                            "in a list of devices each group of CPU workers says how many they "
                            "are, as in 'cpu:1,cpu:1'");
    }
    return PLB_OK;
}

enum plb_status plb__devices_read(const char *text, struct plb__device_wish *wish_out,
                                  uint32_t *n_out)
{
    uint32_t n = 0;

    for (const char *at = text; at; n++) {
        char *one = strndup(at, first_of(at));
        enum plb_status status = PLB_OK;

        if (!one)
            return plb_fail(PLB_ERROR_MEMORY, "no memory to read the devices '%s'", text);
        at += strlen(one);
        at = *at ? at + 1 : NULL;
        if (n == PLB_DEVICES_MAX)
            status = plb_fail(PLB_ERROR_INVALID, "more than %d devices", PLB_DEVICES_MAX);
        else
            status = plb__device_read(one, &wish_out[n]);
        free(one);
        PLB_TRY(status);
    }
    *n_out = n;
    return check_list(wish_out, n);
}
