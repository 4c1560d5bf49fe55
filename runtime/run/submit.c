/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a program to StarPU tasks: submitted every step, run by the workers, moved by the movers.
 *
 * An OFFLOAD or a FETCH is a task that runs nowhere (STARPU_NOWHERE) with one end dependency. When
 * its tokens are free StarPU calls its prologue, on whichever thread made them free; that hands the
 * move to a mover, and the mover releases the end dependency when the copy is there. Until then the
 * task has not ended for StarPU: it counts as submitted, and what waits for its tokens waits.
 * Checked with StarPU 1.4.10 (eager, lws, dmda, prio, random; CPU and OpenCL workers; 60,000 tasks
 * in random order, starpu_pause() between them): no worker is taken up, nothing ends early, and
 * starpu_task_wait_for_all() waits for moves, too. That the mover may release before StarPU itself
 * comes to the end of the task is counted for in StarPU: the task ends with the later of the two.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <limits.h>
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

/* ---- running, on a worker or a mover ---- */

enum plb_status plb__session_failed(const struct plb_session *session)
{
    const struct plb_session *whole = session->outer ? session->outer : session;

    return __atomic_load_n(&whole->failed, __ATOMIC_ACQUIRE);
}

/* A part fails the session that it is a part of. */
void plb__session_fail(struct plb_session *session, const char *what, enum plb_status status)
{
    if (session->outer)
        session = session->outer;
    pthread_mutex_lock(&session->lock);
    if (session->failed == PLB_OK) {
        snprintf(session->message, sizeof session->message, "%s: %s", what, plb_error_message());
        __atomic_store_n(&session->failed, status, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&session->lock);
}

static void fail_task(struct plb_session *session, const char *task, enum plb_status status)
{
    char what[256];

    snprintf(what, sizeof what, "task %s", task);
    plb__session_fail(session, what, status);
}

/* After a failure the other tasks of the session do nothing, so that the caller hears of it soon
 * and nothing is computed from garbage. */
static bool has_failed(const struct plb_session *session)
{
    return plb__session_failed(session) != PLB_OK;
}

static void run_task(struct plb__instance *instance)
{
    const struct plb__launch *launch = instance->launch;
    const struct plb__invocation *invocation = &launch->job->invocation;
    struct plb_session *session = instance->step->session;
    enum plb_status status;

    if (has_failed(session))
        return;
    instance->worker = plb__runtime_worker();
    instance->ran = true;
    if (session->device->card) {
        status = plb__card_run(session->device->card, instance);
    } else {
        instance->start = nanoseconds(CLOCK_MONOTONIC);
        status = plb__invocation_run(invocation, launch->data, instance->step->number,
                                     plb__runtime_scratch());
        instance->end = nanoseconds(CLOCK_MONOTONIC);
    }
    if (status != PLB_OK)
        fail_task(session, invocation->name, status);
}

/* On a card, several members may be enqueued together. Returns how many were, from k on, or 0. */
static uint32_t run_together(struct plb__step *step, const struct plb__batch *batch, uint32_t k)
{
    const struct plb__card *card = step->session->device->card;
    uint32_t n = card && !has_failed(step->session) ? plb__card_together(step, batch, k) : 1;
    enum plb_status status;

    if (n == 1)
        return 0;
    for (uint32_t j = k; j < k + n; j++) {
        step->instance[batch->member[j]].worker = plb__runtime_worker();
        step->instance[batch->member[j]].ran = true;
    }
    status = plb__card_run_together(card, step, batch, k, n);
    if (status != PLB_OK)
        fail_task(step->session, step->instance[batch->member[k]].launch->job->invocation.name,
                  status);
    return n;
}

void plb__task_run(void *buffers[], void *argument)
{
    struct plb__instance *first = argument;
    const struct plb__batch *batch = first->batch;
    const struct plb__card *card = first->step->session->device->card;
    uint32_t k = 0;

    (void)buffers;
    if (card && !has_failed(first->step->session) && plb__card_replay(card, first->step, batch))
        return;
    while (k < batch->n) {
        uint32_t together = run_together(first->step, batch, k);

        if (together == 0)
            run_task(&first->step->instance[batch->member[k++]]);
        k += together;
    }
}

void plb__move_perform(struct plb__request *request, void *argument)
{
    struct plb__instance *instance = (struct plb__instance *)request;
    struct plb_session *session = instance->step->session;
    const struct plb__launch *launch = instance->launch;
    enum plb_status status = PLB_OK;

    if (!has_failed(session)) {
        instance->start = nanoseconds(CLOCK_MONOTONIC);
        status = plb__launch_move(launch, argument);
        instance->end = nanoseconds(CLOCK_MONOTONIC);
        instance->worker = -1;
    }
    if (status != PLB_OK)
        fail_task(session, plb_opcode_name(launch->instruction->code), status);
    starpu_task_end_dep_release(instance->task); /* the instance may be gone after this */
}

void plb__beside_perform(struct plb__request *request, void *argument)
{
    struct plb__instance *instance = (struct plb__instance *)request;
    const struct plb__launch *launch = instance->launch;
    struct plb_session *session = instance->step->session;
    enum plb_status status = PLB_OK;

    (void)argument;
    if (!has_failed(session)) {
        instance->start = nanoseconds(CLOCK_MONOTONIC);
        status = plb__beside_run(&launch->beside->invocation, launch->data, instance->step->number);
        instance->end = nanoseconds(CLOCK_MONOTONIC);
        instance->worker = -1;
    }
    if (status != PLB_OK)
        fail_task(session, launch->beside->invocation.name, status);
    starpu_task_end_dep_release(instance->task);
}

/* The tokens of a move are free. */
static void begin_move(void *argument)
{
    struct plb__instance *instance = argument;
    const struct plb_instruction *instruction = instance->launch->instruction;
    int direction = instruction->code == PLB_OFFLOAD ? PLB__OUT : PLB__IN;

    plb__mover_push(instance->step->session->lane[instruction->tier][direction].mover,
                    &instance->request);
}

/* ---- transfers ---- */

static void end_transfer(struct plb__end *end, enum plb_status status)
{
    struct plb__instance *instance = end->owner;

    instance->start = end->start;
    instance->end = end->stop;
    instance->worker = -1;
    if (status != PLB_OK)
        fail_task(instance->step->session,
                  plb_graph_task(instance->step->session->cut,
                                 instance->launch->instruction->subject)->name,
                  status);
    starpu_task_end_dep_release(instance->task); /* both may be gone after this */
}

/* The tokens of a send or a receive are free. */
static void begin_transfer(void *argument)
{
    struct plb__instance *instance = argument;
    const struct plb__launch *launch = instance->launch;
    struct plb__step *step = instance->step;
    struct plb_session *s = step->session;
    struct plb__end *end = &step->end[launch->end];
    plb_task_id task = launch->instruction->subject;

    *end = (struct plb__end){.transfer = s->part->transfer[task],
                             .step = step->serial,
                             .sends = plb_operator_is_send(plb_graph_task(s->cut, task)->op),
                             .block = launch->place.block,
                             .offset = launch->place.offset,
                             .bytes = launch->bytes,
                             .done = end_transfer,
                             .owner = instance};
    plb__parts_carrier(s->outer)->post(plb__parts_carrier(s->outer), end);
}

uint32_t plb__task_footprint(struct starpu_task *task)
{
    const struct plb__instance *instance = task->cl_arg;

    return instance->launch->job->footprint;
}

/* The last of a step's tasks gives the step back to the session. */
static void end_tasks(struct plb__step *step, uint32_t n)
{
    struct plb_session *session = step->session;

    if (__atomic_sub_fetch(&step->left, n, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_lock(&session->lock);
    step->next = session->ended;
    session->ended = step;
    pthread_mutex_unlock(&session->lock);
}

static void end_task(void *argument)
{
    const struct plb__instance *first = argument;

    end_tasks(first->step, first->batch->n);
}

/* ---- after a step ---- */

static struct plb_trace_record record_of(const struct plb__instance *instance)
{
    const struct plb_instruction *instruction = instance->launch->instruction;
    const struct plb__step *step = instance->step;
    bool run = instruction->code == PLB_RUN;

    return (struct plb_trace_record){.code = instruction->code,
                                     .task = run ? instruction->subject : PLB_NONE,
                                     .value = run ? PLB_NONE : instruction->subject,
                                     .tier = instruction->tier,
                                     .worker = instance->worker,
                                     .place = step->session->device->number,
                                     .from = PLB_NONE,
                                     .start = 1e-9 * (double)(instance->start - step->origin),
                                     .end = 1e-9 * (double)(instance->end - step->origin)};
}

static void collect_trace(const struct plb__step *step)
{
    struct plb_session *s = step->session;
    struct plb_trace_record *grown;

    grown = realloc(s->record, ((size_t)step->program->n_launches + 1) * sizeof *grown);
    s->n_records = 0;
    if (!grown)
        return;
    s->record = grown;
    s->record_origin = step->origin;
    for (uint32_t k = 0; k < step->program->n_launches; k++)
        if (step->instance[k].end) /* not a gate, and not after a failure */
            s->record[s->n_records++] = record_of(&step->instance[k]);
}

/* The step that ended last stands first; of several traced ones it is the one to keep. */
void plb__steps_collect(struct plb_session *s)
{
    struct plb__step *step, *next;
    bool traced = false;

    pthread_mutex_lock(&s->lock);
    step = s->ended;
    s->ended = NULL;
    pthread_mutex_unlock(&s->lock);
    for (; step; step = next) {
        next = step->next;
        plb__card_read_times(step);
        if (!has_failed(s)) {
            plb__step_record(step);
            s->planning.steps++;
        }
        if (step->trace && !traced)
            collect_trace(step);
        traced |= step->trace;
        step->program->steps--;
        free(step);
    }
}

/* ---- submitting ---- */

struct starpu_task *plb__task_create(const starpu_data_handle_t *token,
                                     const enum starpu_data_access_mode *mode, uint32_t n)
{
    struct starpu_task *task = starpu_task_create();
    starpu_data_handle_t *handles;
    enum starpu_data_access_mode *modes;

    if (!task)
        return NULL;
    handles = task->handles;
    modes = task->modes;
    task->nbuffers = (int)n;
    if (n > STARPU_NMAXBUFS) { /* StarPU frees these with the task */
        handles = task->dyn_handles = malloc(n * sizeof *handles);
        modes = task->dyn_modes = malloc(n * sizeof *modes);
    }
    if (!handles || !modes) {
        task->destroy = 0;
        starpu_task_destroy(task);
        return NULL;
    }
    memcpy(handles, token, n * sizeof *handles);
    memcpy(modes, mode, n * sizeof *modes);
    return task;
}

static void begin_beside(void *argument)
{
    struct plb__instance *instance = argument;

    plb__mover_push(instance->step->session->beside, &instance->request);
}

/* Moves, and tasks beside the device, are StarPU's only for their tokens. */
static struct starpu_codelet move = {
    .where = STARPU_NOWHERE, .nbuffers = STARPU_VARIABLE_NBUFFERS, .name = "move"};

static struct starpu_codelet gate = {
    .where = STARPU_NOWHERE, .nbuffers = STARPU_VARIABLE_NBUFFERS, .name = "gate"};

static void describe_move(struct starpu_task *task, struct plb__instance *instance)
{
    task->cl = &move;
    task->name = plb_opcode_name(instance->launch->instruction->code);
    task->prologue_callback_func = instance->launch->transfer ? begin_transfer
                                   : instance->launch->beside ? begin_beside
                                                              : begin_move;
    task->prologue_callback_arg = instance;
    instance->task = task;
    starpu_task_end_dep_add(task, 1);
}

/* Of two ready tasks the one that comes first in the plan goes first: under a budget, where another
 * order would wait for memory, and on a single worker, where it is what was planned. Elsewhere the
 * one that keeps others waiting. (Once in 2^30 tasks the count starts anew; order is no matter of
 * right or wrong.) */
static int priority_of(const struct plb__instance *instance)
{
    const struct plb_session *s = instance->step->session;

    if (!s->in_plan_order)
        return instance->launch->job->priority;
    return -(int)(instance->request.order & 0x3fffffff);
}

/* Where there are several devices, those of the session's may run the task. */
static void bind_task(struct starpu_task *task, const struct plb_device *device)
{
    if (plb_runtime_devices() < 2)
        return;
    if (device->workers == 1) {
        task->execute_on_a_specific_worker = 1;
        task->workerid = (unsigned)device->first_worker;
    } else {
        task->workerids = plb__runtime_mask(device);
        task->workerids_len = PLB__MASK_WORDS;
    }
}

static void describe_run(struct starpu_task *task, struct plb__instance *instance)
{
    const struct plb__batch *batch = instance->batch;
    const struct plb__job *job = instance->launch->job;

    task->cl = batch->n == 1 ? job->codelet : plb__runtime_batch_codelet();
    task->name = job->invocation.name;
    task->cl_arg = instance;
    for (uint32_t k = 0; k < batch->n; k++)
        task->flops += instance->step->program->launch[batch->member[k]].job->flops;
    task->priority = priority_of(instance);
    bind_task(task, instance->step->session->device);
}

static enum plb_status submit(struct plb__step *step, const struct plb__batch *batch)
{
    struct plb__instance *instance = &step->instance[batch->member[0]];
    const struct plb__launch *launch = instance->launch;
    struct starpu_task *task = plb__task_create(batch->token, batch->mode, batch->n_buffers);
    int error;

    if (!task)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a task of %u tokens", batch->n_buffers);
    instance->batch = batch;
    task->callback_func = end_task;
    task->callback_arg = instance;
    if (launch->job)
        describe_run(task, instance);
    else if (launch->gate)
        task->cl = &gate;
    else
        describe_move(task, instance);
    error = starpu_task_submit(task);
    for (uint32_t k = 0; k < launch->n_drops && !error; k++)
        starpu_data_invalidate_submit(launch->drop[k]);
    if (!error)
        return PLB_OK;
    task->destroy = 0;
    starpu_task_destroy(task);
    return plb__starpu_failed("starpu_task_submit", error);
}

static struct plb__step *new_step(struct plb_session *s, uint64_t number)
{
    struct plb__program *p = s->program;
    struct plb__step *step = calloc(1, sizeof *step + p->n_launches * sizeof step->instance[0] +
                                           p->n_ends * sizeof *step->end);

    if (!step)
        return NULL;
    step->end = (struct plb__end *)&step->instance[p->n_launches];
    step->serial = s->info.steps;
    step->session = s;
    step->program = p;
    step->number = number;
    step->trace = s->trace;
    step->left = p->n_launches;
    step->measured = s->device->card && plb__card_begin_times(s);
    step->origin = nanoseconds(CLOCK_MONOTONIC);
    for (uint32_t k = 0; k < p->n_launches; k++) {
        step->instance[k].step = step;
        step->instance[k].launch = &p->launch[k];
        step->instance[k].request.order = s->submitted + k;
    }
    p->steps++;
    return step;
}

/* A submission that breaks off leaves a part of a step behind: the session is failed for good. */
static enum plb_status break_off(struct plb__step *step, uint32_t submitted, enum plb_status status)
{
    plb__session_fail(step->session, "submission", status);
    if (step->session->outer)
        plb__parts_carrier(step->session->outer)
            ->abandon(plb__parts_carrier(step->session->outer));
    end_tasks(step, step->program->n_launches - submitted);
    return status;
}

static enum plb_status make_batches(struct plb_session *s, struct plb__program *p)
{
    double *seconds = malloc(((size_t)s->n_jobs + 1) * sizeof *seconds);
    struct plb__grain grain = {s->grain_seconds, seconds};
    enum plb_status status;

    if (!seconds)
        return PLB_ERROR_MEMORY;
    status = plb_costs_of_graph(s->planning.costs, s->cut, seconds, NULL);
    if (status == PLB_OK)
        status = plb__batches_make(p, &grain, &p->batches);
    free(seconds);
    return status;
}

static bool moves_values(const struct plb__program *p)
{
    bool moves = false;

    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        moves |= p->moved_out[tier] + p->moved_in[tier] > 0;
    return moves;
}

/* The batches to submit: single tasks until a step has shown how long they take. Where values move,
 * a batch that waits for one holds up members that could run meanwhile, which was seen to cost ten
 * times what it saves. */
static const struct plb__batches *batches_of(struct plb_session *s)
{
    struct plb__program *p = s->program;
    bool wanted = s->grain_seconds > 0 && (s->grain_asked || !moves_values(p));

    if (p->batches.n == 0 && wanted && s->planning.steps > 0 &&
        make_batches(s, p) != PLB_OK)
        s->grain_seconds = 0; /* want of memory to go faster is no failure */
    return p->batches.n > 0 ? &p->batches : &p->single;
}

/* The first step of a program that replaces others waits for them where it must. */
static enum plb_status enter(struct plb_session *s)
{
    double start = plb__now();
    enum plb_status status;

    if (s->program->entered)
        return PLB_OK;
    s->program->entered = true;
    if (!s->former)
        return PLB_OK;
    status = plb__program_bridge(s->program, s->former);
    s->info.replan_seconds += plb__now() - start;
    return status;
}

enum plb_status plb__step_submit(struct plb_session *s, uint64_t number)
{
    uint64_t start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    const struct plb__batches *batches;
    struct plb__step *step;
    uint32_t submitted = 0;

    if (s->program->n_launches == 0)
        return PLB_OK;
    batches = batches_of(s);
    step = new_step(s, number);
    if (!step)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to submit %u tasks", s->program->n_launches);
    plb__runtime_wake();
    for (uint32_t k = 0; k < batches->n; k++) {
        enum plb_status status = k == 0 ? enter(s) : PLB_OK;

        if (k % THROTTLE_EVERY == 0 && !s->outer) /* parts wait for each other's tasks */
            starpu_task_wait_for_n_submitted(s->in_flight);
        if (status == PLB_OK)
            status = submit(step, &batches->batch[k]);
        if (status != PLB_OK)
            return break_off(step, submitted, status);
        submitted += batches->batch[k].n;
    }
    s->submitted += s->program->n_launches;
    s->info.submit_seconds += 1e-9 * (double)(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start);
    s->info.steps++;
    s->info.handed_over = batches->n;
    return PLB_OK;
}
