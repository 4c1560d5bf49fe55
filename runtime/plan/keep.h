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
#include "runtime/plan/costs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where updates of what is kept in main memory are made. */
enum plb_keep_update {
    PLB_UPDATE_WHERE_IT_HIDES, /* by the platform's rates */
    PLB_UPDATE_DEVICE,         /* state comes and goes */
    PLB_UPDATE_HOST,           /* the gradient goes, the new parameter comes (Ren et al. 2021,
                                  ZeRO-Offload, section 4) */
};

/* How much is kept in main memory: at most `bytes` of what has role STATE (it is used least: by the
 * update alone), then of the parameters if these may leave, too; each in the order of the graph,
 * whole tensors, and what does not fit any more stays on the device. All zero: nothing. */
struct plb_keep {
    size_t bytes;
    bool parameters;
    enum plb_keep_update update;
};

/* Reads "device" (nothing leaves), "optimizer" (all state), "host" (parameters, too), or a number
 * of bytes ("112GiB"), and behind it, unless where is to be found out, ",update=device" or
 * ",update=host". NULL and "" are "device". PLB_ERROR_INVALID says what can be said. */
enum plb_status plb_keep_read(const char *text, struct plb_keep *keep_out);

/* The tier of each value of a graph that was not cut: PLB_HOST for what leaves, else PLB_DEVICE.
 * `home_out` has one entry per value. */
void plb_keep_find(const struct plb_keep *keep, const plb_graph_t *whole, enum plb_tier *home_out);

/* Gives parameters and state their homes in `graph`, which is `whole` itself or a cut of it.
 * PLB_ERROR_MEMORY, or an error of the graph's. */
enum plb_status plb_keep_apply(const struct plb_keep *keep, const plb_graph_t *whole,
                               plb_graph_t *graph);

/* Then, in a graph whose values have their homes: which updates are made in main memory
 * (plb_graph_set_tier). The link and main memory work at the same time, and so every update goes
 * there that makes the one that takes longer take less. None where the platform has no link.
 * PLB_ERROR_UNAVAILABLE: asked for where nothing can. */
enum plb_status plb_keep_updates(const struct plb_keep *keep, const struct plb_platform *platform,
                                 plb_graph_t *graph);

#ifdef __cplusplus
}
#endif

#endif
