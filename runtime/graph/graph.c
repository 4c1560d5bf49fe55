/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph's storage, its values and their names. Tasks are added in task.c.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include "runtime/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 16) /* of the arena */
#define TABLE_SLOTS 256               /* of names, at first */

/* A block of the arena; its memory follows. */
struct plb__block {
    struct plb__block *previous;
    size_t used, bytes;
    _Alignas(16) char memory[];
};

/* What plb_graph_value() shows for PLB_NONE, so that a builder may look at its operands' types
 * before it finds out that one of them failed. */
static const struct plb_value_info absent = {
    .name = "",
    .producer = PLB_NONE,
    .next = PLB_NONE,
    .source = PLB_NONE,
};

plb_graph_t *plb_graph_create(void)
{
    plb_graph_t *graph = calloc(1, sizeof *graph);

    if (graph == NULL) {
        plb_fail(PLB_ERROR_MEMORY, "no memory for a graph");
        return NULL;
    }
    graph->values.size = sizeof(struct plb__value);
    graph->tasks.size = sizeof(struct plb_task);
    graph->block = graph->micro_batch = graph->shard = -1;
    graph->forward = PLB_NONE;
    return graph;
}

static void chunks_free(struct plb__chunks *chunks)
{
    for (uint32_t i = 0; i < chunks->chunks; i++)
        free(chunks->chunk[i]);
    free(chunks->chunk);
}

void plb_graph_destroy(plb_graph_t *graph)
{
    if (graph == NULL)
        return;
    while (graph->arena != NULL) {
        struct plb__block *block = graph->arena;

        graph->arena = block->previous;
        free(block);
    }
    chunks_free(&graph->values);
    chunks_free(&graph->tasks);
    free(graph->table);
    free(graph);
}

/* --- failures ------------------------------------------------------------------------------- */

enum plb_status plb_graph_status(const plb_graph_t *graph)
{
    if (graph->status == PLB_OK)
        return PLB_OK;
    return plb_fail(graph->status, "%s", graph->message);
}

enum plb_status plb_graph_fail(plb_graph_t *graph, enum plb_status status)
{
    if (graph->status == PLB_OK && status != PLB_OK) {
        graph->status = status;
        snprintf(graph->message, sizeof graph->message, "%s", plb_error_message());
    }
    return plb_graph_status(graph);
}

enum plb_status plb__graph_enter(plb_graph_t *graph, enum plb__kind kind)
{
    if (graph->status != PLB_OK)
        return plb_graph_status(graph);
    if (graph->kind == PLB__KIND_OPEN)
        graph->kind = kind;
    if (graph->kind != kind)
        return plb_graph_fail(
            graph, plb_fail(PLB_ERROR_INVALID, "whole values and cells cannot share a graph"));
    return PLB_OK;
}

/* --- storage -------------------------------------------------------------------------------- */

void *plb__graph_allocate(plb_graph_t *graph, size_t bytes)
{
    struct plb__block *block = graph->arena;
    size_t rounded = (bytes + 15) & ~(size_t)15;
    void *memory;

    if (block == NULL || rounded > block->bytes - block->used) {
        size_t room = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;

        block = rounded < bytes ? NULL : calloc(1, sizeof *block + room);
        if (block == NULL) {
            plb_graph_fail(graph,
                           plb_fail(PLB_ERROR_MEMORY, "no memory for a graph of %" PRIu32 " values",
                                    graph->values.n));
            return NULL;
        }
        block->bytes = room;
        block->previous = graph->arena;
        graph->arena = block;
    }
    memory = block->memory + block->used;
    block->used += rounded;
    return memory;
}

enum plb_status plb__chunks_reserve(struct plb__chunks *chunks, uint32_t more, const char *what)
{
    if (more > PLB__ENTRIES_MAX - chunks->n)
        return plb_fail(PLB_ERROR_INVALID, "more than %" PRIu32 " %s in a graph", PLB__ENTRIES_MAX,
                        what);
    while (chunks->chunks * PLB__CHUNK - chunks->n < more) {
        if (chunks->chunks == chunks->chunks_capacity) {
            uint32_t capacity = chunks->chunks_capacity > 0 ? 2 * chunks->chunks_capacity : 16;
            void **grown = realloc(chunks->chunk, capacity * sizeof *grown);

            if (grown == NULL)
                return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRIu32 " %s", chunks->n, what);
            chunks->chunk = grown;
            chunks->chunks_capacity = capacity;
        }
        chunks->chunk[chunks->chunks] = calloc(PLB__CHUNK, chunks->size);
        if (chunks->chunk[chunks->chunks] == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRIu32 " %s", chunks->n, what);
        chunks->chunks++;
    }
    return PLB_OK;
}

void *plb__chunks_push(struct plb__chunks *chunks)
{
    return plb__chunks_at(chunks, chunks->n++);
}

/* --- names ---------------------------------------------------------------------------------- */

const char *plb__graph_copy_name(plb_graph_t *graph, const char *name, bool scoped)
{
    size_t scope = scoped ? strlen(graph->scope) : 0;
    size_t length;
    char *copy;

    if (name == NULL)
        name = "";
    length = strlen(name);
    if (scope + (scope > 0) + length > PLB__NAME_MAX) {
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID,
                                       "the name \"%.40s...\" is longer than %d "
                                       "bytes",
                                       name, PLB__NAME_MAX));
        return NULL;
    }
    copy = plb__graph_allocate(graph, scope + 1 + length + 1);
    if (copy == NULL)
        return NULL;
    if (scope > 0) {
        memcpy(copy, graph->scope, scope);
        copy[scope++] = '/';
    }
    memcpy(copy + scope, name, length + 1);
    return copy;
}

/* The slot that holds `name`, or the empty one where it would go. A renamed value leaves its old
 * slot behind, which then matches no name and only lengthens the way. */
static uint32_t table_slot(const plb_graph_t *graph, const char *name)
{
    uint32_t mask = graph->table_slots - 1;
    uint32_t slot = (uint32_t)plb_hash_bytes(name, strlen(name)) & mask;

    while (graph->table[slot] != PLB_NONE &&
           strcmp(plb__graph_value(graph, graph->table[slot])->info.name, name) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

/* Makes room for one more name. */
static enum plb_status table_reserve(plb_graph_t *graph)
{
    plb_value *old = graph->table;
    uint32_t old_slots = graph->table_slots;
    uint32_t slots = old_slots > 0 ? 2 * old_slots : TABLE_SLOTS;

    if (graph->table_used < old_slots / 2)
        return PLB_OK;
    graph->table = malloc(slots * sizeof *graph->table);
    if (graph->table == NULL) {
        graph->table = old;
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRIu32 " names", graph->table_used);
    }
    graph->table_slots = slots;
    graph->table_used = 0;
    for (uint32_t i = 0; i < slots; i++)
        graph->table[i] = PLB_NONE;
    for (uint32_t i = 0; i < old_slots; i++) {
        uint32_t slot;

        if (old[i] == PLB_NONE)
            continue;
        slot = table_slot(graph, plb__graph_value(graph, old[i])->info.name);
        graph->table_used += graph->table[slot] == PLB_NONE;
        graph->table[slot] = old[i];
    }
    free(old);
    return PLB_OK;
}

plb_value plb_graph_find(const plb_graph_t *graph, const char *name)
{
    if (graph->table_slots == 0)
        return PLB_NONE;
    return graph->table[table_slot(graph, name)];
}

/* Fails when a value that exists before the step has this name. */
static enum plb_status name_check(plb_graph_t *graph, const char *name)
{
    PLB_TRY(table_reserve(graph));
    if (plb_graph_find(graph, name) != PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID, "the graph already has a value \"%s\"", name);
    return PLB_OK;
}

static void name_enter(plb_graph_t *graph, plb_value value)
{
    graph->table[table_slot(graph, plb__graph_value(graph, value)->info.name)] = value;
    graph->table_used++;
}

/* --- values --------------------------------------------------------------------------------- */

enum plb_status plb__type_check(struct plb_type *type, const char *what)
{
    char text[PLB__TYPE_TEXT];
    int rank = type->shape.rank;

    if ((unsigned)type->dtype >= PLB_DTYPES)
        return plb_fail(PLB_ERROR_INVALID, "%s has the unknown dtype %d", what, (int)type->dtype);
    if (rank < 1 || rank > PLB_RANK_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s has rank %d, not 1 to %d", what, rank, PLB_RANK_MAX);
    for (int d = rank; d < PLB_RANK_MAX; d++)
        type->shape.dim[d] = 0;
    if (plb_shape_elements(&type->shape) < 0 || plb_type_bytes(type) > PTRDIFF_MAX)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s would be %s: each dimension must be at least 1 and "
                        "the whole fit in memory",
                        what, plb_type_print(type, text, sizeof text));
    return PLB_OK;
}

plb_value plb_graph_add_value(plb_graph_t *graph, const char *name, enum plb_role role,
                              enum plb_dtype dtype, struct plb_shape shape)
{
    struct plb_type type = {dtype, shape};
    enum plb_status status;
    struct plb__value *slot;
    const char *copy;
    plb_value value;

    if (plb__graph_enter(graph, PLB__KIND_WHOLE) != PLB_OK)
        return PLB_NONE;
    copy = plb__graph_copy_name(graph, name, true);
    if (copy == NULL)
        return PLB_NONE;
    status = plb__type_check(&type, copy);
    if (status == PLB_OK && (unsigned)role >= PLB_ROLES)
        status = plb_fail(PLB_ERROR_INVALID, "%s has the unknown role %d", copy, (int)role);
    if (status == PLB_OK)
        status = name_check(graph, copy);
    if (status == PLB_OK)
        status = plb__chunks_reserve(&graph->values, 1, "values");
    if (status != PLB_OK) {
        plb_graph_fail(graph, status);
        return PLB_NONE;
    }
    value = graph->values.n;
    slot = plb__chunks_push(&graph->values);
    slot->info = (struct plb_value_info){
        .name = copy,
        .type = type,
        .role = role,
        .producer = PLB_NONE,
        .next = PLB_NONE,
        .source = value,
        .whole = type.shape,
    };
    name_enter(graph, value);
    return value;
}

/* The cell must lie inside its whole value. */
static enum plb_status cell_check(const struct plb_value_info *info)
{
    const struct plb_shape *cell = &info->type.shape, *whole = &info->whole;
    bool inside = cell->rank == whole->rank && info->row0 >= 0 && info->col0 >= 0 &&
                  info->row0 <= whole->dim[0] - cell->dim[0];

    if (inside && cell->rank > 1)
        inside = info->col0 <= whole->dim[cell->rank - 1] - cell->dim[cell->rank - 1];
    else if (inside)
        inside = info->col0 == 0;
    if (!inside)
        return plb_fail(PLB_ERROR_INTERNAL,
                        "cell %s at row %" PRId64 ", column %" PRId64 " is not inside its value",
                        info->name, info->row0, info->col0);
    if (info->producer != PLB_NONE)
        return plb_fail(PLB_ERROR_INTERNAL, "cell %s comes with a producer", info->name);
    return PLB_OK;
}

plb_value plb_graph_add_cell(plb_graph_t *graph, const struct plb_value_info *info)
{
    struct plb_value_info cell = *info;
    enum plb_status status;
    struct plb__value *slot;

    if (plb__graph_enter(graph, PLB__KIND_CELLS) != PLB_OK)
        return PLB_NONE;
    cell.name = plb__graph_copy_name(graph, info->name, false);
    if (cell.name == NULL)
        return PLB_NONE;
    status = plb__type_check(&cell.type, cell.name);
    if (status == PLB_OK)
        status = cell_check(&cell);
    if (status == PLB_OK)
        status = plb__chunks_reserve(&graph->values, 1, "values");
    if (status != PLB_OK) {
        plb_graph_fail(graph, status);
        return PLB_NONE;
    }
    cell.next = PLB_NONE;
    slot = plb__chunks_push(&graph->values);
    slot->info = cell;
    return graph->values.n - 1;
}

uint32_t plb_graph_values(const plb_graph_t *graph)
{
    return graph->values.n;
}

uint32_t plb_graph_tasks(const plb_graph_t *graph)
{
    return graph->tasks.n;
}

const struct plb_value_info *plb_graph_value(const plb_graph_t *graph, plb_value value)
{
    return value < graph->values.n ? &plb__graph_value(graph, value)->info : &absent;
}

const struct plb_task *plb_graph_task(const plb_graph_t *graph, plb_task_id task)
{
    return task < graph->tasks.n ? plb__graph_task(graph, task) : NULL;
}

/* --- declarations --------------------------------------------------------------------------- */

void plb_graph_set_phase(plb_graph_t *graph, enum plb_phase phase)
{
    if ((unsigned)phase >= PLB_PHASES)
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID, "unknown phase %d", (int)phase));
    else
        graph->phase = phase;
}

/* Numbers a part of the model; -1: none. */
static void set_number(plb_graph_t *graph, const char *what, int number, int lowest, int *where)
{
    if (number < lowest)
        plb_graph_fail(graph,
                       plb_fail(PLB_ERROR_INVALID, "%s %d is below %d", what, number, lowest));
    else
        *where = number;
}

void plb_graph_set_block(plb_graph_t *graph, int block)
{
    set_number(graph, "block", block, -1, &graph->block);
}

void plb_graph_set_micro_batch(plb_graph_t *graph, int micro_batch)
{
    set_number(graph, "micro-batch", micro_batch, -1, &graph->micro_batch);
}

void plb_graph_set_shard(plb_graph_t *graph, int shard)
{
    set_number(graph, "shard", shard, PLB_SHARD_BY_ROWS(PLB_SHARDS_MAX), &graph->shard);
}

void plb_graph_set_scope(plb_graph_t *graph, const char *scope)
{
    if (scope != NULL && strlen(scope) > PLB__NAME_MAX) {
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID,
                                       "the scope \"%.40s...\" is longer than "
                                       "%d bytes",
                                       scope, PLB__NAME_MAX));
        return;
    }
    snprintf(graph->scope, sizeof graph->scope, "%s", scope != NULL ? scope : "");
}

/* The value, or NULL after failing the graph: PLB_NONE comes from a builder that failed. */
static struct plb__value *declared(plb_graph_t *graph, plb_value value, const char *what)
{
    if (graph->status != PLB_OK)
        return NULL;
    if (value < graph->values.n)
        return plb__graph_value(graph, value);
    plb_graph_fail(graph,
                   plb_fail(PLB_ERROR_INVALID, "%s: the graph has no value %" PRIu32, what, value));
    return NULL;
}

void plb_graph_set_role(plb_graph_t *graph, plb_value value, enum plb_role role)
{
    struct plb__value *slot = declared(graph, value, "set role");

    if (slot == NULL)
        return;
    if ((unsigned)role >= PLB_ROLES)
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID, "unknown role %d", (int)role));
    else
        slot->info.role = role;
}

void plb_graph_set_home(plb_graph_t *graph, plb_value value, int home)
{
    struct plb__value *slot = declared(graph, value, "set home");

    if (slot == NULL)
        return;
    if (home < 0 || home >= PLB_HOMES)
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID, "unknown home %d", home));
    else if (slot->info.producer != PLB_NONE || slot->info.role == PLB_ROLE_INPUT)
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID,
                                       "'%s' is not kept from step to step, so it has no home",
                                       slot->info.name));
    else
        slot->info.home = home;
}

void plb_graph_set_tier(plb_graph_t *graph, plb_task_id task, int tier)
{
    if (graph->status != PLB_OK)
        return;
    if (task >= graph->tasks.n || tier < 0 || tier >= PLB_HOMES)
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID, "task %u of %u cannot work on tier %d",
                                       task, graph->tasks.n, tier));
    else
        plb__graph_task(graph, task)->tier = tier;
}

void plb_graph_set_name(plb_graph_t *graph, plb_value value, const char *name)
{
    struct plb__value *slot = declared(graph, value, "set name");
    bool listed = graph->kind == PLB__KIND_WHOLE && slot != NULL && slot->info.producer == PLB_NONE;
    const char *copy;

    if (slot == NULL || (name != NULL && strcmp(slot->info.name, name) == 0))
        return;
    copy = plb__graph_copy_name(graph, name, false);
    if (copy == NULL)
        return;
    if (listed) {
        enum plb_status status = name_check(graph, copy);

        if (status != PLB_OK) {
            plb_graph_fail(graph, status);
            return;
        }
    }
    slot->info.name = copy;
    if (listed)
        name_enter(graph, value);
}

void plb_graph_carry(plb_graph_t *graph, plb_value first, plb_value last)
{
    struct plb__value *a = declared(graph, first, "carry");
    struct plb__value *b = declared(graph, last, "carry");
    char old[PLB__TYPE_TEXT], new[PLB__TYPE_TEXT];

    if (a == NULL || b == NULL)
        return;
    if (a->info.producer != PLB_NONE || a->info.next != PLB_NONE)
        plb_graph_fail(graph, plb_fail(PLB_ERROR_INVALID, "carry: %s %s", a->info.name,
                                       a->info.next != PLB_NONE ? "already has a next version"
                                                                : "is made by a task"));
    else if (a->info.type.dtype != b->info.type.dtype ||
             !plb_shape_equal(&a->info.type.shape, &b->info.type.shape))
        plb_graph_fail(graph,
                       plb_fail(PLB_ERROR_INVALID, "carry: %s is %s, its next version %s is %s",
                                a->info.name, plb_type_print(&a->info.type, old, sizeof old),
                                b->info.name, plb_type_print(&b->info.type, new, sizeof new)));
    else
        a->info.next = last;
}

void plb_graph_output(plb_graph_t *graph, plb_value value)
{
    struct plb__value *slot = declared(graph, value, "output");

    if (slot != NULL)
        slot->info.output = true;
}
