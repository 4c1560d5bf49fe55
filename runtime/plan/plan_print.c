/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans as lines for people. Names come from the graph, so the plan must be one for it; numbers
 * that the graph does not have print as such.
 */
#include "config.h"

#include "runtime/plan/plan.h"

#include <errno.h>
#include <string.h>

#define CODE_WIDTH 8

static void print_taken(const struct plb_task *task, uint32_t takes, FILE *file)
{
    const char *separator = "  in the place of ";

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;

        if (!(takes & (1u << k)) || from < 0)
            continue;
        fprintf(file, "%s%s", separator, task->op->in[from].name);
        separator = ", ";
    }
}

static void print_run(const struct plb_instruction *instruction, const plb_graph_t *graph,
                      FILE *file)
{
    const struct plb_task *task = plb_graph_task(graph, instruction->subject);

    if (!task) {
        fprintf(file, "task %u", instruction->subject);
        return;
    }
    fputs(task->name, file);
    print_taken(task, instruction->takes, file);
    if (instruction->tier != PLB_DEVICE)
        fprintf(file, "  on the %s", plb_tier_name(instruction->tier));
}

static void print_copy(const struct plb_instruction *instruction, const plb_graph_t *graph,
                       FILE *file)
{
    static const char *const preposition[PLB_OPCODES] = {
        [PLB_DROP] = "on the", [PLB_OFFLOAD] = "to the", [PLB_FETCH] = "from the"};
    const struct plb_value_info *info = plb_graph_value(graph, instruction->subject);
    char type[64];

    if (info->type.shape.rank == 0) {
        fprintf(file, "value %u", instruction->subject);
    } else {
        plb_type_print(&info->type, type, sizeof type);
        fprintf(file, "%s  %s", info->name, type);
    }
    if (instruction->code != PLB_DROP || instruction->tier != PLB_DEVICE)
        fprintf(file, "  %s %s", preposition[instruction->code], plb_tier_name(instruction->tier));
}

enum plb_status plb_plan_print(const struct plb_plan *plan, const plb_graph_t *graph, FILE *file)
{
    int width = snprintf(NULL, 0, "%u", plan->n);

    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_instruction *instruction = &plan->instruction[i];

        fprintf(file, "%*u  %-*s", width, i, CODE_WIDTH, plb_opcode_name(instruction->code));
        if (instruction->code == PLB_RUN)
            print_run(instruction, graph, file);
        else if ((unsigned)instruction->code < PLB_OPCODES)
            print_copy(instruction, graph, file);
        fputc('\n', file);
    }
    if (fflush(file) != 0 || ferror(file))
        return plb_fail(PLB_ERROR_IO, "printing a plan: %s", strerror(errno));
    return PLB_OK;
}
