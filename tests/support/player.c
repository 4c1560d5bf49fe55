/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans played for real: see player.h. */
#include "config.h"

#include "tests/support/player.h"

#include "runtime/base/random.h"

#include <stdlib.h>
#include <string.h>

#define NOT_WRITTEN 0xff

struct player {
    plb_interpreter_t *interpreter;
    const plb_graph_t *graph;
    const struct plb_plan *plan;
    const struct plb_layout *layout;
    uint64_t step;
    bool poisons_ends;
    char *arena[PLB_TIERS];
    void **operands;
    uint32_t *slot_of; /* per value: the slot of its latest copy on the device */
    /* For shuffled orders. */
    uint32_t *missing;          /* per instruction: how many it still comes after */
    uint32_t *in_later, *later; /* those that come after instruction i */
    uint32_t *ready;
    uint32_t n_ready;
};

/* ---- memory ---- */

static char *address(const struct player *p, uint32_t s)
{
    const struct plb_slot *slot = &p->layout->slot[s];

    if (slot->initial != PLB_NONE)
        return plb_interpreter_memory(p->interpreter, slot->initial);
    return p->arena[slot->tier] + slot->offset;
}

static void poison(const struct player *p, uint32_t s)
{
    if (p->layout->slot[s].initial == PLB_NONE)
        memset(address(p, s), NOT_WRITTEN, p->layout->slot[s].bytes);
}

static enum plb_status arenas_make(struct player *p)
{
    for (int tier = 0; tier < PLB_TIERS; tier++) {
        size_t bytes = p->layout->arena[tier] + PLB_SLOT_ALIGNMENT;

        bytes -= bytes % PLB_SLOT_ALIGNMENT;
        p->arena[tier] = aligned_alloc(PLB_SLOT_ALIGNMENT, bytes);
        if (p->arena[tier] == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for an arena of %zu bytes", bytes);
        memset(p->arena[tier], NOT_WRITTEN, bytes);
    }
    return PLB_OK;
}

/* ---- instructions ---- */

static enum plb_status play_run(struct player *p, uint32_t i)
{
    plb_task_id id = p->plan->instruction[i].subject;
    const struct plb_task *task = plb_graph_task(p->graph, id);
    uint32_t n_in = task->in_start[task->n_in], n_out = task->out_start[task->n_out];
    const uint32_t *operand = &p->layout->operand[p->layout->in_operand[i]];

    for (uint32_t k = 0; k < n_in + n_out; k++) {
        if (k >= n_in && p->layout->slot[operand[k]].begin == i)
            poison(p, operand[k]);
        p->operands[k] = address(p, operand[k]);
    }
    PLB_TRY(plb_interpreter_run(p->interpreter, id, p->operands, p->step));
    for (uint32_t k = 0; k < n_out; k++)
        p->slot_of[task->out[k]] = operand[n_in + k];
    return PLB_OK;
}

static enum plb_status play(struct player *p, uint32_t i)
{
    const struct plb_instruction *instruction = &p->plan->instruction[i];
    const uint32_t *operand = &p->layout->operand[p->layout->in_operand[i]];

    switch (instruction->code) {
    case PLB_RUN:
        return play_run(p, i);
    case PLB_DROP:
        if (p->poisons_ends)
            poison(p, operand[0]);
        return PLB_OK;
    default:
        memmove(address(p, operand[1]), address(p, operand[0]), p->layout->slot[operand[0]].bytes);
        if (instruction->code == PLB_FETCH)
            p->slot_of[instruction->subject] = operand[1];
        return PLB_OK;
    }
}

/* ---- orders ---- */

/* An instruction may start only when another before it has ended whose slot it uses, if one of the
 * two writes it, and when the users of the slots that it waits for have ended. */
struct users {
    uint32_t *in_use, *use; /* per slot: the instructions that use it, in order */
};

static bool writes(const struct player *p, uint32_t i, uint32_t s)
{
    const struct plb_instruction *instruction = &p->plan->instruction[i];
    const struct plb_task *task;
    uint32_t from = p->layout->in_operand[i], first;

    if (instruction->code != PLB_RUN)
        return instruction->code == PLB_DROP || p->layout->operand[from + 1] == s;
    task = plb_graph_task(p->graph, instruction->subject);
    first = from + task->in_start[task->n_in];
    for (uint32_t k = first; k < p->layout->in_operand[i + 1]; k++)
        if (p->layout->operand[k] == s)
            return true;
    return false;
}

static void put_after(struct player *p, uint32_t before, uint32_t after, bool count)
{
    if (before == after)
        return;
    if (count) {
        p->in_later[before + 1]++;
        p->missing[after]++;
    } else {
        p->later[p->in_later[before]++] = after;
    }
}

/* All pairs; the first time they are counted, the second time noted. */
static void find_pairs(struct player *p, const struct users *users, bool count)
{
    for (uint32_t s = 0; s < p->layout->n_slots; s++)
        for (uint32_t b = users->in_use[s]; b < users->in_use[s + 1]; b++)
            for (uint32_t a = users->in_use[s]; a < b; a++)
                if (writes(p, users->use[a], s) || writes(p, users->use[b], s))
                    put_after(p, users->use[a], users->use[b], count);
    for (uint32_t i = 0; i < p->plan->n; i++)
        for (uint32_t w = p->layout->in_wait[i]; w < p->layout->in_wait[i + 1]; w++) {
            uint32_t s = p->layout->wait[w];

            for (uint32_t a = users->in_use[s]; a < users->in_use[s + 1]; a++)
                if (users->use[a] < i)
                    put_after(p, users->use[a], i, count);
        }
}

static enum plb_status find_users(const struct player *p, struct users *users)
{
    uint32_t n = p->layout->in_operand[p->plan->n];

    users->in_use = calloc((size_t)p->layout->n_slots + 2, sizeof *users->in_use);
    users->use = malloc(((size_t)n + 1) * sizeof *users->use);
    if (users->in_use == NULL || users->use == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u uses", n);
    for (uint32_t k = 0; k < n; k++)
        users->in_use[p->layout->operand[k] + 2]++;
    for (uint32_t s = 1; s <= p->layout->n_slots; s++)
        users->in_use[s + 1] += users->in_use[s];
    for (uint32_t i = 0; i < p->plan->n; i++)
        for (uint32_t k = p->layout->in_operand[i]; k < p->layout->in_operand[i + 1]; k++)
            users->use[users->in_use[p->layout->operand[k] + 1]++] = i;
    return PLB_OK;
}

static enum plb_status order_make(struct player *p)
{
    struct users users = {NULL, NULL};
    size_t n = (size_t)p->plan->n + 2;
    enum plb_status status = find_users(p, &users);

    p->missing = calloc(n, sizeof *p->missing);
    p->in_later = calloc(n, sizeof *p->in_later);
    p->ready = malloc(n * sizeof *p->ready);
    if (p->missing == NULL || p->in_later == NULL || p->ready == NULL)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for an order");
    if (status == PLB_OK) {
        find_pairs(p, &users, true);
        for (uint32_t i = 0; i < p->plan->n; i++)
            p->in_later[i + 1] += p->in_later[i];
        p->later = malloc(((size_t)p->in_later[p->plan->n] + 1) * sizeof *p->later);
        if (p->later == NULL)
            status = plb_fail(PLB_ERROR_MEMORY, "no memory for an order");
    }
    if (status == PLB_OK) {
        find_pairs(p, &users, false);
        for (uint32_t i = p->plan->n; i > 0; i--)
            p->in_later[i] = p->in_later[i - 1];
        p->in_later[0] = 0;
    }
    free(users.in_use);
    free(users.use);
    return status;
}

static enum plb_status play_shuffled(struct player *p, uint64_t seed)
{
    uint32_t done = 0;

    PLB_TRY(order_make(p));
    for (uint32_t i = 0; i < p->plan->n; i++)
        if (p->missing[i] == 0)
            p->ready[p->n_ready++] = i;
    for (; p->n_ready > 0; done++) {
        uint32_t words[4], at, i;

        plb_random_words(seed, 0, done, words);
        at = words[0] % p->n_ready;
        i = p->ready[at];
        p->ready[at] = p->ready[--p->n_ready];
        PLB_TRY(play(p, i));
        for (uint32_t k = p->in_later[i]; k < p->in_later[i + 1]; k++)
            if (--p->missing[p->later[k]] == 0)
                p->ready[p->n_ready++] = p->later[k];
    }
    if (done < p->plan->n)
        return plb_fail(PLB_ERROR_INTERNAL, "%u instructions wait for each other",
                        p->plan->n - done);
    return PLB_OK;
}

/* ---- a step ---- */

static enum plb_status play_all(struct player *p, uint64_t shuffle)
{
    size_t operands = (size_t)p->layout->in_operand[p->plan->n] + 1;

    p->operands = malloc(operands * sizeof *p->operands);
    p->slot_of = malloc(((size_t)plb_graph_values(p->graph) + 1) * sizeof *p->slot_of);
    if (p->operands == NULL || p->slot_of == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to play a plan");
    PLB_TRY(arenas_make(p));
    if (shuffle != PLAYER_IN_ORDER)
        return play_shuffled(p, shuffle);
    for (uint32_t i = 0; i < p->plan->n; i++)
        PLB_TRY(play(p, i));
    return PLB_OK;
}

static void copy_outputs(const struct player *p)
{
    for (plb_value v = 0; v < plb_graph_values(p->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(p->graph, v);

        if (info->output && info->producer != PLB_NONE)
            memcpy(plb_interpreter_memory(p->interpreter, v), address(p, p->slot_of[v]),
                   plb_type_bytes(&info->type));
    }
}

enum plb_status player_step(plb_interpreter_t *interpreter, const plb_graph_t *graph,
                            const struct plb_plan *plan, const struct plb_layout *layout,
                            uint64_t step, uint64_t shuffle)
{
    struct player p = {.interpreter = interpreter,
                       .graph = graph,
                       .plan = plan,
                       .layout = layout,
                       .step = step,
                       .poisons_ends = shuffle == PLAYER_IN_ORDER};
    enum plb_status status = play_all(&p, shuffle);

    if (status == PLB_OK)
        copy_outputs(&p);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        free(p.arena[tier]);
    free(p.operands);
    free(p.slot_of);
    free(p.missing);
    free(p.in_later);
    free(p.later);
    free(p.ready);
    return status;
}
