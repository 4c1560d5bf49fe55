/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing plans: what all policies have in common.
 *
 * A writer keeps track of which values are where while a policy walks through a step. Asked to run
 * a task it first brings back what the task reads and is not on the device: it fetches a value that
 * has a copy elsewhere, and otherwise runs the value's producer again, likewise (lineage, one value
 * at a time). The policy says which tasks run in which order and which values it forgets, sends
 * away or fetches ahead; it need not say where values end.
 *
 * What the writer holds is a *draft*: RUN, OFFLOAD and FETCH alone. Finishing it adds the DROPs
 * (each copy ends after its last use before it is made again) and the marks of storage that is
 * taken over. So a draft that forgets nothing finishes as the plan of the policy "none".
 *
 * Thread-safety: a writer belongs to one thread.
 */
#ifndef PLB_PLAN_WRITER_H
#define PLB_PLAN_WRITER_H

#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_writer plb_writer_t;

/* Begins with the graph's initial values on the device. */
enum plb_status plb_writer_create(const plb_graph_t *graph, plb_writer_t **writer_out);
void plb_writer_destroy(plb_writer_t *writer); /* NULL is allowed */

/* Appends RUN task, after what brings its missing inputs back; nothing for a transfer between places
 * that has run. PLB_ERROR_INVALID when an input can be had by no means (a parameter that its update
 * has replaced). */
enum plb_status plb_writer_run(plb_writer_t *writer, plb_task_id task);
/* Brings one value back to the device, if it is not there. */
enum plb_status plb_writer_need(plb_writer_t *writer, plb_value value);
/* The device's copy counts as gone from here on; it really ends after its last use. Nothing happens
 * for a value that is not there, for initial values, and for what can be had by no means again (it
 * was received from another place and has no copy in another tier). */
void plb_writer_forget(plb_writer_t *writer, plb_value value);
/* Appends OFFLOAD value, tier (nothing when the tier has it); the device's copy stays. */
enum plb_status plb_writer_offload(plb_writer_t *writer, plb_value value, enum plb_tier tier);
/* Appends FETCH value from where it has a copy (nothing when it is on the device or nowhere). */
enum plb_status plb_writer_fetch(plb_writer_t *writer, plb_value value);

bool plb_writer_has(const plb_writer_t *writer, plb_value value);      /* on the device */
bool plb_writer_has_copy(const plb_writer_t *writer, plb_value value); /* in another tier */
uint32_t plb_writer_length(const plb_writer_t *writer);                /* instructions so far */

/* Writes the finished plan. The writer can then only be destroyed. */
enum plb_status plb_writer_finish(plb_writer_t *writer, struct plb_plan *plan_out);

/* Finishes a draft that was written otherwise (RUN, OFFLOAD and FETCH alone). */
enum plb_status plb_plan_finish(const plb_graph_t *graph, const struct plb_plan *draft,
                                struct plb_plan *plan_out);

#ifdef __cplusplus
}
#endif

#endif
