/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order that storage imposes: per slot who wrote it last and who has read it since, as the
 * executor's handles keep it.
 */
#include "config.h"

#include "runtime/plan/order.h"

#include <stdlib.h>
#include <string.h>

/* Who has a slot. */
struct use {
    uint32_t writer;  /* the latest, or PLB_NONE */
    uint32_t readers; /* since then: first entry in `link` */
};

struct ordering {
    struct plb__order *order;
    const struct plb_plan *plan;
    const plb_graph_t *graph;
    const struct plb__storage *storage;
    uint32_t offset;
    struct use *use; /* per slot */
};

struct plb__storage plb__storage_of(const struct plb_layout *layout)
{
    return (struct plb__storage){.n_slots = layout->n_slots,
                                 .slot = layout->slot,
                                 .in_operand = layout->in_operand,
                                 .operand = layout->operand,
                                 .in_wait = layout->in_wait,
                                 .wait = layout->wait};
}

enum plb_status plb__order_create(uint32_t n, struct plb__order *order_out)
{
    struct plb__order order = {.n = n};
    size_t room = (size_t)n + 1;

    order.left = calloc(room, sizeof *order.left);
    order.successors = malloc(room * sizeof *order.successors);
    if (!order.left || !order.successors) {
        plb__order_clear(&order);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to order %u instructions", n);
    }
    memset(order.successors, 0xff, room * sizeof *order.successors);
    *order_out = order;
    return PLB_OK;
}

void plb__order_clear(struct plb__order *order)
{
    free(order->left);
    free(order->successors);
    free(order->link);
    *order = (struct plb__order){0};
}

static enum plb_status add_link(struct plb__order *order, uint32_t instruction, uint32_t *list)
{
    if (order->n_links == order->capacity) {
        uint32_t capacity = order->capacity ? 2 * order->capacity : 16 * (order->n + 1);
        struct plb__order_link *grown = realloc(order->link, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u dependencies", capacity);
        order->link = grown;
        order->capacity = capacity;
    }
    order->link[order->n_links] = (struct plb__order_link){instruction, *list};
    *list = order->n_links++;
    return PLB_OK;
}

enum plb_status plb__order_add(struct plb__order *order, uint32_t first, uint32_t after)
{
    if (first == PLB_NONE || first == after)
        return PLB_OK;
    order->left[after]++;
    return add_link(order, after, &order->successors[first]);
}

/* ---- slots ---- */

/* Instruction i follows everyone who has used the slot so far. */
static enum plb_status follow_users(struct ordering *o, uint32_t slot, uint32_t i)
{
    PLB_TRY(plb__order_add(o->order, o->use[slot].writer, i));
    for (uint32_t k = o->use[slot].readers; k != PLB_NONE; k = o->order->link[k].next)
        PLB_TRY(plb__order_add(o->order, o->order->link[k].instruction, i));
    return PLB_OK;
}

static enum plb_status read_slot(struct ordering *o, uint32_t slot, uint32_t i)
{
    PLB_TRY(plb__order_add(o->order, o->use[slot].writer, i));
    return add_link(o->order, i, &o->use[slot].readers);
}

static enum plb_status write_slot(struct ordering *o, uint32_t slot, uint32_t i)
{
    PLB_TRY(follow_users(o, slot, i));
    o->use[slot] = (struct use){i, PLB_NONE};
    return PLB_OK;
}

/* Operands of an instruction that are read: the first ones. */
static uint32_t count_reads(const struct ordering *o, const struct plb_instruction *instruction)
{
    const struct plb_task *task;

    if (instruction->code != PLB_RUN)
        return instruction->code == PLB_DROP ? 0 : 1;
    task = plb_graph_task(o->graph, instruction->subject);
    return task->in_start[task->n_in];
}

static enum plb_status follow_waits(struct ordering *o, uint32_t i)
{
    const struct plb__storage *storage = o->storage;

    for (uint32_t k = storage->in_wait[i]; k < storage->in_wait[i + 1]; k++)
        if (storage->slot[storage->wait[k]].begin <= i)
            PLB_TRY(follow_users(o, storage->wait[k], o->offset + i));
    return PLB_OK;
}

static enum plb_status order_instruction(struct ordering *o, uint32_t i)
{
    const struct plb__storage *storage = o->storage;
    const uint32_t *operand = &storage->operand[storage->in_operand[i]];
    uint32_t n = storage->in_operand[i + 1] - storage->in_operand[i];
    uint32_t reads = count_reads(o, &o->plan->instruction[i]);
    uint32_t at = o->offset + i;

    if (storage->in_wait)
        PLB_TRY(follow_waits(o, i));
    for (uint32_t k = 0; k < n; k++)
        PLB_TRY(k < reads ? read_slot(o, operand[k], at) : write_slot(o, operand[k], at));
    return PLB_OK;
}

enum plb_status plb__order_program(struct plb__order *order, uint32_t offset,
                                   const struct plb_plan *plan, const plb_graph_t *graph,
                                   const struct plb__storage *storage)
{
    struct ordering o = {
        .order = order, .plan = plan, .graph = graph, .storage = storage, .offset = offset};
    size_t bytes = ((size_t)storage->n_slots + 1) * sizeof *o.use;
    enum plb_status status = PLB_OK;

    o.use = malloc(bytes);
    if (!o.use)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to order the uses of %u slots",
                        storage->n_slots);
    memset(o.use, 0xff, bytes);
    for (uint32_t i = 0; i < plan->n && status == PLB_OK; i++)
        status = order_instruction(&o, i);
    free(o.use);
    return status;
}
