/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial interpreter of graphs: every value in memory of its own, one task after the other, in
 * the order of the graph, kernels called exactly as the executor calls them (runtime/run/invoke.h).
 *
 * It is the reference for what a graph computes, whole or cut: no StarPU, no plan, no sharing of
 * storage. Values are named by their numbers in the whole graph, also where a cut one is run.
 *
 * Before each step everything that a task makes is filled with NaNs, so that an element that no
 * kernel wrote does not go unseen.
 */
#ifndef PLB_TEST_INTERPRETER_H
#define PLB_TEST_INTERPRETER_H

#include "runtime/graph/cut.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_interpreter plb_interpreter_t;

/* `cut` is a cut of `whole`, or NULL to run the whole graph itself; both must outlive the
 * interpreter. Values that exist before a step begin as zeros. */
enum plb_status plb_interpreter_create(const plb_graph_t *whole, const plb_graph_t *cut,
                                       plb_interpreter_t **interpreter_out);
void plb_interpreter_destroy(plb_interpreter_t *interpreter); /* NULL is allowed */

/* Copies a value of the whole graph in or out, in row-major order; `bytes` must be its size. */
enum plb_status plb_interpreter_write(plb_interpreter_t *interpreter, plb_value value,
                                      const void *data, size_t bytes);
enum plb_status plb_interpreter_read(const plb_interpreter_t *interpreter, plb_value value,
                                     void *data, size_t bytes);

/* Runs all tasks. Then values that live on take their last versions. Returns the failure of the
 * first kernel that failed. */
enum plb_status plb_interpreter_step(plb_interpreter_t *interpreter, uint64_t step);

/* For those who put values elsewhere (player.h): the memory of a value of the graph that is run,
 * and one task on given memory, that of its input cells and then of its output cells. */
void *plb_interpreter_memory(plb_interpreter_t *interpreter, plb_value value);
enum plb_status plb_interpreter_run(plb_interpreter_t *interpreter, plb_task_id task,
                                    void *const *operands, uint64_t step);

#ifdef __cplusplus
}
#endif
#endif
