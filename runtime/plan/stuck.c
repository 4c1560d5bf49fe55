/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each instruction that cannot start is blamed on one that it waits for; following the blame ends
 * in a circle.
 */
#include "config.h"

#include "runtime/plan/stuck.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const struct plb__cast *cast;
    const struct plb__order *order;
    uint32_t *blamed; /* per instruction: one that it waits for, or PLB_NONE */
    uint32_t *end;    /* per carriage: its send, its receive */
};

static const struct plb__program *program_of(const struct search *s, uint32_t i)
{
    uint32_t low = 0, high = s->cast->n_programs;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (s->cast->program[middle].first <= i)
            low = middle;
        else
            high = middle;
    }
    return &s->cast->program[low];
}

static const struct plb_instruction *instruction_of(const struct search *s, uint32_t i)
{
    const struct plb__program *program = program_of(s, i);

    return &program->plan->instruction[i - program->first];
}

static uint32_t carriage_of(const struct search *s, uint32_t i)
{
    const struct plb__program *program = program_of(s, i);
    const struct plb_instruction *instruction = instruction_of(s, i);

    if (instruction->code != PLB_RUN || !program->carriage)
        return PLB_NONE;
    return program->carriage[instruction->subject];
}

static void find_ends(struct search *s)
{
    memset(s->end, 0xff, 2 * (size_t)s->cast->n_carriages * sizeof *s->end);
    for (uint32_t i = 0; i < s->order->n; i++) {
        uint32_t k = carriage_of(s, i);

        if (k != PLB_NONE)
            s->end[2 * k + (s->end[2 * k] != PLB_NONE)] = i;
    }
}

/* An instruction waits when one before it has not ended, or the other end of its carriage waits. */
static bool waits(const struct search *s, uint32_t i)
{
    uint32_t k = carriage_of(s, i);

    if (s->order->left[i] > 0)
        return true;
    return k != PLB_NONE && (s->order->left[s->end[2 * k]] || s->order->left[s->end[2 * k + 1]]);
}

static void blame(struct search *s)
{
    memset(s->blamed, 0xff, s->order->n * sizeof *s->blamed);
    for (uint32_t i = 0; i < s->order->n; i++) {
        uint32_t carriage = carriage_of(s, i);

        if (!waits(s, i))
            continue;
        if (s->order->left[i] == 0)
            s->blamed[i] = s->end[2 * carriage] == i ? s->end[2 * carriage + 1]
                                                     : s->end[2 * carriage];
        for (uint32_t k = s->order->successors[i]; k != PLB_NONE; k = s->order->link[k].next)
            s->blamed[s->order->link[k].instruction] = i;
    }
}

/* ---- what is told ---- */

/* Somewhere in a circle. */
static uint32_t enter_circle(const struct search *s)
{
    uint32_t at = 0;

    while (s->blamed[at] == PLB_NONE)
        at++;
    for (uint32_t steps = 0; steps < s->order->n; steps++)
        at = s->blamed[at];
    return at;
}

/* The next of the circle that computes at another place than `first`, else the next one. */
static uint32_t find_other(const struct search *s, uint32_t first)
{
    for (uint32_t at = s->blamed[first]; at != first; at = s->blamed[at])
        if (program_of(s, at) != program_of(s, first) && carriage_of(s, at) == PLB_NONE)
            return at;
    return s->blamed[first];
}

static uint32_t find_computing(const struct search *s, uint32_t first)
{
    for (uint32_t at = s->blamed[first]; at != first; at = s->blamed[at])
        if (carriage_of(s, at) == PLB_NONE && instruction_of(s, at)->code == PLB_RUN)
            return at;
    return first;
}

static const char *subject_of(const struct search *s, uint32_t i)
{
    const struct plb_instruction *instruction = instruction_of(s, i);
    const plb_graph_t *graph = program_of(s, i)->graph;

    return instruction->code == PLB_RUN ? plb_graph_task(graph, instruction->subject)->name
                                        : plb_graph_value(graph, instruction->subject)->name;
}

static enum plb_status tell(const struct search *s)
{
    uint32_t a = find_computing(s, enter_circle(s)), b = find_other(s, a);
    const struct plb__program *of_a = program_of(s, a), *of_b = program_of(s, b);

    return plb_fail(PLB_ERROR_INVALID,
                    "places wait for each other for ever: %s at instruction %u (%s %s), %s at "
                    "instruction %u (%s %s)",
                    of_a->name ? of_a->name : "the device", a - of_a->first,
                    plb_opcode_name(instruction_of(s, a)->code), subject_of(s, a),
                    of_b->name ? of_b->name : "the device", b - of_b->first,
                    plb_opcode_name(instruction_of(s, b)->code), subject_of(s, b));
}

enum plb_status plb__stuck(const struct plb__cast *cast, const struct plb__order *order)
{
    struct search s = {.cast = cast, .order = order};
    enum plb_status status;

    s.blamed = malloc(((size_t)order->n + 1) * sizeof *s.blamed);
    s.end = malloc((2 * (size_t)cast->n_carriages + 1) * sizeof *s.end);
    if (s.blamed && s.end) {
        find_ends(&s);
        blame(&s);
        status = tell(&s);
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to see why %u instructions cannot end",
                          order->n);
    }
    free(s.blamed);
    free(s.end);
    return status;
}
