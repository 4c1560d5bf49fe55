/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Profiles of graphs.
 *
 * A unit is a position of the graph (common/jobs.h) where these are few, so that stages may begin
 * at any cut, else a block of the model, or what stands before or after them.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_GRAPH_H
#define PLB_PARALLEL_AUTO_GRAPH_H

#include "schedulers/parallel/auto.h"
#include "schedulers/parallel/common/jobs.h"

struct plb__auto_graph {
    struct plb_auto_profile profile;
    uint32_t *bound; /* unit u has positions bound[u] to bound[u + 1] - 1 */
};

/* `by_block`: whatever the number of positions. PLB_ERROR_INVALID: a graph without forward tasks,
 * or whose parts are of too many sorts. */
enum plb_status plb__auto_graph_read(const struct plb__jobs *jobs, const plb_places_t *places,
                                     const double *const *seconds, uint32_t samples, bool by_block,
                                     struct plb__auto_graph *read_out);
/* Finds what the units of a graph that was read by block may recompute. `costs`: of the device that
 * `seconds` are of. */
enum plb_status plb__auto_graph_options(const struct plb__jobs *jobs, const plb_costs_t *costs,
                                        const double *seconds, struct plb__auto_graph *graph);
void plb__auto_graph_clear(struct plb__auto_graph *read);

#endif
