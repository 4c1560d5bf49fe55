/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several instructions that wait for the same bytes, without waiting for each other.
 *
 * An instruction waits for the users of a range by taking its token for writing, which is right for
 * one: of two, the later would wait for the end of the earlier, too, although each only needs the
 * range to be free (a fetch would begin when a task ends that it has nothing to do with). So where
 * several wait for a slot, a *gate* takes the token: a launch without work, which ends when the
 * users of the range have ended. It writes a token of its own, which those that wait read.
 *
 * A gate stands before the first that waits after the slot's end. Those that stand before the
 * slot's beginning wait for its users of the step before, whose gate was submitted then; where there
 * are only such, the gate stands before the first of them.
 */
#include "config.h"

#include "runtime/run/run_internal.h"

#include <stdlib.h>
#include <string.h>

/* Who waits for a slot by a token that it does not use anyway. */
struct waiting {
    uint32_t n;
    uint32_t first;       /* the instruction, PLB_NONE: none */
    uint32_t first_after; /* ... after the slot has begun */
    bool matters;         /* one of them would be held up for nothing */
};

/* Marks the ranges that instruction i uses itself with i + 1. */
static void mark_own(const struct plb__program *p, uint32_t i, uint32_t *mark)
{
    const struct plb_layout *layout = &p->layout;

    for (uint32_t j = layout->in_operand[i]; j < layout->in_operand[i + 1]; j++)
        if (p->range_of_slot[layout->operand[j]] != PLB_NONE)
            mark[p->range_of_slot[layout->operand[j]]] = i + 1;
}

/* On one worker tasks run in the plan's order, whatever they wait for. */
static bool is_held_up(const struct plb__program *p, uint32_t i)
{
    return p->plan.instruction[i].code != PLB_RUN ||
           p->plan.instruction[i].tier != PLB_DEVICE || p->session->device->workers > 1;
}

static void note_waits(const struct plb__program *p, uint32_t i, const uint32_t *mark,
                       struct waiting *waiting)
{
    const struct plb_layout *layout = &p->layout;

    for (uint32_t j = layout->in_wait[i]; j < layout->in_wait[i + 1]; j++) {
        uint32_t slot = layout->wait[j];
        struct waiting *w = &waiting[slot];

        if (p->range_of_slot[slot] == PLB_NONE || mark[p->range_of_slot[slot]] == i + 1)
            continue;
        w->n++;
        w->matters |= is_held_up(p, i);
        if (w->first == PLB_NONE)
            w->first = i;
        if (w->first_after == PLB_NONE && layout->slot[slot].begin <= i)
            w->first_after = i;
    }
}

static void find_waiting(const struct plb__program *p, uint32_t *mark, struct waiting *waiting)
{
    for (uint32_t k = 0; k < p->layout.n_slots; k++)
        waiting[k] = (struct waiting){.first = PLB_NONE, .first_after = PLB_NONE};
    for (uint32_t i = 0; i < p->plan.n; i++) {
        if (p->plan.instruction[i].code == PLB_DROP)
            continue;
        mark_own(p, i, mark);
        note_waits(p, i, mark, waiting);
    }
}

static int by_instruction(const void *first, const void *second)
{
    const struct plb__gate *a = first, *b = second;

    if (a->before != b->before)
        return a->before < b->before ? -1 : 1;
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

static bool wants_gate(const struct waiting *w)
{
    return w->n > 1 && w->matters;
}

static enum plb_status build(struct plb__program *p, const struct waiting *waiting)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < p->layout.n_slots; k++)
        n += wants_gate(&waiting[k]);
    p->gate = calloc((size_t)n + 1, sizeof *p->gate);
    if (!p->gate)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u gates", n);
    for (uint32_t k = 0; k < p->layout.n_slots; k++) {
        const struct waiting *w = &waiting[k];
        struct plb__gate *gate = &p->gate[p->n_gates];

        if (!wants_gate(w))
            continue;
        gate->slot = k;
        gate->before = w->first_after != PLB_NONE ? w->first_after : w->first;
        PLB_TRY(plb__token_take(&p->session->tokens, &gate->passed));
        p->n_gates++;
    }
    qsort(p->gate, p->n_gates, sizeof *p->gate, by_instruction);
    for (uint32_t g = 0; g < p->n_gates; g++)
        p->gate_of_slot[p->gate[g].slot] = g;
    return PLB_OK;
}

enum plb_status plb__gates_make(struct plb__program *p)
{
    size_t n = (size_t)p->layout.n_slots + 1;
    struct waiting *waiting = malloc(n * sizeof *waiting);
    uint32_t *mark = calloc((size_t)p->n_ranges + 1, sizeof *mark);
    enum plb_status status = PLB_OK;

    p->gate_of_slot = malloc(n * sizeof *p->gate_of_slot);
    if (!waiting || !mark || !p->gate_of_slot) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to order %zu slots", n - 1);
    } else {
        memset(p->gate_of_slot, 0xff, n * sizeof *p->gate_of_slot);
        find_waiting(p, mark, waiting);
        if (!p->session->managed) /* StarPU has other bytes */
            status = build(p, waiting);
    }
    free(waiting);
    free(mark);
    return status;
}

void plb__gates_clear(struct plb__program *p)
{
    for (uint32_t g = 0; g < p->n_gates; g++)
        plb__token_give(&p->session->tokens, p->gate[g].passed);
    free(p->gate);
    free(p->gate_of_slot);
}
