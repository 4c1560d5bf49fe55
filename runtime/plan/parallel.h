/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interface of parallel policies: who decides where tasks run, and in which order.
 *
 * A policy is one constant record at the end of its file in schedulers/parallel/. It reads a
 * problem and writes a hybrid plan (hybrid.h), which is checked before it runs. The graph has its
 * micro-batches and tensor-parallel shards already, as numbers in its tasks: how often a model is
 * split is part of the model that is built (policy "auto" chooses these numbers beforehand,
 * schedulers/parallel/auto.h), where the pieces run is a policy's to say.
 */
#ifndef PLB_PLAN_PARALLEL_H
#define PLB_PLAN_PARALLEL_H

#include "runtime/plan/hybrid.h"
#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero: as many as suit the policy and the places. */
struct plb_degrees {
    uint32_t replicas; /* data parallel: groups of places, each with the whole model */
    uint32_t stages;   /* pipeline: groups of places of a replica, each with some layers */
    uint32_t chunks;   /* parts of the model that a stage has (interleaved schedules); 0: as many as
                          the policy is defined with */
    bool shard_state;  /* each parameter is updated at one replica only (ZeRO-1: Rajbhandari et al.
                          2020, "ZeRO", section 5.1) and its next version sent to the others */
};

struct plb_parallel_problem {
    const plb_graph_t *graph; /* cut; tasks have micro_batch, shard, block, forward */
    const plb_places_t *places;
    const double *const *seconds; /* per kind of device: per task */
    struct plb_degrees degrees;
    const size_t *budget; /* per place: most bytes on the device, SIZE_MAX: no limit; NULL: none has */
    const char *argument; /* of the policy, "P" in "replay:P"; NULL: none */
};

struct plb_parallel_policy {
    const char *name; /* what PALOMBE_PARALLEL selects */
    const char *help; /* one line */
    /* Required. Writes a hybrid plan into `hybrid_out` (empty on entry; cleared by the caller on
     * failure; name and fingerprint are set by the caller). PLB_ERROR_INVALID: degrees that cannot
     * be (more stages than layers, places that do not suffice, micro-batches that do not divide);
     * PLB_ERROR_MEMORY: no plan keeps the budgets. The message says what would do. */
    enum plb_status (*plan)(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out);
    /* Optional (default: plan): after costs have drifted or places are gone. */
    enum plb_status (*replan)(const struct plb_parallel_problem *problem, enum plb_event event,
                              const struct plb_hybrid *current, struct plb_hybrid *hybrid_out);
    const char *takes; /* as in struct plb_memory_policy, */
    const char *argument; /* and this, too */
};

/* Asks the policy and spreads what it wrote, which proves it right. `current` NULL: a first plan.
 * Nothing is written on failure. */
enum plb_status plb_hybrid_make(const struct plb_parallel_policy *policy,
                                const struct plb_parallel_problem *problem, enum plb_event event,
                                const struct plb_hybrid *current, struct plb_hybrid *hybrid_out,
                                struct plb_spread *spread_out);

#ifdef __cplusplus
}
#endif

#endif
