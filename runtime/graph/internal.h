/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a graph, for the files of runtime/graph only. Not installed.
 *
 * Values and tasks lie in chunks that never move; names and lists of operands lie in an arena. So
 * what a graph hands out stays where it is while the graph grows, and dies with it.
 */
#ifndef PLB_GRAPH_INTERNAL_H
#define PLB_GRAPH_INTERNAL_H

#include "runtime/graph/graph.h"

#define PLB__NAME_MAX    1023                /* bytes of a name with its scope */
#define PLB__ENTRIES_MAX (UINT32_C(1) << 28) /* values, and tasks, of a graph */
#define PLB__VALUES_MAX  (UINT32_C(1) << 22) /* values of one operand */
#define PLB__TYPE_TEXT   128                 /* room for plb_type_print() */
#define PLB__MESSAGE_MAX 1024
#define PLB__CHUNK_SHIFT 9
#define PLB__CHUNK       (UINT32_C(1) << PLB__CHUNK_SHIFT)

struct plb_cells;

/* An array of entries of `size` bytes that do not move. */
struct plb__chunks {
    void **chunk;
    size_t size;
    uint32_t n, chunks, chunks_capacity;
};

struct plb__block;

struct plb__value {
    struct plb_value_info info;
    bool read; /* some task reads it: it can have no later producer */
};

/* What a graph is made of: values that are whole, or cells of another graph's. */
enum plb__kind { PLB__KIND_OPEN, PLB__KIND_WHOLE, PLB__KIND_CELLS };

struct plb_graph {
    enum plb_status status;
    char message[PLB__MESSAGE_MAX];
    enum plb__kind kind;
    struct plb__chunks values, tasks;
    struct plb__block *arena;
    plb_value *table; /* of names: open addressing, a power of two of slots, PLB_NONE: empty */
    uint32_t table_slots, table_used;
    enum plb_phase phase;
    int block, micro_batch, shard;
    plb_task_id forward; /* while its gradient is made */
    char scope[PLB__NAME_MAX + 1];
    struct plb_cells *cells; /* by value of the whole graph; set by plb_graph_cut() */
    uint32_t n_cells;
};

/* Memory that lives as long as the graph, 16-aligned, zeroed; NULL after failing the graph. */
void *plb__graph_allocate(plb_graph_t *graph, size_t bytes);
/* A copy of a name in the arena, "scope/name" when `scoped`. */
const char *plb__graph_copy_name(plb_graph_t *graph, const char *name, bool scoped);

/* Makes room for `more` entries, so that plb__chunks_push() cannot fail for them. */
enum plb_status plb__chunks_reserve(struct plb__chunks *chunks, uint32_t more, const char *what);
void *plb__chunks_push(struct plb__chunks *chunks);

static inline void *plb__chunks_at(const struct plb__chunks *chunks, uint32_t i)
{
    char *chunk = chunks->chunk[i >> PLB__CHUNK_SHIFT];

    return chunk + (size_t)(i & (PLB__CHUNK - 1)) * chunks->size;
}

static inline struct plb__value *plb__graph_value(const plb_graph_t *graph, plb_value value)
{
    return plb__chunks_at(&graph->values, value);
}

static inline struct plb_task *plb__graph_task(const plb_graph_t *graph, plb_task_id task)
{
    return plb__chunks_at(&graph->tasks, task);
}

/* Fails unless the graph is in order and made of `kind` (or of nothing yet). */
enum plb_status plb__graph_enter(plb_graph_t *graph, enum plb__kind kind);

/* Fails unless the type can be that of a value; clears unused dimensions. `what` names it. */
enum plb_status plb__type_check(struct plb_type *type, const char *what);

#endif
