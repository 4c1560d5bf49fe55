/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kind of job each task of a cut graph belongs to, and where in the model it stands.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"

#include <stdlib.h>
#include <string.h>

void plb__jobs_clear(struct plb__jobs *jobs)
{
    free(jobs->task);
    free(jobs->replaces);
    free(jobs->home);
    free(jobs->sums_for);
    free(jobs->block);
    free(jobs->held);
    free(jobs->held_w);
    free(jobs->fixed);
    free(jobs->forward);
    free(jobs->backward);
    *jobs = (struct plb__jobs){0};
}

/* ---- positions ---- */

/* Of tasks whose number in the whole graph grows with their own, those of a micro-batch are
 * counted; number_out[whole task] is the count. */
struct count {
    struct plb__jobs *jobs;
    plb_task_id n_whole;
    uint32_t *position; /* per task of the whole graph */
    uint32_t *counted;  /* per micro-batch */
};

static uint32_t micro_batch_of(const struct plb_task *task)
{
    return task->micro_batch < 0 ? 0 : (uint32_t)task->micro_batch;
}

/* Where micro-batches are numbered, what belongs to none has no position. */
static bool is_forward(const struct plb__jobs *jobs, const struct plb_task *task)
{
    return task->phase == PLB_PHASE_FORWARD && task->forward != PLB_NONE &&
           (task->micro_batch >= 0 || jobs->micro_batches == 1);
}

uint32_t plb__shards_of(const plb_graph_t *graph)
{
    uint32_t shards = 1;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        if (plb_graph_task(graph, t)->shard >= (int)shards)
            shards = (uint32_t)plb_graph_task(graph, t)->shard + 1;
    return shards;
}

static void look_at_sizes(struct plb__jobs *jobs, plb_task_id *n_whole_out)
{
    *n_whole_out = 0;
    jobs->micro_batches = 1;
    jobs->shards = plb__shards_of(jobs->graph);
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb_task *task = plb_graph_task(jobs->graph, t);

        if (task->forward != PLB_NONE && task->forward >= *n_whole_out)
            *n_whole_out = task->forward + 1;
        if (micro_batch_of(task) >= jobs->micro_batches)
            jobs->micro_batches = micro_batch_of(task) + 1;
    }
}

static enum plb_status count_positions(struct count *count)
{
    struct plb__jobs *jobs = count->jobs;

    for (plb_task_id w = 0; w < count->n_whole; w++)
        count->position[w] = PLB_NONE;
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb_task *task = plb_graph_task(jobs->graph, t);

        if (is_forward(jobs, task) && count->position[task->forward] == PLB_NONE)
            count->position[task->forward] = count->counted[micro_batch_of(task)]++;
    }
    jobs->positions = count->counted[0];
    for (uint32_t j = 1; j < jobs->micro_batches; j++)
        if (count->counted[j] != jobs->positions)
            return plb_fail(PLB_ERROR_INVALID, "micro-batch %u has %u forward tasks, the first one "
                            "has %u: they must be alike", j, count->counted[j], jobs->positions);
    return PLB_OK;
}

/* ---- kinds ---- */

static bool adds(const struct plb_task *task)
{
    return strcmp(task->op->name, "add") == 0 || strcmp(task->op->name, "sum") == 0;
}

/* Of each backward task, latest first: B unless all who read what it makes are W or the rest. A W
 * that adds what W of other positions have made is of the rest. `read` tells of values that some B
 * reads, or some W of another position than `at`. */
struct kinds {
    struct plb__jobs *jobs;
    bool *read_by_b;
    uint32_t *read_at; /* per value: position of the W that read it, PLB_NONE: several */
    bool *read_by_w;
};

static bool is_w(const struct kinds *k, const struct plb_task *task, uint32_t position)
{
    for (uint32_t i = 0; i < task->out_start[task->n_out]; i++) {
        plb_value out = task->out[i];

        if (k->read_by_b[out] || (k->read_by_w[out] && k->read_at[out] != position))
            return false;
    }
    return true;
}

/* A W that only adds is read as the rest is; it may turn out to be of it. */
static void note_reads(struct kinds *k, const struct plb_task *task, bool w, uint32_t position)
{
    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        plb_value in = task->in[i];

        if (!w) {
            k->read_by_b[in] = true;
        } else if (!adds(task)) {
            k->read_at[in] = k->read_by_w[in] && k->read_at[in] != position ? PLB_NONE : position;
            k->read_by_w[in] = true;
        }
    }
}

static void find_backward_kinds(struct kinds *k)
{
    const plb_graph_t *graph = k->jobs->graph;

    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);
        struct plb__jobs_task *it = &k->jobs->task[t];
        bool w;

        if (task->phase != PLB_PHASE_BACKWARD || it->kind == PLB__JOB_REST)
            continue;
        w = is_w(k, task, it->position);
        it->kind = w ? PLB__JOB_W : PLB__JOB_B;
        note_reads(k, task, w, it->position);
    }
}

/* A sum of what W of several positions have made is of the rest, and so is what follows it. */
static bool follows_rest(const struct plb__jobs *jobs, const struct plb__jobs_task *it,
                         plb_task_id maker)
{
    const struct plb__jobs_task *made = &jobs->task[maker];

    return made->kind == PLB__JOB_REST ||
           (it->kind == PLB__JOB_W && made->kind == PLB__JOB_W && made->position != it->position);
}

static void find_shared_sums(struct plb__jobs *jobs)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb_task *task = plb_graph_task(jobs->graph, t);
        struct plb__jobs_task *it = &jobs->task[t];

        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
            plb_task_id maker = plb_graph_value(jobs->graph, task->in[i])->producer;

            if (maker != PLB_NONE && it->kind != PLB__JOB_REST && follows_rest(jobs, it, maker))
                *it = (struct plb__jobs_task){PLB_NONE, it->micro_batch, PLB__JOB_REST};
        }
    }
}

static enum plb_status find_kinds(struct plb__jobs *jobs)
{
    size_t n = (size_t)plb_graph_values(jobs->graph) + 1;
    struct kinds k = {jobs, calloc(n, sizeof(bool)), malloc(n * sizeof(uint32_t)),
                      calloc(n, sizeof(bool))};
    enum plb_status status = PLB_OK;

    if (k.read_by_b && k.read_at && k.read_by_w) {
        find_backward_kinds(&k);
        find_shared_sums(jobs);
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the kinds of tasks");
    }
    free(k.read_by_b);
    free(k.read_at);
    free(k.read_by_w);
    return status;
}

/* ---- parameters ---- */

plb_value plb__jobs_updated(const struct plb__jobs *jobs, const struct plb_task *task)
{
    for (uint32_t i = 0; i < task->out_start[task->n_out]; i++) {
        plb_value old = jobs->replaces[task->out[i]];

        if (old != PLB_NONE && jobs->home[old] != PLB_NONE)
            return old;
    }
    return PLB_NONE;
}

/* Gradients are as large as what they are of: so a sum is told from the norm of what it sums. */
static bool same_size(const plb_graph_t *graph, plb_value a, plb_value b)
{
    return plb_shape_equal(&plb_graph_value(graph, a)->type.shape,
                           &plb_graph_value(graph, b)->type.shape);
}

static void find_sums(struct plb__jobs *jobs)
{
    const plb_graph_t *graph = jobs->graph;

    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);
        plb_value of = jobs->sums_for[t];

        if (jobs->task[t].kind != PLB__JOB_REST)
            continue;
        if (of == PLB_NONE)
            jobs->sums_for[t] = of = plb__jobs_updated(jobs, task);
        for (uint32_t i = 0; of != PLB_NONE && i < task->in_start[task->n_in]; i++) {
            plb_task_id maker = plb_graph_value(graph, task->in[i])->producer;

            if (maker != PLB_NONE && same_size(graph, task->in[i], of))
                jobs->sums_for[maker] = of;
        }
    }
}

/* ---- the whole ---- */

static void find_places_in_model(struct count *count)
{
    struct plb__jobs *jobs = count->jobs;

    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb_task *task = plb_graph_task(jobs->graph, t);
        uint32_t at = task->forward == PLB_NONE || task->phase == PLB_PHASE_UPDATE
                          ? PLB_NONE
                          : count->position[task->forward];

        jobs->task[t] = (struct plb__jobs_task){at, micro_batch_of(task), PLB__JOB_REST};
        if (at != PLB_NONE)
            jobs->task[t].kind = task->phase == PLB_PHASE_FORWARD ? PLB__JOB_F : PLB__JOB_B;
        if (is_forward(jobs, task) && at < jobs->positions)
            jobs->block[at] = task->block < 0 ? UINT32_MAX : (uint32_t)task->block;
    }
    for (plb_value v = 0; v < plb_graph_values(jobs->graph); v++)
        jobs->replaces[v] = jobs->home[v] = PLB_NONE;
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++)
        jobs->sums_for[t] = PLB_NONE;
    for (plb_value v = 0; v < plb_graph_values(jobs->graph); v++) {
        plb_value next = plb_graph_value(jobs->graph, v)->next;

        if (next != PLB_NONE)
            jobs->replaces[next] = v;
    }
}

/* Bytes of a value count where it is held: see struct plb__jobs. */
struct reach {
    uint32_t made;                 /* position where it is made, PLB_NONE: it is there before */
    bool by_backward;              /* it is made by a backward task */
    uint32_t low, high;            /* positions of those who read it: of all, */
    uint32_t low_back, high_back;  /* of B and W */
    uint32_t low_w, high_w;        /* of W */
};

static void widen(uint32_t *low, uint32_t *high, uint32_t position)
{
    *low = position < *low ? position : *low;
    *high = *high == PLB_NONE || position > *high ? position : *high;
}

static void find_reaches(const struct plb__jobs *jobs, struct reach *reach)
{
    const struct reach none = {PLB_NONE, false, PLB_NONE, PLB_NONE, PLB_NONE, PLB_NONE, PLB_NONE,
                               PLB_NONE};

    for (plb_value v = 0; v < plb_graph_values(jobs->graph); v++)
        reach[v] = none;
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb_task *task = plb_graph_task(jobs->graph, t);
        const struct plb__jobs_task *it = &jobs->task[t];

        if (it->kind == PLB__JOB_REST || it->micro_batch != 0)
            continue;
        for (uint32_t i = 0; i < task->out_start[task->n_out]; i++) {
            reach[task->out[i]].made = it->position;
            reach[task->out[i]].by_backward = it->kind != PLB__JOB_F;
        }
        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
            struct reach *r = &reach[task->in[i]];

            widen(&r->low, &r->high, it->position);
            if (it->kind != PLB__JOB_F)
                widen(&r->low_back, &r->high_back, it->position);
            if (it->kind == PLB__JOB_W)
                widen(&r->low_w, &r->high_w, it->position);
        }
    }
}

/* Differences, to be summed up afterwards. */
static void cross(double *cut, uint32_t from, uint32_t to, double bytes)
{
    if (to == PLB_NONE || from >= to)
        return;
    cut[from + 1] += bytes;
    cut[to + 1] -= bytes;
}

static void sum_up(double *cut, uint32_t n)
{
    for (uint32_t k = 1; k <= n; k++)
        cut[k] += cut[k - 1];
}

/* Parameters, which tasks of the model read, and their gradients; and the state of the optimizer,
 * which only updates read, in proportion. */
static void add_fixed(struct plb__jobs *jobs, const struct reach *reach)
{
    double read = 0, state = 0;

    for (plb_value v = 0; v < plb_graph_values(jobs->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(jobs->graph, v);
        double bytes = (double)plb_type_bytes(&info->type);

        if (info->producer != PLB_NONE || info->next == PLB_NONE)
            continue;
        jobs->home[v] = reach[v].low;
        if (reach[v].low == PLB_NONE) {
            state += bytes;
        } else {
            read += bytes;
            jobs->fixed[reach[v].low] += bytes;
        }
    }
    for (uint32_t k = 0; read > 0 && k < jobs->positions; k++)
        jobs->fixed[k] *= 2 + state / read;
}

static void add_bytes(struct plb__jobs *jobs, const struct reach *reach)
{
    for (plb_value v = 0; v < plb_graph_values(jobs->graph); v++) {
        const struct reach *r = &reach[v];
        double bytes = (double)plb_type_bytes(&plb_graph_value(jobs->graph, v)->type);

        if (r->made == PLB_NONE)
            continue;
        if (r->by_backward)
            cross(jobs->backward, r->low, r->made, bytes);
        else
            cross(jobs->forward, r->made, r->high, bytes);
        if (!r->by_backward && r->high_back != PLB_NONE)
            jobs->held[r->high_back] += bytes;
        if (r->high_w != PLB_NONE)
            jobs->held_w[r->high_w] += bytes;
    }
    sum_up(jobs->forward, jobs->positions);
    sum_up(jobs->backward, jobs->positions);
}

static enum plb_status find_bytes(struct plb__jobs *jobs)
{
    struct reach *reach = malloc(((size_t)plb_graph_values(jobs->graph) + 1) * sizeof *reach);

    if (!reach)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the bytes of a pipeline");
    find_reaches(jobs, reach);
    add_bytes(jobs, reach);
    add_fixed(jobs, reach);
    find_sums(jobs);
    free(reach);
    return PLB_OK;
}

static enum plb_status allocate(struct plb__jobs *jobs)
{
    size_t n = (size_t)jobs->positions + 2;

    jobs->task = calloc((size_t)plb_graph_tasks(jobs->graph) + 1, sizeof *jobs->task);
    jobs->replaces = malloc(((size_t)plb_graph_values(jobs->graph) + 1) * sizeof *jobs->replaces);
    jobs->home = malloc(((size_t)plb_graph_values(jobs->graph) + 1) * sizeof *jobs->home);
    jobs->sums_for = malloc(((size_t)plb_graph_tasks(jobs->graph) + 1) * sizeof *jobs->sums_for);
    jobs->block = calloc(n, sizeof *jobs->block);
    jobs->held = calloc(n, sizeof *jobs->held);
    jobs->held_w = calloc(n, sizeof *jobs->held_w);
    jobs->fixed = calloc(n, sizeof *jobs->fixed);
    jobs->forward = calloc(n, sizeof *jobs->forward);
    jobs->backward = calloc(n, sizeof *jobs->backward);
    if (!jobs->task || !jobs->replaces || !jobs->home || !jobs->sums_for || !jobs->block ||
        !jobs->held || !jobs->held_w || !jobs->fixed || !jobs->forward || !jobs->backward)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the jobs of %u tasks",
                        plb_graph_tasks(jobs->graph));
    return PLB_OK;
}

static enum plb_status find_all(struct count *count)
{
    PLB_TRY(count_positions(count));
    PLB_TRY(allocate(count->jobs));
    find_places_in_model(count);
    PLB_TRY(find_kinds(count->jobs));
    return find_bytes(count->jobs);
}

enum plb_status plb__jobs_find(const plb_graph_t *graph, struct plb__jobs *jobs_out)
{
    struct plb__jobs jobs = {.graph = graph};
    struct count count = {.jobs = &jobs};
    enum plb_status status;

    look_at_sizes(&jobs, &count.n_whole);
    count.position = malloc(((size_t)count.n_whole + 1) * sizeof *count.position);
    count.counted = calloc(jobs.micro_batches, sizeof *count.counted);
    status = count.position && count.counted
                 ? find_all(&count)
                 : plb_fail(PLB_ERROR_MEMORY, "no memory for the positions of tasks");
    free(count.position);
    free(count.counted);
    if (status == PLB_OK)
        *jobs_out = jobs;
    else
        plb__jobs_clear(&jobs);
    return status;
}
