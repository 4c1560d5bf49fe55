/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The place of each task of a graph, given crews: tasks of jobs at the stages of their crew (which
 * of its places: members.c), then the rest (rest.c).
 */
#include "config.h"

#include "schedulers/parallel/common/placement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void plb__placement_clear(struct plb__placement *placement)
{
    free(placement->first);
    free(placement->count);
    free(placement->at);
    *placement = (struct plb__placement){0};
}

enum plb_status plb__placement_add(struct plb__placement *placement, plb_task_id task,
                                   struct plb__done done)
{
    if (placement->n == placement->capacity) {
        uint32_t capacity = placement->capacity ? 2 * placement->capacity : 1024;
        struct plb__done *grown = realloc(placement->at, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the places of %u tasks", capacity);
        placement->at = grown;
        placement->capacity = capacity;
    }
    if (placement->count[task]++ == 0)
        placement->first[task] = placement->n;
    placement->at[placement->n++] = done;
    return PLB_OK;
}

const struct plb__done *plb__find_copy(const struct plb__finder *f, plb_task_id maker,
                                       uint32_t place, size_t bytes, double *there_out)
{
    const struct plb__done *at = f->placement->at + f->placement->first[maker], *best = at;
    double least = HUGE_VAL;

    for (uint32_t k = 0; k < f->placement->count[maker]; k++) {
        double seconds = at[k].place == place ? -1
                                              : plb_places_seconds(f->problem->places, at[k].place,
                                                                   place, bytes);

        if (seconds < least)
            least = seconds, best = &at[k];
    }
    *there_out = best->end + fmax(least, 0);
    return best;
}

/* ---- tables ---- */

static void finder_clear(struct plb__finder *f)
{
    for (uint32_t c = 0; c < f->n_crews; c++) {
        free(f->chunk_of ? f->chunk_of[c] : NULL);
        free(f->job_of ? f->job_of[c] : NULL);
        free(f->order ? f->order[c] : NULL);
    }
    free(f->chunk_of);
    free(f->job_of);
    free(f->order);
    free(f->crew_of);
    free(f->starts);
    free(f->crew_at);
    free(f->member);
    free(f->wanted);
    free(f->parameter);
    free(f->home);
    free(f->owner);
}

static uint32_t *none_of(size_t n)
{
    uint32_t *table = malloc((n + 1) * sizeof *table);

    if (table)
        memset(table, 0xff, (n + 1) * sizeof *table);
    return table;
}

static uint32_t number_parameters(struct plb__finder *f)
{
    uint32_t n = 0;

    for (plb_value v = 0; v < plb_graph_values(f->jobs->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(f->jobs->graph, v);

        if (info->producer == PLB_NONE && info->next != PLB_NONE)
            f->parameter[v] = n++;
    }
    return n;
}

static enum plb_status fail_memory(void)
{
    return plb_fail(PLB_ERROR_MEMORY, "no memory to place the tasks of a hybrid plan");
}

static enum plb_status allocate(struct plb__finder *f)
{
    uint32_t tasks = plb_graph_tasks(f->jobs->graph), values = plb_graph_values(f->jobs->graph);

    f->crew_of = none_of(f->jobs->micro_batches);
    f->crew_at = none_of(plb_places_count(f->problem->places));
    f->chunk_of = calloc(f->n_crews, sizeof *f->chunk_of);
    f->job_of = calloc(f->n_crews, sizeof *f->job_of);
    f->order = calloc(f->n_crews, sizeof *f->order);
    f->member = none_of(tasks);
    f->parameter = none_of(values);
    f->wanted = calloc((size_t)values + 1, sizeof *f->wanted);
    f->placement->first = calloc((size_t)tasks + 1, sizeof *f->placement->first);
    f->placement->count = calloc((size_t)tasks + 1, sizeof *f->placement->count);
    if (!f->crew_of || !f->crew_at || !f->chunk_of || !f->job_of || !f->order || !f->member ||
        !f->parameter || !f->wanted || !f->placement->first || !f->placement->count)
        return fail_memory();
    f->n_parameters = number_parameters(f);
    f->owner = none_of(f->n_parameters);
    f->home = malloc(((size_t)f->n_crews * f->n_parameters + 1) * sizeof *f->home);
    if (!f->owner || !f->home)
        return fail_memory();
    memset(f->home, 0xff, ((size_t)f->n_crews * f->n_parameters + 1) * sizeof *f->home);
    return PLB_OK;
}

static enum plb_status tabulate_crew(struct plb__finder *f, uint32_t c)
{
    const struct plb__crew *crew = &f->crew[c];
    const struct plb__team *team = &crew->team;
    uint32_t n = crew->schedule.in_stage[crew->schedule.stages];

    f->chunk_of[c] = none_of(f->jobs->positions);
    f->job_of[c] = none_of(plb__pipeline_jobs(&crew->pipeline.pipeline));
    f->order[c] = none_of(n);
    if (!f->chunk_of[c] || !f->job_of[c] || !f->order[c])
        return fail_memory();
    for (uint32_t k = 0; k < team->chunks; k++)
        for (uint32_t i = team->bound[k]; i < team->bound[k + 1]; i++)
            f->chunk_of[c][i] = k;
    for (uint32_t k = 0; k < n; k++)
        f->job_of[c][plb__job_number(&crew->pipeline.pipeline, crew->schedule.job[k])] = k;
    for (uint32_t j = team->first; j < team->end; j++)
        f->crew_of[j] = c;
    for (uint32_t k = 0; k < team->in_stage[team->stages]; k++)
        f->crew_at[team->place[k]] = c;
    f->n_jobs += n;
    return PLB_OK;
}

/* ---- the order of all jobs ---- */

struct key {
    double start;
    uint32_t rank, crew, job;
};

/* Jobs of different crews do not wait for each other, but for what belongs to no micro-batch, with
 * which the first job of the first crew begins. */
static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->crew != y->crew)
        return x->crew < y->crew ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static enum plb_status order_jobs(struct plb__finder *f)
{
    struct key *keys = malloc(((size_t)f->n_jobs + 1) * sizeof *keys);
    uint32_t n = 0;

    f->starts = malloc(((size_t)f->n_jobs + 1) * sizeof *f->starts);
    if (!keys || !f->starts) {
        free(keys);
        return fail_memory();
    }
    for (uint32_t c = 0; c < f->n_crews; c++) {
        const struct plb__crew *crew = &f->crew[c];

        for (uint32_t k = 0; k < crew->schedule.in_stage[crew->schedule.stages]; k++)
            keys[n++] = (struct key){crew->times.start[k], crew->times.rank[k], c, k};
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    for (uint32_t k = 0; k < n; k++) {
        f->order[keys[k].crew][keys[k].job] = k;
        f->starts[k] = keys[k].start;
    }
    free(keys);
    return PLB_OK;
}

/* ---- tasks of jobs ---- */

static enum plb_status place_job_task(struct plb__finder *f, plb_task_id t)
{
    const struct plb__jobs_task *it = &f->jobs->task[t];
    uint32_t c = f->crew_of[it->micro_batch], chunk = f->chunk_of[c][it->position];
    const struct plb__crew *crew = &f->crew[c];
    const struct plb__team *team = &crew->team;
    const uint32_t *place = team->place + team->in_stage[team->stage_of[chunk]];
    struct plb__pipe_job job = {(enum plb__job_kind)it->kind, chunk,
                                it->micro_batch - team->first};
    uint32_t first = f->member[t], n = 1, k;

    if (crew->schedule.fused && it->kind == PLB__JOB_W)
        job.kind = PLB__JOB_B;
    k = f->job_of[c][plb__job_number(&crew->pipeline.pipeline, job)];
    if (first == PLB__ALL_MEMBERS)
        first = 0, n = plb__stage_places(team, team->stage_of[chunk]);
    for (uint32_t i = first; i < first + n; i++)
        PLB_TRY(plb__placement_add(f->placement, t,
                                   (struct plb__done){place[i], f->order[c][k],
                                                      crew->times.start[k], crew->times.end[k]}));
    return PLB_OK;
}

static enum plb_status find_all(struct plb__finder *f)
{
    PLB_TRY(allocate(f));
    for (uint32_t c = 0; c < f->n_crews; c++)
        PLB_TRY(tabulate_crew(f, c));
    for (uint32_t j = 0; j < f->jobs->micro_batches; j++)
        if (f->crew_of[j] == PLB_NONE)
            return plb_fail(PLB_ERROR_INVALID, "no replica takes micro-batch %u", j);
    PLB_TRY(order_jobs(f));
    plb__find_members(f);
    for (plb_task_id t = 0; t < plb_graph_tasks(f->jobs->graph); t++)
        if (f->jobs->task[t].kind != PLB__JOB_REST)
            PLB_TRY(place_job_task(f, t));
    return plb__place_rest(f);
}

enum plb_status plb__placement_find(const struct plb__jobs *jobs,
                                    const struct plb_parallel_problem *problem,
                                    const struct plb__crew *crew, uint32_t n_crews,
                                    struct plb__placement *placement_out)
{
    struct plb__placement placement = {0};
    struct plb__finder finder = {.jobs = jobs, .problem = problem, .crew = crew,
                                 .n_crews = n_crews, .placement = &placement};
    enum plb_status status = find_all(&finder);

    finder_clear(&finder);
    if (status == PLB_OK)
        *placement_out = placement;
    else
        plb__placement_clear(&placement);
    return status;
}
