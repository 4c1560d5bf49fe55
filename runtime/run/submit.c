/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a plan to StarPU tasks: prepared once, submitted every step, run by the workers.
 */
#include "runtime/run/run_internal.h"

#include "runtime/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often submission looks whether too much is in flight. */
#define THROTTLE_EVERY 64u

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- running, on a worker ---- */

static void record_failure(struct plb_session *session, const char *task, enum plb_status status)
{
    pthread_mutex_lock(&session->lock);
    if (session->failed == PLB_OK) {
        snprintf(session->message, sizeof session->message, "task %s: %s", task,
                 plb_error_message());
        __atomic_store_n(&session->failed, status, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&session->lock);
}

static void run_kernel(const struct plb__launch *launch, void *buffers[], uint64_t step)
{
    enum { CELLS_ON_STACK = 64 };
    void *few[CELLS_ON_STACK], **data = few;
    uint32_t n = launch->invocation.n_cells;
    enum plb_status status;

    if (n > CELLS_ON_STACK)
        data = malloc(n * sizeof *data);
    if (!data) {
        plb_fail(PLB_ERROR_MEMORY, "no memory for the addresses of %u cells", n);
        record_failure(launch->session, launch->invocation.name, PLB_ERROR_MEMORY);
        return;
    }
    for (uint32_t j = 0; j < n; j++)
        data[j] = (void *)STARPU_VARIABLE_GET_PTR(buffers[launch->buffer_of[j]]);
    status = plb__invocation_run(&launch->invocation, data, step, plb__runtime_scratch());
    if (status != PLB_OK)
        record_failure(launch->session, launch->invocation.name, status);
    if (data != few)
        free(data);
}

/* After a failure the other tasks of the session do nothing, so that the caller hears of it soon
 * and nothing is computed from garbage. */
void plb__task_run(void *buffers[], void *argument)
{
    const struct plb__instance *instance = argument;
    const struct plb__launch *launch = instance->launch;
    const struct plb__step *step = instance->step;
    uint64_t start;

    if (__atomic_load_n(&launch->session->failed, __ATOMIC_ACQUIRE) != PLB_OK)
        return;
    if (!step->trace) {
        run_kernel(launch, buffers, step->number);
        return;
    }
    start = nanoseconds(CLOCK_MONOTONIC);
    run_kernel(launch, buffers, step->number);
    launch->session->record[launch->index] = (struct plb_trace_record){
        .task = launch->task,
        .worker = starpu_worker_get_id(),
        .start = 1e-9 * (double)(start - step->origin),
        .end = 1e-9 * (double)(nanoseconds(CLOCK_MONOTONIC) - step->origin)};
}

uint32_t plb__task_footprint(struct starpu_task *task)
{
    const struct plb__instance *instance = task->cl_arg;

    return instance->launch->footprint;
}

static void end_task(void *argument)
{
    struct plb__step *step = ((struct plb__instance *)argument)->step;

    if (__atomic_sub_fetch(&step->left, 1, __ATOMIC_ACQ_REL) == 0)
        free(step);
}

/* ---- submitting ---- */

static enum plb_status set_buffers(struct starpu_task *task, const struct plb__launch *launch)
{
    uint32_t n = launch->n_buffers;

    task->nbuffers = (int)n;
    if (n <= STARPU_NMAXBUFS) {
        memcpy(task->handles, launch->handle, n * sizeof *launch->handle);
        memcpy(task->modes, launch->mode, n * sizeof *launch->mode);
        return PLB_OK;
    }
    /* StarPU frees these with the task. */
    task->dyn_handles = malloc(n * sizeof *launch->handle);
    task->dyn_modes = malloc(n * sizeof *launch->mode);
    if (!task->dyn_handles || !task->dyn_modes)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a task of %u buffers", n);
    memcpy(task->dyn_handles, launch->handle, n * sizeof *launch->handle);
    memcpy(task->dyn_modes, launch->mode, n * sizeof *launch->mode);
    return PLB_OK;
}

static enum plb_status submit(const struct plb__launch *launch, struct plb__instance *instance)
{
    struct starpu_task *task = starpu_task_create();
    enum plb_status status;
    int error;

    if (!task)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a task");
    task->cl = launch->codelet;
    task->name = launch->invocation.name;
    task->cl_arg = instance;
    task->callback_func = end_task;
    task->callback_arg = instance;
    task->flops = launch->flops;
    task->priority = launch->priority;
    status = set_buffers(task, launch);
    if (status == PLB_OK) {
        error = starpu_task_submit(task);
        if (!error)
            return PLB_OK;
        status = plb__starpu_failed("starpu_task_submit", error);
    }
    task->destroy = 0;
    starpu_task_destroy(task);
    return status;
}

static struct plb__step *new_step(struct plb_session *s, uint64_t number)
{
    struct plb__step *step = malloc(sizeof *step + s->n_launches * sizeof step->instance[0]);

    if (!step)
        return NULL;
    step->session = s;
    step->number = number;
    step->trace = s->trace;
    step->left = s->n_launches;
    step->origin = nanoseconds(CLOCK_MONOTONIC);
    for (uint32_t k = 0; k < s->n_launches; k++)
        step->instance[k] = (struct plb__instance){step, &s->launch[k]};
    return step;
}

/* A submission that breaks off leaves a part of a step behind: the session is failed for good. */
static enum plb_status break_off(struct plb_session *s, struct plb__step *step, uint32_t submitted,
                                 enum plb_status status)
{
    record_failure(s, "submission", status);
    if (__atomic_sub_fetch(&step->left, s->n_launches - submitted, __ATOMIC_ACQ_REL) == 0)
        free(step);
    return status;
}

enum plb_status plb__step_submit(struct plb_session *s, uint64_t number)
{
    uint64_t start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    struct plb__step *step;

    if (s->n_launches == 0)
        return PLB_OK;
    step = new_step(s, number);
    if (!step)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to submit %u tasks", s->n_launches);
    plb__runtime_wake();
    for (uint32_t k = 0; k < s->n_launches; k++) {
        enum plb_status status;

        if (k % THROTTLE_EVERY == 0)
            starpu_task_wait_for_n_submitted(s->in_flight);
        status = submit(&s->launch[k], &step->instance[k]);
        if (status != PLB_OK)
            return break_off(s, step, k, status);
    }
    s->info.submit_seconds += 1e-9 * (double)(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start);
    s->info.steps++;
    return PLB_OK;
}

/* ---- preparing ---- */

static uint64_t mix_type(uint64_t hash, const struct plb_type *type)
{
    int64_t field[2 + PLB_RANK_MAX] = {(int64_t)type->dtype, type->shape.rank};

    memcpy(&field[2], type->shape.dim, sizeof type->shape.dim);
    return plb_hash_mix(hash, field, sizeof field);
}

/* The footprint tells StarPU's history which tasks of an operator take the same time: those whose
 * operands have the same types in the task's range. */
static uint32_t footprint(const plb_graph_t *graph, const struct plb_task *task)
{
    struct plb_task_types types;
    uint64_t hash;

    plb_task_get_types(graph, task, &types);
    hash = plb_hash_mix(0, &types.variadic, sizeof types.variadic);
    for (int k = 0; k < types.n_in && k < PLB_OPERANDS_MAX; k++)
        hash = mix_type(hash, &types.in[k]);
    for (int k = 0; k < types.n_out; k++)
        hash = mix_type(hash, &types.out[k]);
    return (uint32_t)(hash ^ (hash >> 32));
}

/* Adds the slot of a cell to the buffers of a launch, or its access to those of the slot. */
static void add_buffer(struct plb__launch *launch, const struct plb_session *s, uint32_t cell,
                       uint32_t slot, enum starpu_data_access_mode mode, uint32_t *buffer_of_slot)
{
    uint32_t b = buffer_of_slot[slot];

    if (b == PLB_NONE) {
        b = buffer_of_slot[slot] = launch->n_buffers++;
        launch->handle[b] = s->slot_handle[slot];
        launch->mode[b] = mode;
    } else {
        launch->mode[b] |= mode;
    }
    launch->buffer_of[cell] = b;
}

static enum plb_status prepare_buffers(struct plb_session *s, struct plb__launch *launch,
                                       const uint32_t *slot, uint32_t n_in_cells,
                                       uint32_t *buffer_of_slot)
{
    uint32_t n = launch->invocation.n_cells;

    launch->handle = malloc((n + 1) * sizeof *launch->handle);
    launch->mode = malloc((n + 1) * sizeof *launch->mode);
    launch->buffer_of = malloc((n + 1) * sizeof *launch->buffer_of);
    if (!launch->handle || !launch->mode || !launch->buffer_of)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to prepare a task of %u cells", n);
    for (uint32_t j = 0; j < n; j++)
        add_buffer(launch, s, j, slot[j], j < n_in_cells ? STARPU_R : STARPU_W, buffer_of_slot);
    for (uint32_t j = 0; j < n; j++)
        buffer_of_slot[slot[j]] = PLB_NONE;
    return PLB_OK;
}

static enum plb_status prepare_launch(struct plb_session *s, uint32_t instruction,
                                      uint32_t *buffer_of_slot)
{
    plb_task_id id = s->plan.instruction[instruction].subject;
    const struct plb_task *task = plb_graph_task(s->cut, id);
    struct plb__launch *launch = &s->launch[s->n_launches];
    struct plb_cost cost;

    PLB_TRY(plb__invocation_prepare(s->cut, id, &launch->invocation));
    launch->session = s;
    launch->task = id;
    launch->index = s->n_launches++;
    launch->codelet = plb__runtime_codelet(task->op);
    if (!launch->codelet)
        return plb_fail(PLB_ERROR_INVALID, "operator '%s' is not in the table of operators",
                        task->op->name);
    plb_task_get_cost(s->cut, task, &cost);
    launch->flops = cost.flops;
    launch->footprint = footprint(s->cut, task);
    return prepare_buffers(s, launch, &s->storage.operand[s->storage.in_slot[instruction]],
                           task->in_start[task->n_in], buffer_of_slot);
}

static enum plb_status prepare_priorities(struct plb_session *s)
{
    int *priority = malloc(((size_t)plb_graph_tasks(s->cut) + 1) * sizeof *priority);
    enum plb_status status;

    if (!priority)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to rank %u tasks", plb_graph_tasks(s->cut));
    status = plb__priorities_find(s->cut, priority);
    for (uint32_t k = 0; k < s->n_launches && status == PLB_OK; k++)
        s->launch[k].priority = priority[s->launch[k].task];
    free(priority);
    return status;
}

enum plb_status plb__launches_prepare(struct plb_session *s)
{
    uint32_t *buffer_of_slot = malloc((s->storage.n_slots + 1) * sizeof *buffer_of_slot);
    enum plb_status status = PLB_OK;

    s->launch = calloc(s->plan.n + 1, sizeof *s->launch);
    if (!buffer_of_slot || !s->launch) {
        free(buffer_of_slot);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to prepare %u instructions", s->plan.n);
    }
    memset(buffer_of_slot, 0xff, (s->storage.n_slots + 1) * sizeof *buffer_of_slot);
    for (uint32_t i = 0; i < s->plan.n && status == PLB_OK; i++)
        if (s->plan.instruction[i].code == PLB_RUN)
            status = prepare_launch(s, i, buffer_of_slot);
    free(buffer_of_slot);
    return status == PLB_OK ? prepare_priorities(s) : status;
}

void plb__launches_clear(struct plb_session *s)
{
    for (uint32_t k = 0; k < s->n_launches; k++) {
        plb__invocation_clear(&s->launch[k].invocation);
        free(s->launch[k].handle);
        free(s->launch[k].mode);
        free(s->launch[k].buffer_of);
    }
    free(s->launch);
    s->launch = NULL;
    s->n_launches = 0;
}
