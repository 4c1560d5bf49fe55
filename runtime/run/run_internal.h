/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the executor share; see session.h for the concept.
 *
 * Here alone, and in the files that include this header, StarPU is known, and of StarPU only its
 * scheduling. A range of bytes in which values live one after the other has one handle without
 * data, a *token*: StarPU's sequential consistency on it orders a value's readers before the next
 * value's writer. Where ranges overlap in part, an instruction takes the tokens of those that it
 * must wait for, too (see layout.h). So memory never exceeds what the plan laid out, however many
 * steps are in flight, and StarPU has nothing to allocate, to move or to evict.
 */
#ifndef PLB_RUN_INTERNAL_H
#define PLB_RUN_INTERNAL_H

#include "runtime/plan/keep.h"
#include "runtime/plan/policy.h"
#include "runtime/run/device.h"
#include "runtime/run/disk.h"
#include "runtime/run/invoke.h"
#include "runtime/run/mover.h"
#include "runtime/run/session.h"
#include "runtime/run/transfer.h"

#include <pthread.h>
#include <starpu.h>

/* ---- runtime.c ---- */

/* PLB_ERROR_INVALID unless the runtime was started. */
enum plb_status plb__runtime_require(void);
/* Makes sure that each worker of the device has `bytes` of scratch memory. Waits for all tasks if
 * it must grow. */
enum plb_status plb__runtime_reserve_scratch(const struct plb_device *device, size_t bytes);
/* Of all workers of the device. */
size_t plb__runtime_scratch_bytes(const struct plb_device *device);
/* The calling worker among those that compute, of all devices, from 0. */
int plb__runtime_worker(void);
/* StarPU's number of the first of them. */
int plb__runtime_first_worker(void);
/* The device's workers, as tasks name those that may run them. */
#define PLB__MASK_WORDS ((STARPU_NMAXWORKERS + 31) / 32)
uint32_t *plb__runtime_mask(const struct plb_device *device);
/* Scratch memory of the calling worker. */
void *plb__runtime_scratch(void);
/* Idle workers of StarPU poll, and take the cores from whoever prepares or saves data. They rest
 * (block) while no task is submitted, and are woken before one is. */
void plb__runtime_wake(void);
void plb__runtime_rest(void); /* does nothing while tasks are in flight */
/* The StarPU codelet of an operator, for values that are left to StarPU or not; of a batch of
 * several tasks. */
struct starpu_codelet *plb__runtime_codelet(const struct plb_operator *op, bool managed);
struct starpu_codelet *plb__runtime_batch_codelet(void);
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
/* Main memory that could be had now: of the machine, and under the container's limit. */
size_t plb__memory_available(void);
/* For tests: what plb__memory_available() says from now on; SIZE_MAX: the truth again. */
void plb__memory_pretend(size_t available);

/* ---- cells.c ---- */

/* Bytes of the device, and who may use them in which order. */
struct plb__place {
    const struct plb_block *block;
    size_t offset;
    starpu_data_handle_t token;
    bool beside;  /* the block is main memory beside the device: a copy in tier PLB_HOST */
    bool managed; /* the token is a variable of StarPU's, of which `block` is the home, if anything
                     is (starpu_managed.h) */
};

/* A cell of a whole value and where it lies. */
struct plb__cell {
    struct plb_tensor tensor; /* data: as kernels see it */
    struct plb__place place;
    bool replica; /* of a store: another device has it, too, and is read */
};

/* Copies a whole tensor of `type` into its n cells (or out of them), waiting for tasks on them. */
enum plb_status plb__cells_write(const struct plb_type *type, const struct plb__cell *cell,
                                 uint32_t n, const void *data);
enum plb_status plb__cells_read(const struct plb_type *type, const struct plb__cell *cell,
                                uint32_t n, void *data);

/* ---- tokens.c: tokens of programs, which go from one to the next ---- */

struct plb__tokens {
    starpu_data_handle_t *spare; /* has room for all */
    uint32_t n, made, room;
};

enum plb_status plb__token_take(struct plb__tokens *tokens, starpu_data_handle_t *token_out);
/* Adds one that was registered elsewhere. */
void plb__token_add(struct plb__tokens *tokens, starpu_data_handle_t token);
/* What still uses the token holds up who takes it next. */
void plb__token_give(struct plb__tokens *tokens, starpu_data_handle_t token);
/* When all were given back. */
void plb__tokens_clear(struct plb__tokens *tokens);

/* ---- store.c ---- */

/* One tensor of a store, or what a device has of it: cells, each with its token, in a block of the
 * device. */
struct plb__entry {
    char *name;
    struct plb_type type;
    enum plb_role role;
    const struct plb_device *device;
    uint64_t spread; /* serial of the session over several devices that made it; 0: one device's */
    struct plb__entry *twin; /* what another device has of the tensor */
    uint32_t n_cells;
    struct plb__cell *cell;
    bool managed; /* left to StarPU: the block is main memory */
    enum plb_tier home; /* PLB_HOST: so is the block, beside the device */
    bool pinned;
    struct plb_block block;
};

/* Cells that a session wants of a tensor. */
struct plb__bind {
    const struct plb_value_info *whole;
    const plb_graph_t *cut; /* of which the cells are values */
    uint32_t n;
    const plb_value *cell;
    const struct plb_device *device;
    uint64_t spread; /* as in struct plb__entry */
    bool managed;
    enum plb_tier home; /* of cells that are not there yet */
};

/* Does the session only read the tensor, of which other devices, whose memory is not its, have
 * cells? */
bool plb__store_is_elsewhere(const plb_store_t *store, const struct plb__bind *bind);
/* Finds or makes them; place_out[n]. They stay where they are as long as the store. */
enum plb_status plb__store_bind(plb_store_t *store, const struct plb__bind *bind,
                                struct plb__place *place_out, enum plb_tier *home_out);

/* ---- priority.c ---- */

/* Priorities for StarPU, -5 to 5, of all tasks of a cut graph. */
enum plb_status plb__priorities_find(const plb_graph_t *graph, int *priority_out);

/* ---- program.c: a plan made ready to be submitted ---- */

/* Most tokens of a task. */
#define PLB__TOKENS_MAX 65536

/* What is the same for every RUN of a task, whatever the plan. */
struct plb__job {
    struct plb__invocation invocation;
    struct starpu_codelet *codelet;
    const struct plb_cuda_operator *kernel; /* of a card, and its scratch memory */
    size_t kernel_scratch;
    double flops;
    uint32_t footprint;
    uint32_t kind; /* tasks of one operator and footprint have one */
    int priority;
};

/* What a step has told so far of a kind of task. */
struct plb__kind {
    const struct plb__job *job; /* one of them */
    double seconds;             /* of all together */
    uint32_t n;
};

/* A range of bytes of a tier in which slots of a program lie one after the other. */
struct plb__range {
    enum plb_tier tier;
    size_t offset, bytes;
    starpu_data_handle_t token;
};

/* Several instructions wait for the users of a slot (gates.c). */
struct plb__gate {
    uint32_t slot;
    uint32_t before; /* the instruction that it stands before */
    uint32_t key;    /* of the token that those who wait read: */
    starpu_data_handle_t passed;
};

/* What StarPU gets: an instruction (RUN, OFFLOAD or FETCH), or a gate before one. */
struct plb__launch {
    struct plb__program *program;
    const struct plb__job *job; /* RUN on the device */
    const struct plb__job *beside; /* ... in main memory; no worker has to do with it */
    const struct plb_instruction *instruction;
    bool gate;
    uint32_t index;     /* among the launches */
    uint32_t n_buffers; /* distinct tokens */
    starpu_data_handle_t *token;
    enum starpu_data_access_mode *mode;
    uint32_t *key;       /* per token: its number in the program */
    void **data;         /* RUN: address of each cell of the invocation, */
    uint32_t *buffer_of; /* or, where values are left to StarPU, its number among the
                            tokens; and the tokens of values that end after this */
    uint32_t n_drops;
    starpu_data_handle_t *drop;
    struct plb__place place; /* moves: on the device, */
    uint32_t slot;           /* and in the other tier */
    size_t bytes;
    bool transfer;           /* RUN of a send or a receive: has a place and bytes, and no job; */
    uint32_t end;            /* its number among those of the program */
};

/* What StarPU gets as one task: a move, or RUNs that follow one another (batch.c). */
struct plb__batch {
    uint32_t n;
    const uint32_t *member; /* launches, in the plan's order */
    uint32_t n_buffers;     /* distinct tokens */
    starpu_data_handle_t *token;
    enum starpu_data_access_mode *mode;
    struct plb__recording *recording; /* on a card (card_graphs.c), else NULL */
    const struct plb__pair *pair;     /* per member; there, too (card_pairs.c), or NULL */
};

struct plb__batches {
    uint32_t n; /* in the order in which they are submitted */
    struct plb__batch *batch;
    uint32_t *member; /* of all */
    struct plb__recording *recording;
    struct plb__pair *pair; /* of all members */
    bool own_tokens; /* the arrays of tokens are the batches', not the launches' */
};

struct plb__program {
    struct plb_session *session;
    struct plb_plan plan;
    struct plb_layout layout;
    uint32_t n_ranges;
    struct plb__range *range;
    uint32_t *range_of_slot; /* PLB_NONE: an initial value's */
    uint32_t *slot_at_end;   /* per value: where it lies after a step, PLB_NONE: nowhere */
    uint32_t n_gates;
    struct plb__gate *gate;
    uint32_t *gate_of_slot; /* PLB_NONE: none */
    uint32_t n_launches;
    struct plb__launch *launch;
    starpu_data_handle_t *token; /* of all launches, */
    enum starpu_data_access_mode *mode;
    uint32_t *key;
    void **data;
    uint32_t *buffer_of;
    uint32_t n_drops;
    starpu_data_handle_t *drop; /* to here: they point into these */
    uint32_t n_runs;             /* of tasks that compute */
    uint32_t n_ends;             /* of transfers */
    uint32_t n_keys;             /* distinct tokens */
    struct plb__batches single;  /* one for each launch */
    struct plb__batches batches; /* larger ones, made when times are known; else empty */
    uint32_t again_tasks;
    double again_flops;
    size_t moved_out[PLB_TIERS], moved_in[PLB_TIERS];
    uint32_t n_beside; /* RUNs in main memory */

    char *host; /* copies in main memory beside a card */
    bool pinned;
    void **rescued; /* per slot: a copy that could not be written to disk, in memory */

    bool entered;              /* its first step was submitted */
    uint32_t steps;            /* submitted and not collected */
    uint64_t submitted;        /* steps, on a card */
    uint32_t bridges;          /* tasks that order it after former programs; atomic */
    struct plb__program *next; /* among those that were replaced */
};

/* Takes over plan and layout, also on failure. */
enum plb_status plb__program_create(struct plb_session *session, struct plb_plan *plan,
                                    struct plb_layout *layout, struct plb__program **program_out);
/* When all its tasks have ended. NULL is allowed. */
void plb__program_destroy(struct plb__program *program);
/* Where the slot of a device lies. */
struct plb__place plb__program_place(const struct plb__program *program, uint32_t slot);
/* Where any slot but one on disk lies, as who works there sees it. */
char *plb__program_address(const struct plb__program *program, uint32_t slot);
/* How many tokens the program has; how many one of this layout will have, gates not counted. */
uint32_t plb__program_tokens(const struct plb__program *program);
uint32_t plb__layout_tokens(const struct plb_layout *layout);

/* ---- bridge.c: from one program to the next ---- */

/* Submits what makes the tasks of `program` wait for those of the programs in `former` where they
 * use the same bytes of the device. */
enum plb_status plb__program_bridge(struct plb__program *program, struct plb__program *former);

/* ---- gates.c: several that wait for the same bytes ---- */

/* Once the ranges are known. */
enum plb_status plb__gates_make(struct plb__program *program);
void plb__gates_clear(struct plb__program *program);

/* ---- batch.c: the grain of tasks ---- */

enum plb_status plb__batches_single(const struct plb__program *program,
                                    struct plb__batches *batches_out);
struct plb__grain {
    double target;         /* seconds that a batch takes, about */
    const double *seconds; /* per task */
};

enum plb_status plb__batches_make(const struct plb__program *program,
                                  const struct plb__grain *grain,
                                  struct plb__batches *batches_out);
void plb__batches_clear(struct plb__batches *batches);

/* ---- platform.c ---- */

/* What can be said of the platform before anything was measured. */
struct plb_platform plb__runtime_nominal(void);
/* Pins main memory for the device if it can. */
bool plb__pin(const struct plb_device *device, void *address, size_t bytes);

/* ---- beside.c: tasks in main memory beside the device ---- */

/* Threads that one is divided among, at most. */
int plb__beside_threads(void);
enum plb_status plb__beside_run(const struct plb__invocation *invocation, void *const *data,
                                uint64_t step);

/* ---- tiers.c: moving bytes ---- */

/* Lanes: a mover for each direction of each link. */
enum { PLB__OUT, PLB__IN, PLB__DIRECTIONS };

struct plb__lane {
    plb__mover_t *mover;
    void *bounce; /* for what passes through main memory */
    bool pinned;
};

/* Gives back a copy that could not be written to disk, if there is one. */
void plb__rescued_free(struct plb__program *program, uint32_t slot);
/* Starts the movers that the program needs and has not yet. */
enum plb_status plb__lanes_start(struct plb_session *session, const struct plb__program *program);
void plb__lanes_stop(struct plb_session *session);
/* Copies what the launch, an OFFLOAD or a FETCH, says. */
enum plb_status plb__launch_move(const struct plb__launch *launch, struct plb__lane *lane);

/* ---- planning.c, replan.c: budgets, costs, and plans made while others run ---- */

/* A plan that is proved and laid out, and what it was made for. */
struct plb__draft {
    struct plb_plan plan;
    struct plb_layout layout;
    double predicted; /* seconds of a step */
};

struct plb__planning {
    const struct plb_memory_policy *policy;
    plb_costs_t *costs; /* the session's own or the caller's */
    bool owns_costs;
    double *seconds; /* per task, as the latest plan was made with */
    struct plb_problem problem;
    double drift;          /* negative: plans are not made anew */
    double predicted;      /* seconds of a step by the present plan, when it was made */
    size_t asked;          /* the budget; SIZE_MAX: none */
    size_t lowered;        /* what the machine leaves of it; SIZE_MAX: all */
    bool lowest;           /* nothing lower was found since the machine is short */
    size_t taken;          /* bytes of the device that do not depend on the plan */
    const char *directory; /* of the disk tier */
    size_t disk_bytes;
    uint64_t steps;         /* steps that have ended since the plan was made */
    uint64_t look;          /* ... at which drift is looked for next */
    double look_at_machine; /* seconds by the clock, when memory is looked at next */
    bool pending;           /* a plan that the next step switches to: */
    struct plb__draft draft;
    bool disk_lost; /* a write has failed; atomic */
};

/* calibrated.c: samples from StarPU's performance models for the kinds of task without one. */
void plb__calibrated_record(const plb_graph_t *graph, plb_costs_t *costs);
/* The table that is planned with: the given one, or the session's own. */
enum plb_status plb__planning_costs(struct plb_session *session, plb_costs_t *given);
/* Finds policy, costs, directory. */
enum plb_status plb__planning_prepare(struct plb_session *session,
                                      const struct plb_session_options *options);
/* Sets the limits, once it is known what does not depend on the plan. */
enum plb_status plb__planning_limit(struct plb_session *session,
                                    const struct plb_session_options *options);
void plb__planning_clear(struct plb_session *session);
/* plb_plan_make() or plb_plan_make_soon(). */
typedef enum plb_status (*plb__ask)(const struct plb_memory_policy *policy,
                                    const struct plb_problem *problem, enum plb_event event,
                                    const struct plb_plan *current, struct plb_plan *plan_out,
                                    struct plb_layout *layout_out);
/* Makes a plan within the present limits, which the caller waits for; `current` NULL: the first
 * one. */
enum plb_status plb__draft_make(struct plb_session *session, plb__ask how,
                                const struct plb_plan *current, struct plb__draft *draft_out);
void plb__draft_clear(struct plb__draft *draft);
/* Seconds that a step by this plan takes. */
enum plb_status plb__predict(const struct plb_problem *problem, const struct plb_plan *plan,
                             const struct plb_layout *layout, double *predicted_out);
/* Does the layout keep the present limits? */
bool plb__planning_fits(const struct plb_session *session, const struct plb_layout *layout);
/* Could any plan keep them? */
enum plb_status plb__planning_check(struct plb_session *session);
/* Most bytes of the device that plans may use now. */
size_t plb__planning_budget(const struct plb_session *session);
/* What the session decided by itself: for its information, and reported (runtime/base/report.h). */
void plb__session_note(struct plb_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes and enters the first program. */
enum plb_status plb__plan_first(struct plb_session *session);
/* Between steps: makes a new plan where there is a reason to, and switches to it. */
enum plb_status plb__plan_again(struct plb_session *session);
/* Frees former programs that nothing uses any more, and gives memory back that the present one does
 * not need. */
void plb__session_reap(struct plb_session *session);
/* Gives the arena back. */
void plb__arena_give(struct plb_session *session);

/* ---- aside.c: plans that are made while steps go on ---- */

/* A plan takes the place of another one that is right, too, when it saves this part of the time. */
#define PLB__WORTH_SWITCHING 0.02

struct plb__aside {
    bool running;  /* a thread was started and plb__aside_take() has not looked at the end of it */
    bool joined;   /* ... which has been waited for */
    bool again;    /* another reason has come since */
    bool ended;    /* set by the thread, atomic */
    enum plb_event next;
    pthread_t thread;
    /* What the thread is given: */
    const struct plb_memory_policy *policy;
    enum plb_event event;
    struct plb__program *program; /* the present one; it is not freed meanwhile */
    struct plb_problem problem;   /* of its own: */
    struct plb_platform platform;
    double *seconds;
    double expected, drift; /* seconds of a step; the share by which they may differ */
    uint32_t spare;         /* tokens that no program uses */
    /* What it leaves: */
    enum plb_status status;
    char message[256];
    bool asked;     /* it has asked the policy: else costs are as expected */
    double present; /* seconds of a step by the present program */
    struct plb__draft draft;
    uint32_t n_tokens;
    starpu_data_handle_t *token;
};

/* Has a plan made for the present limits and costs: after the one that is being made, and after a
 * plan that the next step has to switch to. For PLB_EVENT_DRIFT only when costs have drifted. */
void plb__aside_begin(struct plb_session *session, enum plb_event event);
/* True, and the plan, when one has been made that the next step should switch to. */
bool plb__aside_take(struct plb_session *session, struct plb__draft *draft_out);
/* Begins with what had to wait, between plb__aside_take() and the next. */
void plb__aside_go_on(struct plb_session *session);
/* Waits until the thread has ended; what it has made is for the next step. */
void plb__aside_wait(struct plb_session *session);
/* Waits, and forgets what was made. */
void plb__aside_stop(struct plb_session *session);

/* ---- session.c, submit.c ---- */

struct plb__parts;

struct plb_session {
    uint64_t serial; /* from 1; addresses come again */
    const plb_graph_t *whole;
    plb_graph_t *cut;
    struct plb__parts *parts;  /* it is spread over devices (parts.c), and has of the fields below
                                  only whole, cut, store, info, record, failed; else NULL */
    struct plb_session *outer; /* this is a part of that one; NULL: it is by itself */
    const struct plb_part *part; /* ... and what is to be done there */
    bool in_order;               /* RUNs take turns at these tokens, one per worker: */
    starpu_data_handle_t *turn;
    plb_store_t *store;
    const struct plb_device *device;
    struct plb__place *home; /* per value of the cut graph: of the initial values */
    uint32_t n_borrowed;     /* tensors that lie on other devices: copied here before each step */
    plb_value *borrowed;
    struct plb_keep keep;    /* parameters and state that are new in the store */
    bool managed;            /* values are left to StarPU (starpu_managed.h): */
    size_t managed_reserved; /* bytes of the device that it may not use */
    size_t managed_used;     /* bytes that it used when it was last looked at */
    struct plb_block inputs; /* the session's own initial values */
    struct plb_block arena;  /* device memory for everything else */
    size_t arena_counted;    /* of it, in the ledger: what programs have used */
    size_t arena_gradients;  /* of that, for gradients */
    struct plb__job *job;    /* per task */
    uint32_t n_jobs;
    uint32_t n_kinds;
    struct plb__kind *kind;
    struct plb__tokens tokens;
    struct plb__program *program; /* of the latest step */
    struct plb__program *former;  /* programs that were replaced and whose tasks may run */
    struct plb__disk disk; /* of the programs one after the other */
    struct plb__lane lane[PLB_TIERS][PLB__DIRECTIONS];
    plb__mover_t *beside; /* makes tasks in main memory */
    struct plb__planning planning;
    struct plb__aside aside;
    uint32_t in_flight;
    bool in_plan_order; /* priorities follow the plan */
    double grain_seconds; /* of a batch of tasks; 0: every task is handed over by itself */
    bool grain_asked;     /* by the caller, who knows better than batches_of() */
    bool stopped;       /* `failed` between steps, for want of a plan: the store is whole */
    uint64_t submitted; /* launches */
    struct plb_session_info info;

    bool trace;  /* later steps are recorded */
    bool traced; /* the latest one was */
    uint32_t n_records;
    struct plb_trace_record *record; /* of the latest traced step, */
    uint64_t record_origin;          /* which was submitted then, nanoseconds */

    pthread_mutex_t lock; /* of the fields below */
    enum plb_status failed;
    char message[512];
    struct plb__step *ended; /* steps whose times are not yet recorded */
};

/* One launch in one step. */
struct plb__instance {
    struct plb__request request; /* for a mover; first */
    struct plb__step *step;
    const struct plb__launch *launch;
    const struct plb__batch *batch; /* first members of one */
    struct starpu_task *task;       /* of a move or a transfer */
    uint64_t start, end;      /* nanoseconds; end 0: nothing was done, or not measured */
    bool ran;                 /* RUN: on a worker */
    int worker;
};

/* One replay of a program's launches. */
struct plb__step {
    struct plb_session *session;
    struct plb__program *program;
    struct plb__step *next; /* among those that have ended */
    uint64_t number;
    uint64_t serial; /* how many the session submitted before */
    uint64_t origin; /* nanoseconds, when the step was submitted */
    bool trace;
    bool measured; /* tasks on a card set marks */
    uint32_t left; /* tasks that have not ended; atomic */
    struct plb__end *end; /* of transfers, behind the instances */
    struct plb__instance instance[];
};

/* What session->beside calls for every task; `argument` is NULL. */
void plb__beside_perform(struct plb__request *request, void *argument);
/* What a mover calls for every move; `argument` is its lane. */
void plb__move_perform(struct plb__request *request, void *argument);
/* What StarPU calls for every task. */
void plb__task_run(void *buffers[], void *instance);
uint32_t plb__task_footprint(struct starpu_task *task);
/* Submits all launches of the present program. */
enum plb_status plb__step_submit(struct plb_session *session, uint64_t number);
/* Records the costs of steps that have ended, and the trace. */
void plb__steps_collect(struct plb_session *session);
/* samples.c: fills session->kind; and records what a step that has ended tells of costs. */
enum plb_status plb__kinds_find(struct plb_session *session);
void plb__step_record(const struct plb__step *step);
/* Fills and clears session->job. */
enum plb_status plb__jobs_prepare(struct plb_session *session);
void plb__calls_clear(struct plb_session *session);
/* What has failed of the session, or of the one that it is a part of. */
enum plb_status plb__session_failed(const struct plb_session *session);
/* The session's first failure is what this thread failed with. */
void plb__session_fail(struct plb_session *session, const char *what, enum plb_status status);
/* A StarPU task on tokens, whose codelet and so on are still to be set; NULL when memory is short.
 */
struct starpu_task *plb__task_create(const starpu_data_handle_t *token,
                                     const enum starpu_data_access_mode *mode, uint32_t n);

/* ---- session.c, for parts.c ---- */

/* An ordinary session; of a part, where `outer` is not NULL. */
struct plb__session_wish {
    const plb_graph_t *whole;
    const struct plb_session_options *options;
    plb_store_t *store;
    const struct plb_device *device;
    struct plb_session *outer;
    const struct plb_part *part; /* its graph stays the caller's */
    bool in_order;
};
enum plb_status plb__session_make(const struct plb__session_wish *wish,
                                  struct plb_session **session_out);
/* Binds cells of the session's graph to the tensor of the store. */
enum plb_status plb__session_bind(struct plb_session *session, const struct plb_value_info *whole,
                                  const plb_value *cell, uint32_t n, enum plb_tier home);
/* The first failure becomes the calling thread's. */
enum plb_status plb__session_check(struct plb_session *session);
/* Makes plans anew where that is due; without one the session stops, whole. */
enum plb_status plb__session_turn(struct plb_session *session);

/* ---- parts.c: sessions that are spread over devices ---- */

/* Name of the parallel policy that the options or the environment name. */
const char *plb__parallel_name(const struct plb_session_options *options);
enum plb_status plb__parts_create(struct plb_session *session,
                                  const struct plb_session_options *options);
void plb__parts_destroy(struct plb_session *session);
enum plb_status plb__parts_write(struct plb_session *session, plb_value input, const void *data,
                                 size_t bytes);
enum plb_status plb__parts_read(struct plb_session *session, plb_value value, void *data,
                                size_t bytes);
enum plb_status plb__parts_step(struct plb_session *session, uint64_t step);
enum plb_status plb__parts_set_budget(struct plb_session *session, size_t bytes);
void plb__parts_collect(struct plb_session *session);
void plb__parts_info(const struct plb_session *session, struct plb_session_info *info_out);
enum plb_status plb__parts_trace(struct plb_session *session);
void plb__parts_trace_on(struct plb_session *session, bool on);
/* Seconds of a step by the simulator, with the costs and links that are known by now. */
enum plb_status plb__parts_predict(struct plb_session *session, double *seconds_out,
                                   double *bubble_out);
plb_costs_t *plb__parts_costs(const struct plb_session *session);
const struct plb_session *plb__parts_first(const struct plb_session *session);
/* Where the transfers of a part go. */
struct plb__carrier *plb__parts_carrier(const struct plb_session *outer);
/* A transfer has been seen to take that long. */
void plb__parts_record(struct plb_session *outer, size_t bytes, double seconds);
/* Plan and layout of a part without a memory policy: those of the hybrid plan. */
enum plb_status plb__parts_given(const struct plb_session *part, struct plb__draft *draft_out);

/* Seconds of the clock that only goes forwards, from session.c. */
double plb__now(void);

#endif
