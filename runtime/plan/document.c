/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Documents of plans: see document.h. The graph's fingerprint is sixteen hexadecimal digits, as
 * JSON's numbers do not hold 64 bits.
 */
#include "config.h"

#include "runtime/plan/document.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINGERPRINT_DIGITS 16

/* ---- writing ---- */

enum plb_status plb__text_create(size_t bytes, struct plb__text *text_out)
{
    struct plb__text text = {malloc(bytes), 0, bytes};

    if (!text.text)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a text of %zu bytes", bytes);
    *text_out = text;
    return PLB_OK;
}

void plb__text_add(struct plb__text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    text->used +=
        (size_t)vsnprintf(text->text + text->used, text->bytes - text->used, format, arguments);
    va_end(arguments);
}

/* A policy's name may hold a path: what JSON has no plain letter for becomes a question mark. */
static void add_name(struct plb__text *text, const char *name)
{
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            plb__text_add(text, "\\");
        plb__text_add(text, "%c", *name < ' ' || *name > '~' ? '?' : *name);
    }
}

void plb__text_begin(struct plb__text *text, const char *format, const char *policy,
                     uint64_t fingerprint)
{
    plb__text_add(text, "{\n  \"format\": \"%s\",\n  \"policy\": \"", format);
    add_name(text, policy);
    plb__text_add(text, "\",\n  \"graph\": \"%016" PRIx64 "\",", fingerprint);
}

/* ---- reading ---- */

static enum plb_status read_text(const struct plb_json_object *root, const char *key,
                                 const char **text_out)
{
    PLB_TRY(plb_json_require(root, key));
    return plb_json_string(root, key, text_out);
}

enum plb_status plb__document_begin(const struct plb_json_object *root, const char *format,
                                    char policy_out[PLB__POLICY_NAME], uint64_t *fingerprint_out)
{
    const char *named = NULL, *policy = NULL, *graph = NULL;

    PLB_TRY(read_text(root, "format", &named));
    if (strcmp(named, format) != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"format\" is not \"%s\"", root->file, format);
    PLB_TRY(read_text(root, "policy", &policy));
    if (strlen(policy) >= PLB__POLICY_NAME)
        return plb_fail(PLB_ERROR_FORMAT, "%s: the policy's name has more than %d letters",
                        root->file, PLB__POLICY_NAME - 1);
    PLB_TRY(read_text(root, "graph", &graph));
    if (strlen(graph) != FINGERPRINT_DIGITS ||
        strspn(graph, "0123456789abcdef") != FINGERPRINT_DIGITS)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"graph\" is not %d hexadecimal digits", root->file,
                        FINGERPRINT_DIGITS);
    memcpy(policy_out, policy, strlen(policy) + 1);
    *fingerprint_out = strtoull(graph, NULL, 16);
    return PLB_OK;
}

bool plb__document_number(const json_t *json, uint32_t *number_out)
{
    json_int_t number = json_integer_value(json);

    if (!json_is_integer(json) || number < 0 || number > UINT32_MAX)
        return false;
    *number_out = (uint32_t)number;
    return true;
}
