/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places of what belongs to no job.
 *
 *   - An update is done at the places of its parameter in every replica, or at one of them when the
 *     state is divided.
 *   - A sum of gradients is done where its terms are. Where they are at several places of a
 *     replica, at the place of the parameter; where they come from several replicas, at the
 *     parameter's *owner*: owners are spread so that each place of the same stage adds up about as
 *     many bytes.
 *   - All else (losses, the norm) is done where its inputs are, or the largest of them is.
 */
#include "config.h"

#include "schedulers/parallel/common/placement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rest {
    struct plb__finder *f;
    double *load;    /* per place: bytes that its parameters' gradients have */
    uint32_t *place; /* of the task at hand */
    uint32_t n;
    uint32_t *seen;  /* per place: how many inputs are there, when it is stamped */
    uint32_t *stamp;
};

/* ---- parameters ---- */

static const struct plb__home *home_of(const struct plb__finder *f, uint32_t crew, plb_value value)
{
    return &f->home[(size_t)crew * f->n_parameters + f->parameter[value]];
}

/* The places of a crew's stage that hold a parameter. */
static const uint32_t *home_places(const struct plb__finder *f, uint32_t crew, plb_value value,
                                   uint32_t *n_out)
{
    const struct plb__home *home = home_of(f, crew, value);
    const struct plb__team *team = &f->crew[crew].team;
    uint32_t stage = team->stage_of[home->chunk];
    bool all = home->member == PLB__ALL_MEMBERS;

    *n_out = all ? plb__stage_places(team, stage) : 1;
    return team->place + team->in_stage[stage] + (all ? 0 : home->member);
}

static void choose_owners(struct rest *r)
{
    struct plb__finder *f = r->f;

    for (plb_value v = 0; v < plb_graph_values(f->jobs->graph); v++) {
        uint32_t best = PLB_NONE, n;

        if (f->parameter[v] == PLB_NONE || home_of(f, 0, v)->chunk == PLB_NONE)
            continue;
        for (uint32_t c = 0; c < f->n_crews; c++) {
            uint32_t place = home_places(f, c, v, &n)[0];

            if (best == PLB_NONE || r->load[place] < r->load[best])
                best = place;
        }
        f->owner[f->parameter[v]] = best;
        r->load[best] += (double)plb_type_bytes(&plb_graph_value(f->jobs->graph, v)->type);
    }
}

/* ---- where a task is done ---- */

static void set_places(struct rest *r, const uint32_t *place, uint32_t n)
{
    memcpy(r->place, place, n * sizeof *place);
    r->n = n;
}

static void place_update(struct rest *r, plb_value of)
{
    const struct plb__finder *f = r->f;
    uint32_t n;

    if (f->problem->degrees.shard_state) {
        set_places(r, &f->owner[f->parameter[of]], 1);
        return;
    }
    r->n = 0;
    for (uint32_t c = 0; c < f->n_crews; c++) {
        const uint32_t *place = home_places(f, c, of, &n);

        memcpy(r->place + r->n, place, n * sizeof *place);
        r->n += n;
    }
}

/* Places where all inputs are; the crew that all of them are in, or PLB_NONE; and the lowest place
 * of the largest input. */
static void look_at_inputs(struct rest *r, plb_task_id t, uint32_t *crew_out, uint32_t *largest_out)
{
    const struct plb__finder *f = r->f;
    const struct plb_task *task = plb_graph_task(f->jobs->graph, t);
    uint32_t crew = PLB_NONE, inputs = 0;
    size_t most = 0;
    bool one = true;

    *largest_out = f->crew[0].team.place[0];
    r->n = 0;
    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        const struct plb_value_info *info = plb_graph_value(f->jobs->graph, task->in[i]);
        const struct plb__done *at;

        if (info->producer == PLB_NONE)
            continue;
        at = f->placement->at + f->placement->first[info->producer];
        for (uint32_t k = 0; k < f->placement->count[info->producer]; k++) {
            uint32_t p = at[k].place;

            if (r->stamp[p] != t + 1)
                r->stamp[p] = t + 1, r->seen[p] = 0;
            if (r->seen[p] == inputs && inputs == 0)
                r->place[r->n++] = p;
            r->seen[p] += r->seen[p] == inputs;
            one = one && (crew == PLB_NONE || f->crew_at[p] == crew);
            crew = f->crew_at[p];
        }
        if (plb_type_bytes(&info->type) > most) {
            most = plb_type_bytes(&info->type);
            *largest_out = at[0].place;
        }
        inputs++;
    }
    for (uint32_t k = r->n, kept = r->n = 0; kept < k; kept++)
        if (r->seen[r->place[kept]] == inputs)
            r->place[r->n++] = r->place[kept];
    *crew_out = one ? crew : PLB_NONE;
}

static void place_task(struct rest *r, plb_task_id t)
{
    const struct plb__finder *f = r->f;
    plb_value of = plb__jobs_updated(f->jobs, plb_graph_task(f->jobs->graph, t));
    uint32_t crew, largest, n;

    if (of != PLB_NONE) {
        place_update(r, of);
        return;
    }
    look_at_inputs(r, t, &crew, &largest);
    of = f->jobs->sums_for[t];
    if (r->n > 0)
        return;
    if (of == PLB_NONE)
        set_places(r, &largest, 1);
    else if (crew == PLB_NONE)
        set_places(r, &f->owner[f->parameter[of]], 1);
    else
        set_places(r, home_places(f, crew, of, &n), 1);
}

/* ---- when ---- */

/* The last job that starts before `moment`. */
static uint32_t last_before(const struct plb__finder *f, double moment)
{
    uint32_t low = 0, high = f->n_jobs;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (f->starts[middle] < moment)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

static enum plb_status add_runs(struct rest *r, plb_task_id t)
{
    const struct plb__finder *f = r->f;
    const struct plb_task *task = plb_graph_task(f->jobs->graph, t);

    for (uint32_t k = 0; k < r->n; k++) {
        struct plb__done done = {.place = r->place[k]};
        uint32_t kind = plb_places_at(f->problem->places, done.place)->kind;

        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
            const struct plb_value_info *info = plb_graph_value(f->jobs->graph, task->in[i]);
            const struct plb__done *copy;
            double there;

            if (info->producer == PLB_NONE)
                continue;
            copy = plb__find_copy(f, info->producer, done.place, plb_type_bytes(&info->type),
                                  &there);
            done.start = fmax(done.start, there);
            done.after = copy->after > done.after ? copy->after : done.after;
        }
        if (last_before(f, done.start) > done.after)
            done.after = last_before(f, done.start);
        done.end = done.start + f->problem->seconds[kind][t];
        PLB_TRY(plb__placement_add(f->placement, t, done));
    }
    return PLB_OK;
}

static int compare_places(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static enum plb_status place_all(struct rest *r)
{
    struct plb__finder *f = r->f;

    choose_owners(r);
    for (plb_task_id t = 0; t < plb_graph_tasks(f->jobs->graph); t++) {
        if (f->jobs->task[t].kind != PLB__JOB_REST)
            continue;
        place_task(r, t);
        qsort(r->place, r->n, sizeof *r->place, compare_places);
        PLB_TRY(add_runs(r, t));
    }
    return PLB_OK;
}

enum plb_status plb__place_rest(struct plb__finder *f)
{
    size_t n = (size_t)plb_places_count(f->problem->places) + 1;
    struct rest r = {.f = f, .load = calloc(n, sizeof *r.load), .place = calloc(n, sizeof *r.place),
                     .seen = calloc(n, sizeof *r.seen), .stamp = calloc(n, sizeof *r.stamp)};
    enum plb_status status = r.load && r.place && r.seen && r.stamp
                                 ? place_all(&r)
                                 : plb_fail(PLB_ERROR_MEMORY, "no memory for %zu places", n);

    free(r.load);
    free(r.place);
    free(r.seen);
    free(r.stamp);
    return status;
}
