/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paging in the order of the graph: see pager.h.
 *
 * What a task reads is fetched right before it; when that and what it makes would not fit, values
 * leave, one after the other, until it does. The room is a target that the fit adjusts, because an
 * exact layout has gaps.
 */
#include "config.h"

#include "schedulers/memory/common/pager.h"

#include "runtime/plan/writer.h"
#include "schedulers/memory/common/fates.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/memory/common/held.h"

#include <stdlib.h>
#include <string.h>

struct pager {
    const struct plb_problem *problem;
    plb__leaves leaves;
    plb_writer_t *writer;
    size_t room, level;     /* bytes that may be, and are, on the device */
    size_t used[PLB_TIERS]; /* bytes in the other tiers */
    bool *fixed;            /* per value: its storage does not count: initial, carried, held */
    bool *output;           /* per value: lasts to the end */
    uint32_t *in_use, *use; /* per value: the tasks that read it, in order */
    uint32_t *next;         /* per value: its next entry of `use` */
    plb_task_id *last;      /* per value: the last task that used it */
    enum plb_tier *copy;    /* per value: the tier that has a copy, PLB_DEVICE for none */
    uint32_t *place;        /* per value: its entry in `resident`, or PLB_NONE */
    plb_value *resident;    /* what is on the device and counts */
    uint32_t n_resident;
};

static size_t bytes_of(const struct pager *p, plb_value v)
{
    return plb_type_bytes(&plb_graph_value(p->problem->graph, v)->type);
}

bool plb__leaves_oldest(const struct plb__resident *a, const struct plb__resident *b)
{
    return a->last_use < b->last_use;
}

bool plb__leaves_farthest(const struct plb__resident *a, const struct plb__resident *b)
{
    if (a->next_use != b->next_use)
        return a->next_use > b->next_use;
    return a->bytes > b->bytes;
}

/* ---- uses ---- */

/* Room in `use` by value; a value that a task lists twice has two entries. */
static void count_uses(struct pager *p)
{
    const plb_graph_t *graph = p->problem->graph;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            p->in_use[task->in[j] + 1]++;
    }
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        p->in_use[v + 1] += p->in_use[v];
        p->next[v] = p->in_use[v];
    }
}

static void find_uses(struct pager *p)
{
    const plb_graph_t *graph = p->problem->graph;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            p->use[p->next[task->in[j]]++] = t;
    }
    memcpy(p->next, p->in_use, plb_graph_values(graph) * sizeof *p->next);
}

static enum plb_status find_fixed(struct pager *p)
{
    const plb_graph_t *graph = p->problem->graph;

    PLB_TRY(plb__held_storage(p->problem, p->fixed));
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        const struct plb_value_info *info = plb_graph_value(graph, v);

        p->output[v] |= info->output;
        if (info->producer != PLB_NONE)
            continue;
        p->fixed[v] = true;
        if (info->next != PLB_NONE)
            p->fixed[info->next] = true;
    }
    return PLB_OK;
}

static plb_task_id next_use(const struct pager *p, plb_value v)
{
    return p->next[v] < p->in_use[v + 1] ? p->use[p->next[v]] : PLB_NONE;
}

/* ---- what is on the device ---- */

static void enter(struct pager *p, plb_value v)
{
    if (p->fixed[v] || p->place[v] != PLB_NONE)
        return;
    p->level += bytes_of(p, v);
    p->place[v] = p->n_resident;
    p->resident[p->n_resident++] = v;
}

static void go(struct pager *p, plb_value v)
{
    plb_value other;

    if (p->place[v] == PLB_NONE)
        return;
    p->level -= bytes_of(p, v);
    other = p->resident[--p->n_resident];
    p->resident[p->place[v]] = other;
    p->place[other] = p->place[v];
    p->place[v] = PLB_NONE;
}

static struct plb__resident look(const struct pager *p, plb_value v)
{
    return (struct plb__resident){
        .last_use = p->last[v], .next_use = next_use(p, v), .bytes = bytes_of(p, v)};
}

/* The value that should leave before task t; PLB_NONE when t uses all that is there. */
static plb_value choose(const struct pager *p, plb_task_id t)
{
    plb_value best = PLB_NONE;
    struct plb__resident best_look = {0};

    for (uint32_t k = 0; k < p->n_resident; k++) {
        plb_value v = p->resident[k];
        struct plb__resident here = look(p, v);

        if (here.next_use == t)
            continue;
        if (best == PLB_NONE || p->leaves(&here, &best_look)) {
            best = v;
            best_look = here;
        }
    }
    return best;
}

static enum plb_status evict(struct pager *p, plb_task_id t)
{
    plb_value v = choose(p, t);

    if (v == PLB_NONE)
        return plb_fail(PLB_ERROR_MEMORY, "%s has no room for what it reads and makes",
                        plb_graph_task(p->problem->graph, t)->name);
    if (p->copy[v] == PLB_DEVICE) {
        enum plb_tier tier = plb__offload_tier(&p->problem->limits, p->used, bytes_of(p, v));

        if (tier == PLB_DEVICE)
            return plb_fail(PLB_ERROR_MEMORY, "host memory and disk have no room for '%s'",
                            plb_graph_value(p->problem->graph, v)->name);
        PLB_TRY(plb_writer_offload(p->writer, v, tier));
        p->copy[v] = tier;
        p->used[tier] += bytes_of(p, v);
    }
    plb_writer_forget(p->writer, v);
    go(p, v);
    return PLB_OK;
}

/* ---- a task ---- */

/* Will the finished plan put `out` where `in` lies, which the task is the last to read? */
static bool takes_over(const struct pager *p, plb_value in, plb_value out)
{
    return !p->fixed[in] && !p->output[in] && p->copy[in] == PLB_DEVICE &&
           p->next[in] + 1 == p->in_use[in + 1] && bytes_of(p, in) == bytes_of(p, out);
}

/* Bytes that output k adds to what is on the device. */
static size_t output_bytes(const struct pager *p, const struct plb_task *task, int k)
{
    int from = task->op->out[k].shares - 1;
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];
    bool takes = from >= 0 && task->in_start[from + 1] - task->in_start[from] == cells;
    size_t bytes = 0;

    for (uint32_t j = 0; j < cells; j++) {
        plb_value out = task->out[task->out_start[k] + j];

        takes = takes && takes_over(p, task->in[task->in_start[from] + j], out);
        bytes += p->fixed[out] ? 0 : bytes_of(p, out);
    }
    return takes ? 0 : bytes;
}

/* Bytes that the task adds to what is on the device. */
static size_t missing_bytes(const struct pager *p, const struct plb_task *task)
{
    size_t bytes = 0;

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (!plb_writer_has(p->writer, task->in[j]))
            bytes += bytes_of(p, task->in[j]);
    for (int k = 0; k < task->n_out; k++)
        bytes += output_bytes(p, task, k);
    return bytes;
}

/* What no task reads any more ends, also in the other tiers. */
static void end_if_done(struct pager *p, plb_value v)
{
    if (p->output[v] || next_use(p, v) != PLB_NONE)
        return;
    go(p, v);
    if (p->copy[v] != PLB_DEVICE)
        p->used[p->copy[v]] -= bytes_of(p, v);
    p->copy[v] = PLB_DEVICE;
}

static void after_task(struct pager *p, plb_task_id t, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        p->next[task->in[j]]++;
        p->last[task->in[j]] = t;
    }
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        p->last[task->out[j]] = t;
        enter(p, task->out[j]);
    }
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        end_if_done(p, task->in[j]);
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        end_if_done(p, task->out[j]);
}

static enum plb_status run(struct pager *p, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(p->problem->graph, t);

    while (p->level + missing_bytes(p, task) > p->room)
        PLB_TRY(evict(p, t));
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        PLB_TRY(plb_writer_fetch(p->writer, task->in[j]));
        enter(p, task->in[j]);
    }
    PLB_TRY(plb_writer_run(p->writer, t));
    after_task(p, t, task);
    return PLB_OK;
}

/* ---- a plan ---- */

static void pager_clear(struct pager *p)
{
    plb_writer_destroy(p->writer);
    free(p->fixed);
    free(p->output);
    free(p->in_use);
    free(p->use);
    free(p->next);
    free(p->last);
    free(p->copy);
    free(p->place);
    free(p->resident);
}

static enum plb_status pager_make(struct pager *p)
{
    const plb_graph_t *graph = p->problem->graph;
    size_t values = (size_t)plb_graph_values(graph) + 1;

    p->fixed = calloc(values, sizeof *p->fixed);
    p->output = calloc(values, sizeof *p->output);
    p->in_use = calloc(values + 1, sizeof *p->in_use);
    p->next = calloc(values, sizeof *p->next);
    p->last = calloc(values, sizeof *p->last);
    p->copy = calloc(values, sizeof *p->copy);
    p->place = malloc(values * sizeof *p->place);
    p->resident = malloc(values * sizeof *p->resident);
    if (!p->fixed || !p->output || !p->in_use || !p->next || !p->last || !p->copy || !p->place ||
        !p->resident)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to page %zu values", values - 1);
    memset(p->place, 0xff, values * sizeof *p->place);
    count_uses(p);
    p->use = malloc(((size_t)p->in_use[values - 1] + 1) * sizeof *p->use);
    if (!p->use)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u uses", p->in_use[values - 1]);
    find_uses(p);
    PLB_TRY(find_fixed(p));
    return plb_writer_create(graph, &p->writer);
}

struct paging {
    plb__leaves leaves;
};

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    struct pager p = {.problem = problem, .room = target};
    enum plb_status status = pager_make(&p);

    p.leaves = ((const struct paging *)context)->leaves;
    for (plb_task_id t = 0; status == PLB_OK && t < plb_graph_tasks(problem->graph); t++)
        status = run(&p, t);
    if (status == PLB_OK)
        status = plb_writer_finish(p.writer, plan_out);
    pager_clear(&p);
    return status;
}

static struct plb__fit fit_of(const struct plb_problem *problem, struct paging *paging,
                              bool fetches_ahead)
{
    return (struct plb__fit){
        .propose = propose,
        .context = paging,
        /* Everything: what is counted here is not quite what the needs count. */
        .most = problem->needs.activations + problem->needs.gradients + problem->needs.largest_task,
        .offloads = true,
        .fetches_ahead = fetches_ahead,
    };
}

enum plb_status plb__pager_plan(const struct plb_problem *problem, plb__leaves leaves,
                                bool fetches_ahead, struct plb_plan *plan_out)
{
    struct paging paging = {leaves};
    struct plb__fit fit = fit_of(problem, &paging, fetches_ahead);

    return plb__fit_plan(problem, &fit, plan_out);
}

enum plb_status plb__pager_replan(const struct plb_problem *problem, plb__leaves leaves,
                                  bool fetches_ahead, struct plb_plan *plan_out)
{
    struct paging paging = {leaves};
    struct plb__fit fit = fit_of(problem, &paging, fetches_ahead);

    return plb__fit_soon(problem, &fit, plb__fit_room(problem), plan_out);
}
