/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The graph of one step: tasks that make values.
 *
 * A graph is captured once per shape by calling builders (one per operator, in
 * codelets/codelets.h), differentiated, and replayed every step. Tasks are kept in the order of
 * their creation, which is a topological order.
 *
 * Errors are sticky: a builder that fails returns PLB_NONE, the graph remembers the first failure
 * with its message, later builders do nothing. So model code reads as formulas, and one call of
 * plb_graph_status() at the end tells whether all went well.
 *
 * Ownership: a graph owns its values, tasks and names. Thread-safety: a graph that is being built
 * belongs to one thread; a finished one may be read by many.
 */
#ifndef PLB_GRAPH_GRAPH_H
#define PLB_GRAPH_GRAPH_H

#include "runtime/graph/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_graph plb_graph_t;

enum plb_phase {
    PLB_PHASE_FORWARD,
    PLB_PHASE_BACKWARD,
    PLB_PHASE_UPDATE,
    PLB_PHASES
};

/* A value of a graph. For a value that was not cut, `source` is itself, `whole` its shape. */
struct plb_value_info {
    const char *name;
    struct plb_type type;
    enum plb_role role;
    plb_task_id producer;   /* PLB_NONE: exists before the step */
    plb_value next;         /* for a value that lives on: its version at the end of the step */
    bool output;            /* the caller reads it after the step */
    int home;               /* of what exists before the step: the tier (runtime/plan/plan.h) in
                               which it is kept from step to step; 0: where tasks compute */
    plb_value source;       /* in a cut graph: the value of the whole graph that it is a cell of */
    struct plb_shape whole; /* shape of that value */
    int64_t row0, col0;     /* where the cell begins in it */
};

#define PLB_HOMES 3

/* Shards that a tensor-parallel split makes of a task, at most. */
#define PLB_SHARDS_MAX 64
/* In place of a task's shard: its rows are divided among n > 1 shards (sequence split: Korthikanti et
 * al. 2022, section 4.2). The cut gives each part the shard that its first row falls into, so that
 * tasks, their order and all bits are those of a task that is not split. */
#define PLB_SHARD_BY_ROWS(n) (-(n))

/* A task. Operand k reads values in[in_start[k]] to in[in_start[k + 1] - 1] (none: absent; several:
 * the cells of a cut value, or a variadic operand), and likewise for outputs. */
struct plb_task {
    const struct plb_operator *op;
    const char *name;
    struct plb_attributes attributes;
    enum plb_phase phase;
    int block;       /* number of the model's block that it belongs to, -1 for none */
    int micro_batch; /* number of the micro-batch that it works on, -1: of all, or of no one */
    int shard;       /* number among the tasks that a tensor-parallel split made of one, -1: not
                        split. In a graph that is not cut also PLB_SHARD_BY_ROWS(n) */
    int tier;        /* whose copies it works on (runtime/plan/plan.h): 0, the device's, unless it
                        was set */
    int n_in, n_out;
    const uint32_t *in_start, *out_start;
    const plb_value *in, *out;
    int64_t low[PLB_AXES], high[PLB_AXES]; /* range on the cut axes */
    plb_task_id source;  /* in a cut graph: the task of the whole graph that this is a part of;
                            PLB_NONE for the additions of a tree */
    plb_task_id forward; /* the task of the (whole) graph's forward pass whose part or gradient this
                            is; PLB_NONE for what belongs to none: sums over micro-batches, updates */
};

/* Creates an empty graph. NULL when memory is short. */
plb_graph_t *plb_graph_create(void);
void plb_graph_destroy(plb_graph_t *graph);

/* The first failure of any builder; its message becomes the thread's message again. */
enum plb_status plb_graph_status(const plb_graph_t *graph);
/* Makes `status` with the thread's message the graph's failure unless it has one. Returns it. */
enum plb_status plb_graph_fail(plb_graph_t *graph, enum plb_status status);

uint32_t plb_graph_values(const plb_graph_t *graph);
uint32_t plb_graph_tasks(const plb_graph_t *graph);
/* What is returned stays where it is as long as the graph. For PLB_NONE and numbers beyond the
 * graph: a value with rank 0 and an empty name, and no task (NULL). */
const struct plb_value_info *plb_graph_value(const plb_graph_t *graph, plb_value value);
const struct plb_task *plb_graph_task(const plb_graph_t *graph, plb_task_id task);

/* What the tasks added from now on belong to. `block`, `micro_batch`, `shard` -1: none; `shard` may
 * be PLB_SHARD_BY_ROWS(). */
void plb_graph_set_phase(plb_graph_t *graph, enum plb_phase phase);
void plb_graph_set_block(plb_graph_t *graph, int block);
void plb_graph_set_micro_batch(plb_graph_t *graph, int micro_batch);
void plb_graph_set_shard(plb_graph_t *graph, int shard);
/* Prefix for the names of tasks and values added from now on ("h.3" makes "h.3/linear"), NULL for
 * none. Cells and plb_graph_set_name() take names as they are. */
void plb_graph_set_scope(plb_graph_t *graph, const char *scope);

/* Adds a value that exists before the step. The name must be unique among such values. */
plb_value plb_graph_add_value(plb_graph_t *graph, const char *name, enum plb_role role,
                              enum plb_dtype dtype, struct plb_shape shape);

/* Finds a value that exists before the step by its full name ("h.3/x" when it was added in a
 * scope); PLB_NONE when there is none. */
plb_value plb_graph_find(const plb_graph_t *graph, const char *name);

/* Adds a task on `n_in` single-value inputs (op->n_in of them, PLB_NONE for absent optional ones; a
 * variadic last operand takes one or more). `attributes` NULL: all zero. Its range on a cut axis is
 * the whole extent, on which all operands must agree. Task and first output are named after the
 * operator, other outputs "operator.output"; an optional output to which the shape rule gave rank 0
 * is not made. out[] receives op->n_out values; an optional output is made when
 * `want_out` is NULL or want_out[k] is true, else PLB_NONE. Their role is ACTIVATION, GRADIENT in
 * the backward phase, STATE in the update phase; plb_graph_set_role() changes it. */
enum plb_status plb_graph_add_task(plb_graph_t *graph, const struct plb_operator *op,
                                   const struct plb_attributes *attributes, const plb_value *in,
                                   int n_in, const bool *want_out, plb_value *out);

void plb_graph_set_role(plb_graph_t *graph, plb_value value, enum plb_role role);
void plb_graph_set_name(plb_graph_t *graph, plb_value value, const char *name);
/* Declares that `last` is the version of `first` (a parameter or state) at the end of the step. */
void plb_graph_carry(plb_graph_t *graph, plb_value first, plb_value last);
/* Declares where a parameter or state is kept from step to step (0 to PLB_HOMES - 1). */
void plb_graph_set_home(plb_graph_t *graph, plb_value value, int home);
/* Declares on whose copies a task works (0 to PLB_HOMES - 1): where it computes, that is. */
void plb_graph_set_tier(plb_graph_t *graph, plb_task_id task, int tier);
/* Declares that the caller reads the value after the step. */
void plb_graph_output(plb_graph_t *graph, plb_value value);

/* Types of a task's operands in its own range (a window: what it sees), for costs. */
void plb_task_get_types(const plb_graph_t *graph, const struct plb_task *task,
                        struct plb_task_types *types_out);
/* Flops and bytes of a task. */
void plb_task_get_cost(const plb_graph_t *graph, const struct plb_task *task,
                       struct plb_cost *cost_out);

/* A 64-bit hash of everything that decides results and costs: operators, attributes, types, edges,
 * carries, outputs. Names do not count. */
uint64_t plb_graph_fingerprint(const plb_graph_t *graph);

/* The graph in Graphviz's language: tasks as boxes coloured by phase and clustered by block, with
 * the types of what they make; values as edges, those that exist before the step as ellipses.
 * `text_out` is to be freed by the caller. PLB_ERROR_MEMORY. */
enum plb_status plb_graph_dot(const plb_graph_t *graph, char **text_out);
/* The same for the eye: parameters and updates as words in the tasks that read and feed them, the
 * gradient laid out upwards beside the forward pass. */
enum plb_status plb_graph_dot_overview(const plb_graph_t *graph, char **text_out);

/*
 * For code that makes graphs out of graphs (cut.h, splits): a task with lists of cells, as is.
 */
struct plb_task_cells {
    const struct plb_operator *op;
    const char *name;
    const struct plb_attributes *attributes;
    enum plb_phase phase;
    int block, micro_batch, shard;
    plb_task_id source, forward;
    int64_t low[PLB_AXES], high[PLB_AXES];
    int n_in, n_out;
    const uint32_t *in_start, *out_start; /* n_in + 1 and n_out + 1 offsets */
    const plb_value *in, *out;
};

/* Adds a value of a cut graph; `info` is copied with its name, its producer must be PLB_NONE (the
 * task that lists it as an output becomes its producer; no task may have read it before), its
 * `next` is not looked at (see plb_graph_carry). Values of whole graphs and cells never share a
 * graph, and plb_graph_find() does not find cells: several may have one name. */
plb_value plb_graph_add_cell(plb_graph_t *graph, const struct plb_value_info *info);
enum plb_status plb_graph_add_task_cells(plb_graph_t *graph, const struct plb_task_cells *task);

#ifdef __cplusplus
}
#endif

#endif
