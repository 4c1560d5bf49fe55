/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running graphs on StarPU.
 *
 * The *runtime* is StarPU with its workers, started once per process. A *store* holds persistent
 * tensors (parameters, optimizer state, caches) by name; several sessions may share it. A *session*
 * is a captured graph made ready: cut into tasks, planned, checked, its memory laid out; it is
 * replayed once per step.
 *
 * Submission is asynchronous and ordered: plb_session_write(), plb_session_step() and
 * plb_session_read() of one or several sessions take effect as if they ran one after the other.
 *
 * Thread-safety: one thread at a time calls into the runtime, stores and sessions.
 */
#ifndef PLB_RUN_SESSION_H
#define PLB_RUN_SESSION_H

#include "runtime/base/bytes.h"
#include "runtime/graph/cut.h"
#include "runtime/graph/graph.h"
#include "runtime/plan/costs.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/parallel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb_store plb_store_t;
typedef struct plb_session plb_session_t;

struct plb_runtime_options {
    int workers;        /* CPU workers; 0: as many as cores, or STARPU_NCPU */
    const char *device; /* "cpu", "virtual:2GiB[,link=150MB/s]", ... (see doc/devices.md); NULL:
                           PALOMBE_DEVICE, else "cpu" */
    const char *devices; /* several that work together, as in "cpu:1,cpu:1", before `device`; NULL:
                            PALOMBE_DEVICES, else one */
};

/* Starts StarPU, with the policy that STARPU_SCHED names. PLB_ERROR_INVALID for a policy or number
 * of workers or a device that cannot be had, PLB_ERROR_UNAVAILABLE when no matrix library can be
 * loaded or the device needs something that is not installed.
 * `options` may be NULL. Starting twice is an error. */
enum plb_status plb_runtime_start(const struct plb_runtime_options *options);
/* Waits for all tasks and stops StarPU. Sessions and stores must have been destroyed. */
void plb_runtime_stop(void);
int plb_runtime_workers(void);           /* workers that compute; 0 when not started */
const char *plb_runtime_scheduler(void); /* name of StarPU's policy; "" when not started */

/* Persistent tensors. */
enum plb_status plb_store_create(plb_store_t **store_out);
void plb_store_destroy(plb_store_t *store); /* after the sessions that use it; NULL is allowed */

/* Copies a whole tensor in or out by its name; waits for tasks that use it. The tensor exists once
 * a session that names it was created. `bytes` must be its exact size. */
enum plb_status plb_store_write(plb_store_t *store, const char *name, const void *data,
                                size_t bytes);
enum plb_status plb_store_read(plb_store_t *store, const char *name, void *data, size_t bytes);
/* The type of a tensor; PLB_ERROR_INVALID when there is none of that name. */
enum plb_status plb_store_type(const plb_store_t *store, const char *name,
                               struct plb_type *type_out);
/* Names in order of creation: 0 to plb_store_tensors() - 1. */
uint32_t plb_store_tensors(const plb_store_t *store);
const char *plb_store_name(const plb_store_t *store, uint32_t index);
size_t plb_store_bytes(const plb_store_t *store);

/* Zero fields take the defaults in brackets. */
struct plb_session_options {
    const char *memory_policy; /* [PALOMBE_MEMORY, else "none"] */
    struct plb_cut_options cut;
    uint32_t in_flight;       /* most tasks submitted and not finished [4096] */
    struct plb_budget budget; /* most memory of the device that the session uses, its share of
                                 the store and work space included
                                 [PALOMBE_MEMORY_BUDGET, else what the device has] */
    const char *state;        /* where parameters and optimizer state are kept from step to step,
                                 unless the store has them already: "device", or in main
                                 memory beside it "host", "optimizer" or some "8GiB", and
                                 where it is updated (see runtime/plan/keep.h)
                                 [PALOMBE_STATE, else "device"] */
    size_t host_bytes;        /* most main memory beside a card for copies
                                 [three quarters of what can be had now] */
    size_t disk_bytes;        /* most room on disk for copies [what is free] */
    const char *offload_dir;  /* where the file for them is made
                                 [PALOMBE_OFFLOAD_DIR, else TMPDIR, else /var/tmp] */
    double grain_seconds;     /* tasks that take less are handed to a device with one worker in
                                 batches of about that time; negative: never
                                 [PALOMBE_GRAIN, else what suits the device] */
    plb_costs_t *costs;       /* to plan with and to record into; must outlive the session
                                 [a table of its own, modelled at first] */
    const char *parallel;       /* where tasks run when there are several devices: the policy's name
                                   [PALOMBE_PARALLEL, else "none": all on the first device] */
    struct plb_degrees degrees; /* what that policy is asked for */
    const struct plb_hybrid *hybrid; /* ... or a plan that was made before, for the same cut graph;
                                        is read during the call */
    double drift;             /* a plan under a budget is made anew when the predicted time of
                                 a step has changed by more than this share; negative: never
                                 [0.2] */
};

/* What a session needs and does per step; see the fields. */
struct plb_session_info {
    const char *memory_policy;
    uint32_t tasks, values, instructions; /* of the cut graph and its plan */
    uint64_t fingerprint;
    double flops, bytes;     /* modelled, of one step */
    size_t persistent_bytes; /* parameters and state in the store, on the device */
    size_t away_bytes;       /* ... in main memory beside it */
    size_t transient_bytes;  /* device memory for everything else: inputs and arena */
    size_t scratch_bytes;    /* work space of all workers */
    size_t planned_peak;     /* most bytes of values existing at once on the device */
    size_t planned_by_role[PLB_ROLES];
    double prepare_seconds; /* cutting, planning, checking, registering */
    double submit_seconds;  /* host time of all steps so far in submission */
    uint64_t steps;
    uint32_t handed_over; /* tasks and moves that StarPU got in the latest step */

    size_t budget;            /* bytes of the device; SIZE_MAX: none */
    size_t planned_bytes;     /* of the device under the present plan: store, inputs, arena
                                 and work space; at most the budget */
    size_t arena[PLB_TIERS];  /* of it, and in the other tiers, for copies of values */
    double predicted_seconds; /* of one step, by the simulator, when the plan was made */
    uint32_t again_tasks;     /* tasks that run once more in a step, */
    double again_flops;       /* and what that costs */
    size_t moved_out[PLB_TIERS], moved_in[PLB_TIERS]; /* bytes per step, from and to the device */
    uint32_t replans;      /* plans that were switched to while the session ran */
    double replan_seconds; /* what the caller waited for the latest change, of the budget or of the
                              plan: for a plan, where one was needed at once, for the switch to it,
                              and for ordering its tasks after those of the former one */
    uint32_t asked;        /* times that the policy was asked while the caller waited: for the first
                              plan, and when there was less memory than the present one takes */
    uint32_t asked_aside;  /* ... while steps went on */
    const char *parallel;  /* name of the parallel policy; "none" where one device runs all */
    uint32_t devices;      /* that have tasks */
    uint32_t transfers;    /* between them in a step, */
    size_t transferred;    /* and their bytes */
    double bubble;         /* predicted share of the workers' time without a task */
    char note[256];        /* what the session decided by itself, latest; "" for nothing */
};

/* How a session that asks for this cut has its graph cut on the device that was started: a card
 * gets as few tasks as can be, unless fields say otherwise. */
struct plb_cut_options plb_session_cut(const struct plb_cut_options *asked);

/* Makes a session. `whole` is kept by reference and must outlive it; `options` may be NULL. Values
 * of role PARAMETER or STATE are bound by name to the store's tensors, which are created (zeroed)
 * where missing; another type or cut under the same name is PLB_ERROR_INVALID. */
enum plb_status plb_session_create(const plb_graph_t *whole,
                                   const struct plb_session_options *options, plb_store_t *store,
                                   plb_session_t **session_out);
/* Waits for the session's tasks. NULL is allowed. */
void plb_session_destroy(plb_session_t *session);

/* Sets an input (role INPUT, a value of the whole graph); the data are copied before return. The
 * value keeps from step to step until it is written again. */
enum plb_status plb_session_write(plb_session_t *session, plb_value input, const void *data,
                                  size_t bytes);

/* Submits one step. `step` is the number that counter-based randomness uses. A new plan, where one
 * is due, takes over here: its tasks wait for those of the former one only where both use the same
 * memory. Where a new plan is due and there is none, the steps in flight are waited for and this
 * one and all later ones are refused: what is in the store then, a whole number of steps has left
 * there, plb_session_wait() succeeds, and only outputs cannot be read any more. */
enum plb_status plb_session_step(plb_session_t *session, uint64_t step);

/* Seconds of a step by the simulator, with what tasks and transfers are known to take by now, and
 * the share of the workers' time without a task. */
enum plb_status plb_session_predict(plb_session_t *session, double *seconds_out,
                                    double *bubble_out);

/* Changes the most bytes of the device that the session uses; the next step runs under a plan that
 * keeps it, and main memory beyond it is given back when the steps in flight have ended (a card's
 * stays taken for plans to come). The policy's quick answer is what is waited for, where the present
 * plan takes more than that; a better plan is made while steps go on, and taken up by one of them.
 * PLB_ERROR_INVALID for 0 and for more than the device has,
 * PLB_ERROR_MEMORY when no plan is that small (the message says which budget would do): then
 * nothing changes. Memory that the machine is short of (other programs, a container's limit) lowers
 * the budget between steps by itself, and never below the least that works. */
enum plb_status plb_session_set_budget(plb_session_t *session, size_t bytes);

/* Waits for and copies out a value marked as output (of the latest step), or an initial value.
 * Returns the failure of the first task that failed, if any did: the session and the tensors of
 * its store are then not to be used on. */
enum plb_status plb_session_read(plb_session_t *session, plb_value value, void *data, size_t bytes);

/* Waits for all steps; the first failure of any task: then the tensors of the store are not to be
 * used on. */
enum plb_status plb_session_wait(plb_session_t *session);

void plb_session_get_info(const plb_session_t *session, struct plb_session_info *info_out);
/* The cut graph, for pictures and figures; owned by the session. Where several devices share it, the
 * plan and the layout are those of the first of them that has tasks. */
const plb_graph_t *plb_session_graph(const plb_session_t *session);
/* The present plan, its layout, and the costs that are planned with; owned by the session, valid
 * until the next step. */
const struct plb_plan *plb_session_plan(const plb_session_t *session);
const struct plb_layout *plb_session_layout(const plb_session_t *session);
plb_costs_t *plb_session_costs(const plb_session_t *session);

/* When on, the times of the tasks of each later step are recorded, those of the latest step kept.
 */
void plb_session_trace(plb_session_t *session, bool on);

/* One task or one move of a value of the traced step. Times in seconds since the step was
 * submitted. */
struct plb_trace_record {
    enum plb_opcode code; /* PLB_RUN, PLB_OFFLOAD, PLB_FETCH */
    plb_task_id task;     /* RUN: of the cut graph; PLB_NONE for moves and transfers */
    plb_value value;      /* moves and transfers: of the cut graph; PLB_NONE for tasks */
    enum plb_tier tier;   /* moves: where to, where from; RUN: PLB_HOST beside the device */
    int worker;           /* of a task: among those that compute, from 0; -1: none did */
    uint32_t place;       /* number of the device; of a transfer the one that receives, */
    uint32_t from;        /* and the one that sends; PLB_NONE: it is no transfer (code RUN) */
    double start, end;
};

/* Waits for the step and gives the records in the plan's order; n_out their number. They are
 * valid until the next step. PLB_ERROR_INVALID when no step was traced. */
enum plb_status plb_session_get_trace(plb_session_t *session,
                                      const struct plb_trace_record **records_out, uint32_t *n_out);

#ifdef __cplusplus
}
#endif

#endif
