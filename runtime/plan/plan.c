/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs of instructions, and the verdict on one: that it is right for its graph and keeps
 * limits.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "runtime/plan/walk.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_FIRST_CAPACITY 256u

const char *plb_opcode_name(enum plb_opcode code)
{
    static const char *const names[PLB_OPCODES] = {"run", "drop", "offload", "fetch"};

    return (unsigned)code < PLB_OPCODES ? names[code] : "?";
}

const char *plb_tier_name(enum plb_tier tier)
{
    static const char *const names[PLB_TIERS] = {"device", "host", "disk"};

    return (unsigned)tier < PLB_TIERS ? names[tier] : "?";
}

void plb_plan_clear(struct plb_plan *plan)
{
    free(plan->instruction);
    *plan = (struct plb_plan){0};
}

enum plb_status plb_plan_append(struct plb_plan *plan, struct plb_instruction instruction)
{
    if (plan->n == plan->capacity) {
        uint32_t capacity = plan->capacity ? 2 * plan->capacity : PLAN_FIRST_CAPACITY;
        struct plb_instruction *grown;

        if (capacity < plan->capacity)
            return plb_fail(PLB_ERROR_MEMORY, "a plan of more than %u instructions", plan->n);
        grown = realloc(plan->instruction, capacity * sizeof *grown);
        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %u instructions", capacity);
        plan->instruction = grown;
        plan->capacity = capacity;
    }
    plan->instruction[plan->n++] = instruction;
    return PLB_OK;
}

enum plb_status plb_plan_copy(const struct plb_plan *plan, struct plb_plan *copy_out)
{
    struct plb_plan copy = *plan;

    copy.capacity = plan->n + 1;
    copy.instruction = malloc(copy.capacity * sizeof *copy.instruction);
    if (!copy.instruction)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %u instructions", plan->n);
    if (plan->n > 0)
        memcpy(copy.instruction, plan->instruction, plan->n * sizeof *copy.instruction);
    *copy_out = copy;
    return PLB_OK;
}

struct plb_limits plb_limits_none(void)
{
    return (struct plb_limits){.bytes = {SIZE_MAX, 0, 0}};
}

static enum plb_status check_tier(const struct plb_plan *plan, const plb_graph_t *graph,
                                  const struct plb__walk *walk, const struct plb_limits *limits,
                                  enum plb_tier tier)
{
    const char *name = plb_tier_name(tier);
    size_t limit = limits->bytes[tier], over = walk->over_bytes[tier] - limit;
    uint32_t at = walk->over_at[tier];
    const struct plb_instruction *instruction;

    if (at == PLB_NONE)
        return PLB_OK;
    if (at == plan->n)
        return plb_fail(PLB_ERROR_INVALID,
                        "before the first instruction what is on the %s takes %s more than the "
                        "limit of %s",
                        name, plb_bytes_text((double)over).text,
                        plb_bytes_text((double)limit).text);
    instruction = &plan->instruction[at];
    if (limit == 0 && tier != PLB_DEVICE)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s of '%s': there is no %s here", at,
                        plb_opcode_name(instruction->code),
                        plb_graph_value(graph, instruction->subject)->name, name);
    return plb_fail(PLB_ERROR_INVALID,
                    "instruction %u (%s %s): copies on the %s take %s more than the limit of %s",
                    at, plb_opcode_name(instruction->code),
                    instruction->code == PLB_RUN
                        ? plb_graph_task(graph, instruction->subject)->name
                        : plb_graph_value(graph, instruction->subject)->name,
                    name, plb_bytes_text((double)over).text, plb_bytes_text((double)limit).text);
}

enum plb_status plb_plan_check(const struct plb_plan *plan, const plb_graph_t *graph,
                               const struct plb_limits *limits)
{
    const struct plb_limits none = plb_limits_none();
    struct plb__walk walk;
    enum plb_status status;

    if (!limits)
        limits = &none;
    PLB_TRY(plb__walk(plan, graph, limits, &walk));
    status = check_tier(plan, graph, &walk, limits, PLB_DEVICE);
    for (int tier = PLB_DEVICE + 1; status == PLB_OK && tier < PLB_TIERS; tier++)
        status = check_tier(plan, graph, &walk, limits, (enum plb_tier)tier);
    plb__walk_clear(&walk);
    return status;
}
