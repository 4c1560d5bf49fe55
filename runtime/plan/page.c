/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paging of parameters and state: policies decide about the values of a step as if all that lives
 * on from step to step were always on the device, and what has its home elsewhere comes and goes
 * around the tasks that use it.
 *
 * A value is fetched for each task that reads it, unless it was used by one of the few tasks before
 * that one. The FETCH stands as far ahead of its need as what is fetched and not yet used has room
 * in a *window*. The window holds what the task with the most of it needs, or twice what any other
 * task needs, if that is more: one set is computed with while the next one comes, but the largest
 * one (the update of an embedding, often several times the others) comes alone. The last version
 * goes home as soon as it is made.
 *
 * Around a task that works in main memory (plb_keep_updates()) it is the other way round: what it
 * reads of the device goes out as soon as it is made, the gradient first of all, and what it makes
 * for the device comes in right after it. Then the link is not what a step waits for, and the window
 * holds one set.
 */
#include "config.h"

#include "runtime/plan/page.h"

#include <stdlib.h>
#include <string.h>

/* A value that is used again after this many instructions stays meanwhile. */
#define NEAR 8u

/* A FETCH that instruction `need` waits for, to be written before instruction `before`. */
struct fetch {
    uint32_t need, before; /* `before` at first: the earliest there is, after the use before */
    plb_value value;
};

struct pager {
    const plb_graph_t *graph;
    const struct plb_plan *draft;
    plb_value *carried;     /* per value: the initial value that it replaces, or PLB_NONE */
    bool *left;             /* per value: the draft moves it from or to its home by itself */
    bool *wanted;           /* per value: a task in main memory reads it, and it is not there yet */
    uint32_t *last_used;    /* per value: 1 + the latest instruction that used it; 0: none */
    bool beside;            /* there are tasks in main memory */
    size_t largest, second; /* bytes of the sets of two tasks */
    size_t window;          /* bytes that are fetched and not yet used, at most */
    struct fetch *fetch;    /* in the order of their needs */
    uint32_t n_fetches, capacity;
    struct plb_plan paged;
};

static bool is_away(const struct plb_value_info *info)
{
    return info->producer == PLB_NONE && info->home != PLB_DEVICE;
}

bool plb__pages(const plb_graph_t *graph)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++)
        if (is_away(plb_graph_value(graph, v)))
            return true;
    return false;
}

static size_t bytes_of(const struct pager *p, plb_value value)
{
    return plb_type_bytes(&plb_graph_value(p->graph, value)->type);
}

/* ---- what is needed when ---- */

static enum plb_status push(struct pager *p, struct fetch fetch)
{
    if (p->n_fetches == p->capacity) {
        uint32_t capacity = p->capacity ? 2 * p->capacity : 256;
        struct fetch *grown = realloc(p->fetch, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory to page %u values", capacity);
        p->fetch = grown;
        p->capacity = capacity;
    }
    p->fetch[p->n_fetches++] = fetch;
    return PLB_OK;
}

static void note_set(struct pager *p, size_t bytes)
{
    if (bytes >= p->largest) {
        p->second = p->largest;
        p->largest = bytes;
    } else if (bytes > p->second) {
        p->second = bytes;
    }
}

/* What task `id`, which instruction i runs, needs fetched. */
static enum plb_status need(struct pager *p, uint32_t i, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(p->graph, id);
    size_t bytes = 0;

    if (task->tier != PLB_DEVICE) {
        p->beside = true;
        return PLB_OK;
    }
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_value v = task->in[j];
        uint32_t used = p->last_used[v];

        if (!is_away(plb_graph_value(p->graph, v)) || p->left[v] || used == i + 1)
            continue;
        bytes += bytes_of(p, v);
        p->last_used[v] = i + 1;
        if (used == 0 || i + 1 - used > NEAR)
            PLB_TRY(push(p, (struct fetch){i, used, v}));
    }
    note_set(p, bytes);
    return PLB_OK;
}

/* Of the value, or of the one that it replaces. */
static int home_of(const struct pager *p, plb_value value)
{
    plb_value first = p->carried[value] != PLB_NONE ? p->carried[value] : value;

    return plb_graph_value(p->graph, first)->home;
}

static enum plb_status find_needs(struct pager *p)
{
    for (uint32_t i = 0; i < p->draft->n; i++) {
        const struct plb_instruction *instruction = &p->draft->instruction[i];

        if (instruction->code != PLB_RUN &&
            (int)instruction->tier == home_of(p, instruction->subject))
            p->left[instruction->subject] = true;
    }
    for (uint32_t i = 0; i < p->draft->n; i++)
        if (p->draft->instruction[i].code == PLB_RUN)
            PLB_TRY(need(p, i, p->draft->instruction[i].subject));
    p->window = 2 * p->second > p->largest && !p->beside ? 2 * p->second : p->largest;
    return PLB_OK;
}

/* ---- in good time ---- */

static uint32_t later(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* A FETCH goes after the tasks whose values must go for its own to have room in the window, and
 * after the FETCH before it: the link brings values in the order of their needs. */
static void hasten(struct pager *p)
{
    uint32_t oldest = 0, latest = 0;
    size_t bytes = 0;

    for (uint32_t k = 0; k < p->n_fetches; k++) {
        struct fetch *fetch = &p->fetch[k];

        bytes += bytes_of(p, fetch->value);
        for (; bytes > p->window; oldest++)
            bytes -= bytes_of(p, p->fetch[oldest].value);
        if (oldest > 0)
            fetch->before = later(fetch->before, p->fetch[oldest - 1].need + 1);
        if (fetch->before > fetch->need)
            fetch->before = fetch->need;
        fetch->before = latest = later(fetch->before, latest);
    }
}

/* ---- the draft with its moves ---- */

static enum plb_status append(struct pager *p, enum plb_opcode code, plb_value value, int tier)
{
    return plb_plan_append(&p->paged,
                           (struct plb_instruction){code, value, 0, (enum plb_tier)tier});
}

/* What a task has made goes home, where its home is not here; or where it is wanted. */
static enum plb_status bring_home(struct pager *p, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        plb_value v = task->out[j];

        if (task->tier != PLB_DEVICE && home_of(p, v) == PLB_DEVICE)
            PLB_TRY(append(p, PLB_FETCH, v, task->tier));
        if (task->tier == PLB_DEVICE && p->carried[v] != PLB_NONE && !p->left[v] &&
            home_of(p, v) != PLB_DEVICE)
            PLB_TRY(append(p, PLB_OFFLOAD, v, home_of(p, v)));
        if (p->wanted[v])
            PLB_TRY(append(p, PLB_OFFLOAD, v, PLB_HOST));
        p->wanted[v] = false;
    }
    return PLB_OK;
}

/* What a task in main memory reads and no task has sent there: what the step began with. */
static enum plb_status send_inputs(struct pager *p, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in] && task->tier != PLB_DEVICE; j++) {
        if (p->wanted[task->in[j]])
            PLB_TRY(append(p, PLB_OFFLOAD, task->in[j], task->tier));
        p->wanted[task->in[j]] = false;
    }
    return PLB_OK;
}

/* A draft knows of no task in main memory, and would have what these make sent home. */
static bool is_moot(const struct pager *p, const struct plb_instruction *instruction)
{
    plb_task_id producer;

    if (instruction->code == PLB_RUN)
        return false;
    producer = plb_graph_value(p->graph, instruction->subject)->producer;
    return producer != PLB_NONE && plb_graph_task(p->graph, producer)->tier != PLB_DEVICE;
}

static enum plb_status write_run(struct pager *p, const struct plb_instruction *instruction)
{
    const struct plb_task *task = plb_graph_task(p->graph, instruction->subject);

    PLB_TRY(send_inputs(p, task));
    PLB_TRY(plb_plan_append(&p->paged, *instruction));
    return bring_home(p, task);
}

static enum plb_status write(struct pager *p)
{
    uint32_t next = 0;

    for (uint32_t i = 0; i < p->draft->n; i++) {
        const struct plb_instruction *instruction = &p->draft->instruction[i];

        for (; next < p->n_fetches && p->fetch[next].before == i; next++)
            PLB_TRY(append(p, PLB_FETCH, p->fetch[next].value,
                           plb_graph_value(p->graph, p->fetch[next].value)->home));
        if (instruction->code == PLB_RUN)
            PLB_TRY(write_run(p, instruction));
        else if (!is_moot(p, instruction))
            PLB_TRY(plb_plan_append(&p->paged, *instruction));
    }
    return PLB_OK;
}

/* ---- from outside ---- */

/* What tasks in main memory read that has no home there. */
static void find_wanted(struct pager *p)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(p->graph); t++) {
        const struct plb_task *task = plb_graph_task(p->graph, t);

        for (int k = 0; k < task->n_in && task->tier != PLB_DEVICE; k++)
            for (uint32_t j = task->in_start[k]; j < task->in_start[k + 1]; j++) {
                const struct plb_value_info *info = plb_graph_value(p->graph, task->in[j]);

                p->wanted[task->in[j]] |= !(task->op->in[k].flags & PLB_UNREAD) &&
                                          (info->producer != PLB_NONE || info->home != task->tier);
            }
    }
}

static enum plb_status prepare(struct pager *p)
{
    size_t n = (size_t)plb_graph_values(p->graph) + 1;

    p->carried = malloc(n * sizeof *p->carried);
    p->left = calloc(n, sizeof *p->left);
    p->wanted = calloc(n, sizeof *p->wanted);
    p->last_used = calloc(n, sizeof *p->last_used);
    if (!p->carried || !p->left || !p->wanted || !p->last_used)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to page %zu values", n - 1);
    memset(p->carried, 0xff, n * sizeof *p->carried);
    for (plb_value v = 0; v + 1 < n; v++) {
        const struct plb_value_info *info = plb_graph_value(p->graph, v);

        if (info->producer == PLB_NONE && info->next != PLB_NONE)
            p->carried[info->next] = v;
    }
    find_wanted(p);
    return PLB_OK;
}

enum plb_status plb__page(const plb_graph_t *graph, const struct plb_plan *draft,
                          struct plb_plan *paged_out)
{
    struct pager p = {.graph = graph, .draft = draft};
    enum plb_status status = prepare(&p);

    if (status == PLB_OK)
        status = find_needs(&p);
    if (status == PLB_OK) {
        hasten(&p);
        status = write(&p);
    }
    free(p.carried);
    free(p.left);
    free(p.wanted);
    free(p.last_used);
    free(p.fetch);
    if (status == PLB_OK)
        *paged_out = p.paged;
    else
        plb_plan_clear(&p.paged);
    return status;
}
