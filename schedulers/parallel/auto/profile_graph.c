/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A profile read from a graph: seconds and bytes of its first micro-batch, by position.
 *
 * Seconds of a job are those of its tasks, divided among the workers of a place and, for tasks that
 * are shards, among the places of a degree. What a graph exchanges between shards is told by tasks
 * that are no shard, or another, and read what a shard has made.
 */
#include "config.h"

#include "schedulers/parallel/auto/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSITIONS_MAX 192u /* that are units of their own */

struct reader {
    const struct plb__jobs *jobs;
    const plb_places_t *places;
    const double *const *seconds;
    double samples;     /* of a micro-batch */
    uint32_t *unit_of;  /* per position */
    struct plb_auto_unit *unit; /* one record per unit, before alike ones become one */
    double *exchanged;  /* per unit, bytes of a micro-batch */
    struct plb__auto_graph read;
};

/* ---- units ---- */

/* True where a unit begins. */
static bool begins(const struct plb__jobs *jobs, uint32_t position, bool by_block)
{
    return position == 0 || !by_block || jobs->block[position] != jobs->block[position - 1];
}

static enum plb_status find_units(struct reader *r, bool by_block)
{
    uint32_t positions = r->jobs->positions, n = 0;

    r->unit_of = calloc((size_t)positions + 1, sizeof *r->unit_of);
    r->read.bound = calloc((size_t)positions + 2, sizeof *r->read.bound);
    if (!r->unit_of || !r->read.bound)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the units of %u positions", positions);
    for (uint32_t k = 0; k < positions; k++) {
        if (begins(r->jobs, k, by_block))
            r->read.bound[n++] = k;
        r->unit_of[k] = n - 1;
    }
    r->read.bound[n] = positions;
    r->read.profile.n_units = n;
    if (n == 0 || n > PLB_AUTO_UNITS)
        return plb_fail(PLB_ERROR_INVALID, "a graph of %u parts that can be put apart: 1 to %d",
                        n, PLB_AUTO_UNITS);
    r->unit = calloc(n, sizeof *r->unit);
    r->exchanged = calloc(n, sizeof *r->exchanged);
    if (!r->unit || !r->exchanged)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u units", n);
    return PLB_OK;
}

/* ---- seconds ---- */

/* The greatest power of two that divides the shards. */
static uint32_t most_degree(const struct plb__jobs *jobs)
{
    uint32_t degree = 1;

    while (degree < 1u << (PLB_AUTO_DEGREES - 1) && jobs->shards % (2 * degree) == 0)
        degree *= 2;
    return degree;
}

static struct plb_auto_seconds *job_of(struct plb_auto_work *work, int kind)
{
    return kind == PLB__JOB_F ? &work->forward : kind == PLB__JOB_B ? &work->inputs
                                                                    : &work->weights;
}

static void add_task(struct reader *r, plb_task_id t, uint32_t unit)
{
    const struct plb__jobs_task *it = &r->jobs->task[t];
    bool shard = plb_graph_task(r->jobs->graph, t)->shard >= 0;

    for (uint32_t k = 0; k < plb_places_kinds(r->places); k++) {
        const struct plb_platform *platform = plb_costs_platform(plb_places_costs(r->places, k));

        for (uint32_t d = 0; 1u << d <= most_degree(r->jobs); d++) {
            struct plb_auto_work *work = &r->unit[unit].work[k][d];
            double places = shard ? (double)(1u << d) : 1;
            double all = r->seconds[k][t] / platform->workers / places;
            double fixed = fmin(all, platform->task_seconds / platform->workers / places);

            if (it->kind == PLB__JOB_REST) {
                work->update += all;
                continue;
            }
            job_of(work, it->kind)->fixed += fixed;
            job_of(work, it->kind)->each += (all - fixed) / r->samples;
        }
    }
}

static void add_tasks(struct reader *r)
{
    const struct plb__jobs *jobs = r->jobs;

    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        const struct plb__jobs_task *it = &jobs->task[t];
        plb_value sums = jobs->sums_for[t];
        uint32_t position = it->position;

        if (it->kind == PLB__JOB_REST)
            position = sums == PLB_NONE ? PLB_NONE : jobs->home[sums];
        else if (it->micro_batch != 0)
            continue;
        if (position != PLB_NONE)
            add_task(r, t, r->unit_of[position]);
    }
}

/* ---- bytes ---- */

static void add_exchanges(struct reader *r)
{
    const plb_graph_t *graph = r->jobs->graph;

    for (plb_task_id t = 0; r->jobs->shards > 1 && t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);
        const struct plb__jobs_task *it = &r->jobs->task[t];

        if (it->kind != PLB__JOB_F || it->micro_batch != 0)
            continue;
        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
            const struct plb_value_info *in = plb_graph_value(graph, task->in[i]);
            const struct plb_task *maker = plb_graph_task(graph, in->producer);

            if (maker && maker->shard >= 0 && maker->shard != task->shard)
                r->exchanged[r->unit_of[it->position]] += (double)plb_type_bytes(&in->type);
        }
    }
}

static void add_bytes(struct reader *r)
{
    const struct plb__jobs *jobs = r->jobs;

    for (uint32_t k = 0; k < jobs->positions; k++) {
        struct plb_auto_unit *unit = &r->unit[r->unit_of[k]];

        unit->parameters += jobs->fixed[k];
        unit->saved += jobs->held[k] / r->samples;
        unit->saved_weights += jobs->held_w[k] / r->samples;
    }
    for (uint32_t u = 0; u < r->read.profile.n_units; u++) {
        struct plb_auto_unit *unit = &r->unit[u];

        unit->most_degree = most_degree(jobs);
        unit->n_options = 1;
        unit->option[0] = (struct plb_auto_option){1, 0};
        unit->saved_weights = fmin(unit->saved_weights, unit->saved);
        unit->boundary = fmax(0, jobs->forward[r->read.bound[u + 1]]) / r->samples;
        unit->exchanged = r->exchanged[u] / jobs->shards / r->samples;
        unit->exchanges = r->exchanged[u] > 0;
    }
}

/* Gradients that are summed over replicas: as large as the parameters that are updated there. They
 * are counted with the parameters already, so these give way. */
static void add_gradients(struct reader *r)
{
    const plb_graph_t *graph = r->jobs->graph;

    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        const struct plb_value_info *info = plb_graph_value(graph, v);
        struct plb_auto_unit *unit;
        double bytes = (double)plb_type_bytes(&info->type);

        if (info->producer != PLB_NONE || info->next == PLB_NONE || r->jobs->home[v] == PLB_NONE)
            continue;
        unit = &r->unit[r->unit_of[r->jobs->home[v]]];
        unit->gradients += bytes;
        unit->parameters = fmax(0, unit->parameters - bytes);
    }
}

/* ---- alike units ---- */

static bool alike(const struct plb_auto_unit *a, const struct plb_auto_unit *b)
{
    struct plb_auto_unit x;

    memcpy(&x, a, sizeof x); /* padding, which is zero, too */
    memcpy(x.name, b->name, sizeof x.name);
    return memcmp(&x, b, sizeof x) == 0;
}

/* False: more sorts than a profile takes. */
static bool merge(struct reader *r, uint32_t sort[], uint32_t first[PLB_AUTO_RECORDS],
                  uint32_t *n_out)
{
    uint32_t n = 0;

    for (uint32_t u = 0; u < r->read.profile.n_units; u++) {
        uint32_t s = 0;

        while (s < n && !alike(&r->unit[first[s]], &r->unit[u]))
            s++;
        if (s == PLB_AUTO_RECORDS)
            return false;
        if (s == n)
            first[n++] = u;
        sort[u] = s;
    }
    *n_out = n;
    return true;
}

static void name_unit(const struct reader *r, uint32_t u)
{
    uint32_t block = r->jobs->block[r->read.bound[u]];

    if (block == UINT32_MAX)
        snprintf(r->unit[u].name, sizeof r->unit[u].name, "position %u", r->read.bound[u]);
    else
        snprintf(r->unit[u].name, sizeof r->unit[u].name, "block %u", block);
}

static enum plb_status write_profile(struct reader *r, const uint32_t *sort,
                                     const uint32_t *first, uint32_t n_sorts)
{
    uint32_t units = r->read.profile.n_units, m = r->jobs->micro_batches;

    PLB_TRY(plb_auto_profile_create(n_sorts, units, plb_places_kinds(r->places),
                                    (uint32_t)(r->samples * m + 0.5), &r->read.profile));
    r->read.profile.micro_batches = m;
    memcpy(r->read.profile.unit, sort, units * sizeof *sort);
    for (uint32_t s = 0; s < n_sorts; s++) {
        name_unit(r, first[s]);
        r->read.profile.record[s] = r->unit[first[s]];
    }
    return PLB_OK;
}

/* `*done_out` is false when units of this size are of too many sorts. */
static enum plb_status read_by(struct reader *r, bool by_block, bool *done_out)
{
    uint32_t first[PLB_AUTO_RECORDS], n_sorts = 0, *sort;
    enum plb_status status = PLB_OK;

    PLB_TRY(find_units(r, by_block));
    add_tasks(r);
    add_exchanges(r);
    add_bytes(r);
    add_gradients(r);
    sort = calloc(r->read.profile.n_units, sizeof *sort);
    if (!sort)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u units", r->read.profile.n_units);
    *done_out = merge(r, sort, first, &n_sorts);
    if (*done_out)
        status = write_profile(r, sort, first, n_sorts);
    free(sort);
    return status;
}

static void reader_clear(struct reader *r)
{
    free(r->unit_of);
    free(r->unit);
    free(r->exchanged);
    r->unit_of = NULL;
    r->unit = NULL;
    r->exchanged = NULL;
}

enum plb_status plb__auto_graph_read(const struct plb__jobs *jobs, const plb_places_t *places,
                                     const double *const *seconds, uint32_t samples, bool by_block,
                                     struct plb__auto_graph *read_out)
{
    struct reader r = {.jobs = jobs, .places = places, .seconds = seconds,
                       .samples = (double)samples / jobs->micro_batches};
    enum plb_status status = PLB_OK;
    bool done = false;

    if (samples == 0 || samples % jobs->micro_batches)
        return plb_fail(PLB_ERROR_INVALID, "%u samples in a graph of %u micro-batches", samples,
                        jobs->micro_batches);
    if (plb_places_kinds(places) > PLB_AUTO_KINDS)
        return plb_fail(PLB_ERROR_INVALID, "%u kinds of devices: at most %d",
                        plb_places_kinds(places), PLB_AUTO_KINDS);
    for (int coarse = by_block || jobs->positions > POSITIONS_MAX;
         status == PLB_OK && !done && coarse < 2; coarse++) {
        reader_clear(&r);
        plb__auto_graph_clear(&r.read);
        status = read_by(&r, coarse > 0, &done);
    }
    reader_clear(&r);
    if (status == PLB_OK && !done)
        status = plb_fail(PLB_ERROR_INVALID, "a graph whose blocks are of more than %d sorts",
                          PLB_AUTO_RECORDS);
    if (status == PLB_OK)
        *read_out = r.read;
    else
        plb__auto_graph_clear(&r.read);
    return status;
}

void plb__auto_graph_clear(struct plb__auto_graph *read)
{
    plb_auto_profile_clear(&read->profile);
    free(read->bound);
    read->bound = NULL;
}

static enum plb_status read_graph(const plb_graph_t *graph, const plb_places_t *places,
                                  const double *const *seconds, uint32_t samples, bool by_block,
                                  struct plb_auto_profile *profile_out)
{
    struct plb__auto_graph read;
    struct plb__jobs jobs;
    enum plb_status status;

    PLB_TRY(plb__jobs_find(graph, &jobs));
    status = plb__auto_graph_read(&jobs, places, seconds, samples, by_block, &read);
    if (status == PLB_OK && by_block) {
        status = plb__auto_graph_options(&jobs, plb_places_costs(places, 0), seconds[0], &read);
        if (status != PLB_OK)
            plb__auto_graph_clear(&read);
    }
    plb__jobs_clear(&jobs);
    if (status != PLB_OK)
        return status;
    free(read.bound);
    *profile_out = read.profile;
    return PLB_OK;
}

enum plb_status plb_auto_profile_of_graph(const plb_graph_t *graph, const plb_places_t *places,
                                          const double *const *seconds, uint32_t samples,
                                          struct plb_auto_profile *profile_out)
{
    return read_graph(graph, places, seconds, samples, false, profile_out);
}

enum plb_status plb_auto_profile_of_blocks(const plb_graph_t *graph, const plb_places_t *places,
                                           const double *const *seconds, uint32_t samples,
                                           struct plb_auto_profile *profile_out)
{
    return read_graph(graph, places, seconds, samples, true, profile_out);
}
