/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which slot every value of a program lies in.
 *
 * The program is walked once. A value that begins takes the free slot that fits best, among equals
 * the one that has been free for longest (so that a task seldom waits for the readers of the slot's
 * former value); without one that fits closely a new slot is made.
 */
#include "runtime/plan/storage.h"

#include <stdlib.h>
#include <string.h>

/* A slot may be larger than its value by an eighth and a page: more waste would not pay. */
#define WASTE_SHIFT 3
#define WASTE_BYTES 4096u

struct assigner {
    const plb_graph_t *graph;
    struct plb_storage *storage;
    uint32_t *slot_of;  /* per value */
    uint32_t *free_slot; /* in order of release */
    uint32_t n_free, slot_capacity, operand_capacity, n_operands;
    size_t live, live_by_role[PLB_ROLES];
};

void plb_storage_clear(struct plb_storage *storage)
{
    free(storage->slot);
    free(storage->in_slot);
    free(storage->operand);
    *storage = (struct plb_storage){0};
}

static void count(struct assigner *a, plb_value value, bool begins)
{
    const struct plb_value_info *info = plb_graph_value(a->graph, value);
    size_t bytes = plb_type_bytes(&info->type);

    if (!begins) {
        a->live -= bytes;
        a->live_by_role[info->role] -= bytes;
        return;
    }
    a->live += bytes;
    a->live_by_role[info->role] += bytes;
    if (a->live > a->storage->peak) {
        a->storage->peak = a->live;
        memcpy(a->storage->peak_by_role, a->live_by_role, sizeof a->live_by_role);
    }
}

static enum plb_status new_slot(struct assigner *a, plb_value value, bool initial)
{
    struct plb_storage *storage = a->storage;
    const struct plb_value_info *info = plb_graph_value(a->graph, value);
    size_t bytes = plb_type_bytes(&info->type);

    if (storage->n_slots == a->slot_capacity) {
        uint32_t capacity = a->slot_capacity ? 2 * a->slot_capacity : 256;
        struct plb_storage_slot *slots = realloc(storage->slot, capacity * sizeof *slots);
        uint32_t *free_slot;

        if (!slots)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u slots", capacity);
        storage->slot = slots;
        free_slot = realloc(a->free_slot, capacity * sizeof *free_slot);
        if (!free_slot)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u slots", capacity);
        a->free_slot = free_slot;
        a->slot_capacity = capacity;
    }
    storage->slot[storage->n_slots] =
        (struct plb_storage_slot){.bytes = bytes, .role = info->role, .initial = initial ? value : PLB_NONE};
    storage->bytes += bytes;
    a->slot_of[value] = storage->n_slots++;
    return PLB_OK;
}

static enum plb_status place(struct assigner *a, plb_value value)
{
    size_t bytes = plb_type_bytes(&plb_graph_value(a->graph, value)->type);
    size_t most = bytes + (bytes >> WASTE_SHIFT) + WASTE_BYTES;
    uint32_t best = PLB_NONE;

    count(a, value, true);
    for (uint32_t f = 0; f < a->n_free; f++) {
        size_t have = a->storage->slot[a->free_slot[f]].bytes;

        if (have < bytes || have > most)
            continue;
        if (best == PLB_NONE || have < a->storage->slot[a->free_slot[best]].bytes)
            best = f;
    }
    if (best == PLB_NONE)
        return new_slot(a, value, false);
    a->slot_of[value] = a->free_slot[best];
    a->n_free--;
    memmove(&a->free_slot[best], &a->free_slot[best + 1],
            (a->n_free - best) * sizeof *a->free_slot);
    return PLB_OK;
}

static enum plb_status push_operand(struct assigner *a, uint32_t slot)
{
    struct plb_storage *storage = a->storage;

    if (a->n_operands == a->operand_capacity) {
        uint32_t capacity = a->operand_capacity ? 2 * a->operand_capacity : 1024;
        uint32_t *grown = realloc(storage->operand, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u operands", capacity);
        storage->operand = grown;
        a->operand_capacity = capacity;
    }
    storage->operand[a->n_operands++] = slot;
    return PLB_OK;
}

static void take_over(struct assigner *a, const struct plb_task *task, int k)
{
    int from = task->op->out[k].shares - 1;

    for (uint32_t j = 0; j < task->out_start[k + 1] - task->out_start[k]; j++) {
        plb_value in = task->in[task->in_start[from] + j];
        plb_value out = task->out[task->out_start[k] + j];

        a->slot_of[out] = a->slot_of[in];
        count(a, in, false);
        count(a, out, true);
    }
}

static enum plb_status assign_run(struct assigner *a, const struct plb_instruction *instruction)
{
    const struct plb_task *task = plb_graph_task(a->graph, instruction->subject);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        PLB_TRY(push_operand(a, a->slot_of[task->in[j]]));
    for (int k = 0; k < task->n_out; k++) {
        if (instruction->takes & (1u << k))
            take_over(a, task, k);
        else
            for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++)
                PLB_TRY(place(a, task->out[j]));
        for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++)
            PLB_TRY(push_operand(a, a->slot_of[task->out[j]]));
    }
    return PLB_OK;
}

static enum plb_status assign_program(struct assigner *a, const struct plb_plan *plan)
{
    for (plb_value v = 0; v < plb_graph_values(a->graph); v++) {
        if (plb_graph_value(a->graph, v)->producer != PLB_NONE)
            continue;
        count(a, v, true);
        PLB_TRY(new_slot(a, v, true));
    }
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_instruction *instruction = &plan->instruction[i];

        a->storage->in_slot[i] = a->n_operands;
        if (instruction->code == PLB_RUN) {
            PLB_TRY(assign_run(a, instruction));
        } else {
            count(a, instruction->subject, false);
            a->free_slot[a->n_free++] = a->slot_of[instruction->subject];
        }
    }
    return PLB_OK;
}

enum plb_status plb_storage_assign(const struct plb_plan *plan, const plb_graph_t *graph,
                                   struct plb_storage *storage_out)
{
    struct plb_storage storage = {0};
    struct assigner a = {.graph = graph, .storage = &storage};
    enum plb_status status;

    a.slot_of = malloc((plb_graph_values(graph) + 1) * sizeof *a.slot_of);
    storage.in_slot = malloc((plan->n + 1) * sizeof *storage.in_slot);
    if (a.slot_of && storage.in_slot)
        status = assign_program(&a, plan);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to lay out a plan");
    free(a.slot_of);
    free(a.free_slot);
    if (status == PLB_OK)
        *storage_out = storage;
    else
        plb_storage_clear(&storage);
    return status;
}

/* The latest phase that reads each value. */
static void find_readers(const plb_graph_t *graph, enum plb_phase *reader)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            if (reader[task->in[j]] < task->phase)
                reader[task->in[j]] = task->phase;
    }
}

/* A value is needed when it is there before the step or crosses from one phase to the next. */
static bool is_needed(const plb_graph_t *graph, const struct plb_value_info *info,
                      enum plb_phase reader)
{
    if (info->producer == PLB_NONE)
        return true;
    return plb_graph_task(graph, info->producer)->phase < reader;
}

enum plb_status plb_storage_needed(const plb_graph_t *graph, size_t *bytes_out)
{
    enum plb_phase *reader = calloc((size_t)plb_graph_values(graph) + 1, sizeof *reader);
    size_t bytes = 0;

    if (!reader)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to count %u values", plb_graph_values(graph));
    find_readers(graph, reader);
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        const struct plb_value_info *info = plb_graph_value(graph, v);

        if (is_needed(graph, info, reader[v]))
            bytes += plb_type_bytes(&info->type);
    }
    free(reader);
    *bytes_out = bytes;
    return PLB_OK;
}
