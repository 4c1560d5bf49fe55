/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans as JSON documents:
 *
 *   {
 *     "format": "palombe plan 1",
 *     "policy": "block",
 *     "graph": "0f1e2d3c4b5a6978",
 *     "instructions": [
 *       ["run", 0],
 *       ["run", 1, 2],
 *       ["offload", 7, "host"],
 *       ["drop", 7, "device"]
 *     ]
 *   }
 *
 * An instruction is its code, its subject and, for a RUN that takes over storage, the mask of the
 * outputs that do; for the others the tier. The graph's fingerprint is sixteen hexadecimal digits,
 * as JSON's numbers do not hold 64 bits. What is read is a document of this kind, within bounds;
 * whether the plan is right is the checker's to say.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/plan/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_FORMAT           "palombe plan 1"
#define PLAN_BYTES_MAX        ((size_t)256 << 20)
#define PLAN_INSTRUCTIONS_MAX (1u << 24)
#define FINGERPRINT_DIGITS    16

/* ---- writing ---- */

/* What an instruction, and the rest with the policy's name, take at most. */
#define INSTRUCTION_BYTES 48
#define FRAME_BYTES       320

struct text {
    char *text;
    size_t used, bytes;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    text->used +=
        (size_t)vsnprintf(text->text + text->used, text->bytes - text->used, format, arguments);
    va_end(arguments);
}

static void write_instruction(struct text *text, const struct plb_instruction *instruction)
{
    add(text, "\n    [\"%s\", %" PRIu32, plb_opcode_name(instruction->code), instruction->subject);
    if (instruction->code != PLB_RUN)
        add(text, ", \"%s\"", plb_tier_name(instruction->tier));
    else if (instruction->takes)
        add(text, ", %" PRIu32, instruction->takes);
    add(text, "]");
}

/* A policy's name may hold a path: what JSON has no plain letter for becomes a question mark. */
static void write_name(struct text *text, const char *name)
{
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            add(text, "\\");
        add(text, "%c", *name < ' ' || *name > '~' ? '?' : *name);
    }
}

static void write_plan(struct text *text, const struct plb_plan *plan)
{
    add(text, "{\n  \"format\": \"%s\",\n  \"policy\": \"", PLAN_FORMAT);
    write_name(text, plan->policy);
    add(text, "\",\n  \"graph\": \"%016" PRIx64 "\",\n  \"instructions\": [", plan->fingerprint);
    for (uint32_t i = 0; i < plan->n; i++) {
        if (i > 0)
            add(text, ",");
        write_instruction(text, &plan->instruction[i]);
    }
    add(text, "\n  ]\n}\n");
}

static enum plb_status print_plan(const struct plb_plan *plan, struct text *text_out)
{
    struct text text = {.bytes = FRAME_BYTES + (size_t)plan->n * INSTRUCTION_BYTES};

    text.text = malloc(text.bytes);
    if (!text.text)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the text of %u instructions", plan->n);
    write_plan(&text, plan);
    *text_out = text;
    return PLB_OK;
}

enum plb_status plb_plan_to_json(const struct plb_plan *plan, char **text_out)
{
    struct text text;

    PLB_TRY(print_plan(plan, &text));
    *text_out = text.text;
    return PLB_OK;
}

enum plb_status plb_plan_save(const struct plb_plan *plan, const char *path)
{
    enum plb_status status;
    struct text text;

    PLB_TRY(print_plan(plan, &text));
    status = plb_file_write_atomic(path, text.text, text.used);
    free(text.text);
    return status;
}

/* ---- reading ---- */

struct reader {
    const char *file;
    size_t position; /* of the instruction */
};

static enum plb_status refuse(const struct reader *r, const char *what)
{
    return plb_fail(PLB_ERROR_FORMAT, "%s: instruction %zu %s", r->file, r->position, what);
}

/* A number of 32 bits. */
static bool read_number(const json_t *json, uint32_t *number_out)
{
    json_int_t number = json_integer_value(json);

    if (!json_is_integer(json) || number < 0 || number > UINT32_MAX)
        return false;
    *number_out = (uint32_t)number;
    return true;
}

static bool read_code(const json_t *json, enum plb_opcode *code_out)
{
    const char *name = json_string_value(json);

    for (int code = 0; name && code < PLB_OPCODES; code++) {
        if (strcmp(name, plb_opcode_name((enum plb_opcode)code)) != 0)
            continue;
        *code_out = (enum plb_opcode)code;
        return true;
    }
    return false;
}

static bool read_tier(const json_t *json, enum plb_tier *tier_out)
{
    const char *name = json_string_value(json);

    for (int tier = 0; name && tier < PLB_TIERS; tier++) {
        if (strcmp(name, plb_tier_name((enum plb_tier)tier)) != 0)
            continue;
        *tier_out = (enum plb_tier)tier;
        return true;
    }
    return false;
}

static enum plb_status read_instruction(const struct reader *r, const json_t *json,
                                        struct plb_instruction *instruction_out)
{
    struct plb_instruction instruction = {.tier = PLB_DEVICE};
    size_t n = json_array_size(json); /* 0 for what is no array */

    if (n < 2 || n > 3)
        return refuse(r, "is not [code, subject] or [code, subject, detail]");
    if (!read_code(json_array_get(json, 0), &instruction.code))
        return refuse(r, "has no known code");
    if (!read_number(json_array_get(json, 1), &instruction.subject))
        return refuse(r, "has a subject that is no number of 32 bits");
    if (instruction.code == PLB_RUN) {
        if (n == 3 && !read_number(json_array_get(json, 2), &instruction.takes))
            return refuse(r, "takes over what is no mask of 32 bits");
    } else if (n < 3 || !read_tier(json_array_get(json, 2), &instruction.tier)) {
        return refuse(r, "names no known tier");
    }
    *instruction_out = instruction;
    return PLB_OK;
}

static enum plb_status read_instructions(const struct plb_json_object *root, struct plb_plan *plan)
{
    const json_t *list = NULL;
    struct reader r = {.file = root->file};

    PLB_TRY(plb_json_require(root, "instructions"));
    PLB_TRY(plb_json_array(root, "instructions", &list));
    if (json_array_size(list) > PLAN_INSTRUCTIONS_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: %zu instructions, more than the limit of %u",
                        root->file, json_array_size(list), PLAN_INSTRUCTIONS_MAX);
    for (; r.position < json_array_size(list); r.position++) {
        struct plb_instruction instruction;

        PLB_TRY(read_instruction(&r, json_array_get(list, r.position), &instruction));
        PLB_TRY(plb_plan_append(plan, instruction));
    }
    return PLB_OK;
}

static enum plb_status read_text(const struct plb_json_object *root, const char *key,
                                 const char **text_out)
{
    PLB_TRY(plb_json_require(root, key));
    return plb_json_string(root, key, text_out);
}

static enum plb_status read_head(const struct plb_json_object *root, struct plb_plan *plan)
{
    const char *format = NULL, *policy = NULL, *graph = NULL;

    PLB_TRY(read_text(root, "format", &format));
    if (strcmp(format, PLAN_FORMAT) != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"format\" is not \"%s\"", root->file, PLAN_FORMAT);
    PLB_TRY(read_text(root, "policy", &policy));
    if (strlen(policy) >= sizeof plan->policy)
        return plb_fail(PLB_ERROR_FORMAT, "%s: the policy's name has more than %zu letters",
                        root->file, sizeof plan->policy - 1);
    memcpy(plan->policy, policy, strlen(policy) + 1);
    PLB_TRY(read_text(root, "graph", &graph));
    if (strlen(graph) != FINGERPRINT_DIGITS ||
        strspn(graph, "0123456789abcdef") != FINGERPRINT_DIGITS)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"graph\" is not %d hexadecimal digits", root->file,
                        FINGERPRINT_DIGITS);
    plan->fingerprint = strtoull(graph, NULL, 16);
    return PLB_OK;
}

static enum plb_status read_plan(const json_t *json, const char *file, struct plb_plan *plan_out)
{
    const struct plb_json_object root = {json, file};
    struct plb_plan plan = {.policy = ""};
    enum plb_status status = read_head(&root, &plan);

    if (status == PLB_OK)
        status = read_instructions(&root, &plan);
    if (status == PLB_OK)
        *plan_out = plan;
    else
        plb_plan_clear(&plan);
    return status;
}

enum plb_status plb_plan_from_json(const char *text, size_t bytes, struct plb_plan *plan_out)
{
    enum plb_status status;
    json_t *root;

    if (bytes > PLAN_BYTES_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "a plan of %zu bytes, more than the limit of %zu", bytes,
                        PLAN_BYTES_MAX);
    PLB_TRY(plb_json_parse(text, bytes, "plan", &root));
    status = read_plan(root, "plan", plan_out);
    json_decref(root);
    return status;
}

enum plb_status plb_plan_load(const char *path, struct plb_plan *plan_out)
{
    enum plb_status status;
    json_t *root;

    PLB_TRY(plb_json_load(path, PLAN_BYTES_MAX, &root));
    status = read_plan(root, path, plan_out);
    json_decref(root);
    return status;
}
