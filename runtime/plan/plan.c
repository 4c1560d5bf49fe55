/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs of instructions, and the proof that one is right for its graph.
 */
#include "runtime/plan/plan.h"

#include <stdlib.h>

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

/*
 * The checker plays the program with one fact per value: the initial value in whose storage it
 * lies (ABSENT when it does not exist, TRANSIENT when in storage of its own).
 */
#define ABSENT (PLB_NONE - 1)
#define TRANSIENT PLB_NONE

struct checker {
    const plb_graph_t *graph;
    uint32_t *home;
    uint32_t position;
};

static const char *name_of(const struct checker *c, plb_value value)
{
    return plb_graph_value(c->graph, value)->name;
}

/* The input operand whose storage output k takes over. */
static int shared_operand(const struct plb_task *task, int k)
{
    return task->op->out[k].shares - 1;
}

static enum plb_status check_takes(struct checker *c, const struct plb_task *task, int k)
{
    int from = shared_operand(task, k);
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];

    if (from < 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: output '%s' of %s may not take over any input's storage",
                        c->position, task->op->out[k].name, task->name);
    if (task->in_start[from + 1] - task->in_start[from] != cells)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: %s has another number of cells in '%s' than in '%s'",
                        c->position, task->name, task->op->in[from].name, task->op->out[k].name);
    for (uint32_t j = 0; j < cells; j++) {
        plb_value in = task->in[task->in_start[from] + j];
        plb_value out = task->out[task->out_start[k] + j];

        if (c->home[in] == ABSENT)
            return plb_fail(PLB_ERROR_INVALID,
                            "instruction %u: %s takes over '%s', whose storage is already taken",
                            c->position, task->name, name_of(c, in));
        if (plb_type_bytes(&plb_graph_value(c->graph, in)->type) !=
            plb_type_bytes(&plb_graph_value(c->graph, out)->type))
            return plb_fail(PLB_ERROR_INVALID,
                            "instruction %u: '%s' does not fit exactly into the storage of '%s'",
                            c->position, name_of(c, out), name_of(c, in));
        c->home[out] = c->home[in];
        c->home[in] = ABSENT;
    }
    return PLB_OK;
}

static enum plb_status check_run(struct checker *c, const struct plb_instruction *instruction)
{
    const struct plb_task *task;

    if (instruction->subject >= plb_graph_tasks(c->graph))
        return plb_fail(PLB_ERROR_INVALID, "instruction %u runs task %u of %u", c->position,
                        instruction->subject, plb_graph_tasks(c->graph));
    task = plb_graph_task(c->graph, instruction->subject);
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (c->home[task->in[j]] == ABSENT)
            return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s reads '%s', which is not there",
                            c->position, task->name, name_of(c, task->in[j]));
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        if (c->home[task->out[j]] != ABSENT)
            return plb_fail(PLB_ERROR_INVALID,
                            "instruction %u: %s makes '%s', which is there already", c->position,
                            task->name, name_of(c, task->out[j]));
    if (task->n_out < 32 && instruction->takes >> task->n_out)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s has no output %d", c->position,
                        task->name, task->n_out);
    for (int k = 0; k < task->n_out; k++) {
        if (instruction->takes & (1u << k)) {
            PLB_TRY(check_takes(c, task, k));
            continue;
        }
        for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++)
            c->home[task->out[j]] = TRANSIENT;
    }
    return PLB_OK;
}

static enum plb_status check_drop(struct checker *c, plb_value value)
{
    if (value >= plb_graph_values(c->graph))
        return plb_fail(PLB_ERROR_INVALID, "instruction %u drops value %u of %u", c->position,
                        value, plb_graph_values(c->graph));
    if (c->home[value] == ABSENT)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u drops '%s', which is not there",
                        c->position, name_of(c, value));
    if (c->home[value] != TRANSIENT)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u drops '%s', which lives on from step to step", c->position,
                        name_of(c, value));
    c->home[value] = ABSENT;
    return PLB_OK;
}

static enum plb_status check_end(const struct checker *c)
{
    for (plb_value v = 0; v < plb_graph_values(c->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(c->graph, v);

        if (info->producer == PLB_NONE) {
            plb_value last = info->next == PLB_NONE ? v : info->next;

            if (c->home[last] != v)
                return plb_fail(PLB_ERROR_INVALID,
                                "at the end '%s' does not lie in the storage of '%s'",
                                name_of(c, last), info->name);
        } else if (info->output && c->home[v] == ABSENT) {
            return plb_fail(PLB_ERROR_INVALID, "at the end the output '%s' is not there",
                            info->name);
        } else if (!info->output && c->home[v] == TRANSIENT) {
            return plb_fail(PLB_ERROR_INVALID, "at the end '%s' was not dropped", info->name);
        }
    }
    return PLB_OK;
}

static enum plb_status check_program(const struct plb_plan *plan, struct checker *c)
{
    for (plb_value v = 0; v < plb_graph_values(c->graph); v++)
        c->home[v] = plb_graph_value(c->graph, v)->producer == PLB_NONE ? v : ABSENT;
    for (c->position = 0; c->position < plan->n; c->position++) {
        const struct plb_instruction *instruction = &plan->instruction[c->position];

        switch (instruction->code) {
        case PLB_RUN: PLB_TRY(check_run(c, instruction)); break;
        case PLB_DROP: PLB_TRY(check_drop(c, instruction->subject)); break;
        default:
            return plb_fail(PLB_ERROR_INVALID, "instruction %u has the unknown code %d",
                            c->position, (int)instruction->code);
        }
    }
    return check_end(c);
}

struct plb_limits plb_limits_none(void)
{
    return (struct plb_limits){.bytes = {SIZE_MAX, 0, 0}};
}

enum plb_status plb_plan_check(const struct plb_plan *plan, const plb_graph_t *graph,
                               const struct plb_limits *limits)
{
    struct checker checker = {.graph = graph};
    enum plb_status status;

    (void)limits;
    if (plan->fingerprint != plb_graph_fingerprint(graph))
        return plb_fail(PLB_ERROR_INVALID, "the plan was made for another graph");
    checker.home = malloc((plb_graph_values(graph) + 1) * sizeof *checker.home);
    if (!checker.home)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to check a plan");
    status = check_program(plan, &checker);
    free(checker.home);
    return status;
}
