/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where parameters and optimizer state are kept from step to step: on the device, or in main memory
 * beside it, from where they come and go around the tasks that use them.
 *
 * Thread-safety: pure, but for the graph that plb_keep_apply() writes into.
 */
#ifndef PLB_PLAN_KEEP_H
#define PLB_PLAN_KEEP_H

#include "runtime/graph/cut.h"
#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How much is kept in main memory: at most `bytes` of what has role STATE (it is used least: by the
 * update alone), then of the parameters if these may leave, too; each in the order of the graph,
 * whole tensors, and what does not fit any more stays on the device. All zero: nothing. */
struct plb_keep {
    size_t bytes;
    bool parameters;
};

/* Reads "device" (nothing leaves), "optimizer" (all state), "host" (parameters, too), or a number
 * of bytes ("112GiB"). NULL and "" are "device". PLB_ERROR_INVALID says what can be said. */
enum plb_status plb_keep_read(const char *text, struct plb_keep *keep_out);

/* The tier of each value of a graph that was not cut: PLB_HOST for what leaves, else PLB_DEVICE.
 * `home_out` has one entry per value. */
void plb_keep_find(const struct plb_keep *keep, const plb_graph_t *whole, enum plb_tier *home_out);

/* Gives parameters and state their homes in `graph`, which is `whole` itself or a cut of it.
 * PLB_ERROR_MEMORY, or an error of the graph's. */
enum plb_status plb_keep_apply(const struct plb_keep *keep, const plb_graph_t *whole,
                               plb_graph_t *graph);

#ifdef __cplusplus
}
#endif

#endif
