/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interface of memory policies: who decides what becomes of values under a budget.
 *
 * A policy is one constant record at the end of its file. It reads a *problem* (graph, costs,
 * platform, limits) and writes a plan; most do so through a *writer* (writer.h), which makes again
 * or fetches what a task needs and is not there, and finds where values end. A policy cannot do
 * harm: what it writes is checked before it runs.
 *
 * A policy outside the tree is a shared object that defines `plb_policy_module` (below), in a
 * directory that PALOMBE_POLICY_PATH lists; see doc/policies.md.
 */
#ifndef PLB_PLAN_POLICY_H
#define PLB_PLAN_POLICY_H

#include "runtime/plan/costs.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a plan is wanted for. Owned by the caller, valid during the call. */
struct plb_problem {
    const plb_graph_t *graph;            /* cut */
    const struct plb_platform *platform; /* rates and links */
    const double *seconds;               /* per task */
    struct plb_limits limits;
    struct plb_needs needs; /* of the graph */
    const char *argument;   /* of the policy: "PATH" when it was named "replay:PATH";
                               NULL for none */
};

/* Why a policy is asked again while a plan runs. */
enum plb_event {
    PLB_EVENT_DRIFT,    /* measured costs have left those that the plan was made with */
    PLB_EVENT_PRESSURE, /* the device has fewer bytes than the plan was made for */
    PLB_EVENT_RELIEF,   /* ... or more */
};

struct plb_memory_policy {
    const char *name; /* what PALOMBE_MEMORY selects */
    const char *help; /* one line */

    /* Required. Writes a plan into `plan_out` (empty on entry; cleared by the caller on failure);
     * its fingerprint is set by the caller, and so is its name unless it begins with the policy's and
     * says more ("oracle (not proved the best)"). PLB_ERROR_MEMORY when no plan of this policy
     * keeps the limits: then the message says why. */
    enum plb_status (*plan)(const struct plb_problem *problem, struct plb_plan *plan_out);

    /* Optional (default: plan). Writes the plan that follows `current` after an event. Steps wait
     * for it, so it may be quick rather than sure: where it gives PLB_ERROR_MEMORY, or a plan that
     * does not keep the limits, `plan` is asked. */
    enum plb_status (*replan)(const struct plb_problem *problem, enum plb_event event,
                              const struct plb_plan *current, struct plb_plan *plan_out);

    /* Optional flag: values are left to StarPU, which evicts when the device is full; the plan has
     * only RUN and DROP on the device and limits do not bind it. For comparison. */
    bool left_to_starpu;

    /* Optional: what the text after a colon in its name is called in messages and lists: a policy
     * "replay" that takes a "PATH" is named as "replay:PATH". NULL: it takes no argument, else it
     * cannot do without one. A "POLICY" is itself the name of a policy, which must exist. */
    const char *takes;
    /* NULL in a policy's own record. For "replay:PATH" the registry gives a copy of the record with
     * this name in full and PATH here; plb_memory_policy_ask() hands it on in the problem. */
    const char *argument;
};

/* Asks a policy: `replan` where there is a current plan and the policy has one, else `plan`, with
 * the record's argument in the problem. The one way to call a policy; nothing is checked yet.
 * `current` NULL: a first plan. On failure `plan_out` is empty again. */
enum plb_status plb_memory_policy_ask(const struct plb_memory_policy *policy,
                                      const struct plb_problem *problem, enum plb_event event,
                                      const struct plb_plan *current, struct plb_plan *plan_out);

/* "drift", "pressure", "relief". */
const char *plb_event_name(enum plb_event event);

struct plb_parallel_policy;

/* What a shared object exports under the name "plb_policy_module": policies of one question or of
 * several. */
#define PLB_POLICY_ABI 2u
struct plb_policy_module {
    uint32_t abi;    /* PLB_POLICY_ABI of the headers that it was built with */
    uint32_t record; /* sizeof(struct plb_memory_policy) there, where there are any */
    uint32_t n;
    const struct plb_memory_policy *const *memory; /* n records */
    uint32_t record_parallel; /* sizeof(struct plb_parallel_policy) there (parallel.h), likewise */
    uint32_t n_parallel;
    const struct plb_parallel_policy *const *parallel; /* n_parallel records */
};

/* Fills a problem: needs and, where `costs` is NULL, seconds by the nominal model. `seconds` has
 * room for every task. */
enum plb_status plb_problem_prepare(const plb_graph_t *graph, const plb_costs_t *costs,
                                    const struct plb_limits *limits, double *seconds,
                                    struct plb_problem *problem_out);

/* Bytes of the device that no plan of any policy does without: the initial values, work space and
 * the largest task; where limits hold gradients, these and what the largest task has beside them. */
size_t plb_problem_floor(const struct plb_problem *problem);

/* Is the budget one that a plan could keep? Refused are 0, more than the device has, and
 * (PLB_ERROR_MEMORY) what is below the floor; then the message names the largest task, its bytes and
 * the least budget that does. */
enum plb_status plb_problem_check(const struct plb_memory_policy *policy,
                                  const struct plb_problem *problem);

/* Checks the budget, asks the policy, proves its plan right and lays it out under the problem's
 * limits. A quick answer to an event that does not fit is followed by a whole plan. `current` NULL:
 * a first plan. Nothing is written on failure. */
enum plb_status plb_plan_make(const struct plb_memory_policy *policy,
                              const struct plb_problem *problem, enum plb_event event,
                              const struct plb_plan *current, struct plb_plan *plan_out,
                              struct plb_layout *layout_out);

/* The same with nothing but the policy's answer to the event: what has to be there soon. */
enum plb_status plb_plan_make_soon(const struct plb_memory_policy *policy,
                                   const struct plb_problem *problem, enum plb_event event,
                                   const struct plb_plan *current, struct plb_plan *plan_out,
                                   struct plb_layout *layout_out);

/* The least number of device bytes under which the policy makes a plan that can be laid out, to one
 * part in 256 of what the activations need. */
enum plb_status plb_plan_least(const struct plb_memory_policy *policy,
                               const struct plb_problem *problem, size_t *bytes_out);

#ifdef __cplusplus
}
#endif

#endif
