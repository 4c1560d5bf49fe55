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
 * outputs that do; for the others the tier. What is read is a document of this kind, within bounds;
 * whether the plan is right is the checker's to say.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "runtime/plan/document.h"
#include "runtime/plan/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_FORMAT           "palombe plan 1"
#define PLAN_INSTRUCTIONS_MAX (1u << 24)

/* ---- writing ---- */

/* What an instruction, and the rest but for the head, take at most. */
#define INSTRUCTION_BYTES 48
#define FRAME_BYTES       64

static void write_instruction(struct plb__text *text, const struct plb_instruction *instruction)
{
    plb__text_add(text, "\n    [\"%s\", %" PRIu32, plb_opcode_name(instruction->code),
                  instruction->subject);
    if (instruction->code == PLB_RUN && (instruction->takes || instruction->tier != PLB_DEVICE))
        plb__text_add(text, ", %" PRIu32, instruction->takes);
    if (instruction->code != PLB_RUN || instruction->tier != PLB_DEVICE)
        plb__text_add(text, ", \"%s\"", plb_tier_name(instruction->tier));
    plb__text_add(text, "]");
}

static void write_plan(struct plb__text *text, const struct plb_plan *plan)
{
    plb__text_begin(text, PLAN_FORMAT, plan->policy, plan->fingerprint);
    plb__text_add(text, "\n  \"instructions\": [");
    for (uint32_t i = 0; i < plan->n; i++) {
        if (i > 0)
            plb__text_add(text, ",");
        write_instruction(text, &plan->instruction[i]);
    }
    plb__text_add(text, "\n  ]\n}\n");
}

static enum plb_status print_plan(const struct plb_plan *plan, struct plb__text *text_out)
{
    PLB_TRY(plb__text_create(PLB__DOCUMENT_HEAD + FRAME_BYTES + (size_t)plan->n * INSTRUCTION_BYTES,
                             text_out));
    write_plan(text_out, plan);
    return PLB_OK;
}

enum plb_status plb_plan_to_json(const struct plb_plan *plan, char **text_out)
{
    struct plb__text text;

    PLB_TRY(print_plan(plan, &text));
    *text_out = text.text;
    return PLB_OK;
}

enum plb_status plb_plan_save(const struct plb_plan *plan, const char *path)
{
    enum plb_status status;
    struct plb__text text;

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
    static const char not_one[] = "is not [code, subject] or [code, subject, detail]";
    struct plb_instruction instruction = {.tier = PLB_DEVICE};
    size_t n = json_array_size(json); /* 0 for what is no array */

    if (n < 2)
        return refuse(r, not_one);
    if (!read_code(json_array_get(json, 0), &instruction.code))
        return refuse(r, "has no known code");
    if (n > (instruction.code == PLB_RUN ? 4 : 3))
        return refuse(r, not_one);
    if (!plb__document_number(json_array_get(json, 1), &instruction.subject))
        return refuse(r, "has a subject that is no number of 32 bits");
    if (instruction.code == PLB_RUN) {
        if (n >= 3 && !plb__document_number(json_array_get(json, 2), &instruction.takes))
            return refuse(r, "takes over what is no mask of 32 bits");
        if (n == 4 && !read_tier(json_array_get(json, 3), &instruction.tier))
            return refuse(r, "names no known tier");
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

static enum plb_status read_plan(const json_t *json, const char *file, struct plb_plan *plan_out)
{
    const struct plb_json_object root = {json, file};
    struct plb_plan plan = {.policy = ""};
    enum plb_status status =
        plb__document_begin(&root, PLAN_FORMAT, plan.policy, &plan.fingerprint);

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

    if (bytes > PLB__DOCUMENT_BYTES_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "a plan of %zu bytes, more than the limit of %zu", bytes,
                        PLB__DOCUMENT_BYTES_MAX);
    PLB_TRY(plb_json_parse(text, bytes, "plan", &root));
    status = read_plan(root, "plan", plan_out);
    json_decref(root);
    return status;
}

enum plb_status plb_plan_load(const char *path, struct plb_plan *plan_out)
{
    enum plb_status status;
    json_t *root;

    PLB_TRY(plb_json_load(path, PLB__DOCUMENT_BYTES_MAX, &root));
    status = read_plan(root, path, plan_out);
    json_decref(root);
    return status;
}
