/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the executor share; see session.h for the concept.
 *
 * Here alone, and in the files that include this header, StarPU is known. A block of memory in
 * which values live one after the other is a *slot*: one StarPU handle, registered once. StarPU's
 * sequential consistency on the handle then orders a value's readers before the next value's
 * writer, so memory never exceeds what the plan laid out, however many steps are in flight.
 */
#ifndef PLB_RUN_INTERNAL_H
#define PLB_RUN_INTERNAL_H

#include "runtime/plan/policy.h"
#include "runtime/plan/storage.h"
#include "runtime/run/invoke.h"
#include "runtime/run/session.h"

#include <pthread.h>
#include <starpu.h>

/* ---- runtime.c ---- */

/* PLB_ERROR_INVALID unless the runtime was started. */
enum plb_status plb__runtime_require(void);
/* Makes sure that each worker has `bytes` of scratch memory. Waits for all tasks if it must grow. */
enum plb_status plb__runtime_reserve_scratch(size_t bytes);
size_t plb__runtime_scratch_bytes(void); /* of all workers */
/* Scratch memory of the calling worker. */
void *plb__runtime_scratch(void);
/* Idle workers of StarPU poll, and take the cores from whoever prepares or saves data. They rest
 * (block) while no task is submitted, and are woken before one is. */
void plb__runtime_wake(void);
void plb__runtime_rest(void); /* does nothing while tasks are in flight */
/* The StarPU codelet of an operator. */
struct starpu_codelet *plb__runtime_codelet(const struct plb_operator *op);
/* A failure of a StarPU call, named. */
enum plb_status plb__starpu_failed(const char *call, int error);

/* ---- environment.c ---- */

/* Refuses an environment that StarPU would end the process for, and sees to it that StarPU can
 * write its performance models. To be called before StarPU is started. */
enum plb_status plb__environment_check(void);

/* ---- memory.c ---- */

/* Main memory that this process may use: the machine's, or its container's. */
size_t plb__memory_bytes(void);

/* A zeroed block, on huge pages where it is large. Fails with a clear message when it is more than
 * the machine has. */
enum plb_status plb__memory_map(size_t bytes, const char *what, void **block_out);
void plb__memory_unmap(void *block, size_t bytes);

/* ---- store.c ---- */

/* One tensor of a store: a grid of cells, each with its handle. */
struct plb__entry {
    char *name;
    struct plb_type type;
    enum plb_role role;
    uint32_t n_cells;
    struct plb_tensor *cell; /* shape, origin and data of each */
    starpu_data_handle_t *handle;
    void *block;
    size_t bytes;
};

/* Finds or makes the entry for a value of the whole graph, whose cells in the cut graph are given.
 * Entries stay where they are as long as the store. */
enum plb_status plb__store_bind(plb_store_t *store, const plb_graph_t *cut,
                                const struct plb_value_info *whole, struct plb_cells cells,
                                const struct plb__entry **entry_out);

/* Copies a whole tensor of `type` into its n cells (or out of them), waiting for tasks on them. */
enum plb_status plb__cells_write(const struct plb_type *type, const struct plb_tensor *cell,
                                 const starpu_data_handle_t *handle, uint32_t n, const void *data);
enum plb_status plb__cells_read(const struct plb_type *type, const struct plb_tensor *cell,
                                const starpu_data_handle_t *handle, uint32_t n, void *data);

/* ---- priority.c ---- */

/* Priorities for StarPU, -5 to 5, of all tasks of a cut graph. */
enum plb_status plb__priorities_find(const plb_graph_t *graph, int *priority_out);

/* ---- session.c, submit.c ---- */

/* One RUN of the plan, ready to be submitted. */
struct plb__launch {
    struct plb_session *session;
    struct plb__invocation invocation;
    struct starpu_codelet *codelet;
    plb_task_id task;
    uint32_t index;              /* among the launches of the session */
    uint32_t n_buffers;          /* distinct slots */
    starpu_data_handle_t *handle;
    enum starpu_data_access_mode *mode;
    uint32_t *buffer_of;         /* per cell of the invocation: index of its buffer */
    double flops;
    uint32_t footprint;
    int priority;
};

struct plb_session {
    const plb_graph_t *whole;
    plb_graph_t *cut;
    plb_store_t *store;
    struct plb_plan plan;
    struct plb_storage storage;
    starpu_data_handle_t *slot_handle; /* per slot */
    void **slot_data;                  /* per slot; NULL where the store owns it */
    uint32_t *slot_of_value;           /* per value of the cut graph that can be read or written */
    void *arena;
    size_t arena_bytes;
    struct plb__launch *launch;
    uint32_t n_launches;
    uint32_t in_flight;
    struct plb_session_info info;

    bool trace;                        /* later steps are recorded */
    bool traced;                       /* the latest one was */
    struct plb_trace_record *record;   /* per launch */

    pthread_mutex_t lock;              /* of the fields below */
    enum plb_status failed;
    char message[512];
};

/* One replay of the session's launches; freed by the last task that ends. */
struct plb__step {
    struct plb_session *session;
    uint64_t number;
    uint64_t origin; /* nanoseconds, when the step was submitted */
    bool trace;
    uint32_t left;   /* tasks that have not ended; atomic */
    struct plb__instance {
        struct plb__step *step;
        const struct plb__launch *launch;
    } instance[];
};

/* What StarPU calls for every task. */
void plb__task_run(void *buffers[], void *instance);
uint32_t plb__task_footprint(struct starpu_task *task);
/* Submits all launches. */
enum plb_status plb__step_submit(struct plb_session *session, uint64_t number);
/* Fills session->launch from the plan. */
enum plb_status plb__launches_prepare(struct plb_session *session);
void plb__launches_clear(struct plb_session *session);

#endif
