/* SPDX-License-Identifier: BSD-3-Clause */
/* Random hybrid plans: see random_hybrid.h. */
#include "config.h"

#include "tests/runtime/plan/random_hybrid.h"

#include "tests/runtime/plan/random_plan.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_PLACE 6 /* one task in so many runs at two places */
#define AGAIN        8 /* after one run in so many an earlier one is repeated */

struct drawing {
    const plb_graph_t *graph;
    uint64_t state;
    uint32_t n_places, n_tasks;
    plb_value *carried;  /* per value: what it replaces, or PLB_NONE */
    uint32_t *missing;   /* per task: values that are not made, and readers of what it replaces */
    plb_task_id *ready;
    uint32_t n_ready;
    plb_task_id **list; /* per place */
    uint32_t *n;
    bool *replaced; /* [place][value] */
};

static bool *replaced_at(const struct drawing *d, uint32_t place, plb_value value)
{
    return &d->replaced[(size_t)place * plb_graph_values(d->graph) + value];
}

/* Readers of an initial value come before the task that makes its next version. */
static plb_task_id replacer_of(const struct drawing *d, plb_value value)
{
    plb_value next = plb_graph_value(d->graph, value)->next;

    return next == PLB_NONE ? PLB_NONE : plb_graph_value(d->graph, next)->producer;
}

/* Calls for the tasks that come after `t`: once per value that they read or replace. */
static void count_after(struct drawing *d, plb_task_id t, bool ended)
{
    const struct plb_task *task = plb_graph_task(d->graph, t);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_task_id replacer = replacer_of(d, task->in[j]);

        if (replacer == PLB_NONE || replacer == t)
            continue;
        if (!ended)
            d->missing[replacer]++;
        else if (--d->missing[replacer] == 0)
            d->ready[d->n_ready++] = replacer;
    }
}

/* The tasks that read what `t` makes. Graphs here are small. */
static void release_readers(struct drawing *d, plb_task_id t)
{
    for (plb_task_id r = t + 1; r < d->n_tasks; r++) {
        const struct plb_task *reader = plb_graph_task(d->graph, r);

        for (uint32_t j = 0; j < reader->in_start[reader->n_in]; j++)
            if (plb_graph_value(d->graph, reader->in[j])->producer == t && --d->missing[r] == 0)
                d->ready[d->n_ready++] = r;
    }
}

static void append(struct drawing *d, uint32_t place, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(d->graph, t);

    d->list[place][d->n[place]++] = t;
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (d->carried[task->in[j]] != PLB_NONE)
            *replaced_at(d, place, d->carried[task->in[j]]) = true;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        if (d->carried[task->out[j]] != PLB_NONE)
            *replaced_at(d, place, d->carried[task->out[j]]) = true;
}

static bool can_run_again(const struct drawing *d, uint32_t place, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(d->graph, t);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (*replaced_at(d, place, task->in[j]))
            return false;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        if (d->carried[task->out[j]] != PLB_NONE)
            return false;
    return true;
}

static void run_somewhere(struct drawing *d, plb_task_id t)
{
    uint32_t place = random_below(&d->state, d->n_places);
    uint32_t other = random_below(&d->state, d->n_places);

    append(d, place, t);
    if (other != place && random_below(&d->state, SECOND_PLACE) == 0)
        append(d, other, t);
    if (random_below(&d->state, AGAIN) == 0) {
        plb_task_id again = d->list[place][random_below(&d->state, d->n[place])];

        if (can_run_again(d, place, again))
            append(d, place, again);
    }
}

static void draw_all(struct drawing *d)
{
    for (plb_value v = 0; v < plb_graph_values(d->graph); v++)
        if (plb_graph_value(d->graph, v)->next != PLB_NONE)
            d->carried[plb_graph_value(d->graph, v)->next] = v;
    for (plb_task_id t = 0; t < d->n_tasks; t++) {
        const struct plb_task *task = plb_graph_task(d->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            d->missing[t] += plb_graph_value(d->graph, task->in[j])->producer != PLB_NONE;
        count_after(d, t, false);
    }
    for (plb_task_id t = 0; t < d->n_tasks; t++)
        if (d->missing[t] == 0)
            d->ready[d->n_ready++] = t;
    while (d->n_ready > 0) {
        uint32_t k = random_below(&d->state, d->n_ready);
        plb_task_id t = d->ready[k];

        d->ready[k] = d->ready[--d->n_ready];
        run_somewhere(d, t);
        count_after(d, t, true);
        release_readers(d, t);
    }
}

static enum plb_status collect(const struct drawing *d, struct plb_hybrid *hybrid_out)
{
    struct plb_hybrid hybrid = {.policy = "random",
                                .fingerprint = plb_graph_fingerprint(d->graph),
                                .n_places = d->n_places};
    uint32_t n = 0;

    for (uint32_t p = 0; p < d->n_places; p++)
        n += d->n[p];
    hybrid.in_place = malloc(((size_t)d->n_places + 1) * sizeof *hybrid.in_place);
    hybrid.run = malloc(((size_t)n + 1) * sizeof *hybrid.run);
    if (!hybrid.in_place || !hybrid.run) {
        plb_hybrid_clear(&hybrid);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a random hybrid plan");
    }
    hybrid.in_place[0] = 0;
    for (uint32_t p = 0; p < d->n_places; p++) {
        memcpy(hybrid.run + hybrid.in_place[p], d->list[p], d->n[p] * sizeof *hybrid.run);
        hybrid.in_place[p + 1] = hybrid.in_place[p] + d->n[p];
    }
    *hybrid_out = hybrid;
    return PLB_OK;
}

static bool prepare(struct drawing *d)
{
    size_t values = (size_t)plb_graph_values(d->graph) + 1, tasks = (size_t)d->n_tasks + 1;
    bool ok = true;

    d->carried = malloc(values * sizeof *d->carried);
    d->missing = calloc(tasks, sizeof *d->missing);
    d->ready = malloc(tasks * sizeof *d->ready);
    d->list = calloc(d->n_places, sizeof *d->list);
    d->n = calloc(d->n_places, sizeof *d->n);
    d->replaced = calloc(values * d->n_places, sizeof *d->replaced);
    ok = d->carried && d->missing && d->ready && d->list && d->n && d->replaced;
    for (uint32_t p = 0; ok && p < d->n_places; p++)
        ok = (d->list[p] = malloc(3 * tasks * sizeof *d->list[p])) != NULL;
    if (ok)
        memset(d->carried, 0xff, values * sizeof *d->carried);
    return ok;
}

enum plb_status random_hybrid_make(const plb_graph_t *graph, uint64_t seed, uint32_t n_places,
                                   struct plb_hybrid *hybrid_out)
{
    struct drawing d = {
        .graph = graph, .state = seed, .n_places = n_places, .n_tasks = plb_graph_tasks(graph)};
    enum plb_status status = PLB_OK;

    if (!prepare(&d))
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for a random hybrid plan");
    if (status == PLB_OK) {
        draw_all(&d);
        status = collect(&d, hybrid_out);
    }
    for (uint32_t p = 0; d.list && p < n_places; p++)
        free(d.list[p]);
    free(d.carried);
    free(d.missing);
    free(d.ready);
    free(d.list);
    free(d.n);
    free(d.replaced);
    return status;
}
