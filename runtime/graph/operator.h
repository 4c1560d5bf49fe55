/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operator interface.
 *
 * An operator is one constant record, filled at the end of its file in codelets/<operator>/: a
 * shape rule, a cost, a gradient, a CPU kernel, and for each operand how it may be cut. Everything
 * else is derived from the record: the StarPU codelet, the cut of a graph into tasks, the figures
 * of a plan.
 *
 * Cutting. An operator has up to two *cut axes*, PLB_AXIS_A and PLB_AXIS_B. The specification of
 * an operand says which axis indexes its rows (dimension 0) and which its columns (last dimension
 * of rank 2), if any. For y[N,O] = x[N,C] W[O,C]^T: axis A indexes the rows of x and y, axis B the
 * rows of W and the columns of y. A task is one range on each axis: it makes the cells of its
 * outputs in that range and reads of its inputs what the range needs. An axis that indexes no
 * output is a *sum* axis: a task goes over it in increasing order (or, where that would be too
 * long, partial results are made and added in a fixed tree), so the bits never depend on workers.
 *
 * Kernels see operands as lists of parts. Unless an operand has PLB_LIST, the executor hands it
 * over as exactly one part that holds exactly the task's range (gathering copies where the cells
 * do not match; that is rare and small). With PLB_LIST the kernel gets all cells that overlap the
 * range, in order of rows and then columns, and must honour row0/col0 and the range itself; they
 * have all columns unless an axis indexes the operand's columns.
 */
#ifndef PLB_GRAPH_OPERATOR_H
#define PLB_GRAPH_OPERATOR_H

#include "runtime/base/status.h"
#include "runtime/graph/value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb_graph;
struct plb_task;

#define PLB_OPERANDS_MAX 12 /* operands on each side of a task */
#define PLB_AXES 2

/* Attributes of a task: plain numbers, so that they can be printed, hashed and stored. Their
 * meaning stands in the operator's record (attribute names) and in its builder's comment. */
struct plb_attributes {
    int64_t i[8];
    double f[4];
};

enum plb_axis {
    PLB_AXIS_NONE = 0, /* the whole dimension, in every task */
    PLB_AXIS_A = 1,
    PLB_AXIS_B = 2,
};

enum plb_operand_flags {
    PLB_OPTIONAL = 1,         /* input: may be PLB_NONE; output: made only when asked for */
    PLB_LIST = 2,             /* the kernel takes a list of cells; see above */
    PLB_WINDOW_BEFORE = 4,    /* rows: from the start of the range's first sequence to its end */
    PLB_WINDOW_SEQUENCE = 8,  /* rows: all of the sequences that the range touches */
    PLB_VARIADIC = 16,        /* last input only: any number of values of one type */
    PLB_UNSPLIT = 32,         /* columns: the cells follow the axis, but a task takes them all */
    PLB_UNREAD = 64,          /* input: only its storage is wanted, for an output that shares it */
};

/* Windows imply PLB_LIST. A sequence is `granule` rows (see struct plb_operator). */

struct plb_operand_spec {
    const char *name;
    enum plb_axis rows, cols;
    unsigned flags;
    int shares; /* outputs: 1 + index of the input whose storage it may take over, 0 for none */
};

/* A task as shape rules and costs see it: types only. in[k].shape.rank == 0: absent. For a task of
 * a cut graph the types are those of its range, not of the whole values. A variadic input counts
 * n_in upwards and may pass PLB_OPERANDS_MAX only in `variadic`, the number of its values. */
struct plb_task_types {
    const struct plb_attributes *attributes;
    int n_in, n_out;
    int variadic;
    struct plb_type in[PLB_OPERANDS_MAX];
    struct plb_type out[PLB_OPERANDS_MAX];
};

struct plb_cost {
    double flops; /* floating-point operations, a multiply-add counted as two */
    double bytes; /* bytes read and written once each, caches assumed perfect */
};

/* One cell as a kernel sees it. */
struct plb_tensor {
    void *data;
    enum plb_dtype dtype;
    struct plb_shape shape;
    int64_t row0, col0; /* where the cell begins in the whole value */
};

struct plb_operand {
    int n_parts; /* 0: absent */
    const struct plb_tensor *part;
    struct plb_shape whole; /* shape of the value before it was cut */
};

/* What a kernel gets. `in` has one operand per input of the specification; a variadic last input
 * is one operand whose parts are the values. Kernels are pure functions of this structure; they
 * allocate nothing that outlives the call, take no locks, and run on one thread. */
struct plb_call {
    const struct plb_attributes *attributes;
    int n_in, n_out;
    const struct plb_operand *in, *out;
    int64_t low[PLB_AXES], high[PLB_AXES]; /* the task's range: axis A is [0], axis B is [1] */
    uint64_t step;                         /* number of the step, for counter-based randomness */
    void *scratch;                         /* as many bytes as `scratch` asked for, 64-aligned */
};

/* What a gradient rule gets and fills. Values are of the graph being differentiated. `in`, `needs`
 * and `d_in` have one entry per input of the specification; a variadic last input goes on with one
 * entry per value, and task->in_start[n_in] - task->in_start[n_in - 1] is their number. A gradient
 * has the shape of its value, and its dtype or f32. A rule may return the same value several times
 * (both inputs of an addition), leaves PLB_NONE where nothing flows, and need not fill what is not
 * needed. */
struct plb_gradient {
    struct plb_graph *graph;
    const struct plb_task *task;
    const plb_value *in, *out; /* the task's own operands, PLB_NONE where absent */
    const plb_value *d_out;    /* gradient of each output, PLB_NONE where nothing flows */
    const bool *needs;         /* per input: is its gradient wanted? */
    plb_value *d_in;           /* to fill; PLB_NONE on entry */
};

/* Five methods; `shape`, `cost` and `cpu` are required. */
struct plb_operator {
    const char *name;               /* "linear", "linear_dx": unique */
    const char *attribute_i[8];     /* names of the attributes used, NULL for unused */
    const char *attribute_f[4];
    int n_in, n_out;
    struct plb_operand_spec in[PLB_OPERANDS_MAX];
    struct plb_operand_spec out[PLB_OPERANDS_MAX];
    /* 1 + index of the real attribute above 0 of which the kernel reads the number of the step
     * (struct plb_call); 0: it never does. */
    int step_attribute;
    int granule; /* 1 + index of the integer attribute that holds rows per sequence; 0: none */
    bool once;   /* a transfer between places: its task must run, cannot run again in the step, and
                    takes no worker's time */

    /* Checks the inputs and fills out[].  Message: which operand, what was expected, what came. */
    enum plb_status (*shape)(struct plb_task_types *types);
    /* Cost of a task with these types. */
    void (*cost)(const struct plb_task_types *types, struct plb_cost *cost_out);
    /* Emits the gradient tasks. NULL: no gradient flows through. */
    enum plb_status (*gradient)(struct plb_gradient *gradient);
    /* Bytes of scratch memory for a task with these types. NULL: none. */
    size_t (*scratch)(const struct plb_task_types *types);
    /* Computes. Fails only for what cannot be known before (a token out of range). */
    enum plb_status (*cpu)(const struct plb_call *call);
};

/* The record of a name, NULL when there is none. The table is codelets'; it is declared here
 * because differentiation itself adds tasks of "fill" and "add". */
const struct plb_operator *plb_operator_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
