/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a task of a graph to a call of its kernel.
 *
 * An invocation is prepared once per task: which parts each operand has, which operands must be
 * gathered, how much scratch that takes. Running it only fills in where the data lie. Nothing here
 * knows of StarPU, so that a test can run a graph by hand exactly as the executor does.
 *
 * Thread-safety: a prepared invocation may be run by many threads at once, each with its own
 * scratch.
 */
#ifndef PLB_RUN_INVOKE_H
#define PLB_RUN_INVOKE_H

#include "runtime/graph/graph.h"
#include "runtime/run/gather.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb__invocation {
    const struct plb_operator *op;
    const char *name; /* of the task */
    const struct plb_attributes *attributes;
    int n_in, n_out;
    uint32_t n_cells; /* of all operands, inputs first */
    uint32_t n_parts; /* cells and one for each gathered operand */
    int64_t low[PLB_AXES], high[PLB_AXES];
    const struct plb_tensor *part; /* per cell, without data */
    const struct plb_operand *operand; /* inputs, then outputs; parts not set */
    const uint32_t *first;             /* per operand: its first cell; one more at the end */
    const size_t *gather;              /* per operand: bytes to gather, 0 for none */
    size_t kernel_scratch;
    size_t scratch_bytes; /* what plb__invocation_run() needs */
    void *block;          /* owns the arrays */
};

/* Prepares the invocation of a task; the graph must outlive it. With `one_part` operands that are
 * lists of cells are gathered, too, as CUDA kernels want them (PLB_ERROR_UNAVAILABLE for an output
 * of several cells); values of a variadic operand stay apart. */
enum plb_status plb__invocation_prepare(const plb_graph_t *graph, plb_task_id task, bool one_part,
                                        struct plb__invocation *invocation_out);
void plb__invocation_clear(struct plb__invocation *invocation);

/* Fills a call and its operands and parts, which lie in `frame` (plb__invocation_frame_bytes(),
 * 64-aligned), for where the data are; gathering operands into `buffer`, each at a multiple of
 * `alignment`, which divides the buffer's address. */
struct plb__frame {
    void *frame;
    const struct plb__copier *copier;
    char *buffer;
    size_t alignment;
};
size_t plb__invocation_frame_bytes(const struct plb__invocation *invocation);
size_t plb__invocation_gather_bytes(const struct plb__invocation *invocation, size_t alignment);
enum plb_status plb__invocation_fill(const struct plb__invocation *invocation, void *const *data,
                                     uint64_t step, const struct plb__frame *frame,
                                     struct plb_call *call_out);

/* Rows that a call may be divided into, by plb__invocation_run_rows(): 1 where it may not. */
int64_t plb__invocation_rows(const struct plb__invocation *invocation);
/* The same as plb__invocation_run() for rows [low, high) of those. */
enum plb_status plb__invocation_run_rows(const struct plb__invocation *invocation,
                                         void *const *data, uint64_t step, void *scratch,
                                         int64_t low, int64_t high);

/* Calls the CPU kernel. data[j] is where cell j lies (input cells, then output cells, in the task's
 * order); `scratch` has scratch_bytes, 64-aligned. */
enum plb_status plb__invocation_run(const struct plb__invocation *invocation, void *const *data,
                                    uint64_t step, void *scratch);

#ifdef __cplusplus
}
#endif

#endif
